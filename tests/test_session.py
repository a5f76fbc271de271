"""Tests whole sessions on real data, in this process, from a run's first keyframe to its last."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bntui.errors import DeviceError, ScenarioError
from bntui.recording.codec import metadata_of, unpack_arrays
from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.trainer.draw import Draws
from bntui.trainer.session import Session

DIGITS = """
title = "Digits"
seed = 7
[data]
source = "digits"
samples = 400
scaling = "minmax"
batch_size = 60
[network]
hidden = [20, 20]
activation = "sigmoid"
init = "normal:0.5"
[training]
lr = 0.5
epochs = 6
"""
TWO_RUNS = '[[run]]\nname = "plain"\n[[run]]\nname = "batch norm"\nset = { network.norm = "batch" }\n'


def never() -> bool:
    return False


def train(folder: Path, text: str, *overrides: tuple[str, Any]) -> Reader:
    """Train to the end and open the recording."""
    path = folder / f"{len(list(folder.iterdir()))}.bntui"
    session = Session.begin(parse(text, file="test.toml", overrides=overrides), path, overrides)
    while not session.over:
        session.epoch(never)
    session.close()
    return Reader(path)


def rows(path: Path, query: str) -> list[Any]:
    with sqlite3.connect(path) as db:
        return db.execute(query).fetchall()


def test_runs_share_their_start_their_batches_and_their_data(tmp_path: Path) -> None:
    reader = train(tmp_path, DIGITS + TWO_RUNS)
    assert [run.name for run in reader.runs] == ["plain", "batch norm"]
    for row in range(7):
        plain, normed = reader.keyframe(0, row), reader.keyframe(1, row)
        np.testing.assert_array_equal(plain.batch_indices, normed.batch_indices)
        assert plain.step == normed.step == 6 * row  # 320 training samples in batches of 60
    first = [reader.keyframe(run, 0).layers[0] for run in (0, 1)]
    assert first[0].pre_norm.mean == first[1].pre_norm.mean  # the same weights, the same samples
    assert first[0].weight_norm == first[1].weight_norm
    assert first[0].normalized is None
    assert first[1].normalized is not None
    assert math.isnan(first[0].update_ratio)


def test_a_run_is_the_same_whatever_runs_beside_it(tmp_path: Path) -> None:
    alone = train(tmp_path, DIGITS)
    beside = train(tmp_path, DIGITS + TWO_RUNS)
    assert [alone.keyframe(0, row).weights_digest for row in range(7)] == [
        beside.keyframe(0, row).weights_digest for row in range(7)
    ]


def test_measuring_more_often_changes_no_figure(tmp_path: Path) -> None:
    epochs = train(tmp_path, DIGITS, ("network.dropout", 0.2), ("network.norm", "batch"))
    steps = train(tmp_path, DIGITS, ("network.dropout", 0.2), ("network.norm", "batch"), ("record.every", 1))
    every = steps.history(0)
    assert every.step.tolist() == list(range(37))
    ends = [row for row in range(37) if row % 6 == 0]
    for row, step in enumerate(ends):
        one, other = epochs.keyframe(0, row), steps.keyframe(0, step)
        assert one.weights_digest == other.weights_digest
        assert one.val_loss == other.val_loss
        assert one.layers[1].weight_gradient_norm == other.layers[1].weight_gradient_norm
        assert one.train_loss == other.train_loss


def test_train_loss_is_the_mean_over_the_epoch_so_far(tmp_path: Path) -> None:
    reader = train(tmp_path, DIGITS, ("record.every", 1), ("training.epochs", 2))
    sizes = [len(reader.keyframe(0, row).batch_indices) for row in range(1, 7)]
    losses = [reader.keyframe(0, row).batch_loss for row in range(1, 7)]
    assert sizes == [20] + [60] * 5
    assert reader.keyframe(0, 6).train_loss == pytest.approx(np.average(losses, weights=sizes), rel=1e-6)
    assert reader.keyframe(0, 3).train_loss == pytest.approx(np.average(losses[:3], weights=sizes[:3]), rel=1e-6)
    assert reader.keyframe(0, 3).epoch == 0.5
    order = np.concatenate([reader.keyframe(0, row).batch_indices for row in range(1, 7)])
    assert sorted(order) == list(range(320))  # every sample once an epoch


def test_epoch_scalars_are_recorded_at_every_epochs_end(tmp_path: Path) -> None:
    history = train(tmp_path, DIGITS, ("record.every", 4), ("training.epochs", 2)).history(0)
    assert history.step.tolist() == [0, 4, 6, 8, 12]
    assert history.has_frame.tolist() == [True, True, False, True, True]
    assert history.epoch_end.tolist() == [False, False, True, False, True]
    assert np.isfinite(history.val_loss).all()


def test_the_last_batch_can_be_dropped(tmp_path: Path) -> None:
    reader = train(tmp_path, DIGITS, ("data.last_batch", "drop"), ("training.epochs", 1))
    assert reader.runs[0].steps_per_epoch == 5
    assert len(reader.keyframe(0, 1).batch_indices) == 60


def test_keyframe_0_has_no_side_effects(tmp_path: Path) -> None:
    frame = train(tmp_path, DIGITS, ("network.norm", "batch"), ("training.epochs", 1)).keyframe(0, 0)
    statistics = frame.layers[0].batch_norm
    assert statistics is not None
    assert (statistics.running_var == 1).all()
    assert rows(tmp_path / "0.bntui", "SELECT count(*) FROM keyframe") == [(2,)]


def test_early_stopping_stops_restores_and_says_so(tmp_path: Path) -> None:
    stopping = [("training.early_stopping.patience", 2), ("training.early_stopping.restore_best_weights", True)]
    reader = train(tmp_path, DIGITS, *stopping, ("training.lr", 8.0), ("training.epochs", 200))
    history, events = reader.history(0), reader.events(0)
    assert [event.kind for event in events] == ["stopped_early", "restored_best"]
    assert history.has_frame[-1]
    last = reader.keyframe(0, len(history) - 1).early_stopping
    assert last is not None
    assert (last.stopped, last.wait) == (True, 2)
    best = int(np.argmin(np.where(history.epoch_end, history.val_loss, np.inf)))
    assert last.best_epoch == history.epoch[best]
    assert last.best == history.val_loss[best]
    assert history.wait.tolist()[-3:] == [0, 1, 2]
    ((step, block),) = rows(reader.path, "SELECT step, block FROM checkpoint WHERE name = 'final'")
    assert step == history.step[best]
    assert "linear 1.linear.weight" in unpack_arrays(block)


def test_a_diverging_run_stops_and_the_others_go_on(tmp_path: Path) -> None:
    text = DIGITS.replace('"sigmoid"', '"relu"') + (
        '[[run]]\nname = "calm"\n[[run]]\nname = "wild"\nset = { training.lr = 1e30 }\n'
    )
    reader = train(tmp_path, text)
    calm, wild = reader.events(0), reader.events(1)
    assert [event.kind for event in calm] == ["finished"]
    assert [event.kind for event in wild] == ["first_bad", "diverged"]
    assert wild[1].message.startswith("the training loss became ")
    assert int(wild[0].message.rsplit(" ", 1)[1]) in (2, 3)  # the first step after the first update or two
    frame = reader.keyframe(1, len(reader.history(1)) - 1)
    assert not math.isfinite(frame.train_loss)
    assert reader.history(0).epoch[-1] == 6


def test_regression_scores_r_squared(tmp_path: Path) -> None:
    text = '[data]\nsource = "sine"\nnoise = 0.1\nscaling = "standard"\nbatch_size = 8\n[network]\nhidden = [30]\n'
    text = 'title = "Sine"\n' + text + '[training]\noptimizer = "adam"\nlr = 0.02\nepochs = 60\n'
    reader = train(tmp_path, text)
    assert reader.task == "regression"
    frame = reader.keyframe(0, 60)
    ((block,),) = rows(reader.path, "SELECT block FROM data WHERE name = 'data'")
    data = unpack_arrays(block)
    truth = data["y"][data["validation"]].astype(np.float64)
    assert frame.val_accuracy == pytest.approx(1 - frame.val_loss / truth.var(), rel=1e-6)
    assert frame.val_accuracy > 0.5


def test_the_recording_explains_itself(tmp_path: Path) -> None:
    reader = train(tmp_path, DIGITS, ("training.epochs", 1))
    assert reader.scenario_text == DIGITS
    assert {"torch", "bntui", "device", "cpu_capability", "threads", "overrides", "created"} <= set(reader.meta)
    assert reader.runs[0].config["training"]["epochs"] == 1
    ((block,),) = rows(reader.path, "SELECT block FROM data WHERE name = 'data'")
    data = unpack_arrays(block)
    assert data["x"].shape == (400, 1, 8, 8)
    assert len(data["train"]) == 320
    assert len(np.intersect1d(data["train"], data["validation"])) == 0
    ((kept,),) = rows(reader.path, "SELECT block FROM evidence ORDER BY id DESC LIMIT 1")
    evidence = unpack_arrays(kept)
    assert evidence["before/linear 1.linear.weight"].shape == (20, 64)
    assert evidence["stage/0"].shape == (60, 64)  # the flattened input of the last batch


def test_a_batch_of_one_under_batch_normalization_is_refused_before_training(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).random((52, 4)), y=np.arange(52) % 2)
    text = DIGITS.replace('"digits"', f'"{tmp_path}/data.npz"').replace("samples = 400\n", "")
    text = text.replace("batch_size = 60", "batch_size = 8").replace("hidden", 'norm = "batch"\nhidden')
    with pytest.raises(ScenarioError, match='last_batch = "drop"'):
        Session.begin(parse(text, file="test.toml"), tmp_path / "x.bntui")
    assert not (tmp_path / "x.bntui").exists()


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    scenario = parse(DIGITS, file="test.toml", overrides=[("device", "cuda:99")])
    with pytest.raises(DeviceError, match=r"device 'cuda:99' is not available; this machine has cpu"):
        Session.begin(scenario, tmp_path / "x.bntui")
    assert not (tmp_path / "x.bntui").exists()


def test_an_interrupted_epoch_ends_at_a_keyframe(tmp_path: Path) -> None:
    session = Session.begin(parse(DIGITS, file="test.toml"), tmp_path / "x.bntui")
    session.epoch(lambda: session.runs[0].step == 3)
    assert session.runs[0].step == 4
    session.interrupt()
    session.close()
    reader = Reader(tmp_path / "x.bntui")
    assert reader.history(0).step.tolist() == [0, 4]
    assert [event.kind for event in reader.events(0)] == ["interrupted"]


def test_where_a_run_ends_there_is_a_keyframe_whatever_is_recorded(tmp_path: Path) -> None:
    sparse = ("record.every", 100)
    ended = train(tmp_path, DIGITS, sparse).history(0)
    assert (ended.step[-1], ended.has_frame[-1]) == (36, True)
    stopping = ("training.early_stopping.patience", 2)
    reader = train(tmp_path, DIGITS, sparse, stopping, ("training.lr", 8.0), ("training.epochs", 200))
    history = reader.history(0)
    assert history.has_frame[-1]
    last = reader.keyframe(0, len(history) - 1).early_stopping
    assert last is not None
    assert last.stopped


def test_best_weights_are_watched_from_start_from_epoch_on(tmp_path: Path) -> None:
    rule = {"patience": 3, "restore_best_weights": True, "start_from_epoch": 10}
    reader = train(tmp_path, DIGITS, *((f"training.early_stopping.{key}", value) for key, value in rule.items()))
    assert [event.kind for event in reader.events(0)] == ["finished"]  # as in Keras: nothing to restore


def test_a_network_that_begins_at_nan_says_so(tmp_path: Path) -> None:
    reader = train(tmp_path, DIGITS.replace("sigmoid", "relu"), ("network.init", "normal:1e30"))
    assert [event.message for event in reader.events(0)] == [
        "first infinite value at step 0: pre-activation of layer linear 2", "the loss of the initial network is NaN"
    ]  # fmt: skip


def test_r_squared_is_the_mean_over_outputs(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(120, 3))
    np.savez(tmp_path / "two.npz", x=x, y=np.stack([x[:, 0] + 50, 9 * x[:, 1] - 70], axis=1))
    text = f'title = "Two"\n[data]\nsource = "{tmp_path}/two.npz"\nscaling = "standard"\n[network]\nhidden = [30]\n'
    reader = train(tmp_path, text + '[training]\noptimizer = "adam"\nlr = 0.3\nepochs = 30\n')
    ((block,),) = rows(reader.path, "SELECT block FROM checkpoint")
    ((data_block,),) = rows(reader.path, "SELECT block FROM data WHERE name = 'data'")
    weights, data = unpack_arrays(block), unpack_arrays(data_block)
    train_x, val_x = (data["x"][data[part]].astype(np.float64) for part in ("train", "validation"))
    hidden = (val_x - train_x.mean(0)) / train_x.std(0) @ weights["linear 1.linear.weight"].T
    hidden = np.maximum(hidden + weights["linear 1.linear.bias"], 0)
    output = hidden @ weights["output.linear.weight"].T + weights["output.linear.bias"]
    truth = data["y"][data["validation"]].astype(np.float64)
    each = 1 - ((output - truth) ** 2).sum(0) / ((truth - truth.mean(0)) ** 2).sum(0)
    assert reader.keyframe(0, 30).val_accuracy == pytest.approx(each.mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "layer", "message"),
    [
        ((40, 4), {"type": "conv", "channels": 4}, "a convolution needs images"),
        ((40, 1, 6, 6), {"type": "conv", "channels": 4, "kernel": 9, "padding": 0}, "nothing is left of 6x6 pixels"),
        ((40, 1, 6, 6), {"type": "conv", "channels": 4, "pool": 9}, "nothing is left of 6x6 pixels"),
    ],
)
def test_what_only_the_data_tells_is_refused_before_training(
    tmp_path: Path, shape: tuple[int, ...], layer: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).random(shape), y=np.arange(40) % 2)
    text = DIGITS.replace('"digits"', f'"{tmp_path}/data.npz"').replace("samples = 400\n", "")
    scenario = parse(text.replace("hidden = [20, 20]\n", ""), file="test.toml", overrides=[("network.layer", [layer])])
    with pytest.raises(ScenarioError, match=message):
        Session.begin(scenario, tmp_path / "x.bntui")


def test_an_interruption_keeps_the_runs_side_by_side(tmp_path: Path) -> None:
    session = Session.begin(parse(DIGITS + TWO_RUNS, file="test.toml"), tmp_path / "x.bntui")
    first, second = session.runs
    session.epoch(lambda: first.step == 6)  # the first run has just ended its epoch
    assert (first.step, second.step) == (6, 0)
    session.epoch(never)
    assert (first.step, second.step) == (6, 6)
    session.epoch(never)
    assert (first.step, second.step) == (12, 12)
    session.close()


def test_the_schedules_state_is_evidence(tmp_path: Path) -> None:
    plateau = {"kind": "plateau", "patience": 0, "gamma": 0.5}
    reader = train(tmp_path, DIGITS, *((f"training.schedule.{k}", v) for k, v in plateau.items()), ("training.lr", 9.0))
    ((block,),) = rows(reader.path, "SELECT block FROM evidence ORDER BY id DESC LIMIT 1")
    plateau = json.loads(metadata_of(block)["progress"])["plateau"]
    factor, best = plateau["factor"], plateau["best"]
    assert reader.history(0).lr[-1] == pytest.approx(9.0 * factor)
    assert best <= reader.history(0).val_loss[1:-1].min()


CONVOLUTIONS = [
    {"type": "conv", "channels": 5, "pool": 2, "norm": "batch"},
    {"type": "conv", "channels": 3, "norm": "batch", "dropout": 0.2},
    {"type": "linear", "units": 9, "norm": "batch"},
]
RECURRENT = [
    {"type": "recurrent", "units": 6, "norm": "batch"},
    {"type": "recurrent", "units": 5, "norm": "batch", "cell": "gru"},
]


@pytest.mark.parametrize(
    ("layers", "position"),
    [
        (None, "before_activation"),
        (None, "after_activation"),
        (CONVOLUTIONS, "before_activation"),
        (CONVOLUTIONS, "after_activation"),
        (RECURRENT, "before_activation"),
    ],
)
def test_every_stage_is_evidence_and_one_unit_is_followed_by_itself(
    tmp_path: Path, layers: list[dict[str, Any]] | None, position: str
) -> None:
    text, unit = DIGITS, 13
    overrides: list[tuple[str, Any]] = [
        ("network.norm", "batch"), ("network.norm_position", position), ("record.unit", unit), ("training.epochs", 1),
    ]  # fmt: skip
    if layers is not None:
        text = text.replace("hidden = [20, 20]\n", "")
        overrides.append(("network.layer", layers))
    reader = train(tmp_path, text, *overrides)
    evidence, frame, info = reader.evidence(0, 1), reader.keyframe(0, 1), reader.runs[0]
    assert evidence is not None
    assert set(evidence.stages) == set(range(len(info.stages)))
    values = [evidence.stages[at].astype(np.float64) for at in range(len(info.stages))]
    assert len({kind for _, kind in info.stages} & {"norm", "activation"}) == 2
    for at, (number, kind) in enumerate(info.stages):
        layer = info.layers[number]
        sequence = layer.kind == "recurrent"
        if kind == "activation":
            # units are counted modulo the layer's: along the channels, or at a sequence's end
            entered = values[at - 1]
            own = entered[..., unit % layer.shape[-1]] if sequence else entered[:, unit % layer.shape[0]]
            found = [reader.history(0).layer(number, f"unit_p{q}")[1] for q in (15, 50, 85)]
            assert found == pytest.approx(list(np.percentile(own, (15, 50, 85))), rel=1e-12)
            measured = frame.layers[number]
            assert [measured.unit_p15, measured.unit_p50, measured.unit_p85] == found
        if kind == "norm":
            statistics = frame.layers[number].batch_norm
            assert statistics is not None
            x = values[at - 1]
            axes = (0, 1) if sequence else (0, *range(2, x.ndim))
            per_feature = (-1,) if sequence else (-1, *(1 for _ in x.shape[2:]))
            mean, var = x.mean(axes), x.var(axes)
            np.testing.assert_allclose(statistics.batch_mean, mean, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(statistics.batch_var, var, rtol=1e-5, atol=1e-9)
            mean, var, gamma, beta = (a.reshape(per_feature) for a in (mean, var, statistics.gamma, statistics.beta))
            expected = gamma * (x - mean) / np.sqrt(var + statistics.eps) + beta
            np.testing.assert_allclose(values[at], expected, rtol=1e-3, atol=1e-4)


def test_evidence_that_is_written_later_has_the_masks_of_its_own_step(tmp_path: Path) -> None:
    settings = [("network.dropout", 0.3), ("network.hidden", [20]), ("record.budget", 0.2), ("record.every", 1)]
    path = tmp_path / "x.bntui"
    session = Session.begin(parse(DIGITS, file="test.toml", overrides=settings), path)
    session.epoch(never)
    session.epoch(never)
    session.runs[0].train_epoch(session.writer, lambda: True)  # one more step, recorded; its evidence waits
    stepper, batch = session.runs[0].stepper, session.runs[0]._epoch.next_full
    for step in range(4):
        with stepper.training():
            stepper.bare(batch.x, batch.y, 100 + step, 0.1)
    session.close()
    reader, draws = Reader(path), Draws(7, torch.device("cpu")).streamed()
    history = reader.history(0)
    assert len(reader.evidence_rows(0)) < len(history)
    for row in reader.evidence_rows(0)[1:]:
        evidence, samples = reader.evidence(0, row), len(reader.keyframe(0, row).batch_indices)
        assert evidence is not None
        mask = draws.mask("linear 1", int(history.step[row]) - 1, torch.empty(samples, 20), 0.3).numpy()
        np.testing.assert_array_equal(evidence.masks["linear 1"], np.packbits(mask > 0))
