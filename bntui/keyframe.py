"""What is measured at one optimizer step of one run: frozen dataclasses of NumPy arrays.

Every definition stands here once: population or sample, over which axes, before or after the
update, training or evaluation mode.  The screen's help quotes these docstrings.

Activations, gradients and weights *before the step* belong to the step: they are those of the very
mini-batch that the optimizer used.  Validation figures, early stopping, running statistics and the
digest of the weights *follow* the step.  Keyframe 0 is the initial state: measured on the first
mini-batch, without an update and without side effects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
SingleArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
CountArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]

HISTOGRAM_BINS: Final = 32
MASK_SAMPLES: Final = 64
"""A keyframe keeps the dropout mask of up to this many samples of the mini-batch."""

QUANTITIES: Final = ("input", "pre_norm", "normalized", "output")
"""What is measured of a layer's values; see :class:`LayerMeasures`."""

STATISTICS: Final = ("mean", "std", "p15", "p50", "p85", "min", "max")
"""What is measured of each quantity; see :class:`Distribution`."""

LAYER_SCALARS: Final = (
    "weight_norm",
    "weight_gradient_norm",
    "activation_gradient_norm",
    "update_ratio",
    "dead_fraction",
    "saturated_fraction",
    "kept_fraction",
)

UNIT_STATISTICS: Final = ("unit_p15", "unit_p50", "unit_p85")
"""Percentiles of the input of one unit's activation; see :class:`LayerMeasures`."""

ADDED_SCALARS: Final = (*UNIT_STATISTICS, "gradient_shift")
"""Per-layer scalars that came with format 2 of the recording."""

LAYER_COLUMNS: Final = (*(f"{q}.{s}" for q in QUANTITIES for s in STATISTICS), *LAYER_SCALARS, *ADDED_SCALARS)
"""Columns of the table of per-layer scalars; NaN where a layer has no such figure.

New columns are only ever added at the end: a recording of an older format has the first ones.
"""

COLUMN: Final = {name: index for index, name in enumerate(LAYER_COLUMNS)}


@dataclass(frozen=True, slots=True)
class Distribution:
    """One quantity of one layer over the mini-batch, all features and positions together.

    Computed in float64 from the float32 values of the step.  ``counts`` has ``HISTOGRAM_BINS``
    equal bins from ``min`` to ``max``, the last one closed; values that are not finite are left
    out of the counts and make mean and std NaN or infinite, as they are.
    """

    mean: float
    """Arithmetic mean over batch and features."""
    std: float
    """Population standard deviation (ddof = 0) over batch and features."""
    p15: float
    """15th percentile, linear interpolation."""
    p50: float
    """Median."""
    p85: float
    """85th percentile."""
    min: float
    max: float
    counts: CountArray
    """Histogram, shape ``(HISTOGRAM_BINS,)``."""


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalization of one layer, per feature (channels in a convolution); shapes ``(C,)``.

    ``batch_mean`` and ``batch_var`` (biased, ddof = 0, as used to normalize), ``gamma`` and ``beta``
    belong to the step; the running statistics follow it (PyTorch keeps the unbiased variance there).
    In a recurrent layer these are the input-to-hidden projection's, ``C`` gates times units; with
    statistics per time step, batch and running statistics have shape ``(T, C)``.
    """

    batch_mean: SingleArray
    batch_var: SingleArray
    running_mean: SingleArray
    running_var: SingleArray
    gamma: SingleArray
    beta: SingleArray
    eps: float
    gamma_gradient: SingleArray
    """The loss's gradient with respect to ``gamma``, before clipping, ``(C,)``; NaN in recordings of format 1."""
    beta_gradient: SingleArray
    """The same of ``beta``."""


@dataclass(frozen=True, slots=True)
class DropoutMask:
    """The dropout mask of this step, as drawn: never guessed from zeros."""

    p: float
    """Probability of *dropping* a unit (PyTorch's meaning); kept values are scaled by 1/(1-p)."""
    kept_fraction: float
    """Share of kept units over the whole mask, not only over the samples kept here."""
    kept: BoolArray
    """True where a unit was kept, shape ``(samples, units)``, at most ``MASK_SAMPLES`` samples;
    a convolution's units are its channels times its pixels."""


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Early stopping after this step, with Keras' names and meaning; changes at the end of an epoch."""

    monitor: str
    best: float
    """Best value of the monitor so far; NaN before the first."""
    best_epoch: int
    """Epoch of the best value, counted from 1; 0 before the first."""
    wait: int
    """Epochs since the last improvement: the patience counter."""
    patience: int
    stopped: bool
    reason: str
    """Why it stopped, in a sentence; empty while it has not."""


@dataclass(frozen=True, slots=True)
class LayerMeasures:
    """What was measured of one layer: a block of linear, convolution or recurrent, normalization, activation, dropout.

    Quantities are named by the stage that made them: ``input`` enters the block's linear, convolution or
    input-to-hidden projection; ``pre_norm`` is what that stage gives (the pre-activation); ``normalized`` is what the
    normalization gives, after scale and shift, and noise where the scenario adds it (None without one);
    ``output`` is what the activation gives, before dropout (the same values as ``pre_norm`` in the output layer;
    the hidden states of all time steps in a recurrent layer).
    """

    name: str
    kind: str
    """``linear``, ``conv`` or ``recurrent``."""
    input: Distribution
    pre_norm: Distribution
    normalized: Distribution | None
    output: Distribution
    weight_norm: float
    """Euclidean norm of the weight before the step (without bias)."""
    weight_gradient_norm: float
    """Euclidean norm of the loss's gradient with respect to the weight, before clipping."""
    activation_gradient_norm: float
    """Euclidean norm of the loss's gradient with respect to ``output``, over the whole batch.

    In a recurrent layer that of its hidden states through the layers after it, without what comes back through time.
    """
    update_ratio: float
    """‖Δw‖ / ‖w‖ of the weight: how far the step moved it; NaN in keyframe 0."""
    dead_fraction: float
    """ReLU: share of units that give 0 for every sample of the batch; NaN for other activations."""
    saturated_fraction: float
    """Sigmoid, tanh, softsign: share of values within 1 % of the range's ends; NaN for others."""
    batch_norm: BatchNorm | None
    dropout: DropoutMask | None
    unit_p15: float = float("nan")
    """15th percentile over the mini-batch (and pixels or time steps) of what enters one unit's activation.

    The unit is ``[record] unit`` modulo the layer's units or channels, the same in every keyframe: the typical
    sigmoid of figure 1 in Ioffe and Szegedy, 2015.  Linear interpolation; the layer's output in the output layer;
    in a recurrent layer the input-to-hidden projection of the first gate, normalized where that is asked for.
    NaN where a value is not finite.
    """
    unit_p50: float = float("nan")
    """Its median."""
    unit_p85: float = float("nan")
    """Its 85th percentile."""
    gradient_shift: float = float("nan")
    """‖G − G′‖₂ of Santurkar et al., 2018, definition 2.1: how far the layer's gradient moves under the others' update.

    G is the gradient of this step's loss with respect to the layer's parameters; G′ the same on the same
    mini-batch, masks and noise once the parameters of all *earlier* layers are those after the step.  0 in the
    first layer; NaN in keyframe 0, and unless ``[record] shift`` asks for it.
    """


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the network answers on a grid over its inputs, evaluation mode, after the step.

    Measured where a sample has two features (classification: the decision boundary) or one (regression: the
    fitted curve).  The grid is that of :class:`bntui.recording.dataset.RecordedData`, in raw units.
    """

    values: SingleArray
    """Regression: outputs, shape ``(points, outputs)``.  Classification: probability of the predicted class,
    rounded to half precision, ``(rows, columns)``, the lowest second feature first."""
    classes: NDArray[np.uint8] | None
    """Classification: number of the predicted class, ``(rows, columns)``."""


@dataclass(frozen=True, slots=True)
class Keyframe:
    """All that was measured at one optimizer step of one run."""

    run: int
    """Number of the run in its recording, from 0."""
    step: int
    """Optimizer steps done; 0 is the initial state."""
    epoch: float
    """Epochs done: whole at an epoch's end, with a fraction within one."""
    lr: float
    """Learning rate that the step used."""
    batch_loss: float
    """Mean loss of this step's mini-batch (training mode, before the update)."""
    train_loss: float
    """Mean loss over the epoch's samples so far (running, training mode: Keras' ``loss``)."""
    train_accuracy: float
    """Share of the epoch's samples so far that were classified right, or R² (running)."""
    val_loss: float
    """Mean loss over the validation part, evaluation mode, after the step."""
    val_accuracy: float
    """Share of the validation part that is classified right, or R², evaluation mode, after the step."""
    wall_time: float
    """Seconds of training and measuring since the run began."""
    batch_indices: IntArray
    """The mini-batch's samples as row numbers of the training part, shape ``(batch size,)``."""
    layers: tuple[LayerMeasures, ...]
    early_stopping: EarlyStopping | None
    weights_digest: str
    """Digest of all parameters and buffers after the step, hexadecimal."""
    predictions: Predictions | None = None
