"""Tests how layers fold into blocks, how one is chosen, and which is the worst in each panel."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.recording.history import Event
from bntui.viewer import layer_choice, worst
from bntui.viewer.blocks import block_of, blocks, foldable, one_of_each
from bntui.viewer.draw.rows import text, width
from bntui.viewer.panels import BY_NAME, PANELS
from bntui.viewer.parts import ScreenContent, rows
from bntui.viewer.view import RunView, View
from bntui.viewer.view_state import ViewState
from bntui.viewer.worst import CriterionName
from tests.factory import run_view, view

JUDGING = [panel for panel in PANELS if panel.worst]
NAMES = st.lists(
    st.lists(st.sampled_from(["a", "b", "layer1", "0", "3", "fc"]), min_size=1, max_size=4).map(".".join),
    min_size=1, max_size=15, unique=True,
)  # fmt: skip


def renamed(run: RunView, *names: str) -> RunView:
    """The run with other names of its layers."""
    assert run.frame is not None
    infos = tuple(replace(info, name=name) for info, name in zip(run.info.layers, names, strict=True))
    measured = tuple(replace(layer, name=name) for layer, name in zip(run.frame.layers, names, strict=True))
    return replace(run, info=replace(run.info, layers=infos), frame=replace(run.frame, layers=measured))


def with_layers(run: RunView, *changes: dict[str, float]) -> RunView:
    """The run with other figures of its layers at the cursor."""
    assert run.frame is not None
    changed = [replace(layer, **change) for layer, change in zip(run.frame.layers, changes, strict=True)]  # type: ignore[arg-type]
    return replace(run, frame=replace(run.frame, layers=tuple(changed)))


BLOCKY = renamed(
    run_view(layers=4, dropout=0.2, drift=True), "stem", "body.0.fc1", "body.0.fc2", "body.1.fc1", "body.1.fc2"
)
PICTURE = view(BLOCKY)


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("fc", "fc"), ("12", "12"), ("layer1.0.conv1", "layer1.0"), ("layer1.0.downsample.0", "layer1.0"),
        ("encoder.layers.3.self_attn.out_proj", "encoder.layers.3"), ("head.fc", "head"), ("features.7", "features"),
        ("encoder.layers.encoder_layer_11.mlp.0", "encoder.layers.encoder_layer_11"),
        ("features.denseblock1.denselayer2.conv1", "features.denseblock1.denselayer2"),
    ],
)  # fmt: skip
def test_the_block_of_a_layer(name: str, block: str) -> None:
    assert block_of(name) == block


@given(NAMES)
def test_every_layer_is_in_one_block_and_blocks_keep_the_order(names: list[str]) -> None:
    found = blocks(tuple(names))
    assert sorted(name for own in found.values() for name in own) == sorted(names)
    firsts = [names.index(own[0]) for own in found.values()]
    assert firsts == sorted(firsts)
    assert foldable(names) == any(len(own) > 1 for own in found.values())
    for block, own in found.items():
        assert list(own) == sorted(own, key=names.index)
        assert all(name.startswith(block) for name in own)


@given(NAMES, st.data())
def test_of_each_block_the_chosen_layer_has_the_row_else_its_worst(names: list[str], data: st.DataObject) -> None:
    order = data.draw(st.permutations(names))
    chosen = data.draw(st.sampled_from(["", *names]))
    kept = one_of_each(names, order, chosen)
    for own, name in zip(blocks(tuple(names)).values(), kept, strict=True):
        assert name == (chosen if chosen in own else min(own, key=order.index))


@pytest.mark.parametrize(
    ("layer", "by", "expected"),
    [("a", 1, "b"), ("b", -1, "a"), ("c", 1, ""), ("a", -1, ""), ("", 1, "a"), ("", -1, "c"), ("gone", 1, "a"),
     ("a", 5, "b")],
)  # fmt: skip
def test_a_choice_walks_through_the_layers_and_none(layer: str, by: int, expected: str) -> None:
    assert layer_choice.step(ViewState(layer=layer), ["a", "b", "c"], by) == ViewState(layer=expected)


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True), st.integers(-9, 9))
def test_walking_there_and_back_is_the_same(names: list[str], by: int) -> None:
    for layer in ["", *names]:
        state = ViewState(layer=layer, walked={"layers": 3})
        assert layer_choice.step(layer_choice.step(state, names, by), names, -by) == state


def test_folding_keeps_the_choice_and_says_why_it_does_nothing() -> None:
    state = ViewState(layer="body.0.fc2")
    folded, sentence = layer_choice.fold(state, PICTURE)
    assert (folded, sentence) == (replace(state, folded=True), "")
    assert layer_choice.fold(folded, PICTURE) == (state, "")
    same, sentence = layer_choice.fold(state, view(run_view()))
    assert same == state
    assert "encoder.3.fc1" in sentence
    assert layer_choice.fold(folded, view(run_view())) == (state, "")


@pytest.mark.parametrize(
    ("focused", "there", "expected"),
    [("gradients", ("curves", "layers"), "gradients"), ("curves", ("curves", "drift", "layers"), "drift"),
     ("data", ("data",), "layers"), ("timeline", (), "layers")],
)  # fmt: skip
def test_the_panel_that_judges(focused: str, there: tuple[str, ...], expected: str) -> None:
    assert layer_choice.judging(focused, there).name == expected


ONE: dict[CriterionName, tuple[RunView, list[str], str]] = {
    "gradients": (
        with_layers(run_view(layers=4), *({"weight_gradient_norm": norm} for norm in (1e-2, 2e-2, 1e-7, 0.0, 1e-2))),
        ["linear 4", "linear 3", "linear 2"],
        "the gradient is exactly 0",
    ),
    "values": (
        with_layers(
            run_view(layers=4),
            *({"saturated_fraction": share} for share in (0.1, 0.75, 0.2, math.nan, math.nan)),
        ),
        ["linear 2", "linear 3", "linear 1"],
        "75.0 % of the values are saturated",
    ),
}


@pytest.mark.parametrize("criterion", ONE)
def test_the_worst_come_first_and_say_why(criterion: CriterionName) -> None:
    run, expected, sentence = ONE[criterion]
    assert worst.worst(run, criterion)[: len(expected)] == expected
    assert worst.why(run, criterion, expected[0]) == (sentence,)


def test_masks_and_moves_are_sorted_by_the_figures_that_panels_show() -> None:
    run = run_view(layers=4, dropout=0.2, drift=True)
    assert run.frame is not None
    masks = {layer.name: layer.dropout for layer in run.frame.layers if layer.dropout is not None}
    off = [abs(masks[name].kept_fraction - 0.8) for name in worst.worst(run, "masks")]
    assert off == sorted(off, reverse=True)
    assert len(off) == 4
    shown = [text(row) for row in BY_NAME["drift"].draw(view(run), 100, 60).rows]
    figures = {line.split("  ")[0]: float(line.split("×")[1]) for line in shown if "×0" in line or "×1" in line}
    moves = [figures[name] for name in worst.worst(run, "moves") if name in figures]
    assert moves == sorted(moves, reverse=True)
    assert len(moves) == 5


def test_every_name_keeps_to_its_column_in_folded_drift() -> None:
    """Where the layer that moves most has no activation, another one of its block is drawn if room is short."""
    names = [f"bert.encoder.layer.{at // 2}.{('attention.output', 'intermediate.dense')[at % 2]}" for at in range(10)]
    run = renamed(run_view(layers=9, drift=True), *names)
    order = worst.worst(run, "moves")
    most = {block_of(name): name for name in reversed(order)}.values()
    silent = tuple(replace(info, activation="none" if info.name in most else "tanh") for info in run.info.layers)
    run = replace(run, info=replace(run.info, layers=silent))
    drawn = [text(row) for row in BY_NAME["drift"].draw(replace(view(run), folded=True), 62, 20).rows]
    axes = [line.index("┤") for line in drawn if "┤" in line]
    assert len(axes) > 6
    assert len(set(axes)) == 1, "\n".join(drawn)


def test_a_layer_that_went_wrong_comes_before_all_others() -> None:
    run = ONE["gradients"][0]
    bad = Event(0, 5, 5.0, "first_bad", "first NaN", {"layer": "output", "quantity": "weight_gradient"})
    later = replace(bad, step=9, arguments={"layer": "linear 1", "quantity": "weight_gradient"})
    wrong = replace(run, events=(later, bad))
    found = worst.worst(wrong, "gradients")
    assert found[:3] == ["output", "linear 1", "linear 4"]
    assert sorted(found) == sorted(info.name for info in run.info.layers)
    assert worst.why(wrong, "gradients", "output") == (bad.text, "first bad value at step 5")


def test_each_press_goes_to_the_next_worst_and_around() -> None:
    run = ONE["gradients"][0]
    state, seen = ViewState(), []
    for number in range(1, 6):
        state, sentence = layer_choice.to_worst(state, view(run), BY_NAME["gradients"])
        assert sentence == ""
        assert worst.verdict(looking(run, state))[0].startswith(f"{number} of 5, worst first: ")
        seen.append(state.layer)
    assert seen == worst.worst(run, "gradients")
    assert layer_choice.to_worst(state, view(run), BY_NAME["gradients"])[0].layer == seen[0]


def looking(run: RunView, state: ViewState) -> View:
    return replace(view(run), layer=state.layer, criterion=state.criterion)


def test_the_reason_ends_with_the_choice_and_follows_the_cursor() -> None:
    run = ONE["gradients"][0]
    state, _ = layer_choice.to_worst(ViewState(), view(run), BY_NAME["gradients"])
    assert worst.verdict(looking(run, state))[-1] == "the gradient is exactly 0"
    later = with_layers(run, *({"weight_gradient_norm": norm} for norm in (1.0, 1.0, 1.0, 4.0, 8.0)))
    assert worst.verdict(looking(later, state)) == (
        "2 of 5, worst first: |∂L/∂W| 4.00, 4.00 × the median of the layers",
        "2 of 5, worst first: |∂L/∂W| 4.00 × the median",
        "|∂L/∂W| 4.00, 4.00 × the median of the layers",
        "|∂L/∂W| 4.00 × the median",
    )
    assert worst.verdict(looking(replace(run, frame=None), state)) == ()
    assert worst.verdict(looking(run_view(layers=1), state)) == ()
    for other in (layer_choice.choose(state, ""), layer_choice.step(state, ["linear 4", "output"], 1)):
        assert worst.verdict(looking(run, other)) == ()


def test_a_guided_tour_stands_where_the_reason_does_so_a_notice_says_it() -> None:
    run = ONE["gradients"][0]
    state, sentence = layer_choice.to_worst(ViewState(tour=0), view(run), BY_NAME["gradients"])
    assert sentence == "linear 4: 1 of 5, worst first: the gradient is exactly 0"
    assert state.layer == "linear 4"


def test_without_a_keyframe_there_is_no_worst_layer() -> None:
    state = ViewState()
    for panel in JUDGING:
        same, sentence = layer_choice.to_worst(state, view(run_view(keyframes=0)), panel)
        assert same == state
        assert sentence


def drawn(picture: View, panel: str, size: tuple[int, int]) -> list[str]:
    state = ViewState(focused=panel, folded=picture.folded, layer=picture.layer)
    shown = ScreenContent(picture, state, {}, ("", "text"), live=False, running=False, several=True, from_gallery=False)
    lines = rows(panel, shown, *size)
    assert [width(line) for line in lines] == [size[0]] * size[1]
    return [text(line) for line in lines]


DEEP = run_view(layers=199, keyframes=3, dropout=0.2)


def shown_in(panel: str, run: RunView) -> View:
    """A run as a panel shows it: a comparison needs two."""
    return view(run, replace(run, info=replace(run.info, index=1))) if panel == "compare" else view(run)


@pytest.mark.parametrize("panel", JUDGING, ids=lambda panel: panel.name)
@pytest.mark.parametrize("size", [(50, 12), (80, 21), (118, 40)])
def test_the_chosen_layer_is_on_the_screen_and_what_is_not_is_counted(panel: object, size: tuple[int, int]) -> None:
    name = panel.name  # type: ignore[attr-defined]
    for layer in ("linear 1", "linear 77", "linear 199"):
        lines = drawn(replace(shown_in(name, DEEP), layer=layer), name, size)
        short = layer.replace("linear ", "lin")
        assert re.search(rf"\b({layer}|{short})\b", "\n".join(lines)), lines
        assert any(re.search(r"… +\d+ more", line) for line in lines)


@pytest.mark.parametrize("panel", JUDGING, ids=lambda panel: panel.name)
def test_a_folded_panel_has_one_row_a_block_and_says_what_it_shows(panel: object) -> None:
    name = panel.name  # type: ignore[attr-defined]
    lines = drawn(replace(shown_in(name, BLOCKY), folded=True), name, (118, 40))
    assert "block" in lines[0]
    body = "\n".join(lines[1:])
    named = set(re.findall(r"[\w.]+", body))
    assert any(not {f"{block}.fc1", f"{block}.fc2"} <= named for block in ("body.0", "body.1"))
    assert "body.0" in body
    assert "body.1" in body


def test_the_row_of_a_block_shows_its_smallest_and_its_largest_gradient() -> None:
    norms = (1e-2, 3e-2, 5e-3, 4e-5, 2e-1)
    run = with_layers(BLOCKY, *({"weight_gradient_norm": norm} for norm in norms))
    lines = drawn(replace(view(run), folded=True), "gradients", (80, 12))
    found = {line.split()[1]: line.split()[-2:] for line in lines if line.startswith("│●")}
    ends = {name: [ends[0], ends[1].rstrip("│")] for name, ends in found.items()}
    assert ends == {"stem": ["0.0100", "0.0100"], "body.0": ["0.00500", "0.0300"], "body.1": ["4.0e−5", "0.200"]}
