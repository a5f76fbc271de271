"""Tests the figures that measure a scenario's effect against NumPy and SciPy on known histories."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks import figures
from benchmarks.effects import interval, key_of
from benchmarks.figures import FIGURES, Trained
from bntui.keyframe import COLUMN
from bntui.recording.history import Event
from bntui.scenario.gallery import scenarios
from bntui.scenario.load import load
from tests.factory import run_view

VIEW = run_view(keyframes=5, layers=2, norm=True)
RUN = Trained(VIEW.info, VIEW.history, ())


def with_course(name: str, *values: float) -> Trained:
    return replace(RUN, history=replace(RUN.history, **{name: np.array(values)}))


def test_every_scenario_has_figures_and_no_other() -> None:
    assert set(FIGURES) == {card.name for card in scenarios()}


def test_epochs_to_an_accuracy_are_counted_to_the_first_that_reaches_it() -> None:
    run = with_course("val_accuracy", 0.95, 0.2, 0.89, 0.9, 0.91)
    assert figures.epochs_to(0.9)(run) == 3.0, "the initial state does not count"
    assert math.isnan(figures.epochs_to(0.92)(run))
    assert figures.accuracy(run) == pytest.approx(91.0)


def test_kept_weights_are_the_best_epochs_only_where_they_were_restored() -> None:
    run = replace(
        with_course("val_loss", 9.0, 0.5, 0.3, 0.4, 0.6),
        history=replace(
            RUN.history, val_loss=np.array([9.0, 0.5, 0.3, 0.4, 0.6]), best_epoch=np.array([0, 1, 2, 2, 2])
        ),
    )
    assert figures.kept_loss(run) == 0.6
    restored = replace(run, events=(Event(0, 96, 4.0, "restored_best", ""),))
    assert figures.kept_loss(restored) == 0.3


def test_gradients_are_compared_in_decades_at_the_first_keyframe_after_the_start() -> None:
    layers = RUN.history.layers.copy()
    layers[1, :, COLUMN["weight_gradient_norm"]] = (1e-5, 1e-3, 1e-2)
    run = replace(RUN, history=replace(RUN.history, layers=layers))
    assert figures.first_to_last(run) == pytest.approx(-3.0)


def test_movement_is_the_medians_mean_step_in_widths_of_the_band() -> None:
    layers = RUN.history.layers.copy()
    median = np.array([0.0, 0.5, 0.25, 1.0, 1.0])
    layers[:, 1, COLUMN["unit_p50"]] = median
    layers[:, 1, COLUMN["unit_p15"]] = median - 1
    layers[:, 1, COLUMN["unit_p85"]] = median + 2
    run = replace(RUN, history=replace(RUN.history, layers=layers))
    assert figures.movement(run) == pytest.approx(np.abs(np.diff(median)).mean() / 3)


def test_the_interval_is_students() -> None:
    values = [1.0, 2.0, 4.0, math.nan]
    mean, half = interval(values)
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values[:3]), scale=stats.sem(values[:3]))
    assert mean == pytest.approx(7 / 3)
    assert (mean - half, mean + half) == pytest.approx((low, high))


def test_a_scenario_is_measured_again_when_its_runs_change_and_not_when_its_texts_do() -> None:
    card = scenarios()[0]
    scenario = load(card.path)
    assert key_of(replace(scenario, description="other words")) == key_of(scenario)
    assert key_of(load(card.path, [("seed", 99)])) == key_of(scenario)
    assert key_of(load(card.path, [("training.lr", 0.123)])) != key_of(scenario)
