"""Describes runs, their events, and the scalars of their keyframes as columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np

from bntui.keyframe import COLUMN, BoolArray, FloatArray, Foreign, IntArray, LayerKind
from bntui.recording.sentences import EventKind, said

Unit = Literal["epoch", "step"]
"""What a cursor counts in; with other batch sizes the same epoch is another step."""


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """One layer of a run's network, as it was built."""

    name: str
    kind: LayerKind | Foreign
    shape: tuple[int, ...]
    """Shape of one sample's output: ``(units,)``, ``(channels, height, width)`` or ``(time steps, units)``."""
    norm: str
    """``none``, ``batch``, ``layer`` or ``group``."""
    activation: str
    """``sigmoid``, ``tanh``, ``relu``, ``leaky_relu``, ``gelu``, ``softsign`` or ``none``."""
    dropout: float
    """Probability of dropping a unit; 0 without dropout."""
    parameters: int
    """Number of trainable parameters in this layer."""
    stages: tuple[str, ...] = ()
    """Kinds of its stages in order, such as ``linear, norm, activation, dropout``; empty in format 1."""
    cell: str = ""
    """``elman``, ``gru`` or ``lstm`` of a recurrent layer."""
    per_step: bool = False
    """A recurrent layer's normalization takes the statistics of each time step by itself."""
    groups: int = 1
    """Groups of group normalization."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a run began that is a fork, and what is different in it."""

    run: int
    """Number of the parent."""
    step: int
    """The fork starts after this step of its parent; its own steps count on from there."""
    epoch: float
    changes: tuple[tuple[str, Any, Any], ...] = ()
    """Key path, value before and value after of each setting that differs, as JSON has them; empty: the same again."""
    kept: tuple[str, ...] = ()
    """Parameters and buffers that were carried over, by name."""
    new: tuple[str, ...] = ()
    """Those that its own configuration drew anew, because the parent has none of that name and shape."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is fixed about a run when it begins."""

    index: int
    name: str
    config: Mapping[str, Any]
    """The resolved configuration, as ``RunConfig.model_dump(mode="json")`` gives it."""
    layers: tuple[LayerInfo, ...]
    steps_per_epoch: int
    device: str
    label: str = ""
    """The run's name in the reader's language; empty where it has none but ``name``."""
    fork: Fork | None = None
    """Where it comes from; None for the scenario's own runs."""

    @property
    def stages(self) -> tuple[tuple[int, str], ...]:
        """Layer's number and kind of every stage of the network, in the order of evidence's ``stage/{at}``."""
        return tuple((number, kind) for number, layer in enumerate(self.layers) for kind in layer.stages)

    @property
    def epochs(self) -> int:
        """Epochs this run is to train."""
        return int(self.config["training"]["epochs"])

    @property
    def early_stopping(self) -> Mapping[str, Any] | None:
        """The early-stopping table of the configuration, if there is one."""
        stopping: Mapping[str, Any] | None = self.config["training"]["early_stopping"]
        return stopping


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a run, at a step."""

    run: int
    step: int
    epoch: float
    kind: EventKind | Foreign
    message: str
    """What happened, in an English sentence: what is recorded is bound to no reader's language."""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Figures in the sentence, by name; empty in format 1."""

    @classmethod
    def of(cls, run: int, step: int, epoch: float, kind: EventKind, sentence: str, /, **arguments: Any) -> Event:
        """An event whose message is one of ``SENTENCES``, with its figures filled in."""
        return cls(run, step, epoch, kind, sentence.format(**arguments), arguments)

    @property
    def text(self) -> str:
        """What happened, in a sentence of the language in use."""
        return said(self.kind, self.message, self.arguments)


@dataclass(frozen=True, slots=True, eq=False)
class RunHistory:
    """Scalars of all keyframes of one run, oldest first; arrays of length K.

    Known by identity: a history never changes, and a new keyframe makes a new one; what is drawn from it can be kept.

    A row without a frame holds an epoch's scalars only (``[record] every`` is a number of steps that
    does not meet the epoch's end): curves show it, the cursor does not stop there.
    """

    ids: IntArray
    step: IntArray
    epoch: FloatArray
    has_frame: BoolArray
    epoch_end: BoolArray
    lr: FloatArray
    batch_loss: FloatArray
    train_loss: FloatArray
    train_accuracy: FloatArray
    val_loss: FloatArray
    val_accuracy: FloatArray
    wall_time: FloatArray
    wait: IntArray
    """Patience counter; 0 without early stopping."""
    best: FloatArray
    """Early stopping's best value; NaN without."""
    best_epoch: IntArray
    layers: FloatArray
    """Per-layer scalars, shape ``(K, layers, len(LAYER_COLUMNS))``; NaN in rows without a frame."""

    unit: ClassVar[Unit] = "epoch"
    """What :attr:`position` counts in."""

    @property
    def position(self) -> FloatArray:
        """Where each row stands on the axis of the cursor, ascending, shape ``(K,)``."""
        return self.epoch

    def __len__(self) -> int:
        return len(self.ids)

    def layer(self, index: int, column: str) -> FloatArray:
        """The course of one per-layer scalar, shape ``(K,)``; ``column`` as in ``LAYER_COLUMNS``."""
        course: FloatArray = self.layers[:, index, COLUMN[column]]
        return course

    def at(self, cursor: float) -> int:
        """Row of the last keyframe with a frame at or before ``cursor``; -1 if there is none."""
        row = int(np.searchsorted(self.position, cursor + 1e-9, side="right")) - 1
        while row >= 0 and not self.has_frame[row]:
            row -= 1
        return row

    def frames(self) -> FloatArray:
        """Positions at which this run has a frame."""
        return self.position[self.has_frame]


@dataclass(frozen=True, slots=True, eq=False)
class StepHistory(RunHistory):
    """The same, its axis in optimizer steps."""

    unit: ClassVar[Unit] = "step"

    @property
    def position(self) -> FloatArray:
        return self.step.astype(np.float64)


def counted(history: RunHistory, unit: Unit) -> RunHistory:
    """The history on an axis of epochs or of steps."""
    if history.unit == unit:
        return history
    columns = {column.name: getattr(history, column.name) for column in fields(RunHistory)}
    return (StepHistory if unit == "step" else RunHistory)(**columns)
