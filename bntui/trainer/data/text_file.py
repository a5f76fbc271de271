"""Decodes a text file and splits it into rows: encoding, comment lines, delimiter.

Supported encodings are UTF-8, UTF-16 with or without a byte-order mark, and otherwise CP949 (Korean) or Windows-1252 (a
superset of Latin-1).  The choice between the last two affects only names and words, never numbers.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final
from unicodedata import normalize

from bntui.errors import DataError
from bntui.text.language import _
from bntui.text.library_messages import told
from bntui.trainer.data.cells import MISSING, is_date, is_number
from bntui.trainer.data.drawn import is_drawn, without_lines
from bntui.trainer.data.foreign import refuse_other_formats

DELIMITERS: Final = ("::", "\t", ";", "|", ",", " ")
"""Delimiters in order of preference.  The comma is late, because it may be a decimal comma; the space stands for any
white space."""
LONGEST_ROW: Final = 4_000_000
"""Maximum length of a row in characters."""

_CHUNK: Final = 1 << 20
_FAR: Final = 4 * LONGEST_ROW
_SAMPLE: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HANGUL: Final = frozenset(
    bytes((first, second)).decode("cp949") for first in range(0xB0, 0xC9) for second in range(0xA1, 0xFF)
)
"""The 2,350 syllables of KS X 1001, which are all that most texts use; CP949 has 11,172."""
_ERROR: Final = re.compile(r"#(N/A|NA\b|DIV/0!|NAME\?|NULL!|NUM!|REF!|VALUE!)", re.ASCII).match
"""The errors of a spreadsheet at the beginning of a row, which is no comment."""
_BLANKS: Final = re.compile(r"[ \t]+")
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?[ ,;\t]*', re.IGNORECASE)
_UNIT_SEPARATOR: Final = "\x1f"
"""Stands for a delimiter of two characters, which :mod:`csv` does not take; no file that is read contains it."""


def encoding_of(path: Path, file: io.BufferedIOBase) -> str:
    """The encoding of a text file, which is rewound afterwards.

    Raises:
        DataError: the file contains control characters or an endless line, or no encoding fits.
    """
    start = file.read(4096)
    refuse_other_formats(path, start)
    if not _has_line_end(start, file):
        raise DataError(
            _("{path}: no line end in {limit} bytes; this is not a table").format(path=path, limit=f"{_FAR:,}")
        )
    file.seek(0)
    for mark, name in _MARKS:
        if start.startswith(mark):
            candidates: tuple[str, ...] = (name,)
            break
    else:
        candidates = _without_mark(start)
    for name in candidates:
        try:
            fits = _decode_all(path, file, name)
        except UnicodeDecodeError:
            continue
        finally:
            file.seek(0)
        if fits or name != "cp949":
            return name
    raise DataError(_("{path}: not text in a known encoding; save it as UTF-8").format(path=path))


def _has_line_end(start: bytes, file: io.BufferedIOBase) -> bool:
    """True if the first line, or the file, ends within ``_FAR`` bytes."""
    read, chunk = len(start), start
    while chunk and read < _FAR:
        if b"\n" in chunk or b"\r" in chunk:
            return True
        chunk = file.read(_CHUNK)
        read += len(chunk)
    return not chunk


def _without_mark(start: bytes) -> tuple[str, ...]:
    """Possible encodings of a file without a byte-order mark.

    UTF-16 is recognized by null bytes, at odd offsets in little-endian and at even offsets in big-endian order.
    """
    half = len(start) // 2
    if half >= 4 and start[1::2].count(0) > 0.7 * half and start[::2].count(0) == 0:
        return ("utf-16-le",)
    if half >= 4 and start[::2].count(0) > 0.7 * half and start[1::2].count(0) == 0:
        return ("utf-16-be",)
    return ("utf-8", "cp949", "cp1252")


def _decode_all(path: Path, file: io.BufferedIOBase, name: str) -> bool:
    """Decode the whole file; True if CP949 fits: at least half of what is not ASCII are common Korean syllables.

    Others are symbols such as ``°`` and ``㎡``.  Read as CP949, ``°C`` of Latin-1 gives a syllable that no word has.

    Raises:
        UnicodeDecodeError: the encoding does not fit.
        DataError: the file contains a control character.
    """
    decoder = codecs.getincrementaldecoder(name)()
    foreign = hangul = 0
    lines = 1
    while True:
        chunk = file.read(_CHUNK)
        text = decoder.decode(chunk, not chunk)
        if found := _CONTROL.search(text):
            line = lines + text.count("\n", 0, found.start())
            sentence = _("{path}: row {row}: control character {character}; this is not a text file")
            raise DataError(sentence.format(path=path, row=line, character=f"U+{ord(found[0]):04X}"))
        if name == "cp949" and not text.isascii():
            foreign += sum(not char.isascii() for char in text)
            hangul += sum(char in _HANGUL for char in text)
        lines += text.count("\n")
        if not chunk:
            return 2 * hangul >= foreign


class CsvLines:
    """The lines of a text for :mod:`csv`, counted and of bounded length, without comments and empty lines."""

    def __init__(self, path: Path, file: io.TextIOBase) -> None:
        self._path, self._file = path, file
        self._pending = 0
        self.number = 0
        """Number of the line that was read last, from 1."""
        self.comments: list[str] = []
        """The first lines that were skipped because they begin with ``#``."""
        self.skipped = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while line := self._file.readline(LONGEST_ROW - self._pending + 1):
            self.number += 1
            if len(line) + self._pending > LONGEST_ROW:
                sentence = _("{path}: row {row}: longer than {limit} characters; check quotes and line ends")
                raise DataError(sentence.format(path=self._path, row=self.number, limit=f"{LONGEST_ROW:,}"))
            if not self._pending:
                if self.number == 1 and _SEPARATOR_LINE.fullmatch(line.strip("\ufeff\r\n")):
                    continue
                bare = line.strip("\ufeff \t\r\n")
                if bare.startswith("#") and not _ERROR(bare):
                    self.skipped += 1
                    if len(self.comments) < 100:
                        self.comments.append(bare)
                    continue
                if not bare:
                    continue
            self._pending += len(line)
            return line if line.isascii() else normalize("NFC", line)  # macOS writes a letter and its accent apart
        raise StopIteration

    def row_ended(self) -> None:
        """Mark the end of a row, which may span several lines."""
        self._pending = 0


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is split into cells."""

    encoding: str
    delimiter: str
    drawn: bool = False
    """Lines are drawn around or between the cells, as in Markdown."""

    def rows(self, path: Path, lines: CsvLines) -> Iterator[tuple[int, list[str]]]:
        """Rows that are not empty, each with the number of its last line.

        Raises:
            DataError: a quote is not closed, or a row is too long.
        """
        reader = _cut(without_lines(lines, lines.row_ended) if self.drawn else lines, self.delimiter)
        try:
            for row in reader:
                lines.row_ended()
                cells = [cell.strip() for cell in row]
                if any(cells):  # spreadsheets write empty rows as delimiters only
                    yield lines.number, cells
        except csv.Error as error:
            sentence = _("{path}: row {row}: {reason}; check quotes and line ends")
            raise DataError(sentence.format(path=path, row=lines.number, reason=told(str(error)))) from error


def dialect_of(path: Path, file: io.TextIOBase, encoding: str, delimiter: str | None) -> Dialect:
    """The dialect that fits the first rows best.

    Args:
        delimiter: ``data.delimiter``; None to infer it.
    """
    lines = CsvLines(path, file)
    first = file.readline(20)
    file.seek(0)
    if delimiter is None and (found := _SEPARATOR_LINE.fullmatch(first.strip("\ufeff\r\n"))):
        delimiter = found[1]
    sample = []
    for line in islice(lines, _SAMPLE):
        lines.row_ended()
        sample.append(line)
    file.seek(0)
    if delimiter in (None, "|") and is_drawn(sample):
        return Dialect(encoding, "|", drawn=True)
    if delimiter is not None:
        return Dialect(encoding, delimiter)
    # the sample may end inside quotes, so each delimiter is judged by its complete rows
    scores = {mark: _score(sample, mark) for mark in DELIMITERS}
    best = max(DELIMITERS, key=scores.__getitem__)
    if best == "," and scores[" "] == scores[","]:
        for line in sample:
            if spaced := next((cell for cell in cells_of(line, ",") if " " in cell and is_number(cell)), None):
                sentence = _('{path}: {cell} may be one number or several; set data.delimiter = "," or " " (a space)')
                raise DataError(sentence.format(path=path, cell=repr(spaced)))
    return Dialect(encoding, best)


def cells_of(line: str, delimiter: str) -> list[str]:
    """The cells of one line; empty if it is not valid."""
    try:
        return [cell.strip() for row in _cut([line], delimiter) for cell in row]
    except csv.Error:
        return []


def _cut(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """Rows of cells; with a space as the delimiter, any amount of white space separates cells."""
    if delimiter == " ":
        return csv.reader(
            (_BLANKS.sub(" ", line.strip(" \t\r\n")) + "\n" for line in lines), delimiter=" ", strict=True
        )
    if len(delimiter) > 1:
        marked = (line.replace(delimiter, _UNIT_SEPARATOR) for line in lines)
        rows = csv.reader(marked, delimiter=_UNIT_SEPARATOR, strict=True, skipinitialspace=True)
        return ([cell.replace(_UNIT_SEPARATOR, delimiter) for cell in row] for row in rows)  # inside quotes
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)


def _score(sample: Sequence[str], delimiter: str) -> float:
    """How well a delimiter fits: the share of rows of equal length, times the share of cells without other delimiters.

    0 if rows have a single cell.
    """
    rows: list[list[str]] = []
    with suppress(csv.Error):  # the sample may end inside quotes; real errors are reported when the file is read
        rows.extend([cell.strip() for cell in row] for row in _cut(sample, delimiter))
    if not rows:
        return 0.0
    widths = [len(row) for row in rows]
    usual = max(set(widths), key=widths.count)
    if usual < 2:
        return 0.0
    alike = widths.count(usual) + (usual == widths[0] + 1 > 2)  # in files from R, row names have no cell in the header
    cells = [cell for row in rows for cell in row][:20_000]
    clean = sum(_is_clean(cell, delimiter) for cell in cells) / len(cells)
    return min(alike / len(rows), 1.0) * clean


def _is_clean(cell: str, delimiter: str) -> bool:
    """True if a cell is a number or a date, or holds no other delimiter that would split it into cells.

    Words may hold delimiters, unless a number is beside one.  Spaces are common in words, so only a comma, which may be
    a decimal mark, and ``::`` compete with them, as in ``2,5 cat``, unless they part numbers only: ``18.0 8 307.0``.
    """
    if cell in MISSING or is_number(cell) or is_date(cell):
        return True
    if delimiter != " " and len(parts := cell.split()) > 2 and all(map(is_number, parts)):
        return False
    others = [mark for mark in "\t;|, " if mark in cell and (mark != " " or delimiter in (",", "::"))]
    if delimiter == " ":
        return not others
    return not any(is_number(part) for mark in others for part in cell.split(mark))
