"""Implements other tools' stopping rules as pure functions of the losses at the ends of epochs.

All of them monitor the validation loss, where smaller is better, and count the epochs that have one, from 1: as in the
tools, nothing is checked in an epoch without a validation.  Parameters have the tools' names and defaults.  Values are
compared in double precision (Keras with its torch backend, and Lightning with float32 metrics, compare in float32).

If the loss is never finite, from the first epoch on: Lightning's ``check_finite`` stops at epoch 1; without it, as in
Keras, the counter grows from the first epoch and patience stops the run, in Keras not before epoch 2.  Ignite takes the
first value as the best, a later infinite value as no improvement, and every NaN as an improvement.  Prechelt's rules
never see a lowest loss and do not stop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class LossCurves:
    """A rule's input: losses of the epochs with a validation, sequences of equal length."""

    validation: Sequence[float]
    training: Sequence[float]
    numbers: Sequence[int] | None = None
    """Numbers of these epochs, ascending; by default 1, 2, 3, …"""

    def number(self, epoch: int) -> int:
        """Number among all epochs of the ``epoch``-th one with a validation."""
        return epoch if self.numbers is None else self.numbers[epoch - 1]


@dataclass(frozen=True, slots=True)
class Decision:
    """A rule's decision about a run, in epochs with a validation, counted from 1."""

    stop: int | None
    """The one after which it stops; None if it never does."""
    best: int | None
    """The one it considers best when it stops, or at the end; None before the first that counts."""
    because: str = ""
    """Name of the parameter or criterion that triggered the stop; empty if none did."""


class StoppingRule(Protocol):
    """A stopping rule with its parameters."""

    def decide(self, losses: LossCurves) -> Decision:
        """Apply the rule to a run."""


@dataclass(frozen=True, slots=True)
class Keras:
    """``keras.callbacks.EarlyStopping`` (Keras 3) with ``mode="min"``; NaN and +∞ are never an improvement here."""

    patience: int = 0
    min_delta: float = 0.0
    baseline: float | None = None
    start_from_epoch: int = 0

    def decide(self, losses: LossCurves) -> Decision:
        """Ignores epochs up to ``start_from_epoch``; the very first epoch never stops a run."""
        delta = abs(self.min_delta)
        lowest, best, wait = math.inf, None, 0
        for epoch, value in enumerate(losses.validation, start=1):
            if losses.number(epoch) <= self.start_from_epoch:
                continue
            wait += 1
            if value + delta < lowest:
                lowest, best = value, epoch
                if self.baseline is None or value + delta < self.baseline:
                    wait = 0
            elif wait >= self.patience and losses.number(epoch) > 1:
                return Decision(epoch, best, "patience")
        return Decision(None, best)


@dataclass(frozen=True, slots=True)
class Lightning:
    """``lightning.pytorch.callbacks.EarlyStopping`` (2.x) with ``mode="min"``, checked once per epoch."""

    patience: int = 3
    min_delta: float = 0.0
    """Signed: with a negative value, slightly worse losses count as improvements."""
    check_finite: bool = True
    stopping_threshold: float | None = None
    divergence_threshold: float | None = None

    def decide(self, losses: LossCurves) -> Decision:
        """Checks in Lightning's order: finite, stopping threshold, divergence threshold, improvement, patience.

        The epoch that falls below the stopping threshold has the lowest loss so far and counts as best here; Lightning
        stops before it records that.
        """
        lowest, best, wait = math.inf, None, 0
        for epoch, value in enumerate(losses.validation, start=1):
            if self.check_finite and not math.isfinite(value):
                return Decision(epoch, best, "check_finite")
            if self.stopping_threshold is not None and value < self.stopping_threshold:
                return Decision(epoch, epoch, "stopping_threshold")
            if self.divergence_threshold is not None and value > self.divergence_threshold:
                return Decision(epoch, best, "divergence_threshold")
            if value + self.min_delta < lowest:
                lowest, best, wait = value, epoch, 0
                continue
            wait += 1
            if wait >= self.patience:
                return Decision(epoch, best, "patience")
        return Decision(None, best)


@dataclass(frozen=True, slots=True)
class Ignite:
    """``ignite.handlers.EarlyStopping`` (0.5.5, where ``threshold`` was ``min_delta``) with ``mode="min"``.

    It has no default patience; 10 is the value in its documentation's example.
    """

    patience: int = 10
    """1 or more."""
    threshold: float = 0.0
    """0 or more; a fraction of the best loss in mode ``rel``."""
    threshold_mode: Literal["abs", "rel"] = "abs"
    cumulative: bool = False
    """Measure improvement from the last reset of the counter, not from the lowest loss."""

    def decide(self, losses: LossCurves) -> Decision:
        """As in Ignite, NaN counts as an improvement, because every comparison with it is false."""
        lowest, best, counter = math.nan, None, 0
        for epoch, value in enumerate(losses.validation, start=1):
            if best is None:
                lowest, best = value, epoch
                continue
            bound = lowest - self.threshold if self.threshold_mode == "abs" else lowest * (1 - self.threshold)
            if value >= bound:
                if not self.cumulative and value < lowest:
                    lowest, best = value, epoch
                counter += 1
                if counter >= self.patience:
                    return Decision(epoch, best, "patience")
            else:
                lowest, best, counter = value, epoch, 0
        return Decision(None, best)


def generalization_loss(value: float, lowest: float) -> float:
    """Prechelt's GL: how far a validation loss is above the lowest so far, in percent; both are 0 or more."""
    if lowest == 0:
        return math.inf if value > 0 else 0.0
    return 100 * (value / lowest - 1)


def progress(strip: Sequence[float]) -> float:
    """Prechelt's P_k: how far the mean training loss of a strip is above its lowest, in per mille."""
    lowest = min(strip)
    if lowest == 0:
        return math.inf if any(strip) else 0.0
    return 1000 * (sum(strip) / (len(strip) * lowest) - 1)


class _Lowest:
    """The lowest validation loss so far and its epoch, the first if equal."""

    def __init__(self) -> None:
        self.value = math.inf
        self.epoch: int | None = None

    def see(self, epoch: int, value: float) -> None:
        if value < self.value:
            self.value, self.epoch = value, epoch


@dataclass(frozen=True, slots=True)
class PrecheltGL:
    """GL_α of Prechelt, 1998: stop as soon as the generalization loss exceeds α percent."""

    alpha: float = 5.0

    def decide(self, losses: LossCurves) -> Decision:
        """Checks every epoch."""
        lowest = _Lowest()
        for epoch, value in enumerate(losses.validation, start=1):
            lowest.see(epoch, value)
            if lowest.epoch is not None and generalization_loss(value, lowest.value) > self.alpha:
                return Decision(epoch, lowest.epoch, "GL")
        return Decision(None, lowest.epoch)


@dataclass(frozen=True, slots=True)
class PrecheltPQ:
    """PQ_α of Prechelt, 1998: stop once the generalization loss exceeds α times the training progress."""

    alpha: float = 1.0
    k: int = 5
    """Length of a strip in epochs."""

    def decide(self, losses: LossCurves) -> Decision:
        """Checks the ends of strips of ``k`` epochs; the lowest loss is that of any epoch so far."""
        lowest = _Lowest()
        for epoch, value in enumerate(losses.validation, start=1):
            lowest.see(epoch, value)
            if epoch % self.k or lowest.epoch is None:
                continue
            loss, gain = generalization_loss(value, lowest.value), progress(losses.training[epoch - self.k : epoch])
            if loss > 0 and (gain == 0 or loss / gain > self.alpha):
                return Decision(epoch, lowest.epoch, "PQ")
        return Decision(None, lowest.epoch)


@dataclass(frozen=True, slots=True)
class PrecheltUP:
    """UP_s of Prechelt, 1998: stop when the validation loss rose in ``s`` successive strips."""

    s: int = 3
    k: int = 5
    """Length of a strip in epochs."""

    def decide(self, losses: LossCurves) -> Decision:
        """A strip rose if its last loss is above that of the previous strip, so the first strip cannot rise."""
        lowest, rises = _Lowest(), 0
        for epoch, value in enumerate(losses.validation, start=1):
            lowest.see(epoch, value)
            if epoch % self.k or epoch < 2 * self.k:
                continue
            rises = rises + 1 if value > losses.validation[epoch - 1 - self.k] else 0
            if rises >= self.s:
                return Decision(epoch, lowest.epoch, "UP")
        return Decision(None, lowest.epoch)
