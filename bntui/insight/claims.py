"""Reads the quantities of claims from a run's history, and judges claims over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bntui.insight.statistics import Interval, Judgement, interval, judge
from bntui.keyframe import BoolArray, FloatArray
from bntui.recording.history import SAME_EPOCH, Event, RunHistory, RunInfo
from bntui.scenario.figures import EPOCHS_TO, MOVEMENT, OPERATORS, Comparison, Quantity

Seeds = Mapping[int, Mapping[str, float]]
"""By seed: the value of each quantity, by its text with its run."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained run, as a recording holds it."""

    info: RunInfo
    history: RunHistory
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Frames:
    """The keyframes that quantities are read from; the scalars of every epoch, and keyframe 0, are always there."""

    all: bool = False
    """Every keyframe of a recording, also those of a first bad step."""
    epochs: frozenset[int] = frozenset()
    """Those at the ends of these epochs."""


def frames_of(quantities: Iterable[Quantity]) -> Frames:
    """The keyframes that are needed to read these quantities."""
    epochs: set[int] = set()
    for used in quantities:
        if isinstance(used.place, float) and not used.over and used.of_layers and used.figure != MOVEMENT:
            epochs.add(int(used.place))
        elif used.place != "start" and used.of_layers:
            return Frames(all=True)
    return Frames(epochs=frozenset(epochs))


def value(used: Quantity, run: Trained) -> float:
    """A quantity of a run; NaN where the run does not have it, infinite for what it never reaches."""
    history = run.history
    ends: BoolArray = history.epoch_end & (history.step > 0)
    if used.figure == "diverged":
        return float(any(event.kind == "diverged" for event in run.events))
    layer = None
    if used.layer is not None:
        layer = next((number for number, one in enumerate(run.info.layers) if one.name == used.layer), None)
        if layer is None:
            return math.nan
    if used.figure == MOVEMENT:
        assert layer is not None
        return _movement(history, layer)
    course = _course(used, run, layer)
    if used.over == EPOCHS_TO:
        reached = np.flatnonzero(ends & OPERATORS[used.operator](course, used.threshold))
        return float(history.epoch[reached[0]]) if len(reached) else math.inf
    rows = history.has_frame if used.of_layers else ends | (history.step == 0) | (history.ids == history.ids[-1])
    if used.over:
        values = course[rows & ~np.isnan(course)]
        if not len(values):
            return math.nan
        return float(values.mean() if used.over == "mean" else values.max() if used.over == "highest" else values.min())
    row = _row(used, run, rows, ends)
    return math.nan if row is None else float(course[row])


def _course(used: Quantity, run: Trained, layer: int | None) -> FloatArray:
    """The figure in every row of the history."""
    history = run.history
    if layer is not None:
        return history.layer(layer, used.figure)
    if used.figure == "gap":
        return history.val_loss - history.train_loss
    if used.figure == "gradient_ratio":
        first, last = (history.layer(at, "weight_gradient_norm") for at in (0, len(run.info.layers) - 1))
        ratio: FloatArray = np.divide(first, last, out=np.full(len(first), np.nan), where=last != 0)
        return ratio
    course: FloatArray = np.asarray(getattr(history, used.figure), np.float64)
    return course


def _row(used: Quantity, run: Trained, rows: BoolArray, ends: BoolArray) -> int | None:
    """The row of the quantity's place among ``rows``; None if the run does not come there."""
    history, there = run.history, np.flatnonzero(rows)
    if used.place == "start":
        return int(there[0])
    if used.place == "end" or (used.place == "kept" and not _restored(run)):
        return int(there[-1])
    if isinstance(used.place, float):
        epoch = used.place
    elif run.info.early_stopping is not None:
        epoch = float(history.best_epoch[-1])
        if not epoch:  # it never had a figure to compare
            return None
    else:
        losses = np.where(ends & np.isfinite(history.val_loss), history.val_loss, math.inf)
        if not np.isfinite(losses).any():  # it diverged in its first epoch
            return None
        epoch = float(history.epoch[int(np.argmin(losses))])
    at = there[np.abs(history.epoch[there] - epoch) < SAME_EPOCH]
    return int(at[-1]) if len(at) else None


def _restored(run: Trained) -> bool:
    return any(event.kind == "restored_best" for event in run.events)


def _movement(history: RunHistory, layer: int) -> float:
    low, middle, high = (history.layer(layer, f"unit_p{p}")[history.has_frame] for p in (15, 50, 85))
    with np.errstate(all="ignore"):
        return float(np.abs(np.diff(middle)).mean() / (high - low).mean())


# --- over seeds ---


def scaled(used: Quantity, number: float) -> float:
    """What is averaged: the number, or its log₁₀ where seeds differ by factors; NaN if it has none."""
    if not used.known.decades:
        return number
    if number == math.inf or number > 0:
        return math.log10(number) if math.isfinite(number) else math.inf
    return -math.inf if number == 0 else math.nan


def effect(compared: Comparison, left: float, right: float = math.nan) -> float:
    """The left side minus the right side, in decades where seeds differ by factors."""
    used, limit = compared.left, compared.plus
    if compared.right is not None:
        limit += compared.factor * right
    if left == limit:  # also infinite: neither ever reached it
        return 0.0 if math.isfinite(left) else math.nan
    if used.known.decades:
        return scaled(used, left) - scaled(used, limit)
    return left - limit


def judged(compared: Comparison, seeds: Seeds) -> Judgement:
    """What the seeds say about a claim; a seed without one of its figures supports neither side."""
    left, right = str(compared.left), str(compared.right)
    effects = [
        effect(compared, found.get(left, math.nan), found.get(right, math.nan))
        for _seed, found in sorted(seeds.items())
    ]
    return judge(effects, compared.operator)


def spread(used: Quantity, seeds: Seeds) -> Interval:
    """Mean and interval of a quantity, in decades where seeds differ by factors."""
    return interval([scaled(used, found.get(str(used), math.nan)) for _seed, found in sorted(seeds.items())])


def columns(comparisons: Sequence[Comparison]) -> tuple[Quantity, ...]:
    """The quantities that claims name, without their runs, each once: the columns of a table with a row per run."""
    found = {replace(used, run=None): None for compared in comparisons for used in compared.quantities}
    return tuple(found)
