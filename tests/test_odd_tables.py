"""Tests tables that look like others: numbers as names, delimiters in words, old encodings, identifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bntui.scenario.data import Data
from bntui.text.language import use
from tests.korean import korean
from tests.test_tables import notes, read, refused, rows

VALUES = np.random.default_rng(7).normal(size=(20, 4)).round(3)
COUNTS = np.random.default_rng(7).integers(5, 90, (20, 4))


def below(header: str, values: np.ndarray, *, word: bool = False, mark: str = ".", delimiter: str = ",") -> str:
    """A header above a table; the target is the last column, or a word."""
    lines = []
    for number, row in enumerate(values.tolist()):
        cells = [str(cell).replace(".", mark) for cell in row]
        lines.append(delimiter.join([*cells, ("cat", "dog")[number % 2]] if word else cells))
    return rows(header, *lines)


# --- headers of numbers ---


@pytest.mark.parametrize(
    ("header", "values", "word"),
    [
        ("2018,2019,2020,2021", COUNTS, False),
        ("2018,2019,2020,2021,kind", COUNTS, True),
        ("400.5,401.0,401.5,402.0,kind", VALUES, True),
        ("400,410,420,430", VALUES, False),
        ("1,7,30,90", VALUES, False),
        ("0.5,1.0,2.0,4.0", COUNTS, False),
        ("2019,2019,2020,2020,kind", VALUES, True),
        ("100,200,300,400", COUNTS, False),
        ("10,20,30,40", COUNTS, False),
        ("0.1,0.2,0.3,0.4", VALUES, False),
        ("-0.4,-0.2,0.0,0.2,kind", VALUES, True),
        ("-20,-10,10,20", VALUES, False),
    ],
)
def test_years_days_and_wavelengths_above_a_table_are_no_sample(
    header: str, values: np.ndarray, word: bool, tmp_path: Path
) -> None:
    content = below(header, values, word=word)
    assert "may be column names or the first sample; set data.header = true or false" in refused(tmp_path, content)
    data = read(tmp_path, content, header=True)
    assert data.features == tuple(header.split(",")[: 4 if word else 3])
    np.testing.assert_array_equal(data.x, values[:, : len(data.features)])


@pytest.mark.parametrize(
    "first", ["5,3,1,0", "-5.5,3.25,1.5,0.5", "0,0,0,0", "1.5,2.5,3.75,4.5", "0.001,0.002,0.5,0.75"]
)
def test_a_first_sample_is_no_header(first: str, tmp_path: Path) -> None:
    wide = VALUES * 10
    data = read(tmp_path, below(first, wide))
    assert (len(data), data.features[0]) == (21, "column 1")
    np.testing.assert_array_equal(data.x[0], np.array(first.split(",")[:3], float))


def test_a_first_sample_in_equal_steps_is_one_like_others(tmp_path: Path) -> None:
    counted = np.array([3, 1, 5, 2, 4])[:, None] + np.arange(4)
    data = read(tmp_path, rows(*(",".join(map(str, row)) for row in counted.tolist())))
    np.testing.assert_array_equal(data.x, counted[:, :3])


@pytest.mark.parametrize("columns", [[0.1, 0.2, 0.3, 0.4], [-1, 0, 1, 2], [2020, 2030, 2031, 2035], list("abcd")])
def test_numbers_above_an_index_that_pandas_writes_are_names(columns: list[Any], tmp_path: Path) -> None:
    indexed = (f"{number},{','.join(map(str, row))}" for number, row in enumerate(VALUES.tolist()))
    data = read(tmp_path, rows(",".join(["", *map(str, columns)]), *indexed))
    assert data.features == tuple(map(str, columns[:3]))
    np.testing.assert_array_equal(data.x, VALUES[:, :3])
    np.testing.assert_array_equal(data.y[:, 0], VALUES[:, 3].astype(np.float32))


def test_a_value_missing_in_the_first_sample_makes_it_no_header(tmp_path: Path) -> None:
    assert "row 1, column 'column 1': empty" in refused(tmp_path, ",5.5,6.5\n2,2.5,3.5\n3,5.1,6.1\n4,8.1,9.2\n")


def test_dates_above_numbers_are_names(tmp_path: Path) -> None:
    data = read(tmp_path, below("2024-01-01,2024-01-02,2024-01-03,2024-01-04", VALUES))
    assert data.features == ("2024-01-01", "2024-01-02", "2024-01-03")
    np.testing.assert_array_equal(data.x, VALUES[:, :3])


def test_two_columns_may_begin_at_zero_and_one(tmp_path: Path) -> None:
    angles = np.linspace(0, 2, 21)
    content = rows(*(f"{angle:g},{np.cos(angle):.6g}" for angle in angles))
    assert content.startswith("0,1\n0.1,0.995004\n")
    assert "set data.header" in refused(tmp_path, content)
    assert len(read(tmp_path, content, header=False)) == 21


# --- delimiters ---


@pytest.mark.parametrize("header", ["a b c y", None])
def test_white_space_between_decimal_commas(header: str | None, tmp_path: Path) -> None:
    content = below(header or "", VALUES, mark=",", delimiter=" ")
    data = read(tmp_path, content if header else content[1:], "t.txt")
    np.testing.assert_array_equal(data.x, VALUES[:, :3])
    assert data.reading is not None
    assert (data.reading.delimiter, data.reading.decimal) == (" ", ",")


@pytest.mark.parametrize("header", ["a y\n", ""])
def test_one_decimal_comma_before_a_word(header: str, tmp_path: Path) -> None:
    content = header + "".join(f"{n},{n % 7}e+02 {('cat', 'dog')[n % 2]}\n" for n in range(9))
    data = read(tmp_path, content)
    assert data.x[:, 0].tolist() == [float(f"{n}.{n % 7}e+02") for n in range(9)]
    assert data.classes == ("cat", "dog")


def test_white_space_between_numbers_and_a_tab_before_words(tmp_path: Path) -> None:
    """As in auto-mpg.data of the UCI repository."""
    cars = ("ford pinto", "amc gremlin")
    content = rows(*(f'{18 + n}.0   {n % 3}   {300 + n}.5      13{n}.0\t"{cars[n % 2]}"' for n in range(10)))
    data = read(tmp_path, content, "auto-mpg.data")
    assert data.x.tolist() == [[18.0 + n, n % 3, 300.5 + n, float(f"13{n}")] for n in range(10)]
    assert data.classes == ("amc gremlin", "ford pinto")


@pytest.mark.parametrize(
    "written", ["{} Jan 2024", "{}-Jan-2024 12:30", "Jan {}, 2024", "2024. 1. {}.", "2024년 1월 {}일"]
)
def test_dates_with_spaces_are_one_cell(written: str, tmp_path: Path) -> None:
    content = rows("when,y", *(f'"{written.format(n)}",{n % 5}.5' for n in range(1, 13))).replace(
        '"', "" if "," not in written else '"'
    )
    message = refused(tmp_path, content)
    assert f"row 2, column 'when': {written.format(1)!r} is a date or a time" in message


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_delimiter_that_splits_nothing_is_not_blamed_on_quotes(delimiter: str, tmp_path: Path) -> None:
    message = refused(tmp_path, below("a,b,c,y", VALUES), delimiter=delimiter)
    assert 'row 1: only one column; if , separates the cells, set data.delimiter = ","' in message
    quoted = "".join(f'"{line}"\n' for line in below("a,b,c,y", VALUES).splitlines())
    assert "each row is one quoted cell; remove the quotes around the rows" in refused(tmp_path, quoted)


@pytest.mark.parametrize(
    ("column", "asked"), [("\u00e9", "e\u0301"), ("e\u0301", "\u00e9"), ("x" * 500, "x" * 500), ("a b", " a b ")]
)
def test_a_column_is_found_however_its_name_is_encoded(column: str, asked: str, tmp_path: Path) -> None:
    data = read(tmp_path, below(f"{column},b,c,y", VALUES), target=asked)
    np.testing.assert_array_equal(data.y[:, 0], VALUES[:, 0].astype(np.float32))
    assert data.features == ("b", "c", "y")


def test_a_feature_is_named_once() -> None:
    with pytest.raises(ValueError, match="names a column twice"):
        Data(source="t.csv", features=("a", "b", "a"))


def test_a_comma_and_a_space_that_may_both_split_are_refused(tmp_path: Path) -> None:
    content = rows(*(f"{n},5 {100 + n}" for n in range(9)))
    assert "'5 100' may be one number or several; set data.delimiter" in refused(tmp_path, content)
    spaced = read(tmp_path, content, delimiter=" ")
    assert spaced.x[:, 0].tolist() == [n + 0.5 for n in range(9)]
    assert read(tmp_path, content, delimiter=",").y[:, 0].tolist() == [5100.0 + n for n in range(9)]


@pytest.mark.parametrize(("delimiter", "words"), [("\t", "big, bad {}"), (";", "{}, big"), ("|", "a; b, {}")])
def test_words_may_hold_other_delimiters(delimiter: str, words: str, tmp_path: Path) -> None:
    lines = [f"{n}.5{delimiter}{words.format(('cat', 'dog')[n % 2])}" for n in range(8)]
    data = read(tmp_path, rows(f"a{delimiter}y", *lines))
    assert data.classes == (words.format("cat"), words.format("dog"))
    assert data.x[:, 0].tolist() == [n + 0.5 for n in range(8)]


def test_units_are_words_and_no_cells_of_their_own(tmp_path: Path) -> None:
    lines = [f"{n} kg,cat" for n in range(8)]
    assert "'0 kg' has a unit" in refused(tmp_path, rows("a,y", *lines))
    assert "'0 kg' has a unit" in refused(tmp_path, rows(*lines), header=False)


def test_narrow_spaces_group_thousands_between_spaces(tmp_path: Path) -> None:
    data = read(tmp_path, rows("a y", *(f"{n}\u202f500.25 {('cat', 'dog')[n % 2]}" for n in range(1, 9))), "t.txt")
    assert data.x[:, 0].tolist() == [1000 * n + 500.25 for n in range(1, 9)]


def test_a_separator_line_may_name_the_tab(tmp_path: Path) -> None:
    data = read(tmp_path, "sep=\t\na\ty\n1.5\tcat\n2.5\tdog\n3.5\tcat\n4.5\tdog\n")
    assert (data.features, len(data)) == (("a",), 4)


# --- encodings ---


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("latin-1", ("Temp °C", "Ärger", "Åland")), ("latin-1", ("µm", "²", "Übermut")),
        ("cp949", ("기온(°C)", "맑음", "흐림")), ("cp949", ("강수량(㎜)", "똠방각하", "비")),
        ("cp949", ("넓이 ㎡", "가·나", "大學校 다라")),
    ],
)  # fmt: skip
def test_western_signs_are_not_korean_and_korean_texts_hold_signs(
    encoding: str, words: tuple[str, str, str], tmp_path: Path
) -> None:
    name, *classes = words
    content = rows(f"{name},y", *(f"{n}.5,{classes[n % 2]}" for n in range(8)))
    data = read(tmp_path, content.encode(encoding))
    assert data.features == (name,)
    assert set(data.classes) == set(classes)


def test_letters_whose_accents_are_written_apart_are_the_same_letters(tmp_path: Path) -> None:
    apart, whole = "\u1100\u1161\u11a8", "\uac01"
    content = rows(f"{apart},b,u\u0308", *(f"{n}.5,{n},{(apart, whole, 'e')[n % 3]}" for n in range(9)))
    data = read(tmp_path, content, target="\u00fc", drop=(whole,))
    assert data.classes == ("e", whole)


# --- comments and missing values ---


@pytest.mark.parametrize("cell", ["#N/A", "#NA", "#DIV/0!", "#REF!", "#NAME?", "#VALUE!"])
def test_a_spreadsheets_error_is_a_missing_value_and_no_comment(cell: str, tmp_path: Path) -> None:
    message = refused(tmp_path, rows("a,y", "1.5,cat", f"{cell},dog", "2.5,cat", "3.5,dog", "4.5,dog"))
    assert f"row 3, column 'a': '{cell}' stands for a missing value" in message


@pytest.mark.parametrize("cell", ["na", "n.a.", "NaT", r"\N", "(null)", "#N/A"])
def test_a_missing_value_is_no_class(cell: str, tmp_path: Path) -> None:
    content = rows("a,y", "1.5,yes", "2.5,no", f"3.5,{cell}", "4.5,yes", "5.5,no", f"6.5,{cell}")
    assert "row 4, column 'y'" in refused(tmp_path, content)


def test_a_header_may_begin_with_a_number_sign(tmp_path: Path) -> None:
    data = read(tmp_path, rows("#,a,y", *(f"{n},{n * n}.5,{('cat', 'dog')[n % 2]}" for n in range(8))), target="y")
    assert data.features == ("#", "a")
    assert {"names", "counts"} <= notes(data)


# --- more digits than a float holds ---


def test_classes_of_many_digits_keep_all_of_them(tmp_path: Path) -> None:
    labels = [str(2**53 + n) for n in range(3)]
    content = rows("a,y", *(f"{n}.5,{labels[n % 3]}" for n in range(30)))
    for task in ("auto", "classification"):
        data = read(tmp_path, content, task=task)
        assert list(data.classes) == labels
        assert data.y.tolist() == [n % 3 for n in range(30)]
        assert "long" in notes(data)
    values = read(tmp_path, content, task="regression")
    assert values.y[:, 0].tolist() == [float(np.float32(2**53))] * 30
    assert "single" in notes(values)


def test_features_of_many_digits_are_noted(tmp_path: Path) -> None:
    content = "a,b,y\n" + "".join(f"{2**60 + n},{2.5 * n},{n % 2}\n" for n in range(9))
    assert "digits" in notes(read(tmp_path, content, scaling="standard"))
    exact = "a,b,y\n" + "".join(f"{2**60 + 2**20 * n},1.23456789012345678,{n % 2}\n" for n in range(9))
    assert "digits" not in notes(read(tmp_path, exact, scaling="standard"))


# --- columns and targets that deserve a look ---


@pytest.mark.parametrize(
    ("header", "cells", "names", "noted"),
    [
        ("Unnamed: 0.1,Unnamed: 0,a,y", "{n},{shuffled},{a},{w}", ("a",), "index"),
        (",Unnamed: 0,a,y", "{n},{shuffled},{a},{w}", ("a",), "index"),
        (",a,y", "{half},{a},{w}", ("column 1", "a"), "unnamed"),
        (",a,y", "0.{shuffled},{a},{w}", ("column 1", "a"), "unnamed"),
        ("row,a,y", "1{n:02d},{a},{w}", ("row", "a"), "counts"),
        ("sample,a,y", "{shuffled},{a},{w}", ("sample", "a"), "counts"),
        ("연번,a,y", "7{shuffled}3,{a},{w}", ("연번", "a"), "identifier"),
        ("No.,a,y", "7{shuffled}3,{a},{w}", ("No.", "a"), "identifier"),
        ("y,a,y", "{a},{a},{w}", ("y", "a"), "doubled"),
    ],
)  # fmt: skip
def test_no_index_becomes_a_feature_without_a_word(
    header: str, cells: str, names: tuple[str, ...], noted: str, tmp_path: Path
) -> None:
    lines = [
        cells.format(n=n, shuffled=n * 7 % 20, half=n % 10, a=f"{n * n % 13}.25", w=("cat", "dog")[n % 2])
        for n in range(20)
    ]
    data = read(tmp_path, rows(header, *lines))
    assert data.features == names
    assert noted in notes(data)
    use("ko")
    assert data.reading is not None
    assert all(map(korean, data.reading.lines()))


def test_a_column_without_a_name_is_dropped_by_its_number_in_every_language(tmp_path: Path) -> None:
    content = rows(",a,y", *(f"{n % 3},{n}.5,{n % 2}" for n in range(9)))
    use("ko")
    assert read(tmp_path, content, drop=("column 1",)).features == ("a",)


@pytest.mark.parametrize(
    ("targets", "noted"),
    [
        ([2005 + n % 15 for n in range(60)], "codes"), ([50_000 * (n % 11) for n in range(60)], "codes"),
        ([n % 2 for n in range(60)], None), ([3.5] * 60, "level"), (["cat", "dog"] * 30 + ["bird"], "single sample"),
    ],
)  # fmt: skip
def test_what_a_target_may_also_mean_is_told(targets: list[Any], noted: str | None, tmp_path: Path) -> None:
    content = rows("a,y", *(f"{n * 0.37:.3f},{target}" for n, target in enumerate(targets)))
    found = notes(read(tmp_path, content)) & {"codes", "level", "single sample"}
    assert found == ({noted} if noted else set())


@pytest.mark.parametrize(("delimiter", "noted"), [(";", True), ("\t", True), ("|", True), (",", False)])
def test_points_that_may_group_thousands_are_told_where_no_comma_splits(
    delimiter: str, noted: bool, tmp_path: Path
) -> None:
    data = read(tmp_path, rows(f"a{delimiter}y", *(f"{n}.500{delimiter}{n % 2}" for n in range(1, 9))))
    assert ("points" in notes(data)) is noted
