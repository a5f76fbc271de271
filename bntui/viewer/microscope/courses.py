"""Reads γ, β and the batch statistics of a normalization over the keyframes.

They are read once for a layer, so that moving to another unit or keyframe reads nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from bntui.keyframe import FloatArray, IntArray
from bntui.recording.history import LayerInfo, RunHistory
from bntui.viewer.draw.axes import Limits, limits
from bntui.viewer.microscope.specimen import Slide
from bntui.viewer.snapshot import Source

MOST: Final = 120
"""Maximum number of keyframes to read; from a longer run, evenly spaced ones are read."""
MOST_EVIDENCE: Final = 40
"""The same if evidence must be read, which is larger."""
LEAST: Final = 1e-6
"""Minimum length of an axis."""
SPREAD: Final = 4
"""An axis extends this many standard deviations from the mean, in the keyframe where that is furthest."""


@dataclass(frozen=True, slots=True)
class Courses:
    """One normalization over K keyframes."""

    epochs: FloatArray
    """``(K,)``."""
    gamma: FloatArray
    """``(K, C)``, or ``(K, features)`` for layer normalization."""
    beta: FloatArray
    mean: FloatArray
    """Batch means, ``(K, steps, C)``; without keyframes for layer and group normalization."""
    std: FloatArray
    entered: Limits
    """Round limits around all inputs of the layer's normalization in any keyframe."""
    left: Limits
    """The same for its outputs."""

    def of(self, slide: Slide, chosen: int, marked: int) -> tuple[FloatArray, FloatArray]:
        """γ and β over time for one value of a set, shapes ``(K,)``."""
        column = column_of(slide, chosen, marked)
        if column >= self.gamma.shape[1]:
            nothing = np.full(len(self.epochs), np.nan)
            return nothing, nothing
        return self.gamma[:, column], self.beta[:, column]

    def before(self, slide: Slide, step: int, chosen: int) -> Limits:
        """The axis of the inputs of a set, the same in every keyframe."""
        if slide.kind != "batch" or not len(self.mean):
            return self.entered
        mean, reach = self.mean[:, step, chosen], SPREAD * self.std[:, step, chosen]
        with np.errstate(all="ignore"):
            ends = limits([mean - reach, mean + reach], log=False)
        if ends.high - ends.low < LEAST:
            return limits([mean - 1, mean + 1], log=False)  # the values never varied
        # not beyond the range of the layer's values in all keyframes
        low, high = max(ends.low, self.entered.low), min(ends.high, self.entered.high)
        return Limits(low, high) if low < high else ends

    def after(self, slide: Slide, chosen: int) -> Limits:
        """The axis of the normalized values and of the outputs, the same in every keyframe."""
        if slide.kind != "batch" or not self.gamma.shape[1]:
            return limits([np.array([-3.0, 3.0, *self.left])], log=False)
        gamma, beta = np.abs(self.gamma[:, chosen]), self.beta[:, chosen]
        return limits([np.array([-3.0, 3.0]), beta - 3 * gamma, beta + 3 * gamma], log=False)


def column_of(slide: Slide, chosen: int, marked: int) -> int:
    """Index of the γ that applies to a value of a set.

    Args:
        chosen: number of the set.
        marked: number of the value in the set.
    """
    if slide.kind == "batch":
        return chosen
    if slide.kind == "layer":
        return marked
    units = slide.position[0]
    return chosen % slide.info.groups * units + marked // math.prod(slide.position[1:])


def courses(source: Source, run: int, history: RunHistory, number: int) -> Courses:
    """Read the courses of layer ``number``, from keyframes for batch normalization, and from evidence for others.

    Raises:
        RecordingError: a keyframe or its evidence is damaged.
    """
    info = source.runs[run].layers[number]
    entered = "output" if _follows_activation(info) else "pre_norm"
    ends = {
        quantity: limits([history.layer(number, f"{quantity}.{end}") for end in ("min", "max")], log=False)
        for quantity in (entered, "normalized")
    }
    if info.norm == "batch":
        rows = _sample(np.flatnonzero(history.has_frame), MOST)
        found = [source.keyframe(run, int(row)).layers[number].batch_norm for row in rows]
        kept = [(row, norm) for row, norm in zip(rows.tolist(), found, strict=True) if norm is not None]
        gamma, beta = (_stack([getattr(norm, name) for _, norm in kept]) for name in ("gamma", "beta"))
        mean = _stack([np.atleast_2d(norm.batch_mean) for _, norm in kept])
        with np.errstate(all="ignore"):
            std = np.sqrt(_stack([np.atleast_2d(norm.batch_var) for _, norm in kept]))
        rows = np.array([row for row, _ in kept], np.int64)
    else:
        rows = _sample(source.evidence_rows(run), MOST_EVIDENCE)
        names = [f"{info.name}.norm.{what}" for what in ("weight", "bias")]
        read = [(row, source.evidence(run, row)) for row in rows.tolist()]
        held = [(row, found.before) for row, found in read if found is not None and found.before.keys() >= set(names)]
        if len({before[name].size for _, before in held for name in names}) > 1:
            held = []  # a forged file with the parameters of another layer
        gamma, beta = (_stack([before[name].ravel() for _, before in held]) for name in names)
        mean = std = np.empty((0, 1, 0))
        rows = np.array([row for row, _ in held], np.int64)
    return Courses(history.epoch[rows], gamma, beta, mean, std, ends[entered], ends["normalized"])


def _follows_activation(info: LayerInfo) -> bool:
    kinds = info.stages
    return {"norm", "activation"} <= set(kinds) and kinds.index("norm") > kinds.index("activation")


def _sample(rows: IntArray, most: int) -> IntArray:
    """At most ``most`` rows, including the first and the last."""
    if len(rows) <= most:
        return rows
    return rows[np.rint(np.linspace(0, len(rows) - 1, most)).astype(np.int64)]


def _stack(arrays: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]) -> FloatArray:
    return np.stack(arrays).astype(np.float64) if arrays else np.empty((0, 0))
