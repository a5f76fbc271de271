"""Packs keyframes and evidence into the bytes of their rows, before they are written, perhaps by another process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bntui.keyframe import Keyframe
from bntui.recording.codec import digest, layer_table, pack_measures, row_digest, scalars_of
from bntui.recording.schema import SCALARS

_AT: Final = {name: number for number, name in enumerate(SCALARS)}


@dataclass(frozen=True, slots=True)
class PackedKeyframe:
    """The row of a keyframe, as it is inserted."""

    scalars: tuple[Any, ...]
    """Values of the columns ``SCALARS``."""
    layers: bytes | None
    """The table of per-layer scalars; None if there are only an epoch's scalars."""
    measures: bytes | None
    digest: bytes

    def __getitem__(self, name: str) -> Any:
        """The value of a scalar column."""
        return self.scalars[_AT[name]]


@dataclass(frozen=True, slots=True)
class PackedEvidence:
    """The evidence of a keyframe with its digest."""

    block: bytes
    digest: bytes

    @classmethod
    def of(cls, block: bytes) -> PackedEvidence:
        """A block from :func:`bntui.recording.evidence.pack_state`."""
        return cls(block, digest(block))


def packed(frame: Keyframe, *, epoch_end: bool) -> PackedKeyframe:
    """The row of a keyframe."""
    scalars = scalars_of(frame, epoch_end)
    layers = layer_table(frame.layers).tobytes() if frame.layers else None
    measures = pack_measures(frame) if frame.layers else None
    return PackedKeyframe(scalars, layers, measures, row_digest(scalars, layers, measures))
