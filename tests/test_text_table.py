"""Tables keep to their width, align their columns in cells, give way in the declared order, and never cut silently."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.text.table import Cell, Column, ColumnLayout, layout, lines, plain, text_lines, wordings

WORDS = st.text(alphabet="ab 0−학습률손실", max_size=9).map(str.strip)


def cells(text: str) -> int:
    """Counted by Unicode's own property, not by the library that the table asks."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


class Given(NamedTuple):
    """A table as it is declared, and the order in which its columns leave."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    leaving: tuple[int, ...]


@st.composite
def tables(draw: st.DrawFn) -> Given:
    number = draw(st.integers(1, 5))
    order = draw(st.permutations(range(number)))
    leave = order[: draw(st.integers(0, number))]
    columns = tuple(
        Column(
            heading=draw(WORDS),
            right=draw(st.booleans()),
            least=draw(st.integers(0, 5)),
            cut=draw(st.none() | st.integers(0, number)),
            goes=leave.index(at) if at in leave else None,
            wraps=draw(st.booleans()),
            gap=draw(st.integers(0, 3)),
        )
        for at in range(number)
    )
    rows = tuple(tuple(draw(WORDS) for _ in columns) for _ in range(draw(st.integers(0, 3))))
    stay = [at for at in range(number) if at not in leave]
    return Given(columns, rows, (*leave, *reversed(stay)))


def fields(form: ColumnLayout, line: str) -> dict[int, str]:
    """What stands in a line below each shown column, found by counting cells."""
    found: dict[int, str] = {}
    rest = line
    for at, number in enumerate(form.shown):
        gap = form.columns[number].gap if at else 0
        assert rest[:gap] == " " * gap
        rest = rest[gap:]
        size = form.widths[number]
        assert size is not None
        end = next(end for end in range(len(rest) + 1) if cells(rest[:end]) >= size)
        assert cells(rest[:end]) == size, "no character stands across two columns"
        found[number], rest = rest[:end], rest[end:]
    assert not rest
    return found


def joined(line: tuple[tuple[str, str], ...]) -> str:
    return "".join(text for text, _style in line)


@given(tables(), st.integers(0, 60))
def test_no_line_is_wider_than_asked_and_all_are_aligned(table: Given, width: int) -> None:
    form = layout(table.columns, table.rows, width)
    for words in ([column.heading for column in table.columns], *table.rows):
        drawn = [fields(form, joined(line)) for line in form.row(words)]
        assert all(cells(joined(line)) == form.width <= width for line in form.row(words))
        for number in form.shown:
            column, whole, size = table.columns[number], words[number], form.widths[number]
            assert isinstance(whole, str)
            assert size is not None
            parts = [line[number] for line in drawn if line[number].strip()] or [" " * size]
            told = [part.strip() for part in parts]
            # every line of a cell stands at the side that its column declares
            assert all(part == " " * (size - cells(part.strip())) + part.strip() for part in parts if column.right)
            assert all(part == part.strip() + " " * (size - cells(part.strip())) for part in parts if not column.right)
            if column.wraps and size >= 2:
                assert "".join(told).replace(" ", "") == whole.replace(" ", ""), "wrapped words are all there"
            elif cells(whole) <= size:
                assert told == [whole]
            elif size:
                assert told[0].endswith("…")
                assert whole.startswith(told[0].removesuffix("…"))


@given(tables(), st.integers(0, 60))
def test_columns_leave_in_the_declared_order(table: Given, width: int) -> None:
    form = layout(table.columns, table.rows, width)
    gone = [number for number in table.leaving if number not in form.shown]
    assert gone == list(table.leaving[: len(gone)])
    assert len(form.shown) >= 1
    assert set(layout(table.columns, table.rows, width + 1).shown) >= set(form.shown), "more room never takes one away"


@given(tables())
def test_what_has_room_is_whole(table: Given) -> None:
    form = layout(table.columns, table.rows)
    natural = [
        max(column.least, *(cells(words) for words in (column.heading, *below) if isinstance(words, str)))
        for column, *below in zip(table.columns, *table.rows, strict=True)
    ]
    gaps = sum(column.gap for column in table.columns[1:])
    assert form.widths == tuple(natural)
    assert layout(table.columns, table.rows, sum(natural) + gaps) == form
    if len(natural) > 1:
        one_less = layout(table.columns, table.rows, sum(natural) + gaps - 1)
        assert one_less != form


def test_a_column_is_narrowed_in_its_turn_and_widened_by_what_leaves_later() -> None:
    columns = (
        Column("name", least=4, cut=2),
        Column("figure", right=True),
        Column("words", least=3, cut=0, goes=3),
        Column("ratio", right=True, goes=1),
    )
    row = [("a long name", "1.000", "some words", "12 : 1")]
    shown = {width: layout(columns, row, width).widths for width in (39, 38, 32, 31, 30, 23, 17, 16, 15, 12)}
    assert shown == {
        39: (11, 6, 10, 6),
        38: (11, 6, 9, 6),
        32: (11, 6, 3, 6),
        31: (11, 6, 10, None),  # the ratio leaves, and the words are whole again
        30: (11, 6, 9, None),
        23: (10, 6, 3, None),  # now the name is narrowed
        17: (4, 6, 3, None),
        16: (8, 6, None, None),
        15: (7, 6, None, None),
        12: (4, 6, None, None),
    }


def test_words_may_have_styles_and_wordings() -> None:
    columns = (Column(wordings("how far apart", "apart", ""), least=3, most=20, cut=0, grows=True), Column("b"))
    rows: list[tuple[Cell, Cell]] = [((("├ ", "muted"), ("linear 1", "run0")), (("12", "bold text"),))]
    assert list(lines(columns, rows, 14, "muted")) == [
        (("apart     ", ""), ("  b ", "muted")),
        (("├ ", "muted"), ("linear 1", "run0"), ("  12", "bold text")),
    ]
    assert list(lines(columns, rows, 8))[1] == (("├ ", "muted"), ("l…", "run0"), ("  12", "bold text"))
    assert [plain(line) for line in layout(columns, rows, 7).heading()] == ["     b"]


@pytest.mark.parametrize(
    ("width", "widths"), [(30, (24, 4)), (10, (4, 4)), (7, (1, 4)), (6, (6, None)), (2, (2, None))]
)
def test_a_column_that_grows_takes_what_is_left(width: int, widths: tuple[int | None, ...]) -> None:
    columns = (Column("run", grows=True, cut=0, least=4), Column("best", right=True))
    assert layout(columns, [("plain", "0.25")], width).widths == widths


def test_a_table_without_headings_has_no_empty_line() -> None:
    assert list(text_lines([Column(), Column()], [("a", "b"), ("한글", "c")])) == ["a     b", "한글  c"]
    named = [Column(), replace(Column(), heading="h")]
    assert list(text_lines(named, [("a", "b")])) == ["   h", "a  b"]
