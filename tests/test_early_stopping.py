"""Tests early stopping against Keras' callback, written out from its definition, on arbitrary sequences."""

from __future__ import annotations

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.patience import Patience, larger_is_better, observe
from bntui.scenario.training import EarlyStoppingRule


def keras(
    values: list[float], *, larger: bool, min_delta: float, patience: int, baseline: float | None, start: int
) -> tuple[int | None, float | None, int]:
    """Keras 3's EarlyStopping.on_epoch_end, epochs from 0: epoch it stopped after, best, wait."""
    delta = abs(min_delta)
    wait, best = 0, None

    def better(value: float, reference: float | None) -> bool:
        if reference is None:
            return True
        return value - delta > reference if larger else value + delta < reference

    for epoch, current in enumerate(values):
        if epoch < start:
            continue
        wait += 1
        if better(current, best):
            best = current
            if baseline is None or better(current, baseline):
                wait = 0
            continue
        if wait >= patience and epoch > 0:
            return epoch, best, wait
    return None, best, wait


FEW = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 1.0])


@given(
    values=st.lists(FEW, min_size=1, max_size=30),
    larger=st.booleans(),
    min_delta=st.sampled_from([0.0, 0.1, -0.1, 0.25]),
    patience=st.integers(0, 5),
    baseline=st.none() | FEW,
    start=st.integers(0, 4),
)
def test_it_behaves_as_keras(
    values: list[float], larger: bool, min_delta: float, patience: int, baseline: float | None, start: int
) -> None:
    mode: Literal["min", "max"] = "max" if larger else "min"
    rule = EarlyStoppingRule(
        min_delta=min_delta, patience=patience, mode=mode, baseline=baseline, start_from_epoch=start
    )
    state, stopped = Patience(), None
    for epoch, value in enumerate(values, start=1):
        state = observe(rule, state, epoch, value)
        if state.stopped:
            stopped = epoch - 1
            break
    oracle = keras(values, larger=larger, min_delta=min_delta, patience=patience, baseline=baseline, start=start)
    assert (stopped, None if math.isnan(state.best) else state.best, state.wait) == oracle


@given(st.lists(st.sampled_from([math.nan, 0.5, 0.4]), min_size=2, max_size=12))
def test_nan_is_never_an_improvement_and_never_the_best(values: list[float]) -> None:
    rule, state = EarlyStoppingRule(patience=100), Patience()
    for epoch, value in enumerate(values, start=1):
        before = state
        state = observe(rule, state, epoch, value)
        if math.isnan(value):
            assert state.wait == before.wait + 1
            assert not state.improved
    finite = [value for value in values if not math.isnan(value)]
    assert math.isnan(state.best) if not finite else state.best == min(finite)


@pytest.mark.parametrize(
    ("monitor", "larger"), [("val_loss", False), ("loss", False), ("val_accuracy", True), ("r2", True)]
)
def test_mode_auto_follows_the_name(monitor: str, larger: bool) -> None:
    assert larger_is_better(EarlyStoppingRule.model_validate({"monitor": monitor})) is larger


def test_the_reason_says_since_when_and_how_long() -> None:
    rule, state = EarlyStoppingRule(patience=2), Patience()
    for epoch, value in enumerate([1.0, 0.5, 0.6, 0.7], start=1):
        state = observe(rule, state, epoch, value)
    assert state.stopped
    assert state.reason == "val_loss has not improved since epoch 2: waited 2, patience is 2"
