"""Tests the figures that early stopping monitors: when they are measured, baselines, and why a run ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bntui.commands.show import as_text, find_keyframe
from bntui.commands.stops import as_json
from bntui.commands.stops import as_text as stops_text
from bntui.definitions import definitions
from bntui.patience import Patience, observe
from bntui.recording.reader import Reader
from bntui.recording.sentences import why_stopped
from bntui.scenario.training import EarlyStoppingRule
from bntui.text.language import use
from bntui.viewer.draw.rows import text
from bntui.viewer.panels import jury, stopping
from tests.factory import run_view, view
from tests.korean import korean
from tests.test_session import DIGITS, train

LINE = """
title = "A line"
seed = 3
[data]
source = "{path}"
batch_size = {batch}
validation = 0.2
[network]
hidden = [32]
[training]
optimizer = "adam"
lr = 0.1
epochs = 50
[training.early_stopping]
monitor = "loss"
patience = 2
restore_best_weights = true
"""


def line(folder: Path) -> Path:
    draw = np.random.default_rng(1)
    x = draw.uniform(-2, 2, 40)
    path = folder / "line.csv"
    path.write_text(
        "x,y\n" + "".join(f"{a:.5f},{2 * a + 3 + b:.5f}\n" for a, b in zip(x, draw.normal(0, 0.1, 40), strict=True))
    )
    return path


def losses_of(reader: Reader, state: Mapping[str, Any]) -> float:
    """Mean squared error of the training part with given weights, by PyTorch's own modules."""
    data = reader.dataset
    assert data is not None
    network = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    names = ("linear 1.linear.weight", "linear 1.linear.bias", "output.linear.weight", "output.linear.bias")
    for parameter, name in zip(network.parameters(), names, strict=True):
        parameter.data = torch.tensor(state[name])
    scaling = data.scalings[0]
    x = torch.tensor(((data.x[data.train] - scaling.offset) * scaling.factor).astype(np.float32))
    with torch.no_grad():
        return float(torch.nn.functional.mse_loss(network(x), torch.tensor(data.y[data.train])))


def test_a_monitored_training_loss_is_that_of_the_weights_before_the_update(tmp_path: Path) -> None:
    """One mini-batch an epoch: the best value is the loss of the weights before it, those kept are after it."""
    reader = train(tmp_path, LINE.format(path=line(tmp_path), batch=32), ("record.every", 1))
    history = reader.history(0)
    best = int(history.best_epoch[-1])
    assert 1 < best < len(history) - 1
    for row in (best, best + 1):
        evidence = reader.evidence(0, row)
        assert evidence is not None
        assert losses_of(reader, evidence.before) == pytest.approx(float(history.train_loss[row]), rel=1e-5)
        if row == best:
            assert float(history.best[-1]) == history.train_loss[row]
        else:  # the weights after the best epoch, which were restored: their loss is the next epoch's figure
            assert losses_of(reader, evidence.before) > 1.01 * history.best[-1]


def test_the_definitions_say_which_figures_are_running_means() -> None:
    monitor, best = definitions()["EarlyStopping.monitor"].text, definitions()["EarlyStopping.best"].text
    for name in ("`loss`", "`accuracy`", "`r2`"):
        assert name in monitor
        assert name in best
    assert "running means over the epoch's mini-batches, each measured before its own update" in monitor
    assert "running mean" in best
    assert "baseline" in definitions()["EarlyStopping.patience"].text


@pytest.mark.parametrize("monitor", ["loss", "accuracy", "r2", "val_loss", "val_accuracy", "val_r2"])
def test_the_panel_says_of_training_figures_when_they_are_measured(monitor: str) -> None:
    run = run_view()
    run.info.config["training"]["early_stopping"]["monitor"] = monitor
    drawn = " ".join(" ".join(text(row).split()) for row in stopping.draw(view(run), 60, 16).rows)
    words = f"{monitor}: mean over the epoch, each mini-batch before its update"
    assert (words in drawn) == (not monitor.startswith("val_"))


# --- baselines ---

FEW = st.sampled_from([0.1, 0.2, 0.3, 0.5, 1.0])


@given(
    values=st.lists(FEW, min_size=1, max_size=25),
    baseline=st.none() | FEW,
    patience=st.integers(0, 5),
    delta=st.sampled_from([0.0, 0.1]),
    larger=st.booleans(),
)
def test_the_reason_names_the_baseline_exactly_where_no_epoch_ever_reset_the_counter(
    values: list[float], baseline: float | None, patience: int, delta: float, larger: bool
) -> None:
    rule = EarlyStoppingRule(baseline=baseline, patience=patience, min_delta=delta, mode="max" if larger else "min")
    state, waits = Patience(), []
    for epoch, value in enumerate(values, start=1):
        state = observe(rule, state, epoch, value)
        waits.append(state.wait)
        if state.stopped:
            break
    if not state.stopped:
        assert state.reason == ""
        return
    assert ("baseline" in state.reason) == (0 not in waits)
    if "baseline" in state.reason:
        assert baseline is not None
        assert f"the baseline {baseline:g}: best {state.best:.6g} at epoch {state.best_epoch}; waited" in state.reason


def test_a_stop_below_the_baseline_is_told_in_both_languages(tmp_path: Path) -> None:
    rule = {"monitor": "val_loss", "baseline": 0.01, "patience": 3, "min_delta": 0.05}
    reader = train(tmp_path, DIGITS, ("training.early_stopping", rule), ("training.epochs", 40))
    frame = find_keyframe(reader, 0, None)
    early = frame.early_stopping
    assert early is not None
    (event,) = [event for event in reader.events(0) if event.kind == "stopped_early"]
    assert event.message == (
        f"stopped at epoch {frame.epoch:g}: val_loss has not beaten the baseline 0.01; best {early.best:.6g} at epoch "
        f"{early.best_epoch}, waited {early.wait}, patience is 3"
    )
    assert early.wait > frame.epoch - early.best_epoch  # improvements have not reset it
    assert why_stopped(early, 0.01) == early.reason
    assert early.reason in as_text(reader, frame)
    use("ko")
    assert korean(why_stopped(early, 0.01))
    assert korean(event.text)
    assert "0.01" in event.text
    use("en")


# --- values that are not finite ---


def test_an_infinite_loss_is_called_infinite_where_nan_followed_it(tmp_path: Path) -> None:
    """Outputs whose squares overflow; the mini-batches after it are NaN, and so is the epoch's mean."""
    path = line(tmp_path)
    reader = train(tmp_path, LINE.format(path=path, batch=4), ("training.lr", 1e10), ("training.optimizer", "sgd"))
    (event,) = [event for event in reader.events(0) if event.kind == "diverged"]
    assert math.isnan(find_keyframe(reader, 0, None).train_loss)
    step = event.arguments["step"]
    frames = {frame.step: frame for row in range(len(reader.history(0))) if (frame := reader.keyframe(0, row)).layers}
    assert math.isinf(frames[step].batch_loss)
    assert event.message == f"the training loss became infinite at step {step}"


def test_stops_judges_a_run_whose_loss_was_never_finite(tmp_path: Path) -> None:
    import json

    text_ = LINE.format(path=line(tmp_path), batch=8).partition("[training.early_stopping]")[0]
    wild: list[tuple[str, Any]] = [("training.lr", 1e30), ("training.optimizer", "sgd")]
    for settings in (wild, [*wild, ("record.every", 1)], [("network.init", "normal:1e25")]):
        reader = train(tmp_path, text_, *settings)
        (run,) = json.loads(as_json(reader, [0]))["runs"]
        rules = {rule["rule"]: rule for rule in run["rules"]}
        assert (run["best_epoch"], run["best_val_loss"], run["epochs"]) == (None, "NaN", 1)
        assert (rules["Lightning"]["stops"], rules["Lightning"]["because"]) == (1, "check_finite")
        assert rules["Keras"]["stops"] is None
        assert rules["Keras"]["best_epoch"] is None
        assert {(rule["best_epoch"], rule["loss_given_away"]) for rule in rules.values()} == {(None, "NaN")}
        said = stops_text(reader, [0])
        assert "0.000000" not in said
        assert "val_loss was never finite" in said
        assert any(line.split()[:3] == ["Lightning", "1", "check_finite"] for line in said.splitlines())


@pytest.mark.parametrize("size", [(80, 20), (160, 12), (40, 8), (30, 4)])
def test_the_panel_judges_it_too(size: tuple[int, int]) -> None:
    run = run_view(keyframes=3)
    run.history.val_loss[:] = math.nan
    drawing = jury.draw(view(run), *size)
    assert len(drawing.rows) == size[1]
    shown = [text(row) for row in drawing.rows]
    assert any("Lightning" in line or line.startswith("L ") for line in shown)
    if size[1] > 4:
        assert "val_loss was never finite" in shown[0]
