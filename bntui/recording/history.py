"""Describes runs, their events, and the scalars of their keyframes as columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, Literal

import numpy as np

from bntui.keyframe import COLUMN, BoolArray, FloatArray, Foreign, IntArray, LayerKind
from bntui.recording.forms import WATCHED
from bntui.recording.kept import remembered, succeeds
from bntui.recording.sentences import EventKind, said

SAME_EPOCH: Final = 1e-9
"""Epochs closer to each other than this are the same, whatever batch sizes led there."""

Unit = Literal["epoch", "step"]
"""The unit of a cursor; with different batch sizes, the same epoch is a different step."""


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """One layer of a run's network."""

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
    """The normalization of a recurrent layer has separate statistics for each time step."""
    groups: int = 1
    """Groups of group normalization."""
    absent: tuple[str, ...] = ()
    """Fields of its measures that a watched loop never reports, and that are NaN for this reason only."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a forked run starts, and how it differs from its parent."""

    run: int
    """Number of the parent."""
    step: int
    """The fork starts after this step of its parent, and continues its numbering."""
    epoch: float
    changes: tuple[tuple[str, Any, Any], ...] = ()
    """Key path, old value and new value of each changed setting, as in JSON; empty if the run is repeated
    unchanged."""
    kept: tuple[str, ...] = ()
    """Names of the parameters and buffers copied from the parent."""
    new: tuple[str, ...] = ()
    """Names of those initialized anew, because the parent has none with that name and shape."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is fixed about a run when it begins."""

    index: int
    name: str
    config: Mapping[str, Any]
    """The resolved configuration, as ``RunConfig.model_dump(mode="json")`` gives it; of a watched run what is known of
    it (``forms.TOLD``).  Ask the properties and :meth:`setting`, which answer for both."""
    layers: tuple[LayerInfo, ...]
    steps_per_epoch: int
    device: str
    label: str = ""
    """The run's name in the user's language; empty if it has only ``name``."""
    fork: Fork | None = None
    """None for the scenario's own runs."""

    @property
    def called(self) -> str:
        """Its name for people: in their language, if it has one there."""
        return self.label or self.name

    @property
    def stages(self) -> tuple[tuple[int, str], ...]:
        """Layer number and kind of every stage of the network, in the order of the evidence's ``stage/{at}``."""
        return tuple((number, kind) for number, layer in enumerate(self.layers) for kind in layer.stages)

    @property
    def watched(self) -> bool:
        """True if somebody's own training loop was recorded: there is neither a scenario nor a configuration."""
        return WATCHED in self.config

    @property
    def told(self) -> Mapping[str, Any]:
        """What is known of a watched run, see ``forms.TOLD``; nothing of a scenario's run."""
        found: Mapping[str, Any] = self.config.get(WATCHED, {})
        return found

    def setting(self, table: str, key: str, default: Any = None) -> Any:
        """A setting of the configuration, such as ``network`` and ``norm_momentum``.

        The default if the recording is older than the setting, or the run is watched.
        """
        return self.config.get(table, {}).get(key, default)

    @property
    def epochs(self) -> int:
        """Number of epochs that are planned; 0 if that is not known of a watched run."""
        return int(self.told.get("epochs") or 0) if self.watched else int(self.config["training"]["epochs"])

    @property
    def batch_size(self) -> int:
        """Number of samples of a full mini-batch; 0 if that is not known of a watched run."""
        return int(self.told.get("batch_size") or 0) if self.watched else int(self.config["data"]["batch_size"])

    @property
    def early_stopping(self) -> Mapping[str, Any] | None:
        """The table of early stopping; None without early stopping."""
        if self.watched:
            told = self.told.get("early_stopping")
            return None if told is None else {**_UNTOLD, **told}
        stopping: Mapping[str, Any] | None = self.config["training"]["early_stopping"]
        return stopping


_UNTOLD: Final[Mapping[str, Any]] = {
    "min_delta": 0.0, "mode": "auto", "baseline": None, "restore_best_weights": False, "start_from_epoch": 0,
}  # fmt: skip
"""What early stopping does in Keras, and in a watched run, unless it is said."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a run at a step."""

    run: int
    step: int
    epoch: float
    kind: EventKind | Foreign
    message: str
    """What happened, in an English sentence; recordings do not depend on the user's language."""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The figures in the sentence, by name; empty in format 1."""

    @classmethod
    def of(cls, run: int, step: int, epoch: float, kind: EventKind, sentence: str, /, **arguments: Any) -> Event:
        """An event whose message is one of ``SENTENCES`` with its figures filled in."""
        return cls(run, step, epoch, kind, sentence.format(**arguments), arguments)

    @property
    def text(self) -> str:
        """What happened, in a sentence in the current language."""
        return said(self.kind, self.message, self.arguments)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class RunHistory:
    """Scalars of all keyframes of one run, oldest first; arrays of length K.

    Compared by identity: a history never changes, and a new keyframe gives a new history; see ``kept.py`` for what is
    kept of it.

    A row without a frame has only an epoch's scalars, because ``[record] every`` is a number of steps that does not
    divide the epoch.  Curves show the row; the cursor does not stop there.
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
    """Best value of early stopping's monitor; NaN without early stopping."""
    best_epoch: IntArray
    layers: FloatArray
    """Per-layer scalars, shape ``(K, layers, len(LAYER_COLUMNS))``; NaN in rows without a frame."""

    unit: ClassVar[Unit] = "epoch"
    """The unit of :attr:`position`."""

    @property
    def position(self) -> FloatArray:
        """Position of each row on the cursor's axis, ascending, shape ``(K,)``."""
        return self.epoch

    def __len__(self) -> int:
        return len(self.ids)

    def layer(self, index: int, column: str) -> FloatArray:
        """One per-layer scalar over time, shape ``(K,)``; ``column`` is one of ``LAYER_COLUMNS``."""
        course: FloatArray = self.layers[:, index, COLUMN[column]]
        return course

    def at(self, cursor: float) -> int:
        """The last row with a frame at or before ``cursor``; -1 if there is none."""
        row = int(np.searchsorted(self.position, cursor + SAME_EPOCH, side="right")) - 1
        while row >= 0 and not self.has_frame[row]:
            row -= 1
        return row

    @property
    def frame_rows(self) -> IntArray:
        """The rows that have a frame, ascending."""
        return _frame_rows(self)

    def frames(self) -> FloatArray:
        """Positions of the rows that have a frame."""
        return _frames(self)


@dataclass(frozen=True, slots=True, eq=False)
class StepHistory(RunHistory):
    """A history with its axis in optimizer steps."""

    unit: ClassVar[Unit] = "step"

    @property
    def position(self) -> FloatArray:
        return _steps(self)


@remembered
def _steps(history: RunHistory) -> FloatArray:
    return history.step.astype(np.float64)


@remembered
def _frame_rows(history: RunHistory) -> IntArray:
    rows: IntArray = np.flatnonzero(history.has_frame)
    return rows


@remembered
def _frames(history: RunHistory) -> FloatArray:
    return history.position if history.has_frame.all() else history.position[history.frame_rows]


def counted(history: RunHistory, unit: Unit) -> RunHistory:
    """The history on an axis of epochs or of steps."""
    return history if history.unit == unit else _counted(history, unit)


@remembered
def _counted(history: RunHistory, unit: Unit) -> RunHistory:
    columns = {column.name: getattr(history, column.name) for column in fields(RunHistory)}
    return succeeds((StepHistory if unit == "step" else RunHistory)(**columns), history)
