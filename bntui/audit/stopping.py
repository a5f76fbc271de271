"""Recomputes early stopping and the learning rate schedule over a whole run.

Both follow from the figures recorded at each epoch's end and from the configuration.  Keras' rule: each epoch
increments the counter; an improvement over the best value by more than min_delta becomes the new best, and resets the
counter to 0 if it also beats the baseline; training stops when the counter reaches the patience, but never in the
first epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(slots=True)
class Waiting:
    """State of early stopping; ``best`` is NaN and ``best_epoch`` 0 before the first value that counts."""

    best: float = math.nan
    best_epoch: int = 0
    wait: int = 0
    stopped: bool = False

    def see(self, rule: Mapping[str, Any], epoch: int, value: float) -> bool:
        """Record the monitored value at an epoch's end; True if it is the best so far."""
        if epoch <= rule["start_from_epoch"]:
            return False
        mode = rule["mode"]
        upwards = mode == "max" or (mode == "auto" and not rule["monitor"].endswith("loss"))
        sign = 1 if upwards else -1
        margin = abs(rule["min_delta"])

        def beats(reference: float) -> bool:
            return bool(sign * value - margin > sign * reference)

        self.wait += 1
        if not math.isnan(value) and (math.isnan(self.best) or beats(self.best)):
            self.best, self.best_epoch = value, epoch
            if rule["baseline"] is None or beats(rule["baseline"]):
                self.wait = 0
            return True
        self.stopped = epoch > 1 and self.wait >= rule["patience"]
        return False


@dataclass(slots=True)
class Plateau:
    """Reduce on plateau, as in PyTorch's scheduler with mode min, relative threshold, and no cooldown."""

    factor: float = 1.0
    """Product of all reductions; a fork may have changed gamma between two of them."""
    best: float = math.inf
    bad: int = 0

    def see(self, schedule: Mapping[str, Any], val_loss: float) -> None:
        """Record the validation loss at an epoch's end."""
        if val_loss < self.best * (1 - schedule["threshold"]):
            self.best, self.bad = val_loss, 0
            return
        self.bad += 1
        if self.bad > schedule["patience"]:
            self.factor, self.bad = self.factor * schedule["gamma"], 0


@dataclass(frozen=True, slots=True)
class Moment:
    """The point in training for which a learning rate is computed."""

    epoch: int
    """Completed epochs since the warm-up."""
    epochs: int
    """Duration of the schedule in epochs."""
    plateau: Plateau


def _constant(training: Mapping[str, Any], _at: Moment) -> float:
    return float(training["lr"])


def _step(training: Mapping[str, Any], at: Moment) -> float:
    schedule = training["schedule"]
    return float(training["lr"] * schedule["gamma"] ** (at.epoch // schedule["step_size"]))


def _cosine(training: Mapping[str, Any], at: Moment) -> float:
    low, high = training["schedule"]["min_lr"], training["lr"]
    return float(low + (high - low) / 2 * (1 + math.cos(math.pi * at.epoch / at.epochs)))


def _plateau(training: Mapping[str, Any], at: Moment) -> float:
    schedule = training["schedule"]
    return float(max(training["lr"] * at.plateau.factor, schedule["min_lr"]))


SCHEDULES: Final[dict[str, Callable[[Mapping[str, Any], Moment], float]]] = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
    "plateau": _plateau,
}
"""The learning rate of an epoch, for every schedule in the scenario schema."""


def learning_rate(training: Mapping[str, Any], done: float, steps_per_epoch: int, plateau: Plateau) -> float:
    """The learning rate of the step after ``done`` epochs: a linear warm-up, then the schedule."""
    warmup = training["schedule"]["warmup_epochs"]
    if done < warmup - 1e-9:
        # a fork with another batch size may be between two steps, and less than one before the warm-up's end
        return float(training["lr"] * min(1.0, (done * steps_per_epoch + 1) / (warmup * steps_per_epoch)))
    at = Moment(math.floor(done - warmup + 1e-9), max(1, training["epochs"] - warmup), plateau)
    return SCHEDULES[training["schedule"]["kind"]](training, at)
