"""Describes a table that is exported: its columns, and rows that are read as they are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Row = tuple[Any, ...]
Columns = dict[str, type]
"""Names and types."""


@dataclass(frozen=True, slots=True)
class ExportTable:
    """A table whose rows are read as they are written."""

    name: str
    columns: Columns
    rows: Iterator[Row]
    total: int
