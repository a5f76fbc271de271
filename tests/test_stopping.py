"""Tests the early-stopping panel: the gauge's counts, what it shows of the past, and why a run stopped."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from bntui.recording.history import Event
from bntui.text import figures
from bntui.viewer.draw.rows import text, width
from bntui.viewer.panels import stopping
from bntui.viewer.view import RunView
from tests.factory import run_view as build_run
from tests.factory import view


@cache
def run_view(index: int = 0, name: str = "plain", **made_of: Any) -> RunView:
    """One small layer, built once: the factory measures every keyframe."""
    return build_run(index, name, layers=1, **made_of)


def nan_at_once() -> RunView:
    """A run that has nothing but a NaN frame."""
    run, nan = run_view(1, "other", keyframes=1), np.array([np.nan])
    nothing = {"train_loss": nan, "val_loss": nan, "train_accuracy": nan, "val_accuracy": nan, "best": nan}
    return replace(run, history=replace(run.history, **nothing))


SIZES = [(cells, height) for cells in (*range(20, 60, 3), 80, 100, 120, 160, 200) for height in (1, 2, 3, 6, 9, 20, 60)]


def words(*runs: RunView, cells: int = 100, height: int = 20) -> str:
    return "\n".join(text(row).rstrip() for row in stopping.draw(view(*runs), cells, height).rows)


def with_rule(run: RunView, **rule: Any) -> RunView:
    training = dict(run.info.config["training"])
    training["early_stopping"] = {**training["early_stopping"], **rule}
    return replace(run, info=replace(run.info, config={**run.info.config, "training": training}))


@pytest.mark.parametrize("kind", ["full", "first", "nan", "none", "off", "six"])
def test_the_panel_fills_every_size(kind: str) -> None:
    runs = {
        "full": (run_view(stopped=True), run_view(1, "배치 정규화", norm=True, patience=30)),
        "first": (run_view(keyframes=1, patience=0),),
        "nan": (run_view(nan=True), nan_at_once()),
        "none": (run_view(keyframes=0),),
        "off": (run_view(patience=None, nan=True), run_view(1, keyframes=0)),
        "six": tuple(run_view(i, f"run {i}") for i in range(6)),
    }[kind]
    for cells, height in SIZES:
        drawing = stopping.draw(view(*runs), cells, height)
        assert [width(row) for row in drawing.rows] == [cells] * height


@pytest.mark.parametrize("size", [(20, 6), (40, 8), (60, 10), (100, 20)])
@pytest.mark.parametrize("row", [15, 20, 24, 26])
def test_the_gauge_counts_the_epochs_since_the_best(size: tuple[int, int], row: int) -> None:
    run = run_view(keyframes=30, norm=True, patience=12, row=row)
    wait = row - int(np.argmin(run.history.val_loss[: row + 1]))
    gauge = "●" * wait + "○" * (12 - wait)
    shown = words(run, cells=size[0], height=size[1])
    assert f" {wait:>2}/12" in shown
    assert (gauge in shown) == (size[0] > 20)  # a bar of fewer cells there
    assert (f"{wait:>2}/12!" in shown) == (wait / 12 >= 0.6)


def test_the_gauge_warns_by_color_and_sign() -> None:
    def style(wait_row: int) -> set[str]:
        run = run_view(keyframes=30, norm=True, patience=10, row=wait_row)
        return {span.style for row in stopping.draw(view(run), 90, 9).rows for span in row if "/10" in span.text}

    assert style(16) == {"text"}
    assert style(26) == {"warn"}


@pytest.mark.parametrize(
    ("wait", "patience", "warns"),
    [(6, 10, True), (3, 5, True), (5, 10, False), (59, 100, False), (60, 100, True), (0, 0, False), (1, 0, True)],
)
def test_the_gauge_warns_from_the_very_share_on(wait: int, patience: int, warns: bool) -> None:
    numbers = stopping._gauge(wait, patience, 60, 0)[-1]
    assert (numbers.style, numbers.text[-1]) == (("warn", "!") if warns else ("text", " "))


def test_long_patience_is_a_bar_with_numbers() -> None:
    run = run_view(keyframes=30, norm=True, patience=40)
    wait = 29 - int(np.argmin(run.history.val_loss))
    shown = words(run)
    assert f" {wait}/40" in shown
    assert shown.count("█") >= wait * 10 // 40
    assert "○" not in shown


def test_best_value_distance_and_improvement() -> None:
    run = with_rule(run_view(keyframes=30, norm=True, patience=12, row=25), min_delta=-0.25)
    values = run.history.val_loss
    best = int(np.argmin(values[:26]))
    shown = words(run)
    assert f"best {figures.number(values[best])} at epoch {best}" in shown
    # Keras takes the absolute value; the distance agrees with the figures as they are printed
    gap = round(float(values[25]), 3) - (round(float(values[best]), 3) - 0.25)
    assert f"now {figures.number(values[25])}  {figures.number(gap)} above best − min_delta 0.25" in shown
    assert f"stops after {12 - (25 - best)} more epoch" in shown
    assert "improves when val_loss falls by more than min_delta 0.25" in shown


def test_larger_is_better_for_accuracy() -> None:
    run = run_view(keyframes=30, norm=True, patience=12, row=25)
    accuracy = run.history.val_accuracy
    best = int(np.argmax(accuracy[:26]))
    history = replace(run.history, best=np.maximum.accumulate(accuracy))
    shown = words(with_rule(replace(run, history=history), monitor="val_accuracy"))
    gap = round(float(accuracy[best]), 3) - round(float(accuracy[25]), 3)
    assert f"{figures.number(gap)} below best + min_delta 0" in shown
    assert "val_accuracy rises" in shown


def test_conditions_that_are_set() -> None:
    shown = words(with_rule(run_view(keyframes=3), start_from_epoch=5, baseline=0.5))
    assert "starts after epoch 5" in shown
    assert "start_from_epoch 5" in shown
    assert "baseline 0.5 not beaten: improvements do not reset the counter" in " ".join(shown.split())
    beaten = words(with_rule(run_view(), baseline=50.0))
    assert "baseline 50: beaten" in " ".join(beaten.split())


def test_events_are_told_only_once_the_cursor_has_reached_them() -> None:
    run = run_view(keyframes=18, norm=True, stopped=True)
    message = "stopped at epoch 17: val_loss has not improved since epoch 12: waited 5 epochs, patience is 5"
    events = (
        Event(0, 408, 17.0, "stopped_early", message),
        Event(0, 408, 17.0, "restored_best", "restored the weights of epoch 12"),
    )
    after = words(replace(run, events=events))
    assert message in after
    assert "✓ restored the weights of epoch 12" in after
    before = words(replace(run_view(keyframes=18, norm=True, row=16), events=events))
    assert "▣" not in before
    assert "continues" in before
    assert "restored at the end" in before
    narrow = " ".join(words(replace(run, events=events), cells=40).split())
    assert message in narrow


def test_without_early_stopping_the_best_epoch_is_told_still() -> None:
    run = run_view(keyframes=30, norm=True, patience=None)
    best = int(np.argmin(run.history.val_loss))
    shown = words(run)
    assert "no early stopping in this run" in shown
    assert (
        f"best val_loss {figures.number(run.history.val_loss[best])} at epoch {best}, {29 - best} epochs ago" in shown
    )


def test_the_course_ends_at_the_cursor_and_has_its_best_marked() -> None:
    run = run_view(keyframes=30, norm=True, row=25)
    best = int(np.argmin(run.history.val_loss[:26]))
    course = next(line for line in words(run).splitlines() if "★" in line).strip()
    assert len(course) == 25
    assert course.index("★") == best - 1  # the first cell is epoch 1


def test_an_epoch_end_without_a_keyframe_counts() -> None:
    run = run_view(keyframes=30, norm=True, patience=20, row=28)
    frames = run.history.has_frame.copy()
    frames[29] = False
    wait = 29 - int(np.argmin(run.history.val_loss))
    assert f"{wait}/20" in words(replace(run, history=replace(run.history, has_frame=frames)))


def test_divergence_and_nan() -> None:
    shown = words(run_view(nan=True))
    assert "✕ diverged: the loss became NaN" in shown
    assert "now    NaN" in shown


def test_no_data_says_what_fills_it() -> None:
    assert "no epoch is recorded yet" in words(run_view(keyframes=0))


def test_the_order_of_the_runs_and_the_title_do_not_change_with_the_selected_one() -> None:
    runs = (run_view(patience=None), run_view(1, "other"), run_view(2, "third"))
    drawings = [stopping.draw(replace(view(*runs), selected=n, pinned=None), 100, 30) for n in range(3)]
    assert len({tuple(text(row) for row in drawing.rows) for drawing in drawings}) == 1
    assert {drawing.title for drawing in drawings} == {"Early stopping ── val_loss, patience 5"}
    for n, drawing in enumerate(drawings):
        bold = [s.text.strip() for row in drawing.rows for s in row if s.style == f"bold run{n}"]
        assert runs[n].name in bold
