"""Draws curves over logarithmic axes as SVG, several charts on a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 330, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 44, 34
COLORS: Final = ("#0072b2", "#d55e00", "#009e73")


@dataclass(frozen=True, slots=True)
class Chart:
    """One or more curves."""

    title: str
    across: str
    up: str
    curves: Mapping[str, Points]


def page(charts: Sequence[Chart], columns: int = 3) -> str:
    """The charts, row by row."""
    rows = math.ceil(len(charts) / columns)
    size = f'width="{columns * WIDTH + RIGHT + 2}" height="{rows * HEIGHT}"'
    parts = [
        f'<g transform="translate({at % columns * WIDTH} {at // columns * HEIGHT})">{_drawn(chart)}</g>'
        for at, chart in enumerate(charts)
    ]
    style = "text{font:11px sans-serif;fill:#222}.t{font-weight:bold}.e{text-anchor:end}.m{text-anchor:middle}"
    white = '<rect width="100%" height="100%" fill="#fff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>{white}{"".join(parts)}</svg>\n'


def _drawn(chart: Chart) -> str:
    points = [point for curve in chart.curves.values() for point in curve]
    (low, high), (bottom, top) = (_decades([point[axis] for point in points]) for axis in (0, 1))

    def x(value: float) -> float:
        return round(LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (math.log10(value) - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM), 1)

    parts = [f'<text class="t" x="{LEFT}" y="16">{escape(chart.title)}</text>']
    for power in range(low, high + 1):
        at = x(10**power)
        parts.append(f'<path d="M{at} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text class="m" x="{at}" y="{HEIGHT - BOTTOM + 13}">{_number(power)}</text>')
    for power in range(bottom, top + 1):
        at = y(10**power)
        parts.append(f'<path d="M{LEFT} {at}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text class="e" x="{LEFT - 4}" y="{at + 4}">{_number(power)}</text>')
    parts.append(f'<text class="m" x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}">{escape(chart.across)}</text>')
    at_name = float(LEFT)
    for color, (name, curve) in zip(COLORS, chart.curves.items(), strict=False):
        line = "L".join(f"{x(one)} {y(other)}" for one, other in curve)
        parts.append(f'<path d="M{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(one)}" cy="{y(other)}" r="2.5" fill="{color}"/>' for one, other in curve]
        label = f"{name}, {chart.up}" if name else chart.up
        parts.append(f'<text x="{at_name}" y="34" style="fill:{color}">{escape(label)}</text>')
        at_name += 7 + 6 * len(label)
    return "".join(parts)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around some values."""
    low = math.floor(math.log10(min(values)) + 1e-9)
    return low, max(low + 1, math.ceil(math.log10(max(values)) - 1e-9))


def _number(power: int) -> str:
    return f"{10**power:,}" if 0 <= power <= 5 else f"{10.0**power:g}"
