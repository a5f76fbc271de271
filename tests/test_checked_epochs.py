"""Tests which epochs stopping rules look at: those that have a validation, where a loop validates only now and then."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bntui.insight.jury import JuryResult, Wishes, judge
from bntui.insight.stopping_rules import Keras
from bntui.recording.forms import WATCHED
from bntui.recording.history import Event
from bntui.recording.sentences import FIRST_BAD, LOSS, NAN, VALIDATION_LOSS
from bntui.viewer.draw.rows import text
from bntui.viewer.panels import jury as panel
from bntui.viewer.view import RunView
from tests.factory import view
from tests.test_jury import by_name, run_of

SPARSE = [None, None, 0.9, None, None, 0.5, None, None, 0.7, None, None, 0.8, None, None, 0.6]
"""Validation losses of a loop that validates at every third epoch: epochs 3, 6, 9, 12 and 15."""


def watched(
    losses: Sequence[float | None], *, bad: tuple[int, str] | None = None, lost: Sequence[int] = (), **rule: Any
) -> RunView:
    """A recorded loop that was told these validation losses.

    Args:
        bad: the epoch of the first value that was not finite, and its quantity.
        lost: epochs whose training loss is NaN.
        rule: of its early stopping.
    """
    run = run_of([math.nan if loss is None else loss for loss in losses])
    train_loss = run.history.train_loss.copy()
    train_loss[list(lost)] = math.nan
    events: tuple[Event, ...] = ()
    if bad is not None:
        epoch, quantity = bad
        known = {"step": epoch * 24, "layer": "output", "quantity": quantity, "value": NAN}
        events = (Event.of(0, epoch * 24, float(epoch), "first_bad", FIRST_BAD, **known),)
    config = {WATCHED: {"by": "record", **({"early_stopping": rule} if rule else {})}}
    history = replace(run.history, train_loss=train_loss)
    return replace(run, info=replace(run.info, config=config), history=history, events=events)


def judged(run: RunView, **wishes: Any) -> JuryResult:
    return judge(0, [run.info], [run.history], run.events, Wishes(**wishes))


class _Model:
    stop_training = False


@pytest.mark.parametrize("patience", range(5))
@pytest.mark.parametrize(("start", "baseline"), [(0, None), (4, None), (7, 0.55)])
def test_keras_stops_where_keras_itself_does(patience: int, start: int, baseline: float | None) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    callback = keras.callbacks.EarlyStopping(patience=patience, start_from_epoch=start, baseline=baseline)
    model = _Model()
    callback.set_model(model)
    callback.on_train_begin()
    stop = None
    for epoch, loss in enumerate(SPARSE):
        with warnings.catch_warnings(action="ignore"):  # it warns of each epoch without the figure
            callback.on_epoch_end(epoch, {} if loss is None else {"val_loss": loss})
        if model.stop_training:
            stop = epoch + 1
            break
    rule: dict[str, Any] = {"monitor": "val_loss", "patience": patience}
    rule |= {"start_from_epoch": start, "baseline": baseline}
    verdict = by_name(judged(watched(SPARSE, **rule)))["Keras"]
    assert isinstance(verdict.juror.rule, Keras)
    assert (verdict.stop, verdict.best) == (stop, callback.best_epoch + 1)


def test_epochs_without_a_validation_are_neither_bad_nor_waited_for() -> None:
    found = judged(watched(SPARSE), patience=2)
    told = {name: (v.stop, v.best, v.because, v.saved) for name, v in by_name(found).items()}
    assert (found.best, found.lowest) == (6, 0.5)
    assert told["Lightning"] == (12, 6, "patience", 3)
    assert told["Ignite absolute"] == (12, 6, "patience", 3)
    assert told["Prechelt GL"] == (9, 6, "GL", 6)
    assert "5 of 15 epochs" in found.gaps
    rows = [text(row) for row in panel.draw(view(watched(SPARSE)), 100, 30).rows]
    assert any("5 of 15 epochs" in row for row in rows)


def test_where_every_epoch_is_validated_nothing_is_said_of_it() -> None:
    assert judged(watched([0.9, 0.5, 0.7])).gaps == ""


def test_a_loop_without_a_validation_was_not_judged() -> None:
    found = judged(watched([None] * 6))
    assert (len(found.epochs), found.best) == (0, None)


@pytest.mark.parametrize(
    ("losses", "bad", "lost", "stop"),
    [
        ([0.9, None, 0.5, None], (3, LOSS), [3, 4], 4),  # the network is lost: what is NaN after it counts
        ([0.9, None, 0.5, None, 0.4], (1, "input"), [], None),  # a passing overflow: the training loss stays finite
        ([0.9, None, math.nan, 0.5], (3, VALIDATION_LOSS), [], 3),  # it was told NaN
    ],
)
def test_a_nan_that_was_told_is_one(
    losses: list[float | None], bad: tuple[int, str], lost: list[int], stop: int | None
) -> None:
    lightning = by_name(judged(watched(losses, bad=bad, lost=lost)))["Lightning"]
    assert (lightning.stop, lightning.because) == (stop, "check_finite" if stop else "")


def test_the_numbers_are_those_of_the_epochs() -> None:
    run = watched([0.9, 0.5, 0.7, 0.8])
    history = replace(run.history, epoch=np.array([0.0, 10.0, 20.0, 30.0, 40.0]))
    found = judged(replace(run, history=history), patience=1)
    keras = by_name(found)["Keras"]
    assert (found.best, keras.stop, keras.best, keras.saved) == (20, 30, 20, 10)
    panel.draw(view(replace(run, history=history)), 100, 30)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"monitor": "val_accuracy"}, "its own early stopping monitors val_accuracy, the rules val_loss"),
        ({"mode": "max"}, "its own early stopping takes a larger val_loss for better, the rules a smaller one"),
        ({}, ""),
    ],
)
def test_a_rule_that_monitors_something_else_is_said(rule: dict[str, Any], said: str) -> None:
    found = judged(run_of([1.0, 0.5, 0.7], patience=2, **rule))
    assert found.otherwise == said
    rows = [text(row) for row in panel.draw(view(run_of([1.0, 0.5, 0.7], patience=2, **rule)), 100, 30).rows]
    assert any(said in row for row in rows)
