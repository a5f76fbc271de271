"""Tests the gradients panel as text: bars on a log axis, ratio, verdict, history."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.keyframe import COLUMN
from bntui.viewer.draw import cells
from bntui.viewer.draw.names import shortened
from bntui.viewer.draw.rows import Row, text, width
from bntui.viewer.panels import BY_NAME, gradients
from bntui.viewer.panels.gradients_layout import GradientsLayout
from bntui.viewer.view import RunView, View
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


def halves(line: str) -> int:
    """Length of a bar, read back from its characters."""
    return 2 * line.count("━") + line.count("╸")


BAR = 2
"""Place of a bar in its row: after the run's mark and the layer's name."""


def area(row: Row) -> int:
    """Cells in which a bar can stand: bar and rest without the gap before the figure."""
    return len(row[BAR].text + row[BAR + 1].text) - 1


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
        share = (math.log10(0.1 * 10 ** (-1.6 * depth)) + 6) / 5
        assert halves(row[BAR].text) == round(share * area(row) * 2)


@pytest.mark.parametrize("high", range(-2, 14))
@pytest.mark.parametrize("bar", range(8, 100, 7))
def test_labels_of_an_axis_are_evenly_spaced_and_do_not_touch(bar: int, high: int) -> None:
    for low in range(max(high - 16, -7), high):
        form = GradientsLayout(8, bar, 0, 0, False, low=low, high=high)
        decades = sorted(form.decades)
        places = [form.place(decade) for decade in decades]
        assert decades[-1] == high
        assert len(set(np.diff(decades))) <= 1 or len(decades) == 3
        ends = [place + len(f"1e{decade}") for place, decade in zip(places, decades, strict=True)]
        assert all(end < place for end, place in zip(ends, places[1:], strict=False))


def test_what_is_not_finite_is_in_the_warning_color() -> None:
    run = run_view(row=4)
    assert run.frame is not None
    lost = tuple(replace(layer, update_ratio=math.nan, weight_norm=math.inf) for layer in run.frame.layers)
    lost_run = replace(run, frame=replace(run.frame, layers=lost))
    for name, word in (("gradients", "NaN"), ("layers", "∞")):
        rows = BY_NAME[name].draw(view(lost_run), 158, 40).rows
        styles = {span.style for row in rows for span in row if span.text.strip() == word}
        assert styles == {"warn"}


@pytest.mark.parametrize("wide", [46, 49, 80, 160])
def test_axis_labels_stand_where_bars_of_that_size_end(wide: int) -> None:
    rows = gradients.draw(view(run_view(vanishing=True)), wide, 12).rows
    header, start = text(rows[0]), width(rows[1][:BAR])
    labelled = [decade for decade in range(-6, 0) if f"1e−{-decade}" in header]
    assert len(labelled) >= 3
    for decade in labelled:
        place = round((decade + 6) / 5 * area(rows[1]))
        assert header.index(f"1e−{-decade}") == start + place
        # above its tick, where no bar covers that
        over = [row for row in rows[1:5] if len(row[BAR].text) <= place < area(row)]
        assert all(text(row)[start + place] == "┊" for row in over)


def test_header_names_the_update_to_weight_ratio() -> None:
    for wide, words in ((80, "update/weight"), (49, "upd/weight")):
        rows = gradients.draw(view(), wide, 18).rows
        assert text(rows[0]).endswith(words)
        assert text(rows[1]).endswith("0.00100")
        assert "linear 1" in text(rows[1])


def test_ratio_and_verdict() -> None:
    rows = gradients.draw(view(run_view(vanishing=True)), 80, 8).rows
    # 10^(-1.6·3) = 1.58e-5
    (line,) = [row for row in rows if "first/last" in text(row)]
    assert text(line).strip() == "first/last 1.6e−5  vanishing (limit 1e−3)"
    assert "".join(span.text for row in rows for span in row if span.style == "warn") == text(line).strip()


def test_healthy_is_not_in_the_warning_color() -> None:
    rows = gradients.draw(view(run_view()), 80, 8).rows
    # 0.7^3 = 0.343
    assert any("first/last 0.343  healthy" in text(row) for row in rows)
    assert not any(span.style == "warn" for row in rows for span in row)


def test_not_finite() -> None:
    drawn = lines(view(run_view(nan=True)), 80, 8)
    assert any("not finite: the gradient of layer linear 1 is NaN" in line for line in drawn)
    assert "NaN" in drawn[1]
    assert gradients.draw(view(run_view(nan=True)), 80, 8).rows[1][BAR].text.strip() == ""


def test_zero_and_infinite_gradients_are_drawn() -> None:
    run = run_view()
    assert run.frame
    first, *rest = run.frame.layers
    changed = (replace(first, weight_gradient_norm=0.0), replace(rest[0], weight_gradient_norm=math.inf), *rest[1:])
    rows = gradients.draw(view(replace(run, frame=replace(run.frame, layers=changed))), 80, 8).rows
    assert halves(rows[1][BAR].text) == 0
    assert rows[2][BAR].text == "━" * area(rows[2])


NORM = COLUMN["weight_gradient_norm"]
Norms = st.one_of(st.just(0.0), st.floats(-44, 38).map(lambda decade: 10.0**decade))


def with_norms(run: RunView, norms: list[list[float]], row: int, updates: float = 1e-3) -> RunView:
    """The run with these weight gradients, a list for each keyframe, at one of its keyframes."""
    layers = run.history.layers.copy()
    layers[: len(norms), :, NORM] = norms
    history = replace(run.history, layers=layers)
    assert run.frame is not None
    own = [
        replace(layer, weight_gradient_norm=norm, update_ratio=updates)
        for layer, norm in zip(run.frame.layers, norms[row], strict=True)
    ]
    return replace(run, history=history, row=row, frame=replace(run.frame, layers=tuple(own)))


def bars(rows: list[Row], mark: str) -> list[str]:
    """The bars of the weights' gradients of a run."""
    rows = rows[: next((at for at, found in enumerate(rows) if "∂L/∂a" in text(found)), len(rows))]
    verdicts = (f"{mark} first/last", f"{mark} update/weight")
    own = [row for row in rows if text(row).startswith(mark) and not text(row).startswith(verdicts)]
    return [row[BAR].text for row in own if len(row) > BAR + 2]


def test_beside_a_run_that_explodes_the_other_one_has_its_own_axis() -> None:
    calm = [[2.9e-6, 1e-4, 5e-3, 0.148]] * 13
    wild = [[1.3e4, 2e5, 2.2e5, 1e5], [1.67e16, 2.42e15, 9.46e14, 1e15], *[[0.0, 0.0, 0.0, 5.8e5]] * 11]
    for size in ((57, 15), (80, 24), (100, 12)):
        pictures = view(
            with_norms(run_view(), calm, 1), with_norms(run_view(1, "wild"), wild, 1, updates=1.3e12), pinned=1
        )
        rows = list(gradients.draw(pictures, *size).rows)
        for mark, norms in (("●", calm[1]), ("▲", wild[1])):
            lengths = [halves(bar) for bar in bars(rows, mark)]
            assert min(lengths) > 0
            assert np.argsort(lengths, kind="stable").tolist() == np.argsort(norms, kind="stable").tolist()
        said = [text(row) for row in rows]
        assert sum("own axis" in line for line in said) == 2
        assert any("update/weight 1.3e12" in line and "exploding (limit 1)" in line for line in said), said


def test_one_spike_does_not_shorten_the_bars_of_other_keyframes() -> None:
    calm = [[1e-3, 1e-2, 1e-1, 1.0]] * 13
    quiet = gradients.draw(view(with_norms(run_view(), calm, 5)), 80, 12).rows
    spiked = [*[[1e-3, 1e-2, 1e-1, 1.0]] * 12, [1e20, 1e21, 1e22, 1e23]]
    drawn = gradients.draw(view(with_norms(run_view(), spiked, 5)), 80, 12).rows
    assert min(halves(bar) for bar in bars(list(drawn), "●")[1:4]) > 0
    assert len({halves(bar) for bar in bars(list(drawn), "●")[:4]}) == len({halves(b) for b in bars(list(quiet), "●")})
    at_the_spike = bars(list(gradients.draw(view(with_norms(run_view(), spiked, 12)), 80, 12).rows), "●")[:4]
    assert len(set(at_the_spike)) == 4
    assert not any("›" in bar for bar in at_the_spike)


@given(
    st.lists(st.lists(Norms, min_size=8, max_size=8), min_size=1, max_size=5),
    st.integers(0, 4),
    st.sampled_from(SIZES),
)
def test_longer_bars_are_larger_values_whatever_the_values(
    drawn: list[list[float]], at: int, size: tuple[int, int]
) -> None:
    row = min(at, len(drawn) - 1)
    one = with_norms(run_view(keyframes=len(drawn)), [frame[:4] for frame in drawn], row)
    other = with_norms(run_view(1, "other", keyframes=len(drawn)), [frame[4:] for frame in drawn], row)
    rows = list(gradients.draw(view(one, other), *size).rows)
    assert [width(row) for row in rows] == [size[0]] * size[1]
    above = next((at for at, found in enumerate(rows) if "∂L/∂a" in text(found)), len(rows))
    for mark, run in (("●", one), ("▲", other)):
        assert run.frame is not None
        norms = {layer.name: layer.weight_gradient_norm for layer in run.frame.layers}
        shown = {
            name: found[BAR].text
            for found in rows[:above]
            for name in norms
            if len(found) > BAR + 2
            and text(found).startswith(mark)
            and found[1].text == shortened(norms, len(found[1].text) - 1)[name] + " "
        }
        by_size = sorted(shown, key=lambda name: norms[name])
        lengths = [(shown[name] not in ("", "‹"), halves(shown[name])) for name in by_size]
        assert lengths == sorted(lengths)
        assert all(not shown[name] for name in shown if norms[name] == 0)


@given(st.floats(-80, 80), st.floats(-80, 80), st.sampled_from([(46, 12), (80, 12), (118, 30), (160, 44)]))
def test_the_axis_of_the_ratios_chart_stands_in_one_column(low: float, high: float, size: tuple[int, int]) -> None:
    norms = [[10.0 ** (decade / 2), 1.0, 1.0, 10.0 ** (-decade / 2)] for decade in np.linspace(low, high, 13)]
    rows = gradients.draw(view(with_norms(run_view(), norms, 12)), *size).rows
    assert [width(row) for row in rows] == [size[0]] * size[1]
    said = [text(row) for row in rows]
    start = next(at for at, line in enumerate(said) if line.startswith("first/last by epoch"))
    assert len({line.index("┤") for line in said[start + 1 :] if line.strip()}) == 1


def test_axis_does_not_move_while_the_cursor_does() -> None:
    headers = {lines(view(run_view(row=row, vanishing=True)), 80, 8)[0] for row in range(13)}
    assert len(headers) == 1


def test_course_is_drawn_to_the_head_and_dimmed_after_the_cursor() -> None:
    run = run_view(row=4, epochs=60)
    course, future = gradients.draw(view(run), 80, 8).rows[1][BAR + 3 : BAR + 5]
    assert course.style == "run0"
    assert future.style == "muted"
    whole = course.text[1:] + future.text
    # 12 epochs on an axis to 15: the cells that begin after epoch 12 are blank
    assert len(whole.rstrip()) == sum(15 * cell / len(whole) <= 12 for cell in range(len(whole)))
    # of 15 epochs the cursor's are 4
    assert len(course.text[1:]) == int(4 / 15 * len(whole)) + 1


def test_a_peak_before_training_is_seen_in_the_course() -> None:
    """It sets the axis; without it, the course is a line at the bottom, and nothing says why."""
    norms = [[1e6, 1.0, 1.0, 1.0], *[[1.0, 1.0, 1.0, 1.0]] * 12]
    peak, even = (
        "".join(part.text for part in row[BAR + 3 : BAR + 5])[1:].rstrip()
        for row in gradients.draw(view(with_norms(run_view(), norms, 12)), 52, 8).rows[1:3]
    )
    assert 2 * len(even) < 13  # a dot for more than one keyframe
    assert ord(peak[0]) & 0x01  # the top left dot
    assert all(ord(cell) & 0xC0 and not ord(cell) & 0x09 for cell in peak[1:])  # then the lowest
    assert set(even) == {"⠤"}


def test_ends_of_a_deep_network_stay_when_rows_are_cut() -> None:
    drawn = lines(view(run_view(layers=30, keyframes=2)), 80, 8)
    assert "linear 1" in drawn[1]
    assert any("output" in line for line in drawn)
    assert any("26 more layers" in line for line in drawn)


def test_with_height_activations_gradients_stand_below() -> None:
    run = run_view()
    drawn = lines(view(run), 80, 20)
    below = drawn[next(i for i, line in enumerate(drawn) if "∂L/∂a" in line) :]
    assert "0.0333" in next(line for line in below if "output" in line)


def test_empty_state_says_why() -> None:
    assert "No keyframe here yet." in lines(VIEWS["no data"], 60, 8)[0]


def test_verdict_stands_below_its_run_and_a_blank_row_between_runs() -> None:
    drawn = [line.strip() for line in lines(view(), 49, 12)]
    assert [line[:1] for line in drawn[1:]] == ["●"] * 5 + [""] + ["▲"] * 5
    assert drawn[5].startswith("● first/last")
    assert drawn[11].startswith("▲ first/last")


def test_verdicts_beside_the_rows_keep_all_layers_on_a_low_panel() -> None:
    drawn = lines(view(), 58, 9)
    assert not any("more layer" in line for line in drawn)
    assert [line.split()[-1] for line in drawn[1:4]] == ["first/last", "1.6e−5", "vanishing"]
    assert [line.split()[-1] for line in drawn[5:8]] == ["first/last", "0.343", "healthy"]


@pytest.mark.parametrize("high", [5, 6, 7, 8])
def test_both_ends_and_the_verdict_of_every_run_stay_before_the_middle(high: int) -> None:
    drawn = lines(view(), 48, high)
    for mark, verdict in (("●", "vanishing"), ("▲", "healthy")):
        own = [line for line in drawn if line.startswith(mark)]
        assert any("linear 1" in line for line in own)
        assert any("output" in line for line in own)
        assert any(verdict in line for line in own)


def dots(rows: list[str]) -> set[tuple[int, int]]:
    """Column and line, from the top, of every dot in rows of braille."""
    bits = {0: (0, 0), 1: (0, 1), 2: (0, 2), 3: (1, 0), 4: (1, 1), 5: (1, 2), 6: (0, 3), 7: (1, 3)}
    return {
        (2 * x + bits[bit][0], 4 * y + bits[bit][1])
        for y, row in enumerate(rows)
        for x, char in enumerate(row)
        for bit in range(8)
        if char != " " and (ord(char) - 0x2800) >> bit & 1
    }


def test_chart_of_the_ratio_by_epoch() -> None:
    run = run_view(vanishing=True)  # 10^(-1.6·3) = 1.58e-5 in every keyframe
    rows = gradients.draw(view(run, pinned=None), 80, 12).rows
    at = next(i for i, row in enumerate(rows) if text(row).startswith("first/last by epoch, 0 to 15"))
    chart = rows[at + 1 :]
    assert [text(row)[:5] for row in chart if text(row)[:4].strip()] == [" 1e0┤", "1e−3┤", "1e−5┤"]
    drawn = ["".join(s.text if s.style == "run0" else " " * len(s.text) for s in row) for row in chart]
    # from 1e-5 to 1 the ratio stands at a fifth of the first decade; the lowest dot is the last
    line = round((1 - 0.2 / 5) * (4 * len(chart) - 1))
    assert {y for _, y in dots(drawn)} == {line}
    limit = ["".join(s.text if s.style == "frame" else " " * len(s.text) for s in row) for row in chart]
    assert {y for _, y in dots(limit)} == {round((3 / 5) * (4 * len(chart) - 1))}


def test_bar() -> None:
    assert cells.bar(0.5, 4) == "━━"
    assert cells.bar(0.5 + 1 / 8, 4) == "━━╸"
    assert cells.bar(2.0, 3) == "━━━"
    assert cells.bar(math.nan, 3) == ""
    assert cells.bar(-1.0, 3) == ""
    assert cells.bar(0.5, 0) == ""


def test_line() -> None:
    shares = np.array([0, 1 / 3, 2 / 3, 1, math.nan, 0.5])
    assert dots(list(cells.line(shares))) == {(0, 3), (1, 2), (2, 1), (3, 0), (5, 2)}
    # a step is joined: the column of the new value reaches to beside the old one
    assert dots(list(cells.line(np.array([0.0, 1.0]), 2))) == {(0, 7), *((1, y) for y in range(7))}
    assert cells.line(np.full(4, math.nan)) == ("  ",)


def test_sparkline() -> None:
    assert cells.sparkline(range(8), 8) == "▁▂▃▄▅▆▇█"
    assert cells.sparkline([0, math.nan, 7, math.inf], 6) == "▁ █   "
    assert cells.sparkline([1, 3, 5, 7], 2, 2, 6) == "▁█"
    assert cells.sparkline([math.nan, math.nan, 1, math.nan, 2, 2], 3) == " ▁█"
    assert cells.sparkline([5, 5], 2) == "▄▄" or cells.sparkline([5, 5], 2) == "▅▅"
    assert cells.sparkline([], 3) == "   "
    assert cells.sparkline([math.nan], 2) == "  "


def test_along_holds_the_last_value_up_to_the_head() -> None:
    assert cells.along(np.array([0.0, 1.0, 4.0]), 10, 10.0).tolist() == [1, 1, 1, 2, 2, -1, -1, -1, -1, -1]
    assert cells.along(np.array([5.0, 6.0]), 4, 8.0).tolist() == [-1, -1, 1, 1]
    assert cells.along(np.array([]), 3, 10.0).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("size", range(1, 32))
@pytest.mark.parametrize("rows", range(1, 12))
def test_walking_shows_every_layer_with_any_number_of_rows(size: int, rows: int) -> None:
    walks = [list(gradients._kept(size, rows, past)) for past in range(size + 1)]
    assert {len(kept) for kept in walks} == {min(size, rows)}
    assert {at for kept in walks for at in kept} == set(range(size))
    assert all(kept == sorted(set(kept)) for kept in walks)
    assert rows < 2 or {0, size - 1} <= set(walks[0])
