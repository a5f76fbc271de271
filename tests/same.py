"""Compares two keyframes bit for bit, for tests of resumed and forked runs."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from bntui.keyframe import Keyframe
from bntui.recording.reader import Reader


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Names of the figures that differ in a single bit; the clock and the run's number are nobody's figures."""
    if is_dataclass(one):
        assert type(one) is type(other)
        found = []
        for field in fields(one):
            if not (isinstance(one, Keyframe) and field.name in ("wall_time", "run")):
                found += differences(getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}")
        return found
    if isinstance(one, tuple):
        pairs = zip(one, other, strict=True)
        return [name for at, (a, b) in enumerate(pairs) for name in differences(a, b, f"{where}[{at}]")]
    if isinstance(one, np.ndarray):
        same = one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    elif isinstance(one, float):
        same = np.float64(one).tobytes() == np.float64(other).tobytes() or (np.isnan(one) and np.isnan(other))
    else:
        same = one == other
    return [] if same else [where]


def compare(one: Reader, run: int, other: Reader, its: int, after: int = -1) -> int:
    """All keyframes that two runs have in common after a step are the same; their number."""
    a, b = one.history(run), other.history(its)
    common = [int(step) for step in np.intersect1d(a.step, b.step) if step > after]
    count = 0
    for step in common:
        row, at = int(np.searchsorted(a.step, step)), int(np.searchsorted(b.step, step))
        for name in ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "best", "wait"):
            x, y = getattr(a, name)[row], getattr(b, name)[at]
            assert x == y or (np.isnan(x) and np.isnan(y)), (step, name, x, y)
        if a.has_frame[row] and b.has_frame[at]:
            wrong = differences(one.keyframe(run, row), other.keyframe(its, at))
            assert not wrong, (step, wrong)
            count += 1
    assert one.weights(run)[common[-1]] == other.weights(its)[common[-1]]
    return count
