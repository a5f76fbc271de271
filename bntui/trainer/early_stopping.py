"""Implements Keras' EarlyStopping as a pure function of the monitored values.

Three differences from Keras 3 (``keras/src/callbacks/early_stopping.py``) are left.  Values are compared in float64.
Keras on its torch backend compares in float32, since ``convert_to_tensor`` makes a Python float a tensor of
``floatx``: values closer than 6e-8 (relative) tie there.  A first value that is infinite becomes the best here, while
Keras waits; such a run has diverged and ends.  Where no value ever counts, such as R² of a constant target, which is
NaN, Keras restores the weights of the first monitored epoch, and this trainer keeps the last ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bntui.recording.sentences import WAITED, WAITED_ALL, WAITED_BASELINE
from bntui.scenario.schema import EarlyStoppingRule


@dataclass(frozen=True, slots=True)
class Patience:
    """State after an epoch; ``best`` is NaN and ``best_epoch`` 0 before the first value that counts."""

    best: float = math.nan
    best_epoch: int = 0
    wait: int = 0
    stopped: bool = False
    reason: str = ""
    improved: bool = False
    """This epoch gave the best value so far."""


def larger_is_better(rule: EarlyStoppingRule) -> bool:
    """``mode``, or what the monitor's name says where it is ``auto``."""
    if rule.mode == "auto":
        return not rule.monitor.endswith("loss")
    return rule.mode == "max"


def _improves(rule: EarlyStoppingRule, value: float, reference: float) -> bool:
    if math.isnan(value):
        return False  # NaN is never an improvement and never becomes the best
    if math.isnan(reference):
        return True
    delta = abs(rule.min_delta)
    return value - delta > reference if larger_is_better(rule) else value + delta < reference


def unbeaten(rule: EarlyStoppingRule, best: float) -> bool:
    """Whether there is a baseline that the best value has not beaten: so far no improvement has reset the counter."""
    return rule.baseline is not None and not math.isnan(best) and not _improves(rule, best, rule.baseline)


def observe(rule: EarlyStoppingRule, before: Patience, epoch: int, value: float) -> Patience:
    """The state after ``epoch`` (counted from 1, Keras from 0) gave ``value``.

    As in Keras: the counter grows by one each epoch; an improvement over the best sets the best, and
    resets the counter if it beats the baseline too; an epoch without improvement that finds the counter at the
    patience or above stops training (with patience 0 as well as 1 the first one), though never the first of all.
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
        )  # fmt: skip  # recorded, so in English
    return Patience(before.best, before.best_epoch, wait, stopped, reason)
