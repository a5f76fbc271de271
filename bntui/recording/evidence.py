"""Declares the evidence of a step: the arrays that a recording keeps of it, and their names in the block."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bntui.errors import RecordingError
from bntui.recording.arrays import Arrays, Shape, matches, unfit
from bntui.recording.codec import digest, metadata_of, pack_arrays
from bntui.recording.history import LayerInfo
from bntui.recording.tables import rows
from bntui.text.language import _

Values = NDArray[Any]
Key = TypeVar("Key", bound=Hashable)


class Average(NamedTuple):
    """The key of an array of optimizer state: a parameter, and one of its running averages."""

    parameter: str
    name: str
    """PyTorch's name: ``exp_avg``, ``step``, …"""

    def __str__(self) -> str:
        return f"{self.parameter}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Average:
        """The inverse of :meth:`__str__`."""
        parameter, _slash, name = text.rpartition("/")
        return cls(parameter, name)


def _place(text: str) -> int:
    """The index of a stage in the network; -1, which is no stage, unless the text is a canonical decimal number."""
    return int(text) if text.isascii() and text.isdigit() and str(int(text)) == text else -1


@dataclass(frozen=True, slots=True)
class ArrayNames(Generic[Key]):
    """Names of the arrays of one kind of evidence: a prefix, a slash, and a key."""

    prefix: str
    parse: Callable[[str], Key]
    """Parses the key from the text after the slash."""

    def name(self, key: Key) -> str:
        """The name of an array in the block."""
        return f"{self.prefix}/{key}"


BEFORE: Final = ArrayNames("before", str)
OPTIMIZER: Final = ArrayNames("optimizer", Average.parse)
STAGE: Final = ArrayNames("stage", _place)
GRADIENT: Final = ArrayNames("gradient", str)
NOISE: Final = ArrayNames("noise", str)
MASK: Final = ArrayNames("mask", str)
_NAMES: Final = "names"
AXES: Final = 5
"""Maximum number of axes of an array; a mini-batch of images has four."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The state before a step and its random draws, so that the step can be repeated and recomputed."""

    before: Mapping[str, Values] = field(default_factory=dict, metadata={_NAMES: BEFORE})
    """Parameters and buffers before the step, by name."""
    optimizer: Mapping[Average, Values] = field(default_factory=dict, metadata={_NAMES: OPTIMIZER})
    """The optimizer's averages before the step."""
    stages: Mapping[int, Values] = field(default_factory=dict, metadata={_NAMES: STAGE})
    """Output of every stage, by its index in the network."""
    gradients: Mapping[str, Values] = field(default_factory=dict, metadata={_NAMES: GRADIENT})
    """Gradients of the normalizations' parameters, before clipping, by parameter."""
    noise: Mapping[str, Values] = field(default_factory=dict, metadata={_NAMES: NOISE})
    """Scale and shift of the noise after a normalization, stacked, by layer."""
    masks: Mapping[str, Values] = field(default_factory=dict, metadata={_NAMES: MASK})
    """The whole dropout mask, bit-packed, by layer; a set bit means that the unit was kept."""

    def arrays(self) -> dict[str, Values]:
        """The arrays by their names in the block."""
        return {names.name(key): values for kind, names in KINDS.items() for key, values in getattr(self, kind).items()}

    @classmethod
    def of(cls, arrays: Arrays) -> Evidence:
        """The evidence in the arrays of a block; arrays of unknown kinds are ignored."""
        fields_of = {names.prefix: (kind, names) for kind, names in KINDS.items()}
        found: dict[str, dict[Any, Values]] = {kind: {} for kind in KINDS}
        for name, values in arrays.items():
            prefix, _slash, key = name.partition("/")
            if prefix in fields_of:
                kind, names = fields_of[prefix]
                found[kind][names.parse(key)] = values
        return cls(**found)


KINDS: Final[Mapping[str, ArrayNames[Any]]] = {one.name: one.metadata[_NAMES] for one in fields(Evidence)}
"""Fields of :class:`Evidence`, and the names of their arrays."""


@dataclass(frozen=True, slots=True)
class TrainerState:
    """The complete state of a run before a step: everything that the step depends on."""

    evidence: Evidence
    progress: str
    """The trainer's ``Progress`` as JSON."""


_PROGRESS: Final = "progress"


def pack_state(state: TrainerState) -> bytes:
    """The evidence as one block, with the trainer's progress in its metadata."""
    return pack_arrays(state.evidence.arrays(), {_PROGRESS: state.progress})


def progress_of(block: bytes) -> str | None:
    """The progress that :func:`pack_state` stored in a block; None in recordings of an older format.

    Raises:
        ValueError: the block's header is damaged.
    """
    return metadata_of(block).get(_PROGRESS)


def check_evidence(evidence: Evidence, layers: Sequence[LayerInfo], stages: Sequence[tuple[int, str]]) -> None:
    """Check a step's evidence against the network.

    All stages must have the same number of samples, and the number of features that their layers declare.

    Args:
        stages: layer number and kind of each stage, in network order; empty in format 1.

    Raises:
        ValueError: an array has the wrong type or shape, or a stage does not exist.
    """
    for name, values in evidence.arrays().items():
        if values.dtype.kind not in "fui" or values.ndim > AXES:
            raise unfit(name, values, _("an array of numbers"))
    batch: int | None = None
    for at, values in evidence.stages.items() if stages else ():  # format 1 does not name its stages
        name = STAGE.name(at)
        if not 0 <= at < len(stages):
            raise unfit(name, values, _("the value of one of {count} stages").format(count=len(stages)))
        batch = len(values) if batch is None and values.ndim else batch
        number, kind = stages[at]
        shape = _shape(layers[number], kind, batch)
        if values.dtype.kind != "f" or not values.size or not matches(values.shape, shape or values.shape):
            raise unfit(name, values, _("a stage's values for {count} samples").format(count=batch))
    for layer, bits in evidence.masks.items():
        if bits.dtype != np.uint8 or bits.ndim != 1:
            raise unfit(MASK.name(layer), bits, _("a mask's bits"))


def _shape(info: LayerInfo, kind: str, batch: int | None) -> Shape | None:
    """The shape of a stage's output as far as the layer declares it; None if it is not known."""
    if kind not in ("linear", "conv", "norm", "activation", "dropout"):
        return None
    if info.kind == "linear":
        return (batch, *info.shape)
    if info.kind == "conv":
        return (batch, info.shape[0], None, None)
    if info.kind == "recurrent" and kind in ("activation", "dropout"):
        return (batch, *info.shape)
    return None


def evidence_block(database: sqlite3.Connection, path: Path, row: int) -> bytes | None:
    """The evidence of a keyframe with the given id, its digest checked; None if it was thinned out.

    Raises:
        RecordingError: the digest does not match.
    """
    wanted = "SELECT block, digest FROM evidence WHERE id = ?"
    found = next(rows(database, wanted, (row,), of="evidence"), None)
    if found is None:
        return None
    block: bytes = found["block"]
    if digest(block) != found["digest"]:
        sentence = _("{path}: the evidence of row {row} is damaged: its digest does not match")
        raise RecordingError(sentence.format(path=path, row=row))
    return block
