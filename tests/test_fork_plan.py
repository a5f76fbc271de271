"""Tests the fork plan: its decisions, its names and shapes against PyTorch, and what the trainer actually keeps."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bntui.errors import ScenarioError
from bntui.patience import Patience
from bntui.recording.evidence import Average
from bntui.scenario.checks import facts_of
from bntui.scenario.fork import forked
from bntui.scenario.fork_plan import ForkPlan, State, expected_state, kept_state, over_at_once, plan_fork
from bntui.scenario.gallery import scenarios
from bntui.scenario.load import Override, load, parse, parse_override
from bntui.scenario.schema import RunConfig
from bntui.scenario.state_shapes import state_shapes
from bntui.scenario.structure import Shape, as_sequence
from bntui.trainer.fork_transfer import transfer
from bntui.trainer.network import build
from bntui.trainer.optim import Plateau
from bntui.trainer.progress import Progress
from bntui.trainer.run import Run
from bntui.trainer.samples import DeviceSamples

Name = TypeVar("Name", bound=Hashable)
DIGITS: Final[Shape] = (1, 8, 8)
DENSE = """
title = "Forks"
[data]
source = "digits"
batch_size = 8
[network]
hidden = [6, 4]
activation = "sigmoid"
[training]
epochs = 30
"""
CONV = """
title = "Forks"
[data]
source = "digits"
batch_size = 8
[network]
[[network.layer]]
type = "conv"
channels = 4
pool = 2
[[network.layer]]
type = "linear"
units = 12
[training]
epochs = 30
"""
RECURRENT = """
title = "Forks"
[data]
source = "digits"
batch_size = 8
sequence = "rows"
[network]
[[network.layer]]
type = "recurrent"
cell = "gru"
units = 4
[[network.layer]]
type = "linear"
units = 6
[training]
epochs = 30
"""
CHANGES: Final[dict[str, list[Any]]] = {
    "network.norm": ["none", "batch", "layer", "group"],
    "network.norm_position": ["before_activation", "after_activation"],
    "network.norm_recurrent": ["step", "input"],
    "network.groups": [1, 2],
    "network.activation": ["sigmoid", "relu"],
    "network.dropout": [0.0, 0.2],
    "network.init": ["xavier", "he"],
    "training.optimizer": ["sgd", "adam", "adamw", "rmsprop"],
    "training.momentum": [0.0, 0.9],
    "training.lr": [0.1, 0.01],
    "training.schedule.kind": ["constant", "plateau", "step"],
    "training.early_stopping.patience": [3, 5],
    "training.early_stopping.monitor": ["val_loss", "val_accuracy"],
    "training.early_stopping.mode": ["auto", "min"],
    "training.early_stopping": ["none"],
}
SHAPES: Final[dict[str, list[tuple[str, Any]]]] = {
    DENSE: [("network.hidden", hidden) for hidden in ([6, 4], [6], [6, 6], [6, 4, 4], [4, 6])],
    CONV: [("network.layer[0].channels", 2), ("network.layer[0].kernel", 1), ("network.layer[0].stride", 2),
           ("network.layer[0].pool", 1), ("network.layer[1].units", 6), ("network.layer[0].padding", "same")],
    RECURRENT: [("network.layer[0].cell", cell) for cell in ("elman", "gru", "lstm")]
    + [("network.layer[0].units", 6), ("network.layer[1].units", 4)],
}  # fmt: skip
MARK: Final = 77.0
"""A value that only a parent's state has."""


def config(toml: str = DENSE, *changes: Override) -> RunConfig:
    return parse(toml, file="forks.toml", overrides=changes).runs[0].config


@st.composite
def configurations(draw: st.DrawFn) -> tuple[RunConfig, RunConfig]:
    """A parent's and its fork's."""
    toml = draw(st.sampled_from([DENSE, CONV, RECURRENT]))
    changes = st.one_of([st.tuples(st.just(path), st.sampled_from(values)) for path, values in CHANGES.items()])
    found = config(toml)
    pair = []
    for least in (0, 1):
        wanted = draw(st.lists(changes, min_size=least, max_size=4))
        wanted += draw(st.lists(st.sampled_from(SHAPES[toml]), max_size=1))
        for change in wanted:
            try:
                found = forked(found.model_dump(mode="json"), [change])[0]
            except ScenarioError:
                continue
        pair.append(found)
    return pair[0], pair[1]


def run_of(made: RunConfig) -> Run:
    """A run on a few samples that look like digits."""
    sample = as_sequence(DIGITS, made.data.sequence)
    assert sample is not None
    sides = [side or 0 for side in sample]
    x, y = torch.rand(24, *sides), torch.arange(24) % 10
    return Run(0, "run", made, DeviceSamples(x, y, x[:8], y[:8], "classification", 10), torch.device("cpu"))


def marked(made: RunConfig) -> Run:
    """A run whose whole state can be told from any other's."""
    run = run_of(made)
    state = run.network.state()
    run.network.load({name: torch.full_like(tensor, MARK) for name, tensor in state.items()})
    slots = ("exp_avg", "exp_avg_sq", "square_avg", "momentum_buffer", "step")
    shapes = {name: tensor.shape for name, tensor in state.items()}
    run.stepper.optimizer.load(
        {
            Average(name, slot): torch.full(() if slot == "step" else shapes[name], MARK)
            for name in shapes
            for slot in slots
        }
    )
    patience = Patience(best=MARK, best_epoch=2, wait=1, stopped=True, reason="over", improved=False)
    run.set_progress(Progress(step=6, epoch=2, plateau=Plateau(0.25, MARK, 1), patience=patience, best_loss=MARK))
    return run


def marks(tensors: Mapping[Name, torch.Tensor]) -> set[Name]:
    return {name for name, tensor in tensors.items() if bool((tensor == MARK).all())}


@settings(max_examples=60, deadline=None)
@given(configurations())
def test_the_plan_is_what_the_trainer_really_keeps(pair: tuple[RunConfig, RunConfig]) -> None:
    before, after = pair
    parent, child = marked(before), run_of(after)
    own, theirs = child.network.state(), marked(before).network.state()
    fits = {name for name, tensor in own.items() if name in theirs and theirs[name].shape == tensor.shape}
    told = transfer(child, parent)
    plan, expected = plan_fork(before, after), expected_state(before, after, DIGITS)
    assert expected == told
    assert set(told.kept) == marks(child.network.state()) == fits
    assert set(told.new) == set(own) - fits
    averages = marks(child.stepper.optimizer.state())
    parameters = {name for stage in child.network.stages for name in _parameters(child, stage)}
    assert averages == {Average(name, slot) for name in fits & parameters for slot in plan.averages}
    at = child.progress
    assert (at.patience.best == MARK) == plan.patience
    assert (at.patience.wait, at.patience.stopped, at.patience.reason) == (int(plan.patience), False, "")
    assert (at.best_loss == MARK) == plan.best_loss
    assert (at.plateau.factor == 0.25) == plan.plateau_factor
    assert (at.plateau.best == MARK, at.plateau.bad_epochs) == (plan.plateau_count, int(plan.plateau_count))
    assert (at.step, at.epoch, at.offset) == (6, 2, 0)


def _parameters(run: Run, stage: Any) -> Iterator[str]:
    for name, _parameter in stage.module.named_parameters():
        yield f"{run.network.layers[stage.layer].name}.{stage.kind}.{name}"


KEEPS_ALL: Final = ForkPlan(False, True, (), True, True, False, False)
ANEW: Final[dict[str, Any]] = {"structural": True, "patience": False, "best_loss": False}
ADAM: Final = ("exp_avg", "exp_avg_sq", "step")
STOPPING: Final = {"training.early_stopping.patience": 3}
PLATEAU: Final = {"training.schedule.kind": "plateau"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, {}),
        ({}, {"training.lr": 9.0, "network.dropout": 0.5, "network.init": "he", "data.batch_size": 4}, {}),
        ({}, {"network.hidden": [6]}, ANEW),
        ({}, {"network.activation": "relu"}, ANEW),
        ({}, {"network.norm": "batch"}, ANEW),
        ({}, {"network.norm_position": "after_activation"}, ANEW),
        ({"network.norm": "group", "network.groups": 1}, {"network.groups": 2}, ANEW),
        ({}, {"network.norm_recurrent": "step"}, ANEW),
        ({}, {"training.optimizer": "adam"}, {"same_optimizer": False}),
        ({"training.optimizer": "rmsprop"}, {"training.optimizer": "adamw"}, {"same_optimizer": False}),
        ({"training.optimizer": "adam"}, {}, {"averages": ADAM}),
        ({"training.optimizer": "adam"}, {"training.optimizer": "adamw"}, {"averages": ADAM}),
        ({"training.optimizer": "adamw"}, {"training.optimizer": "adam"}, {"averages": ADAM}),
        ({"training.momentum": 0.9}, {}, {"averages": ("momentum_buffer",)}),
        ({"training.momentum": 0.9}, {"training.momentum": 0.5}, {"averages": ("momentum_buffer",)}),
        ({"training.momentum": 0.9}, {"training.momentum": 0.0}, {}),
        ({"training.optimizer": "rmsprop"}, {"training.momentum": 0.5}, {"averages": ("square_avg", "step")}),
        ({"training.optimizer": "rmsprop", "training.momentum": 0.5}, {},
         {"averages": ("square_avg", "momentum_buffer", "step")}),
        ({}, STOPPING, {"patience": False}),
        (STOPPING, {"training.early_stopping.patience": 9, "training.early_stopping.min_delta": 0.1}, {}),
        (STOPPING, {"training.early_stopping": "none"}, {"patience": False}),
        (STOPPING, {"training.early_stopping.monitor": "val_accuracy"}, {"patience": False}),
        (STOPPING, {"training.early_stopping.mode": "min"}, {"patience": False}),
        (PLATEAU, {}, {"plateau_factor": True, "plateau_count": True}),
        (PLATEAU, {"network.norm": "batch"}, {**ANEW, "plateau_factor": True}),
        ({}, PLATEAU, {}),
    ],
)  # fmt: skip
def test_each_change_starts_anew_what_it_makes_meaningless(
    before: dict[str, Any], after: dict[str, Any], expected: dict[str, Any]
) -> None:
    parent = config(DENSE, *before.items())
    child = forked(parent.model_dump(mode="json"), list(after.items()))[0]
    assert plan_fork(parent, child) == replace(KEEPS_ALL, **expected)


@pytest.mark.parametrize(
    ("given", "epoch", "waited", "key"),
    [
        ({}, 29.5, None, ""),
        ({}, 30.0, None, "training.epochs"),
        ({}, 29.5, 3, ""),  # no rule can end it
        (STOPPING, 5.0, None, ""),
        (STOPPING, 5.0, STOPPING["training.early_stopping.patience"] - 1, ""),
        (STOPPING, 5.0, STOPPING["training.early_stopping.patience"], "training.early_stopping.patience"),
    ],
)
def test_a_fork_that_has_nothing_to_train_says_which_setting_ends_it(
    given: dict[str, Any], epoch: float, waited: int | None, key: str
) -> None:
    problem = over_at_once(config(DENSE, *given.items()), epoch, waited)
    assert (problem.path if problem else "") == key
    if problem is not None:
        assert problem.value == str(30 if key == "training.epochs" else waited)
        assert ("epoch 30 " if key == "training.epochs" else f"waited {waited} epochs") in problem.message


@pytest.mark.parametrize(
    ("optimizer", "momentum"),
    [("sgd", 0.0), ("sgd", 0.9), ("rmsprop", 0.0), ("rmsprop", 0.9), ("adam", 0.0), ("adamw", 0.0)],
)
def test_averages_have_the_names_of_pytorchs_own_optimizers(optimizer: str, momentum: float) -> None:
    classes = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    made: Any = classes.get(optimizer, torch.optim.RMSprop)
    reference = made([weight], lr=0.1, **({"momentum": momentum} if optimizer in ("sgd", "rmsprop") else {}))
    reference.step()
    names = {name for name, tensor in reference.state[weight].items() if tensor is not None}
    alike = config(DENSE, ("training.optimizer", optimizer), ("training.momentum", momentum))
    assert set(plan_fork(alike, alike).averages) == names


def test_what_fits_by_name_and_shape_is_kept() -> None:
    own: dict[str, Shape] = {"a": (2, 3), "b": (3,), "c": ()}
    assert kept_state(own, {"c": (), "b": (4,), "a": (2, 3), "d": (1,)}) == State(("a", "c"), ("b",))
    assert kept_state(own, {}) == State((), ("a", "b", "c"))


def test_layers_of_another_width_are_new() -> None:
    before, after = config(DENSE), config(DENSE, ("network.hidden", [6]))
    kept = ("linear 1.linear.weight", "linear 1.linear.bias", "output.linear.bias")
    assert expected_state(before, after, DIGITS) == State(kept, ("output.linear.weight",))  # 6 inputs instead of 4
    assert expected_state(before, after, None) is None


def variants() -> Iterator[tuple[str, RunConfig, Shape]]:
    """Networks of every kind: all built-in ones, and some that no scenario has."""
    for card in scenarios():
        for run in load(card.path).runs:
            shape = facts_of(run.config.data).shape
            if shape is not None:
                yield f"{card.path.stem}/{run.name}", run.config, shape
    for norm in ("none", "batch", "layer", "group"):
        for position in ("before_activation", "after_activation"):
            changes: list[Override] = [
                ("network.norm", norm), ("network.norm_position", position), ("network.groups", 2),
            ]  # fmt: skip
            for toml in (DENSE, CONV):
                yield f"{norm} {position}", config(toml, *changes), DIGITS
            for cell in ("elman", "gru", "lstm"):
                for statistics in ("step", "input"):
                    recurrent = [*changes, ("network.norm_recurrent", statistics), ("network.layer[0].cell", cell)]
                    try:
                        yield f"{norm} {position} {cell} {statistics}", config(RECURRENT, *recurrent), DIGITS
                    except ScenarioError:
                        continue


def images_in_sequence() -> Iterator[tuple[str, RunConfig, Shape]]:
    """Recurrent layers whose time steps are the rows of an image, or of feature maps."""
    whole = RECURRENT.replace('sequence = "rows"\n', "")
    maps = whole.replace(
        '[[network.layer]]\ntype = "recurrent"',
        '[[network.layer]]\ntype = "conv"\nchannels = 3\n[[network.layer]]\ntype = "recurrent"',
    )
    for name, toml, shape in (("image", whole, DIGITS), ("colors", whole, (3, 8, 6)), ("maps", maps, DIGITS)):
        yield name, config(toml), shape


def torch_state(made: RunConfig, shape: Shape) -> dict[str, tuple[int, ...]]:
    """Names and shapes as PyTorch's modules have them."""
    sample = as_sequence(shape, made.data.sequence)
    assert sample is not None
    known = [side for side in sample if side is not None]
    assert len(known) == len(sample)
    network = build(made.network, known, 10, 1, torch.device("cpu"))
    return {name: tuple(tensor.shape) for name, tensor in network.state().items()}


@pytest.mark.parametrize("change", ["network.norm=batch", "network.norm=none", "network.activation=relu"])
def test_names_and_shapes_are_those_of_the_real_networks(change: str) -> None:
    path, value = parse_override(change)
    compared = set()
    for name, before, shape in (*variants(), *images_in_sequence()):
        try:
            after = forked(before.model_dump(mode="json"), [(path, value)])[0]
        except ScenarioError:
            continue
        theirs, own = torch_state(before, shape), torch_state(after, shape)
        predicted = state_shapes(after, shape)
        assert predicted is not None, name
        # the data decides the number of outputs, which no configuration tells
        hidden = {key: sides[1:] if key.startswith("output.") else sides for key, sides in own.items()}
        assert {key: sides[1:] if key.startswith("output.") else sides for key, sides in predicted.items()} == hidden
        expected = tuple(key for key, sides in own.items() if theirs.get(key) == sides)
        found = expected_state(before, after, shape)
        assert found is not None, name
        assert found.kept == expected, name
        assert found.new == tuple(key for key in own if key not in expected), name
        assert math.prod(map(len, (theirs, own))), name
        compared.add(name)
    assert {"batch before_activation lstm step", "group after_activation"} <= compared
    assert {"image", "colors", "maps"} <= compared
