"""Tests the microscope's figures against NumPy and PyTorch for every normalization."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bntui.keyframe import IntArray
from bntui.recording.evidence import Evidence
from bntui.recording.history import LayerInfo
from bntui.recording.reader import Reader
from bntui.viewer.microscope.courses import MOST, courses
from bntui.viewer.microscope.specimen import Slide, normalized_layers, slide
from bntui.viewer.microscope.words import FEW, verdicts
from bntui.viewer.snapshot import Source
from tests.test_session import train

IMAGES = """
title = "Kinds of normalization"
seed = 3
[data]
source = "digits"
samples = 200
scaling = "minmax"
batch_size = 24
[[network.layer]]
type = "conv"
channels = 6
pool = 2
[[network.layer]]
type = "linear"
units = 12
[network]
activation = "relu"
groups = 3
[training]
lr = 0.2
epochs = 2
[[run]]
name = "batch"
set = { network.norm = "batch", network.norm_eps = 0.001 }
[[run]]
name = "layer"
set = { network.norm = "layer" }
[[run]]
name = "group"
set = { network.norm = "group" }
[[run]]
name = "after"
set = { network.norm = "batch", network.norm_position = "after_activation" }
"""
SEQUENCES = """
title = "Recurrent networks"
seed = 3
[data]
source = "digits"
samples = 120
scaling = "minmax"
batch_size = 24
sequence = "rows"
[[network.layer]]
type = "recurrent"
units = 5
cell = "gru"
[training]
lr = 0.2
epochs = 2
[[run]]
name = "input"
set = { network.norm = "batch" }
[[run]]
name = "step"
set = { network.norm = "batch", network.norm_recurrent = "step", network.norm_gamma = 0.1 }
[[run]]
name = "layer"
set = { network.norm = "layer" }
"""

Wide = NDArray[np.float64]


@dataclass
class Case:
    """A normalization of a recording, with what entered it, and what PyTorch makes of that."""

    slide: Slide
    info: LayerInfo
    x: Wide
    recorded: Wide
    """What the step that was really taken gave."""
    trained: Wide
    evaluated: Wide
    per_step: bool

    def sets(self) -> Iterator[tuple[int, int, tuple[Any, ...]]]:
        """Time step, number and index of each set, written down once more."""
        batch, features = len(self.x), self.x.shape[-1 if self.info.kind == "recurrent" else 1]
        for sample in range(batch if self.info.norm != "batch" else 0):
            if self.info.kind == "recurrent":
                yield from ((t, sample, (sample, t)) for t in range(self.x.shape[1]))
            elif self.info.norm == "layer":
                yield 0, sample, (sample,)
            else:
                size = features // self.info.groups
                for group in range(self.info.groups):
                    yield 0, sample * self.info.groups + group, (sample, slice(group * size, (group + 1) * size))
        for unit in range(features if self.info.norm == "batch" else 0):
            if self.info.kind != "recurrent":
                yield 0, unit, (slice(None), unit)
            elif self.per_step:
                yield from ((t, unit, (slice(None), t, unit)) for t in range(self.x.shape[1]))
            else:
                yield 0, unit, (slice(None), slice(None), unit)


def pytorch(info: LayerInfo, before: dict[str, Tensor], x: Tensor, eps: float, *, training: bool) -> Tensor:
    """The normalization by PyTorch's functions, in double precision; running statistics are not touched."""
    weight, bias = before["weight"], before["bias"]
    if info.norm == "group":
        return functional.group_norm(x, info.groups, weight, bias, eps)
    if info.norm == "layer":
        return functional.layer_norm(x, weight.shape, weight, bias, eps)
    mean, var = before["running_mean"].clone(), before["running_var"].clone()
    if info.kind != "recurrent":
        return functional.batch_norm(x, mean, var, weight, bias, training, 0.1, eps)
    if mean.ndim == 2:
        steps = [
            functional.batch_norm(x[:, t], mean[t], var[t], weight, bias, training, 0.1, eps) for t in range(x.shape[1])
        ]
        return torch.stack(steps, 1)
    return functional.batch_norm(x.flatten(0, 1), mean, var, weight, bias, training, 0.1, eps).view_as(x)


def cases(reader: Reader, run: int) -> list[Case]:
    """All normalizations of a run in its last keyframe."""
    info = reader.runs[run]
    row = len(reader.history(run)) - 1
    evidence = reader.evidence(run, row)
    assert evidence is not None
    found = []
    at = -1
    for number, layer in enumerate(info.layers):
        for kind in layer.stages:
            at += 1
            if kind != "norm":
                continue
            under = slide(info, number, reader.keyframe(run, row), evidence)
            prefix = f"{layer.name}.norm."
            before = {
                name.removeprefix(prefix): torch.from_numpy(values.astype(np.float64))
                for name, values in evidence.before.items()
                if name.startswith(prefix) and not name.endswith("num_batches_tracked")
            }
            x = evidence.stages[at - 1].astype(np.float64)
            trained, evaluated = (
                pytorch(layer, before, torch.from_numpy(x), under.eps, training=training).numpy()
                for training in (True, False)
            )
            per_step = "running_mean" in before and before["running_mean"].ndim == 2
            found.append(Case(under, layer, x, evidence.stages[at], trained, evaluated, per_step))
    return found


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return train(tmp_path_factory.mktemp("images"), IMAGES)


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return train(tmp_path_factory.mktemp("sequences"), SEQUENCES)


def check(case: Case) -> None:
    seen = 0
    for step, chosen, index in case.sets():
        specimen = case.slide.specimen(step, chosen)
        x = case.x[index].ravel()
        assert specimen.x is not None
        np.testing.assert_array_equal(specimen.x, x)
        assert specimen.count == x.size
        assert specimen.mean == pytest.approx(sum(x.tolist()) / x.size, rel=1e-9, abs=1e-12)
        assert specimen.var == pytest.approx(sum((x - x.mean()) ** 2) / x.size, rel=1e-9, abs=1e-12)
        expected = (x - x.mean()) / np.sqrt(x.var() + case.slide.eps)
        assert specimen.normalized is not None
        np.testing.assert_allclose(specimen.normalized, expected, rtol=1e-9, atol=1e-9)
        assert specimen.y is not None
        np.testing.assert_allclose(specimen.y, case.trained[index].ravel(), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(specimen.y, case.recorded[index].ravel(), rtol=1e-3, atol=1e-4)
        assert specimen.evaluated is not None
        np.testing.assert_allclose(specimen.evaluated, case.evaluated[index].ravel(), rtol=1e-6, atol=1e-8)
        assert specimen.eps_share == pytest.approx(case.slide.eps / (x.var() + case.slide.eps))
        figures = case.slide.figures(step)
        assert figures["mean"][chosen] == pytest.approx(x.mean(), rel=1e-5, abs=1e-6)
        assert figures["var"][chosen] == pytest.approx(x.var(), rel=1e-5, abs=1e-9)
        if case.info.norm == "batch":
            off = (case.evaluated - case.trained)[index]
            assert figures["evaluation"][chosen] == pytest.approx(math.sqrt((off**2).mean()), rel=1e-3, abs=1e-5)
        else:
            assert "evaluation" not in figures
        seen += 1
    assert seen == case.slide.sets * case.slide.steps


@pytest.mark.parametrize("run", range(4))
def test_every_figure_agrees_with_numpy_and_pytorch(images: Reader, run: int) -> None:
    found = cases(images, run)
    assert [case.info.name for case in found] == ["conv 1", "linear 1"]
    for case in found:
        check(case)


@pytest.mark.parametrize("run", range(3))
def test_so_does_every_figure_of_a_recurrent_layer(sequences: Reader, run: int) -> None:
    (case,) = cases(sequences, run)
    assert case.x.shape[1:] == (8, 15)  # eight rows of an image, three gates of five units
    assert case.slide.steps == (1 if run == 0 else 8)
    check(case)


def test_pixels_and_time_steps_are_counted_in(images: Reader, sequences: Reader) -> None:
    conv, linear = cases(images, 0)
    assert conv.slide.count == len(conv.x) * 8 * 8  # before pooling
    assert linear.slide.count == len(linear.x)
    assert cases(images, 1)[0].slide.count == 6 * 8 * 8
    assert cases(images, 2)[0].slide.count == 2 * 8 * 8
    assert cases(sequences, 0)[0].slide.count == 24 * 8


def test_scale_shift_and_their_gradients_are_those_of_the_step(images: Reader, sequences: Reader) -> None:
    for reader, run in ((images, 0), (images, 1), (images, 2), (sequences, 1)):
        row = len(reader.history(run)) - 1
        evidence = reader.evidence(run, row)
        assert evidence is not None
        for case in cases(reader, run):
            name = case.info.name
            arrays = [
                kind[f"{name}.norm.{what}"].astype(np.float64)
                for kind in (evidence.before, evidence.gradients)
                for what in ("weight", "bias")
            ]
            for step, chosen, index in case.sets():
                full = [
                    np.broadcast_to(
                        values.reshape(-1, *[1] * (case.x.ndim - 2))
                        if case.info.kind == "conv" and values.ndim == 1
                        else values,
                        case.x.shape,
                    )[index].ravel()
                    for values in arrays
                ]
                for marked in (0, full[0].size - 1):
                    gamma, beta, gamma_gradient, beta_gradient = case.slide.specimen(step, chosen).of(marked)
                    assert [gamma, beta, gamma_gradient, beta_gradient] == [values[marked] for values in full]


def test_running_statistics_before_the_step_are_told_from_those_after_it(images: Reader) -> None:
    reader, row = images, len(images.history(0)) - 1
    evidence, frame = reader.evidence(0, row), reader.keyframe(0, row)
    assert evidence is not None
    under = slide(reader.runs[0], 0, frame, evidence)
    specimen = under.specimen(0, 2)
    assert specimen.evaluating is not None
    assert specimen.running is not None
    assert specimen.evaluating[0] == evidence.before["conv 1.norm.running_mean"][2]
    after = 0.9 * specimen.evaluating[0] + 0.1 * specimen.mean
    assert specimen.running[0] == pytest.approx(after, rel=1e-5)
    unbiased = specimen.var * specimen.count / (specimen.count - 1)
    assert specimen.running[1] == pytest.approx(0.9 * specimen.evaluating[1] + 0.1 * unbiased, rel=1e-5)


def test_without_evidence_measures_say_what_they_know(images: Reader) -> None:
    row = len(images.history(0)) - 1
    frame = images.keyframe(0, row)
    known = slide(images.runs[0], 0, frame, images.evidence(0, row))
    thinned = slide(images.runs[0], 0, frame, None)
    assert (thinned.sets, thinned.steps) == (known.sets, known.steps)
    one, other = known.specimen(0, 1), thinned.specimen(0, 1)
    assert other.x is None
    assert other.y is None
    assert other.mean == pytest.approx(one.mean, rel=1e-5)
    assert other.var == pytest.approx(one.var, rel=1e-5)
    assert other.of(0) == one.of(0)
    assert thinned.before is None
    layer = slide(images.runs[1], 0, images.keyframe(1, row), None)
    assert (layer.sets, layer.count, dict(layer.figures(0))) == (0, 0, {})
    assert math.isnan(layer.specimen(0, 0).mean)


def test_courses_are_those_of_the_keyframes(images: Reader) -> None:
    history = images.history(0)
    found = courses(images, 0, history, 1)
    frames = [images.keyframe(0, row).layers[1].batch_norm for row in range(len(history))]
    assert found.epochs.tolist() == history.epoch.tolist()
    np.testing.assert_array_equal(found.gamma, [norm.gamma for norm in frames if norm is not None])
    np.testing.assert_array_equal(found.mean[:, 0], [norm.batch_mean for norm in frames if norm is not None])


def test_courses_of_layer_normalization_come_from_evidence(images: Reader) -> None:
    found = courses(images, 1, images.history(1), 0)
    rows = images.evidence_rows(1).tolist()
    assert rows
    for place, row in enumerate(rows):
        evidence = images.evidence(1, row)
        assert evidence is not None
        np.testing.assert_array_equal(found.gamma[place], evidence.before["conv 1.norm.weight"].ravel())


@pytest.mark.parametrize("sizes", [(5, 7), (2, 2)], ids=["differ", "too few"])
def test_courses_leave_out_parameters_that_are_not_the_layers(images: Reader, sizes: tuple[int, int]) -> None:
    """A forged file: the fuzzer's case 16,914 of seed 71."""

    class Forged:
        runs = images.runs

        def evidence(self, _run: int, row: int) -> Evidence:
            scale = np.zeros(sizes[row > 0], np.float32)
            return Evidence(before={"conv 1.norm.weight": scale, "conv 1.norm.bias": scale})

        def evidence_rows(self, _run: int) -> IntArray:
            return np.array([0, 1])

    found = courses(cast(Source, Forged()), 1, images.history(1), 0)
    under = slide(images.runs[1], 0, images.keyframe(1, 0), images.evidence(1, 0))
    gamma, beta = found.of(under, 0, 4)
    assert len(gamma) == len(found.epochs)
    assert np.isnan([*gamma, *beta]).all()


def test_an_axis_holds_nearly_all_values_of_all_keyframes(images: Reader) -> None:
    for run in range(4):
        history = images.history(run)
        for number in normalized_layers(images.runs[run]):
            found = courses(images, run, history, number)
            ends = set()
            for row in range(len(history)):
                under = slide(images.runs[run], number, images.keyframe(run, row), images.evidence(run, row))
                axis = found.before(under, 0, 3)
                ends.add(axis)
                x = under.specimen(0, 3).x
                assert x is not None
                assert np.mean((x >= axis.low) & (x <= axis.high)) > 0.97
            assert len(ends) == 1  # nothing jumps while the cursor moves


def test_many_keyframes_are_sampled(tmp_path: Path) -> None:
    reader = train(tmp_path, IMAGES, ("training.epochs", 30), ("record.every", 1), ("record.budget", 1))
    history = reader.history(0)
    found = courses(reader, 0, history, 0)
    assert len(history) > MOST == len(found.epochs)
    assert (found.epochs[0], found.epochs[-1]) == (0, 30)


CONSTANT = """
title = "Constant"
[data]
source = "digits"
samples = 120
batch_size = 4
last_batch = "drop"
[network]
hidden = [6]
norm = "batch"
init = "zeros"
[training]
lr = 0.1
epochs = 1
"""


def test_a_variance_of_0_and_a_small_batch_are_pointed_out(tmp_path: Path) -> None:
    reader = train(tmp_path, CONSTANT)
    (case,) = cases(reader, 0)
    specimen = case.slide.specimen(0, 0)
    assert (specimen.var, specimen.eps_share, specimen.spread) == (0, 1, 0)
    assert specimen.normalized is not None
    assert (specimen.normalized == 0).all()
    zero, small = verdicts(specimen)
    assert (zero.style, small.style) == ("bad", "warn")
    assert "= 316 γ" in zero.sentence
    assert "4 values" in small.sentence
    assert "50.0 % of σ" in small.sentence


def made(x: NDArray[Any], norm: str = "batch", eps: float = 1e-5) -> Slide:
    """A dense layer's normalization of these values ``(B, C)``, γ = 1, β = 0."""
    info = LayerInfo("linear 1", "linear", x.shape[1:], norm, "relu", 0.0, 0)
    one = np.ones(x.shape[1])
    pool = np.moveaxis(x, 1, 0)[np.newaxis] if norm == "batch" else x[np.newaxis]
    position = () if norm == "batch" else x.shape[1:]
    return Slide(info, norm, eps, 0.1, pool, position, np.arange(len(x)), None, one, 0 * one, one, one, None, None)


def test_verdicts_say_what_is_wrong_with_its_numbers() -> None:
    draw = np.random.default_rng(0)
    (fine,) = verdicts(made(draw.normal(size=(60, 2)).astype(np.float32)).specimen(0, 0))
    assert (fine.style, "12.9 % of σ" in fine.sentence) == ("good", True)
    (narrow,) = verdicts(made(1e-3 * draw.normal(size=(60, 2)).astype(np.float32)).specimen(0, 0))
    assert narrow.style == "warn"
    assert narrow.sentence.startswith("ε rules")
    for size, few in ((FEW, False), (FEW - 1, True)):
        (said,) = verdicts(made(draw.normal(size=(size, 2)).astype(np.float32)).specimen(0, 0))
        assert (said.style == "warn") is few
    (features,) = verdicts(made(draw.normal(size=(60, 3)).astype(np.float32), "layer").specimen(0, 0))
    assert features.sentence.startswith("Only 3 values are normalized together")
    broken = draw.normal(size=(60, 2)).astype(np.float32)
    broken[3, 0] = np.nan
    broken[4, 0] = np.inf
    (lost,) = verdicts(made(broken).specimen(0, 0))
    assert (lost.style, lost.sentence[:27]) == ("bad", "2 of 60 values are not fini")


def test_equal_values_have_no_variance_whatever_their_mean_rounds_to() -> None:
    specimen = made(np.full((7, 1), 0.1, np.float32)).specimen(0, 0)
    assert specimen.var == 0
    assert specimen.normalized is not None
    assert not specimen.normalized.any()
