"""Tests data, splits, and scaling against scikit-learn, formulas, and files written byte by byte."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn import datasets as sklearn_datasets
from sklearn.linear_model import LogisticRegression

from bntui.errors import DataError
from bntui.scenario.checks import split_counts
from bntui.scenario.data import Data
from bntui.scenario.sources import BUILTIN_DATA
from bntui.trainer.data.dataset import Dataset, ScalingKind, fit_scaling, load_data, split_indices
from bntui.trainer.data.generated import DEFAULT_NOISE, DEFAULT_SAMPLES, REGRESSION

HERE = Path()
CHANNELS = [
    pytest.param((5, 7, 6), (5, 1, 7, 6), id="one channel axis is added"),
    pytest.param((5, 7, 6, 3), (5, 3, 7, 6), id="channels last are moved"),
    pytest.param((5, 3, 7, 6), (5, 3, 7, 6), id="channels first stay"),
    pytest.param((5, 3, 7, 4), (5, 3, 7, 4), id="ambiguous is channels first"),
    pytest.param((5, 7), (5, 7), id="a table stays"),
    pytest.param((5,), (5, 1), id="one feature"),
]


def write(folder: Path, text: str, name: str = "points.csv") -> Data:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return Data(source=name)


def error(config: Data, folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_data(config, folder, 0)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def idx(values: NDArray[Any], code: int = 0x08) -> bytes:
    """The IDX format as its authors describe it, by hand."""
    head = bytes([0, 0, code, values.ndim]) + b"".join(struct.pack(">I", size) for size in values.shape)
    kind = {0x08: "B", 0x09: "b", 0x0B: "h", 0x0C: "i", 0x0D: "f", 0x0E: "d"}[code]
    return head + struct.pack(f">{values.size}{kind}", *values.ravel().tolist())


# --- Built-in ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "iris"])
def test_bundled_data_are_scikit_learns(name: str) -> None:
    data = load_data(Data(source=name), HERE, 3)
    bunch = getattr(sklearn_datasets, f"load_{name}")()
    np.testing.assert_array_equal(data.x.reshape(len(data), -1), bunch.data.astype(np.float32))
    np.testing.assert_array_equal(data.y, bunch.target)
    assert data.classes == tuple(map(str, bunch.target_names))
    assert data.features == tuple(bunch.feature_names)
    assert data.task == "classification"


def test_digits_are_images() -> None:
    data = load_data(Data(source="digits"), HERE, 0)
    np.testing.assert_array_equal(data.x[:, 0], sklearn_datasets.load_digits().images)
    assert data.x.shape == (1797, 1, 8, 8)
    assert (data.x.min(), data.x.max()) == (0, 16)


def test_samples_of_bundled_data_are_drawn_from_all_classes() -> None:
    everything = load_data(Data(source="wine"), HERE, 0)
    some = load_data(Data(source="wine", samples=60), HERE, 0)
    other = load_data(Data(source="wine", samples=60), HERE, 1)
    assert some.x.shape == (60, 13)
    assert set(some.y.tolist()) == {0, 1, 2}
    assert not np.array_equal(some.x, other.x)
    known = {(*row.tolist(), label) for row, label in zip(everything.x, everything.y.tolist(), strict=True)}
    assert {(*row.tolist(), label) for row, label in zip(some.x, some.y.tolist(), strict=True)} <= known
    assert len(load_data(Data(source="wine", samples=1000), HERE, 0)) == 178


@pytest.mark.parametrize("name", BUILTIN_DATA)
def test_every_builtin_keeps_the_contract(name: str) -> None:
    data = load_data(Data(source=name), HERE, 5)
    again = load_data(Data(source=name), HERE, 5)
    assert data.x.dtype == np.float32
    assert data.x.flags.c_contiguous
    assert data.x.flags.writeable
    assert np.isfinite(data.x).all()
    assert len(data.features) == data.x[0].size
    np.testing.assert_array_equal(data.x, again.x)
    np.testing.assert_array_equal(data.y, again.y)
    if data.task == "classification":
        assert data.y.dtype == np.int64
        assert data.y.shape == (len(data),)
        assert set(data.y.tolist()) == set(range(len(data.classes)))
    else:
        assert data.y.dtype == np.float32
        assert data.y.shape == (len(data), 1)
        assert data.classes == ()


@pytest.mark.parametrize("name", DEFAULT_NOISE)
def test_generated_data_follow_seed_samples_and_noise(name: str) -> None:
    data = load_data(Data(source=name), HERE, 5)
    assert len(data) == DEFAULT_SAMPLES[name] == (50 if name in REGRESSION else 500)
    assert not np.array_equal(data.x, load_data(Data(source=name), HERE, 6).x)
    assert len(load_data(Data(source=name, samples=31), HERE, 5)) == 31
    explicit = load_data(Data(source=name, noise=DEFAULT_NOISE[name]), HERE, 5)
    np.testing.assert_array_equal(data.x, explicit.x)
    np.testing.assert_array_equal(data.y, explicit.y)


@pytest.mark.parametrize(("name", "slope"), [("line", lambda x: 2 * x), ("sine", lambda x: np.sin(np.pi * x))])
def test_curves_are_their_formula_plus_gaussian_noise(name: str, slope: Any) -> None:
    clean = load_data(Data(source=name, noise=0.0), HERE, 0)
    np.testing.assert_allclose(clean.y, slope(clean.x.astype(np.float64)), atol=1e-6)
    assert np.abs(clean.x).max() <= 1
    noisy = load_data(Data(source=name, noise=0.5, samples=20_000), HERE, 0)
    residual = noisy.y - slope(noisy.x)
    assert residual.std() == pytest.approx(0.5, rel=0.03)
    assert residual.mean() == pytest.approx(0, abs=0.02)


def test_noise_free_shapes_lie_where_the_table_says() -> None:
    circles = load_data(Data(source="circles", noise=0.0), HERE, 0)
    np.testing.assert_allclose(np.linalg.norm(circles.x, axis=1), np.where(circles.y == 1, 0.5, 1), atol=1e-6)
    xor = load_data(Data(source="xor", noise=0.0), HERE, 0)
    np.testing.assert_array_equal(np.abs(xor.x), 1)
    np.testing.assert_array_equal(xor.y, xor.x[:, 0] * xor.x[:, 1] < 0)
    spirals = load_data(Data(source="spirals", noise=0.0), HERE, 0)
    radius = np.linalg.norm(spirals.x, axis=1)
    angle = np.arctan2(spirals.x[:, 1], spirals.x[:, 0]) - 3 * np.pi * radius
    arm = np.where(np.cos(angle) < 0, 1, 0)
    np.testing.assert_array_equal(spirals.y, arm)
    blobs = load_data(Data(source="blobs", noise=0.0), HERE, 0)
    assert len(np.unique(blobs.x, axis=0)) == 3


@pytest.mark.parametrize("name", ["xor", "spirals", "circles"])
def test_problems_that_a_line_cannot_separate(name: str) -> None:
    data = load_data(Data(source=name), HERE, 0)
    assert np.bincount(data.y.astype(np.int64)).tolist() == [250, 250]
    assert LogisticRegression().fit(data.x, data.y).score(data.x, data.y) < 0.75


def test_a_task_that_builtin_data_do_not_have() -> None:
    with pytest.raises(DataError, match=r"data.task = 'regression': digits is classification"):
        load_data(Data(source="digits", task="regression"), HERE, 0)


def test_the_module_imports_neither_torch_nor_scikit_learn() -> None:
    program = "import sys, bntui.trainer.data.dataset; print([m for m in ('torch', 'sklearn') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# --- Split -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "validation"), [("digits", 0.2), ("wine", 0.33), ("line", 0.2), ("iris", 0.01)])
def test_split_takes_every_row_once(name: str, validation: float) -> None:
    data = load_data(Data(source=name), HERE, 0)
    train, held_out = split_indices(data, validation, 7)
    assert sorted([*train.tolist(), *held_out.tolist()]) == list(range(len(data)))
    assert (len(train), len(held_out)) == split_counts(len(data), validation)
    assert train.dtype == held_out.dtype == np.int64


def test_split_is_shuffled_by_the_seed_alone() -> None:
    data = load_data(Data(source="iris"), HERE, 0)
    first, again, other = (split_indices(data, 0.2, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert set(first[1].tolist()) != set(other[1].tolist())
    assert first[0].tolist() != sorted(first[0].tolist())


def test_split_is_stratified() -> None:
    data = load_data(Data(source="breast_cancer"), HERE, 0)
    whole = np.bincount(data.y.astype(np.int64))
    for seed in range(5):
        _, held_out = split_indices(data, 0.2, seed)
        counts = np.bincount(data.y[held_out].astype(np.int64))
        np.testing.assert_allclose(counts, whole * len(held_out) / len(data), atol=1)
    iris = load_data(Data(source="iris"), HERE, 0)
    assert np.bincount(iris.y[split_indices(iris, 0.2, 0)[1]].astype(np.int64)).tolist() == [10, 10, 10]


@pytest.mark.parametrize(
    ("labels", "validation"), [([0, 0, 0, 1], 0.5), ([0, 1, 2, 0, 1, 2], 0.1), ([0, 0, 1, 1], 0.9)]
)
def test_split_of_what_cannot_be_stratified(labels: list[int], validation: float) -> None:
    x = np.zeros((len(labels), 1), dtype=np.float32)
    data = Dataset("few", x, np.array(labels), "classification", ("a", "b", "c"), ("x",))
    train, held_out = split_indices(data, validation, 0)
    assert sorted([*train.tolist(), *held_out.tolist()]) == list(range(len(labels)))
    assert len(train) >= 1
    assert len(held_out) >= 1


# --- Scaling -----------------------------------------------------------------------------------------


def test_minmax_is_its_formula_fitted_on_the_training_part_only() -> None:
    data = load_data(Data(source="wine"), HERE, 0)
    train, held_out = split_indices(data, 0.2, 0)
    scaling = fit_scaling("minmax", data.x[train])
    x = data.x.astype(np.float64)
    low, high = x[train].min(axis=0), x[train].max(axis=0)
    np.testing.assert_allclose(
        scaling.apply(data.x[held_out]), (x[held_out] - low) / (high - low), rtol=1e-6, atol=1e-7
    )
    scaled = scaling.apply(data.x[train])
    assert scaled.dtype == np.float32
    assert (scaled.min(axis=0) == 0).all()
    assert (scaled.max(axis=0) == 1).all()
    outside = scaling.apply(data.x[held_out])
    assert outside.min() < 0 or outside.max() > 1


def test_standard_is_the_z_score_with_the_population_deviation() -> None:
    data = load_data(Data(source="breast_cancer"), HERE, 0)
    train, held_out = split_indices(data, 0.2, 0)
    scaling = fit_scaling("standard", data.x[train])
    x = data.x.astype(np.float64)
    mean, deviation = x[train].mean(axis=0), x[train].std(axis=0, ddof=0)
    np.testing.assert_allclose(scaling.apply(data.x[held_out]), (x[held_out] - mean) / deviation, rtol=1e-5, atol=1e-6)
    scaled = scaling.apply(data.x[train]).astype(np.float64)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-6)


def test_images_are_scaled_pixel_by_pixel_and_constant_pixels_stay_finite() -> None:
    images = load_data(Data(source="digits"), HERE, 0).x
    assert (images[:, 0, 0, 0] == 0).all()
    for kind in ("minmax", "standard"):
        scaling = fit_scaling(kind, images)
        scaled = scaling.apply(images)
        assert scaled.shape == images.shape
        assert scaling.offset.shape == scaling.factor.shape == (1, 8, 8)
        assert np.isfinite(scaled).all()
        assert (scaled[:, 0, 0, 0] == 0).all()
    column = images[:, 0, 3, 4].astype(np.float64)
    np.testing.assert_allclose(scaled[:, 0, 3, 4], (column - column.mean()) / column.std(), rtol=1e-5, atol=1e-6)


def test_no_scaling_changes_nothing_and_copies() -> None:
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    scaling = fit_scaling("none", x)
    np.testing.assert_array_equal(scaling.apply(x), x)
    assert not np.shares_memory(scaling.apply(x), x)
    np.testing.assert_array_equal((x - scaling.offset) * scaling.factor, x)


def test_many_samples_are_scaled_as_few_are() -> None:
    x = np.random.default_rng(0).normal(5, 3, (20_001, 2)).astype(np.float32)
    scaling = fit_scaling("standard", x)
    np.testing.assert_allclose(scaling.offset, x.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(1 / scaling.factor, x.astype(np.float64).std(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(scaling.apply(x)[-3:], scaling.apply(x[-3:]))


@given(
    arrays(np.float32, (6, 3), elements=st.floats(-1e6, 1e6, width=32)),
    st.sampled_from(("none", "minmax", "standard")),
)
def test_scaling_is_finite_whatever_the_features(x: NDArray[np.float32], kind: ScalingKind) -> None:
    scaled = fit_scaling(kind, x).apply(x)
    assert np.isfinite(scaled).all()
    if kind == "minmax":
        assert scaled.min() >= 0


# --- CSV ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_with_header_and_words(tmp_path: Path, delimiter: str, end: str) -> None:
    rows = ["width,height,kind", "1,2.5,cat", "", "3,4e1,dog", " 5 ,-6,cat", "7,8,dog", ""]
    data = load_data(write(tmp_path, end.join(rows).replace(",", delimiter)), tmp_path, 0)
    np.testing.assert_array_equal(data.x, np.array([[1, 2.5], [3, 40], [5, -6], [7, 8]], dtype=np.float32))
    assert data.y.tolist() == [0, 1, 0, 1]
    assert (data.name, data.task) == ("points.csv", "classification")
    assert (data.classes, data.features) == (("cat", "dog"), ("width", "height"))


def test_csv_without_header(tmp_path: Path) -> None:
    data = load_data(write(tmp_path, "\ufeff1,2,0.5\n3,4,1.5\n5,6,2.5\n7,8,3.5\n"), tmp_path, 0)
    assert data.x.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert data.y.tolist() == [[0.5], [1.5], [2.5], [3.5]]
    assert data.y.dtype == np.float32
    assert (data.task, data.features) == ("regression", ("column 1", "column 2"))


def test_csv_target_by_name_and_numeric_class_order(tmp_path: Path) -> None:
    config = write(tmp_path, "label,a,b\n10,1,2\n9,3,4\n10,5,6\n-1,7,8\n9,9,9\n-1,0,1\n")
    data = load_data(config.model_copy(update={"target": "label"}), tmp_path, 0)
    assert data.features == ("a", "b")
    assert data.classes == ("-1", "9", "10")
    assert data.y.tolist() == [2, 1, 2, 0, 1, 0]


def test_csv_task_overrides_what_the_numbers_look_like(tmp_path: Path) -> None:
    config = write(tmp_path, "a,y\n1,1\n2,2\n3,1\n4,2\n")
    assert load_data(config, tmp_path, 0).task == "classification"
    data = load_data(config.model_copy(update={"task": "regression"}), tmp_path, 0)
    assert data.y.tolist() == [[1], [2], [1], [2]]
    mixed = write(tmp_path, "a,y\n1,1\n2,other\n3,1\n4,other\n")
    data = load_data(mixed.model_copy(update={"task": "classification"}), tmp_path, 0)
    assert data.classes == ("1", "other")


def test_csv_quotes_and_decimal_commas(tmp_path: Path) -> None:
    data = load_data(write(tmp_path, '"a, b";c\n1;"x;y"\n2;z\n3;z\n4;"x;y"\n'), tmp_path, 0)
    assert data.features == ("a, b",)
    assert data.classes == ("x;y", "z")
    data = load_data(write(tmp_path, "a;b;c\n1,5;2;0\n2,5;2;1\n3;2;1\n4;2;0\n"), tmp_path, 0)
    assert data.x.tolist() == [[1.5, 2], [2.5, 2], [3, 2], [4, 2]]
    assert data.classes == ("0", "1")


def test_samples_takes_the_first_rows_of_a_file(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n % 2}\n" for n in range(30))
    data = load_data(write(tmp_path, rows).model_copy(update={"samples": 8}), tmp_path, 0)
    assert data.x[:, 0].tolist() == list(range(8))


def test_paths_are_relative_to_the_folder_and_know_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "a,y\n1,1\n2,2\n3,1\n4,2\n")
    (tmp_path / "deep").mkdir()
    for source in ("../points.csv", "~/points.csv", str(tmp_path / "points.csv")):
        assert load_data(Data(source=source), tmp_path / "deep", 0).x[:, 0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b,y\n1,2,0\n3,four,1\n5,6,0\n7,8,1\n", ["row 3, column 'b'", "'four' is not a number"]),
        ("a,b,y\n\n\n1,2,0\n3,,1\n5,6,0\n7,8,1\n", ["row 5, column 'b'", "empty"]),
        ("a,b,y\n1,2,0\n3,4,1\n5,6,0\nnan,8,1\n", ["row 5, column 'a'", "'nan' stands for a missing value"]),
        ("a,b,y\n1,2,0\n3,-inf,1\n5,6,0\n7,8,1\n", ["row 3, column 'b'", "-inf is not a finite number"]),
        ("a,b,y\n1,2,0\n3,1e39,1\n5,6,0\n7,8,1\n", ["row 3, column 'b'", "1e+39 is too large for single precision"]),
        ("a,b,y\n1,2,0\n3,4,\n5,6,0\n7,8,1\n", ["row 3, column 'y'", "empty"]),
        ("a,b,y\n1,2,0\n3,4,NaN\n5,6,0\n7,8,1\n", ["row 3, column 'y'", "'NaN' stands for a missing value"]),
        ("a,b,y\n1,2,.5\n3,4,1e39\n5,6,0\n7,8,1\n", ["row 3, column 'y'", "too large"]),
        ("a,b,y\n1,2,0.5\n3,4,n/a\n5,6,0\n7,8,1\n", ["row 3, column 'y'", "'n/a' stands for a missing value"]),
        ("a,b,y\n1,2,0\n3,4\n5,6,0\n7,8,1\n", ["row 3, column 'y'", "missing", "only 2 of the 3 cells of row 1"]),
        ("a,b,y\n1,2,0\n3,4,1,9\n5,6,0\n7,8,1\n", ["row 3, column 'y'", "not the last", "4 cells, row 1 has 3"]),
        ("1,2,0\n3,x,1\n5,6,0\n7,8,1\n", ["row 2, column 'column 2'", "'x' is not a number"]),
        ("5,2,0\n3,4,1\n5,6,1\n", ["3 samples", "4 or more"]),
        ("a,y\n", ["0 samples"]),
        ("", ["empty"]),
        ("a\n1\n2\n3\n4\n", ["row 1", "one column"]),
        ("a,y\n1,0\n2,0\n3,0\n4,0\n", ["column 'y'", "only one class (0)"]),
        ("a,y\n1,p\n2,q\n3,r\n4,s\n", ["column 'y'", "every sample has a class of its own", "regression"]),
        ('a,y\n1,0\n"2,1\n3,0\n', ["row 4", "check quotes"]),
    ],
)
def test_csv_errors_say_file_row_and_column(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = error(write(tmp_path, text), tmp_path)
    for part in ["points.csv", *parts]:
        assert part in message


def test_csv_with_an_unknown_or_doubled_target(tmp_path: Path) -> None:
    config = write(tmp_path, "length,weight,species\n1,2,0\n3,4,1\n5,6,0\n7,8,1\n")
    message = error(config.model_copy(update={"target": "specis"}), tmp_path)
    assert "row 1: no column 'specis' (data.target) (did you mean 'species'?)" in message
    assert "'length', 'weight', 'species'" in message
    twice = write(tmp_path, "y,y\n1,2\n3,4\n5,6\n7,8\n")
    assert "several columns are named 'y'" in error(twice.model_copy(update={"target": "y"}), tmp_path)


def test_csv_that_is_missing_a_folder_or_no_text(tmp_path: Path) -> None:
    message = error(Data(source="absent.csv"), tmp_path)
    assert "absent.csv: No such file" in message
    assert "relative to the scenario" in message
    (tmp_path / "folder.csv").mkdir()
    assert "folder.csv: Is a directory" in error(Data(source="folder.csv"), tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"a,b\nx\x00,1\n")
    assert "binary.csv: row 2: control character U+0000" in error(Data(source="binary.csv"), tmp_path)
    (tmp_path / "odd.csv").write_bytes(b"a,b\n\x81\xff,1\n")
    assert "odd.csv: not text in a known encoding; save it as UTF-8" in error(Data(source="odd.csv"), tmp_path)


def test_csv_words_where_regression_needs_numbers(tmp_path: Path) -> None:
    config = write(tmp_path, "a,y\n1,cat\n2,dog\n3,cat\n4,dog\n").model_copy(update={"task": "regression"})
    assert "row 2, column 'y': 'cat' is not a number" in error(config, tmp_path)


# --- NPZ ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "expected"), CHANNELS)
def test_npz_shapes(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape)).reshape(shape)
    np.savez(tmp_path / "d.npz", x=x, y=[3, 1, 3, 1, 1])
    data = load_data(Data(source="d.npz"), tmp_path, 0)
    assert data.x.shape == expected
    assert data.x.flags.c_contiguous
    assert data.y.tolist() == [1, 0, 1, 0, 0]
    assert data.classes == ("1", "3")
    assert len(data.features) == data.x[0].size
    if len(shape) == 4 and expected != shape:
        np.testing.assert_array_equal(data.x[2, 1], x[2, :, :, 1])


def test_npz_regression_words_and_named_target(tmp_path: Path) -> None:
    x = np.arange(8.0).reshape(4, 2)
    words, outputs = np.array(["b", "a", "b", "a"]), np.array([[0.5, 1], [2, 3], [4, 5], [6, 7]])
    np.savez_compressed(tmp_path / "d.npz", X=x, y=words, two=outputs, raw=words.astype("S1"), flag=x[:, 0] > 2)
    data = load_data(Data(source="d.npz"), tmp_path, 0)
    assert (data.classes, data.y.tolist()) == (("a", "b"), [1, 0, 1, 0])
    assert load_data(Data(source="d.npz", target="raw"), tmp_path, 0).classes == ("a", "b")
    assert load_data(Data(source="d.npz", target="flag"), tmp_path, 0).y.tolist() == [0, 0, 1, 1]
    data = load_data(Data(source="d.npz", target="two"), tmp_path, 0)
    assert data.task == "regression"
    assert data.y.tolist() == outputs.tolist()


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ({"x": np.ones((4, 2))}, ["which arrays are samples and targets", "the arrays are 'x 4×2'", "data.features"]),
        ({"a": np.ones((4, 2)), "b": [0, 1], "y": [0, 1, 0, 1]}, ["which arrays", "'a 4×2', 'b 2', 'y 4'"]),
        ({"x": np.ones((4, 2)), "y": [0, 1, 0]}, ["4 samples", "3 targets"]),
        ({"x": np.ones((3, 2)), "y": [0, 1, 0]}, ["3 samples; 4 or more"]),
        ({"x": np.ones((4, 2)), "y": [1, 1, 1, 1]}, ["array 'y'", "only one class (1)"]),
        ({"x": np.array([[1, 2], [3, 4], [5, np.nan], [7, 8]]), "y": [0, 1, 0, 1]}, ["array 'x': [2, 1]: nan"]),
        ({"x": np.ones((4, 2)), "y": [0.5, np.inf, 0, 1]}, ["array 'y': [1]: inf"]),
        ({"x": np.full((4, 2), 1e39), "y": [0, 1, 0, 1]}, ["array 'x': [0, 0]: 1e+39 is too large"]),
        ({"x": np.ones((4, 2), dtype=complex), "y": [0, 1, 0, 1]}, ["array 'x' must hold numbers"]),
        ({"x": np.ones((4, 0)), "y": [0, 1, 0, 1]}, ["shape 4×0"]),
        ({"x": np.ones((4, 1, 1, 1, 1)), "y": [0, 1, 0, 1]}, ["shape 4×1×1×1×1"]),
        ({"x": np.ones((4, 2)), "y": np.eye(4)}, ["array 'y'", "one-hot"]),
        (
            {"x": np.array([[1], ["a"], [None], [2]], dtype=object), "y": [0, 1, 0, 1]},
            ["array 'x' holds Python objects", "never unpickled"],
        ),
    ],
)
def test_npz_errors_say_file_array_and_place(tmp_path: Path, content: dict[str, Any], parts: list[str]) -> None:
    np.savez(tmp_path / "d.npz", **content)
    message = error(Data(source="d.npz"), tmp_path)
    for part in ["d.npz", *parts]:
        assert part in message


def test_npz_images_that_single_precision_would_change_are_kept_in_double(tmp_path: Path) -> None:
    x = 1.7e9 + np.arange(36.0).reshape(4, 3, 3)
    np.savez(tmp_path / "d.npz", x=x, y=[0, 1, 0, 1])
    data = load_data(Data(source="d.npz"), tmp_path, 0)
    np.testing.assert_array_equal(data.x[:, 0], x)
    assert data.reading is not None
    assert "collapse" in [note.name for note in data.reading.notes]


def test_npz_words_with_characters_that_do_not_exist(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((4, 2)), y=np.array(["a", "b", "a", "b"]))
    with zipfile.ZipFile(tmp_path / "d.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["y.npy"] = members["y.npy"].replace(b"b\0\0\0", b"b\0\0\xff")
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert "d.npz: cannot be read: an invalid character" in error(Data(source="d.npz"), tmp_path)


NAMED = [
    (("x_train", "y_train", "x_test", "y_test"), ("x_train", "y_train")),
    (("x_test", "x_train", "y_test", "y_train"), ("x_train", "y_train")),
    (("train_images", "train_labels", "test_images", "test_labels"), ("train_images", "train_labels")),
    (("X_train", "Y_train"), ("X_train", "Y_train")),
    (("data", "target"), ("data", "target")),
    (("images", "labels"), ("images", "labels")),
    (("inputs", "targets"), ("inputs", "targets")),
    (("X", "y"), ("X", "y")),
    (("x", "y", "data", "labels"), ("x", "y")),
    (("arr_0", "arr_1"), ("arr_0", "arr_1")),
]


@pytest.mark.parametrize(("names", "found"), NAMED, ids=lambda names: " ".join(names))
def test_npz_arrays_are_found_by_the_names_that_people_give(
    names: tuple[str, ...], found: tuple[str, str], tmp_path: Path
) -> None:
    arrays: dict[str, Any] = {
        name: (np.full((8, 2), n) if name in found[:1] or "x" in name.lower() or "image" in name else np.arange(8) % 2)
        for n, name in enumerate(names)
    }
    arrays[found[0]] = np.arange(16.0).reshape(8, 2)
    arrays[found[1]] = np.arange(8) // 4
    np.savez(tmp_path / "d.npz", **{name: arrays[name] for name in names})
    data = load_data(Data(source="d.npz"), tmp_path, 0)
    assert data.x.tolist() == arrays[found[0]].tolist()
    assert data.y.tolist() == arrays[found[1]].tolist()
    assert data.reading is not None
    assert data.reading.arrays == found


def test_npz_arrays_are_chosen_by_keys(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", a=np.ones((4, 2)), b=np.zeros((4, 2)), c=[0, 1, 0, 1], d=[1, 0, 0, 1])
    message = error(Data(source="d.npz"), tmp_path)
    assert "cannot tell which arrays" in message
    data = load_data(Data(source="d.npz", features=("b",), target="d"), tmp_path, 0)
    assert (data.x.sum(), data.y.tolist()) == (0, [1, 0, 0, 1])


def test_an_archive_without_arrays_is_named_as_such(tmp_path: Path) -> None:
    np.savez(tmp_path / "empty.npz")
    assert error(Data(source="empty.npz"), tmp_path).endswith("empty.npz: the file has no arrays")


def test_npz_that_is_damaged_or_something_else(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "d.npz", x=np.arange(4000.0).reshape(2000, 2), y=np.arange(2000) % 2)
    whole = bytearray((tmp_path / "d.npz").read_bytes())
    (tmp_path / "short.npz").write_bytes(whole[: len(whole) // 2])
    assert "not an .npz file, or truncated" in error(Data(source="short.npz"), tmp_path)
    whole[200:260] = bytes(60)
    (tmp_path / "hurt.npz").write_bytes(whole)
    assert "hurt.npz: cannot be read" in error(Data(source="hurt.npz"), tmp_path)
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    assert "not an .npz file" in error(Data(source="one.npz"), tmp_path)
    assert "nothing.npz: No such file" in error(Data(source="nothing.npz"), tmp_path)


@pytest.mark.parametrize("name", ["d.npz", "d.csv", "images.idx", "images.idx.gz"])
def test_whatever_byte_is_damaged_the_error_is_a_sentence(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(16.0).reshape(8, 2), y=np.arange(8) % 2)
    (tmp_path / "d.csv").write_text("a,y\n" + "".join(f"{n / 3},{n % 2}\n" for n in range(8)))
    (tmp_path / "images.idx").write_bytes(idx(IMAGES))
    (tmp_path / "images.idx.gz").write_bytes(gzip.compress(idx(IMAGES), mtime=0))
    (tmp_path / "labels.idx").write_bytes(idx(LABELS))
    config = Data(source=name, labels="labels.idx")
    assert len(load_data(config, tmp_path, 0)) in (6, 8)
    whole, rng, messages = (tmp_path / name).read_bytes(), np.random.default_rng(0), list[str]()
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[int(rng.integers(min(len(whole), 200)))] = int(rng.integers(256))
        (tmp_path / name).write_bytes(damaged)
        try:
            load_data(config, tmp_path, 0)
        except DataError as caught:
            messages.append(str(caught))
    assert messages
    assert all(name in message for message in messages)


def test_npz_with_an_unknown_target(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((4, 2)), labels=[0, 1, 0, 1])
    message = error(Data(source="d.npz", target="lables"), tmp_path)
    assert "no array 'lables' (did you mean 'labels'?)" in message


# --- IDX ---------------------------------------------------------------------------------------------

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4))
LABELS = np.array([9, 0, 2, 9, 0, 2])


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-images.idx3-ubyte"])
def test_idx_as_mnist_is_distributed(tmp_path: Path, zipped: bool, name: str) -> None:
    pack, end = (gzip.compress, ".gz") if zipped else (bytes, "")
    (tmp_path / f"{name}{end}").write_bytes(pack(idx(IMAGES)))
    labels = name.replace("images", "labels").replace("idx3", "idx1")
    (tmp_path / f"{labels}{end}").write_bytes(pack(idx(LABELS)))
    data = load_data(Data(source=f"{name}{end}"), tmp_path, 0)
    assert data.x.shape == (6, 1, 5, 4)
    np.testing.assert_array_equal(data.x[:, 0], IMAGES)
    assert data.y.tolist() == [2, 0, 1, 2, 0, 1]
    assert data.classes == ("0", "2", "9")
    assert data.features[:5] == ("pixel_0_0", "pixel_0_1", "pixel_0_2", "pixel_0_3", "pixel_1_0")
    assert len(load_data(Data(source=f"{name}{end}", samples=4), tmp_path, 0)) == 4


@pytest.mark.parametrize("code", [0x09, 0x0B, 0x0C, 0x0D, 0x0E])
def test_idx_of_every_type_is_big_endian(tmp_path: Path, code: int) -> None:
    values = IMAGES // 2 - 60
    (tmp_path / "images.idx").write_bytes(idx(values, code))
    (tmp_path / "numbers.idx").write_bytes(idx(LABELS, 0x0C))
    data = load_data(Data(source="images.idx", labels="numbers.idx"), tmp_path, 0)
    np.testing.assert_array_equal(data.x[:, 0], values)


def test_idx_finds_labels_that_are_zipped_when_images_are_not(tmp_path: Path) -> None:
    (tmp_path / "a-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "a-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    assert len(load_data(Data(source="a-images-idx3-ubyte"), tmp_path, 0)) == 6


@pytest.mark.parametrize(
    ("images", "labels", "parts"),
    [
        (idx(IMAGES)[:-7], idx(LABELS), ["images-idx3", "truncated: 120 bytes", "6×5×4", "113 found"]),
        (idx(IMAGES) + b"\0", idx(LABELS), ["images-idx3", "120 bytes", "121 found"]),
        (idx(IMAGES)[:9], idx(LABELS), ["images-idx3", "header of 16 bytes expected, 9"]),
        (b"\x89PNG" + bytes(20), idx(LABELS), ["images-idx3", "magic number 0x89504e47", "0x00000803"]),
        (b"", idx(LABELS), ["images-idx3", "magic number"]),
        (bytes([0, 0, 8, 200]) + bytes(800), idx(LABELS), ["images-idx3", "magic number 0x000008c8"]),
        (bytes([0, 0, 8, 3]) + b"\xff" * 8 + bytes(4), idx(LABELS), ["empty", "4294967295×4294967295×0"]),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, idx(LABELS), ["truncated", "0 found"]),
        (idx(IMAGES), idx(LABELS[:5]), ["images-idx3", "6 samples", "labels-idx1", "5 targets"]),
        (idx(LABELS), idx(LABELS), ["images-idx3", "one dimension", "labels"]),
        (idx(IMAGES), idx(IMAGES), ["labels-idx1", "3 dimensions", "images"]),
        (gzip.compress(idx(IMAGES), mtime=0)[:-20], idx(LABELS), ["images-idx3", "damaged or truncated gzip"]),
        (idx(IMAGES), None, ["labels-idx1-ubyte: No such file"]),
    ],
)
def test_idx_errors_say_the_numbers(tmp_path: Path, images: bytes, labels: bytes | None, parts: list[str]) -> None:
    (tmp_path / "images-idx3-ubyte").write_bytes(images)
    if labels is not None:
        (tmp_path / "labels-idx1-ubyte").write_bytes(labels)
    message = error(Data(source="images-idx3-ubyte"), tmp_path)
    for part in parts:
        assert part in message


def test_idx_whose_labels_cannot_be_guessed(tmp_path: Path) -> None:
    (tmp_path / "pictures.idx").write_bytes(idx(IMAGES))
    assert "set data.labels" in error(Data(source="pictures.idx"), tmp_path)
