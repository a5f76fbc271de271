"""Tests stacks of runs against the same runs trained alone, over random networks of the supported stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bntui.insight.claims import Frames, Trained
from bntui.recording.memory import MemoryWriter
from bntui.recording.writer import Writer
from bntui.scenario.activations import ACTIVATIONS
from bntui.scenario.load import Override, parse
from bntui.scenario.schema import RunConfig
from bntui.study.courses import Lost, courses
from bntui.study.together import trained_together
from bntui.study.train import begun, trained
from bntui.study.trial import EpochRow
from bntui.trainer import stack
from bntui.trainer.run import Run
from bntui.trainer.stack import Stack, together
from tests.spread import ALL

HERE = Path.cwd()
TEXT = """
title = "Stack"
[data]
source = "digits"
samples = 60
scaling = "standard"
batch_size = 15
[network]
hidden = [6, 5]
activation = "tanh"
[training]
lr = 0.1
epochs = 6
"""
GROWTH = 1e-3
"""A difference of this size is no rounding, after a few steps."""


def configs(*overrides: Override, seeds: int = 3) -> list[RunConfig]:
    (run,) = parse(TEXT, file="x", overrides=list(overrides)).runs
    return [run.config.model_copy(update={"seed": seed}) for seed in range(seeds)]


def alone(config: RunConfig, epochs: int) -> tuple[Run, MemoryWriter]:
    run, memory = begun(config, HERE), MemoryWriter()
    run.begin(cast("Writer", memory))
    for _ in range(epochs):
        if not run.over:
            run.train_epoch(cast("Writer", memory), lambda: False)
    return run, memory


@st.composite
def variants(draw: st.DrawFn) -> list[Override]:
    layers = [
        {
            "type": "linear", "units": draw(st.sampled_from([4, 8, 12])),
            "activation": draw(st.sampled_from(sorted(ACTIVATIONS))),
            "norm": draw(st.sampled_from(["none", "batch", "layer", "group"])),
            "dropout": draw(st.sampled_from([0.0, 0.0, 0.3])),
        }
        for _ in range(draw(st.integers(1, 3)))
    ]  # fmt: skip
    if noise := draw(st.sampled_from([0.0, 0.3])):
        layers = [{**layer, "norm": "batch"} for layer in layers]
    optimizer = draw(st.sampled_from(["sgd", "adam", "adamw", "rmsprop"]))
    found = {
        "network.hidden": None,
        "network.layer": layers,
        "network.groups": draw(st.sampled_from([1, 2])),
        "network.norm_position": draw(st.sampled_from(["before_activation", "after_activation"])),
        "network.norm_noise": noise,
        "network.norm_eps": draw(st.sampled_from([1e-5, 1e-3])),
        "data.source": draw(st.sampled_from(["digits", "moons", "sine"])),
        "data.input_noise": draw(st.sampled_from([0.0, 0.1])),
        "data.last_batch": draw(st.sampled_from(["first", "keep", "drop"])),
        "data.batch_size": draw(st.sampled_from([9, 15, 100])),
        "training.optimizer": optimizer,
        "training.lr": 0.05 if optimizer == "sgd" else 0.003,
        "training.momentum": draw(st.sampled_from([0.0, 0.9])) if optimizer in ("sgd", "rmsprop") else 0.0,
        "training.weight_decay": draw(st.sampled_from([0.0, 0.01])),
        "training.clip_norm": draw(st.sampled_from([None, 0.1])),
        "training.clip_value": draw(st.sampled_from([None, 0.05])),
        "training.schedule.warmup_epochs": draw(st.sampled_from([0, 1])),
    }
    if found["data.batch_size"] == 100:  # one mini-batch, of fewer samples
        found["data.last_batch"] = "keep"
    return list(found.items())


@settings(max_examples=300 if ALL else 30, deadline=None, suppress_health_check=list(HealthCheck))
@given(variants())
def test_a_stack_takes_the_first_steps_of_its_runs(overrides: list[Override]) -> None:
    made = configs(*overrides)
    apart = [alone(config, 2) for config in made]
    runs, writers = [begun(config, HERE) for config in made], [MemoryWriter() for _config in made]
    for run, writer in zip(runs, writers, strict=True):
        run.begin(cast("Writer", writer))
    assert together(runs)
    both = Stack(runs)
    for _ in range(2):
        both.epoch([cast("Writer", writer) for writer in writers])
    averaging = made[0].training.optimizer != "sgd"
    growth = 20 * GROWTH if averaging else GROWTH
    for (one, theirs), run, ours in zip(apart, runs, writers, strict=True):
        expected, found = theirs.history(one.info), ours.history(run.info)
        for name in ("step", "epoch", "epoch_end", "lr"):
            assert np.array_equal(getattr(expected, name), getattr(found, name)), name
        # averages let a gradient that is only rounding, as of a bias before batch normalization, move it like any other
        for name in ("train_loss",) if averaging else ("train_loss", "val_loss"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=growth, atol=1e-5)
        if averaging:
            continue
        for name, tensor in one.network.state().items():
            torch.testing.assert_close(run.network.state()[name], tensor, rtol=GROWTH, atol=1e-4, msg=name)


def rows_of(*overrides: Override, seeds: int = 3, stacked: bool = True) -> tuple[list[EpochRow], list[Trained]]:
    rows: list[EpochRow] = []
    found = trained_together(configs(*overrides, seeds=seeds), HERE, rows.append, stacked=stacked)
    return rows, found


def near(one: Sequence[EpochRow], other: Sequence[EpochRow], growth: float = GROWTH) -> None:
    def ordered(rows: Sequence[EpochRow]) -> list[EpochRow]:
        return sorted(rows, key=lambda row: (row.seed, row.epoch))

    assert len(one) == len(other)
    for ours, theirs in zip(ordered(one), ordered(other), strict=True):
        assert (ours.seed, ours.epoch, ours.ended) == (theirs.seed, theirs.epoch, theirs.ended)
        for name in ("train_loss", "val_loss", "gradient_ratio"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=growth, nan_ok=True), (name, ours)


STOPPING: dict[str, Any] = {"monitor": "val_loss", "patience": 1, "restore_best_weights": True}
ENDS: dict[str, list[Override]] = {
    "finished": [],
    "stopped early": [("training.early_stopping", STOPPING), ("training.lr", 1.5), ("training.epochs", 15)],
    "plateau": [
        ("training.schedule", {"kind": "plateau", "patience": 0, "gamma": 0.5}), ("training.lr", 1.5),
        ("training.momentum", 0.5),
    ],
    "plateau of averages": [
        ("training.schedule", {"kind": "plateau", "patience": 0, "gamma": 0.5, "threshold": 0.05}),
        ("training.lr", 0.03), ("training.optimizer", "adam"), ("training.epochs", 12),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_every_seed_ends_and_reduces_its_learning_rate_on_its_own(name: str) -> None:
    with patch.object(stack.Stack, "divided", autospec=True, side_effect=stack.Stack.divided) as divided:
        rows, found = rows_of(*ENDS[name], seeds=4)
    apart, expected = rows_of(*ENDS[name], seeds=4, stacked=False)
    near(rows, apart, 0.02)
    last = {row.seed: row.epoch for row in rows}
    if name != "finished":
        sizes = {len(call.args[0].runs) for call in divided.call_args_list}
        assert len(sizes) > 1, "the stack was never divided"
    if name == "stopped early":
        assert len(set(last.values())) > 1
    for one, other in zip(found, expected, strict=True):
        assert [(event.kind, event.step) for event in one.events] == [(e.kind, e.step) for e in other.events]
        assert np.array_equal(one.history.lr, other.history.lr)
        assert np.array_equal(one.history.best_epoch, other.history.best_epoch)


def test_a_seed_that_diverges_does_not_touch_the_others() -> None:
    """The weights of one seed are made huge, as if it had diverged."""
    how: list[Override] = [("training.momentum", 0.9), ("network.norm", "batch"), ("training.clip_norm", 0.5)]
    runs, same = ([begun(config, HERE) for config in configs(*how)] for _ in range(2))
    for run in (*runs, *same):
        run.begin(cast("Writer", MemoryWriter()))
    for parameter in runs[1].network.named_parameters().values():
        parameter.data.fill_(1e38)
    writers = [cast("Writer", MemoryWriter()) for _run in runs]
    first = Stack(runs)
    first.epoch(writers)
    assert [run.over for run in runs] == [False, True, False]
    (left,) = first.divided()
    left.epoch([writers[0], writers[2]])
    other = Stack(same)
    for _ in range(2):
        other.epoch([cast("Writer", MemoryWriter()) for _run in same])
    for at in (0, 2):
        for name, tensor in same[at].network.state().items():
            torch.testing.assert_close(runs[at].network.state()[name], tensor, rtol=1e-4, atol=1e-6)


def test_a_stack_has_the_scalars_of_the_runs_alone_in_the_history() -> None:
    rows, found = rows_of()
    for config, run in zip(configs(), found, strict=True):
        expected = trained(config, HERE, Frames())
        assert run.info.layers == expected.info.layers
        for name in ("step", "epoch", "lr", "best_epoch"):
            assert np.array_equal(getattr(run.history, name), getattr(expected.history, name)), name
        np.testing.assert_allclose(run.history.val_loss, expected.history.val_loss, rtol=GROWTH)
        told = [row.val_loss for row in rows if row.seed == config.seed]
        assert told == run.history.val_loss.tolist()


RECURRENT: list[Override] = [("network.hidden", None), ("network.layer", [{"type": "recurrent", "units": 4}]),
             ("data.sequence", "rows"), ("training.epochs", 2)]  # fmt: skip
SEPARATE: dict[str, list[Override]] = {
    "recurrent": RECURRENT,
    "autograd": [("training.engine", "autograd")],
    "forgotten evaluation": [("training.validation_mode", "training"), ("network.dropout", 0.2)],
    "steps": [("record.every", 3)],
    "wide": [("network.hidden", [4000, 1000]), ("training.epochs", 1)],
}


@pytest.mark.parametrize("name", SEPARATE)
def test_what_cannot_be_stacked_is_trained_separately_and_exactly(name: str) -> None:
    with patch.object(Stack, "epoch", side_effect=AssertionError):
        _rows, found = rows_of(*SEPARATE[name], seeds=2)
    for config, run in zip(configs(*SEPARATE[name], seeds=2), found, strict=True):
        expected = trained(config, HERE, Frames(all=True))
        ends = [one.history.epoch_end | (one.history.step == 0) for one in (run, expected)]
        for column in ("val_loss", "train_loss"):
            ours, theirs = (getattr(one.history, column)[at] for one, at in zip((run, expected), ends, strict=True))
            assert np.array_equal(ours, theirs), column


def test_workers_tell_every_epoch_of_every_seed() -> None:
    rows: list[EpochRow] = []
    for told in courses(configs(seeds=1)[0], HERE, range(3), 2):
        assert not isinstance(told, Lost)
        rows += told
    for seed in range(3):
        assert [row.epoch for row in rows if row.seed == seed] == list(range(7))
    near(rows, rows_of()[0])


def test_seeds_that_cannot_be_trained_are_lost_with_their_reason(tmp_path: Path) -> None:
    config = configs(("data.source", "nowhere.csv"), seeds=1)[0]
    (lost,) = courses(config, tmp_path, [4, 7], 1)
    assert isinstance(lost, Lost)
    assert lost.seeds == (4, 7)
    assert "nowhere.csv" in lost.reason
