"""Judges whether gradients reach the first layer and fit the weights: one verdict per keyframe, with its number.

The number is the first-to-last ratio: the norm of the first layer's weight gradient divided by that of the last
layer's (the output layer's).  These are plain norms, as shown on the screen, not divided by the number of weights.  If
both are 0, there is a verdict only if that is meaningful: not if the loss itself has no gradient, as when a network
fits its mini-batch exactly, nor if all inputs of the mini-batch are 0.

Gradients of all layers can explode together, as where the inputs are large or the learning rate is: their ratio is
then an everyday one.  So a step that is as large as the weights themselves is called exploding whatever the ratio is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bntui.keyframe import COLUMN, BoolArray, FloatArray, IntArray, LayerMeasures
from bntui.recording.history import LayerInfo, RunHistory
from bntui.recording.kept import folded, remembered
from bntui.text.language import N_, _

VANISHING_BELOW: Final = 1e-3
"""First-to-last ratio below which gradients are called vanishing; a convention of this tool."""
EXPLODING_ABOVE: Final = 1e3
"""First-to-last ratio above which gradients are called exploding; a convention of this tool."""
STEP_EXPLODING_FROM: Final = 1.0
"""Update-to-weight ratio of a layer from which gradients are called exploding; a convention of this tool.

Such a step replaces the layer's weights rather than correcting them; steps near 1e-3 are usual.  In the built-in
scenarios, measured at every step of their first two epochs, runs that train well stay below it from their first step
on (at most 0.9, with Adam, and with a normalization that divides by little); runs that diverge reach 1e8 within five
steps.  Only batch normalization over two samples, or over constant inputs, passes it and recovers.
"""

HOLDS: Final = 4
"""Number of keyframes that a verdict must last to count as a change; a convention of this tool."""

NAMES: Final = (N_("healthy"), N_("vanishing"), N_("exploding"), N_("not finite"), N_("unknown"))
_HEALTHY, _VANISHING, _EXPLODING, _NOT_FINITE, _UNKNOWN = range(5)
BAD: Final = NAMES[_VANISHING : _NOT_FINITE + 1]
"""Verdicts that report a problem."""


@dataclass(frozen=True, slots=True)
class GradientVerdict:
    """The verdict on the gradients of one keyframe."""

    name: str
    """``healthy``, ``vanishing``, ``exploding``, ``not finite``, or ``unknown`` (no layers);
    marked for translation."""
    ratio: float
    """First-to-last ratio; NaN if undefined."""
    limit: float
    """The limit that the ratio or the step is compared with, the nearer one if healthy; NaN without either."""
    sentence: str
    """In the language in use."""
    step: float = math.nan
    """Largest update-to-weight ratio of a layer, if the verdict is based on it; otherwise NaN."""

    @property
    def step_decides(self) -> bool:
        """The verdict is based on the step, not on the first-to-last ratio."""
        return not math.isnan(self.step)

    @property
    def bad(self) -> bool:
        return self.name in BAD


def _judge(
    norms: FloatArray, updates: FloatArray, asked: FloatArray, inputs: FloatArray
) -> tuple[NDArray[np.int8], FloatArray, BoolArray]:
    """Index into ``NAMES`` and first-to-last ratio of each keyframe, and whether the verdict is based on its step.

    Where nothing is known or finite, the ratio is any.

    Args:
        norms: of the weight gradients, ``(K, layers)``.
        updates: update-to-weight ratios, ``(K, layers)``; NaN where there is none.
        asked: norm of the loss's gradient with respect to the output, ``(K,)``.
        inputs: largest absolute input of the first layer, ``(K,)``.
    """
    codes = np.full(len(norms), _HEALTHY, np.int8)
    ratios = np.full(len(norms), np.nan)
    if not norms.shape[1]:
        codes[:] = _UNKNOWN
        return codes, ratios, np.zeros(len(norms), np.bool_)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        np.divide(norms[:, 0], norms[:, -1], out=ratios)
        codes[ratios < VANISHING_BELOW] = _VANISHING
        codes[ratios > EXPLODING_ABOVE] = _EXPLODING
    # 0/0: neither end gets a gradient, so neither learns
    codes[(norms[:, 0] == 0) & (norms[:, -1] == 0)] = _VANISHING
    codes[(norms[:, 0] == 0) & (inputs == 0)] = _UNKNOWN
    codes[(asked == 0) & (norms == 0).all(axis=1)] = _HEALTHY
    finite = np.isfinite(norms).all(axis=1)
    large: BoolArray = np.asarray(finite & (updates >= STEP_EXPLODING_FROM).any(axis=1))
    codes[large] = _EXPLODING
    codes[~finite] = _NOT_FINITE
    return codes, ratios, large


def measured(layers: Sequence[LayerInfo]) -> tuple[int, ...]:
    """Numbers of the layers whose weight gradients are measured: all, but in a watched run those without."""
    return tuple(number for number, layer in enumerate(layers) if "weight_gradient_norm" not in layer.absent)


def verdict_of(every: Sequence[LayerMeasures], known: Sequence[int] | None = None) -> GradientVerdict:
    """The verdict on the gradients of one keyframe.

    Args:
        known: the layers whose gradients are measured, see :func:`measured`; by default all.
    """
    known = range(len(every)) if known is None else known
    layers = [every[number] for number in known if not every[number].uncalled]
    if not layers:
        return gradient_verdict(())
    first = layers[0].input
    return gradient_verdict(
        [layer.weight_gradient_norm for layer in layers],
        [layer.update_ratio for layer in layers],
        asked=layers[-1].activation_gradient_norm,
        inputs=math.nan if first.empty else max(abs(first.min), abs(first.max)),
        names=[layer.name for layer in layers],
    )


def gradient_verdict(
    weight_gradient_norms: Sequence[float],
    update_ratios: Sequence[float] = (),
    *,
    asked: float = math.nan,
    inputs: float = math.nan,
    names: Sequence[str] = (),
) -> GradientVerdict:
    """The verdict on one keyframe, from the norms of its weight gradients, first layer first.

    Args:
        update_ratios: of the same layers; empty if no step is known.
        asked: norm of the loss's gradient with respect to the output; NaN if unknown.
        inputs: largest absolute input of the first layer; NaN if unknown.
        names: of the layers; by default their numbers, from 1.
    """
    norms = np.asarray(weight_gradient_norms, np.float64).reshape(1, -1)
    updates = np.asarray(update_ratios, np.float64).reshape(1, -1)
    codes, ratios, large = _judge(norms, updates, np.array([asked]), np.array([inputs]))
    code, ratio = int(codes[0]), float(ratios[0])
    name, names = NAMES[code], names or [str(at + 1) for at in range(norms.shape[1])]
    if code == _UNKNOWN:
        unfed = _("all inputs of the mini-batch are 0: the first layer gets no gradient")
        return GradientVerdict(name, math.nan, math.nan, unfed if norms.size else _("no layer has a gradient"))
    if code == _NOT_FINITE:
        wrong = int(np.argmin(np.isfinite(norms[0])))
        sentence = _("the gradient of layer {layer} is {value}").format(
            layer=names[wrong], value=_word(norms[0, wrong])
        )
        return GradientVerdict(name, math.nan, math.nan, sentence)
    if large[0]:
        widest = int(np.nanargmax(updates[0]))
        step = float(updates[0, widest])
        moved = (
            _("the step of layer {layer} is infinite").format(layer=names[widest])
            if math.isinf(step)
            else _("the step moves the weights of layer {layer} by {ratio} times their norm").format(
                layer=names[widest], ratio=f"{step:.1e}"
            )
        )
        limit = STEP_EXPLODING_FROM
        return GradientVerdict(name, ratio, limit, f"{moved}: {_(name)} ({limit:g})", step)
    if code == _HEALTHY and math.isnan(ratio):
        return GradientVerdict(
            name, ratio, math.nan, _("the loss has no gradient here: nothing is left to learn from this batch")
        )
    if math.isnan(ratio):
        ends = _("the first and last layers' gradients are zero: these layers do not learn")
        everywhere = _("all gradients are zero: nothing is learned")
        return GradientVerdict(name, ratio, VANISHING_BELOW, ends if norms.any() else everywhere)
    limit = EXPLODING_ABOVE if ratio > 1 else VANISHING_BELOW
    size = _("the first layer's gradient is {ratio} times the last layer's").format(ratio=f"{ratio:.1e}")
    low, high = f"{VANISHING_BELOW:.0e}", f"{EXPLODING_ABOVE:.0e}"
    limits = _("{low} to {high}").format(low=low, high=high) if code == _HEALTHY else f"{limit:.0e}"
    return GradientVerdict(name, ratio, limit, f"{size}: {_(name)} ({limits})")


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else _("infinite")


@remembered
def verdict_changes(history: RunHistory, known: tuple[int, ...] | None = None) -> tuple[tuple[float, str], ...]:
    """Epochs at which the verdict changes, with the new verdict; oldest first.

    A verdict counts if it lasts for ``HOLDS`` keyframes or up to the newest one; a shorter one, as when the ratio
    fluctuates around a limit, is ignored.  Gradients that are not finite and steps as large as the weights always
    count: what follows one of them is another network.  The verdict of the first keyframe counts, and is reported if it
    is bad, because gradients may vanish from the start.

    Args:
        known: the layers whose gradients are measured, see :func:`measured`; by default all.
    """
    spells = _spells(history, tuple(range(history.layers.shape[1])) if known is None else known)
    starts, codes = spells.starts, spells.codes
    lengths = np.diff(starts, append=spells.keyframes)
    holds = (lengths >= HOLDS) | spells.alone
    holds[:1] = holds[-1:] = True
    starts, codes = starts[holds], codes[holds]
    changed = np.diff(codes, prepend=_HEALTHY if len(codes) and codes[0] != _UNKNOWN else _UNKNOWN) != 0
    epochs = history.epoch[history.frame_rows[starts[changed]]]
    return tuple((epoch, NAMES[code]) for epoch, code in zip(epochs.tolist(), codes[changed].tolist(), strict=True))


class _Spells(NamedTuple):
    """Consecutive keyframes with the same verdict."""

    starts: IntArray
    """Number of the first keyframe of each, from 0."""
    codes: NDArray[np.int8]
    """Index into ``NAMES`` of each."""
    alone: BoolArray
    """Those that count however short they are."""
    keyframes: int
    """Number of keyframes in all."""


def _joined(one: _Spells, other: _Spells) -> _Spells:
    """The spells of consecutive keyframes; one that goes on in the other keyframes is one."""
    alone = other.alone.copy()
    last = len(one.codes) - 1
    goes_on = bool(last >= 0 and len(other.codes) and one.codes[last] == other.codes[0])
    if goes_on:
        alone[0] |= one.alone[last]
    before = slice(last if goes_on else last + 1)
    starts = other.starts + one.keyframes
    if goes_on:
        starts[0] = one.starts[last]
    return _Spells(
        np.concatenate([one.starts[before], starts]),
        np.concatenate([one.codes[before], other.codes]),
        np.concatenate([one.alone[before], alone]),
        one.keyframes + other.keyframes,
    )


@folded(_joined)
def _spells(history: RunHistory, rows: slice, known: tuple[int, ...]) -> _Spells:
    frames = history.has_frame[rows]
    if not known:
        return _Spells(np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.bool_), 0)

    def column(name: str, layers: int | Sequence[int] | slice) -> FloatArray:
        if isinstance(layers, int):  # more columns of the first layer are in memory than of all
            return history.layers[rows, layers, COLUMN[name]][frames]
        return history.layers[rows, :, COLUMN[name]][frames][:, layers]

    def largest_input(layers: int | Sequence[int] | slice) -> FloatArray:
        return np.maximum(np.abs(column("input.min", layers)), np.abs(column("input.max", layers)))

    layers = slice(None) if len(known) == history.layers.shape[1] else list(known)
    norms, updates = column("weight_gradient_norm", layers), column("update_ratio", layers)
    uncalled = np.isnan(norms)
    for quantity in ("input", "pre_norm", "output") if uncalled.any() else ():
        uncalled &= column(f"{quantity}.min", layers) > column(f"{quantity}.max", layers)
    if uncalled.any():  # others stand in for them: the first and the last layer are those that the step called
        row, called = np.arange(len(norms)), ~uncalled
        first, last = called.argmax(axis=1), called.shape[1] - 1 - called[:, ::-1].argmax(axis=1)
        ends = norms[row, first], norms[row, last]
        norms = np.where(called, norms, ends[0][:, np.newaxis])
        norms[:, -1] = ends[1]
        asked, inputs = column("activation_gradient_norm", layers)[row, last], largest_input(layers)[row, first]
    else:
        asked, inputs = column("activation_gradient_norm", known[-1]), largest_input(known[0])
    codes, _ratios, large = _judge(norms, updates, asked, inputs)
    codes[uncalled.all(axis=1)] = _UNKNOWN
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    alone = large | (codes == _NOT_FINITE)
    alone = np.logical_or.reduceat(alone, starts) if len(starts) else np.empty(0, np.bool_)
    return _Spells(starts, codes[starts], alone, len(codes))
