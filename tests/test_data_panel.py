"""Tests the data panel: scaled figures against scikit-learn, boundary and curve against the network in NumPy."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from bntui.keyframe import Predictions
from bntui.recording.arrays import Arrays
from bntui.recording.dataset import RecordedData
from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.trainer.session import Session
from bntui.viewer.draw import canvas
from bntui.viewer.draw.rows import Row, text, width
from bntui.viewer.panels import data as panel
from bntui.viewer.panels import data_features, data_picture
from bntui.viewer.panels.data_features import FeatureTable, stages_of
from bntui.viewer.samples import samples_of
from bntui.viewer.view import View
from tests.factory import answers, recorded_data, run_view, view, with_data
from tests.test_panels import VIEWS

SCALERS = {"minmax": MinMaxScaler, "standard": StandardScaler}


def lines(shown: View, wide: int, high: int) -> list[str]:
    return [text(row) for row in panel.draw(shown, wide, high).rows]


def cells_of(row: Row) -> list[tuple[str, str]]:
    """Character and style of every cell."""
    return [(char, span.style) for span in row for char in span.text]


def digits(kind: str = "minmax") -> RecordedData:
    return recorded_data("images", (kind, kind))


# --- features ---


@pytest.mark.parametrize("kind", ["minmax", "standard"])
@pytest.mark.parametrize("source", ["images", "table", "plane"])
def test_scaled_figures_are_those_of_scikit_learns_scalers(kind: str, source: str) -> None:
    data = recorded_data(source, (kind,))
    samples = samples_of(data)
    flat = data.x.reshape(len(data.x), -1).astype(np.float64)
    scaler = SCALERS[kind]().fit(flat[data.train])
    for part, rows in (("train", data.train), ("validation", data.validation)):
        scaled = scaler.transform(flat[rows])
        for feature in range(samples.features):
            found = samples.figures(feature, part, data.scalings[0])  # type: ignore[arg-type]
            values = scaled[:, feature]
            wanted = [values.min(), values.max(), values.mean(), values.std()]
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
        together = samples.figures(None, part, data.scalings[0])  # type: ignore[arg-type]
        np.testing.assert_allclose(
            together, [scaled.min(), scaled.max(), scaled.mean(), scaled.std()], rtol=1e-6, atol=1e-6
        )
    row = int(data.validation[0])
    np.testing.assert_allclose(samples.scaled(row, data.scalings[0]), scaler.transform(flat[[row]])[0], atol=1e-6)


def test_raw_figures_are_those_of_the_parts() -> None:
    data = recorded_data("table")
    for part, rows in (("train", data.train), ("validation", data.validation)):
        values = data.x[rows, 7].astype(np.float64)
        found = samples_of(data).figures(7, part)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, [values.min(), values.max(), values.mean(), values.std()])


def test_a_histogram_counts_every_sample_and_gathers_what_lies_beyond_its_axis() -> None:
    data = recorded_data("table")
    samples = samples_of(data)
    values = data.x[data.validation, 3].astype(np.float64)
    axis = (float(np.median(values)), float(values.max()))
    counts = samples.histogram(3, "validation", axis)
    assert counts.sum() == len(data.validation)
    inside = np.histogram(values, len(counts), axis)[0]
    np.testing.assert_array_equal(counts[1:], inside[1:])
    assert counts[0] == inside[0] + (values < axis[0]).sum()
    together = samples.histogram(None, "train", (-4.0, 4.0), data.scalings[0])
    assert together.sum() == data.x[data.train].size


def test_whole_numbers_have_a_bin_each() -> None:
    data = digits()
    counts = samples_of(data).histogram(9, "train", samples_of(data).axis(9))
    np.testing.assert_array_equal(
        counts, np.bincount(data.x[data.train].reshape(100, -1)[:, 9].astype(int), minlength=17)
    )


def test_a_large_data_set_is_measured_in_parts_as_it_would_be_at_once() -> None:
    x = np.random.default_rng(0).normal(1e4, 1, (20_000, 2)).astype(np.float32)
    data = replace(recorded_data("plane"), x=x, train=np.arange(15_000), validation=np.arange(15_000, 20_000))
    found = samples_of(data).figures(0, "train")
    values = x[:15_000, 0].astype(np.float64)
    np.testing.assert_allclose(found, [values.min(), values.max(), values.mean(), values.std()], rtol=1e-12)


def test_a_data_set_is_measured_once() -> None:
    data = recorded_data("table")
    assert samples_of(data) is samples_of(data)
    assert samples_of(replace(data)) is not samples_of(data)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("minmax", "(x − min)/(max − min) = ( 7 − 0)/(16 − 0) = 0.438"),
        ("standard", "(x − μ)/σ = ( 7 − 5.31)/4.12 = 0.41"),
        ("none", "x =  7"),
    ],
)
def test_the_formula_stands_there_with_this_features_numbers(kind: str, wanted: str) -> None:
    x = np.full((90, 1), 5, np.float32)
    x[:3, 0] = 7, 0, 16
    data = recorded_data("plane", (kind,) * 2, samples=90)
    fitted = {"minmax": (0.0, 1 / 16), "standard": (5.31, 1 / 4.12), "none": (0.0, 1.0)}[kind]
    scaling = replace(data.scalings[0], offset=np.array(fitted[:1]), factor=np.array(fitted[1:]))
    data = replace(
        data, x=x, train=np.arange(60), validation=np.arange(60, 90), features=("age",), grid=(),
        scalings=(scaling,) * 2,
    )  # fmt: skip
    drawn = lines(with_data(view(), data), 130, 30)
    assert any(wanted in line for line in drawn), "\n".join(drawn)


@pytest.mark.parametrize("kinds", [("standard", "minmax"), ("minmax", "standard")])
def test_printed_figures_give_the_printed_result_or_the_sign_says_about(kinds: tuple[str, str]) -> None:
    data, signs = recorded_data("table", kinds), []
    for line in lines(with_data(view(), data), 158, 130):
        for formula, sign, result in re.findall(r"(\([^=≈]*?\)/[(\d][^=≈]*?) ([=≈]) +(\S+)", line):
            written = Decimal(result.replace("−", "-"))
            last = 10.0 ** int(written.as_tuple().exponent)
            exact = abs(eval(formula.replace("−", "-")) - float(written)) <= 1.001 * last
            assert sign == ("=" if exact else "≈"), line
            signs.append(sign)
    assert len(signs) > 20


def test_a_negative_mean_stands_in_brackets() -> None:
    data = recorded_data("table", ("standard", "standard"))
    drawn = "\n".join(lines(with_data(view(), data), 158, 100))
    assert " − −" not in drawn
    assert " − (−" in drawn


def test_a_constant_feature_is_called_so() -> None:
    data = recorded_data("table", ("standard", "standard"))
    x = data.x[:, :2].copy()
    x[:, 1] = 3
    scaling = replace(data.scalings[0], offset=np.array([0.0, 3.0]), factor=np.ones(2))
    data = replace(data, x=x, features=("moving", "still"), scalings=(scaling,) * 2)
    drawn = lines(with_data(view(), data), 158, 30)
    assert [line for line in drawn if "constant: 3 − 3 = 0" in line]


def test_of_many_features_those_with_the_largest_spread_come_first() -> None:
    data = recorded_data("table")
    drawn = lines(with_data(view(), data), 158, 24)
    named = [line.split("training")[0].strip() for line in drawn if "training" in line]
    order = np.argsort(-data.x[data.train].astype(np.float64).std(0), kind="stable")
    assert named == ["all 30 features", *(f"feature {at + 1}" for at in order[: len(named) - 1])]
    assert f"… {30 - len(named) + 1} more features, by spread: [ ] walk" in [line.strip() for line in drawn]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(58, 158), st.integers(12, 45), st.integers(1, 40), st.integers(-90, 90),
    st.sampled_from([("none",), ("standard",), ("none", "standard"), ("minmax",) * 2, ("none", "minmax", "standard")]),
)  # fmt: skip
def test_whatever_is_walked_to_is_seen_and_every_row_is_used(
    wide: int, high: int, features: int, walked: int, kinds: tuple[str, ...]
) -> None:
    x = (np.random.default_rng(1).normal(0, 1, (60, features)) * np.linspace(9, 1, features)).astype(np.float32)
    fitted = {
        "none": (np.zeros(features), np.ones(features)), "minmax": (x.min(0), 1 / np.ptp(x, 0)),
        "standard": (x.mean(0), 1 / x.std(0)),
    }  # fmt: skip
    plain = recorded_data("table")
    data = replace(
        plain, x=x, train=np.arange(60), validation=np.arange(60), grid=(),
        features=tuple(f"feature {n + 1}." for n in range(features)),
        scalings=tuple(replace(plain.scalings[0], kind=k, offset=fitted[k][0], factor=fitted[k][1]) for k in kinds),
    )  # fmt: skip
    samples = samples_of(data)
    stages = stages_of(samples, [("●▲◆"[at], f"run{at}", at) for at in range(len(kinds))])
    rows = [text(row) for row in data_features.drawn(FeatureTable(samples, stages, 0, walked), wide, high)]
    assert len(rows) <= high
    named = [int(found[1]) for row in rows if (found := re.match(r"feature (\d+)\.", row))]
    order = [int(at) + 1 for at in np.argsort(-x.astype(np.float64).std(0), kind="stable")]
    hint = next((row for row in rows if row.startswith("… ")), "")
    if not hint:
        assert sorted(named) == list(range(1, features + 1)) or features == 1
        return
    assert rows[-1] == hint
    assert int(hint.split()[1]) == features - len(named)
    summary = any(row.startswith("all ") for row in rows)
    if summary and not named:  # one block alone: the walk leads from the summary to every feature and back
        assert walked % (features + 1) == 0
    elif not summary:
        assert named == [order[walked % (features + 1) - 1]]
    else:
        assert named[0] == order[walked % features]
    # not even one row more for each histogram of the training values would fit
    assert high - len(rows) < (len(named) + summary) * len(stages)


def test_another_scaling_of_the_pinned_run_has_a_column_of_its_own() -> None:
    same, other = (recorded_data("table", kinds) for kinds in (("minmax", "minmax"), ("minmax", "standard")))
    assert "▲" not in lines(with_data(view(), same), 158, 40)[1]
    heading = lines(with_data(view(), other), 158, 40)[1]
    assert heading.index("before scaling") < heading.index("● after min-max") < heading.index("▲ after standard")


def test_after_scaling_all_features_share_an_axis_that_outliers_do_not_stretch() -> None:
    data = recorded_data("table", ("standard", "minmax"))
    x = data.x.copy()
    x[data.train[0], 0] = 1e6
    raw, standard, minmax = stages_of(samples_of(data), [("●", "run0", 0), ("▲", "run1", 1)])
    assert raw.low == raw.high
    assert (standard.low, standard.high) == (-4, 4)
    assert (minmax.low, minmax.high) == (0, 1)
    outlier = samples_of(replace(data, x=x))
    every = outlier.figures(None, "train", data.scalings[0])
    stage = stages_of(outlier, [("●", "run0", 0)])[1]
    assert stage.high < every.max
    assert stage.high >= every.mean + 4 * every.std


# --- the sample ---


def test_the_first_sample_of_the_mini_batch_is_told_of() -> None:
    data = recorded_data("table")
    shown = with_data(view(run_view()), data)
    assert shown.runs[0].frame is not None
    for first in (0, 41):
        frame = replace(shown.runs[0].frame, batch_indices=np.array([first, 5]))
        picture = replace(shown, runs=(replace(shown.runs[0], frame=frame),))
        row = int(data.train[first])
        drawn = lines(picture, 120, 30)
        assert f"row {row + 1:3}, class {data.classes[int(data.y[row])]}" in drawn[0]


@pytest.mark.parametrize("kind", ["plane", "line", "images", "table"])
@pytest.mark.parametrize("size", [(38, 30), (78, 20), (98, 24), (118, 30), (158, 41)])
def test_another_sample_moves_nothing(kind: str, size: tuple[int, int]) -> None:
    data = recorded_data(kind, ("minmax", "standard"))
    shown = with_data(view(), data)
    seen = []
    for first in range(0, 100, 9):
        frames = [replace(run.frame, batch_indices=np.array([first])) for run in shown.runs if run.frame is not None]
        runs = tuple(replace(run, frame=frame) for run, frame in zip(shown.runs, frames, strict=True))
        drawn = [line.replace("≈", "=") for line in lines(replace(shown, runs=runs), *size)]
        places = [[place for place, char in enumerate(line) if char in "()="] for line in drawn]
        words = [[word for word in line.split() if word.isalpha() and word not in data.classes] for line in drawn]
        seen.append((places, words))
    assert all(found == seen[0] for found in seen)


def test_an_image_is_drawn_raw_and_as_it_enters_the_network() -> None:
    data = digits()
    shown = with_data(view(run_view()), data)
    drawn = [row[:32] for row in lines(shown, 160, 40)]
    image = data.x[data.train[0], 0]
    for start in (1, 21):  # 16 rows and a heading each, in 20 rows
        for row in range(8):
            cells = drawn[start + row][:16]
            for column in range(8):
                assert set(cells[2 * column : 2 * column + 2]) <= set(canvas.SHADES.tolist())
    shades = canvas.SHADES.tolist()
    picture = canvas.picture(image.astype(np.float64) / 16, 16, 8)
    for row in range(8):
        for column in range(8):
            level = shades.index(picture[row][2 * column])
            assert level == round(float(image[row, column]) / 16 * 4)
            assert picture[row][2 * column] == picture[row][2 * column + 1]


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(1, 100), st.integers(1, 60), st.floats(0, 1))
def test_a_picture_fits_its_room_and_an_even_one_stays_even(
    pixels: tuple[int, int], wide: int, high: int, shade: float
) -> None:
    columns, rows = canvas.picture_size(pixels, wide, high)
    assert 1 <= columns <= wide
    assert 1 <= rows <= high
    drawn = canvas.picture(np.full(pixels, shade), wide, high)
    assert [len(line) for line in drawn] == [columns] * rows
    assert set("".join(drawn)) <= {
        canvas.SHADES[int(np.rint(shade * 4))],
        canvas.SHADES[min(int(shade * 4 + 0.501), 4)],
    }


def test_two_pixels_share_a_cell_where_there_is_little_room() -> None:
    checks = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert canvas.picture(checks, 2, 1) == ("▀▄",)
    assert canvas.picture(np.ones((4, 2)), 2, 2) == ("██", "██")
    assert canvas.picture(checks, 4, 2) == ("██  ", "  ██")


# --- the plane ---

MOONS = """
title = "Moons"
seed = 2
[data]
source = "moons"
samples = 150
noise = 0.35
scaling = "standard"
validation = 0.4
batch_size = 90
[network]
hidden = [20]
activation = "tanh"
[training]
lr = 0.5
epochs = 12
[record]
every = 1
"""


def train(folder: Path, scenario: str) -> Reader:
    session = Session.begin(parse(scenario, file="test.toml"), folder / "0.bntui")
    while not session.over:
        session.epoch(lambda: False)
    session.close()
    return Reader(folder / "0.bntui")


def by_hand(weights: Arrays, data: RecordedData) -> Any:
    """A network of one hidden tanh layer, in NumPy; its outputs for all samples."""
    scaling = data.scalings[0]
    x = (data.x.astype(np.float64) - scaling.offset) * scaling.factor
    hidden, output = sorted({name.rsplit(".", 2)[0] for name in weights})
    x = np.tanh(x @ weights[f"{hidden}.linear.weight"].T + weights[f"{hidden}.linear.bias"])
    return x @ weights[f"{output}.linear.weight"].T + weights[f"{output}.linear.bias"]


def test_misclassified_samples_are_those_of_the_networks_argmax(tmp_path: Path) -> None:
    """On a real session; only samples between the grid's points next to the boundary may differ."""
    reader = train(tmp_path, MOONS)
    data = reader.dataset
    assert data is not None
    everyone = np.arange(len(data.x))
    seen = 0
    for row in (1, 6, 11):
        found = reader.keyframe(0, row).predictions
        following = reader.evidence(0, row + 1)
        assert found is not None
        assert following is not None
        outputs = by_hand(following.before, data)
        wrong = outputs.argmax(1) != data.y
        marked = data_picture.misclassified(data, found, everyone)
        clear = np.abs(np.diff(outputs, axis=1)[:, 0]) > 0.1
        np.testing.assert_array_equal(marked[clear], wrong[clear])
        assert clear.mean() > 0.85
        seen += int(wrong[clear].sum())
    assert seen > 10, "a network that is never wrong tests nothing"


def plane(predictions: Predictions | None, samples: int = 150) -> tuple[RecordedData, View]:
    data = recorded_data("plane", samples=samples)
    shown = with_data(view(run_view()), data)
    run = shown.runs[0]
    assert run.frame is not None
    return data, replace(shown, runs=(replace(run, frame=replace(run.frame, predictions=predictions)),))


def test_the_boundary_runs_where_the_class_changes() -> None:
    data, shown = plane(answers(recorded_data("plane"), 0.0))  # above is where x1 > 0
    data = replace(data, train=data.train[:0], validation=data.validation[:0])
    rows = data_picture.drawn(data, shown.shown, -1, 61, 20)
    low, high = float(data.grid[0][0]), float(data.grid[0][-1])
    left = 61 - len(text(rows[0]).split("│", 1)[1])
    at = left + (0 - low) / (high - low) * (61 - left)
    drawn = [[place for place, (_, style) in enumerate(cells_of(row)) if style == "bold run0"] for row in rows[:18]]
    assert all(drawn), "the boundary has no gap"
    assert {place for row in drawn for place in row} <= {int(at) - 1, int(at), int(at) + 1}


def test_samples_lie_in_their_cells_with_the_mark_of_class_and_part() -> None:
    data, shown = plane(answers(recorded_data("plane"), 0.0))
    wide, high = 25, 9  # too small for axes: the whole room is the plane
    rows = [cells_of(row) for row in data_picture.drawn(data, shown.shown, -1, wide, high)]
    marks = data_picture._marks(data, wide * high)
    cells = {}
    for place in marks.rows.tolist():  # the last one lies on top
        x, y = data.x[place].astype(float)
        across = (x - data.grid[0][0]) / (data.grid[0][-1] - data.grid[0][0])
        up = (y - data.grid[1][0]) / (data.grid[1][-1] - data.grid[1][0])
        cells[int(np.rint((1 - up) * (4 * high - 1))) // 4, int(np.rint(across * (2 * wide - 1))) // 2] = place
    assert len(cells) > 20
    for (line, column), place in cells.items():
        shapes = data_picture.TRAINING if place in data.train else data_picture.VALIDATION
        assert rows[line][column] == (shapes[data.y[place]], data_picture.CLASS_STYLES[data.y[place]])


def test_what_lies_on_the_wrong_side_is_marked_in_its_own_shape() -> None:
    found = answers(recorded_data("plane"), 0.0)
    assert found.classes is not None
    data, shown = plane(Predictions(found.values, 1 - found.classes))  # wrong everywhere
    rows = data_picture.drawn(data, shown.shown, -1, 60, 30)
    marks = {cell for row in rows for cell in cells_of(row) if cell[0] in "•▴○△"}
    assert {mark for mark, _ in marks} == set("•▴○△")
    assert {style for _, style in marks} == {"bad"}


def test_regions_are_blank_where_the_network_is_not_sure_and_told_apart_without_color() -> None:
    data = recorded_data("plane")
    classes = (data.grid[0] > 0).astype(np.uint8)[np.newaxis].repeat(32, 0)
    drawn = {}
    for sure in (0.55, 0.8, 0.99):
        _, shown = plane(Predictions(np.full((32, 48), sure, np.float32), classes))
        rows = [
            text(row)
            for row in data_picture.drawn(
                replace(data, train=data.train[:0], validation=data.validation[:0]), shown.shown, -1, 25, 9
            )
        ]
        drawn[sure] = [sum(row.count(texture) for row in rows) for texture in data_picture.TEXTURES[:2]]
    assert drawn[0.55] == [0, 0]
    assert 0 < drawn[0.8][0] < drawn[0.99][0]
    assert 0 < drawn[0.8][1] < drawn[0.99][1]


def test_the_pinned_runs_boundary_is_dashed_in_its_own_style() -> None:
    data = recorded_data("plane")
    shown = with_data(view(), data)
    runs = list(shown.shown)
    assert runs[1].frame is not None
    runs[1] = replace(runs[1], frame=replace(runs[1].frame, predictions=answers(data, 3.0)))
    alone = data_picture.drawn(data, [runs[1]], -1, 80, 30)
    both = data_picture.drawn(data, runs, -1, 80, 30)

    def dots(rows: list[Row], style: str) -> int:
        return sum((ord(char) - 0x2800).bit_count() for row in rows for char, look in cells_of(row) if look == style)

    assert 0.3 < dots(both, "bold run1") / dots(alone, "bold run1") < 0.7
    assert dots(both, "bold run0") > 30


def test_of_very_many_samples_some_are_drawn_from_both_parts() -> None:
    data = recorded_data("plane", samples=20_000)
    marks = data_picture._marks(data, 1000)
    assert len(marks.rows) <= 1000 / data_picture.MOST_MARKS + 2
    assert 0.6 < marks.training.mean() < 0.72


@given(st.floats(-2, 2), st.floats(-2, 2), st.integers(2, 9), st.integers(2, 9))
def test_interpolation_is_exact_for_a_plane(a: float, b: float, down: int, across: int) -> None:
    grid = a * np.linspace(0, 1, down)[:, np.newaxis] + b * np.linspace(0, 1, across)
    places = np.array([0.0, 0.21, 0.5, 0.99, 1.0])
    found = canvas.interpolated(grid, canvas.between(places, down), canvas.between(places, across))
    np.testing.assert_allclose(found, a * places[:, np.newaxis] + b * places, atol=1e-12)


# --- the curve ---


def test_the_curve_passes_through_the_cells_of_its_values() -> None:
    data = recorded_data("line")
    shown = with_data(view(run_view()), data)
    run = shown.runs[0]
    assert run.frame is not None
    straight = Predictions((0.5 * data.grid[0]).astype(np.float32)[:, np.newaxis], None)
    run = replace(run, frame=replace(run.frame, predictions=straight))
    nobody = replace(data, train=data.train[:0], validation=data.validation[:0])
    rows = [cells_of(row) for row in data_picture.drawn(nobody, [run], -1, 25, 9)]
    low, high = data_picture._axes(data).y
    for column in range(25):
        lit = [line for line in range(9) if rows[line][column][0] != " "]
        ends = 0.5 * np.interp([2 * column / 49, (2 * column + 1) / 49], [0, 1], [data.grid[0][0], data.grid[0][-1]])
        shares = 1 - (ends - low) / (high - low)
        wanted = sorted({int(share * 35 + 0.5) // 4 for share in shares if 0 <= share <= 1})
        assert lit == wanted or set(lit) >= set(wanted)
        assert len(lit) <= len(wanted) + 1


def test_a_curve_that_leaves_the_axis_is_cut_not_drawn_along_its_edge() -> None:
    data = recorded_data("line")
    shown = with_data(view(run_view()), data)
    run = shown.runs[0]
    assert run.frame is not None
    for value in (1e6, -1e6, float("nan"), float("inf")):
        far = Predictions(np.full((128, 1), value, np.float32), None)
        gone = replace(run, frame=replace(run.frame, predictions=far))
        rows = data_picture.drawn(data, [gone], -1, 60, 20)
        assert not [cell for row in rows for cell in cells_of(row) if cell[1] == "bold run0"], value


def test_axes_do_not_move_with_the_predictions() -> None:
    for kind in ("plane", "line"):
        data = recorded_data(kind)
        frames = []
        for step in (0, 5000):
            shown = with_data(view(run_view()), data)
            run = shown.runs[0]
            assert run.frame is not None
            run = replace(run, frame=replace(run.frame, predictions=answers(data, step / 1000)))
            rows = [text(row) for row in data_picture.drawn(data, [run], -1, 70, 24)]
            frames.append(([row[:6] for row in rows], rows[-2:]))
        assert frames[0] == frames[1]


# --- what is missing ---


def test_an_empty_panel_says_why_and_what_would_fill_it() -> None:
    words = " ".join(lines(view(), 70, 8))
    assert "64 MB" in words
    assert "--set data.samples=10000" in words


def test_before_the_first_keyframe_there_are_features_and_no_sample() -> None:
    drawn = lines(with_data(view(run_view(keyframes=0)), recorded_data("table")), 158, 30)
    assert "no keyframe here yet" in drawn[0]
    assert "all 30 features" in "\n".join(drawn)
    assert "(x − μ)/σ = (x − 58.01)/951.1 " in "\n".join(drawn)


@pytest.mark.parametrize("kind", ["plane", "line", "images", "table"])
@pytest.mark.parametrize("size", [(20, 6), (24, 7), (39, 11), (60, 14), (72, 18), (80, 20), (101, 33), (200, 60)])
def test_fills_exactly_its_size(kind: str, size: tuple[int, int]) -> None:
    for kinds in (("none", "standard"), ("minmax", "minmax")):
        shown = with_data(view(), recorded_data(kind, kinds))
        rows = panel.draw(shown, *size).rows
        assert [width(row) for row in rows] == [size[0]] * size[1]


def test_walking_through_the_features_brings_each_one_up() -> None:
    one = VIEWS["images"]()
    assert one.dataset is not None
    names = set(one.dataset.features)
    seen: set[str] = set()
    for feature in range(len(names)):
        drawing = panel.draw(replace(one, past=feature), 158, 40)
        seen |= {name for row in drawing.rows for name in re.findall(r"feature \d+", text(row))}
        assert len(drawing.rows) == 40
    assert seen == names
    assert panel.draw(replace(one, past=len(names)), 158, 40) == panel.draw(one, 158, 40)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_the_picture_shows_the_recorded_class_however_narrow_its_win_is(count: int, seed: int) -> None:
    """At the grid's own points nothing is interpolated: there the recorded class is what is drawn."""
    draw = np.random.default_rng(seed)
    classes = draw.integers(0, count, (32, 48)).astype(np.uint8)
    # of half precision: from a tie of ten classes, most of which win nowhere, to certainty
    values = draw.choice([0.1, 1 / 3, 0.34, 0.5, 0.5005, 0.9, 1.0], (32, 48)).astype(np.float16).astype(np.float32)
    numbers, scores = data_picture._scores(Predictions(values, classes))
    np.testing.assert_array_equal(numbers[scores.argmax(0)], classes)
    np.testing.assert_array_equal(numbers[::-1][scores[::-1].argmax(0)], classes)  # it wins, and not by its number


def test_a_sample_on_a_point_of_the_grid_is_judged_by_the_class_recorded_there() -> None:
    data = recorded_data("plane")
    columns, rows = np.arange(20), np.arange(20) + 5
    x = np.stack([data.grid[0][columns], data.grid[1][rows]], 1).astype(np.float64)
    data = replace(data, x=x, y=np.ones(20, np.int64))
    tied = Predictions(np.full((32, 48), 0.5, np.float32), np.ones((32, 48), np.uint8))
    tied.classes[::2] = 0  # type: ignore[index]
    found = data_picture.misclassified(data, tied, np.arange(20))
    np.testing.assert_array_equal(found, rows % 2 == 0)
