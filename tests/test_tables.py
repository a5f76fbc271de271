"""Tests that tables of text are read with the right values or refused with a sentence, and that inferences are
reported.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.errors import DataError
from bntui.scenario.data import Data
from bntui.text.language import use
from bntui.trainer.data.cells import COMMA, POINT, number
from bntui.trainer.data.contents import Choices
from bntui.trainer.data.dataset import Dataset, fit_scaling, load_data
from bntui.trainer.data.read import read_file
from tests.dialects import DIALECTS, FEATURES, NUMBERS, WORDS, Dialect
from tests.korean import korean


def read(folder: Path, content: str | bytes, name: str = "t.csv", **keys: Any) -> Dataset:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return load_data(Data(source=name, **keys), folder, 0)


def refused(folder: Path, content: str | bytes, name: str = "t.csv", **keys: Any) -> str:
    with pytest.raises(DataError) as wrong:
        read(folder, content, name, **keys)
    return str(wrong.value)


def notes(data: Dataset) -> set[str]:
    assert data.reading is not None
    return {note.name for note in data.reading.notes}


def rows(*lines: str) -> str:
    return "\n".join(lines) + "\n"


# --- dialects ---


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_dialect_gives_its_values(dialect: Dialect, tmp_path: Path) -> None:
    data = read(tmp_path, dialect.content, f"t{dialect.suffix}")
    np.testing.assert_array_equal(data.x, FEATURES if dialect.x is None else dialect.x)
    assert data.features == (dialect.features or ("column 1", "column 2"))
    if dialect.words:
        assert [data.classes[number] for number in data.y.astype(int)] == list(WORDS)
        assert data.task == "classification"
    else:
        assert data.y[:, 0].tolist() == list(NUMBERS)
        assert data.task == "regression"


def test_what_was_inferred_is_told(tmp_path: Path) -> None:
    data = read(tmp_path, "\ufeffid;größe;y\n1;0,5;ja\n2;1,5;nein\n3;2,5;ja\n4;3,5;nein\n")
    assert data.reading is not None
    told = "\n".join(data.reading.lines())
    for part in (
        "t.csv", "4 samples of 2", "classification, 2 classes", "target 'y'", "encoding utf-8-sig", "delimiter ';'",
        "header: yes", "decimal ','", "values 0.5 to 4", "column 'id' counts the rows (1 to 4)", 'drop = ["id"]',
    ):  # fmt: skip
        assert part in told
    use("ko")
    assert all(map(korean, data.reading.lines()))


# --- which row is the header ---


@pytest.mark.parametrize(
    ("content", "names", "samples"),
    [
        (rows("0,1,label", "0,0,yes", "1,2,no", "2,4,yes", "3,6,no"), ("0", "1"), 4),
        (rows("2019,2020,y", "1.5,2.5,3", "2.5,3.5,4", "3.5,1.5,5", "4.5,0.5,4"), ("2019", "2020"), 4),
        (rows("5.1,3.5,cat", "4.9,3.0,dog", "4.7,3.2,cat", "4.6,3.1,dog"), ("column 1", "column 2"), 4),
        (rows("5,3,cat", "4,3,dog", "4,3,cat", "4,3,dog"), ("column 1", "column 2"), 4),
        (rows("1,2,0", "3,4,1", "5,6,0", "7,8,1"), ("column 1", "column 2"), 4),
        (rows("5.1,3.5,once", "4.9,3.0,dog", "4.7,3.2,cat", "4.6,3.1,dog", "1.5,2.5,cat"), ("column 1", "column 2"), 5),
        (rows("yes,no,1.5", "no,yes,2.5", "yes,yes,3.5", "no,no,4.5"), ("column 1", "column 2"), 4),
        (rows("x,,y", "1.5,7,2.5", "2.5,3,2.5", "3.5,4,1.5", "4.5,7,0.5"), ("x", "column 2"), 4),
    ],
)
def test_the_header_is_found_by_what_is_below_it(
    content: str, names: tuple[str, ...], samples: int, tmp_path: Path
) -> None:
    data = read(tmp_path, content)
    assert (data.features, len(data)) == (names, samples)


@pytest.mark.parametrize(
    "content",
    [
        rows("0,1,2", "1,2,3", "2,3,4", "5,6,7", "0,0,1"),
        rows("2019,2020,y", "1,2,3", "2,3,4", "3,1,5", "4,0,4"),
        rows("7,3,rare", "4,2,dog", "4,3,cat", "4,3,dog", "1,1,cat"),
        rows("2001,2002,2003", "1.5,2.5,3.5", "2.5,3.5,4.5", "3.5,1.5,5.5", "4.5,0.5,4.5"),
    ],
)
def test_a_row_that_may_be_names_or_values_is_refused_and_a_key_decides(content: str, tmp_path: Path) -> None:
    message = refused(tmp_path, content)
    assert "t.csv: row 1: " in message
    assert "set data.header = true or false" in message
    count = content.count("\n")
    if "y" not in content:
        assert len(read(tmp_path, content, header=False)) == count
    assert len(read(tmp_path, content, header=True)) == count - 1


# --- the decimal mark ---


def test_numbers_that_either_mark_reads_otherwise_are_refused_with_both_readings(tmp_path: Path) -> None:
    content = rows("a;y", "1,234;1", "2,345;0", "3,456;1", "4,567;0")
    message = refused(tmp_path, content)
    assert "row 2, column 'a': '1,234' may be 1234 or 1.234" in message
    assert 'data.decimal = "." or ","' in message
    assert read(tmp_path, content, decimal=",").x[:, 0].tolist() == [1.234, 2.345, 3.456, 4.567]
    assert read(tmp_path, content, decimal=".").x[:, 0].tolist() == [1234, 2345, 3456, 4567]


def test_one_cell_that_only_one_mark_reads_decides_for_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, rows("a;y", "1,234;1", "2,5;0", "3;1", "4;0")).x[:, 0].tolist() == [1.234, 2.5, 3, 4]
    assert read(tmp_path, rows("a;y", "1,234;1", "2.5;0", "3;1", "4;0")).x[:, 0].tolist() == [1234, 2.5, 3, 4]
    assert read(tmp_path, rows("a;y", "1,234;1", "0,123;0", "3;1", "4;0")).x[:, 0].tolist() == [1.234, 0.123, 3, 4]
    data = read(tmp_path, rows("a;y", "1,234;0,5", "5,678;2,25", "3;1", "4;0"))
    assert data.x[:, 0].tolist() == [1.234, 5.678, 3, 4]
    assert data.y[:, 0].tolist() == [0.5, 2.25, 1, 0]


def test_a_decimal_comma_late_in_the_file_is_found(tmp_path: Path) -> None:
    lines = [f"{n % 7};{n % 5}" for n in range(5000)]
    data = read(tmp_path, rows("a;y", *lines, "2,5;1"))
    assert data.x[-1, 0] == 2.5
    assert data.reading is not None
    assert data.reading.decimal == ","


def test_both_marks_in_one_file_are_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, rows("a;y", "1.5;1", "2,5;0", "3.5;1", "4.25;0"))
    assert (
        "row 3, column 'a': '2,5' is not a number with a decimal '.', unlike other cells; set data.decimal" in message
    )
    message = refused(tmp_path, rows("a;y", "1.5;1,5", "2.5;2,5", "3.5;1,5", "4.5;2,5"))
    assert "'1,5' is not a number with a decimal '.'" in message


def test_a_point_that_may_group_thousands_is_said(tmp_path: Path) -> None:
    data = read(tmp_path, rows("a;y", "1.234;1", "2.345;0", "3.456;1", "4.567;0"))
    assert data.x[0, 0] == 1.234
    assert "points" in notes(data)
    assert read(tmp_path, rows("a;y", "1.234;1", "2.345;0", "3.456;1", "4.567;0"), decimal=",").x[0, 0] == 1234


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([POINT, COMMA]))
def test_what_python_writes_is_read_to_the_last_bit(value: float, mark: str) -> None:
    assert number(repr(value).replace(".", mark), mark) == value


@given(st.integers(-(10**15), 10**15), st.sampled_from([(POINT, ","), (COMMA, "."), (POINT, "'"), (COMMA, " ")]))
def test_groups_of_thousands_are_read_as_they_were_written(value: int, marks: tuple[str, str]) -> None:
    mark, group = marks
    written = f"{value:,}".replace(",", group)
    assert number(written, mark) == value
    assert number(f"{written}{mark}5", mark) == float(f"{value}.5")


@pytest.mark.parametrize(
    "cell",
    ["", "1_000", "0x10", "nan", "NA", "1e", "--1", "1,2,3", "12,34.5", "0,123,456", "1 2", "１２", "1e5e5", "5 kg"],
)
def test_what_is_no_number_under_a_decimal_point(cell: str) -> None:
    assert number(cell, POINT) is None


# --- columns ---


def test_an_index_is_left_out_only_where_it_has_no_name(tmp_path: Path) -> None:
    shuffled = rows(",a,y", "7,1.5,2.5", "3,2.5,1.5", "9,3.5,0.5", "1,4.5,1.5")
    data = read(tmp_path, shuffled)
    assert data.features == ("a",)
    assert "index" in notes(data)
    named = read(tmp_path, rows("id,a,y", "0,1.5,2.5", "1,2.5,1.5", "2,3.5,0.5", "3,4.5,1.5"))
    assert named.features == ("id", "a")
    assert "counts" in notes(named)
    assert read(tmp_path, shuffled, features=("column 1", "a")).features == ("column 1", "a")


@pytest.mark.parametrize(
    ("name", "step", "said"),
    [
        ("user_id", 3, True), ("CustomerID", 7, True), ("Order No", 2, True), ("고객번호", 5, True),
        ("valid", 3, False), ("grid", 3, False), ("area", 3, False), ("user_id", 0, False),
    ],
)  # fmt: skip
def test_a_column_that_identifies_its_samples_is_noted_and_kept(
    name: str, step: int, said: bool, tmp_path: Path
) -> None:
    data = read(tmp_path, f"{name},a,y\n" + "".join(f"{100 + step * i},{i % 7}.5,{i % 2}\n" for i in range(40)))
    assert data.features == (name, "a")
    assert ("identifier" in notes(data)) is said


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    content = rows("id,city,a,b,y", "1,Seoul,5,6,0", "2,Busan,6,7,1", "3,Daegu,7,8,0", "4,Jeju,8,9,1")
    assert read(tmp_path, content, drop=("id", "city")).features == ("a", "b")
    data = read(tmp_path, content, features=("b", "a"))
    assert data.features == ("b", "a")
    assert data.x[0].tolist() == [6, 5]
    data = read(tmp_path, content, drop=("city", "y"), target="a", task="regression")
    assert (data.features, data.y[:, 0].tolist()) == (("id", "b"), [5, 6, 7, 8])
    last = read(tmp_path, content, drop=("y", "city"), task="regression")
    assert last.y[:, 0].tolist() == [6, 7, 8, 9]
    headless = read(tmp_path, content.split("\n", 1)[1], drop=("column 2",), header=False)
    assert headless.features == ("column 1", "column 3", "column 4")


def test_wrong_names_are_said_at_once(tmp_path: Path) -> None:
    content = rows("a,b,y", "1,2,0", "2,3,1", "3,4,0", "5,6,1")
    message = refused(tmp_path, content, drop=("c", "d"), target="z")
    for part in ("no column 'c' (data.drop)", "no column 'd' (data.drop)", "no column 'z' (data.target)"):
        assert part in message
    assert "column 'y' is the target" in refused(tmp_path, content, drop=("y",), target="y")
    assert "name the target with data.target" in refused(tmp_path, content, features=("a", "b", "y"))
    assert "no features are left" in refused(tmp_path, content, drop=("a", "b"))


def test_columns_that_deserve_a_look_are_noted(tmp_path: Path) -> None:
    content = rows("c,day,a,a,y", *(f"3,2024013{n % 2},{n}.5,{n * n},{n % 2}" for n in range(6)))
    found = read(tmp_path, content)
    assert {"constant", "dates", "doubled"} <= notes(found)


# --- faults ---


def test_all_faults_are_said_at_once_and_no_more_than_ten(tmp_path: Path) -> None:
    lines = [f"{n}.5,{n}.25,{n % 2}" for n in range(60)]
    lines[3], lines[7], lines[9] = "x,1,0", "1,NA,1", "1,2"
    message = refused(tmp_path, rows("a,b,y", *lines))
    assert message.split("\n") == [
        f"{tmp_path}/t.csv: row 5, column 'a': 'x' is not a number",
        f"{tmp_path}/t.csv: row 9, column 'b': 'NA' stands for a missing value; fill it in or remove the row",
        f"{tmp_path}/t.csv: row 11, column 'y': is missing; the row has only 2 of the 3 cells of row 1",
    ]
    lines[20:40] = [f"?,{n},1" for n in range(20)]
    message = refused(tmp_path, rows("a,b,y", *lines))
    assert len(message.split("\n")) == 11
    assert message.endswith("… and 13 more")


def test_a_column_of_words_is_one_fault(tmp_path: Path) -> None:
    lines = [f"city{n},{n},{n % 2}" for n in range(50)]
    message = refused(tmp_path, rows("city,b,y", *lines))
    assert message.count("\n") == 0
    assert "row 2, column 'city': 'city0' is not a number (and 49 more cells of this column;" in message
    assert 'drop = ["city"] leaves it out' in message


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("", "empty"), ("NA", "missing value"), ("?", "missing value"), ("-", "missing value"), ("null", "missing"),
        ("2024-01-31", "a date or a time"), ("31.01.2024 12:30", "a date or a time"), ("12:30:05", "a date or a time"),
        ("12%", "currency or percent"), ("$1.50", "currency or percent"), ("€ 3", "currency or percent"),
        ("1_000", "not a number"), ("inf", "not a finite number"), ("1e39", "too large"), ("1e999", "finite number"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_cell(cell: str, why: str, tmp_path: Path) -> None:
    lines = [f"{n}.5,{n % 2}" for n in range(8)]
    lines[5] = f"{cell},1"
    message = refused(tmp_path, rows("a,y", *lines))
    assert "row 7, column 'a'" in message
    assert why in message
    use("ko")
    assert korean(refused(tmp_path, rows("a,y", *lines)).replace(str(tmp_path), ""))


def test_mixed_types_late_in_the_file_are_found(tmp_path: Path) -> None:
    lines = [f"{n % 13}.5,{n % 3}" for n in range(50_000)]
    lines[49_998] = "oops,1"
    assert "row 50000, column 'a': 'oops' is not a number" in refused(tmp_path, rows("a,y", *lines))
    lines[49_998] = "1.5,oops"
    assert "row 50000, column 'y': 'oops' is not a number like the others" in refused(tmp_path, rows("a,y", *lines))


def test_messages_hold_no_control_characters(tmp_path: Path) -> None:
    name = "t\x1b[31m\u202e.csv"
    path = tmp_path / name
    path.write_text(rows("a\u200b,b\u202ex,y", "1,\u202e,0", "1,2,1", "3,4,0", "5,6,1"))
    with pytest.raises(DataError) as wrong:
        read_file(path, Choices())
    assert str(wrong.value).isprintable()
    path.write_text(rows("a\u202e,y", "1,x\u202e", "2,x", "3,z", "5,z"))
    contents = read_file(path, Choices())
    assert (contents.features, contents.classes) == (("a",), ("x", "z"))
    assert all(line.isprintable() for line in contents.reading.lines())


# --- classification or regression ---


@pytest.mark.parametrize(
    ("targets", "classes"),
    [
        ([0, 1] * 4, 2),
        ([-1, 1] * 4, 2),
        ([3, 4, 5, 6, 7, 8] * 20, 6),
        ([5, 0, 4, 1, 9, 2, 1, 3, 1, 4] * 30, 7),
        (list(range(100)) * 5, 100),
        (list(range(1, 27)) * 6, 26),
        (list(range(100)) * 4, 0),  # fewer than five of each
        (list(range(5, 105)) * 10, 0),  # does not begin with 0 or 1
        ([1, 2, 3, 4, 5, 6, 7, 8], 0),
        ([100 * n for n in range(30)] * 9, 0),
        ([0.5, 1.5] * 9, 0),
    ],
)
def test_whole_numbers_are_classes_where_they_look_like_codes(
    targets: list[float], classes: int, tmp_path: Path
) -> None:
    content = rows("a,y", *(f"{n * 0.37:.3f},{target}" for n, target in enumerate(targets)))
    data = read(tmp_path, content)
    assert (data.task, len(data.classes)) == ("classification" if classes else "regression", classes)
    if not classes:
        assert data.y[:, 0].tolist() == targets
    np.savez(tmp_path / "t.npz", x=np.arange(len(targets)), y=targets)
    assert len(load_data(Data(source="t.npz"), tmp_path, 0).classes) == classes
    assert read(tmp_path, content, task="regression").task == "regression"


def test_prices_in_whole_hundreds_are_regression_and_said_to_be(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = rows("rooms,price", *(f"{n / 7:.2f},{price}00" for n, price in enumerate(rng.integers(150, 5000, 2000))))
    data = read(tmp_path, content)
    assert data.task == "regression"
    assert "whole" in notes(data)


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (("007", "010", "007", "010"), ("007", "010")),
        (("0.0", "1.0", "1.0", "0.0"), ("0", "1")),
        (("-0", "0", "1", "1"), ("0", "1")),
        (("True", "False", "True", "False"), ("False", "True")),
        (("10", "9", "10", "9"), ("9", "10")),
    ],
)
def test_classes_keep_their_names(cells: tuple[str, ...], classes: tuple[str, ...], tmp_path: Path) -> None:
    data = read(tmp_path, rows("a,y", *(f"{n}.5,{cell}" for n, cell in enumerate(cells))))
    assert data.classes == classes


def test_missing_values_are_no_class_unless_the_task_says_so(tmp_path: Path) -> None:
    content = rows("a,y", "1.5,yes", "2.5,no", "3.5,NA", "4.5,yes", "5.5,no", "6.5,NA")
    assert "row 4, column 'y': 'NA' stands for a missing value" in refused(tmp_path, content)
    assert read(tmp_path, content, task="classification").classes == ("NA", "no", "yes")


def test_too_many_classes_are_refused(tmp_path: Path) -> None:
    content = rows("a,y", *(f"{n}.5,w{n % 1500}" for n in range(3001)))
    assert "1,500 classes, more than 1,000" in refused(tmp_path, content)


# --- precision ---


def test_a_unix_time_is_scaled_before_it_is_rounded(tmp_path: Path) -> None:
    times = 1_700_000_000 + 4 * np.arange(900)
    data = read(tmp_path, rows("t,y", *(f"{time},{n % 7}.5" for n, time in enumerate(times))), scaling="standard")
    assert data.x.dtype == np.float64
    scaled = fit_scaling("standard", data.x).apply(data.x)
    assert scaled.dtype == np.float32
    assert len(np.unique(scaled)) == 900
    exact = (times - times.mean()) / times.std()
    np.testing.assert_allclose(scaled[:, 0], exact, rtol=1e-7, atol=1e-7)
    unscaled = read(tmp_path, rows("t,y", *(f"{time},{n % 7}.5" for n, time in enumerate(times))))
    assert "collapse" in notes(unscaled)


def test_what_float32_holds_exactly_stays_float32(tmp_path: Path) -> None:
    assert read(tmp_path, rows("a,y", "0.5,1", "255,0", "-3,1", "1e10,0")).x.dtype == np.float32
    data = read(tmp_path, rows("a,y", "0.1,1", "255,0", "-3,1", "7,0"))
    assert data.x.dtype == np.float64
    assert data.x[0, 0] == 0.1


# --- keys ---


@pytest.mark.parametrize(
    ("content", "keys", "expected"),
    [
        (rows("a:y", "1.5:0", "2.5:1", "3.5:0", "4.5:1"), {"delimiter": ":"}, [1.5, 2.5, 3.5, 4.5]),
        (rows("1:y", "1.5:0", "2.5:1", "3.5:0", "4.5:1"), {"delimiter": ":", "header": True}, [1.5, 2.5, 3.5, 4.5]),
        (rows("a y", "1,5 0", "2,5 1", "3,5 0", "4,5 1"), {"delimiter": " ", "decimal": ","}, [1.5, 2.5, 3.5, 4.5]),
    ],
)
def test_keys_override_what_is_inferred(
    content: str, keys: dict[str, Any], expected: list[float], tmp_path: Path
) -> None:
    assert read(tmp_path, content, **keys).x[:, 0].tolist() == expected


def test_what_was_inferred_survives_json(tmp_path: Path) -> None:
    from bntui.recording.reading import KEY, from_meta

    data = read(
        tmp_path, rows("id\tday\ty", "1\t20240131\t0.5", "2\t20240201\t1.5", "3\t20240202\t2.5", "4\t20240203\t1")
    )
    assert data.reading is not None
    again = from_meta({KEY: data.reading.as_json()})
    assert again == data.reading
    assert from_meta({}) is None
    found = json.loads(data.reading.as_json())
    for key, value in (("samples", "many"), ("shape", 3), ("notes", [{"name": "none", "figures": 3}]), ("low", 0)):
        assert from_meta({KEY: json.dumps({**found, key: value})}) is None
    hostile = json.dumps({**found, "source": "\x1b[31m" + "x" * 10_000, "notes": [{"name": "evil", "figures": {}}]})
    told = from_meta({KEY: hostile})
    assert told is not None
    assert all(line.isprintable() and len(line) < 500 for line in told.lines())
