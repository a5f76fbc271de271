"""Tests gradient verdicts against explicit computation and a naive loop."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from bntui.insight.verdicts import NAMES, _joined, _Spells, gradient_verdict, verdict_changes, verdict_of
from bntui.keyframe import COLUMN, LAYER_COLUMNS
from bntui.recording.history import RunHistory
from tests.factory import run_view

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("norms", "name", "ratio"),
    [
        ([0.5, 9.0, 1.0], "healthy", 0.5),
        ([1e-3, 1.0], "healthy", 1e-3),
        ([0.999e-3, 1.0], "vanishing", 0.999e-3),
        ([2e-6, 8e-5, 4e-3, 0.1], "vanishing", 2e-5),
        ([1000.0, 1.0], "healthy", 1000.0),
        ([1001.0, 1.0], "exploding", 1001.0),
        ([3.0], "healthy", 1.0),
        ([0.0, 1.0], "vanishing", 0.0),
        ([1.0, 0.0], "exploding", INF),
        ([0.0, 0.0], "vanishing", NAN),
        ([1.0, NAN, 1.0], "not finite", NAN),
        ([1.0, 1.0, INF], "not finite", NAN),
        ([], "unknown", NAN),
    ],
)
def test_verdict(norms: list[float], name: str, ratio: float) -> None:
    verdict = gradient_verdict(norms)
    assert verdict.name == name
    assert verdict.ratio == pytest.approx(ratio, nan_ok=True)
    assert verdict.bad == (name in {"vanishing", "exploding", "not finite"})


def test_sentences_name_the_number_and_the_limit() -> None:
    assert (
        gradient_verdict([2e-6, 0.1]).sentence
        == "the first layer's gradient is 2.0e-05 times the last layer's: vanishing (1e-03)"
    )
    assert gradient_verdict([2e-6, 0.1]).limit == 1e-3
    assert gradient_verdict([1e5, 0.1]).limit == 1e3
    assert gradient_verdict([0.0, 0.0]).sentence == "all gradients are zero: nothing is learned"
    assert gradient_verdict([1.0, INF, NAN]).sentence == "the gradient of layer 2 is infinite"


@pytest.mark.parametrize(
    ("norms", "asked", "inputs", "sentence"),
    [
        (
            [0.5, 1.0],
            NAN,
            NAN,
            "the first layer's gradient is 5.0e-01 times the last layer's: healthy (1e-03 to 1e+03)",
        ),
        ([1e5, 1.0], NAN, NAN, "the first layer's gradient is 1.0e+05 times the last layer's: exploding (1e+03)"),
        ([0.0, 0.0], 0.0, 1.0, "the loss has no gradient here: nothing is left to learn from this batch"),
        ([0.0, 2.0, 0.0], 1.0, 1.0, "the first and last layers' gradients are zero: these layers do not learn"),
        ([0.0, 1.0], 1.0, 0.0, "all inputs of the mini-batch are 0: the first layer gets no gradient"),
        ([], NAN, NAN, "no layer has a gradient"),
        ([1.0, 2.0, NAN], 1.0, 1.0, "the gradient of layer 3 is NaN"),
    ],
)
def test_each_verdict_has_its_sentence(norms: list[float], asked: float, inputs: float, sentence: str) -> None:
    assert gradient_verdict(norms, asked=asked, inputs=inputs).sentence == sentence


@pytest.mark.parametrize(
    ("norms", "updates", "name", "step"),
    [
        ([1.67e16, 2.42e15, 9.46e14], [1.27e12, 1.19e10, 4.26e9], "exploding", 1.27e12),
        ([0.5, 1.0], [0.999, 1e-3], "healthy", NAN),
        ([0.5, 1.0], [1e-3, 1.0], "exploding", 1.0),
        ([1e-9, 1.0], [NAN, 7.0], "exploding", 7.0),  # vanishing by its ratio alone
        ([0.0, 0.0], [3.0, 0.0], "exploding", 3.0),  # momentum goes on
        ([1.0, 2.0], [NAN, NAN], "healthy", NAN),
        ([1.0, 2.0], [1.0, INF], "exploding", INF),
        ([1.0, INF], [1e30, 1e30], "not finite", NAN),
        ([1e5, 1.0], [0.1, 0.1], "exploding", NAN),
    ],
)
def test_steps_as_large_as_the_weights_explode(
    norms: list[float], updates: list[float], name: str, step: float
) -> None:
    verdict = gradient_verdict(norms, updates)
    assert (verdict.name, verdict.step_decides) == (name, not math.isnan(step))
    assert verdict.step == pytest.approx(step, nan_ok=True)


def test_the_sentence_about_a_step_names_its_layer_its_size_and_the_limit() -> None:
    verdict = gradient_verdict([1.0, 1.0], [0.5, 1.27e12])
    assert verdict.sentence == "the step moves the weights of layer 2 by 1.3e+12 times their norm: exploding (1)"
    assert verdict.limit == 1
    assert gradient_verdict([1.0, 1.0], [INF, 1.0]).sentence == "the step of layer 1 is infinite: exploding (1)"


def test_one_keyframe_with_a_huge_step_is_a_change_and_the_timeline_agrees_with_each_keyframe() -> None:
    norms = [[1.0, 1.0]] * 9
    updates = [[NAN, NAN], *[[1e-3, 1e-3]] * 3, [1e-3, 1e16], *[[1e-3, 1e-3]] * 4]
    found = history(norms, [True] * 9, updates)
    assert verdict_changes(found) == ((4.0, "exploding"), (5.0, "healthy"))
    each = [gradient_verdict(*pair).name for pair in zip(norms, updates, strict=True)]
    assert each == ["healthy"] * 4 + ["exploding"] + ["healthy"] * 4


def test_the_verdict_on_a_keyframe_is_that_on_its_layers_figures() -> None:
    frame = run_view().frame
    assert frame is not None
    first, *between, last = frame.layers

    def of(norms: tuple[float, float], asked: float, ends: tuple[float, float]) -> str:
        fed = replace(first, weight_gradient_norm=norms[0], input=replace(first.input, min=ends[0], max=ends[1]))
        asks = replace(last, weight_gradient_norm=norms[1], activation_gradient_norm=asked)
        silent = [replace(layer, weight_gradient_norm=0.0) for layer in between]
        return verdict_of((fed, *silent, asks)).name

    assert of((1e-4, 1.0), 1.0, (0.0, 1.0)) == "vanishing"
    assert of((1.0, 1e-4), 1.0, (0.0, 1.0)) == "exploding"
    leaps = (replace(first, update_ratio=2.0), *between, last)
    assert verdict_of(leaps).sentence.startswith("the step moves the weights of layer linear 1 by 2.0e+00 times")
    assert of((0.0, 1.0), 1.0, (0.0, 0.0)) == "unknown"
    assert of((0.0, 1.0), 1.0, (-1.0, 0.0)) == "vanishing"
    assert of((0.0, 1.0), 1.0, (0.0, 1.0)) == "vanishing"
    assert of((0.0, 0.0), 0.0, (0.0, 1.0)) == "healthy"
    assert of((0.0, 0.0), 1.0, (0.0, 1.0)) == "vanishing"
    assert verdict_of(()).name == "unknown"


def history(norms: list[list[float]], frames: list[bool], updates: list[list[float]] | None = None) -> RunHistory:
    """A history with these gradient norms and update-to-weight ratios, and no other figure per layer."""
    blank = run_view(keyframes=len(norms)).history
    layers = np.full((len(norms), len(norms[0]), len(LAYER_COLUMNS)), np.nan)
    layers[:, :, COLUMN["weight_gradient_norm"]] = norms
    if updates is not None:
        layers[:, :, COLUMN["update_ratio"]] = updates
    return replace(blank, layers=layers, has_frame=np.array(frames))


def naive(norms: list[list[float]], frames: list[bool], updates: list[list[float]]) -> list[tuple[float, str]]:
    """Keyframe by keyframe: a verdict counts once it was seen four times in a row, from the first of them on.

    One that is not finite, or with a step as large as the weights among those that follow it, counts at once.
    """
    names = []
    huge = []
    for epoch, (row, frame, steps) in enumerate(zip(norms, frames, updates, strict=True)):
        if not frame:
            continue
        if not all(math.isfinite(x) for x in row):
            name = "not finite"
        elif max(steps) >= 1:
            name = "exploding"
        elif row[-1] == 0:
            name = "vanishing" if row[0] == 0 else "exploding"
        else:
            ratio = row[0] / row[-1]
            name = "vanishing" if ratio < 1e-3 else "exploding" if ratio > 1e3 else "healthy"
        names.append((float(epoch), name))
        huge.append(name == "exploding" and max(steps) >= 1)
    changes: list[tuple[float, str]] = [] if names[0][1] == "healthy" else [names[0]]
    holding = names[0][1]
    for at, (place, name) in enumerate(names):
        begins = at == 0 or names[at - 1][1] != name
        following = [other for _, other in names[at : at + 4]]
        lasts = len(set(following)) == 1  # four times, or as often as there are keyframes left
        end = next((later for later in range(at, len(names)) if names[later][1] != name), len(names))
        lasts = lasts or any(huge[at:end])
        if begins and name != holding and (lasts or name == "not finite"):
            changes.append((place, name))
            holding = name
    return changes


def test_changes_are_those_of_a_naive_loop() -> None:
    draw = np.random.default_rng(4)
    norms = draw.choice([0.0, 1e-6, 1e-2, 1.0, 1e4, NAN, INF], (120, 3), p=[0.1, 0.2, 0.2, 0.3, 0.1, 0.05, 0.05])
    norms = np.repeat(norms, draw.integers(1, 9, 120), axis=0)
    frames = (draw.random(len(norms)) < 0.8).tolist()
    updates = draw.choice([1e-3, 0.5, 1.5, 1e20], norms.shape, p=[0.5, 0.45, 0.03, 0.02])
    expected = naive(norms.tolist(), frames, updates.tolist())
    assert {name for _epoch, name in expected} == set(NAMES) - {"unknown"}
    assert verdict_changes(history(norms.tolist(), frames, updates.tolist())) == tuple(expected)


def test_a_ratio_that_wavers_around_its_limit_is_one_change_not_many() -> None:
    wavering = [1e-4, 1e-2, 1e-4, 1e-2, 1e-2, 1e-4]
    norms = [[ratio, 1.0] for ratio in [1e-2] * 5 + wavering + [1e-4] * 4 + [1e-2]]
    frames = [True] * len(norms)
    # from the wavering's last keyframe on it vanishes; the newest verdict, which may last, is told
    assert verdict_changes(history(norms, frames)) == ((10.0, "vanishing"), (15.0, "healthy"))
    once = [[1.0, 1.0]] * 3 + [[NAN, 1.0]] + [[1.0, 1.0]] * 9
    assert verdict_changes(history(once, [True] * 13)) == ((3.0, "not finite"), (4.0, "healthy"))


def test_no_change_without_two_frames() -> None:
    assert verdict_changes(run_view(keyframes=0).history) == ()
    assert verdict_changes(run_view(keyframes=1).history) == ()
    assert verdict_changes(run_view().history) == ()


def test_a_network_without_layers_has_no_verdicts() -> None:
    some = history([[1e-4, 1.0]] * 5, [True] * 5)
    assert verdict_changes(replace(some, layers=some.layers[:, :0])) == ()


def test_gradients_that_vanish_from_the_start_are_told_at_the_first_keyframe() -> None:
    assert verdict_changes(run_view(vanishing=True).history) == ((0.0, "vanishing"),)
    norms = [[NAN, 1.0]] + [[1.0, 1.0]] * 5
    assert verdict_changes(history(norms, [True] * 6)) == ((0.0, "not finite"), (1.0, "healthy"))


@pytest.mark.parametrize(
    ("norms", "asked", "inputs", "name"),
    [
        ([0.0, 0.0], 1.0, 1.0, "vanishing"),
        ([0.0, 0.0], 0.0, 1.0, "healthy"),  # a loss without a gradient asks for none
        ([0.0, 1.0], 0.0, 1.0, "vanishing"),
        ([0.0, 1.0], 1.0, 0.0, "unknown"),  # the first weight's gradient is 0, since its inputs are
        ([1.0, 1.0], 1.0, 0.0, "healthy"),
        ([0.0, NAN], 0.0, 0.0, "not finite"),
        ([0.0, 0.0], NAN, NAN, "vanishing"),
    ],
)
def test_zeros_count_only_where_they_mean_something(norms: list[float], asked: float, inputs: float, name: str) -> None:
    assert gradient_verdict(norms, asked=asked, inputs=inputs).name == name


def test_ten_thousand_keyframes_are_quick() -> None:
    small = run_view(keyframes=2).history
    many = replace(
        small,
        layers=np.repeat(small.layers, 5000, axis=0),
        has_frame=np.ones(10_000, bool),
        epoch=np.arange(10_000, dtype=float),
    )
    fastest = math.inf
    for _ in range(3):
        began = time.process_time()
        verdict_changes(many)
        fastest = min(fastest, time.process_time() - began)
    assert fastest < 0.02


def test_a_spell_that_goes_on_counts_if_a_part_of_it_does() -> None:
    def spells(starts: list[int], codes: list[int], alone: list[bool], keyframes: int) -> _Spells:
        return _Spells(np.array(starts), np.array(codes, np.int8), np.array(alone), keyframes)

    one = spells([0, 2], [1, 3], [False, True], 3)
    goes_on = _joined(one, spells([0, 2], [3, 1], [False, False], 4))
    assert [column.tolist() for column in goes_on[:3]] == [[0, 2, 5], [1, 3, 1], [False, True, False]]
    changes = _joined(one, spells([0, 2], [2, 3], [False, False], 4))
    assert [column.tolist() for column in changes[:3]] == [[0, 2, 3, 5], [1, 3, 2, 3], [False, True, False, False]]
    assert goes_on.keyframes == changes.keyframes == 7
