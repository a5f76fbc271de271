"""Tests that arrays are noted and refused like columns of a table: targets that merge, many digits, empty words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bntui.errors import DataError
from bntui.scenario.data import Data
from bntui.trainer.data.dataset import Dataset, load_data

X = np.random.default_rng(5).normal(size=(40, 3))
CODES = np.arange(40) % 3


def read(folder: Path, x: NDArray[Any], y: NDArray[Any], **keys: Any) -> Dataset:
    np.savez(folder / "t.npz", x=x, y=y)
    return load_data(Data(source="t.npz", **keys), folder, 0)


def note(data: Dataset, name: str) -> dict[str, str] | None:
    assert data.reading is not None
    return next((dict(one.figures) for one in data.reading.notes if one.name == name), None)


@pytest.mark.parametrize("shape", [(40,), (40, 1)])
def test_a_target_that_single_precision_merges_is_noted(shape: tuple[int, ...], tmp_path: Path) -> None:
    times = 1_700_000_000.0 + 4 * np.arange(40)
    merged = len(set(times.astype(np.float32).tolist()))
    assert merged < 40
    found = note(read(tmp_path, X, times.reshape(shape)), "single")
    assert found == {"before": "40", "after": str(merged)}


def test_one_of_several_targets_that_merges_is_noted(tmp_path: Path) -> None:
    times = 1_700_000_000 + 4 * np.arange(40)
    found = note(read(tmp_path, X, np.stack([np.arange(40), times], axis=1), task="regression"), "single")
    assert found == {"before": "40", "after": str(len(set(times.astype(np.float32).tolist())))}


def test_a_target_that_is_the_same_everywhere_is_noted(tmp_path: Path) -> None:
    assert note(read(tmp_path, X, np.full(40, 5.5)), "level") == {"value": "5.5"}
    assert note(read(tmp_path, X, X[:, 0]), "level") is None


@pytest.mark.parametrize(
    ("column", "lost"),
    [
        (2**53 + 1 + 2 * np.arange(40, dtype=np.int64), True),
        (-(2**60) - 1 - np.arange(40, dtype=np.int64), True),
        (2**63 + np.arange(40, dtype=np.uint64), True),
        (np.full(40, 2**64 - 1, dtype=np.uint64), True),
        (2**53 + 2 * np.arange(40, dtype=np.int64), False),  # even numbers fit
        (np.arange(40, dtype=np.int64), False),
    ],
)
def test_whole_numbers_that_a_float_cannot_hold_are_noted(column: NDArray[Any], lost: bool, tmp_path: Path) -> None:
    assert any(int(float(value)) != value for value in column.tolist()) is lost
    x = np.stack([np.arange(40).astype(column.dtype), column], axis=1)
    assert note(read(tmp_path, x, CODES), "digits") == ({"names": "'x2'"} if lost else None)


def test_constant_features_are_noted(tmp_path: Path) -> None:
    x = X.copy()
    x[:, 1] = 7
    assert note(read(tmp_path, x, CODES), "constant") == {"names": "'x2'"}
    assert note(read(tmp_path, X, CODES), "constant") is None


def test_an_empty_word_is_no_class(tmp_path: Path) -> None:
    words = np.array(["cat", "", "dog", "cat"] * 10)
    with pytest.raises(DataError, match=r"array 'y': \[1\]: an empty word; name the class or remove the sample"):
        read(tmp_path, X, words)
