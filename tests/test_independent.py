"""Tests every figure that ``bntui show --json`` prints against a training loop written without the trainer.

Plain PyTorch modules, optimizers and autograd, NumPy and scikit-learn; of the recording only what cannot be computed
is taken: samples, split, initial weights, order of samples and dropout masks.  The loop then runs by itself.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from bntui.commands.show import as_json
from bntui.recording.reader import Reader
from tests.test_session import train

UNIT = 7


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "none": lambda x: x,
}  # fmt: skip


def gate(cell: nn.GRU, name: str) -> nn.Parameter:
    """A parameter of PyTorch's cell, which it keeps by name alone."""
    found = getattr(cell, name)
    assert isinstance(found, nn.Parameter)
    return found


class Block(nn.Module):
    """What a layer does, and what was seen of it."""

    def __init__(
        self,
        name: str,
        main: nn.Module,
        *,
        norm: nn.Module | None = None,
        act: str = "none",
        pool: int = 1,
        p: float = 0,
    ) -> None:
        super().__init__()
        self.name, self.main, self.norm, self.act, self.pool, self.p = name, main, norm, act, pool, p
        self.seen: dict[str, Tensor] = {}

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if isinstance(self.main, nn.Linear):
            x = x[:, -1] if self.name == "after" else x.flatten(1)
        self.seen = {"input": x}
        if isinstance(self.main, nn.GRU):
            self.seen["pre_norm"] = functional.linear(x, gate(self.main, "weight_ih_l0"), gate(self.main, "bias_ih_l0"))
            out = self.main(x)[0]
        else:
            out = self.seen["pre_norm"] = self.main(x)
            if self.norm is not None:
                out = self.seen["normalized"] = self.norm(out)
            out = ACTIVATIONS[self.act](out)
        self.seen["output"] = out
        if out.requires_grad:
            out.retain_grad()
        out = functional.max_pool2d(out, self.pool) if self.pool > 1 else out
        return out if mask is None else out * mask / (1 - self.p)

    @property
    def weight(self) -> nn.Parameter:
        found = gate(self.main, "weight_ih_l0") if isinstance(self.main, nn.GRU) else self.main.weight
        assert isinstance(found, nn.Parameter)
        return found


@dataclass(frozen=True)
class Case:
    """A scenario and the same network in PyTorch's own modules."""

    text: str
    blocks: Sequence[Block]
    optimizer: Any
    """Makes an optimizer of parameters."""
    lr: Any
    """The learning rate of an epoch, from 0."""
    scaler: type
    clip: float | None = None


HEAD = """
title = "Independent"
seed = 11
record = {{ every = 1, shift = true, unit = 7 }}
[data]
source = "{source}"
samples = {samples}
validation = 0.25
{data}
[network]
activation = "{act}"
{network}
[training]
{training}
"""


def dense() -> Case:
    text = HEAD.format(
        source="breast_cancer", samples=160, act="relu", data='batch_size = 33\nscaling = "standard"',
        network='hidden = [20, 12]\nnorm = "batch"\ndropout = 0.3',
        training='optimizer = "adam"\nlr = 0.02\nepochs = 4\nschedule = { kind = "step", step_size = 2, gamma = 0.5 }\n'
        '[training.early_stopping]\nmonitor = "val_accuracy"\npatience = 2\nmin_delta = 0.01',
    )  # fmt: skip
    blocks = [
        Block("linear 1", nn.Linear(30, 20), norm=nn.BatchNorm1d(20), act="relu", p=0.3),
        Block("linear 2", nn.Linear(20, 12), norm=nn.BatchNorm1d(12), act="relu", p=0.3),
        Block("output", nn.Linear(12, 2)),
    ]
    return Case(text, blocks, lambda p: torch.optim.Adam(p), lambda epoch: 0.02 * 0.5 ** (epoch // 2), StandardScaler)


def convolution() -> Case:
    layers = (
        '[[network.layer]]\ntype = "conv"\nchannels = 4\npool = 2\nnorm = "batch"\n'
        '[[network.layer]]\ntype = "linear"\nunits = 9\ndropout = 0.5\nactivation = "sigmoid"'
    )
    text = HEAD.format(
        source="digits", samples=120, act="tanh", data='batch_size = 30\nscaling = "minmax"', network=layers,
        training='optimizer = "sgd"\nlr = 0.1\nmomentum = 0.9\nweight_decay = 0.01\nepochs = 3',
    )  # fmt: skip
    blocks = [
        Block("conv 1", nn.Conv2d(1, 4, 3, padding="same"), norm=nn.BatchNorm2d(4), act="tanh", pool=2),
        Block("linear 1", nn.Linear(64, 9), act="sigmoid", p=0.5),
        Block("output", nn.Linear(9, 10)),
    ]
    sgd = lambda p: torch.optim.SGD(p, momentum=0.9, weight_decay=0.01)  # noqa: E731
    return Case(text, blocks, sgd, lambda _: 0.1, MinMaxScaler)


def gated(folder: Path) -> Case:
    """A regression with two outputs over sequences of rows, the gradient clipped, monitored by its training R²."""
    layers = (
        '[[network.layer]]\ntype = "recurrent"\ncell = "gru"\nunits = 6\n[[network.layer]]\ntype = "linear"\nunits = 8'
    )
    draw = np.random.default_rng(2)
    x = draw.normal(0, 1, (90, 1, 5, 3)).astype(np.float32)
    y = np.stack([np.tanh(x).sum((1, 2, 3)), 3 + x[:, 0, 0, 0] * x[:, 0, 4, 2]], 1).astype(np.float32)
    np.savez(folder / "pairs.npz", x=x, y=y)
    text = HEAD.format(
        source=folder / "pairs.npz", samples=90, act="tanh", network=layers,
        data='batch_size = 16\nscaling = "standard"\nsequence = "rows"',
        training='optimizer = "rmsprop"\nlr = 0.01\nclip_norm = 0.5\nepochs = 4\n'
        '[training.early_stopping]\nmonitor = "r2"\npatience = 9\nbaseline = 0.9',
    )  # fmt: skip
    blocks = [
        Block("recurrent 1", nn.GRU(3, 6, batch_first=True)),
        Block("after", nn.Linear(6, 8), act="tanh"),
        Block("output", nn.Linear(8, 2)),
    ]
    return Case(text, blocks, lambda p: torch.optim.RMSprop(p), lambda _: 0.01, StandardScaler, clip=0.5)


def begin(case: Case, parameters: Mapping[str, Any], names: Sequence[str]) -> None:
    """The recorded initial weights."""
    with torch.no_grad():
        for block, name in zip(case.blocks, names, strict=True):
            own = {
                key.removeprefix(f"{name}."): torch.tensor(value)
                for key, value in parameters.items()
                if key.startswith(f"{name}.")
            }
            if isinstance(block.main, nn.GRU):
                gate(block.main, "weight_ih_l0").copy_(own["recurrent.weight"])
                gate(block.main, "weight_hh_l0").copy_(own["activation.weight_hh"])
                gate(block.main, "bias_ih_l0").copy_(own["recurrent.bias"])
                gate(block.main, "bias_hh_l0").copy_(torch.cat([torch.zeros(12), own["activation.bias"]]))
                continue
            kind = "conv" if isinstance(block.main, nn.Conv2d) else "linear"
            block.main.weight.copy_(own[f"{kind}.weight"])  # type: ignore[operator]
            block.main.bias.copy_(own[f"{kind}.bias"])  # type: ignore[operator]


class Loop:
    """Training as anyone would write it."""

    def __init__(self, case: Case, reader: Reader) -> None:
        data = reader.dataset
        assert data is not None
        self.case, self.reader, self.classes = case, reader, bool(data.classes)
        names = [layer.name for layer in reader.runs[0].layers]
        first = reader.evidence(0, 0)
        assert first is not None
        begin(case, first.before, names)
        self.names = names
        flat = data.x.reshape(len(data.x), -1).astype(np.float64)
        scaled = case.scaler().fit(flat[data.train]).transform(flat).astype(np.float32)
        shape = (-1, 5, 3) if isinstance(case.blocks[0].main, nn.GRU) else (-1, *data.x.shape[1:])
        x = torch.tensor(scaled.reshape(shape))
        y = torch.tensor(data.y)
        self.x, self.y, self.x_val, self.y_val = x[data.train], y[data.train], x[data.validation], y[data.validation]
        self.parameters = [p for block in case.blocks for p in block.parameters()]
        self.optimizer = case.optimizer(self.parameters)
        self.loss_of = functional.cross_entropy if self.classes else functional.mse_loss

    def agree(self, row: int) -> None:
        """Parameters after a step are those recorded before the next one; Adam's are taken from there.

        Adam makes a whole step of a gradient that is nothing but rounding, such as that of a bias before a batch
        normalization.  So a few of its parameters may differ, and go on to.
        """
        evidence = self.reader.evidence(0, row)
        assert evidence is not None
        adam = isinstance(self.optimizer, torch.optim.Adam)
        for block, name in zip(self.case.blocks, self.names, strict=True):
            if isinstance(block.main, nn.GRU):
                continue
            kind = "conv" if isinstance(block.main, nn.Conv2d) else "linear"
            for parameter, key in ((block.main.weight, "weight"), (block.main.bias, "bias")):
                assert isinstance(parameter, nn.Parameter)
                recorded = torch.tensor(evidence.before[f"{name}.{kind}.{key}"])
                near = torch.isclose(parameter.detach(), recorded, rtol=1e-3, atol=1e-5).double().mean()
                assert near == 1 or (adam and (key == "bias" or near > 0.95)), (name, key, float(near))
                if adam:
                    parameter.data.copy_(recorded)

    def masks(self, row: int, samples: int) -> list[Tensor | None]:
        evidence = self.reader.evidence(0, row)
        assert evidence is not None
        found: list[Tensor | None] = []
        for block, name in zip(self.case.blocks, self.names, strict=True):
            units = getattr(block.main, "out_features", 0)
            packed = evidence.masks.get(name)
            bits = None if packed is None else np.unpackbits(packed)[: samples * units].reshape(samples, units)
            found.append(None if bits is None else torch.tensor(bits.astype(np.float32)))
        return found

    def forward(self, x: Tensor, masks: Sequence[Tensor | None], blocks: Sequence[Block] | None = None) -> Tensor:
        for block, mask in zip(self.case.blocks if blocks is None else blocks, masks, strict=True):
            x = block(x, mask)
        return x

    def score(self, output: Tensor, target: Tensor) -> float:
        if self.classes:
            return float((output.argmax(1) == target).float().mean())
        return float(r2_score(target.numpy(), output.detach().numpy()))

    def validation(self) -> tuple[float, float]:
        for block in self.case.blocks:
            block.eval()
        with torch.no_grad():
            output = self.forward(self.x_val, [None] * len(self.case.blocks))
        for block in self.case.blocks:
            block.train()
        return float(self.loss_of(output, self.y_val)), self.score(output, self.y_val)

    def shift(self, at: int, before: Sequence[Block], x: Tensor, y: Tensor, masks: Sequence[Tensor | None]) -> float:
        """Santurkar's definition 2.1: this layer's gradient before, and once all earlier layers are updated."""
        mixed = [after if n < at else old for n, (old, after) in enumerate(zip(before, self.case.blocks, strict=True))]
        gradients = []
        for blocks in (before, mixed):
            fresh = copy.deepcopy(list(blocks))
            loss = self.loss_of(self.forward(x, masks, fresh), y)
            found = torch.autograd.grad(loss, list(fresh[at].parameters()))
            if isinstance(fresh[at].main, nn.GRU):
                found[3][:12] = 0  # two of the three hidden biases are not parameters of the trainer's cell
            gradients.append(torch.cat([gradient.flatten() for gradient in found]))
        return float((gradients[0] - gradients[1]).norm())


def close(ours: Any, theirs: Any, what: str, rtol: float = 2e-4, atol: float = 2e-6) -> None:
    ours = ours.detach().numpy() if isinstance(ours, Tensor) else ours
    values = np.array(theirs if not isinstance(theirs, str) else float(theirs.replace("NaN", "nan")), np.float64)
    np.testing.assert_allclose(values, np.array(ours, np.float64), rtol=rtol, atol=atol, err_msg=what)


def check_values(seen: Mapping[str, Tensor], field: str, shown: Mapping[str, Any], recorded: Any, what: str) -> None:
    """Figures of a distribution, and its histogram."""
    if field not in seen:
        assert shown[field] is None
        return
    values = seen[field].detach().numpy().astype(np.float64).ravel()
    ours = {
        "mean": values.mean(), "std": values.std(ddof=0), "min": values.min(), "max": values.max(),
        "p15": np.percentile(values, 15), "p50": np.percentile(values, 50), "p85": np.percentile(values, 85),
    }  # fmt: skip
    for name, value in ours.items():
        close(value, shown[field][name], f"{what} {field}.{name}", atol=1e-5)
    counts = np.histogram(values, bins=32)[0]
    found = getattr(recorded, field).counts
    assert found.sum() == values.size
    assert np.abs(found - counts).sum() <= 4, f"{what} {field}"  # a value on an edge may fall on either side


def check_layer(loop: Loop, at: int, shown: Mapping[str, Any], recorded: Any, taken: Mapping[str, Any]) -> None:
    block, seen, what = loop.case.blocks[at], taken["seen"][at], f"step {taken['step']} {shown['name']}"
    assert shown["name"] == loop.names[at]
    for field in ("input", "pre_norm", "normalized", "output"):
        check_values(seen, field, shown, recorded, what)
    out = seen["output"].detach().numpy()
    close(float(taken["before"][at].weight.detach().norm()), shown["weight_norm"], what)
    close(float(taken["gradients"][at].norm()), shown["weight_gradient_norm"], what)
    close(float(seen["output"].grad.norm()), shown["activation_gradient_norm"], what)
    if taken["step"]:
        moved = block.weight.detach() - taken["before"][at].weight.detach()
        close(float(moved.norm() / taken["before"][at].weight.detach().norm()), shown["update_ratio"], what, rtol=2e-3)
        close(taken["shifts"][at], recorded.gradient_shift, what, rtol=5e-3, atol=1e-5)
    else:
        assert shown["update_ratio"] == "NaN"
        assert math.isnan(recorded.gradient_shift)
    if block.act == "relu":
        flat = out.reshape(len(out), out.shape[1], -1)
        close(np.mean([(flat[:, unit] == 0).all() for unit in range(out.shape[1])]), shown["dead_fraction"], what)
    else:
        assert shown["dead_fraction"] == "NaN"
    width = {"sigmoid": (0, 1), "tanh": (-1, 1)}.get(block.act)
    width = (-1, 1) if isinstance(block.main, nn.GRU) else width
    if width is None:
        assert shown["saturated_fraction"] == "NaN"
    else:
        edge = 0.01 * (width[1] - width[0])
        near = ((out - width[0] < edge) | (width[1] - out < edge)).mean()
        close(near, shown["saturated_fraction"], what, atol=2 / out.size)
    enters = seen["normalized" if block.norm is not None else "pre_norm"].detach().numpy().astype(np.float64)
    own = enters[:, :, UNIT % 6] if isinstance(block.main, nn.GRU) else enters[:, UNIT % enters.shape[1]]
    for share in (15, 50, 85):
        close(np.percentile(own, share), getattr(recorded, f"unit_p{share}"), what, atol=1e-5)
    if block.norm is not None:
        check_norm(block, shown["batch_norm"], taken, at, what)
    mask = taken["masks"][at]
    if mask is not None:
        close(float(mask.mean()), shown["dropout"]["kept_fraction"], what)
        assert shown["dropout"]["p"] == block.p
        np.testing.assert_array_equal(recorded.dropout.kept, mask.numpy()[:64] > 0)
    else:
        assert shown["dropout"] is None


def check_norm(block: Block, shown: Mapping[str, Any], taken: Mapping[str, Any], at: int, what: str) -> None:
    entered = taken["seen"][at]["pre_norm"].detach().numpy().astype(np.float64)
    axes = (0, *range(2, entered.ndim))
    norm, before = block.norm, taken["before"][at].norm
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    ours = {
        "batch_mean": entered.mean(axes), "batch_var": entered.var(axes), "running_mean": norm.running_mean,
        "running_var": norm.running_var, "gamma": before.weight.detach(), "beta": before.bias.detach(),
        "gamma_gradient": taken["gamma"][at], "beta_gradient": taken["beta"][at],
    }  # fmt: skip
    for name, value in ours.items():
        close(value, shown[name], f"{what} {name}", rtol=5e-4, atol=1e-5)
    assert shown["eps"] == 1e-5


def stopping(rule: Mapping[str, Any], values: Sequence[float]) -> tuple[float, int, int]:
    """Best value, its epoch, and how long was waited: larger is better in both cases here."""
    best, at, wait = -math.inf, 0, 0
    for epoch, value in enumerate(values, start=1):
        wait += 1
        if value > best + rule["min_delta"] or at == 0:
            best, at = value, epoch
            if rule["baseline"] is None or value > rule["baseline"] + rule["min_delta"]:
                wait = 0
    return best, at, wait


@pytest.mark.parametrize("kind", ["dense", "convolution", "gated"])
def test_every_figure_is_that_of_a_loop_that_anyone_could_write(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    case = {"dense": dense, "convolution": convolution}[kind]() if kind != "gated" else gated(tmp_path)
    folder = tmp_path / "runs"
    folder.mkdir()
    reader = train(folder, case.text)
    loop, history = Loop(case, reader), reader.history(0)
    assert len(history) > 8
    seen: list[tuple[Tensor, Tensor, float]] = []
    monitored: list[float] = []
    for row in range(len(history)):
        frame = reader.keyframe(0, row)
        shown = json.loads(as_json(reader, frame))
        assert shown["step"] == row
        rows = np.array(shown["batch"]["indices"])
        x, y, masks = loop.x[rows], loop.y[rows], loop.masks(row, len(rows))
        if row <= 1 or history.epoch_end[row - 1]:  # the initial state belongs to no epoch
            seen = []
        for block in case.blocks:
            block.seen = {}
        before = copy.deepcopy(list(case.blocks))
        output = loop.forward(x, masks)
        loss = loop.loss_of(output, y)
        loop.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if isinstance(case.blocks[0].main, nn.GRU):
            gate(case.blocks[0].main, "bias_hh_l0").grad[:12] = 0  # type: ignore[index]
        norms = [block.norm for block in case.blocks]
        taken: dict[str, Any] = {
            "step": row, "before": before, "masks": masks, "shifts": None,
            "seen": [block.seen for block in case.blocks],
            "gradients": [block.weight.grad.clone() for block in case.blocks],  # type: ignore[union-attr]
            "gamma": [None if norm is None else norm.weight.grad.clone() for norm in norms],  # type: ignore[union-attr,operator]
            "beta": [None if norm is None else norm.bias.grad.clone() for norm in norms],  # type: ignore[union-attr,operator]
        }  # fmt: skip
        seen.append((output.detach(), y, float(loss.detach()) * len(y)))
        epoch = 0 if row == 0 else int(np.ceil(frame.epoch - 1e-9)) - 1
        if row:
            for group in loop.optimizer.param_groups:
                group["lr"] = case.lr(epoch)
            if case.clip is not None:
                torch.nn.utils.clip_grad_norm_(loop.parameters, case.clip)
            loop.optimizer.step()
            if row + 1 < len(history):
                loop.agree(row + 1)
            for block in case.blocks:
                block.seen = {}
            taken["shifts"] = [loop.shift(at, before, x, y, masks) for at in range(len(case.blocks))]
        else:  # measured without a side effect
            for block, old in zip(case.blocks, before, strict=True):
                block.load_state_dict(old.state_dict())
        close(case.lr(epoch), shown["lr"], "lr", rtol=1e-12)
        close(float(loss.detach()), shown["batch_loss"], f"step {row} batch_loss")
        outputs, targets = torch.cat([out for out, _, _ in seen]), torch.cat([t for _, t, _ in seen])
        close(sum(part for _, _, part in seen) / len(targets), shown["train_loss"], "train_loss")
        close(loop.score(outputs, targets), shown["train_accuracy"], "train_accuracy")
        val_loss, val_score = loop.validation()
        known = row + 1 < len(history) or not isinstance(loop.optimizer, torch.optim.Adam)
        close(val_loss, shown["val_loss"], f"step {row} val_loss", rtol=2e-4 if known else 1e-2)
        close(val_score, shown["val_accuracy"], "val_accuracy")
        for at, layer in enumerate(frame.layers):
            check_layer(loop, at, shown["layers"][at], layer, taken)
        rule = reader.runs[0].early_stopping
        if rule is not None and history.epoch_end[row] and row:
            monitored.append(val_score if rule["monitor"] == "val_accuracy" else loop.score(outputs, targets))
            best, at_epoch, wait = stopping(rule, monitored)
            early = shown["early_stopping"]
            close(best, early["best"], "best")
            assert (early["best_epoch"], early["wait"]) == (at_epoch, wait)
            assert early["stopped"] == (wait >= rule["patience"] and at_epoch != len(monitored))
