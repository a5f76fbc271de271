"""Implements Keras' EarlyStopping as a pure function of the monitored values, for the trainer and for recorded loops.

Three differences from Keras 3 (``keras/src/callbacks/early_stopping.py``) remain:

- Values are compared in float64.  Keras on its torch backend compares in float32, because ``convert_to_tensor`` makes a
  Python float a tensor of ``floatx``: there, values closer than 6e-8 (relative) are equal.
- An infinite first value becomes the best value, while Keras waits.  Such a run of the trainer has diverged and ends.
- If all values are NaN, such as R² of a constant target, Keras restores the weights of the first monitored epoch, while
  this trainer keeps the last ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

from bntui.recording.sentences import WAITED, WAITED_ALL, WAITED_BASELINE


class PatienceRule(Protocol):
    """What decides when a run stops, with Keras' names: a scenario's table, or the argument of a recorder."""

    @property
    def monitor(self) -> str:
        """Name of the figure that is monitored."""

    @property
    def patience(self) -> int:
        """Epochs without improvement after which training stops."""

    @property
    def min_delta(self) -> float:
        """Smallest change that counts as an improvement; its absolute value is used."""

    @property
    def mode(self) -> str:
        """``min``, ``max``, or ``auto``, which decides by the monitor."""

    @property
    def baseline(self) -> float | None:
        """Value that an improvement must also beat to reset the counter."""

    @property
    def start_from_epoch(self) -> int:
        """Epochs to wait before monitoring begins."""


@dataclass(frozen=True, slots=True)
class Patience:
    """State after an epoch; before the first value that is not NaN, ``best`` is NaN and ``best_epoch`` is 0."""

    best: float = math.nan
    best_epoch: int = 0
    wait: int = 0
    stopped: bool = False
    reason: str = ""
    improved: bool = False
    """The value of this epoch is the best so far."""


def larger_is_better(rule: PatienceRule) -> bool:
    """True if the rule's ``mode`` is ``max``, or is ``auto`` and the monitor is not a loss."""
    if rule.mode == "auto":
        return not rule.monitor.endswith("loss")
    return rule.mode == "max"


def _improves(rule: PatienceRule, value: float, reference: float) -> bool:
    if math.isnan(value):
        return False  # NaN is never an improvement, and never becomes the best value
    if math.isnan(reference):
        return True
    delta = abs(rule.min_delta)
    return value - delta > reference if larger_is_better(rule) else value + delta < reference


def unbeaten(rule: PatienceRule, best: float) -> bool:
    """True if there is a baseline that the best value has not beaten, so that no improvement has reset the counter."""
    return rule.baseline is not None and not math.isnan(best) and not _improves(rule, best, rule.baseline)


def observe(rule: PatienceRule, before: Patience, epoch: int, value: float) -> Patience:
    """The state after an epoch.

    As in Keras, the counter increases by one each epoch.  An improvement over the best value replaces it, and resets
    the counter if it also beats the baseline.  An epoch without improvement stops training if the counter has reached
    the patience (so patience 0 and 1 are equivalent), except for the first epoch of all.

    Args:
        epoch: number of the epoch, counted from 1 (in Keras from 0).
        value: value of the monitor after the epoch.
    """
    if epoch <= rule.start_from_epoch:
        return replace(before, improved=False)
    wait = before.wait + 1
    if _improves(rule, value, before.best):
        resets = rule.baseline is None or _improves(rule, value, rule.baseline)
        return Patience(value, epoch, 0 if resets else wait, improved=True)
    stopped = wait >= rule.patience and epoch > 1
    reason = ""
    if stopped:
        sentence = WAITED if before.best_epoch else WAITED_ALL
        if unbeaten(rule, before.best):
            sentence = WAITED_BASELINE
        reason = sentence.format(
            monitor=rule.monitor, best_epoch=before.best_epoch, wait=wait, patience=rule.patience,
            baseline=rule.baseline, best=before.best,
        )  # fmt: skip  # in English, because it is recorded
    return Patience(before.best, before.best_epoch, wait, stopped, reason)
