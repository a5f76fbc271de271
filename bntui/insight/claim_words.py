"""Spells the figures of claims with their intervals, and what the seeds say about a claim."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bntui.insight.claims import Seeds, judged, spread
from bntui.insight.statistics import Interval, Judgement, Verdict
from bntui.scenario.figures import EPOCHS_TO, Comparison, Quantity
from bntui.text import figures
from bntui.text.figures import MINUS
from bntui.text.language import N_, _, ngettext

VERDICTS: Final[dict[Verdict, str]] = {
    "holds": N_("holds"),
    "does not hold": N_("does not hold"),
    "undecided": N_("undecided"),
}
_FEWEST: Final = -6
_DIGITS: Final = 2
"""Significant digits of an interval."""


def heading(used: Quantity) -> str:
    """A quantity with its unit, as the heading of a column."""
    if used.known.decades:
        return f"log₁₀ {used.column}"
    return f"{used.column} %" if _in_percent(used) else used.column


def units(used: Quantity) -> float:
    """What a figure is multiplied by to have the unit of its heading."""
    return 100 if _in_percent(used) else 1


def spelled(used: Quantity, found: Interval, seeds: int) -> str:
    """A mean ± half of its interval; how many seeds have the figure, if not all do."""
    if not found.count:
        return _("not reached") if used.over == EPOCHS_TO else "—"
    written = _with_interval(found, units(used))
    return written if found.count == seeds else f"{written} ({found.count}/{seeds})"


def quoted(used: Quantity, found: Interval) -> str:
    """A mean with its unit, as a sentence quotes it: no digit beyond the first of its interval, nor beyond 0.1 %."""
    if used.known.decades:
        return figures.magnitude(10**found.mean).strip()
    mean, half = found.mean * units(used), found.half * units(used)
    places = max(_places(half) - 1, 0) if half > 0 else 0
    places = min(places, 1) if _in_percent(used) else places
    return f"{mean:.{places}f}".replace("-", MINUS) + (" %" if _in_percent(used) else "")


def explained(compared: Comparison, seeds: Seeds, labels: Mapping[str, str] | None = None) -> str:
    """The measured figures on both sides of a claim, and their difference.

    Args:
        labels: names of runs in the language in use, by name.
    """
    labels = labels or {}
    sides = [_side(used, seeds, labels) for used in compared.quantities]
    left, right = compared.left, compared.right
    known = right is not None and left.column == right.column
    what = f"{heading(left)}: {', '.join(sides)}" if known or right is None else ", ".join(
        f"{heading(used)}: {side}" for used, side in zip(compared.quantities, sides, strict=True)
    )  # fmt: skip
    return f"{what}; {_seeds_say(compared, judged(compared, seeds), labels)}"


def _side(used: Quantity, seeds: Seeds, labels: Mapping[str, str]) -> str:
    """A figure of a run; a sign is between them, because names of runs end in numbers: ``patience 3 = 9.4 ± 4.4``."""
    found = spread(used, seeds)
    figures = spelled(used, found, len(seeds))
    return f"{labels.get(used.run, used.run)}{' = ' if found.count else ' '}{figures}" if used.run else figures


def _seeds_say(compared: Comparison, found: Judgement, labels: Mapping[str, str]) -> str:
    if found.method == "sign":
        sentence = ngettext("true in {count} of {seeds} seed", "true in {count} of {seeds} seeds", found.seeds)
        return sentence.format(count=found.favorable, seeds=found.seeds)
    effect = _with_interval(found.effect, units(compared.left))
    if compared.right is not None and compared.factor == 1 and compared.plus == 0:
        return _("difference {effect}").format(effect=effect)
    return _("difference from {limit}: {effect}").format(limit=_limit(compared, labels), effect=effect)


def _limit(compared: Comparison, labels: Mapping[str, str]) -> str:
    """The right side, in the units of the left one's heading."""
    if compared.right is None:
        if compared.left.known.decades:
            return f"{math.log10(compared.plus):.2f}".replace("-", MINUS) if compared.plus > 0 else f"{MINUS}∞"
        return f"{compared.plus * units(compared.left):g}".replace("-", MINUS)
    factor = "" if compared.factor == 1 else f"{compared.factor:g} × ".replace("-", MINUS)
    plus = compared.plus * units(compared.left)
    shifted = f" {'+' if plus > 0 else MINUS} {abs(plus):g}" if plus else ""
    run = compared.right.run
    return f"{factor}{labels.get(run, run) if run else compared.right.column}{shifted}"


def _in_percent(used: Quantity) -> bool:
    return used.known.unit == "share"


def _with_interval(found: Interval, scale: float) -> str:
    mean, half = found.mean * scale, found.half * scale
    if max(abs(mean), 0 if math.isnan(half) else half) >= figures.MANY:  # digits that no seed has measured
        return " ± ".join(figures.number(one).strip() for one in (mean, half) if not math.isnan(one))
    places = _places(half) if half > 0 else max(_places(mean), 1)
    written = f"{mean:.{places}f}" if math.isnan(half) else f"{mean:.{places}f} ± {half:.{places}f}"
    return written.replace("-", MINUS)


def _places(half: float) -> int:
    if not half or not math.isfinite(half):
        return 1
    return min(max(_DIGITS - 1 - math.floor(math.log10(abs(half))), 0), -_FEWEST)


def rows(
    names: Sequence[str], used: Sequence[Quantity], runs: Mapping[int, Mapping[str, Mapping[str, float]]]
) -> Iterator[tuple[str, ...]]:
    """A row per run: its name, and each quantity over the seeds.

    Args:
        names: of the runs.
        used: quantities without a run.
        runs: by seed, run, and quantity.
    """
    for name in names:
        cells = []
        for one in used:
            seeds = {seed: {str(one): found.get(name, {}).get(str(one), math.nan)} for seed, found in runs.items()}
            cells.append(spelled(one, spread(one, seeds), len(seeds)))
        yield (name, *cells)
