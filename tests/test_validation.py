"""Tests validation in both modes: the effect of a forgotten eval(), and that measuring it changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.scenario.network import NetworkConfig
from bntui.trainer.draw import Draws
from bntui.trainer.network import Network, Stage, build, forward
from bntui.trainer.session import Session
from bntui.trainer.step import drawn
from bntui.trainer.validate import Draw, evaluate, forget_eval, mini_batches

CPU = torch.device("cpu")
DRAW = torch.Generator().manual_seed(5)
X = torch.randn((41, 6), generator=DRAW)
Y = torch.randint(0, 3, (41,), generator=DRAW)
SCENARIO = """
title = "Digits"
seed = 7
[data]
source = "digits"
samples = 406
scaling = "minmax"
batch_size = 60
[network]
hidden = [20, 20]
norm = "batch"
dropout = 0.3
[training]
lr = 0.5
epochs = 4
"""


def network(dropout: float = 0.0) -> Network:
    config = {"hidden": (8,), "norm": "batch", "dropout": dropout, "activation": "sigmoid"}
    return build(NetworkConfig.model_validate(config), (6,), 3, 7, CPU)


@pytest.mark.parametrize(
    ("samples", "batch", "sizes"),
    [(41, 20, [20, 21]), (40, 20, [20, 20]), (45, 20, [20, 20, 5]), (3, 2, [3]), (5, 9, [5]), (1, 4, [1])],
)
def test_a_last_sample_that_is_alone_joins_the_mini_batch_before_it(samples: int, batch: int, sizes: list[int]) -> None:
    pieces = mini_batches(samples, batch)
    assert [piece.stop - piece.start for piece in pieces] == sizes
    assert [n for piece in pieces for n in range(piece.start, piece.stop)] == list(range(samples))


def test_a_forgotten_eval_normalizes_each_mini_batch_by_itself() -> None:
    built = network()
    before = {name: tensor.clone() for name, tensor in built.state().items()}

    def nothing(_number: int) -> Draw:
        return lambda _stage, x: x

    loss, accuracy = forget_eval(built, X, Y, "classification", 20, nothing)
    state = {name: tensor.double().numpy() for name, tensor in before.items()}
    outputs = []
    for rows in (slice(0, 20), slice(20, 41)):
        pre = X[rows].double().numpy() @ state["linear 1.linear.weight"].T + state["linear 1.linear.bias"]
        out = 1 / (1 + np.exp(-(pre - pre.mean(0)) / np.sqrt(pre.var(0) + 1e-5)))
        outputs.append(out @ state["output.linear.weight"].T + state["output.linear.bias"])
    logits = torch.from_numpy(np.concatenate(outputs))
    assert loss == pytest.approx(float(functional.cross_entropy(logits, Y)), rel=1e-5)
    assert accuracy == pytest.approx(float((logits.argmax(1) == Y).double().mean()))
    for name, tensor in built.state().items():
        assert torch.equal(tensor, before[name]), name


def test_dropout_is_active_and_drawn_for_validation_alone() -> None:
    built = network(dropout=0.5)
    seen: list[Tensor] = []

    def draw(number: int) -> Draw:
        draws = Draws(7, CPU, "validation", number)

        def drop(stage: Stage, x: Tensor) -> Tensor:
            value, mask = drawn(draws, built, stage, 4, x)
            assert mask is not None
            seen.append(mask)
            return value

        return drop

    dropped = forget_eval(built, X, Y, "classification", 20, draw)
    assert [len(mask) for mask in seen] == [20, 21]
    assert not torch.equal(seen[0], seen[1][:20])
    assert not torch.equal(seen[0], Draws(7, CPU).mask("linear 1", 4, seen[0], 0.5))  # not that of training
    assert dropped == forget_eval(built, X, Y, "classification", 20, draw)
    assert dropped != evaluate(built, X, Y, "classification")


def test_evaluation_mode_takes_the_running_statistics_and_leaves_training_mode_behind() -> None:
    built = network(dropout=0.5)
    forward(built.stages, X, lambda _stage, x: x)  # the running statistics move
    loss, _ = evaluate(built, X, Y, "classification")
    assert all(module.training for stage in built.stages for module in stage.module.modules())
    built.train(False)
    expected = functional.cross_entropy(forward(built.stages, X)[-1].detach(), Y)
    assert loss == pytest.approx(float(expected), rel=1e-6)


def train(folder: Path, text: str) -> Reader:
    path = folder / f"{len(list(folder.iterdir()))}.bntui"
    session = Session.begin(parse(text, file="test.toml"), path)
    while not session.over:
        session.epoch(lambda: False)
    session.close()
    return Reader(path)


def test_training_takes_the_same_course_bit_for_bit_in_both_modes(tmp_path: Path) -> None:
    reader = train(
        tmp_path,
        SCENARIO
        + '[[run]]\nname = "evaluation"\n'
        + '[[run]]\nname = "forgotten"\n[run.set.training]\nvalidation_mode = "training"\nvalidation_batch = 4\n',
    )
    right, wrong = reader.history(0), reader.history(1)
    assert len(right) == 5
    for row in range(5):
        frames = [reader.keyframe(run, row) for run in (0, 1)]
        assert frames[0].weights_digest == frames[1].weights_digest
        assert frames[0].train_loss == frames[1].train_loss
    assert not np.array_equal(right.val_loss, wrong.val_loss)
    assert wrong.val_loss[-1] > right.val_loss[-1]  # dropout, and statistics of four samples
    again = train(tmp_path, SCENARIO.replace("epochs = 4", 'epochs = 4\nvalidation_mode = "training"'))
    repeated = train(tmp_path, SCENARIO.replace("epochs = 4", 'epochs = 4\nvalidation_mode = "training"'))
    assert np.array_equal(again.history(0).val_loss, repeated.history(0).val_loss)
