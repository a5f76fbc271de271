"""Lays out tables for a width in terminal cells: what has no room is left out, cut or wrapped as its column declares.

A column gives way in turns.  In the turn ``cut`` it is narrowed as far as ``least``; in the turn ``goes`` it is left
out.  Turns are taken in ascending order, over all columns, until the table fits.  Room that remains then widens what
was narrowed, the last one first, and after that the columns that grow.  What has no turn is never given up, unless the
width is too small for these columns alone: then the last ones go, and a single one is cut.

Words that are cut end in an ellipsis.  A line is a tuple of parts, a text and the name of its style each; the viewer
draws them, and commands print :func:`plain`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bntui.text.widths import cell_len, cut, ljust, longest, rjust, wrap

Part = tuple[str, str]
"""A text and the name of its style."""
Line = tuple[Part, ...]
Cell = str | Line | Callable[[int], Line]
"""Words without a style of their own, words with styles, or what draws them in at most so many cells."""

_ALL: Final = 1_000_000
"""More cells than any terminal has."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    heading: Cell = ""
    right: bool = False
    """Aligned to the right, as figures are."""
    least: int = 0
    """Cells that it takes in any case, and that it is narrowed to."""
    most: int | None = None
    """Cells beyond which its words are cut; none by default."""
    cut: int | None = None
    """The turn in which it is narrowed; by default it is not."""
    goes: int | None = None
    """The turn in which it is left out; by default it stays."""
    wraps: bool = False
    """Words that are too long go on in further lines instead of being cut."""
    grows: bool = False
    """Takes ``most`` cells, or all that is left, even where its words need less."""
    gap: int = 2
    """Empty cells between it and the column before."""


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """The columns that a width has room for."""

    columns: tuple[Column, ...]
    widths: tuple[int | None, ...]
    """Cells of each column; None for one that was left out."""

    @property
    def shown(self) -> tuple[int, ...]:
        """Numbers of the columns that are shown."""
        return tuple(number for number, width in enumerate(self.widths) if width is not None)

    @property
    def width(self) -> int:
        """Cells of every line."""
        return _total(self.columns, dict(self._places()))

    def heading(self, style: str = "") -> tuple[Line, ...]:
        """The names of the columns, in one line or more."""
        return self.row([column.heading for column in self.columns], style)

    def row(self, cells: Sequence[Cell], style: str = "") -> tuple[Line, ...]:
        """A row in one line, or in more where words are wrapped.

        Args:
            cells: one for each column of the table, shown or not.
            style: of words without a style of their own.
        """
        drawn = [
            (self.columns[number], width, _drawn(self.columns[number], cells[number], width, style))
            for number, width in self._places()
        ]
        height = max((len(lines) for _column, _width, lines in drawn), default=1)
        return tuple(
            tuple(
                part
                for at, (column, width, lines) in enumerate(drawn)
                for part in _padded(lines[y] if y < len(lines) else (), width, column.gap if at else 0, column.right)
            )
            for y in range(height)
        )

    def _places(self) -> Iterator[tuple[int, int]]:
        return ((number, width) for number, width in enumerate(self.widths) if width is not None)


def layout(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], width: int | None = None) -> ColumnLayout:
    """The columns that ``width`` cells have room for, each as wide as its words need; without a width, all of them."""
    names = [column.heading for column in columns]
    wanted = {
        number: _wanted(column, words)
        for number, (column, words) in enumerate(zip(columns, zip(names, *rows, strict=True), strict=True))
    }
    if width is None:
        return ColumnLayout(tuple(columns), tuple(wanted.values()))
    widths = dict(wanted)
    narrowed: list[int] = []
    for leaves, number, least in _turns(columns):
        over = _total(columns, widths) - width
        if over <= 0:
            break
        if not leaves and number in widths and widths[number] > least:
            widths[number] = max(widths[number] - over, least)
            narrowed.append(number)
        elif leaves and len(widths) > 1:
            widths.pop(number, None)
    for number in reversed(narrowed):
        if number in widths:
            widths[number] += min(width - _total(columns, widths), wanted[number] - widths[number])
    for number in widths:
        if columns[number].grows and columns[number].most is None:
            widths[number] += width - _total(columns, widths)
    return ColumnLayout(tuple(columns), tuple(widths.get(number) for number in range(len(columns))))


def lines(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None = None, heading: str = ""
) -> Iterator[Line]:
    """A whole table: its heading in a style where any column has one, and all rows."""
    form = layout(columns, rows, width)
    if any(column.heading for column in columns):
        yield from form.heading(heading)
    for row in rows:
        yield from form.row(row)


def text_lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None = None) -> Iterator[str]:
    """A whole table as plain text."""
    return map(plain, lines(columns, rows, width))


def plain(line: Line) -> str:
    """A line without its styles, and without spaces at its end."""
    return "".join(text for text, _style in line).rstrip()


def wordings(*words: str, style: str = "") -> Callable[[int], Line]:
    """A cell with the first of several wordings that fits, else the last."""
    return lambda cells: ((longest(cells, *words), style),)


def _turns(columns: Sequence[Column]) -> Iterator[tuple[bool, int, int]]:
    """In every turn: whether a column leaves, which one it is, and the cells that it is narrowed to.

    The declared turns come first.  A width that is too small even so narrows to one cell what may be narrowed, then has
    the last columns leave, and at last narrows the one that is left.
    """
    numbers = range(len(columns))
    declared = sorted(
        (turn, leaves, number)
        for number in numbers
        for turn, leaves in ((columns[number].cut, False), (columns[number].goes, True))
        if turn is not None
    )
    yield from ((leaves, number, columns[number].least) for _turn, leaves, number in declared)
    yield from ((False, number, 1) for number in numbers if columns[number].cut is not None)
    yield from ((True, number, 0) for number in reversed(numbers))
    yield from ((False, number, 0) for number in numbers)


def _total(columns: Sequence[Column], widths: dict[int, int]) -> int:
    """Cells of the columns and of the gaps between them."""
    return sum(widths.values()) + sum(columns[number].gap for number in list(widths)[1:])


def _wanted(column: Column, cells: Iterable[Cell]) -> int:
    """Cells that a column takes where there is room."""
    if column.grows and column.most is not None:
        return column.most
    room = _ALL if column.most is None else column.most
    widest = max(sum(cell_len(text) for text, _style in _parts(cell, room, "")) for cell in cells)
    return max(min(widest, room), column.least)


def _parts(cell: Cell, room: int, style: str) -> Line:
    if isinstance(cell, str):
        return ((cell, style),)
    return cell(room) if callable(cell) else cell


def _drawn(column: Column, cell: Cell, width: int, style: str) -> list[Line]:
    """A cell in lines of at most ``width`` cells."""
    parts = _parts(cell, width, style)
    if column.wraps and width >= 2 and len(parts) == 1:
        ((text, own),) = parts
        return [((line, own),) for line in wrap(text, width)]
    return [_cut(parts, width)]


def _cut(parts: Line, width: int) -> Line:
    """Parts in at most so many cells, with an ellipsis where something is missing."""
    whole = "".join(text for text, _style in parts)
    if cell_len(whole) <= width:
        return parts
    left = cut(whole, width)
    fitting: list[Part] = []
    for text, style in parts:
        taken = text if left.startswith(text) and len(left) > len(text) else left
        fitting.append((taken, style))
        left = left[len(taken) :]
        if not left:
            break
    return tuple(fitting)


def _padded(parts: Line, width: int, gap: int, right: bool) -> Line:
    """Parts in exactly ``width`` cells after a gap; spaces join the part beside them."""
    if not parts:
        parts = (("", ""),)
    spare = width - sum(cell_len(text) for text, _style in parts)
    (first, style), *others = parts
    padded = [(" " * gap + (rjust(first, cell_len(first) + spare) if right else first), style), *others]
    if not right:
        last, style = padded[-1]
        padded[-1] = (ljust(last, cell_len(last) + spare), style)
    return tuple(padded)
