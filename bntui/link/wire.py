"""Parses frames: one JSON object per line, bounded in size, nesting, and time, and validated before use."""

from __future__ import annotations

import json
import math
import re
import time
from typing import Any, Final, NoReturn

from bntui.text.language import _

LONGEST_FRAME: Final = 1_000_000
"""Maximum length of a line in bytes."""
FRAME_PATIENCE: Final = 10.0
"""Maximum time from a line's first byte to its end, in seconds."""
DEEPEST: Final = 8
"""Maximum nesting of lists and objects."""
LONGEST_INTEGER: Final = 19
"""Maximum number of digits of a number that fits in 64 bits."""
UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""Control characters except tab and newline, and lone surrogates, which cannot be encoded."""


class FrameError(ValueError):
    """A frame was refused; the message is a sentence for the sender."""


class LineBuffer:
    """Splits received bytes into lines, and buffers at most one incomplete line."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False
        self._began: float | None = None
        """Time at which the incomplete line began."""

    def add(self, piece: bytes) -> list[bytes | FrameError]:
        """The lines completed by this piece; a line that is too long is refused once and skipped to its end."""
        found: list[bytes | FrameError] = []
        first, *others = piece.split(b"\n")
        self._extend(first, found)
        for part in others:
            if not self._skipping:
                found.append(bytes(self._rest))
            self._rest, self._skipping = bytearray(), False
            self._began = None
            self._extend(part, found)
        return found

    def _extend(self, part: bytes, found: list[bytes | FrameError]) -> None:
        if part and self._began is None:
            self._began = time.monotonic()
        if self._skipping:
            return
        self._rest += part
        if len(self._rest) > LONGEST_FRAME:
            found.append(_too_long(LONGEST_FRAME))
            self._rest, self._skipping = bytearray(), True

    @property
    def patience(self) -> float | None:
        """Seconds left for the rest of an incomplete line; None if there is none."""
        return None if self._began is None else max(0.0, self._began + FRAME_PATIENCE - time.monotonic())


def parse(
    line: bytes,
    *,
    longest: int = LONGEST_FRAME,
    deepest: int = DEEPEST,
    printable: bool = True,
    finite: bool = True,
) -> dict[str, Any]:
    """Parse the JSON object of a line: UTF-8, 64-bit integers, limited nesting.

    Args:
        longest: maximum length in bytes.
        deepest: maximum nesting of lists and objects.
        printable: refuse control characters.
        finite: refuse numbers that are not finite.

    Raises:
        FrameError: the line is not such an object.
    """
    if len(line) > longest:
        raise _too_long(longest)
    try:
        hooks: dict[str, Any] = {"parse_float": _float, "parse_constant": _constant} if finite else {}
        value = json.loads(line.decode(), parse_int=_integer, **hooks)
    except FrameError:
        raise
    except UnicodeDecodeError as error:
        raise FrameError(_("a frame is not UTF-8")) from error
    except RecursionError as error:
        raise FrameError(_("a frame is nested more than {depth} levels deep").format(depth=deepest)) from error
    except ValueError as error:
        raise FrameError(_("a frame is not JSON")) from error
    if not isinstance(value, dict):
        raise FrameError(_("a frame is not a JSON object"))
    _check(value, deepest, printable=printable)
    return value


def _too_long(longest: int) -> FrameError:
    return FrameError(_("a frame is longer than {limit} bytes").format(limit=longest))


def _check(value: object, deepest: int, *, printable: bool) -> None:
    """Check nesting, numbers, and characters of everything in a frame."""
    level = [value]
    for depth in range(deepest + 1):
        deeper: list[object] = []
        for entry in level:
            if printable and isinstance(entry, str) and UNPRINTABLE.search(entry):
                raise FrameError(_("a frame contains control characters"))
            if isinstance(entry, dict):
                deeper += (*entry, *entry.values())
            elif isinstance(entry, list):
                deeper += entry
        if depth == deepest and any(isinstance(entry, dict | list) for entry in level):
            break
        if not deeper:
            return
        level = deeper
    raise FrameError(_("a frame is nested more than {depth} levels deep").format(depth=deepest))


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > LONGEST_INTEGER or not -(2**63) <= int(text) < 2**63:
        raise FrameError(_("a frame contains an integer that does not fit in 64 bits"))
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise FrameError(_("a frame contains a number that is not finite"))
    return value


def _constant(_text: str) -> NoReturn:
    raise FrameError(_("a frame contains a number that is not finite"))
