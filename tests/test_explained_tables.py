"""Tests tables as users bring them: what is drawn, titled, summed or packed is read, or refused with the cause."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bntui.scenario.data import Data
from tests.test_tables import notes, read, refused, rows

VALUES: NDArray[np.float64] = np.random.default_rng(3).normal(3, 1, (12, 2)).round(2)
KINDS = [("cat", "dog")[number % 2] for number in range(12)]
TARGETS = [f"{number * 1.25 + 0.125}" for number in range(12)]


def cells(*, words: bool = True) -> list[list[str]]:
    last = KINDS if words else TARGETS
    return [[f"{a:.2f}", f"{b:.2f}", end] for (a, b), end in zip(VALUES.tolist(), last, strict=True)]


def lines(delimiter: str = ",", *, words: bool = True, before: str = "", after: str = "") -> list[str]:
    return [before + delimiter.join(row) + after for row in cells(words=words)]


def table(*, words: bool = True) -> list[str]:
    return ["a,b,kind", *lines(words=words)]


# --- what is read ---


@pytest.mark.parametrize(
    "content",
    [
        ["| a | b | kind |", "|---|---|---|", *lines(" | ", before="| ", after=" |")],
        ["| a   | b  | kind |", "|:----|---:|:---:|", *lines(" | ", before="| ", after=" |")],
        ["a | b | kind", "--- | --- | ---", *lines(" | ")],
        ["+---+---+---+", "| a | b | kind |", "+===+===+===+", *lines("|", before="|", after="|"), "+---+---+---+"],
        [" a | b | kind", "---+---+-----", *lines(" | ", before=" ")],
        ["a::b::kind", *lines("::")],
        ["a||b||kind", *lines("||")],
        ["a;;b;;kind", *lines(";;")],
        ["a,b,kind,,,", *lines(after=",,,")],
        ["a,b,kind", *lines(after=",,,")],
        ["a,b,kind,", *lines()],
        [",a,b,kind", *lines(before=",")],
        ['"sep=;"', "a;b;kind", *lines(";")],
    ],
)
def test_what_separates_nothing_is_left_out(content: list[str], tmp_path: Path) -> None:
    data = read(tmp_path, rows(*content))
    assert (data.features, data.classes) == (("a", "b"), ("cat", "dog"))
    np.testing.assert_array_equal(data.x, VALUES)
    assert [data.classes[number] for number in data.y] == KINDS


def test_two_colons_split_as_in_movielens_and_not_inside_quotes(tmp_path: Path) -> None:
    ratings = [(user, movie, (user + movie) % 5 + 1) for user in range(6) for movie in range(6)]
    data = read(tmp_path, rows(*(f"{user}::{movie}::{stars}" for user, movie, stars in ratings)), "ratings.dat")
    np.testing.assert_array_equal(data.x, [row[:2] for row in ratings])
    quoted = read(tmp_path, rows("a::kind", *(f'{n}.5::"{kind}::{kind}"' for n, kind in enumerate(KINDS))))
    assert quoted.classes == ("cat::cat", "dog::dog")
    assert read(tmp_path, rows(*(f"{n}.5,std::{kind}" for n, kind in enumerate(KINDS)))).classes[0] == "std::cat"


def test_hyphens_below_the_rule_of_a_markdown_table_are_missing_values(tmp_path: Path) -> None:
    content = rows("| a | y |", "|---|---|", *(f"| {n} | {n}.5 |" for n in range(6)), "| --- | --- |")
    assert "row 9, column 'a': '---' is not a number" in refused(tmp_path, content)


def test_a_column_that_is_empty_at_first_only_is_refused(tmp_path: Path) -> None:
    content = rows("a,y,", *(f"{n},{n}.5," for n in range(1500)), "7,8.5,9")
    assert "row 1502, column 'column 3': '9' is in a column without a name" in refused(tmp_path, content)


# --- what is refused with its cause ---


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (["Trial of 2024", *table()], "row 1: 'Trial of 2024' is above the table, which begins in row 2"),
        (["Trial, 2024", *table()], "row 1: 'Trial' is above the table, which begins in row 2"),
        (["Trial,,", "Date,2024-01-02,", ",,", *table()], "row 1: 'Trial' is above the table, which begins in row 4"),
        (["Trial", *lines()], "row 1: 'Trial' is above the table, which begins in row 2"),
        (["% made by hand", *table()], "row 1: '% made by hand' is above the table"),
        (["a,b,y", "[m],[s],", *lines(words=False)], "row 2: '[m]' is in a second row of names or units"),
        (["x,x,y", "a,b,c", *lines(words=False)], "row 2: 'a' is in a second row of names or units"),
        ([*table(), "Source: the office"], "row 14, column 'a': 'Source: the office' is not a row of the table"),
        ([*table(), *table()], "row 14, column 'a': repeats the names of row 1"),
        (["a^b^kind", *lines("^")], 'if ^ separates the cells, set data.delimiter = "^"'),
        ([f'"{line}"' for line in table()], "each row is one quoted cell"),
        (["a,b", *("1,5,2,5" for _ in range(9))], "2 names above 4 cells: decimal commas?"),
        (["my a my b kind", *lines("  ")], "5 names above 3 cells; a name that contains spaces"),
        (['[{"a": 1, "b": 2},', *['{"a": 1, "b": 2},'] * 9], "row 1: JSON, not a table"),
        (["<table>", "<tr><td>1</td></tr>", "</table>"], "row 1: HTML or XML, not a table"),
        (["version https://git-lfs.github.com/spec/v1", "oid sha256:a", "size 1"], "row 1: a pointer of Git LFS"),
        (["<<<<<<< HEAD", *table(), "=======", *table(), ">>>>>>> main"], "row 1: a merge conflict of Git"),
        (["@relation r", "@attribute a numeric", "@data", *lines()], "row 1: ARFF, not CSV"),
        ([f"{n % 2} 1:{n}.5 2:3" for n in range(9)], "row 1: LIBSVM format"),
        ([f"[{n} {n}.5]" for n in range(9)], "row 1: brackets around numbers"),
    ],
)
def test_one_cause_is_told_instead_of_many_faults(content: list[str], told: str, tmp_path: Path) -> None:
    message = refused(tmp_path, rows(*content))
    assert told in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("3.1 kg", "has a unit"), ("5m/s2", "has a unit"), ("0x1F", "is not a number"), ("5f3a9c", "is not a number"),
        ("'3.1'", "has quotation marks"), ("“3.1”", "has quotation marks"), ("\u200b3.1", "has an invisible character"),
        ("—", "stands for a missing value"), ("..", "stands for a missing value"),
        ("Total", "labels a row computed from the others"), ("Mean:", "labels a row computed from the others"),
        ("1.5D+03", "has an exponent of Fortran; write e for d"), ("-2d3", "has an exponent of Fortran"),
        ("５", "digits of another script; write them as 0 to 9"), ("1.٥", "digits of another script"),
        ("31 Jan 2024", "is a date or a time"), ("1-sep-24 12:30", "is a date or a time"),
        ("May 2024", "is a date or a time"), ("2024년 1월 31일", "is a date or a time"),
        ("2024. 1. 31.", "is a date or a time"), ("3 may", "has a unit"),
    ],
)  # fmt: skip
def test_why_a_cell_is_no_number(cell: str, why: str, tmp_path: Path) -> None:
    message = refused(tmp_path, rows(*table(), f"{cell},1,cat"))
    assert message.startswith(f"{tmp_path / 't.csv'}: row 14, column 'a': ")
    assert why in message


# --- what was read wrongly without a word ---


@pytest.mark.parametrize(
    ("header", "noted"),
    [
        ("label,b,c", {"name": "'label'", "target": "'c'", "quoted": '"label"'}),
        ("a,Class,c", {"name": "'Class'", "target": "'c'", "quoted": '"Class"'}),
        ("y,b,c", {"name": "'y'", "target": "'c'", "quoted": '"y"'}),
        ("x,y,z", None),  # coordinates
        ("label,b,target", None),
        ("a,b,label", None),
    ],
)
def test_a_feature_that_is_named_like_the_target_is_noted(
    header: str, noted: dict[str, str] | None, tmp_path: Path
) -> None:
    content = rows(header, *(f"{n % 3},{n % 4}.5,{n * 1.37:.2f}" for n in range(24)))
    reading = read(tmp_path, content).reading
    assert reading is not None
    assert next((dict(note.figures) for note in reading.notes if note.name == "other target"), None) == noted
    chosen = read(tmp_path, content, target=header.split(",")[0])
    assert "other target" not in notes(chosen)


def test_a_row_of_totals_is_no_sample_where_its_label_is_not_read(tmp_path: Path) -> None:
    named = [",a,b,y", *(f"p{n},{line}" for n, line in enumerate(lines(words=False)))]
    total = ",".join(["Total", *map(str, VALUES.sum(axis=0).round(2).tolist()), "91.5"])
    told = "row 14, column 'column 1': 'Total' labels a row computed from the others"
    assert told in refused(tmp_path, rows(*named, total))
    assert len(read(tmp_path, rows(*named, total), samples=12)) == 12
    assert "column 'kind': 'Total' labels" in refused(tmp_path, rows(*table(), "36,35,Total"))
    assert "total" in read(tmp_path, rows("a,kind", *(f"{n},{('total', 'part')[n % 2]}" for n in range(9)))).classes


def test_a_last_row_of_sums_without_a_label_is_noted(tmp_path: Path) -> None:
    total = ",".join(map(str, [*VALUES.sum(axis=0).round(2).tolist(), 12 * 0.125 + 1.25 * 66]))
    assert "sums" in notes(read(tmp_path, rows(*table(words=False), total)))
    assert "sums" not in notes(read(tmp_path, rows(*table(words=False), "36,35,9.5")))


@pytest.mark.parametrize("signed", ["{}%", "${}", "€ {}", "2024-01-0{}"])
def test_a_target_of_amounts_is_not_classes_unless_the_task_says_so(signed: str, tmp_path: Path) -> None:
    content = rows("a,y", *(f"{n}.5,{signed.format(n % 3 + 1)}" for n in range(12)))
    assert 'if these are classes, set data.task = "classification"' in refused(tmp_path, content)
    assert len(read(tmp_path, content, task="classification").classes) == 3


def test_classes_that_are_amounts_with_units_are_noted(tmp_path: Path) -> None:
    assert "units" in notes(read(tmp_path, rows("a,y", *(f"{n}.5,{n % 3 + 1} mg" for n in range(12)))))
    assert "units" not in notes(read(tmp_path, rows(*table())))


@pytest.mark.parametrize(
    ("far", "noted"), [("-999", True), ("99999", True), ("-9999", True), ("-998", False), ("99", True), ("9", False)]
)
def test_a_number_that_stands_for_a_missing_value_is_noted(far: str, noted: bool, tmp_path: Path) -> None:
    assert ("sentinel" in notes(read(tmp_path, rows(*table(), f"{far},1,cat")))) == noted


def test_a_value_of_999_among_others_is_not_noted(tmp_path: Path) -> None:
    assert "sentinel" not in notes(read(tmp_path, rows("a,y", *(f"{n},{n}.5" for n in range(900, 1000, 9)))))


def test_classes_that_differ_in_spaces_are_noted(tmp_path: Path) -> None:
    foxes = ("red fox", "red  fox", "cat")
    assert "spellings" in notes(read(tmp_path, rows("a,y", *(f"{n}.5,{foxes[n % 3]}" for n in range(9)))))


# --- files of other formats ---


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            gzip.compress(gzip.compress(b"a,b\n1,2\n", mtime=0), mtime=0),
            "compressed; unpack it first, for example with gunzip",
        ),
        (b"PK\x03\x04" + bytes(64), "Excel (.xlsx) / ZIP, not a text table; save it as CSV"),
        (b"PAR1" + bytes(64), "Parquet, not a text table"),
        (b"\x93NUMPY\x01\x00" + bytes(64), "NumPy (.npy), not a text table"),
    ],
)
def test_other_formats_are_named(content: bytes, told: str, tmp_path: Path) -> None:
    assert told in refused(tmp_path, content)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("t.csv.bz2", "unpack it first"),
        ("t.npz.gz", "unpack it first"),
        ("https://example.org/t.csv", "download the file, and give its path"),
        ("s3://bucket/t.npz", "download the file"),
        ("t.XLSX", "save it as CSV"),
        ("t.parquet", "save it as CSV"),
    ],
)
def test_a_name_of_another_format_says_what_to_do(source: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Data(source=source)
