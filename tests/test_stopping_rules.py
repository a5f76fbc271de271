"""Tests the jury's rules against their definitions, written without loops: lists of epochs, arrays, recursion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.insight.stopping_rules import (
    Decision,
    Ignite,
    Keras,
    Lightning,
    LossCurves,
    PrecheltGL,
    PrecheltPQ,
    PrecheltUP,
    StoppingRule,
)
from bntui.scenario.training import EarlyStoppingRule
from tests.test_keras_stopping import documented, obeyed, records

LOSS = st.sampled_from([0.1, 0.2, 0.25, 0.3, 0.5, 1.0]) | st.floats(0.01, 10)
COURSES = st.lists(LOSS, min_size=1, max_size=40)
BROKEN = st.lists(LOSS | st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1, max_size=40)
DELTAS = st.sampled_from([0.0, 0.05, 0.1, 0.25])
PATIENCE = st.integers(0, 8)


def decided(rule: StoppingRule, values: Sequence[float], training: Sequence[float] | None = None) -> Decision:
    return rule.decide(LossCurves(values, values if training is None else training))


# --- Keras ---


@given(COURSES, DELTAS, PATIENCE, st.none() | LOSS, st.integers(0, 5))
def test_keras_is_what_keras_documents(
    values: list[float], min_delta: float, patience: int, baseline: float | None, start: int
) -> None:
    found = decided(Keras(patience, min_delta, baseline, start), values)
    expected = documented(values, larger=False, min_delta=min_delta, patience=patience, baseline=baseline, start=start)
    assert (found.stop, found.best) == (expected.stop, expected.best_epoch)


@given(BROKEN, DELTAS, PATIENCE, st.none() | LOSS, st.integers(0, 5))
def test_keras_stops_a_run_where_the_trainer_does(
    values: list[float], min_delta: float, patience: int, baseline: float | None, start: int
) -> None:
    rule = EarlyStoppingRule(min_delta=min_delta, patience=patience, baseline=baseline, start_from_epoch=start)
    # where the first value is infinite the trainer takes it for the best, and ends: the run has diverged
    counted = [math.nan if value == math.inf else value for value in values]
    found, done = decided(Keras(patience, min_delta, baseline, start), values), obeyed(rule, counted)
    assert (found.stop, found.best) == (done.stop, done.best_epoch)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_was_never_finite(bad: float) -> None:
    """By the tools' sources: Keras 3 and Lightning 2 begin with an infinite best value, Ignite with the first one."""
    values = [bad] * 12
    assert decided(Keras(patience=0), values) == Decision(2, None, "patience")
    assert decided(Keras(patience=3), values) == Decision(3, None, "patience")
    assert decided(Keras(patience=3, start_from_epoch=4), values) == Decision(7, None, "patience")
    assert decided(Keras(patience=20), values) == Decision(None, None)
    assert decided(Lightning(), values) == Decision(1, None, "check_finite")
    assert decided(Lightning(patience=3, check_finite=False), values) == Decision(3, None, "patience")
    # score <= best score + 0 holds of two infinite scores, and never of NaN
    ignite = Decision(None, 12) if math.isnan(bad) else Decision(4, 1, "patience")
    assert decided(Ignite(patience=3), values) == ignite
    for rule in (PrecheltGL(), PrecheltPQ(), PrecheltUP()):
        assert decided(rule, values) == Decision(None, None)


# --- Lightning ---


@given(
    BROKEN,
    st.sampled_from([0.0, 0.1, -0.1]),
    PATIENCE,
    st.booleans(),
    st.none() | st.sampled_from([0.15, 0.3]),
    st.none() | st.sampled_from([0.9, 3.0]),
)
def test_lightning_gives_the_first_reason_in_its_order(
    values: list[float], min_delta: float, patience: int, finite: bool, reached: float | None, lost: float | None
) -> None:
    better = records([math.inf, *values], 0, lambda value, best: value + min_delta < best)
    improving = [epoch - 1 for epoch in better if epoch > 1]

    def reason(epoch: int) -> str:
        value = values[epoch - 1]
        waited = epoch - max([0, *(one for one in improving if one <= epoch)])
        reasons = {
            "check_finite": finite and not math.isfinite(value),
            "stopping_threshold": reached is not None and value < reached,
            "divergence_threshold": lost is not None and value > lost,
            "patience": epoch not in improving and waited >= patience,
        }
        return next((name for name, holds in reasons.items() if holds), "")

    stop = next((epoch for epoch in range(1, len(values) + 1) if reason(epoch)), None)
    why = reason(stop) if stop is not None else ""
    before = [epoch for epoch in improving if stop is None or epoch < stop]
    best = stop if why == "stopping_threshold" else before[-1] if before else None
    rule = Lightning(patience, min_delta, finite, reached, lost)
    assert decided(rule, values) == Decision(stop, best, why)


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        (Lightning(), [1, 0.9, 0.9, 0.9, 0.9], Decision(5, 2, "patience")),
        (Lightning(), [1, math.nan], Decision(2, 1, "check_finite")),
        (Lightning(check_finite=False), [1, math.nan, 0.5], Decision(None, 3)),
        (Lightning(stopping_threshold=0.5), [1, 0.5, 0.4, 0.3], Decision(3, 3, "stopping_threshold")),
        (Lightning(divergence_threshold=2.0), [1, 2, 2.5], Decision(3, 1, "divergence_threshold")),
        # both thresholds at once: that of stopping is looked at first
        (Lightning(stopping_threshold=2.0, divergence_threshold=1.0), [1.5], Decision(1, 1, "stopping_threshold")),
        # not finite before all others
        (Lightning(divergence_threshold=1.0), [math.inf], Decision(1, None, "check_finite")),
        (Lightning(1, min_delta=0.5), [1, 0.75], Decision(2, 1, "patience")),
        (Lightning(1, min_delta=-0.5), [1, 1.25], Decision(None, 2)),  # a negative one is lenient, as in Lightning
    ],
)
def test_lightning_by_hand(rule: Lightning, values: list[float], expected: Decision) -> None:
    assert decided(rule, values) == expected


# --- Ignite ---


@given(COURSES, DELTAS, st.integers(1, 8), st.sampled_from(["abs", "rel"]), st.booleans())
def test_ignite_by_its_documentation(
    values: list[float], threshold: float, patience: int, mode: str, cumulative: bool
) -> None:
    """An event is no improvement unless it passes the best by the threshold; the best is the lowest so far, or, where
    changes add up, the score at the last improvement."""

    def passes(value: float, best: float) -> bool:
        return value < (best - threshold if mode == "abs" else best * (1 - threshold))

    if cumulative:
        improving = records(values, 0, passes)
    else:
        lowest = np.minimum.accumulate(values)
        improving = [1, *(e for e in range(2, len(values) + 1) if passes(values[e - 1], float(lowest[e - 2])))]
    waited = {epoch: epoch - max(i for i in improving if i <= epoch) for epoch in range(1, len(values) + 1)}
    stop = next((epoch for epoch, waits in waited.items() if waits >= patience), None)
    seen = values[: stop or len(values)]
    best = max(i for i in improving if i <= len(seen)) if cumulative else int(np.argmin(seen)) + 1
    rule = Ignite(patience, threshold, "abs" if mode == "abs" else "rel", cumulative)
    assert decided(rule, values) == Decision(stop, best, "patience" if stop else "")


def test_ignite_small_steps_add_up_only_where_they_are_cumulative() -> None:
    slow = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7]
    assert decided(Ignite(3, 0.08), slow) == Decision(4, 4, "patience")
    assert decided(Ignite(3, 0.08, cumulative=True), slow) == Decision(None, 7)
    assert decided(Ignite(3, 0.08, "rel", cumulative=True), slow) == Decision(None, 7)


def test_ignite_relative_is_a_share_of_the_best() -> None:
    assert decided(Ignite(1, 0.1), [10.0, 9.5, 9.0]) == Decision(None, 3)
    assert decided(Ignite(1, 0.1, "rel"), [10.0, 9.5, 9.0]) == Decision(2, 2, "patience")


# --- Prechelt ---


@given(COURSES, st.sampled_from([1.0, 2.0, 5.0, 20.0]))
def test_gl_is_the_first_epoch_so_many_per_cent_above_the_lowest(values: list[float], alpha: float) -> None:
    course = np.array(values)
    lowest = np.minimum.accumulate(course)
    above = np.flatnonzero(100 * (course / lowest - 1) > alpha)
    stop = int(above[0]) + 1 if len(above) else None
    best = int(np.argmin(course[:stop])) + 1
    assert decided(PrecheltGL(alpha), values) == Decision(stop, best, "GL" if stop else "")


@given(st.lists(st.tuples(LOSS, LOSS), min_size=1, max_size=40), st.sampled_from([0.1, 0.5, 1.0]), st.integers(1, 6))
def test_pq_weighs_the_loss_against_the_progress_of_the_strip(
    both: list[tuple[float, float]], alpha: float, k: int
) -> None:
    validation, training = np.array(both).T
    stop = None
    for end in range(k, len(both) + 1, k):
        strip = training[end - k : end]
        loss = 100 * (validation[end - 1] / validation[:end].min() - 1)
        gain = 1000 * (sum(strip.tolist()) / (k * strip.min()) - 1)
        if loss > 0 and (gain == 0 or loss / gain > alpha):
            stop = end
            break
    best = int(np.argmin(validation[:stop])) + 1
    found = decided(PrecheltPQ(alpha, k), validation.tolist(), training.tolist())
    assert found == Decision(stop, best, "PQ" if stop else "")


@given(COURSES, st.integers(1, 4), st.integers(1, 6))
def test_up_by_its_recursion(values: list[float], s: int, k: int) -> None:
    def stops(s: int, epoch: int) -> bool:
        """UP_s stops after t if UP_(s-1) stops after t − k and E(t) > E(t − k)."""
        if epoch - k < 1:
            return False
        return values[epoch - 1] > values[epoch - 1 - k] and (s == 1 or stops(s - 1, epoch - k))

    stop = next((end for end in range(k, len(values) + 1, k) if stops(s, end)), None)
    best = int(np.argmin(values[:stop])) + 1
    assert decided(PrecheltUP(s, k), values) == Decision(stop, best, "UP" if stop else "")


def test_prechelt_by_hand() -> None:
    validation = [1.0, 0.8, 0.82, 0.9, 0.88, 0.95, 1.0, 1.1, 1.2, 1.3]
    # 100 · (0.82/0.8 − 1) = 2.5, 100 · (0.9/0.8 − 1) = 12.5
    assert decided(PrecheltGL(2.0), validation) == Decision(3, 2, "GL")
    assert decided(PrecheltGL(5.0), validation) == Decision(4, 2, "GL")
    # GL(5) = 10; P_5 = 1000 · (3/(5·0.5) − 1) = 200 of the first strip, 100 of the second, whose GL(10) = 62.5
    training = [0.7, 0.65, 0.6, 0.55, 0.5, 0.6, 0.55, 0.55, 0.55, 0.5]
    assert decided(PrecheltPQ(0.04), validation, training) == Decision(5, 2, "PQ")
    assert decided(PrecheltPQ(0.06), validation, training) == Decision(10, 2, "PQ")
    assert decided(PrecheltPQ(0.624), validation, training) == Decision(10, 2, "PQ")
    assert decided(PrecheltPQ(0.626), validation, training) == Decision(None, 2)
    assert decided(PrecheltUP(1), validation) == Decision(10, 2, "UP")
    assert decided(PrecheltUP(2, 2), validation) == Decision(6, 2, "UP")


@pytest.mark.parametrize("rule", [PrecheltGL(), PrecheltPQ(k=1), PrecheltUP(1, 1)])
def test_a_loss_of_0_and_a_strip_without_progress_divide_nothing(rule: StoppingRule) -> None:
    assert decided(rule, [0.0, 0.0, 0.0]) == Decision(None, 1)
    assert decided(rule, [1.0, 0.0, 0.5]).stop == 3


RULES: list[StoppingRule] = [Keras(2), Lightning(), Ignite(3), PrecheltGL(), PrecheltPQ(), PrecheltUP()]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@given(values=BROKEN)
def test_a_stop_depends_on_nothing_that_comes_after_it(rule: StoppingRule, values: list[float]) -> None:
    found = decided(rule, values)
    if found.stop is not None:
        assert decided(rule, values[: found.stop]) == found
        assert decided(rule, values[: found.stop - 1]).stop is None
    assert decided(rule, []) == Decision(None, None)


def test_values_that_are_not_given_are_those_of_the_paper_and_of_the_documentation() -> None:
    """Prechelt, 1998, section 2.2: strips of length 5; Ignite's documentation stops after 10 epochs."""
    assert (PrecheltPQ().k, PrecheltUP().k, PrecheltUP().s) == (5, 5, 3)
    assert (Ignite().patience, Ignite().threshold) == (10, 0.0)
