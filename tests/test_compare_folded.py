"""Tests the comparison of networks with many layers: folded into blocks, and from the largest difference on."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import bntui
from bntui.keyframe import LayerMeasures
from bntui.recording.reader import Reader
from bntui.text import language
from bntui.viewer import layer_choice, worst
from bntui.viewer.app import LabApp
from bntui.viewer.compared import bits, farthest, of_layers, sections
from bntui.viewer.draw.rows import text, width
from bntui.viewer.panels import BY_NAME, compare
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.view import RunView, View
from bntui.viewer.view_state import ViewState
from tests.factory import run_view, view
from tests.test_layer_choice import renamed, with_layers

NAMES = ("stem", "body.0.fc1", "body.0.fc2", "body.1.fc1", "body.1.fc2")
BLOCKS = {"stem": ("stem",), "body.0": ("body.0.fc1", "body.0.fc2"), "body.1": ("body.1.fc1", "body.1.fc2")}
ONE = renamed(run_view(layers=4, dropout=0.2), *NAMES)
AGAIN = replace(ONE, info=replace(ONE.info, index=1, name="again"))
SIZES = ("weight_norm", "weight_gradient_norm", "activation_gradient_norm", "update_ratio")
SHARES = ("dead_fraction", "saturated_fraction")
WORDS = {
    "weight_norm": "weight norm", "weight_gradient_norm": "|∂L/∂W|", "activation_gradient_norm": "|∂L/∂a|",
    "update_ratio": "update/weight", "dead_fraction": "dead", "saturated_fraction": "saturated", "input": "input",
    "pre_norm": "before norm", "normalized": "after norm", "output": "after activation",
}  # fmt: skip


def distances(one: LayerMeasures, other: LayerMeasures) -> dict[str, float]:
    """How far every figure of a layer is from the other, by the definitions in the lesson."""
    found = {}
    for field in (*SIZES, *SHARES):
        pair = np.array([getattr(one, field), getattr(other, field)])
        if np.isfinite(pair).all():
            scale = 1.0 if field in SHARES else np.abs(pair).max()
            found[WORDS[field]] = float(np.abs(np.diff(pair))[0] / scale) if scale else 0.0
    if one.dropout is not None and other.dropout is not None:
        found["kept"] = abs(one.dropout.kept_fraction - other.dropout.kept_fraction)
    for field in ("input", "pre_norm", "normalized", "output"):
        both = getattr(one, field), getattr(other, field)
        if None not in both:
            means, stds = np.array([values.mean for values in both]), np.array([values.std for values in both])
            found[f"μ {WORDS[field]}"] = float(np.abs(np.diff(means))[0] / stds.max())
            found[f"σ {WORDS[field]}"] = float(np.abs(np.diff(stds))[0] / stds.max())
    return found


def layers_of(run: RunView) -> dict[str, LayerMeasures]:
    assert run.frame is not None
    return {layer.name: layer for layer in run.frame.layers}


def shown(picture: View, cells: int = 100, lines: int = 60, past: int = 0) -> list[str]:
    drawing = compare.draw(replace(picture, past=past), cells, lines)
    assert {width(row) for row in drawing.rows} == {cells}
    return [text(row) for row in drawing.rows]


CHANGES = st.lists(
    st.fixed_dictionaries({
        "weight_norm": st.floats(0.1, 20), "weight_gradient_norm": st.floats(1e-6, 2), "update_ratio": st.floats(0, 1),
        "saturated_fraction": st.floats(0, 1),
    }),
    min_size=5, max_size=5,
)  # fmt: skip


@given(CHANGES)
def test_the_row_of_a_block_is_its_largest_difference(changes: list[dict[str, float]]) -> None:
    other = with_layers(AGAIN, *changes)
    mine, theirs = layers_of(ONE), layers_of(other)
    lines = shown(replace(view(ONE, other), folded=True))
    for own in BLOCKS.values():
        far = {(name, what): apart for name in own for what, apart in distances(mine[name], theirs[name]).items()}
        row = next(line.strip() for line in lines if re.match(rf"  ({'|'.join(own)}) ", line))
        told = next(key for key in far if re.match(rf"{key[0]} +{re.escape(key[1])} ", row))
        assert far[told] == max(far.values())
    rows = [line for line in lines if re.match(r"[❯ ] (stem|body)", line)]
    assert len(rows) == len(BLOCKS)


@given(CHANGES)
def test_the_worst_layer_is_the_one_with_the_largest_difference(changes: list[dict[str, float]]) -> None:
    other = with_layers(AGAIN, *changes)
    mine, theirs = layers_of(ONE), layers_of(other)
    far = {name: max(distances(mine[name], theirs[name]).values()) for name in NAMES}
    found = worst.worst(ONE, "differences", other)
    assert found == sorted((name for name in NAMES if far[name]), key=lambda name: -far[name])
    assert worst.worst(other, "differences", ONE) == found
    state, _ = layer_choice.to_worst(ViewState(), view(ONE, other), BY_NAME["compare"])
    assert state.layer == (found[0] if found else "")
    if found:
        said = worst.verdict(replace(view(ONE, other), layer=state.layer, criterion=state.criterion))
        assert said[0].startswith(f"1 of {len(found)}, ")


def test_the_sentence_says_both_figures_and_whose_they_are() -> None:
    other = with_layers(AGAIN, *({"weight_gradient_norm": norm} for norm in (0.1, 0.1, 0.1, 1e-7, 0.1)))
    one = with_layers(ONE, *({"weight_gradient_norm": 0.1} for _ in NAMES))
    assert worst.why(one, "differences", "body.1.fc1", other) == (
        "|∂L/∂W| is 0.1000 in ● plain and 1.00e−7 in ▲ again",
        "|∂L/∂W| is 0.1000 in ● and 1.00e−7 in ▲",
    )


def test_a_value_that_is_finite_in_one_run_only_is_the_largest_difference() -> None:
    other = with_layers(AGAIN, {}, {"weight_norm": math.nan}, {"weight_norm": 1e9}, {}, {})
    assert worst.worst(ONE, "differences", other) == ["body.0.fc1", "body.0.fc2"]
    assert "body.0.fc1" in "\n".join(shown(replace(view(ONE, other), folded=True)))


def test_equal_runs_have_no_worst_layer_and_say_that_blocks_are_equal() -> None:
    picture = view(ONE, AGAIN)
    state, sentence = layer_choice.to_worst(ViewState(), picture, BY_NAME["compare"])
    assert state == ViewState()
    assert sentence
    rows = [line for line in shown(replace(picture, folded=True)) if line.startswith("  ")]
    assert len([row for row in rows if " = " in f"{row} "]) == len(BLOCKS)


def test_without_a_second_run_no_layer_is_judged() -> None:
    assert worst.worst(ONE, "differences") == []
    assert worst.worst(ONE, "differences", run_view(1, keyframes=0)) == []
    state, _sentence = layer_choice.to_worst(ViewState(), view(ONE), BY_NAME["compare"])
    assert state == ViewState()


def test_the_event_of_trouble_of_a_run_does_not_come_before_what_differs() -> None:
    """Both runs may have gone wrong at the same place, where they do not differ."""
    from bntui.recording.history import Event

    bad = Event(0, 5, 5.0, "first_bad", "first NaN", {"layer": "stem", "quantity": "weight_gradient"})
    other = with_layers(AGAIN, {}, {}, {"weight_norm": 3.0}, {}, {})
    assert worst.worst(replace(ONE, events=(bad,)), "differences", other) == ["body.0.fc2"]


def test_a_layer_of_one_network_alone_has_a_row_and_is_not_judged() -> None:
    deeper = renamed(run_view(1, "deeper", layers=5, dropout=0.2), *NAMES, "extra.fc")
    lines = shown(replace(view(ONE, deeper), folded=True))
    row = next(line for line in lines if line.startswith("  extra.fc"))
    assert "—" in row
    assert "extra.fc" not in worst.worst(deeper, "differences", ONE)


DEEP = tuple(f"block{n}.{part}" for n in range(40) for part in ("conv1", "conv2", "conv3"))


def deep_pair() -> tuple[RunView, RunView]:
    one = renamed(run_view(layers=len(DEEP) - 1, keyframes=2), *DEEP)
    changes: list[dict[str, Any]] = [{"weight_norm": 1.0 + at} for at in range(len(DEEP))]
    return one, with_layers(replace(one, info=replace(one.info, index=1, name="other")), *changes)


@pytest.mark.parametrize("cells", [40, 57, 78, 118, 158])
@pytest.mark.parametrize("folded", [False, True])
def test_the_chosen_layer_is_shown_first_and_marked(cells: int, folded: bool) -> None:
    picture = view(*deep_pair())
    for layer in (DEEP[1], DEEP[70], DEEP[-1]):
        lines = shown(replace(picture, folded=folded, layer=layer), cells, 20)
        marked = [line for line in lines if "❯" in line]
        assert len(marked) == 1
        number, part = layer.removeprefix("block").split(".")
        assert re.search(rf"❯ (block|bloc?|bl?|…)?{number}(\.|…){part}", marked[0])
        first = next(at for at, line in enumerate(lines) if "●" in line and "▲" in line and "epoch" not in line)
        assert lines[first + 1] == marked[0]


def test_walking_a_folded_comparison_reaches_every_block() -> None:
    picture = replace(view(*deep_pair()), folded=True)
    one, other = (run.frame for run in picture.shown)
    assert one is not None
    assert other is not None
    of_run = len(sections(one, other, "classification")[0].figures)
    seen: set[str] = set()
    for past in range(41):
        lines = shown(picture, 78, 20, past)
        seen |= set(re.findall(r"block\d+", "\n".join(lines)))
        told = re.search(r"… +(\d+) more", lines[-1])
        assert told
        rows = sum(bool(line.strip()) for line in lines[4:-1])
        assert rows + int(told[1]) == 40 + of_run
    assert seen == {f"block{n}" for n in range(40)}


def test_figures_are_paired_once_for_the_same_keyframes_and_again_in_another_language() -> None:
    one, other = ONE.frame, with_layers(AGAIN, {}, {"weight_norm": 3.0}, {}, {}, {}).frame
    assert one is not None
    assert other is not None
    first = of_layers(one, other)
    assert of_layers(one, other) is first
    assert of_layers(one, replace(other)) is not first
    assert farthest(one, other) is farthest(one, other)
    assert farthest(one, replace(other, layers=one.layers)) is not farthest(one, other)
    assert bits(one, other).differ == 1
    assert bits(one, replace(other, layers=one.layers)).differ == 0
    try:
        language.use("ko")
        assert of_layers(one, other)[0].figures[0].name != first[0].figures[0].name
    finally:
        language.use("en")


def test_the_farthest_figure_of_a_layer_is_the_one_that_differs_most() -> None:
    one, other = ONE.frame, with_layers(AGAIN, {}, {"weight_norm": 3.0, "update_ratio": 1e-9}, {}, {}, {}).frame
    assert one is not None
    assert other is not None
    mine = one.layers[1]
    shares = {
        "weight_norm": abs(mine.weight_norm - 3.0) / max(mine.weight_norm, 3.0),
        "update_ratio": abs(mine.update_ratio - 1e-9) / max(mine.update_ratio, 1e-9),
    }
    found = farthest(one, other)
    assert list(found) == [layer.name for layer in one.layers]
    assert found[mine.name].figure.field == max(shares, key=lambda name: shares[name])
    assert found[mine.name].apart == pytest.approx(max(shares.values()))
    assert all(found[layer.name].apart == 0 for layer in one.layers if layer is not mine)


class _Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 6)) for _ in range(50)
        )
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block(x)
        head: torch.Tensor = self.head(x)
        return head


def recorded(seed: int, path: Path) -> Path:
    """A network of 101 layers, watched for some steps."""
    torch.manual_seed(seed)
    model = _Deep()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with bntui.watch(model, optimizer, path, every=1, steps_per_epoch=2, quiet=True) as recorder:
        for _ in range(2):
            loss = nn.functional.cross_entropy(model(torch.randn(12, 6)), torch.arange(12) % 3)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            recorder.step(loss=loss.detach())
    return path


def test_two_watched_networks_of_a_hundred_layers_are_compared_with_the_keys_of_the_other_panels(
    tmp_path: Path,
) -> None:
    files = [recorded(seed, tmp_path / f"{seed}.bntui") for seed in (1, 2)]
    layers = []
    for file in files:
        reader = Reader(file)
        layers.append({layer.name: layer for layer in reader.keyframe(0, len(reader.history(0)) - 1).layers})
        reader.close()
    far = {name: max(distances(layer, layers[1][name]).values()) for name, layer in layers[0].items()}
    farthest = sorted(far, key=lambda name: -far[name])
    assert len(far) >= 101

    async def pressed() -> None:
        app = LabApp(files, theme="dark")
        async with app.run_test(size=(160, 48)) as pilot:
            await pilot.press("c", "enter")
            screen = app.screen
            assert isinstance(screen, LabScreen)

            def rows() -> str:
                assert screen.view is not None
                return "\n".join(text(row) for row in compare.draw(screen.view, 158, 42).rows)

            await pilot.press("o")
            assert len(re.findall(r"  (blocks\.\d+\.\d|head)", rows())) == 51
            await pilot.press("w")
            assert screen.view_state.layer == farthest[0]
            assert f"❯ {farthest[0]}" in rows()
            await pilot.press("w")
            assert screen.view_state.layer == farthest[1]
            await pilot.press("o")
            assert f"❯ {farthest[1]}" in rows()
            order = list(far)
            await pilot.press("right_square_bracket")
            assert screen.view_state.layer == (order[order.index(farthest[1]) + 1 :] or [""])[0]
            await pilot.press("escape")
            assert screen.view_state.layer == ""

    asyncio.run(pressed())
