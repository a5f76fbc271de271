"""Writes the formula of a scaling with the figures of a feature and the value of a sample."""

from __future__ import annotations

import math
from typing import Final

from rich.cells import cell_len

from bntui.recording.dataset import RecordedScaling
from bntui.text.figures import MINUS, equals, number, read
from bntui.text.language import _
from bntui.text.widths import ljust
from bntui.viewer.samples import FeatureFigures

FORMULAS: Final = {"none": "x", "minmax": f"(x {MINUS} min)/(max {MINUS} min)", "standard": f"(x {MINUS} μ)/σ"}


def formula(samples: FeatureFigures, scaling: RecordedScaling | None, feature: int, row: int, room: int) -> str:
    """The formula with the feature's figures and the sample's value, preceded by symbols if ``room`` cells are enough.

    Its width is the same for all samples, so that nothing moves when the sample changes.

    Args:
        scaling: the scaling; None for the raw value.
        feature: number of the feature.
        row: row of the sample; -1 if there is none, in which case x remains a symbol without a result.
    """
    low, high = samples.axis(feature)
    x = _written(float(samples.flat[row, feature]), low, high, bool(samples.whole[feature])) if row >= 0 else "x"
    if scaling is None or scaling.kind == "none":
        return f"x = {x}" if row >= 0 else ""
    offset, factor = float(scaling.offset.ravel()[feature]), float(scaling.factor.ravel()[feature])
    result = ""
    if row >= 0:
        ends = ((low - offset) * factor, (high - offset) * factor)
        result = _written((float(samples.flat[row, feature]) - offset) * factor, *ends)
    span = 1 / factor if factor else math.inf
    numbers = _numbers(scaling.kind, x, offset, span)
    lowest, highest = samples.figures(feature, "train")[:2]
    symbols = f"{FORMULAS[scaling.kind]} = "
    if lowest == highest:
        symbols, numbers = _("constant:") + " ", f"{x} {MINUS} {_fixed(offset)}"
    sign = f" {_sign(scaling.kind, x, offset, span, result)} " if result else ""
    for words in (symbols + numbers + sign, numbers + sign):
        size = cell_len(words) + len(result)
        if size <= room:
            return ljust(words + result.strip(), size)
    return ljust(result.strip(), len(result))


def _sign(kind: str, x: str, offset: float, span: float, result: str) -> str:
    """The sign before the result, after what the figures give as they are written."""
    start, end = read(_written(offset)), read(_written(offset + span))
    divisor = end - start if kind == "minmax" else read(_written(span))
    return equals(result, (read(x) - start) / divisor) if divisor else "="


def _numbers(kind: str, x: str, offset: float, span: float) -> str:
    divisor = f"({_written(offset + span)} {MINUS} {_fixed(offset)})" if kind == "minmax" else _written(span)
    return f"({x} {MINUS} {_fixed(offset)})/{divisor}"


def _fixed(value: float) -> str:
    """A number that is subtracted, in parentheses if it is negative."""
    words = _written(value)
    return f"({words})" if words.startswith(MINUS) else words


def _written(value: float, low: float | None = None, high: float | None = None, whole: bool = False) -> str:
    """A number with as many decimals as give the largest one between ``low`` and ``high`` four significant digits.

    It is padded to the width of the wider end, unless no ends are given.

    Args:
        whole: all values are whole numbers.
    """
    ends = (value if low is None else low, value if high is None else high)
    largest = max(abs(end) for end in ends)
    if not math.isfinite(value) or not largest < 1e7 or 0 < largest < 1e-4:
        return number(value)
    places = min(max(3 - math.floor(math.log10(largest)), 0), 7) if largest and not whole else 0
    words = f"{value:.{places}f}"
    words = words.rstrip("0").rstrip(".") if places else words
    words = words.removeprefix("-") if float(words) == 0 else words.replace("-", MINUS)
    return words if low is None else words.rjust(max(len(f"{end:.{places}f}") for end in ends))
