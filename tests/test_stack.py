"""Tests that runs trained at once are the same runs trained alone, bit for bit, over random networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bntui.recording.memory import MemoryWriter
from bntui.scenario.activations import ACTIVATIONS
from bntui.scenario.load import Override, parse
from bntui.scenario.schema import RunConfig
from bntui.study.together import trained_together
from bntui.study.train import begun, without_keyframes
from bntui.study.trial import Epochs, SeedsJob
from bntui.trainer import stack
from bntui.trainer.run import Run
from bntui.trainer.stack import Stack, alike, stackable
from tests.spread import ALL
from tests.test_study import same

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


def configs(*overrides: Override, seeds: int = 3) -> list[RunConfig]:
    (run,) = parse(TEXT, file="x", overrides=list(overrides)).runs
    return [run.config.model_copy(update={"seed": seed}) for seed in range(seeds)]


def begun_all(*overrides: Override) -> tuple[list[Run], list[MemoryWriter]]:
    runs = [begun(without_keyframes(config), SeedsJob((config,), HERE)) for config in configs(*overrides)]
    memories = [MemoryWriter() for _run in runs]
    for run, memory in zip(runs, memories, strict=True):
        run.begin(memory)
    return runs, memories


def same_runs(ours: Sequence[MemoryWriter], theirs: Sequence[MemoryWriter]) -> None:
    """All scalars of every epoch are equal, the digest of the weights among them."""
    for one, other in zip(ours, theirs, strict=True):
        rows, expected = ([{**row, "wall_time": 0.0} for row in memory.rows(0)] for memory in (one, other))
        assert rows == expected
        assert one.events == other.events


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


@settings(max_examples=300 if ALL else 12, deadline=None, suppress_health_check=list(HealthCheck))
@given(variants())
def test_runs_trained_at_once_are_the_runs_alone_bit_for_bit(overrides: list[Override]) -> None:
    alone, theirs = begun_all(*overrides)
    for run, memory in zip(alone, theirs, strict=True):
        for epoch in (1.0, 2.0):
            if not run.over:
                goal = epoch if run is alone[2] and epoch == 1 else math.inf  # the last step is measured there
                run.train_epoch(memory, lambda: False, goal)
    runs, ours = begun_all(*overrides)
    assert stackable(runs[0], len(runs))
    if len(alike(runs)) == 1 and not any(run.over for run in runs):
        both = Stack(runs)
        for last in (True, False):
            if not any(run.over for run in runs):
                both.epoch(ours, [False, False, last])
    if not any(run.over for run in alone):
        same_runs(ours, theirs)


def told(*overrides: Override, seeds: int = 3, stacked: bool = True) -> list[Epochs]:
    """The epochs of each seed."""
    found: list[Epochs] = []
    trained_together(SeedsJob(tuple(configs(*overrides, seeds=seeds)), HERE), found.append, stacked=stacked)
    return found


def same_epochs(one: Sequence[Epochs], other: Sequence[Epochs], seeds: int) -> list[int]:
    """Compares the figures and ends of seeds; gives their numbers of epochs."""
    lengths = []
    for number in range(seeds):
        ours, theirs = ([piece for piece in pieces if piece.number == number] for pieces in (one, other))
        figures, expected = (np.concatenate([piece.figures for piece in own], axis=1) for own in (ours, theirs))
        assert same(figures, expected)
        assert ours[-1].end is not None
        assert ours[-1].end == theirs[-1].end
        lengths.append(figures.shape[1] - 1)
    return lengths


STOPPING: dict[str, Any] = {"monitor": "val_loss", "patience": 2, "restore_best_weights": True}
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
    with patch.object(stack.Stack, "epoch", autospec=True, side_effect=stack.Stack.epoch) as epoch:
        found = told(*ENDS[name], seeds=4)
    lengths = same_epochs(found, told(*ENDS[name], seeds=4, stacked=False), 4)
    sizes = {len(call.args[0].runs) for call in epoch.call_args_list}
    assert sizes, "nothing was trained at once"
    if name == "stopped early":
        assert len(set(lengths)) > 1
        assert len(sizes) > 1


def test_a_seed_that_diverges_does_not_touch_the_others() -> None:
    """The weights of one seed are made huge, as if it had diverged."""
    how: list[Override] = [("training.momentum", 0.9), ("network.norm", "batch"), ("training.clip_norm", 0.5)]
    runs, ours = begun_all(*how)
    for parameter in runs[1].network.named_parameters().values():
        parameter.data.fill_(1e38)
    Stack(runs).epoch(ours, [False] * 3)
    assert [run.over for run in runs] == [False, True, False]
    Stack([runs[0], runs[2]]).epoch([ours[0], ours[2]], [False] * 2)
    alone, theirs = begun_all(*how)
    for at in (0, 2):
        for _epoch in range(2):
            alone[at].train_epoch(theirs[at], lambda: False)
    same_runs([ours[0], ours[2]], [theirs[0], theirs[2]])


def test_runs_with_samples_of_different_shapes_are_not_in_one_stack() -> None:
    runs, _memories = begun_all()
    runs[1] = begun_all(("data.samples", 45))[0][1]
    assert alike(runs) == [[0, 2], [1]]


RECURRENT: list[Override] = [("network.hidden", None), ("network.layer", [{"type": "recurrent", "units": 4}]),
             ("data.sequence", "rows"), ("training.epochs", 2)]  # fmt: skip
SEPARATE: dict[str, list[Override]] = {
    "recurrent": RECURRENT,
    "autograd": [("training.engine", "autograd")],
    "steps": [("record.every", 3)],
    "wide": [("network.hidden", [700, 700]), ("training.epochs", 1)],
}


@pytest.mark.parametrize("name", SEPARATE)
def test_other_runs_are_trained_one_after_another(name: str) -> None:
    with patch.object(Stack, "epoch", side_effect=AssertionError):
        found = told(*SEPARATE[name], seeds=2)
    numbers = [piece.number for piece in found]
    assert numbers == sorted(numbers)
    assert set(numbers) == {0, 1}


def test_a_seed_that_cannot_be_trained_fails_alone(tmp_path: Path) -> None:
    job = SeedsJob(tuple(configs(seeds=3)), HERE)
    missing = job.configs[1].model_copy(update={"data": job.configs[1].data.model_copy(update={"source": "no.csv"})})
    found: list[Epochs] = []
    trained_together(replace(job, configs=(job.configs[0], missing, job.configs[2]), folder=tmp_path), found.append)
    ends = {piece.number: piece.end for piece in found if piece.end is not None}
    assert [ends[number].kind for number in range(3)] == ["finished", "failed", "finished"]
    assert "no.csv" in ends[1].reason
