"""Defines the scenario file as pydantic models, which validate it, document it, and provide its JSON Schema.

Every field has a description with its unit, if any, and bounds.  Defaults are PyTorch's or Keras'.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from bntui.scenario.activations import ActivationName
from bntui.scenario.claim import Claim
from bntui.scenario.claim_texts import MAX_CLAIMS
from bntui.scenario.fields import Line, Prose, Table, refusal, single_line
from bntui.scenario.sources import BUILTIN_DATA, kind_of
from bntui.scenario.study import Study
from bntui.scenario.tour import MAX_STOPS, TourStop, TranslatedStop
from bntui.scenario.view import View
from bntui.text.language import _

Norm = Literal["none", "batch", "layer", "group"]

INITIALIZATIONS = ("default", "zeros", "xavier", "xavier_normal", "he", "he_normal", "lecun", "orthogonal")
MAX_RUNS: Final = 12
MAX_LAYERS: Final = 256


def _initialization(value: str) -> str:
    name, _colon, number = value.partition(":")
    if name in ("normal", "uniform"):
        if re.fullmatch(r"\d*\.?\d+([eE][+-]?\d+)?", number) and 0 < float(number) < math.inf:
            return value
        sentence = _("{name} needs a scale above 0 after a colon, such as '{name}:0.1'")
        raise refusal(sentence.format(name=name))
    if value not in INITIALIZATIONS:
        allowed = (*INITIALIZATIONS, "normal:0.1", "uniform:0.1")
        names = ", ".join((*INITIALIZATIONS, "normal:σ", "uniform:limit"))
        raise refusal(_("allowed: {names}").format(names=names), allowed=allowed)
    return value


def _source(value: str) -> str:
    if kind_of(value) is not None:
        return single_line(value)
    sentence = _(
        "allowed: {names}, or a path ending in .csv, .tsv, .tab, .txt, .dat, .data (tables), .npz, or -ubyte,"
        " -ubyte.gz, .idx, .idx.gz (IDX files)"
    )
    raise refusal(sentence.format(names=", ".join(BUILTIN_DATA)), allowed=BUILTIN_DATA)


def _delimiter(value: str) -> str:
    if len(value) == 1 and (value == "\t" or value.isprintable()) and not (value.isalnum() or value in "\"'.-+#"):
        return value
    raise refusal(_("must be one character such as , ; | \\t or a space"))


def _device(value: str) -> str:
    if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
        return value
    names = "auto, cpu, cuda, cuda:N, mps"
    raise refusal(_("allowed: {names}").format(names=names), allowed=("auto", "cpu", "cuda", "cuda:0", "mps"))


Initialization = Annotated[str, AfterValidator(_initialization)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class Data(Table):
    """``[data]``: the data that the networks learn from."""

    source: Annotated[str, AfterValidator(_source)] = Field(
        description="A built-in name, or the path of a table (.csv, .tsv, .txt, ...), an .npz file, or an IDX file"
        " (images), relative to the scenario file."
    )
    labels: Line | None = Field(
        None,
        description="IDX files: path of the labels file. Default: the name of the images file with labels-idx1 in it.",
    )
    target: Line | None = Field(
        None,
        description="Tables: name of the target column. Default: the last one. NPZ: name of the target array."
        " Default: y, y_train, target, labels, and the like.",
    )
    task: Literal["auto", "classification", "regression"] = Field(
        "auto",
        description="auto: a target of words means classification, as do whole numbers that look like codes: at most 20"
        " distinct values that occur twice on average, or 0, 1, 2, ... without gaps. Other numbers mean"
        " regression.",
    )
    delimiter: Annotated[str, AfterValidator(_delimiter)] | None = Field(
        None, description="Tables: the delimiter between cells; a space means any whitespace. Default: detected."
    )
    header: bool | None = Field(None, description="Tables: whether the first row names the columns. Default: detected.")
    decimal: Literal[".", ","] | None = Field(None, description="Tables: the decimal mark. Default: detected.")
    drop: tuple[Line, ...] = Field(
        (), max_length=10_000, description="Tables: names of columns to leave out; without a header, column 1, ..."
    )
    features: tuple[Line, ...] | None = Field(
        None,
        min_length=1,
        max_length=200_000,
        description="Tables: names of the feature columns, in order. Default: all but the target. NPZ: name of the"
        " array of samples. Default: x, x_train, data, images, and the like.",
    )
    samples: int | None = Field(
        None,
        ge=4,
        le=1_000_000,
        description="Generated data: number of samples. Files: use only this many samples from the beginning.",
    )
    noise: float | None = Field(
        None, ge=0, description="Generated data: standard deviation of the Gaussian noise, in units of the data."
    )
    scaling: Literal["none", "minmax", "standard"] = Field(
        "none", description="Feature scaling, fitted on the training part only: (x-min)/(max-min), or z-scores."
    )
    validation: float = Field(0.2, gt=0, lt=1, description="Fraction of the samples held out for validation.")
    factor: float = Field(
        1.0,
        gt=0,
        description="Multiplies the raw values before scaling; 15.9375 maps digits from 0-16 to MNIST's 0-255.",
    )
    sequence: Literal["none", "rows", "pixels"] = Field(
        "none",
        description="For recurrent layers: treat a sample as a sequence of its image's rows, or of its pixels.",
    )
    input_noise: float = Field(
        0.0,
        ge=0,
        description="Standard deviation of Gaussian noise added to the scaled inputs, drawn anew in every training"
        " step.",
    )
    batch_size: int = Field(32, ge=1, description="Samples per mini-batch.")
    last_batch: Literal["first", "keep", "drop"] = Field(
        "first",
        description="Samples that fill no mini-batch: first makes them the epoch's first mini-batch, keep its last one,"
        " drop leaves them out.",
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Data:
        if self.drop and self.features is not None:
            raise refusal(_("use drop or features, not both"), keys=("drop", "features"))
        return self


class _Block(Table):
    """One ``[[network.layer]]``: linear or convolution, then norm, activation, dropout."""

    name: Line | None = Field(None, description="Name of the layer. Default: its kind and number.")
    norm: Norm | None = Field(None, description="Normalization. Default: the network's.")
    activation: ActivationName | None = Field(None, description="Activation function. Default: the network's.")
    dropout: Rate | None = Field(None, description="Probability of dropping a unit. Default: the network's.")
    init: Initialization | None = Field(None, description="Weight initialization. Default: the network's.")


class LinearLayer(_Block):
    """A fully connected (dense) layer."""

    type: Literal["linear"] = Field(description="Kind of layer.")
    units: int = Field(ge=1, le=65_536, description="Number of units.")


class ConvLayer(_Block):
    """A two-dimensional convolution with optional max pooling after its activation."""

    type: Literal["conv"] = Field(description="Kind of layer.")
    channels: int = Field(ge=1, le=4096, description="Number of output channels.")
    kernel: int = Field(3, ge=1, le=31, description="Height and width of the kernel, in pixels.")
    stride: int = Field(1, ge=1, le=16, description="Step of the kernel, in pixels.")
    padding: Annotated[int, Field(ge=0, le=1024)] | Literal["same"] = Field(
        "same", description="Zero padding around the image, in pixels; same keeps the image's size."
    )
    pool: int = Field(1, ge=1, le=16, description="Side of the max pooling window, in pixels; 1 disables pooling.")

    @model_validator(mode="after")
    def _padding(self) -> ConvLayer:
        if self.padding == "same" and self.stride != 1:
            sentence = _("padding 'same' needs stride 1; give the padding in pixels")
            raise refusal(sentence, keys=("stride", "padding"))
        if self.padding == "same" and self.kernel % 2 == 0:
            sentence = _("padding 'same' needs an odd kernel; give the padding in pixels")
            raise refusal(sentence, keys=("kernel", "padding"))
        return self


class RecurrentLayer(_Block):
    """A recurrent layer over a sequence; a following layer that is not recurrent takes its last time step."""

    type: Literal["recurrent"] = Field(description="Kind of layer.")
    units: int = Field(ge=1, le=65_536, description="Number of hidden units.")
    cell: Literal["elman", "gru", "lstm"] = Field(
        "elman", description="Kind of cell; the activation function applies to elman only, gru and lstm have their own."
    )


Layer = Annotated[LinearLayer | ConvLayer | RecurrentLayer, Field(discriminator="type")]


class Network(Table):
    """``[network]``: hidden layers; the output layer follows from the data."""

    hidden: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] | None = Field(
        None,
        max_length=MAX_LAYERS,
        description="Shorthand: units of each fully connected hidden layer, such as [100, 100, 100].",
    )
    layer: tuple[Layer, ...] | None = Field(
        None, max_length=MAX_LAYERS, description="Hidden layers as tables, instead of the shorthand."
    )
    activation: ActivationName = Field("relu", description="Activation function of the hidden layers.")
    norm: Norm = Field("none", description="Normalization in the hidden layers.")
    norm_position: Literal["before_activation", "after_activation"] = Field(
        "before_activation", description="Position of the normalization in a block."
    )
    groups: int = Field(
        8, ge=1, description="Number of groups of group normalization; must divide the number of units or channels."
    )
    norm_momentum: float = Field(
        0.1, gt=0, le=1, description="Batch normalization: weight of the new value in the running statistics (PyTorch)."
    )
    norm_eps: float = Field(1e-5, gt=0, description="Added to the variance in every normalization: epsilon.")
    norm_gamma: float = Field(1.0, description="Initial scale (gamma) of every normalization; beta starts at 0.")
    norm_noise: float = Field(
        0.0,
        ge=0,
        description="Noise after batch normalization as in Santurkar et al., drawn anew in every training step: mean"
        " within ± this, standard deviation between 1 and 1 + half of this, per unit, with slight variation per"
        " sample.",
    )
    norm_recurrent: Literal["input", "step"] = Field(
        "input",
        description="Recurrent layers: normalize input-to-hidden over batch and time, or input-to-hidden and "
        "hidden-to-hidden with statistics of each time step.",
    )
    dropout: Rate = Field(0.0, description="Probability of dropping a unit after each hidden layer (PyTorch's p).")
    init: Initialization = Field(
        "default", description="Weight initialization: default (PyTorch's), normal:σ, uniform:limit, xavier, he, ..."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Network:
        if self.hidden is not None and self.layer is not None:
            raise refusal(_("use hidden = [...] or [[network.layer]] tables, not both"), keys=("hidden", "layer"))
        return self


class Schedule(Table):
    """``[training.schedule]``: how the learning rate changes from epoch to epoch."""

    kind: Literal["constant", "step", "cosine", "plateau"] = Field("constant", description="Kind of schedule.")
    step_size: int = Field(10, ge=1, description="step: epochs between two reductions.")
    gamma: float = Field(0.1, gt=0, lt=1, description="step, plateau: factor of each reduction.")
    min_lr: float = Field(0.0, ge=0, description="cosine, plateau: the learning rate never falls below this.")
    patience: int = Field(10, ge=0, description="plateau: epochs without a better validation loss before a reduction.")
    threshold: float = Field(1e-4, ge=0, description="plateau: smallest relative improvement that counts.")
    warmup_epochs: int = Field(
        0, ge=0, description="Epochs over which the learning rate rises linearly from 0 to lr, step by step."
    )


class EarlyStoppingRule(Table):
    """``[training.early_stopping]``: early stopping, with the names and meaning of Keras' EarlyStopping."""

    monitor: Literal["val_loss", "val_accuracy", "loss", "accuracy", "val_r2", "r2"] = Field(
        "val_loss",
        description="Figure monitored at the end of each epoch. val_ figures are measured after the epoch's last"
        " update; loss, accuracy, and r2 are running means over its mini-batches, each before its own update, as in"
        " Keras.",
    )
    min_delta: float = Field(0.0, description="Smallest change that counts as an improvement (absolute value is used).")
    patience: int = Field(0, ge=0, description="Epochs without improvement after which training stops.")
    mode: Literal["auto", "min", "max"] = Field(
        "auto", description="Whether smaller or larger is better; auto decides by the name."
    )
    baseline: float | None = Field(None, description="Value that an improvement must also beat to reset the counter.")
    restore_best_weights: bool = Field(
        False, description="Restore the weights from the end of the best epoch; without one, the last are kept."
    )
    start_from_epoch: int = Field(0, ge=0, description="Epochs to wait before monitoring begins.")


class Training(Table):
    """``[training]``: optimizer, learning rate, length."""

    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = Field(
        "sgd", description="Optimizer, as defined by PyTorch."
    )
    lr: float = Field(0.01, ge=0, description="Learning rate.")
    momentum: Rate = Field(0.0, description="sgd, rmsprop: momentum.")
    nesterov: bool = Field(False, description="sgd: Nesterov momentum; needs momentum above 0.")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty (decoupled in adamw).")
    betas: tuple[Rate, Rate] = Field((0.9, 0.999), description="adam, adamw: decay of the two running averages.")
    alpha: Rate = Field(0.99, description="rmsprop: smoothing constant.")
    clip_norm: float | None = Field(None, gt=0, description="Clip the gradient's total norm to this value.")
    clip_value: float | None = Field(None, gt=0, description="Clip each component of the gradient to ± this value.")
    epochs: int = Field(20, ge=1, le=1_000_000, description="Epochs to train.")
    validation_mode: Literal["evaluation", "training"] = Field(
        "evaluation",
        description="training: validate with batch statistics and dropout, as if eval() had been forgotten.",
    )
    validation_batch: int | None = Field(
        None,
        ge=1,
        description="Samples per mini-batch in validation, if its mode is training. Default: batch_size.",
    )
    engine: Literal["explicit", "autograd"] = Field(
        "explicit",
        description="How gradients are computed: explicit uses formulas written out for each kind of layer, which is"
        " faster; autograd uses PyTorch's. Networks with recurrent layers always use autograd.",
    )
    schedule: Schedule = Field(Schedule(), description="Learning-rate schedule.")
    early_stopping: EarlyStoppingRule | None = Field(None, description="Early stopping; disabled without this table.")

    @model_validator(mode="after")
    def _fits(self) -> Training:
        if self.schedule.min_lr > self.lr:
            raise refusal(_("schedule.min_lr must not be above lr"), keys=("schedule", "lr"))
        if self.nesterov and (self.optimizer != "sgd" or self.momentum == 0):
            keys = ("nesterov", "momentum", "optimizer")
            raise refusal(_("Nesterov momentum needs optimizer = 'sgd' and a momentum above 0"), keys=keys)
        if self.momentum and self.optimizer in ("adam", "adamw"):
            sentence = _("momentum applies only to sgd and rmsprop; {optimizer} has betas")
            raise refusal(sentence.format(optimizer=self.optimizer), keys=("momentum", "optimizer"))
        return self


class Record(Table):
    """``[record]``: when to record a keyframe, and how much evidence to keep."""

    every: Annotated[int, Field(ge=1)] | Literal["epoch"] = Field(
        "epoch", description="'epoch' (its last step), or a number of steps."
    )
    budget: float = Field(
        64.0, ge=0, description="Size of the evidence kept (parameters, optimizer state, values), in MB (10⁶ bytes)."
    )
    shift: bool = Field(
        False,
        description="Measure how far each layer's gradient moves when earlier layers are updated; costs one step per"
        " layer.",
    )
    unit: int = Field(
        0,
        ge=0,
        description="Unit or channel of each layer (modulo its size) whose pre-activation is recorded separately.",
    )


Device = Annotated[str, AfterValidator(_device)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
DEVICE_HELP: Final = "auto (CUDA if available, otherwise CPU), cpu, cuda, cuda:N, or mps."
SEED_HELP: Final = "Seed of all random numbers."
DETERMINISTIC_HELP: Final = (
    "CUDA: use algorithms that give the same bits every time, at some cost; on the CPU this is always the case."
)


class RunConfig(Table):
    """One run, resolved: the scenario with the run's ``set`` and the command line's ``--set`` merged in."""

    data: Data = Field(description="What the networks learn from.")
    network: Network = Field(description="Hidden layers; the output layer follows from the data.")
    training: Training = Field(description="Optimizer, learning rate, length.")
    record: Record = Field(description="When to record a keyframe.")
    device: Device = Field("auto", description=DEVICE_HELP)
    deterministic: bool = Field(True, description=DETERMINISTIC_HELP)
    seed: Seed = Field(0, description=SEED_HELP)


class RunTable(Table):
    """``[[run]]``: one of the networks trained side by side, and what differs in it."""

    name: Line = Field(description="Name of the run, shown in every panel; must be unique.")
    set: dict[str, Any] = Field(
        {},
        description="Differences from the tables above, with the same key paths; tables are merged recursively, lists"
        " are replaced.",
    )


class Translation(Table):
    """``[translation.ko]``: the scenario's texts in another language."""

    title: Line = Field(description="Title, one line.")
    description: Prose = Field("", description="What the scenario shows, in a few sentences.")
    look_for: Prose | tuple[Prose, ...] = Field((), description="What to look at on the screen.")
    reference: Prose = Field("", description="Source of the experiment or method. Default: the text above.")
    runs: dict[str, Line] = Field({}, description="Names of the runs: a table from each name above to its translation.")
    tour: tuple[TranslatedStop, ...] = Field((), max_length=MAX_STOPS, description="The texts of all stops, in order.")
    claim: tuple[Line, ...] = Field((), max_length=MAX_CLAIMS, description="The sentences of all claims, in order.")
    of: Line | None = Field(None, description="Checksum of the translated text; the tests compare it.")


class ScenarioFile(Table):
    """A scenario file: what to train, in one or more runs, and what to look for."""

    title: Line = Field(description="Title, one line.")
    description: Prose = Field("", description="What the scenario shows, in a few sentences.")
    look_for: Prose | tuple[Prose, ...] = Field(
        (), description="What to look at on the screen: a text or a list of them."
    )
    reference: Prose = Field("", description="Source of the experiment or method.")
    lesson: int | None = Field(
        None, ge=1, description="Position in the gallery; scenarios without one come last, by name."
    )
    view: View = Field(View(), description="What the screen shows when the scenario or a recording of it is opened.")
    tour: tuple[TourStop, ...] = Field((), max_length=MAX_STOPS, description="Stops of a guided tour, in order.")
    claim: tuple[Claim, ...] = Field(
        (), max_length=MAX_CLAIMS, description="What is claimed about the runs; bntui verify tests it over seeds."
    )
    study: Study = Field(Study(), description="The same runs with other seeds.")
    translation: dict[Literal["ko"], Translation] = Field({}, description="The texts in other languages.")
    seed: Seed = Field(0, description=SEED_HELP)
    device: Device = Field("auto", description=DEVICE_HELP)
    deterministic: bool = Field(True, description=DETERMINISTIC_HELP)
    data: Data = Field(description="What the networks learn from; the same in all runs.")
    network: Network = Field(Network(), description="Hidden layers; may be given in the runs' set instead.")
    training: Training = Field(Training(), description="Optimizer, learning rate, length.")
    record: Record = Field(Record(), description="When to record a keyframe.")
    run: tuple[RunTable, ...] = Field(
        (), max_length=MAX_RUNS, description=f"The runs, at most {MAX_RUNS}. Default: a single run."
    )


def json_schema() -> dict[str, Any]:
    """JSON Schema of a scenario file, for editors; its descriptions in the language in use."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | ScenarioFile.model_json_schema()
    translated: dict[str, Any] = _translated(schema)
    return translated


def _translated(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _(value) if key == "description" and isinstance(value, str) else _translated(value)
            for key, value in node.items()
        }
    return [_translated(value) for value in node] if isinstance(node, list) else node
