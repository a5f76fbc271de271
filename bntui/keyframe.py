"""What is measured at one optimizer step of one run: frozen dataclasses of NumPy arrays.

Every definition stands here once: population or sample, over which axes, before or after the
update, training or evaluation mode.  The screen's help quotes these docstrings.

Activations, gradients and weights *before the step* belong to the step: they are those of the very
mini-batch that the optimizer used.  Validation figures, early stopping, running statistics and the
digest of the weights *follow* the step.  Keyframe 0 is the initial state: measured on the first
mini-batch, without an update and without side effects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NewType

from bntui.measures import Kept, declarations, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    SingleArray = NDArray[np.float32]
    IntArray = NDArray[np.int64]
    CountArray = NDArray[np.int32]
    ByteArray = NDArray[np.uint8]
    BoolArray = NDArray[np.bool_]
else:
    # only annotations need these types, and `bntui list` should not wait for NumPy
    FloatArray = SingleArray = IntArray = CountArray = ByteArray = BoolArray = Any

MOST_SEEDS: Final = 64
"""Maximum number of seeds with which a run is trained, its own included."""
HISTOGRAM_BINS: Final = 32
MASK_SAMPLES: Final = 64
"""A keyframe keeps the dropout mask of up to this many samples of the mini-batch."""

OUTPUT: Final = "output"
"""Name of the output layer; it is reserved, and the data determines its size."""
LayerKind = Literal["linear", "conv", "recurrent"]
"""Every kind of layer that this version builds."""
Foreign = NewType("Foreign", str)
"""A word that this version does not know, where it knows some: a newer one recorded it, or a stranger."""

ROW: Final = Kept("row")
LAYERS: Final = Kept("layers")
RUN: Final = Kept("run")
STATISTICS_PER_FEATURE: Final = Kept("block", "statistics", "C or T × C")
AFFINE: Final = Kept("block", "affine", "C")


@dataclass(frozen=True, slots=True)
class Distribution:
    """One quantity of one layer over the mini-batch of this step, training mode, computed in float64 from float32."""

    mean: Annotated[float, LAYERS]
    """Arithmetic mean over the mini-batch and all features (pixels, time steps) together; as NaN or infinite as its
    values."""
    std: Annotated[float, LAYERS]
    """Population standard deviation (ddof = 0) over the mini-batch and all features (pixels, time steps) together."""
    p15: Annotated[float, LAYERS]
    """15th percentile over the mini-batch and all features together, linear interpolation; NaN unless all values are
    finite."""
    p50: Annotated[float, LAYERS]
    """Median over the mini-batch and all features together, linear interpolation; NaN unless all values are finite."""
    p85: Annotated[float, LAYERS]
    """85th percentile over the mini-batch and all features together, linear interpolation; NaN unless all values are
    finite."""
    min: Annotated[float, LAYERS]
    """Smallest value over the mini-batch and all features together; NaN where a value is."""
    max: Annotated[float, LAYERS]
    """Largest value over the mini-batch and all features together; NaN where a value is."""
    counts: Annotated[CountArray, Kept("block", "counts", "bins")]
    """Histogram over the mini-batch and all features together: 32 equal bins from the smallest finite value to the
    largest, the last bin closed; other values are not counted."""

    @property
    def empty(self) -> bool:
        """True if nothing was measured: the smallest of no values is ∞ and the largest −∞, all else is NaN."""
        return self.min > self.max


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalization of one layer, per feature; shapes ``(C,)``.

    In a recurrent layer these are the input-to-hidden projection's, ``C`` gates times units; with
    statistics per time step, batch and running statistics have shape ``(T, C)``.
    """

    batch_mean: Annotated[SingleArray, STATISTICS_PER_FEATURE]
    """Mean over the mini-batch (pixels, time steps), per feature or channel, of what enters the normalization: what
    this step subtracted."""
    batch_var: Annotated[SingleArray, STATISTICS_PER_FEATURE]
    """Biased variance (ddof = 0) over the mini-batch (pixels, time steps), per feature or channel, of what enters the
    normalization: what this step divided by, with ε, under a root."""
    running_mean: Annotated[SingleArray, STATISTICS_PER_FEATURE]
    """Running average of the mini-batches' means, per feature or channel, this step's included; evaluation mode
    subtracts it."""
    running_var: Annotated[SingleArray, STATISTICS_PER_FEATURE]
    """Running average of the mini-batches' unbiased variances (ddof = 1, as in PyTorch), per feature or channel, this
    step's included; evaluation mode divides by it, with ε, under a root."""
    gamma: Annotated[SingleArray, AFFINE]
    """Learned scale γ per feature or channel, as this step used it, before its update."""
    beta: Annotated[SingleArray, AFFINE]
    """Learned shift β per feature or channel, as this step used it, before its update."""
    eps: Annotated[float, Kept("block", "eps")]
    """ε, which is added to the variance before the root is taken."""
    gamma_gradient: Annotated[SingleArray, replace(AFFINE, since=2)]
    """Gradient of the mini-batch's mean loss with respect to γ, per feature or channel, before clipping; NaN in
    recordings of format 1."""
    beta_gradient: Annotated[SingleArray, replace(AFFINE, since=2)]
    """Gradient of the mini-batch's mean loss with respect to β, per feature or channel, before clipping; NaN in
    recordings of format 1."""


@dataclass(frozen=True, slots=True)
class DropoutMask:
    """The dropout mask of this step, as drawn: never guessed from zeros."""

    p: Annotated[float, RUN]
    """Probability of *dropping* a unit in training mode (PyTorch's meaning); kept values are multiplied by 1/(1 −
    p)."""
    kept_fraction: Annotated[float, LAYERS]
    """Kept units over all units, in the mask of the whole mini-batch, of which not every sample need be drawn here."""
    kept: Annotated[BoolArray, Kept("block", "mask", "samples × units")]
    """The mask that this step used: true where a unit was kept, sample by unit, of at most 64 samples; in a convolution
    each pixel of each channel is a unit."""


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Early stopping after this step, with Keras' names and meaning; changes at the end of an epoch."""

    monitor: Annotated[str, RUN]
    """Name of the figure that is watched at the end of each epoch. `val_loss`, `val_accuracy` and `val_r2` are measured
    after the epoch's last update. `loss`, `accuracy` and `r2` are the training figures, as in Keras: running means over
    the epoch's mini-batches, each measured before its own update."""
    best: Annotated[float, ROW]
    """Value of the monitor at the last epoch that improved on the best before it by more than ``min_delta``; NaN before
    the first. Of `loss`, `accuracy` and `r2` it is the running mean over that epoch, not a figure of the weights that
    the epoch ends with, which `restore_best_weights` keeps."""
    best_epoch: Annotated[int, ROW]
    """Epoch that gave the best value, the first one being 1; 0 before there is one. The weights at its end are the best
    weights."""
    wait: Annotated[int, ROW]
    """Patience counter after the epoch: 0 if it improved on the best, and on the baseline where there is one, else one
    more than before; epochs up to ``start_from_epoch`` are not counted."""
    patience: Annotated[int, RUN]
    """An epoch that does not improve on the best and finds the patience counter at this or above ends the run, though
    never the first one. With a `baseline`, an improvement that does not beat the baseline too does not reset the
    counter: the run ends at the first epoch without improvement once so many have passed."""
    stopped: Annotated[bool, ROW]
    """Whether the patience ran out with the epoch that has just ended."""
    reason: Annotated[str, ROW]
    """Why it stopped, in a sentence; empty while it has not."""


@dataclass(frozen=True, slots=True)
class LayerMeasures:
    """What was measured of one layer: a block of linear, convolution or recurrent, normalization, activation, dropout.

    Quantities are named by the stage that made them, and are those of this step, in training mode, before its update.
    """

    name: Annotated[str, RUN]
    """Name of the layer, such as ``linear 1``; layers of the same name and shape begin alike in all runs."""
    kind: Annotated[LayerKind | Foreign, RUN]
    """``linear``, ``conv`` or ``recurrent``."""
    input: Distribution
    """What enters the layer's linear, convolution or input-to-hidden stage in this step: the scaled data in the first
    layer, with noise where the scenario adds it; else what the layer before gives, after pooling and dropout."""
    pre_norm: Distribution
    """What the layer's linear, convolution or input-to-hidden stage gives in this step: the pre-activation, before any
    normalization."""
    normalized: Distribution | None
    """What the layer's normalization gives in this step, scaled by γ and shifted by β, with noise where the scenario
    adds it; there is none without a normalization."""
    output: Distribution
    """What the layer's activation gives in this step, before dropout; the hidden states of all time steps in a
    recurrent layer; the pre-activation in the output layer."""
    weight_norm: Annotated[float, LAYERS]
    """‖w‖₂ of the weight as the step found it, without the bias; in a recurrent layer of the input-to-hidden weight."""
    weight_gradient_norm: Annotated[float, LAYERS]
    """‖∂L/∂w‖₂ for the mini-batch's mean loss, without the bias, before any clipping; in a recurrent layer of the
    input-to-hidden weight."""
    activation_gradient_norm: Annotated[float, LAYERS]
    """‖∂L/∂a‖₂ for the mini-batch's mean loss, over the whole mini-batch, where a is what the activation gives before
    dropout; in a recurrent layer the hidden states, without what comes back to them through time."""
    update_ratio: Annotated[float, LAYERS]
    """‖Δw‖₂ / ‖w‖₂ of the weight, without the bias: how far the step moved it, after clipping, momentum and decay; NaN
    in keyframe 0."""
    dead_fraction: Annotated[float, LAYERS]
    """ReLU: units that give 0 for each sample (pixel, time step) of this mini-batch, over all units; NaN for other
    activations."""
    saturated_fraction: Annotated[float, LAYERS]
    """Sigmoid, tanh, softsign: values of this mini-batch that are nearer to an end of the activation's range than 1 %
    of its width, over all values; NaN for other activations."""
    batch_norm: BatchNorm | None
    """Statistics and parameters of the layer's batch normalization; there are none without one."""
    dropout: DropoutMask | None
    """The mask of the layer's dropout; there is none without dropout."""
    unit_p15: Annotated[float, replace(LAYERS, since=2)] = float("nan")
    """15th percentile over the mini-batch (pixels, time steps) of what enters one unit's activation in this step,
    linear interpolation: the lower line of the typical sigmoid of Ioffe and Szegedy, 2015, figure 1. The unit is
    ``record.unit`` modulo the layer's units or channels; in the output layer its output, in a recurrent layer the first
    gate's projection. NaN unless all values are finite."""
    unit_p50: Annotated[float, replace(LAYERS, since=2)] = float("nan")
    """Median of what enters that unit's activation, over the same values as its 15th percentile."""
    unit_p85: Annotated[float, replace(LAYERS, since=2)] = float("nan")
    """85th percentile of what enters that unit's activation, over the same values as its 15th percentile."""
    gradient_shift: Annotated[float, replace(LAYERS, since=2)] = float("nan")
    """‖G − G′‖₂ of Santurkar et al., 2018, definition 2.1: how far the layer's gradient moves under the others' update.
    G is the gradient of this step's loss with respect to the layer's parameters; G′ the same on the same mini-batch,
    masks and noise once the parameters of all *earlier* layers are those after the step. Always 0 in the first layer;
    NaN in keyframe 0, and unless ``record.shift`` asks for it."""

    @property
    def uncalled(self) -> bool:
        """True if nothing was measured of the layer, since the step of a watched loop did not call it."""
        unmeasured = self.input.empty and self.pre_norm.empty and self.output.empty
        return unmeasured and self.weight_gradient_norm != self.weight_gradient_norm


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the network answers on a grid over its inputs, evaluation mode, after the step.

    Measured where a sample has two features (classification: the decision boundary) or one (regression: the
    fitted curve).  The grid is that of :class:`bntui.recording.dataset.RecordedData`, in raw units.
    """

    values: Annotated[SingleArray, Kept("block", "predictions", "rows × columns or points × outputs", since=2)]
    """What the network answers at each point of a grid over its inputs, in evaluation mode, after the update: outputs
    in a regression, ``(points, outputs)``; in a classification the probability of the class that it answers with, in
    half precision, ``(rows, columns)``, the lowest second feature first."""
    classes: Annotated[ByteArray | None, Kept("block", "predicted_classes", "rows × columns", since=2)]
    """Number of the class with the largest logit at each point of that grid, the lowest of equals, ``(rows, columns)``;
    none in a regression. The first recordings hold the argmax of the float32 softmax, where logits that differ by less
    than 1e-7 may tie."""


@dataclass(frozen=True, slots=True)
class Keyframe:
    """All that was measured at one optimizer step of one run."""

    run: Annotated[int, Kept("row", json="run_number")]
    """Number of the run in its recording, from 0."""
    step: Annotated[int, ROW]
    """Optimizer steps done; none in the initial state, which is keyframe 0."""
    epoch: Annotated[float, ROW]
    """Epochs done: whole at an epoch's end, with a fraction within one."""
    lr: Annotated[float, ROW]
    """Learning rate that the step used."""
    batch_loss: Annotated[float, ROW]
    """Loss of this step's mini-batch, mean over its samples, training mode, before the update."""
    train_loss: Annotated[float, ROW]
    """Loss of the epoch's samples so far, mean over samples, each measured in training mode before the update of its
    own mini-batch: Keras' ``loss``. In a recorded loop of your own, the mean of the losses that it has reported in the
    epoch so far."""
    train_accuracy: Annotated[float, ROW]
    """Share of the epoch's samples so far that were classified right, each in training mode before the update of its
    own mini-batch; in a regression R², the mean over outputs."""
    val_loss: Annotated[float, ROW]
    """Loss of all samples of the validation part, mean over samples, after the update; evaluation mode, or training
    mode where ``training.validation_mode`` says so."""
    val_accuracy: Annotated[float, ROW]
    """Share of all samples of the validation part that is classified right after the update, in the mode of the
    validation loss; in a regression R², the mean over outputs."""
    wall_time: Annotated[float, ROW]
    """Seconds of training and measuring since the run began."""
    batch_indices: Annotated[IntArray, Kept("block", "batch_indices", "batch size", json="batch.indices")]
    """The mini-batch of this step as row numbers of the training part, ``(batch size,)``."""
    layers: tuple[LayerMeasures, ...]
    """What was measured of each layer, from the first to the output layer; empty at an epoch's end without a
    keyframe."""
    early_stopping: EarlyStopping | None
    """The state of early stopping after this step; none where the run has no early stopping."""
    weights_digest: Annotated[str, ROW]
    """Digest of all parameters and buffers after the step, hexadecimal."""
    predictions: Predictions | None = None
    """The network's answers on a grid; none unless samples have two features, or one in a regression."""
    gradient_scale: Annotated[float, replace(ROW, since=6)] = float("nan")
    """What a gradient scaler of mixed precision, such as PyTorch's ``GradScaler``, multiplied the step's loss by; the
    gradients here are without it. NaN without a scaler."""


MEASURES: Final = tuple(table(Keyframe))
"""The table of measures: every field of a keyframe and of its parts, in declaration order."""

QUANTITIES: Final = tuple(one.field for one in declarations(LayerMeasures) if one.type is Distribution)
"""What is measured of a layer's values; see :class:`LayerMeasures`."""

STATISTICS: Final = tuple(one.field for one in declarations(Distribution) if one.kept.place == "layers")
"""What is measured of each quantity; see :class:`Distribution`."""

UNIT_STATISTICS: Final = tuple(one.field for one in declarations(LayerMeasures) if one.field.startswith("unit_"))
"""Percentiles of the input of one unit's activation; see :class:`LayerMeasures`."""

COLUMN_FORMATS: Final = {
    ".".join(one.path[1:]): one.declared.kept.since
    for one in sorted(MEASURES, key=lambda one: one.declared.kept.since)
    if one.declared.kept.place == "layers"
}
"""Columns of the table of per-layer scalars, and the recording format that introduced each.

Sorted by format: a recording of an older format has the first columns.
"""

LAYER_COLUMNS: Final = tuple(COLUMN_FORMATS)
"""Columns of the table of per-layer scalars, such as ``input.mean``; NaN where a layer has no such figure."""

COLUMN: Final = {name: index for index, name in enumerate(LAYER_COLUMNS)}
