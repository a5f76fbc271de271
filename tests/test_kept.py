"""Tests that what is kept of a growing run is what NumPy computes from all of its rows."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from bntui.insight.drift import movement
from bntui.insight.verdicts import verdict_changes
from bntui.keyframe import COLUMN, FloatArray
from bntui.recording import kept
from bntui.recording.history import RunHistory, counted
from bntui.recording.kept import folded, remembered, succeeds
from bntui.viewer import moves
from bntui.viewer.monitor import best_row, watched
from bntui.viewer.panels import drift, gradients, gradients_axes, gradients_ratio
from tests.factory import run_view

ROWS = 60
BAND = (COLUMN["pre_norm.p15"], COLUMN["pre_norm.p50"], COLUMN["pre_norm.p85"])
NORM = COLUMN["weight_gradient_norm"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "BLOCK", 7)


def wild(seed: int, rows: int = ROWS) -> RunHistory:
    """A history with gaps, values that are not finite, and gradients of many sizes."""
    draw = np.random.default_rng(seed)
    history = run_view(keyframes=rows, epochs=rows).history
    layers = history.layers * 10.0 ** draw.integers(-4, 5, history.layers.shape)
    layers[draw.random(layers.shape) < 0.02] = np.nan
    layers[draw.random(layers.shape) < 0.02] = np.inf
    layers[draw.random(layers.shape) < 0.05] = 0.0
    loss = np.round(draw.random(rows), 1)
    loss[draw.random(rows) < 0.1] = np.nan
    return replace(history, layers=layers, has_frame=draw.random(rows) < 0.9, val_loss=loss)


def grown(whole: RunHistory, lengths: list[int]) -> Iterator[RunHistory]:
    """The histories of a run as it grows."""
    before: RunHistory | None = None
    for length in sorted({*lengths, len(whole)}):
        columns = {field.name: getattr(whole, field.name)[:length] for field in fields(RunHistory)}
        history = RunHistory(**columns)
        yield history if before is None else succeeds(history, before)
        before = history


def usual(norms: FloatArray) -> tuple[int, int] | None:
    """The decades of nearly all keyframes, from sorted logarithms."""
    with np.errstate(all="ignore"):
        decades = np.where(np.isfinite(norms) & (norms > 0), np.log10(norms), np.nan)
    decades = decades[np.isfinite(decades).any(axis=1)]
    if not len(decades):
        return None
    spared = len(decades) // 20
    low = math.floor(np.sort(np.nanmin(decades, axis=1))[spared])
    top = math.ceil(np.sort(np.nanmax(decades, axis=1))[len(decades) - 1 - spared])
    return max(min(low, top - 1), top - 16), top


@given(some.integers(0, 10**6), some.lists(some.integers(0, ROWS), max_size=6))
def test_summaries_of_a_growing_run_are_those_of_all_its_rows(seed: int, lengths: list[int]) -> None:
    for history in grown(wild(seed), lengths):
        frames = history.layers[history.has_frame]
        low, median, high = (frames[:, 0, column] for column in BAND)
        assert moves.moved(history, 0, BAND).movement == pytest.approx(movement(low, median, high), nan_ok=True)
        low, median, high = (history.layers[:, 0, column] for column in BAND)
        known = np.isfinite(low) & np.isfinite(high)
        expected = (0.0, 0.0)
        if known.any():
            cap = 10 * float(np.median(np.maximum(np.abs(low), np.abs(high))[known]))
            expected = max(float(low[known].min()), -cap), min(float(high[known].max()), cap)
        assert drift._reach(history, 0, BAND) == expected
        norms = history.layers[:, :, NORM]
        assert gradients_axes._ends(gradients_axes._seen(history, NORM)) == usual(norms)
        with np.errstate(all="ignore"):
            decades = np.where(np.isfinite(norms) & (norms > 0), np.log10(norms), np.nan)
        lows, highs = gradients._extents(history, NORM)
        for layer, course in enumerate(decades.T):
            finite = course[np.isfinite(course)]
            assert (lows[layer], highs[layer]) == (
                (finite.min(), finite.max()) if len(finite) else (math.inf, -math.inf)
            )
        ratios = (decades[:, 0] - decades[:, -1])[np.isfinite(decades[:, 0] - decades[:, -1])]
        assert gradients_ratio._ends(history) == (ratios.min(initial=math.inf), ratios.max(initial=-math.inf))


@given(some.integers(0, 10**6), some.lists(some.integers(0, ROWS), max_size=6))
def test_verdicts_of_a_growing_run_are_those_of_one_block(seed: int, lengths: list[int]) -> None:
    for history in grown(wild(seed), lengths):
        found = verdict_changes(history)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kept, "BLOCK", 10**6)
            assert found == verdict_changes(replace(history))


@pytest.mark.parametrize("patience", [None, 5])
@given(seed=some.integers(0, 10**6), lengths=some.lists(some.integers(0, ROWS), max_size=6))
def test_the_best_epoch_is_that_of_the_first_lowest_loss_or_early_stoppings(
    patience: int | None, seed: int, lengths: list[int]
) -> None:
    run = run_view(keyframes=ROWS, epochs=ROWS, patience=patience)
    for history in grown(replace(wild(seed), best_epoch=run.history.best_epoch), lengths):
        run = replace(run, history=history)
        for row in range(len(history)):
            ends = [at for at in range(row + 1) if history.epoch_end[at] and history.epoch[at] > 0]
            if patience is not None:
                best = [n for n, at in enumerate(ends) if history.epoch[at] == history.best_epoch[row]][:1]
            else:
                losses = [(history.val_loss[at], n) for n, at in enumerate(ends) if np.isfinite(history.val_loss[at])]
                best = [min(losses)[1]] if losses else []
            found = watched(run, row)
            assert found.best == next(iter(best), None)
            np.testing.assert_array_equal(found.values, history.val_loss[ends])
        if len(history):
            assert best_row(run) == (ends[best[0]] if best else None)


def test_only_new_rows_are_looked_at() -> None:
    seen = []

    @folded(max)
    def largest(history: RunHistory, rows: slice) -> float:
        seen.append((rows.start, rows.stop))
        return float(history.step[rows].max(initial=0))

    whole = wild(0)
    for history in grown(whole, [14, 30, 31]):
        assert largest(history) == history.step[-1]
        assert largest(history) == history.step[-1]
    assert seen == [
        (0, 0), (0, 7), (7, 14), (14, 14), (14, 21), (21, 28), (28, 30), (28, 31),
        *((start, start + 7) for start in range(28, 56, 7)), (56, 60),
    ]  # fmt: skip


def test_an_earlier_history_is_summarized_anew() -> None:
    early, late = grown(wild(1), [20])
    assert gradients._extents(late, NORM)[0].shape == gradients._extents(early, NORM)[0].shape
    np.testing.assert_array_equal(gradients._extents(early, NORM), gradients._extents(replace(early), NORM))


def test_what_is_remembered_ends_with_its_history() -> None:
    class Result:
        pass

    @remembered
    def result(history: RunHistory) -> Result:
        assert len(history)
        return Result()

    history = wild(2)
    first = weakref.ref(result(history))
    assert result(history) is first()
    assert result(counted(history, "step")) is not first()
    del history
    gc.collect()
    assert first() is None


def test_positions_in_steps_are_computed_once() -> None:
    history = wild(3)
    steps = counted(history, "step")
    assert counted(history, "step") is steps
    assert steps.position is steps.position
    np.testing.assert_array_equal(steps.position, history.step)
