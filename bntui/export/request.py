"""Describes what an export writes: which runs, keyframes, and figures of a recording, and where."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bntui.errors import UsageError
from bntui.text.language import _

Tell = Callable[[int, int], None]
"""Called with how many rows are written, and how many there are."""


@dataclass(frozen=True, slots=True)
class EpochRange:
    """A range of epochs, both ends included."""

    first: float = -math.inf
    last: float = math.inf
    single: bool = False
    """Only the last keyframe at or before ``last``."""

    @classmethod
    def parse(cls, text: str) -> EpochRange:
        """A range as written: ``A..B``, ``A..``, ``..B``, or ``N`` for a single keyframe.

        Raises:
            UsageError: it is not a range.
        """
        low, dots, high = text.partition("..")
        try:
            first = float(low) if low else -math.inf
            last = float(high) if high else math.inf
            if not text.strip(".") or math.isnan(first + last):
                raise ValueError
        except ValueError:
            sentence = _("--epochs {text}: write A..B, A.., or ..B, or one epoch")
            raise UsageError(sentence.format(text=text)) from None
        if first > last:
            sentence = _("--epochs {text}: it ends before it begins; write {last:g}..{first:g}")
            raise UsageError(sentence.format(text=text, first=first, last=last))
        return cls(first, last) if dots else cls(last=first, single=True)


@dataclass(frozen=True, slots=True)
class Request:
    """What to write of a recording, and where."""

    target: Path
    folder: bool
    """The target is a folder."""
    runs: tuple[int, ...] = ()
    """Numbers; empty for all."""
    epochs: EpochRange = EpochRange()
    quantities: tuple[str, ...] = ()
    """Patterns of names of figures; empty for all."""
    table: str = ""
    """The table to write; empty for the first one into a file, and for all into a folder."""
    evidence: bool = False
    """Add the evidence of the keyframes that have some."""
    panel: str = ""
    """What a picture shows; empty for the whole screen."""
    size: str = ""
    """Columns and rows of a picture; empty for those that suit it."""
    theme: str = ""
    speed: float | None = None
    """Epochs per second of a replay."""

    def file(self, name: str, suffix: str) -> Path:
        """Where a file goes: the target, or in the target by this name."""
        return self.target / f"{name}{suffix}" if self.folder else self.target
