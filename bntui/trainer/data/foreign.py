"""Recognizes files that are no tables, by their first bytes or lines, and says what to do with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bntui.errors import DataError
from bntui.text.language import N_, _

_PACKED: Final = N_("{path}: compressed; unpack it first, for example with {command}")
_SAVE: Final = N_("{path}: {format}, not a text table; save it as CSV")

_FORMATS: Final = (
    (b"\x1f\x8b", _PACKED, "gunzip"),
    (b"BZh", _PACKED, "bunzip2"),
    (b"\xfd7zXZ\x00", _PACKED, "unxz"),
    (b"\x28\xb5\x2f\xfd", _PACKED, "unzstd"),
    (b"PK\x03\x04", _SAVE, "Excel (.xlsx) / ZIP"),
    (b"\xd0\xcf\x11\xe0", _SAVE, "Excel (.xls)"),
    (b"PAR1", _SAVE, "Parquet"),
    (b"%PDF-", _SAVE, "PDF"),
    (b"SQLite format 3\x00", _SAVE, "SQLite"),
    (b"\x89HDF\r\n", _SAVE, "HDF5"),
    (b"\x93NUMPY", _SAVE, "NumPy (.npy)"),
)
"""First bytes, the sentence, and the command or the name of the format."""

_FIRST_LINES: Final = (
    (r'\s*(\{\s*"|[\[{]\s*$|\[\s*[{"])', N_("{path}: row {row}: JSON, not a table; save it as CSV")),
    (r"\s*<(!|\?|/?[a-zA-Z]+[\s>])", N_("{path}: row {row}: HTML or XML, not a table; save it as CSV")),
    (r"version https://git-lfs", N_("{path}: row {row}: a pointer of Git LFS; run git lfs pull to get the table")),
    (r"[-+\d.]+(\s+\d+:[-+\d.eE]+)+\s*$", N_("{path}: row {row}: LIBSVM format, not a table; save it as CSV")),
    (r".*&.*\\\\\s*(\\hline)?\s*$", N_("{path}: row {row}: LaTeX, not a table; put commas for &, and remove \\\\")),
    (r"\s*\[+\s*[-+]?[\d.]", N_("{path}: row {row}: brackets around numbers; save them with numpy.savetxt")),
)
"""How the first line of other formats begins, and what to say."""
_ANY_LINES: Final = (
    (r"(<{7}|>{7}) |={7}$", N_("{path}: row {row}: a merge conflict of Git; resolve it first")),
    (r"@(relation|attribute|data)\b", N_("{path}: row {row}: ARFF, not CSV; remove the lines that begin with @ and %")),
)
"""Beginnings of lines that no table has."""
_LOOKED_AT: Final = 200


def refuse_other_formats(path: Path, start: bytes) -> None:
    """Raise DataError if a file begins as compressed or binary files do."""
    for magic, sentence, name in _FORMATS:
        if start.startswith(magic):
            raise DataError(_(sentence).format(path=path, command=name, format=name))


def other_format(path: Path, lines: Sequence[str]) -> str | None:
    """What a text that was refused as a table is instead; None if unknown."""
    found = [(number, line.lstrip("\ufeff")) for number, line in enumerate(lines[:_LOOKED_AT], 1) if line.strip()]
    patterns: tuple[tuple[str, str], ...] = _FIRST_LINES + _ANY_LINES
    for number, line in found:
        for pattern, sentence in patterns:
            if re.match(pattern, line, re.IGNORECASE):
                return _(sentence).format(path=path, row=number)
        patterns = _ANY_LINES
    return None
