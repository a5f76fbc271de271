"""Where did it go wrong first?  The exact step, layer and quantity, found by running forward once more.

Training between keyframes is bare: that a loss is no number any more, or that a gradient has died, is seen at the
next keyframe.  From the last keyframe that was sound the same steps are taken again, each one measured, and the one
in which it happened is recorded as a keyframe of its own.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from bntui.keyframe import LayerMeasures
from bntui.language import N_
from bntui.recording.history import Event
from bntui.recording.sentences import DIED, FIRST_BAD
from bntui.recording.writer import Writer
from bntui.trainer.ending import spelled
from bntui.trainer.past import Past
from bntui.trainer.run import Run
from bntui.trainer.step import Measured

DEAD_BELOW: Final = 1e-8
"""A layer's gradient has died when the norm of its weight's is below this share of the last layer's."""
KINDS: Final = ("first_bad", "died")

LOSS: Final = N_("loss")
VALIDATION_LOSS: Final = N_("validation loss")
WEIGHT_GRADIENT: Final = N_("weight gradient")
ACTIVATION_GRADIENT: Final = N_("activation gradient")
QUANTITIES: Final = {
    "input": N_("input"),
    "pre_norm": N_("pre-activation"),
    "normalized": N_("normalized values"),
    "output": N_("output"),
}


def kinds_of(events: Collection[str]) -> set[str]:
    """The kinds of trouble that are among the kinds of these events."""
    return set(events) & set(KINDS)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong in a measured step."""

    kind: str
    """``first_bad`` or ``died``."""
    layer: str
    quantity: str
    value: float

    def told(self, run: Run) -> Event:
        """As an event of the step that was just taken."""
        arguments: dict[str, Any] = {"layer": self.layer, "quantity": self.quantity, "step": run.step}
        if self.kind == "died":
            return run.event("died", DIED, {"layer": self.layer, "step": run.step, "ratio": self.value})
        return run.event("first_bad", FIRST_BAD, arguments | {"value": spelled(self.value)})


def first_bad(taken: Measured) -> Trouble | None:
    """The first figure of a step that is NaN or infinite: forward through the layers, the loss, and back again."""
    for layer, quantity, value in _figures(taken):
        if not math.isfinite(value):
            return Trouble("first_bad", layer, quantity, value)
    return None


def died(layers: Collection[LayerMeasures]) -> Trouble | None:
    """The last layer, going back, whose gradient is next to nothing beside the output layer's."""
    *earlier, last = layers
    for layer in reversed(earlier):
        norm, beside = layer.weight_gradient_norm, last.weight_gradient_norm
        ratio = norm / beside if beside and math.isfinite(beside) else math.nan
        if ratio < DEAD_BELOW:
            return Trouble("died", layer.name, WEIGHT_GRADIENT, ratio)
    return None


def _figures(taken: Measured) -> Iterator[tuple[str, str, float]]:
    """Layer, quantity and a value that is finite if all of it is, in the order in which they are computed."""
    for layer in taken.layers:
        for name, words in QUANTITIES.items():
            values = getattr(layer, name)
            if values is not None:
                yield layer.name, words, values.min if not math.isfinite(values.min) else values.max
    yield taken.layers[-1].name, LOSS, float(taken.loss)
    for layer in reversed(taken.layers):
        yield layer.name, ACTIVATION_GRADIENT, layer.activation_gradient_norm
        yield layer.name, WEIGHT_GRADIENT, layer.weight_gradient_norm


class Watch:
    """Looks at each step of a run that is about to be recorded; see ``run.Watcher``."""

    def __init__(self, past: Past, since: int) -> None:
        """``since`` is the step at which the run stands: what is before it has been looked at."""
        self._past = past
        self._since = self._recorded = since
        """The last steps that were measured, and that have a row."""

    def __call__(
        self, run: Run, writer: Writer, taken: Measured | None, train_loss: float, val_loss: float
    ) -> list[Event]:
        since, recorded = self._since, self._recorded
        self._recorded = run.step
        here = _found(taken, run.told)
        if "first_bad" not in run.told | here.keys() and not math.isfinite(val_loss):
            # what the update of a step that was sound itself has led to
            here["first_bad"] = Trouble("first_bad", run.info.layers[-1].name, VALIDATION_LOSS, val_loss)
        elif "first_bad" not in run.told | here.keys() and not math.isfinite(train_loss):
            here["first_bad"] = Trouble("first_bad", run.info.layers[-1].name, LOSS, train_loss)
        if taken is not None:
            self._since = run.step
        if not here:
            return []
        events = self._earlier(run, writer, since, recorded)
        events += [trouble.told(run) for kind, trouble in here.items() if kind not in run.told]
        run.told |= here.keys()
        return events

    def _earlier(self, run: Run, writer: Writer, since: int, recorded: int) -> list[Event]:
        """What went wrong in the steps since one that was looked at; they get keyframes of their own where they can.

        A row can only follow those that there are: what happened before the last of them is an event alone.
        """
        events: list[Event] = []
        if run.step - since < 2:
            return events
        again = self._past.reach(run.info.index, since)
        while again.step < run.step - 1 and len(run.told) < len(KINDS):
            found = _found(again.train_step(None, measured=True), run.told)
            if not found:
                continue
            told = [trouble.told(again) for trouble in found.values()]
            run.told |= found.keys()
            if again.step > recorded:
                once_more = self._past.reach(run.info.index, again.step - 1)
                once_more.train_step(writer, measured=True, events=told)
            else:
                events += told
        return events


def _found(taken: Measured | None, told: Collection[str]) -> dict[str, Trouble]:
    """Each kind of trouble in a step that was not told before."""
    troubles = [] if taken is None else [died(taken.layers), first_bad(taken)]
    return {trouble.kind: trouble for trouble in troubles if trouble is not None and trouble.kind not in told}
