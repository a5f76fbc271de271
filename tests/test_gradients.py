"""The gradients panel as text: bars on a log axis, ratio, verdict, course."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bntui.viewer import cells
from bntui.viewer.panels import gradients
from bntui.viewer.rows import text, width
from bntui.viewer.view import View
from tests.factory import run_view, view

SIZES = [(20, 6), (21, 7), (32, 8), (46, 10), (64, 6), (77, 13), (80, 15), (118, 17), (160, 44), (200, 60)]
VIEWS = {
    "usual": view(),
    "one run": view(run_view()),
    "first frame": view(run_view(row=0), run_view(1, "batch norm", norm=True, row=0)),
    "nan": view(run_view(nan=True), run_view(1, nan=True)),
    "no data": view(run_view(keyframes=0)),
    "one without data": view(run_view(1, keyframes=2), run_view(0, keyframes=0)),
    "deep": view(run_view(layers=30, keyframes=3), run_view(1, layers=2)),
    "one keyframe": view(run_view(keyframes=1, epochs=1)),
}


def lines(picture: View, wide: int, high: int) -> list[str]:
    return [text(row) for row in gradients.draw(picture, wide, high).rows]


def eighths(line: str) -> int:
    """Length of a bar, read back from its characters."""
    return 8 * line.count("█") + sum(" ▏▎▍▌▋▊▉".index(char) for char in line if char in "▏▎▍▌▋▊▉")


@pytest.mark.parametrize("picture", VIEWS.values(), ids=VIEWS.keys())
@pytest.mark.parametrize("size", SIZES)
def test_fills_exactly_its_size(picture: View, size: tuple[int, int]) -> None:
    rows = gradients.draw(picture, *size).rows
    assert [width(row) for row in rows] == [size[0]] * size[1]
    assert any(text(row).strip() for row in rows)


@pytest.mark.parametrize("wide", [20, 46, 80, 160])
def test_bars_stand_on_the_log_axis(wide: int) -> None:
    run = run_view(vanishing=True)
    assert run.frame
    # norms are 0.1·10^(-1.6·depth): 1.6e-6 to 0.1, so the axis runs from 1e-6 to 1e-1
    rows = [row for row in gradients.draw(view(run), wide, 12).rows if text(row).startswith("●")][:4]
    for depth, row in zip((3, 2, 1, 0), rows, strict=True):
        bar = row[1].text
        share = (math.log10(0.1 * 10 ** (-1.6 * depth)) + 6) / 5
        assert eighths(bar) == round(share * len(bar) * 8)


def test_axis_labels_stand_where_bars_of_that_size_end() -> None:
    rows = gradients.draw(view(run_view(vanishing=True)), 80, 12).rows
    header, bar = text(rows[0]), rows[1][1].text
    start = len(rows[1][0].text)
    for decade in (-6, -5, -4, -3):
        assert header.index(f"1e−{-decade}") == start + round((decade + 6) / 5 * len(bar))
    assert header.index("1e−1") + 4 == start + len(bar)


def test_ratio_and_verdict() -> None:
    rows = gradients.draw(view(run_view(vanishing=True)), 80, 8).rows
    # 10^(-1.6·3) = 1.58e-5
    (line,) = [row for row in rows if "first/last" in text(row)]
    assert text(line).strip() == "first/last 1.6e−05  vanishing (limit 1e−3)"
    assert [span.text for row in rows for span in row if span.style == "warn"] == [text(line).strip()]


def test_healthy_is_not_in_the_warning_colour() -> None:
    rows = gradients.draw(view(run_view()), 80, 8).rows
    # 0.7^3 = 0.343
    assert any("first/last 3.4e−01  healthy" in text(row) for row in rows)
    assert not any(span.style == "warn" for row in rows for span in row)


def test_not_finite() -> None:
    drawn = lines(view(run_view(nan=True)), 80, 8)
    assert any("not finite: the gradient of layer 1 is NaN" in line for line in drawn)
    assert "NaN" in drawn[1]
    assert gradients.draw(view(run_view(nan=True)), 80, 8).rows[1][1].text.strip() == ""


def test_zero_and_infinite_gradients_are_drawn() -> None:
    run = run_view()
    assert run.frame
    first, *rest = run.frame.layers
    changed = (replace(first, weight_gradient_norm=0.0), replace(rest[0], weight_gradient_norm=math.inf), *rest[1:])
    rows = gradients.draw(view(replace(run, frame=replace(run.frame, layers=changed))), 80, 8).rows
    assert eighths(rows[1][1].text) == 0
    assert set(rows[2][1].text) == {"█"}


def test_axis_does_not_move_while_the_cursor_does() -> None:
    headers = {lines(view(run_view(row=row, vanishing=True)), 80, 8)[0] for row in range(13)}
    assert len(headers) == 1


def test_course_is_drawn_to_the_head_and_dimmed_after_the_cursor() -> None:
    run = run_view(row=4, epochs=60)
    course, future = gradients.draw(view(run), 80, 8).rows[1][3:5]
    assert course.style == "run0"
    assert future.style == "muted"
    whole = course.text[1:] + future.text
    # 12 epochs on an axis to 15: the cells that begin after epoch 12 are blank
    assert len(whole.rstrip()) == sum(15 * cell / len(whole) <= 12 for cell in range(len(whole)))
    # of 15 epochs the cursor's are 4
    assert len(course.text[1:]) == int(4 / 15 * len(whole)) + 1


def test_ends_of_a_deep_network_stay_when_rows_are_cut() -> None:
    drawn = lines(view(run_view(layers=30, keyframes=2)), 80, 8)
    assert "linear 1" in drawn[1]
    assert any("output" in line for line in drawn)
    assert any("26 more layers" in line for line in drawn)


def test_with_height_activations_gradients_stand_below() -> None:
    run = run_view()
    drawn = lines(view(run), 80, 20)
    below = drawn[next(i for i, line in enumerate(drawn) if "∂L/∂a" in line) :]
    assert "3.3e−02" in next(line for line in below if "output" in line)


def test_empty_state_says_why() -> None:
    assert "No keyframe here yet." in lines(VIEWS["no data"], 60, 8)[0]


def test_bar() -> None:
    assert cells.bar(0.5, 4) == "██  "
    assert cells.bar(0.5 + 1 / 32, 4) == "██▏ "
    assert cells.bar(2.0, 3) == "███"
    assert cells.bar(math.nan, 3) == "   "
    assert cells.bar(-1.0, 3) == "   "
    assert cells.bar(0.5, 0) == ""


def test_sparkline() -> None:
    assert cells.sparkline(range(8), 8) == "▁▂▃▄▅▆▇█"
    assert cells.sparkline([0, math.nan, 7, math.inf], 6) == "▁ █   "
    assert cells.sparkline([1, 3, 5, 7], 2, 2, 6) == "▁█"
    assert cells.sparkline([math.nan, math.nan, 1, math.nan, 2, 2], 3) == " ▁█"
    assert cells.sparkline([5, 5], 2) == "▄▄" or cells.sparkline([5, 5], 2) == "▅▅"
    assert cells.sparkline([], 3) == "   "
    assert cells.sparkline([math.nan], 2) == "  "


def test_short_names_keep_their_number() -> None:
    assert cells.short("linear 12", 9) == "linear 12"
    assert cells.short("linear 12", 6) == "lin12 "
    assert cells.short("linear 12", 3) == "l12"
    assert cells.short("output", 3) == "out"
    assert cells.short("층 1", 6) == "층 1  "


def test_along_holds_the_last_value_up_to_the_head() -> None:
    assert cells.along(np.array([0.0, 1.0, 4.0]), 10, 10.0).tolist() == [1, 1, 1, 2, 2, -1, -1, -1, -1, -1]
    assert cells.along(np.array([5.0, 6.0]), 4, 8.0).tolist() == [-1, -1, 1, 1]
    assert cells.along(np.array([]), 3, 10.0).tolist() == [-1, -1, -1]
