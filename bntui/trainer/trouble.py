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
        ratio = layer.weight_gradient_norm / last.weight_gradient_norm if last.weight_gradient_norm else math.nan
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
        self._since = since

    def __call__(
        self, run: Run, writer: Writer, taken: Measured | None, train_loss: float, val_loss: float
    ) -> list[Event]:
        since, self._since = self._since, run.step
        seen = [] if taken is None else [first_bad(taken), died(taken.layers)]
        if not math.isfinite(val_loss):  # what the update of a step that was sound itself has led to
            seen.append(Trouble("first_bad", run.info.layers[-1].name, VALIDATION_LOSS, val_loss))
        elif not math.isfinite(train_loss):
            seen.append(Trouble("first_bad", run.info.layers[-1].name, LOSS, train_loss))
        wanted = {trouble.kind for trouble in seen if trouble is not None} - run.told
        run.told |= wanted
        events = []
        for kind in sorted(wanted, reverse=True):  # what is not finite ends more than what has died
            event = self._earlier(run, writer, kind, since)
            here = next((trouble for trouble in seen if trouble is not None and trouble.kind == kind), None)
            if event is None and here is not None:
                events.append(here.told(run))
        return events

    def _earlier(self, run: Run, writer: Writer, kind: str, since: int) -> Event | None:
        """The trouble in a step between the last keyframe and this one, recorded; None where there is none."""
        index = run.info.index
        if run.step - since < 2:
            return None
        again = self._past.reach(index, since)
        while again.step < run.step - 1:
            taken = again.train_step(None, measured=True)
            assert taken is not None
            trouble = first_bad(taken) if kind == "first_bad" else died(taken.layers)
            if trouble is not None:
                event = trouble.told(again)
                once_more = self._past.reach(index, again.step - 1)
                once_more.train_step(writer, measured=True, events=[event])
                return event
        return None
