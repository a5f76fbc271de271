"""Tests that dead gradients are reported with step and layer, and that gradients that are 0 by chance are not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bntui.insight.verdicts import verdict_changes, verdict_of
from bntui.keyframe import LayerMeasures
from bntui.recording.history import Event
from bntui.recording.reader import Reader
from bntui.trainer.dead import died
from bntui.viewer import troubles
from tests.factory import run_view
from tests.test_session import train

DEEP = """
title = "Three ReLU layers, rate too high"
seed = 1
[data]
source = "digits"
samples = 600
scaling = "none"
batch_size = 32
[network]
hidden = [64, 64, 64]
[training]
optimizer = "adam"
lr = 0.3
epochs = 6
"""
MOONS = """
title = "Moons"
seed = 3
[data]
source = "moons"
samples = 60
batch_size = 20
scaling = "standard"
[network]
hidden = [6, 5]
[training]
lr = 0.1
epochs = 3
"""
POSITIVE = """
title = "One unit"
seed = {seed}
[data]
source = "{path}"
batch_size = 20
[network]
hidden = [{hidden}]
init = "uniform:0.05"
[training]
lr = 0.1
epochs = 3
"""


def deaths(reader: Reader, run: int = 0) -> list[Event]:
    return [event for event in reader.events(run) if event.kind == "died"]


def gradients(reader: Reader, layer: str, run: int = 0) -> dict[int, float]:
    """Norm of a layer's weight gradient at each measured step."""
    at = [info.name for info in reader.runs[run].layers].index(layer)
    steps = reader.history(run).step.tolist()
    return {step: reader.keyframe(run, row).layers[at].weight_gradient_norm for row, step in enumerate(steps)}


def zero_from(norms: dict[int, float]) -> int | None:
    """The step from which on a gradient is exactly 0 for ever."""
    alive = [step for step, norm in norms.items() if norm != 0]
    later = [step for step in norms if step > max(alive, default=-1)]
    return min(later, default=None)


@pytest.mark.parametrize("every", [1, 7, "epoch"])
def test_a_network_whose_every_gradient_is_0_is_told_at_the_first_step_of_it(tmp_path: Path, every: Any) -> None:
    exact = train(tmp_path, DEEP, ("record.every", 1))
    names = [info.name for info in exact.runs[0].layers]
    last = exact.keyframe(0, len(exact.history(0)) - 1)
    assert all(layer.weight_gradient_norm == 0 for layer in last.layers)
    assert any(layer.dead_fraction == 1 for layer in last.layers)
    forever = {name: zero_from(gradients(exact, name)) for name in names}
    reader = train(tmp_path, DEEP, ("record.every", every))
    (event,) = deaths(reader)
    layer = event.arguments["layer"]
    assert event.step == min(step for step in forever.values() if step is not None)
    assert event.step == forever[layer]
    assert event.step > 1
    row = reader.history(0).step.tolist().index(event.step)  # a keyframe of its own, to look at
    named = next(measured for measured in reader.keyframe(0, row).layers if measured.name == layer)
    assert named.dead_fraction == 1
    assert event.message == (
        f"the gradient of layer {layer} died at step {event.step}: all its units give 0, and no training sample gives "
        "it a gradient"
    )
    assert verdict_of(reader.keyframe(0, len(reader.history(0)) - 1).layers).name == "vanishing"


def positive(folder: Path) -> Path:
    draw = np.random.default_rng(5)
    rows = [f"{a:.3f},{b:.3f},{'low' if a + b < 9 else 'high'}" for a, b in draw.uniform(1, 9, (100, 2))]
    path = folder / "positive.csv"
    path.write_text("\n".join(["width,height,class", *rows]))
    return path


def unit_off(reader: Reader, row: int = 0) -> bool:
    """Whether the only hidden unit gives 0 for every training sample, by a plain product of matrices."""
    data, evidence = reader.dataset, reader.evidence(0, row)
    assert data is not None
    assert evidence is not None
    x = (data.x[data.train].astype(np.float64) - data.scalings[0].offset) * data.scalings[0].factor
    enters = x @ evidence.before["linear 1.linear.weight"].T + evidence.before["linear 1.linear.bias"]
    return bool((enters <= 0).all())


def test_a_unit_that_is_dead_from_the_start_is_told_at_keyframe_0(tmp_path: Path) -> None:
    path = positive(tmp_path)
    found = []
    for seed in range(6):
        reader = train(tmp_path, POSITIVE.format(seed=seed, path=path, hidden=1), ("record.every", 1))
        found.append(unit_off(reader))
        events = deaths(reader)
        assert [event.step for event in events if event.step == 0] == [0] * found[-1]
        changes = verdict_changes(reader.history(0))
        if found[-1]:
            assert events[0].message == (
                "the gradient of layer linear 1 is dead from the start: all its units give 0, and no training sample "
                "gives it a gradient"
            )
            assert changes[:1] == ((0.0, "vanishing"),)  # ◇ on the timeline, from the first keyframe on
    assert 0 < sum(found) < 6


def test_an_activation_that_is_never_0_is_not_dead(tmp_path: Path) -> None:
    path = positive(tmp_path)
    for seed in range(6):
        for name in ("leaky_relu", "gelu", "softsign"):
            text = POSITIVE.format(seed=seed, path=path, hidden=1)
            assert not deaths(train(tmp_path, text, ("network.activation", name)))


@pytest.mark.parametrize(
    "settings",
    [
        (("network.activation", "sigmoid"), ("network.init", "normal:3000")),
        (("network.activation", "tanh"), ("network.init", "normal:3000")),
        (("network.activation", "gelu"), ("network.init", "zeros")),
        (("network.activation", "tanh"), ("network.init", "zeros")),
        (("network.init", "zeros"),),
    ],
    ids=["saturated sigmoid", "saturated tanh", "gelu of zeros", "tanh of zeros", "relu of zeros"],
)
def test_exact_zeros_of_any_activation_are_dead(tmp_path: Path, settings: tuple[tuple[str, Any], ...]) -> None:
    reader = train(tmp_path, MOONS, *settings)
    first = reader.keyframe(0, 0)
    assert first.layers[0].weight_gradient_norm == 0
    (event,) = deaths(reader)
    assert event.step == 0
    assert "from the start" in event.message
    assert max(gradients(reader, event.arguments["layer"]).values()) < 1e-20


def test_an_output_layer_that_begins_with_zeros_is_no_death(tmp_path: Path) -> None:
    """The gradient behind it is 0 in the initial state alone: the first update lets it through."""
    layers = [
        {"type": "linear", "units": 6, "name": "a"},
        {"type": "linear", "units": 5, "name": "b", "init": "zeros", "activation": "tanh"},
    ]
    reader = train(tmp_path, MOONS.replace("hidden = [6, 5]", ""), ("network.layer", layers), ("record.every", 1))
    norms = gradients(reader, "a")
    assert norms[0] == 0
    assert all(norm > 0 for step, norm in norms.items() if step > 1)
    assert not deaths(reader)


def test_a_mini_batch_without_a_gradient_is_no_death(tmp_path: Path) -> None:
    """One sample at a time: often none of two units is active."""
    reader = train(
        tmp_path, MOONS, ("network.hidden", [2]), ("data.batch_size", 1), ("training.lr", 0.001), ("record.every", 1)
    )
    norms = gradients(reader, "linear 1")
    off = [step for step, norm in norms.items() if norm == 0]
    assert len(off) > 10
    assert zero_from(norms) is None or max(norms) - max(s for s, n in norms.items() if n) < 10
    assert not deaths(reader)


def test_dropout_of_all_units_is_no_death(tmp_path: Path) -> None:
    reader = train(
        tmp_path, MOONS, ("network.hidden", [2, 2]), ("network.activation", "tanh"), ("network.dropout", 0.9),
        ("data.batch_size", 2), ("record.every", 1),
    )  # fmt: skip
    frames = [reader.keyframe(0, row) for row in range(len(reader.history(0)))]
    dropped = [f for f in frames if any(layer.dropout and not layer.dropout.kept_fraction for layer in f.layers)]
    assert len(dropped) > 10
    assert any(all(layer.weight_gradient_norm == 0 for layer in frame.layers[:-1]) for frame in dropped)
    assert not deaths(reader)


@pytest.mark.parametrize(("hidden", "rate"), [([1], 0.999), ([1, 1], 0.99), ([2, 1, 1], 0.97)])
def test_masks_that_leave_hardly_any_path_are_no_death(hidden: list[int], rate: float, tmp_path: Path) -> None:
    """tanh always has a gradient, which one sample of a thousand to ten thousand gets."""
    for seed in range(4):
        reader = train(
            tmp_path, MOONS, ("network.hidden", hidden), ("network.activation", "tanh"), ("network.dropout", rate),
            ("seed", seed),
        )  # fmt: skip
        assert not deaths(reader)


@pytest.mark.parametrize(
    ("hidden", "activation", "settings"),
    [
        # saturated without masks, but not with them
        ([5, 4, 1], "tanh", (("training.lr", 10.0), ("network.dropout", 0.7), ("data.batch_size", 1))),
        ([1], "relu", (("training.lr", 1.0), ("network.dropout", 0.3), ("data.batch_size", 2))),
    ],
)
def test_what_is_called_dead_stays_so_under_the_masks_of_training(
    tmp_path: Path, hidden: list[int], activation: str, settings: tuple[tuple[str, Any], ...]
) -> None:
    told = 0
    for seed in range(6):
        reader = train(
            tmp_path, MOONS, *settings, ("network.hidden", hidden), ("network.activation", activation),
            ("record.every", 1), ("seed", seed), ("data.samples", 40),
        )  # fmt: skip
        for event in deaths(reader):
            later = [n for step, n in gradients(reader, event.arguments["layer"]).items() if step > event.step]
            assert "ratio" in event.arguments or not any(later)
            told += 1
    assert told


def test_inputs_of_0_are_no_death(tmp_path: Path) -> None:
    path = tmp_path / "zeros.csv"
    path.write_text("a,b,y\n" + "0,0,0.5\n0,0,1.5\n" * 20)
    text = POSITIVE.format(seed=1, path=path, hidden=4).replace('init = "uniform:0.05"', 'activation = "tanh"')
    reader = train(tmp_path, text, ("data.scaling", "none"))
    assert set(gradients(reader, "linear 1").values()) == {0.0}
    assert reader.keyframe(0, 1).layers[-1].weight_gradient_norm > 0
    assert not deaths(reader)
    assert verdict_changes(reader.history(0)) == ()
    assert verdict_of(reader.keyframe(0, 1).layers).sentence == (
        "all inputs of the mini-batch are 0: the first layer gets no gradient"
    )


def test_a_network_that_fits_exactly_is_not_dead(tmp_path: Path) -> None:
    """Targets of 0, and weights that give 0: the loss is 0, and so is every gradient."""
    path = tmp_path / "fit.csv"
    path.write_text("a,b,y\n" + "".join(f"{n}.5,{-n},0\n" for n in range(30)) + "0.5,1,0.5\n")
    text = POSITIVE.format(seed=1, path=path, hidden=4).replace("uniform:0.05", "zeros")
    reader = train(tmp_path, text, ("data.batch_size", 1), ("data.validation", 0.2), ("record.every", 1))
    frame = reader.keyframe(0, 0)
    assert frame.batch_loss == 0
    assert all(layer.weight_gradient_norm == 0 for layer in frame.layers)
    assert 0 not in [event.step for event in deaths(reader)]
    found = verdict_of(frame.layers)
    assert not found.bad
    assert found.sentence == "the loss has no gradient here: nothing is left to learn from this batch"


def test_a_learning_rate_of_0_kills_no_gradient(tmp_path: Path) -> None:
    assert not deaths(train(tmp_path, MOONS, ("training.lr", 0.0)))


@pytest.mark.parametrize(
    "layers",
    [
        [{"type": "conv", "channels": 3}, {"type": "linear", "units": 6}],
        [{"type": "recurrent", "units": 6, "cell": "elman"}],
        [{"type": "recurrent", "units": 6, "cell": "gru"}],
        [{"type": "recurrent", "units": 6, "cell": "lstm"}],
    ],
    ids=["conv", "elman", "gru", "lstm"],
)
@pytest.mark.parametrize(("init", "dead"), [("zeros", True), ("xavier", False)])
def test_convolutions_and_recurrences(tmp_path: Path, layers: list[dict[str, Any]], init: str, dead: bool) -> None:
    text = DEEP.replace("hidden = [64, 64, 64]", 'activation = "tanh"')
    rows = "none" if layers[0]["type"] == "conv" else "rows"
    reader = train(
        tmp_path, text, ("network.layer", layers), ("network.init", init), ("data.sequence", rows),
        ("data.scaling", "minmax"), ("training.lr", 0.001), ("training.epochs", 2),
    )  # fmt: skip
    first = reader.runs[0].layers[0].name
    norms = gradients(reader, first)
    assert (set(norms.values()) == {0.0}) == dead
    assert [event.step for event in deaths(reader)] == [0] * dead


# --- the rule by itself ---


def layers(norms: list[float], asked: float, *, unfed: tuple[int, ...] = (), off: tuple[int, ...] = ()) -> Any:
    frame = run_view(layers=len(norms) - 1).frame
    assert frame is not None
    made: list[LayerMeasures] = []
    for number, (layer, norm) in enumerate(zip(frame.layers, norms, strict=True)):
        values = replace(layer.input, min=0.0, max=0.0) if number in unfed else replace(layer.input, min=-1.0, max=1.0)
        passed = asked if number == len(norms) - 1 else 0.5
        made.append(
            replace(
                layer, weight_gradient_norm=norm, activation_gradient_norm=passed, input=values,
                dead_fraction=1.0 if number in off else 0.25,
            )
        )  # fmt: skip
    return tuple(made)


@pytest.mark.parametrize(
    ("norms", "asked", "unfed", "named"),
    [
        ([1.0, 1.0, 1.0], 1.0, (), None),
        ([1e-9, 1.0, 1.0], 1.0, (), 0),
        ([1e-9, 1e-9, 1.0], 1.0, (), 1),
        ([1.1e-8, 1.0, 1.0], 1.0, (), None),
        ([0.0, 0.0, 0.0], 1.0, (), 1),  # nothing but the output's bias learns
        ([0.0, 0.0, 0.0], 1.0, (1,), 0),  # the second layer gets zeros: the first one is dead
        ([0.0, 0.0, 0.0], 1.0, (0, 1), None),  # all data are 0
        ([0.0, 0.0, 0.0], 0.0, (), None),  # nothing to learn
        ([0.0, 0.0, 0.0], 1e-35, (), None),  # next to nothing: zeros are rounding
        ([1e-44, 1e-38, 1e-35], 1.0, (), None),  # a ratio of what float32 cannot resolve
        ([0.0, 0.0, 0.0], math.nan, (), None),
        ([0.0, 0.0, 0.0], math.inf, (), None),
        ([math.nan, math.nan, math.nan], 1.0, (), None),
        ([1.0, 1.0, math.inf], 1.0, (), None),
        ([1.0, 1.0, 0.0], 1.0, (), None),
        ([0.0], 1.0, (), None),  # a network of one layer has no way back
    ],
)
def test_the_rule(norms: list[float], asked: float, unfed: tuple[int, ...], named: int | None) -> None:
    made = layers(norms, asked, unfed=unfed)
    found = died(made)
    assert (None if found is None else found.layer) == (None if named is None else made[named].name)


def test_where_no_event_is_recorded_the_key_says_where_vanishing_gradients_are_marked() -> None:
    sound, vanishing = (run_view(vanishing=bad).history for bad in (False, True))
    run = run_view().info
    words = (
        "No NaN, no infinite value and no dead gradient is recorded "
        "(dead: exactly 0, or below 1e−8 of the last layer's)."
    )
    assert troubles.none([sound], [run]) == words
    assert (
        troubles.none([sound, vanishing], [run, run])
        == f"{words} ◇ on the timeline marks where gradients vanish or explode."
    )


def test_looking_at_all_samples_changes_nothing(tmp_path: Path) -> None:
    """Batch normalization would count the passes: the recording is that of a run that is never asked."""
    from bntui.trainer import first_failure

    settings: list[tuple[str, Any]] = [
        ("network.norm", "batch"), ("network.hidden", [2]), ("network.dropout", 0.8), ("data.batch_size", 2),
        ("record.every", 1),
    ]  # fmt: skip
    asked = train(tmp_path, MOONS, *settings)
    zeros = [step for step, norm in gradients(asked, "linear 1").items() if norm == 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_failure, "died", lambda _: None)
        silent = train(tmp_path, MOONS, *settings)
    assert zeros
    assert torch.is_grad_enabled()
    for row in range(len(asked.history(0))):
        assert asked.keyframe(0, row).weights_digest == silent.keyframe(0, row).weights_digest
