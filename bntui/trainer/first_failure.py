"""Finds the step, layer and quantity in which a run first went wrong, by repeating steps.

Steps between keyframes are not measured, so a loss that is not finite or a dead gradient is noticed only at the next
keyframe.  The steps since the last sound keyframe are then repeated and measured, and the first bad one is recorded as
an additional keyframe.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from bntui.keyframe import QUANTITIES, Foreign
from bntui.recording import sentences
from bntui.recording.history import Event
from bntui.recording.sentences import (
    ACTIVATION_GRADIENT,
    LOSS,
    QUANTITY_WORDS,
    TROUBLES,
    VALIDATION_LOSS,
    WEIGHT_GRADIENT,
    EventKind,
)
from bntui.trainer.dead import Dead, died, reached
from bntui.trainer.draw import Draws
from bntui.trainer.end_events import spelled
from bntui.trainer.network import Stage
from bntui.trainer.recorder import RunWriter
from bntui.trainer.run import Run
from bntui.trainer.step import MeasuredStep, drawn


def kinds_of(events: Collection[EventKind | Foreign]) -> set[EventKind]:
    """The kinds in ``events`` that are kinds of trouble."""
    return {kind for kind in TROUBLES if kind in events}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong in a measured step."""

    kind: EventKind
    """One of ``TROUBLES``."""
    sentence: str
    arguments: Mapping[str, Any]

    def told(self, run: Run) -> Event:
        """The trouble as an event at the last step of ``run``."""
        return run.event(self.kind, self.sentence, {**self.arguments, "step": run.step})


def _bad(layer: str, quantity: str, value: float) -> Trouble:
    arguments = {"layer": layer, "quantity": quantity, "value": spelled(value)}
    return Trouble("first_bad", sentences.FIRST_BAD, arguments)


def _dead(found: Dead, *, initial: bool) -> Trouble:
    if found.ratio:
        sentence = sentences.DEAD_INITIAL if initial else sentences.DIED
        return Trouble("died", sentence, {"layer": found.layer, "ratio": found.ratio})
    if found.units:
        sentence = sentences.DEAD_UNITS_INITIAL if initial else sentences.DIED_UNITS
    else:
        sentence = sentences.DEAD_ZERO_INITIAL if initial else sentences.DIED_ZERO
    return Trouble("died", sentence, {"layer": found.layer})


def first_bad(taken: MeasuredStep) -> Trouble | None:
    """The first quantity of a step that is NaN or infinite, in the order of the forward and the backward pass."""
    for layer, quantity, value in _figures(taken):
        if not math.isfinite(value):
            return _bad(layer, quantity, value)
    return None


def _figures(taken: MeasuredStep) -> Iterator[tuple[str, str, float]]:
    """Layer, quantity and a value that is finite only if the whole quantity is, in the order of computation."""
    for layer in taken.layers:
        for name in QUANTITIES:
            values = getattr(layer, name)
            if values is not None:
                yield (
                    layer.name,
                    QUANTITY_WORDS.get(name, name),
                    values.min if not math.isfinite(values.min) else values.max,
                )
    yield taken.layers[-1].name, LOSS, float(taken.loss)
    for layer in reversed(taken.layers):
        yield layer.name, ACTIVATION_GRADIENT, layer.activation_gradient_norm
        yield layer.name, WEIGHT_GRADIENT, layer.weight_gradient_norm


class RunRestorer(Protocol):
    """Restores a run at an earlier step; see :class:`bntui.trainer.replay.Past`."""

    def reach(self, index: int, step: int, /) -> Run:
        """The run with this number as it was after a step."""


class FailureWatch:
    """Checks each step of a run before it is recorded; a ``run.Watcher``."""

    def __init__(self, past: RunRestorer, since: int) -> None:
        """``since`` is the current step of the run; earlier steps have been checked."""
        self._past = past
        self.since = self.recorded = since
        """The last step that was measured, and the last one that has a row."""

    def __call__(
        self, run: Run, writer: RunWriter, taken: MeasuredStep | None, train_loss: float, val_loss: float
    ) -> list[Event]:
        since, recorded = self.since, self.recorded
        self.recorded = run.step
        here = _found(taken, run, initial=run.step == since)
        if "first_bad" not in run.told | here.keys():
            here |= _led_to(run, train_loss, val_loss)
        if taken is not None:
            self.since = run.step
        if not here:
            return []
        events = self._earlier(run, writer, since, recorded)
        events += [trouble.told(run) for kind, trouble in here.items() if kind not in run.told]
        run.told |= here.keys()
        return events

    def _earlier(self, run: Run, writer: RunWriter, since: int, recorded: int) -> list[Event]:
        """Repeat the steps after ``since``, and return what went wrong in them.

        Bad steps are recorded as keyframes.  Rows can only be appended, so for a step before the last recorded row,
        only the event is returned.
        """
        events: list[Event] = []
        if run.step - since < 2:
            return events
        again = self._past.reach(run.info.index, since)
        while again.step < run.step - 1 and len(run.told) < len(TROUBLES):
            found = _found(again.train_step(None, measured=True), again, run.told)
            if not found:
                continue
            told = [trouble.told(again) for trouble in found.values()]
            run.told |= found.keys()
            if again.step > recorded:
                once_more = self._past.reach(run.info.index, again.step - 1)
                once_more.watcher = _Told(run.told)
                once_more.train_step(writer, measured=True, events=told)
            else:
                events += told
        return events


def _led_to(run: Run, train_loss: float, val_loss: float) -> dict[EventKind, Trouble]:
    """What a step that was sound itself led to by its update."""
    for quantity, loss in ((VALIDATION_LOSS, val_loss), (LOSS, train_loss)):
        if not math.isfinite(loss):
            return {"first_bad": _bad(run.info.layers[-1].name, quantity, loss)}
    return {}


@dataclass(frozen=True, slots=True)
class _Told:
    """Watches a repeated step that is recorded: its trouble is known, but not yet what its update led to."""

    told: set[EventKind]
    """Kinds of trouble of the run; extended."""

    def __call__(
        self, run: Run, _writer: RunWriter, _taken: MeasuredStep | None, train_loss: float, val_loss: float
    ) -> list[Event]:
        here = {} if "first_bad" in self.told else _led_to(run, train_loss, val_loss)
        self.told.update(here)
        return [trouble.told(run) for trouble in here.values()]


def _found(
    taken: MeasuredStep | None, run: Run, told: Collection[EventKind] | None = None, *, initial: bool = False
) -> dict[EventKind, Trouble]:
    """The trouble in the last step of ``run``, by kind.

    Args:
        taken: the measured step; None gives no trouble.
        told: kinds to ignore, because they were already reported; by default those of the run.
        initial: the step is the initial state.
    """
    told = run.told if told is None else told
    found: dict[EventKind, Trouble] = {}
    if taken is None:
        return found
    dead = None if "died" in told else died(taken.layers)
    if dead is not None and (dead.ratio or _stays(dead, run, initial=initial)):
        found["died"] = _dead(dead, initial=initial)
    bad = None if "first_bad" in told else first_bad(taken)
    if bad is not None:
        found["first_bad"] = bad
    return found


def _stays(dead: Dead, run: Run, *, initial: bool) -> bool:
    """True if a gradient that is exactly 0 in this step remains 0 for every training sample."""
    if initial and not dead.blocked:
        return False

    def draw(number: int) -> Callable[[Stage, Tensor], Tensor]:
        draws = Draws(run.config.seed, run.device, "dead", number)
        return lambda stage, x: drawn(draws, run.network, stage, run.step, x)[0]

    return not reached(run.network, run.samples, run.config.data.batch_size, dead.weight, draw)
