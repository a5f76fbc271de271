"""Defines kinds of values, against which table cells and JSON values are checked once, when they are read."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from bntui.text.language import N_, _
from bntui.text.output import clean, shortened

LARGEST: Final = 2**53
"""Integers up to this value are exact in float64."""
NAME: Final = 1000
"""Maximum length of a name in characters."""


class UnfitError(ValueError):
    """A value is not of the required kind; the message says where it is, what was found, and what was expected."""

    def __init__(self, place: str, value: object, wanted: str) -> None:
        found = shown(value)
        super().__init__(_("{place} is {value}, not {wanted}").format(place=place, value=found, wanted=wanted))


def shown(value: object) -> str:
    """A value as shown in a message: shortened and sanitized."""
    if isinstance(value, bytes):
        return _("{count} bytes").format(count=len(value))
    if isinstance(value, str | list | dict | tuple) and len(value) > 200:
        return _("of length {count}").format(count=len(value))
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"{'-' if value < 0 else ''}2^{abs(value).bit_length() - 1}…"
    return shortened(clean(repr(value)), 60)


class Kind(Protocol):
    """The values that are allowed in one place."""

    @property
    def wanted(self) -> str:
        """What is expected, in the current language."""
        ...

    def bad(self, value: Any, place: str) -> Iterator[UnfitError]:
        """The errors in one value, which is found at ``place``."""
        ...

    def all_fit(self, values: Sequence[Any]) -> bool:
        """True if all values of a column fit; the kinds of large columns do this in one pass in C."""
        ...


class _Single(ABC):
    """A kind that accepts or rejects a value as a whole."""

    @property
    @abstractmethod
    def wanted(self) -> str: ...

    @abstractmethod
    def fits(self, value: Any) -> bool: ...

    def bad(self, value: Any, place: str) -> Iterator[UnfitError]:
        if not self.fits(value):
            yield UnfitError(place, value, self.wanted)

    def all_fit(self, values: Sequence[Any]) -> bool:
        return all(map(self.fits, values))


@dataclass(frozen=True, slots=True)
class Whole(_Single):
    """An integer within bounds; booleans are not allowed."""

    low: int = 0
    high: int = LARGEST

    @property
    def wanted(self) -> str:
        return _("a whole number from {low} to {high}").format(low=self.low, high=self.high)

    def fits(self, value: Any) -> bool:
        return type(value) is int and self.low <= value <= self.high

    def all_fit(self, values: Sequence[Any]) -> bool:
        return not values or (set(map(type, values)) == {int} and self.low <= min(values) and max(values) <= self.high)


@dataclass(frozen=True, slots=True)
class Number(_Single):
    """A number within bounds; by default any, including infinity."""

    low: float = -math.inf
    high: float = math.inf
    nan: bool = False
    """NaN is allowed."""

    @property
    def wanted(self) -> str:
        if self.low == -math.inf and self.high == math.inf:
            return _("a number")
        return _("a number from {low:g} to {high:g}").format(low=self.low, high=self.high)

    def fits(self, value: Any) -> bool:
        if type(value) is int and abs(value) > LARGEST:
            return False
        return type(value) in (int, float) and (self.low <= value <= self.high or (self.nan and value != value))

    def all_fit(self, values: Sequence[Any]) -> bool:
        if set(map(type, values)) <= {float} and not self.nan and not any(map(math.isnan, values)):
            return not values or (self.low <= min(values) and max(values) <= self.high)
        return all(map(self.fits, values))


FINITE: Final = Number(-1.7976931348623157e308, 1.7976931348623157e308)
SHARE: Final = Number(0, 1)
AMOUNT: Final = Number(0, 1.7976931348623157e308)
EPOCH: Final = Number(0, LARGEST)
"""A position in epochs; whoever draws it may multiply it."""
POSITIVE: Final = Number(5e-324, 1.7976931348623157e308)


@dataclass(frozen=True, slots=True)
class Text(_Single):
    """Text of bounded length."""

    longest: int = NAME
    shortest: int = 0

    @property
    def wanted(self) -> str:
        return _("text of at most {longest} characters").format(longest=self.longest)

    def fits(self, value: Any) -> bool:
        return type(value) is str and self.shortest <= len(value) <= self.longest

    def all_fit(self, values: Sequence[Any]) -> bool:
        if set(map(type, values)) != {str}:
            return not values
        lengths = set(map(len, values))
        return self.shortest <= min(lengths) and max(lengths) <= self.longest


@dataclass(frozen=True, slots=True)
class Blob(_Single):
    """Bytes."""

    longest: int = 2**31

    @property
    def wanted(self) -> str:
        return _("a block of bytes")

    def fits(self, value: Any) -> bool:
        return type(value) is bytes and len(value) <= self.longest

    def all_fit(self, values: Sequence[Any]) -> bool:
        return not values or (set(map(type, values)) == {bytes} and max(map(len, values)) <= self.longest)


@dataclass(frozen=True, slots=True)
class Flag(_Single):
    """True or false."""

    @property
    def wanted(self) -> str:
        return _("true or false")

    def fits(self, value: Any) -> bool:
        return type(value) is bool


@dataclass(frozen=True, slots=True)
class OneOf(_Single):
    """One of several words."""

    words: tuple[str, ...]

    @property
    def wanted(self) -> str:
        return _("one of {words}").format(words=", ".join(self.words))

    def fits(self, value: Any) -> bool:
        return type(value) is str and value in self.words


@dataclass(frozen=True, slots=True)
class Either(_Single):
    """One of two kinds."""

    one: _Single
    other: _Single

    @property
    def wanted(self) -> str:
        return _("{one} or {other}").format(one=self.one.wanted, other=self.other.wanted)

    def fits(self, value: Any) -> bool:
        return self.one.fits(value) or self.other.fits(value)


@dataclass(frozen=True, slots=True)
class Maybe:
    """A value that may be missing: NULL in SQLite, null in JSON."""

    kind: Kind

    @property
    def wanted(self) -> str:
        return self.kind.wanted

    def bad(self, value: Any, place: str) -> Iterator[UnfitError]:
        if value is not None:
            yield from self.kind.bad(value, place)

    def all_fit(self, values: Sequence[Any]) -> bool:
        if set(map(type, values)) == {type(None)}:
            return True
        return self.kind.all_fit([value for value in values if value is not None] if None in values else values)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A JSON array of bounded length."""

    kind: Kind
    most: int = 1000
    fewest: int = 0

    @property
    def wanted(self) -> str:
        return _("a list of {fewest} to {most} values").format(fewest=self.fewest, most=self.most)

    def bad(self, value: Any, place: str) -> Iterator[UnfitError]:
        if type(value) not in (list, tuple) or not self.fewest <= len(value) <= self.most:
            yield UnfitError(place, value, self.wanted)
        elif not self.kind.all_fit(value):
            for number, entry in enumerate(value):
                yield from self.kind.bad(entry, f"{place}[{number}]")

    def all_fit(self, values: Sequence[Any]) -> bool:
        return not any(True for value in values for _problem in self.bad(value, ""))


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object with required keys, optional keys, and a kind for all other keys."""

    required: Mapping[str, Kind] = field(default_factory=dict)
    optional: Mapping[str, Kind] = field(default_factory=dict)
    other: Kind | None = None
    """Kind of the values of other keys; None if other keys are not allowed."""
    most: int = 1000
    """Maximum number of keys."""

    @property
    def wanted(self) -> str:
        return _("a table with the keys {keys}").format(keys=", ".join(self.required) or "…")

    def bad(self, value: Any, place: str) -> Iterator[UnfitError]:
        if type(value) is not dict or len(value) > self.most or not self.required.keys() <= value.keys():
            yield UnfitError(place, value, self.wanted)
            return
        for key, entry in value.items():
            kind = self.required.get(key) or self.optional.get(key) or self.other
            where = f"{place}.{shortened(clean(str(key)), 60)}"
            if kind is None:
                yield UnfitError(where, entry, self.wanted)
            else:
                yield from kind.bad(entry, where)

    def all_fit(self, values: Sequence[Any]) -> bool:
        return not any(True for value in values for _problem in self.bad(value, ""))


@dataclass(frozen=True, slots=True)
class Keyed:
    """A JSON object of one of two forms, which a key tells apart."""

    key: str
    having: JsonObject
    """The form of an object that has the key."""
    lacking: JsonObject

    @property
    def wanted(self) -> str:
        return self.lacking.wanted

    def bad(self, value: Any, place: str) -> Iterator[UnfitError]:
        has = type(value) is dict and self.key in value
        yield from (self.having if has else self.lacking).bad(value, place)

    def all_fit(self, values: Sequence[Any]) -> bool:
        return not any(True for value in values for _problem in self.bad(value, ""))


@dataclass(frozen=True, slots=True)
class Plain:
    """Any JSON value, for values that are only displayed; :func:`foreign_json.parsed` bounds size and depth."""

    wanted: str = N_("a value")

    def bad(self, value: Any, place: str) -> Iterator[UnfitError]:
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**63:
            yield UnfitError(place, value, _(self.wanted))
        elif isinstance(value, list):
            for number, entry in enumerate(value):
                yield from self.bad(entry, f"{place}[{number}]")
        elif isinstance(value, dict):
            for key, entry in value.items():
                yield from self.bad(entry, f"{place}.{shortened(clean(str(key)), 60)}")

    def all_fit(self, values: Sequence[Any]) -> bool:
        return not any(True for value in values for _problem in self.bad(value, ""))


def hold(kind: Kind, value: Any, place: str) -> None:
    """Raise :class:`UnfitError` for the first error in a value, if there is one."""
    for problem in kind.bad(value, place):
        raise problem
