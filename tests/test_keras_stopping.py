"""Tests the trainer's early stopping against Keras' documented callback, on arbitrary finite sequences.

The oracle knows no loop over a state: it finds all epochs that improve on those before them, then those that reset the
counter, and from these two lists where training ends and whose weights are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bntui.patience import Patience, observe
from bntui.scenario.training import EarlyStoppingRule

Monitor = Literal["val_loss", "val_accuracy", "loss", "accuracy", "val_r2", "r2"]
Mode = Literal["auto", "min", "max"]


class Outcome(NamedTuple):
    """What a callback leaves behind; epochs from 1."""

    stop: int | None
    best_epoch: int | None
    best: float | None
    wait: int
    kept: int
    """Epoch whose weights the network has at the end, where the best are restored."""


def records(values: Sequence[float], start: int, beats: Callable[[float, float], bool]) -> list[int]:
    """The first epoch that is monitored, then every one that beats the record before it."""
    found: list[int] = []
    for epoch in range(start + 1, len(values) + 1):
        if not found or beats(values[epoch - 1], values[found[-1] - 1]):
            found.append(epoch)
    return found


def documented(
    values: Sequence[float], *, larger: bool, min_delta: float, patience: int, baseline: float | None, start: int
) -> Outcome:
    """``keras.callbacks.EarlyStopping``, Keras 3, by its documentation.

    An improvement is a change by more than ``|min_delta|`` in the right direction; ``wait`` counts the monitored epochs
    since the last improvement that beat the baseline too; training stops at an epoch without improvement that finds
    ``wait`` at ``patience`` or beyond, not at the first one of all.  Weights are kept of the best epoch, beats it the
    baseline or not; where nothing was monitored they stay those of the last epoch.
    """
    signed = abs(min_delta) if larger else -abs(min_delta)

    def beats(value: float, reference: float) -> bool:
        return value - signed > reference if larger else value - signed < reference

    improving = records(values, start, beats)
    resets = [epoch for epoch in improving if baseline is None or beats(values[epoch - 1], baseline)]

    def wait(epoch: int) -> int:
        return epoch - max([start, *(reset for reset in resets if reset <= epoch)])

    last = len(values)
    ends = [e for e in range(start + 1, last + 1) if e > 1 and e not in improving and wait(e) >= patience]
    stop = min(ends, default=None)
    seen = [epoch for epoch in improving if epoch <= (stop or last)]
    best = seen[-1] if seen else None
    waited = max(wait(stop or last), 0)
    return Outcome(stop, best, None if best is None else values[best - 1], waited, best or stop or last)


def obeyed(rule: EarlyStoppingRule, values: Sequence[float]) -> Outcome:
    """What the trainer does."""
    state, kept, epoch = Patience(), None, 0
    for epoch, value in enumerate(values, start=1):
        state = observe(rule, state, epoch, value)
        kept = epoch if state.improved else kept
        if state.stopped:
            break
    best = None if math.isnan(state.best) else state.best
    return Outcome(epoch if state.stopped else None, state.best_epoch or None, best, state.wait, kept or epoch)


FINITE = st.floats(allow_nan=False, allow_infinity=False)
FEW = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 1.0, -0.2])
"""Few values, so that ties and steps of exactly ``min_delta`` are common."""
SEQUENCES = st.lists(FEW, min_size=1, max_size=40) | st.lists(FINITE, min_size=1, max_size=40)
DELTAS = st.sampled_from([0.0, 0.1, -0.1, 0.25, -0.3]) | st.floats(-2, 2)
BASELINES = st.none() | FEW | FINITE
DIRECTIONS: list[tuple[Monitor, Mode, bool]] = [
    ("val_loss", "auto", False),
    ("loss", "auto", False),
    ("val_loss", "min", False),
    ("val_accuracy", "min", False),
    ("accuracy", "auto", True),
    ("val_accuracy", "auto", True),
    ("val_r2", "auto", True),
    ("r2", "auto", True),
    ("val_accuracy", "max", True),
    ("val_loss", "max", True),
]


@given(
    values=SEQUENCES,
    direction=st.sampled_from(DIRECTIONS),
    min_delta=DELTAS,
    patience=st.integers(0, 8),
    baseline=BASELINES,
    start=st.integers(0, 6),
)
@example(values=[1.0], direction=DIRECTIONS[0], min_delta=0.0, patience=0, baseline=None, start=0)
@example(values=[1.0, 1.0], direction=DIRECTIONS[0], min_delta=0.0, patience=0, baseline=None, start=0)
@example(values=[1.0, 0.9, 0.8], direction=DIRECTIONS[0], min_delta=0.0, patience=2, baseline=0.5, start=0)
@example(values=[1.0, 0.5], direction=DIRECTIONS[0], min_delta=0.0, patience=0, baseline=None, start=2)
def test_it_behaves_as_keras_documents_on_any_finite_values(
    values: list[float],
    direction: tuple[Monitor, Mode, bool],
    min_delta: float,
    patience: int,
    baseline: float | None,
    start: int,
) -> None:
    monitor, mode, larger = direction
    rule = EarlyStoppingRule(
        monitor=monitor,
        mode=mode,
        min_delta=min_delta,
        patience=patience,
        baseline=baseline,
        start_from_epoch=start,
        restore_best_weights=True,
    )
    expected = documented(values, larger=larger, min_delta=min_delta, patience=patience, baseline=baseline, start=start)
    assert obeyed(rule, values) == expected


@pytest.mark.parametrize(
    ("settings", "values", "stop", "kept"),
    [
        ({"patience": 3}, [1, 0.9, 0.9, 0.9, 0.9], 5, 2),  # a tie is no improvement
        ({"patience": 0}, [1, 0.9, 0.95, 0.1], 3, 2),
        ({"patience": 1}, [1, 0.9, 0.95, 0.1], 3, 2),  # the same as patience 0
        ({"patience": 0, "min_delta": 10.0}, [1, 0.5], 2, 1),  # never in the first epoch
        ({"patience": 1, "min_delta": 0.25}, [1, 0.75, 0.5], 2, 1),  # by exactly min_delta is none
        ({"patience": 2, "min_delta": -0.25}, [1, 0.75, 0.5, 0.25], None, 3),  # its sign does not matter
        ({"patience": 2, "baseline": 0.5}, [1, 0.9, 0.8, 0.7], None, 4),  # improving, it goes on below no baseline
        ({"patience": 2, "baseline": 0.5}, [1, 0.9, 0.95, 0.4], 3, 2),  # … until an epoch does not improve
        ({"patience": 2, "start_from_epoch": 3}, [0.1, 0.2, 0.3, 0.9, 0.8, 0.85, 0.9], 7, 5),  # warm-up is not seen
        ({"patience": 1, "mode": "max"}, [0.1, 0.2, 0.2], 3, 2),
        ({"patience": 1, "monitor": "val_accuracy"}, [0.1, 0.2, 0.2], 3, 2),
    ],
)
def test_cases_by_hand(settings: dict[str, object], values: list[float], stop: int | None, kept: int) -> None:
    done = obeyed(EarlyStoppingRule.model_validate(settings), values)
    assert (done.stop, done.kept) == (stop, kept)


@given(
    values=st.lists(FEW | st.just(math.nan), min_size=1, max_size=30),
    patience=st.integers(0, 6),
    min_delta=DELTAS,
    larger=st.booleans(),
)
def test_nan_counts_like_the_worst_value_there_is_and_is_never_the_best(
    values: list[float], patience: int, min_delta: float, larger: bool
) -> None:
    assume(not math.isnan(values[0]))
    mode: Mode = "max" if larger else "min"
    rule = EarlyStoppingRule(patience=patience, min_delta=min_delta, mode=mode)
    worst = -math.inf if larger else math.inf
    done = obeyed(rule, values)
    assert done == obeyed(rule, [worst if math.isnan(value) else value for value in values])
    assert done.best is not None


@pytest.mark.parametrize("larger", [False, True])
def test_nan_before_any_value_is_waited_through(larger: bool) -> None:
    rule = EarlyStoppingRule(patience=3, mode="max" if larger else "min")
    assert obeyed(rule, [math.nan, math.nan, 0.5]) == Outcome(None, 3, 0.5, 0, 3)
    assert obeyed(rule, [math.nan] * 5) == Outcome(3, None, None, 3, 3)
    impatient = EarlyStoppingRule(patience=0, mode="max" if larger else "min")
    assert obeyed(impatient, [math.nan, 0.5, 0.5]) == Outcome(3, 2, 0.5, 1, 2)  # never in the first epoch
