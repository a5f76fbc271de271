"""Parses the axes of a sweep: ``network.norm=none,batch``, ``training.lr=1e-3..1:log:7``, ``training.epochs=5..20:4``.

An axis is a key path and its values: a list, or a range with a number of values, evenly spaced or, with ``log``, by
equal factors.  A range between two whole numbers has whole values.  Without a number of values, a range is a space that
a search draws from.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from bntui.errors import UsageError
from bntui.scenario.load import Override, parse_value
from bntui.scenario.merge import key_path
from bntui.text.language import _
from bntui.text.output import clean, shortened

MOST_VALUES: Final = 10_000
"""Values of one axis."""
_LONGEST: Final = 200
_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE: Final = re.compile(rf"(?P<low>{_NUMBER})\s*\.\.\s*(?P<high>{_NUMBER})(?P<log>:log)?(?::(?P<count>\d+))?")
_SHORT: Final = 4
"""Significant digits of a value between the ends of a logarithmic range, where its neighbours differ by more."""
_CLOSE: Final = 1.05
_EXACT: Final = 12
"""Significant digits of other values between the ends, which hides the rounding of their computation."""
_OPENING, _CLOSING = "[{(", "]})"

Settings = tuple[Override, ...]
"""A value for each axis: one combination."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A key and its values."""

    path: str
    values: tuple[object, ...]
    """In order; empty for a range without a number of values."""
    text: str
    """As it was written."""
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False
    """Its values are whole numbers."""

    @property
    def numeric(self) -> bool:
        """All its values are numbers."""
        return not self.values or all(isinstance(one, int | float) and one is not True for one in self.values)

    def drawn(self, chance: random.Random) -> object:
        """A value at random: one of a list, or any of a range."""
        if self.values:
            return chance.choice(self.values)
        share = chance.random()
        low, high = sorted((self.low, self.high))
        # the ends of a range of whole numbers are as likely as those between
        beyond = 0.5 if self.whole else 0.0
        value = _between(low - beyond, high + beyond, share, log=self.log)
        value = min(max(float(f"{value:.{_SHORT if self.log else _EXACT}g}"), low), high)
        return round(value) if self.whole else value

    @property
    def ends(self) -> tuple[object, ...]:
        """Its values, or the ends of its range."""
        if self.values:
            return self.values
        return tuple(round(end) if self.whole else end for end in (self.low, self.high))


def axes(texts: Sequence[str]) -> tuple[Axis, ...]:
    """Parse all axes of a sweep.

    Raises:
        UsageError: one is not an axis, or two have the same key; names all that are wrong.
    """
    found: list[Axis] = []
    wrong: list[str] = []
    for text in texts:
        try:
            one = axis(text)
            if any(key_path(one.path) == key_path(other.path) for other in found):
                raise ValueError(_("{path} has an axis already; write all its values in one").format(path=one.path))
        except ValueError as error:
            wrong.append(f"--over {shortened(clean(text), _LONGEST)}: {error}")
        else:
            found.append(one)
    if wrong:
        raise UsageError("\n".join(wrong))
    return tuple(found)


def axis(text: str) -> Axis:
    """Parse an axis.

    Raises:
        ValueError: it is not one.
    """
    path, equals, written = (part.strip() for part in text.partition("="))
    if not equals or not path or not written:
        raise ValueError(_("write it as PATH=VALUES, such as {example}").format(example="training.lr=0.01,0.1"))
    keys = key_path(path)
    if keys == ("seed",):
        raise ValueError(_("seeds are no axis: every combination is trained with all of them; use --seeds N"))
    if keys[0] not in ("data", "network", "training", "record", "device", "deterministic"):
        raise ValueError(_("{path} is not a setting of a run; write such as training.lr").format(path=path))
    if keys == ("record", "budget"):
        raise ValueError(_("the trials of a sweep keep measures only; use --evidence to keep what the scenario says"))
    if ".." in written:
        return _range(path, written, text)
    values = tuple(parse_value(part) for part in _parts(written))
    for number, value in enumerate(values):
        if any(one == value and isinstance(one, bool) == isinstance(value, bool) for one in values[:number]):
            raise ValueError(_("{value} is in the list twice").format(value=value))
    return Axis(path, values, text.strip())


def _parts(written: str) -> Iterator[str]:
    """The parts between commas that are in no brackets and no quotes."""
    depth, quote, part = 0, "", ""
    for char in written:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        depth += (char in _OPENING) - (char in _CLOSING) if not quote else 0
        if char == "," and not depth and not quote:
            yield _filled(part)
            part = ""
        else:
            part += char
    yield _filled(part)


def _filled(part: str) -> str:
    if not part.strip():
        raise ValueError(_("a value is missing beside a comma"))
    return part.strip()


def _range(path: str, written: str, text: str) -> Axis:
    found = _RANGE.fullmatch(written)
    if found is None:
        raise ValueError(_("write a range as LOW..HIGH:COUNT or LOW..HIGH:log:COUNT, such as 1e-3..1:log:7"))
    low, high, log = float(found["low"]), float(found["high"]), found["log"] is not None
    whole = all(re.fullmatch(r"[-+]?\d+", found[end]) for end in ("low", "high"))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(_("the ends of a range must be finite"))
    if low == high:
        raise ValueError(_("a range needs two different ends"))
    if log and min(low, high) <= 0:
        raise ValueError(_("a logarithmic range has only values above 0"))
    if found["count"] is None:
        return Axis(path, (), text.strip(), low, high, log, whole)
    count = int(found["count"])
    if not 2 <= count <= MOST_VALUES:
        raise ValueError(_("a range has from 2 to {most} values").format(most=f"{MOST_VALUES:,}"))
    values = tuple(_spaced(low, high, count, log=log))
    if whole:
        values = tuple(round(value) for value in values)
    if len(set(values)) < count:
        if not whole:
            raise ValueError(_("its values cannot be told apart"))
        sentence = _("there are not {count} whole numbers like these from {low} to {high}; write {low}.0 to get others")
        raise ValueError(sentence.format(count=count, low=found["low"], high=found["high"]))
    return Axis(path, values, text.strip(), low, high, log, whole)


def _spaced(low: float, high: float, count: int, *, log: bool) -> Iterator[float]:
    short = log and abs(math.log(high) - math.log(low)) / (count - 1) > math.log(_CLOSE)
    for number in range(count):
        value = _between(low, high, number / (count - 1), log=log)
        yield (low, high)[number > 0] if number in (0, count - 1) else float(f"{value:.{_SHORT if short else _EXACT}g}")


def _between(low: float, high: float, share: float, *, log: bool) -> float:
    """A number between two others, by equal factors with ``log``."""
    if log:
        factor = high / low
        if not 0 < factor < math.inf:  # it is beyond the range of numbers
            return math.exp(math.log(low) * (1 - share) + math.log(high) * share)
        return low * float(factor**share)
    if math.isinf(high - low):
        return low * (1 - share) + high * share
    return low + share * (high - low)


# --- combinations ---


def grid(found: Sequence[Axis]) -> list[Settings]:
    """All combinations, the last axis changing fastest.

    Raises:
        UsageError: a range has no number of values.
    """
    open_ones = [one for one in found if not one.values]
    if open_ones:
        sentence = _(
            "--over {text}: a grid needs the number of values: {text}:7; without it, use --random N or --search optuna"
        )
        raise UsageError("\n".join(sentence.format(text=clean(one.text)) for one in open_ones))
    return [tuple(zip((one.path for one in found), values, strict=True)) for values in combinations(found)]


def combinations(found: Sequence[Axis]) -> Iterator[tuple[object, ...]]:
    """Values of all combinations, of a range without a number of values those of its ends."""
    return product(*(one.ends for one in found))


def count(found: Sequence[Axis]) -> int | None:
    """How many combinations there are; None for infinitely many."""
    return math.prod(len(one.values) for one in found) if all(one.values for one in found) else None


def at_random(found: Sequence[Axis], wanted: int) -> list[Settings]:
    """Different combinations at random, the same ones for the same axes.

    Raises:
        UsageError: there are fewer.
    """
    there = count(found)
    if there is not None and there < wanted:
        sentence = _("--random {wanted}: the axes have only {count} combinations; leave --random out to train them all")
        raise UsageError(sentence.format(wanted=wanted, count=there))
    if there is not None and there < 2 * wanted:
        return random.Random(0).sample(grid(found), wanted)
    chance, chosen = random.Random(0), dict[str, Settings]()
    for _attempt in range(100 * wanted):
        settings = tuple((one.path, one.drawn(chance)) for one in found)
        chosen.setdefault(repr(settings), settings)
        if len(chosen) == wanted:
            break
    else:
        sentence = _("--random {wanted}: the axes have only {count} combinations; leave --random out to train them all")
        raise UsageError(sentence.format(wanted=wanted, count=len(chosen)))
    return list(chosen.values())
