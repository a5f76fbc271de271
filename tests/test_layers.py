"""The layers panel as text: sizes, figures, histograms on a common axis, what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bntui.viewer import cells
from bntui.viewer.panels import layers
from bntui.viewer.rows import text, width
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


def test_what_is_missing_says_so() -> None:
    plain, normed = run_view(), run_view(1, norm=True)
    drawn = lines(view(plain, normed), 120, 12)
    assert "before norm" in drawn[0]
    assert "after norm" in drawn[0]
    assert "after sigmoid" in drawn[0]
    assert "saturated" in drawn[0]
    assert all("no norm" in line for line in drawn if line.startswith("● linear"))
    assert not any("no norm" in line for line in drawn if line.startswith("▲ linear"))
    assert "no activation" in next(line for line in drawn if "output" in line)
    assert "before sigmoid" in lines(view(plain), 120, 12)[0]


def test_narrow_drops_histograms_then_columns_then_names() -> None:
    drawn = {wide: lines(view(), wide, 10) for wide in (80, 60, 30, 20)}
    assert "█" in drawn[80][1]
    assert "█" not in drawn[60][1]
    assert "after norm" in drawn[60][0]
    assert "linear 1" in drawn[30][1]
    assert "after" not in drawn[30][0]
    assert "lin1" in drawn[20][1]
    assert "±" in drawn[20][1]


def test_cut_rows_are_counted() -> None:
    drawn = lines(view(), 77, 7)
    assert drawn[-1].startswith("… 3 more layers (enter zooms)")
    assert sum(line.startswith(("●", "▲")) for line in drawn) == 5


def test_header_does_not_move_while_the_cursor_does() -> None:
    headers = {lines(view(run_view(row=row), run_view(1, norm=True, row=row)), 120, 12)[0] for row in range(13)}
    assert len(headers) == 1


def test_axis_holds_all_extremes_and_sigmoid_is_bounded() -> None:
    run = run_view()
    header = lines(view(run), 120, 12)[0]
    least, most = run.history.layers[:, :, 12].min(), run.history.layers[:, :, 13].max()
    low, high = (float(end) for end in header.split("before sigmoid")[1].split()[0].replace("−", "-").split("…"))
    assert low <= least < 0.5 * low
    assert 0.5 * high < most <= high
    assert "0…1" in header


def test_one_diverging_keyframe_does_not_squeeze_the_rest() -> None:
    run = run_view()
    wild = run.history.layers.copy()
    wild[-1, :, 13] = 1e30
    run = replace(run, history=replace(run.history, layers=wild))
    header = lines(view(run), 120, 12)[0]
    assert float(header.split("…")[1].split()[0]) < 100


def saturated(run: RunView, fraction: float) -> RunView:
    assert run.frame
    first = replace(run.frame.layers[0], saturated_fraction=fraction)
    return replace(run, frame=replace(run.frame, layers=(first, *run.frame.layers[1:])))


def warned(run: RunView) -> list[str]:
    rows = layers.draw(view(run), 100, 12).rows
    return [span.text.strip() for row in rows for span in row if span.style == "warn"]


def test_only_what_is_wrong_is_in_the_warning_colour() -> None:
    assert warned(run_view()) == []
    assert warned(saturated(run_view(), 0.5)) == []
    assert warned(saturated(run_view(), 0.62)) == ["62.0 %"]
    assert all("NaN" in words for words in warned(run_view(nan=True)))
    assert len(warned(run_view(nan=True))) == 7


def test_zoomed_it_shows_every_figure() -> None:
    run = run_view()
    assert run.frame
    row = next(line for line in lines(view(run), 160, 40) if line.startswith("● linear 1"))
    values = run.frame.layers[0].pre_norm
    figures = [f"{x:.3f}".replace("-", "−") for x in (values.min, values.p15, values.p50, values.p85, values.max)]
    words = row.split()
    assert words[words.index(figures[0]) :][:5] == figures
    assert "7.500" in row
    assert "1.0e−03" in row


def test_mean_after_normalization_is_not_rounding_noise() -> None:
    drawn = lines(view(run_view(norm=True)), 120, 12)
    assert all("0.00 ± 1.00" in line for line in drawn if "linear" in line)


def test_empty_state_says_why() -> None:
    assert "No keyframe here yet." in lines(VIEWS["no data"], 60, 8)[0]
    assert any("● plain: no keyframe here yet" in line for line in lines(VIEWS["one without data"], 60, 8))


def test_histogram_is_numpys_on_the_common_axis() -> None:
    values = np.random.default_rng(1).normal(0, 1, 20_000)
    counts = np.histogram(values, 32)[0]
    low, high = float(values.min()), float(values.max())
    drawn = cells.histogram(counts, low, high, -6, 6, 12)
    exact = np.histogram(values, 12, (-6, 6))[0]
    expected = 8 * exact / exact.max()
    assert np.abs(np.array([cells.BLOCKS.index(char) for char in drawn]) - expected).max() < 1.1
    assert cells.histogram([0, 5, 0], 0.5, 0.5, 0, 1, 4) == "  █ "
    assert cells.histogram([1, 1], 5, 6, 0, 1, 4) == "   █"
    assert cells.histogram([0, 0], 0, 1, 0, 1, 4) == "    "
    assert cells.histogram([1, 1], float("nan"), 1, 0, 1, 4) == "    "


@pytest.mark.parametrize(
    ("size", "expected"), [(0.93, 1), (1, 1), (1.2, 1.5), (3.3, 4), (0.071, 0.08), (8.5e6, 1e7), (0, 0)]
)
def test_nice(size: float, expected: float) -> None:
    assert cells.nice(size) == expected
