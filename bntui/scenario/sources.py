"""Determines from ``data.source`` whether the data is built-in or a file, and of which format."""

from __future__ import annotations

from typing import Final, Literal

BUILTIN_DATA: Final = (
    "digits", "breast_cancer", "wine", "iris",
    "moons", "circles", "spirals", "xor", "blobs",
    "line", "sine",
)  # fmt: skip
TABLE_SUFFIXES: Final = (".csv", ".tsv", ".tab", ".txt", ".data", ".dat")
GZIPPED: Final = ".gz"
"""After the suffix of a table."""
NPZ_SUFFIX: Final = ".npz"
IDX_SUFFIXES: Final = ("-ubyte", ".idx", "-ubyte.gz", ".idx.gz")
PACKED_SUFFIXES: Final = (GZIPPED, ".zip", ".bz2", ".xz", ".zst")
SHEET_SUFFIXES: Final = (".xlsx", ".xls", ".ods", ".parquet", ".feather", ".json", ".jsonl", ".arff", ".md")
PATHS: Final = ("data.source", "data.labels")
"""Keys that hold file paths: relative to the current folder on the command line, to its own folder in a scenario."""

SourceKind = Literal["built-in", "table", "npz", "idx"]


def kind_of(source: str) -> SourceKind | None:
    """The kind of data that a name or path refers to, ignoring case; None if unsupported."""
    if source in BUILTIN_DATA:
        return "built-in"
    name = source.lower()
    if name.removesuffix(GZIPPED).endswith(TABLE_SUFFIXES):
        return "table"
    if name.endswith(NPZ_SUFFIX):
        return "npz"
    return "idx" if name.endswith(IDX_SUFFIXES) else None
