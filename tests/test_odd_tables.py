"""Tests tables that a simpler reader takes for others: numbers as names, delimiters in words, old encodings, identifiers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.test_tables import read, refused, rows

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
        ("100,200,300,400", COUNTS, False),
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
    "first", ["5,3,1,0", "-5.5,3.25,1.5,0.5", "0,0,0,0", "1.5,2.5,3.5,4.5", "0.001,0.002,0.5,0.75"]
)
def test_a_first_sample_is_no_header(first: str, tmp_path: Path) -> None:
    wide = VALUES * 10
    data = read(tmp_path, below(first, wide))
    assert (len(data), data.features[0]) == (21, "column 1")
    np.testing.assert_array_equal(data.x[0], np.array(first.split(",")[:3], float))


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
