"""Selects the epochs of a run at which a tool would have looked at its validation loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bntui.insight.stopping_rules import Decision, LossCurves, StoppingRule
from bntui.keyframe import BoolArray, FloatArray, IntArray
from bntui.recording.history import SAME_EPOCH, Event, RunHistory, RunInfo
from bntui.recording.sentences import VALIDATION_LOSS, traits


@dataclass(frozen=True, slots=True)
class JudgedPart:
    """A history up to the epoch where a fork of it begins."""

    history: RunHistory
    until: float
    watched: bool
    """A loss that the loop did not tell is NaN, as one that it told may be."""
    bad: Event | None
    """The event of its first value that was not finite."""


@dataclass(frozen=True, slots=True)
class CheckedEpochs:
    """The epochs of a run that have a validation, E of them, and what rules decide by them."""

    positions: FloatArray
    """Where they end, shape ``(E,)``."""
    numbers: IntArray
    """Their numbers, shape ``(E,)``: 1, 2, 3, … if every epoch has a validation."""
    val_loss: FloatArray
    recorded: int
    """Number of all epochs that ended, with a validation or without."""
    last: int
    """Number of the last of those; 0 without one."""
    decisions: tuple[Decision, ...]


def parts_of(
    run: int, known: Mapping[int, tuple[RunInfo, RunHistory]], events: Sequence[Event], until: float = math.inf
) -> tuple[JudgedPart, ...]:
    """The histories that a run consists of: its ancestors', up to where each is forked, and its own.

    Args:
        events: of the run itself.
    """
    info, history = known[run]
    bad = next((event for event in events if traits(event.kind).wrong), None)
    own = JudgedPart(history, until, info.watched, bad)
    if info.fork is None or info.fork.run not in known:
        return (own,)
    return (*parts_of(info.fork.run, known, (), min(info.fork.epoch, until)), own)


@lru_cache(maxsize=4)  # runs side by side; a run in training has another history at each keyframe
def decided(parts: tuple[JudgedPart, ...], rules: tuple[StoppingRule, ...]) -> CheckedEpochs:
    """The epochs that have a validation and the rules' decisions; cached, because histories never change."""
    ends = [np.flatnonzero(_complete(part.history) & (part.history.epoch <= part.until + SAME_EPOCH)) for part in parts]
    positions, validation, training, checked = (
        np.concatenate([values[at] for values, at in zip(columns, ends, strict=True)])
        for columns in (
            [part.history.epoch for part in parts],
            [part.history.val_loss for part in parts],
            [part.history.train_loss for part in parts],
            [_validated(part) for part in parts],
        )
    )
    every: IntArray = np.maximum(np.ceil(positions - SAME_EPOCH), 1).astype(np.int64)
    numbers, val_loss = every[checked], validation[checked]
    losses = LossCurves(val_loss.tolist(), training[checked].tolist(), numbers.tolist())
    return CheckedEpochs(
        positions[checked], numbers, val_loss, len(every), int(every[-1]) if len(every) else 0,
        tuple(rule.decide(losses) for rule in rules),
    )  # fmt: skip


def _complete(history: RunHistory) -> BoolArray:
    """Mask of the rows that end an epoch.

    If a run diverged within an epoch or before its first step, its last row counts as that epoch's end: the next
    update makes the weights NaN, and they stay NaN.
    """
    ends = history.epoch_end & (history.epoch > 0)
    if len(ends) and not math.isfinite(history.val_loss[-1]):
        ends[-1] = True
    return ends


def _validated(part: JudgedPart) -> BoolArray:
    """Mask of the rows that have a validation loss, which may be NaN.

    A loop that tells NaN is known by its event: every one before that was not told.  After it, an epoch that was not
    told its validation loss still has a finite training loss, unless the network is lost.
    """
    history = part.history
    known: BoolArray = ~np.isnan(history.val_loss)
    if not part.watched:
        return np.ones_like(known)
    if part.bad is None:
        return known
    lost = ~np.isfinite(history.train_loss) | (part.bad.arguments.get("quantity") == VALIDATION_LOSS)
    return known | (lost & (history.epoch >= part.bad.epoch - SAME_EPOCH))
