"""Tests the layers panel as text: sizes, figures, histograms on a common axis, warnings."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bntui.keyframe import COLUMN, HISTOGRAM_BINS, STATISTICS, Distribution
from bntui.viewer.draw import cells
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.rows import FigureReference, Span, text, width
from bntui.viewer.figure_names import SCALARS
from bntui.viewer.panels import layers, layers_detail
from bntui.viewer.panels.layers_rows import RunLayers
from bntui.viewer.quantities import shown_quantities
from bntui.viewer.view import RunView, View
from tests.factory import run_view, view

SIZES = [(20, 6), (21, 7), (38, 9), (46, 10), (64, 6), (77, 13), (80, 15), (118, 17), (160, 44), (200, 60)]
VIEWS = {
    "usual": view(),
    "one run": view(run_view()),
    "first frame": view(run_view(row=0), run_view(1, "batch norm", norm=True, row=0)),
    "nan": view(run_view(nan=True), run_view(1, nan=True, norm=True)),
    "no data": view(run_view(keyframes=0)),
    "one without data": view(run_view(keyframes=0), run_view(1)),
    "deep": view(run_view(layers=30, keyframes=3), run_view(1, layers=2)),
    "korean": view(run_view(name="배치 정규화 없는 실행")),
}


def lines(picture: View, wide: int, high: int) -> list[str]:
    return [text(row) for row in layers.draw(picture, wide, high).rows]


@pytest.mark.parametrize("picture", VIEWS.values(), ids=VIEWS.keys())
@pytest.mark.parametrize("size", SIZES)
def test_fills_exactly_its_size(picture: View, size: tuple[int, int]) -> None:
    rows = layers.draw(picture, *size).rows
    assert [width(row) for row in rows] == [size[0]] * size[1]
    assert any(text(row).strip() for row in rows)


def test_figures_are_those_of_the_keyframe() -> None:
    run = run_view(row=4)
    assert run.frame
    measured = run.frame.layers[1]
    row = next(line for line in lines(view(run), 120, 10) if "linear 2" in line)
    assert f"{measured.pre_norm.mean:.2f} ± {measured.pre_norm.std:.2f}" in row
    assert f"{measured.output.mean:.2f} ± {measured.output.std:.2f}" in row
    assert f"{100 * measured.saturated_fraction:.1f} %" in row


def test_what_is_missing_says_so_once() -> None:
    plain, normed = run_view(), run_view(1, norm=True)
    drawn = lines(view(plain, normed), 120, 12)
    assert [drawn[0].index(words) for words in ("before norm", "after norm", "after sigmoid", "saturated")]
    assert [line for line in drawn if "no norm" in line] == [next(line for line in drawn if "● linear 1" in line)]
    assert next(line for line in drawn if "● linear 2" in line).count("—") == 1
    assert next(line for line in drawn if "● output" in line).count("—") == 2
    assert "—" not in next(line for line in drawn if "▲ linear 1" in line)
    assert "after norm" not in lines(view(plain), 120, 12)[0]
    assert "before sigmoid" in lines(view(plain), 120, 12)[0]


def columns(picture: View, wide: int, high: int) -> tuple[layers.TableLayout, list[int]]:
    """The form of the table, and where its columns begin."""
    runs = picture.shown
    listed = [RunLayers(run, range(len(run.info.layers))) for run in runs]
    form = layers._form(listed, shown_quantities(picture.runs, runs), wide, high)
    return form, [2 + form.name + form.gap + form.column * n for n in range(len(form.shown))]


def heights(rows: list[str], start: int, bins: int) -> np.ndarray[Any, Any]:
    """Eighths of a row read back from a histogram."""
    blocks = [[cells.BLOCKS.index(char) if char != "_" else 0 for char in row[start : start + bins]] for row in rows]
    total: np.ndarray[Any, Any] = np.sum(blocks, axis=0)
    return total


def rebinned(values: Distribution, low: float, high: float, bins: int, top: int) -> np.ndarray[Any, Any]:
    """By hand: every bin of the keyframe cut into 1000 equal points, counted on the column's axis."""
    size = (values.max - values.min) / HISTOGRAM_BINS
    points = values.min + size * (np.arange(1000 * HISTOGRAM_BINS) + 0.5) / 1000
    counts = np.histogram(points.clip(low, high), bins, (low, high), weights=np.repeat(values.counts, 1000))[0]
    scaled: np.ndarray[Any, Any] = counts / counts.max() * top
    return scaled


@pytest.mark.parametrize(("size", "tall"), [((75, 21), 1), ((78, 17), 1), ((75, 27), 2), ((75, 36), 3)])
def test_histograms_stand_below_the_figures_on_one_axis_a_column(size: tuple[int, int], tall: int) -> None:
    picture = view(run_view(), run_view(1, "batch norm", norm=True))
    form, starts = columns(picture, *size)
    assert form.below == tall
    assert 16 <= form.bins <= 20
    drawn = lines(picture, *size)
    quantities = {quantity.field: quantity for quantity in form.shown}
    assert (quantities["output"].low, quantities["output"].high) == (0, 1)
    for run in picture.shown:
        assert run.frame
        for layer in run.frame.layers:
            at = next(i for i, line in enumerate(drawn) if line.startswith(f"{run.mark} {layer.name}"))
            plot = drawn[at + 1 : at + 1 + tall]
            for quantity, start in zip(form.shown, starts, strict=True):
                values = getattr(layer, quantity.field)
                if values is None or (layer.name == "output" and quantity.field == "output"):
                    continue
                low, high = quantity.limits(layer.name != "output")
                expected = rebinned(values, low, high, form.bins, 8 * tall)
                assert np.abs(heights(plot, start, form.bins) - expected).max() < 0.75
                assert heights(plot, start, form.bins).max() == 8 * tall


def test_the_output_layers_axis_is_its_own_and_stated() -> None:
    run = run_view()
    assert run.frame
    *hidden, output = run.frame.layers
    wide = replace(output, pre_norm=replace(output.pre_norm, min=-50.0, max=50.0, std=15.0))
    course = run.history.layers.copy()
    course[:, -1, COLUMN["pre_norm.min"]], course[:, -1, COLUMN["pre_norm.max"]] = -50, 50
    course[:, -1, COLUMN["pre_norm.mean"]], course[:, -1, COLUMN["pre_norm.std"]] = 0, 15
    far = replace(run, frame=replace(run.frame, layers=(*hidden, wide)), history=replace(run.history, layers=course))
    drawn, usual = lines(view(far), 75, 12), lines(view(run), 75, 12)
    assert drawn[:8] == usual[:8]
    at = next(i for i, line in enumerate(drawn) if "output" in line)
    # three standard deviations of 15 are 45: the next round number is 50
    assert "axis −50…50" in drawn[at]
    column = drawn[0].index("after sigmoid")
    assert drawn[at].index("axis −50…50") + len("axis −50…50") < column, "it stands in the column that it belongs to"
    # where the figures leave no room, it stands beside that column and points at it
    low = lines(view(far), 140, 5)
    line = next(line for line in low if "output" in line)
    assert "← axis −50…50" in line
    assert line.index("←") >= low[0].index("after")


def test_richest_form_that_fits() -> None:
    pair = view(run_view(), run_view(1, norm=True))
    assert [columns(pair, 75, high)[0].below for high in (36, 27, 21, 17, 16)] == [3, 2, 1, 1, 0]
    beside = columns(pair, 110, 16)[0]
    assert beside.below == 0
    assert beside.bins >= layers_detail.MIN_HISTOGRAM
    assert "▇" in lines(pair, 110, 12)[1]
    assert columns(pair, 75, 16)[0].bins == 0


def test_narrow_drops_columns_then_names() -> None:
    drawn = {wide: lines(view(), wide, 12) for wide in (80, 58, 30, 20)}
    assert "0.10 ± 0.75" in drawn[80][1]
    assert "after norm" in drawn[58][0]
    assert "saturated" in drawn[58][0]
    assert "linear 1" in drawn[58][1]
    assert "after" not in drawn[30][0]
    assert "linear 1" in drawn[30][1]
    assert "linea1" in drawn[20][1]
    assert all("±" in line[1] for line in drawn.values())


def test_blank_row_between_runs_where_there_is_room() -> None:
    assert "" in [line.strip() for line in lines(view(), 75, 20)][:-1]
    assert "" not in [line.strip() for line in lines(view(), 75, 17)]


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        (0.003, 0.39, " 0.00 ± 0.39 "),
        (-0.004, 0.39, " 0.00 ± 0.39 "),
        (-0.72, 0.5, "−0.72 ± 0.50 "),
        (0.003, 0.004, " 3e−3 ± 4e−3 "),
        (0.0, 0.004, " 0.00 ± 4e−3 "),
        (12.345, 123.4, "12.35 ± 123.4"),
        (float("nan"), float("nan"), "  NaN ± NaN  "),
    ],
)
def test_two_decimals_unless_the_std_is_small(mean: float, std: float, words: str) -> None:
    run = run_view()
    assert run.frame
    values = replace(run.frame.layers[0].pre_norm, mean=mean, std=std)
    spans = layers._moments(values, layers.WIDE_MOMENTS, FigureReference(0, "pre_norm", "linear 1"))
    assert text(tuple(spans)) == words
    assert {span.style for span in spans} == {"text" if mean == mean else "warn"}


def test_cut_rows_are_counted() -> None:
    drawn = lines(view(), 77, 7)
    assert drawn[-1].startswith("… 3 more layers (enter zooms, [ ] walk)")
    assert sum(line.startswith(("●", "▲")) for line in drawn) == 5


def test_header_does_not_move_while_the_cursor_does() -> None:
    headers = {tuple(lines(view(run_view(row=row), run_view(1, norm=True, row=row)), 120, 20)[:2]) for row in range(13)}
    assert len(headers) == 1


def axis(picture: View) -> tuple[float, float]:
    """The first column's, read from the ruler."""
    form, starts = columns(picture, 120, 20)
    ends = lines(picture, 120, 20)[1][starts[0] : starts[0] + form.bins].split()
    return float(ends[0].replace("−", "-")), float(ends[-1].replace("−", "-"))


def test_axis_holds_three_deviations_of_all_keyframes_and_sigmoid_is_bounded() -> None:
    run = run_view()
    low, high = axis(view(run))
    course = run.history.layers[:, :3]
    mean, std = course[:, :, COLUMN["pre_norm.mean"]], course[:, :, COLUMN["pre_norm.std"]]
    least, most = (mean - 3 * std).min(), (mean + 3 * std).max()
    assert low <= least < 0.5 * low
    assert 0.5 * high < most <= high
    form, starts = columns(view(run), 120, 20)
    assert lines(view(run), 120, 20)[1][starts[1] : starts[1] + form.bins].split() == ["0", "1"]


def test_one_diverging_keyframe_does_not_squeeze_the_rest() -> None:
    run = run_view()
    wild = run.history.layers.copy()
    wild[-1, :, COLUMN["pre_norm.max"]] = wild[-1, :, COLUMN["pre_norm.std"]] = 1e30
    run = replace(run, history=replace(run.history, layers=wild))
    assert axis(view(run))[1] < 100


def saturated(run: RunView, fraction: float) -> RunView:
    assert run.frame
    first = replace(run.frame.layers[0], saturated_fraction=fraction)
    return replace(run, frame=replace(run.frame, layers=(first, *run.frame.layers[1:])))


def warned(run: RunView) -> list[str]:
    rows = layers.draw(view(run), 100, 12).rows
    return [span.text.strip() for row in rows for span in row if span.style == "warn"]


def test_only_what_is_wrong_is_in_the_warning_color() -> None:
    assert warned(run_view()) == []
    assert warned(saturated(run_view(), 0.5)) == []
    assert warned(saturated(run_view(), 0.62)) == ["62.0 %"]
    words = warned(run_view(nan=True))
    assert {word.strip(" ±") for word in words} == {"NaN", ""}
    assert len(words) == 3 * 7  # mean, ± and std of four layers before the activation, of three after it


def test_zoomed_it_shows_every_figure() -> None:
    run = run_view()
    assert run.frame
    row = next(line for line in lines(view(run), 160, 40) if line.startswith("● linear 1"))
    values = run.frame.layers[0].pre_norm
    figures = [f"{x:.3f}".replace("-", "−") for x in (values.min, values.p15, values.p50, values.p85, values.max)]
    words = row.split()
    assert words[words.index(figures[0]) :][:5] == figures
    # the histogram is two rows tall, the lower one below the figures
    drawn = lines(view(run), 160, 40)
    assert drawn[drawn.index(row) + 1].strip().strip("_").count("█") >= 3
    assert "7.500" in row
    assert "0.00100" in row


def test_mean_after_normalization_is_not_rounding_noise() -> None:
    drawn = [line for line in lines(view(run_view(norm=True)), 120, 12) if "linear" in line]
    assert len(drawn) == 3
    assert all("0.00 ± 1.00" in line for line in drawn)


def test_empty_state_says_why() -> None:
    assert "No keyframe here yet." in lines(VIEWS["no data"], 60, 8)[0]
    assert any("● plain: no keyframe here yet" in line for line in lines(VIEWS["one without data"], 60, 8))


def test_histogram_is_numpys_on_the_common_axis() -> None:
    values = np.random.default_rng(1).normal(0, 1, 20_000)
    counts = np.histogram(values, 32)[0]
    low, high = float(values.min()), float(values.max())
    drawn = cells.histogram(counts, Limits(low, high), Limits(-6, 6), 12)[0]
    exact = np.histogram(values, 12, (-6, 6))[0]
    expected = 8 * exact / exact.max()
    assert np.abs(np.array([cells.BLOCKS.index(char) for char in drawn]) - expected).max() < 1.1
    unit, four = Limits(0, 1), Limits(0, 4)
    assert cells.histogram([0, 5, 0], Limits(0.5, 0.5), unit, 4) == ("  █ ",)
    assert cells.histogram([1, 1], Limits(5, 6), unit, 4) == ("   █",)
    assert cells.histogram([0, 0], unit, unit, 4) == ("    ",)
    assert cells.histogram([1, 1], Limits(float("nan"), 1), unit, 4) == ("    ",)
    assert cells.histogram([4, 2, 1, 0], four, four, 4, 2) == ("█   ", "██▄ ")
    assert cells.histogram([4, 2, 1, 0], four, four, 4, 2, 12) == ("▄   ", "█▆▃ ")


def test_grounded_shows_the_axis_beside_the_values() -> None:
    assert cells.grounded("  ▂█ ▂ ", "run0") == (Span("__", "frame"), Span("▂█ ▂", "run0"), Span("_", "frame"))
    assert cells.grounded("   ", "run0") == (Span("   ", "run0"),)


def test_ruler() -> None:
    assert cells.ruler(-2, 2, 12) == "−2    0    2"
    assert cells.ruler(0, 1, 6) == "0    1"
    assert cells.ruler(-0.5, 1e-5, 12) == "−0.5    1e−5"
    assert cells.ruler(0, 0, 4) == "    "


@pytest.mark.parametrize(
    ("size", "expected"), [(0.93, 1), (1, 1), (1.2, 1.5), (3.3, 4), (0.071, 0.08), (8.5e6, 1e7), (0, 0)]
)
def test_nice(size: float, expected: float) -> None:
    assert cells.nice(size) == expected


def exploded(run: RunView, times: float) -> RunView:
    """Everything before an activation so many times as large."""
    assert run.frame
    course = run.history.layers.copy()
    names = [f"{field}.{name}" for field in ("pre_norm", "output") for name in ("mean", "std", "min", "max")]
    columns_ = [COLUMN[name] for name in names]
    course[:, :, columns_] *= times

    def large(values: Distribution) -> Distribution:
        return replace(
            values, mean=times * values.mean, std=times * values.std, min=times * values.min, max=times * values.max
        )

    frame = replace(run.frame, layers=tuple(replace(one, pre_norm=large(one.pre_norm)) for one in run.frame.layers))
    return replace(run, history=replace(run.history, layers=course), frame=frame)


def plots(drawn: list[str], name: str) -> str:
    """The row of histograms below a layer's figures."""
    return drawn[next(at for at, line in enumerate(drawn) if line.startswith(name)) + 1]


@pytest.mark.parametrize("high", [17, 27])
def test_a_calm_run_beside_an_exploding_one_looks_as_it_does_alone(high: int) -> None:
    """Where there is room each has its own axis, else both stand on the calm one's."""
    calm, wild = run_view(), exploded(run_view(1, "wild"), 1e20)
    alone = lines(view(calm, run_view(1, "other")), 78, high)
    drawn = lines(view(calm, wild), 78, high)
    for name in ("● linear 1", "● linear 3", "● output"):
        assert plots(drawn, name).replace("_", " ") == plots(alone, name).replace("_", " ")
    axes = [line for line in drawn if "own axis" in line]
    assert [line[0] for line in axes] == (["●", "▲"] if high == 27 else [])
    assert high == 17 or "e20" in axes[1]
    swapped = lines(view(wild, calm), 78, high)
    assert plots(swapped, "● linear 2").replace("_", " ") == plots(alone, "● linear 2").replace("_", " ")


def test_runs_that_reach_about_as_far_share_their_axes() -> None:
    drawn = lines(view(run_view(), exploded(run_view(1, "larger"), 20.0)), 78, 27)
    assert not any("own axis" in line for line in drawn)


def test_what_is_not_finite_is_neither_dead_nor_saturated() -> None:
    run = run_view(nan=True)
    assert run.frame
    assert all(np.isnan(one.output.mean) for one in run.frame.layers[:3])
    for wide, high in ((100, 12), (160, 40)):
        assert not any("%" in line for line in lines(view(run), wide, high)[1:])


def test_the_detailed_table_has_every_statistic_that_is_measured() -> None:
    assert sorted(layers_detail.DETAILS) == sorted(STATISTICS)
    assert set(layers_detail.EXTRAS) < set(SCALARS)


@pytest.mark.parametrize(("cell", "letters"), [("gru", "r z n"), ("lstm", "i f g o")])
def test_headings_of_recurrent_layers_name_the_gates(cell: str, letters: str) -> None:
    run = run_view()
    layers = tuple(replace(info, kind="recurrent", cell=cell) for info in run.info.layers[:-1])
    gated = replace(run, info=replace(run.info, layers=(*layers, run.info.layers[-1])))
    assert f" before gates {letters} " in lines(view(gated), 100, 12)[0]
    assert f"after gates {letters}" in lines(view(gated), 100, 12)[0]
    elman = replace(
        run, info=replace(run.info, layers=(*(replace(i, cell="elman") for i in layers), *run.info.layers[-1:]))
    )
    assert lines(view(elman), 100, 12)[0] == lines(view(run), 100, 12)[0]


def without_activations(run: RunView) -> RunView:
    return replace(
        run, info=replace(run.info, layers=tuple(replace(one, activation="none") for one in run.info.layers))
    )


def test_without_any_activation_there_is_one_column_named_output() -> None:
    run = without_activations(run_view())
    drawn = lines(view(run), 80, 12)
    assert drawn[0].split() == ["output"]
    assert not any("—" in line for line in drawn)
    normed = lines(view(without_activations(run_view(norm=True))), 80, 12)
    assert normed[0].rstrip().endswith("after norm")
    assert "before norm" in normed[0]


def test_no_heading_stands_without_its_noun() -> None:
    for wide in range(36, 100):
        for shown in (view(run_view(norm=True)), view(run_view())):
            heading = lines(shown, wide, 9)[0].split("  ")
            assert not {"before", "after"} & {words.strip() for words in heading}, wide


@pytest.mark.parametrize("norm", [False, True])
def test_a_heading_is_whole_or_left_out(norm: bool) -> None:
    """Also where only a run beside the displayed one has a normalization, such as a fork that begins later."""
    wordings = r"before norm|after norm|after sigmoid|after act\.|saturated"
    seen = set()
    for wide in range(20, 130):
        picture = view(run_view(norm=norm), run_view(1, norm=True, keyframes=0 if norm else 13), pinned=None)
        heading = lines(picture, wide, 12)[0]
        assert re.fullmatch(rf"(?:\s+(?:{wordings})(?: +\S+…\S+)?)*\s*", heading), (wide, heading)
        seen |= set(re.findall(wordings, heading))
    assert seen == {"before norm", "after norm", "after sigmoid", "after act.", "saturated"}


def test_a_layer_without_activation_says_so_once() -> None:
    run = run_view(norm=True)
    first, *rest = run.info.layers
    plain = replace(run, info=replace(run.info, layers=(replace(first, activation="none"), *rest)))
    drawn = "\n".join(lines(view(plain), 120, 12))
    assert drawn.count("— no activation") == 1
    assert "— no act." in "\n".join(lines(view(plain), 56, 12))
