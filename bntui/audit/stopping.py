"""What did early stopping and the learning rate's schedule have to do, over the whole run?

Both follow from what is recorded at each epoch's end, and from the configuration.  Keras' rule: the counter grows by
one each epoch; an improvement over the best (by more than min_delta) becomes the best, and sets the counter to 0 if
it is better than the baseline too; training ends when the counter reaches the patience, never in the first epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(slots=True)
class Waiting:
    """Early stopping's state; ``best`` is NaN and ``best_epoch`` 0 before the first value that counts."""

    best: float = math.nan
    best_epoch: int = 0
    wait: int = 0
    stopped: bool = False

    def see(self, rule: Mapping[str, Any], epoch: int, value: float) -> bool:
        """An epoch ends with this value of the monitor; True where it is the best so far."""
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
    """Reduce on plateau, as PyTorch's scheduler has it: mode min, relative threshold, no cooldown."""

    factor: float = 1.0
    """Product of all drops: a fork may have changed gamma between two of them."""
    best: float = math.inf
    bad: int = 0

    def see(self, schedule: Mapping[str, Any], val_loss: float) -> None:
        """An epoch ends with this validation loss."""
        if val_loss < self.best * (1 - schedule["threshold"]):
            self.best, self.bad = val_loss, 0
            return
        self.bad += 1
        if self.bad > schedule["patience"]:
            self.factor, self.bad = self.factor * schedule["gamma"], 0


@dataclass(frozen=True, slots=True)
class Moment:
    """When a learning rate is asked for."""

    epoch: int
    """Whole epochs since the warm-up."""
    epochs: int
    """Those that the schedule lasts."""
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
"""Every schedule of the scenario's schema: the learning rate of an epoch."""


def learning_rate(training: Mapping[str, Any], done: float, steps_per_epoch: int, plateau: Plateau) -> float:
    """The learning rate of the step after ``done`` epochs: a line up in the warm-up, then the schedule's."""
    warmup = training["schedule"]["warmup_epochs"]
    if done < warmup - 1e-9:
        # a fork with another batch size may stand between two steps, and less than one before the warm-up's end
        return float(training["lr"] * min(1.0, (done * steps_per_epoch + 1) / (warmup * steps_per_epoch)))
    at = Moment(math.floor(done - warmup + 1e-9), max(1, training["epochs"] - warmup), plateau)
    return SCHEDULES[training["schedule"]["kind"]](training, at)
