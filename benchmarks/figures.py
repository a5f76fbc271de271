"""Computes figures that show whether a scenario's effect is present: one number per run, as pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from bntui.keyframe import COLUMN
from bntui.recording.history import Event, RunHistory, RunInfo

NAN: Final = math.nan


@dataclass(frozen=True, slots=True)
class Trained:
    """A run of a recording."""

    info: RunInfo
    history: RunHistory
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a run: its heading with unit, its function, and its number of significant decimals."""

    heading: str
    of: Callable[[Trained], float]
    decimals: int = 1


def accuracy(run: Trained) -> float:
    """Validation accuracy at the end of the last epoch, in percent (R² times 100 in regression)."""
    return 100 * float(run.history.val_accuracy[-1])


def loss(run: Trained) -> float:
    """Validation loss at the end of the last epoch; NaN if the run diverged."""
    value = float(run.history.val_loss[-1])
    return value if math.isfinite(value) else NAN


def kept_loss(run: Trained) -> float:
    """Validation loss of the final weights: the best epoch's if early stopping restored them."""
    if any(event.kind == "restored_best" for event in run.events):
        ends = run.history.val_loss[run.history.epoch_end & (run.history.step > 0)]
        return float(ends[int(run.history.best_epoch[-1]) - 1])
    return loss(run)


def gap(run: Trained) -> float:
    """Validation loss minus training loss at the end of the last epoch."""
    return float(run.history.val_loss[-1] - run.history.train_loss[-1])


def epochs(run: Trained) -> float:
    """Epochs trained."""
    return float(run.history.epoch[-1])


def diverged(run: Trained) -> float:
    """100 if the loss became NaN or infinite, else 0, so that the mean over seeds is a percentage."""
    return 100.0 * any(event.kind == "diverged" for event in run.events)


def epochs_to(share: float) -> Callable[[Trained], float]:
    """Epochs until the validation accuracy first reaches ``share``; NaN if it never does."""

    def epochs_needed(run: Trained) -> float:
        reached = np.flatnonzero((run.history.val_accuracy >= share) & (run.history.step > 0))
        return float(run.history.epoch[reached[0]]) if reached.size else NAN

    return epochs_needed


def first_to_last(run: Trained) -> float:
    """log10 of the first-to-last gradient ratio in the first keyframe after keyframe 0."""
    norms = run.history.layers[run.history.has_frame][1, :]
    at = COLUMN["weight_gradient_norm"]
    return _decades(norms[0, at] / norms[-1, at] if norms[-1, at] else NAN)


def first_gradient(run: Trained) -> float:
    """log10 of the norm of the first layer's weight gradient in keyframe 0, before training."""
    return _decades(float(run.history.layer(0, "weight_gradient_norm")[0]))


def largest_gradient(layer: int) -> Callable[[Trained], float]:
    """log10 of the largest norm of a layer's weight gradient in any keyframe."""

    def largest(run: Trained) -> float:
        return _decades(float(np.nanmax(run.history.layer(layer, "weight_gradient_norm"))))

    return largest


def shift(run: Trained) -> float:
    """log10 of ‖G − G′‖₂ of the last hidden layer, averaged over all keyframes after keyframe 0."""
    course = run.history.layer(len(run.info.layers) - 2, "gradient_shift")
    return _decades(float(np.nanmean(course)))


def movement(run: Trained) -> float:
    """Movement of the typical unit of the last hidden layer between keyframes.

    Mean absolute change of its input's median, in units of the mean width of its 15-85 percentile band.
    """
    layer = len(run.info.layers) - 2
    p15, p50, p85 = (run.history.layer(layer, f"unit_p{p}")[run.history.has_frame] for p in (15, 50, 85))
    return float(np.abs(np.diff(p50)).mean() / (p85 - p15).mean())


def cost(run: Trained) -> float:
    """Milliseconds per optimizer step, including the measurements at the ends of epochs."""
    return 1e3 * float(run.history.wall_time[-1] / run.history.step[-1])


def final_rate(run: Trained) -> float:
    """log10 of the last step's learning rate."""
    return _decades(float(run.history.lr[-1]))


def _decades(value: float) -> float:
    return math.log10(value) if value > 0 and math.isfinite(value) else NAN


ACCURACY: Final = Figure("validation accuracy %", accuracy)
LOSS: Final = Figure("validation loss", loss, 3)
KEPT: Final = Figure("validation loss of the weights kept", kept_loss, 3)
RATIO: Final = Figure("first/last gradient, log₁₀", first_to_last, 2)
DIVERGED: Final = Figure("diverged, % of seeds", diverged, 0)
EPOCHS: Final = Figure("epochs trained", epochs)
TO_90: Final = Figure("epochs to 90 %", epochs_to(0.9))

FIGURES: Final[Mapping[str, tuple[Figure, ...]]] = {
    "input-scaling": (ACCURACY, TO_90),
    "vanishing-gradients": (ACCURACY, RATIO),
    "exploding-gradients": (ACCURACY, DIVERGED, Figure("first gradient at the start, log₁₀", first_gradient, 2)),
    "remedies": (ACCURACY, RATIO),
    "batch-normalization": (ACCURACY, TO_90, Figure("typical sigmoid's movement", movement, 3)),
    "learning-rates": (ACCURACY, TO_90, DIVERGED),
    "covariate-shift": (
        ACCURACY, LOSS, Figure("typical unit's movement", movement, 3), Figure("‖G−G′‖₂ last hidden, log₁₀", shift, 2),
    ),
    "small-batches": (ACCURACY, LOSS),
    "zero-variance": (ACCURACY, Figure("first gradient at the start, log₁₀", first_gradient, 2)),
    "zero-variance-recurrent": (ACCURACY, Figure("recurrent layer's largest gradient, log₁₀", largest_gradient(1), 2)),
    "training-and-evaluation": (ACCURACY, LOSS),
    "recurrent": (ACCURACY, TO_90, Figure("ms per step", cost, 2)),
    "dropout-regression": (LOSS, Figure("validation minus training loss", gap, 3)),
    "dropout-rates": (ACCURACY, LOSS, Figure("validation minus training loss", gap, 3)),
    "dropout-before-batch-norm": (LOSS, ACCURACY),
    "early-stopping": (KEPT, EPOCHS),
    "reduce-on-plateau": (LOSS, KEPT, EPOCHS, Figure("last learning rate, log₁₀", final_rate, 2)),
    "convolution": (ACCURACY, TO_90),
    "initialization-in-depth": (ACCURACY, RATIO),
    "fashion-mnist": (ACCURACY, LOSS),
}  # fmt: skip
"""The figures of each built-in scenario."""
