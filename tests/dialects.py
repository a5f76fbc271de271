"""Defines tables of text in common dialects, each with its expected values.

Every dialect holds the same eight samples of two features, so that only the writing differs: ``FEATURES``, and either
the words of ``WORDS`` or the numbers of ``NUMBERS`` as a target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

FEATURES: Final = np.array(
    [[0.5, 1200.0], [1.25, -3.0], [2.75, 45.5], [3.5, 1000000.0], [-4.25, 7.0], [5.0, 80.0], [6.125, 9.0], [7.5, 10.5]]
)
WORDS: Final = ("cat", "dog", "cat", "dog", "cat", "dog", "dog", "cat")
NUMBERS: Final = (0.5, 1.5, 2.25, -3.5, 4.75, 5.5, 6.25, 1234.5)


@dataclass(frozen=True)
class Dialect:
    """A file, and what is right about it."""

    name: str
    content: bytes
    features: tuple[str, ...] | None = ("a", "b")
    """Names; None where the file has none."""
    words: bool = True
    """The target is ``WORDS``, else ``NUMBERS``."""
    x: np.ndarray | None = None
    """Where the features are others than ``FEATURES``."""
    suffix: str = ".csv"


def _number(value: float, mark: str = ".", group: str = "") -> str:
    text = f"{value:,.4f}".rstrip("0").rstrip(".")
    return text.replace(",", "\0").replace(".", mark).replace("\0", group)


def _table(
    delimiter: str = ",",
    *,
    header: str | None = "a{d}b{d}y",
    mark: str = ".",
    group: str = "",
    words: bool = True,
    end: str = "\n",
    quote: str = "",
    before: str = "",
    after: str = "",
    top: str = "",
) -> str:
    lines = [] if header is None else [header.format(d=delimiter)]
    for row, (first, second) in enumerate(FEATURES.tolist()):
        target = WORDS[row] if words else _number(NUMBERS[row], mark, group)
        cells = [_number(first, mark, group), _number(second, mark, group), target]
        line = delimiter.join(f"{quote}{cell}{quote}" for cell in cells)
        lines.append(f"{before.format(row=row)}{line}{after}")
    return top + end.join(lines) + end


def _utf(text: str, encoding: str = "utf-8") -> bytes:
    return text.encode(encoding)


DIALECTS: Final = (
    Dialect("comma", _utf(_table())),
    Dialect("semicolon, decimal point", _utf(_table(";"))),
    Dialect("semicolon, decimal comma", _utf(_table(";", mark=","))),
    Dialect("semicolon, decimal comma, numbers", _utf(_table(";", mark=",", words=False)), words=False),
    Dialect("semicolon, decimal comma, no header", _utf(_table(";", mark=",", header=None, words=False)), None, False),
    Dialect("groups of thousands by points", _utf(_table(";", mark=",", group=".", words=False)), words=False),
    Dialect("quoted, groups of thousands by commas", _utf(_table(quote='"', group=",", words=False)), words=False),
    Dialect("groups of thousands by apostrophes", _utf(_table(";", group="'", words=False)), words=False),
    Dialect("groups of thousands by spaces", _utf(_table(";", mark=",", group=" ", words=False)), words=False),
    Dialect("groups of thousands by no-break spaces", _utf(_table(";", mark=",", group="\u202f")),),
    Dialect("tab", _utf(_table("\t")), suffix=".tsv"),
    Dialect("pipe", _utf(_table("|"))),
    Dialect("white space", _utf(_table("  ", header="a b y", before=" ")), suffix=".txt"),
    Dialect("white space, no header", _utf(_table(" ", header=None, words=False)), None, False, suffix=".data"),
    Dialect("comma and space", _utf(_table(", "))),
    Dialect("no header", _utf(_table(header=None)), None),
    Dialect("carriage returns and line feeds", _utf(_table(end="\r\n"))),
    Dialect("carriage returns", _utf(_table(end="\r"))),
    Dialect("byte-order mark", _utf("\ufeff" + _table())),
    Dialect("UTF-16 with a mark", _utf(_table(";", mark=","), "utf-16")),
    Dialect("UTF-16, big-endian, without a mark", _utf(_table(), "utf-16-be")),
    Dialect("Latin-1", _utf(_table(header="größe{d}b{d}art"), "latin-1"), ("größe", "b")),
    Dialect("CP949", _utf(_table(header="길이{d}무게{d}종류"), "cp949"), ("길이", "무게")),
    Dialect("quoted", _utf(_table(quote='"', header='"a"{d}"b"{d}"y"'))),
    Dialect("delimiter in a quoted name", _utf(_table(header='"a, b"{d}b{d}y')), ("a, b", "b")),
    Dialect("line break in a quoted name", _utf(_table(header='"a\nb"{d}b{d}y')), ("a b", "b")),
    Dialect("comment lines", _utf(_table(top="# made by hand\n# twice\n"))),
    Dialect("names in a comment line", _utf(_table(" ", header="# a b y", words=False)), words=False, suffix=".txt"),
    Dialect("blank lines", _utf(_table(end="\n\n"))),
    Dialect("spreadsheet's separator line", _utf(_table(";", mark=",", top="sep=;\r\n", end="\r\n"))),
    Dialect("trailing delimiters", _utf(_table(header="a{d}b{d}y,", after=","))),
    Dialect("trailing delimiters below the header only", _utf(_table(after=","))),
    Dialect("pandas' index", _utf(_table(header=",a{d}b{d}y", before="{row},"))),
    Dialect("pandas' Unnamed: 0", _utf(_table(header="Unnamed: 0,a{d}b{d}y", before="{row},"))),
    Dialect("pandas' numbered columns", _utf(_table(header="0{d}1{d}2")), ("0", "1")),
    Dialect("pandas' numbered columns, all numbers", _utf(_table(header="0{d}1{d}2", words=False)), ("0", "1"), False),
    Dialect("pandas' index and numbered columns", _utf(_table(header=",0{d}1{d}2", before="{row},")), ("0", "1")),
    Dialect("an index of dates", _utf(_table(header=",a{d}b{d}y", before="2024-01-0{row},"))),
    Dialect("R's row names", _utf(_table(" ", header='"a" "b" "y"', before='"r{row}" ')), suffix=".txt"),
    Dialect("R's numbered rows", _utf(_table(header='"a"{d}"b"{d}"y"', before='"{row}",'))),
    Dialect("minus signs", _utf(_table().replace("-", "\u2212"))),
    Dialect("upper-case suffix", _utf(_table()), suffix=".CSV"),
    Dialect(
        "scientific notation",
        _utf("a,b,y\n" + "".join(f"{a:E},{b:e},{w}\n" for (a, b), w in zip(FEATURES.tolist(), WORDS, strict=True))),
    ),
    Dialect(
        "true and false",
        _utf("a,b,y\n" + "".join(f"{row % 2 == 0},{'no' if row < 4 else 'Yes'},{w}\n" for row, w in enumerate(WORDS))),
        x=np.array([[row % 2 == 0, row >= 4] for row in range(8)], float),
    ),
)  # fmt: skip
