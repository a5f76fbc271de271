"""Compares the numbers that a claim's sentence states with those of its comparison, so that they cannot drift apart.

A sentence may say ``90 %`` for 0.9, ``five points`` for 0.05, ``a tenth`` or ``10분의 1`` for a factor of 0.1, and
repeat what the runs are called.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from bntui.scenario.figures import Comparison

_WORDS: Final = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100,
    "한": 1, "두": 2, "세": 3, "네": 4, "다섯": 5, "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9, "열": 10, "스무": 20,
    "서른": 30, "마흔": 40, "쉰": 50,
}  # fmt: skip
_PARTS: Final = {
    "half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10, "twentieth": 20, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
_NUMBER: Final = r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_UNIT: Final = r"points?|percent|%포인트|%|times|배|samples?|epochs?|에포크|개"
_FOUND: Final = re.compile(
    rf"(?P<of>{_NUMBER})\s*분의\s*(?P<part>{_NUMBER})"
    rf"|(?<![\w.])(?P<over>\d+)/(?P<under>\d+)(?!\d)"
    rf"|(?:(?P<whole>{'|'.join(_WORDS)}) and )?\b(?:a|an|one) (?P<fraction>{'|'.join(_PARTS)})\b"
    r"(?!\s+(?!(?:of|as|times)\b)\w)"  # a third run is no part of one
    rf"|(?P<twice>\b(?:twice|doubles?|doubled)\b)|(?P<half>절반)"
    rf"|(?<![\w.])(?P<number>{_NUMBER})(?:(?:\s|-)*(?P<unit>{_UNIT}))?"
    rf"|(?<!\w)(?P<word>{'|'.join(_WORDS)})(?:\s|-)+(?P<counted>{_UNIT})",
    re.IGNORECASE,
)
_NEAR: Final = 0.01
"""A third is written as 0.333."""


class Stated(NamedTuple):
    """A number in a sentence."""

    words: str
    value: float
    counted: bool = True
    """It has a unit, or is a part or a multiple of something."""


def stated(sentence: str) -> Iterator[Stated]:
    """The numbers in a sentence, in digits or words: shares as such, parts and multiples as factors."""
    for found in _FOUND.finditer(sentence):
        part = found.groupdict()
        words = found[0].strip()
        if part["of"]:
            yield Stated(words, _read(part["part"]) / (_read(part["of"]) or math.nan))
        elif part["over"]:
            yield Stated(words, int(part["over"]) / (int(part["under"]) or math.nan))
        elif part["fraction"]:
            yield Stated(words, _WORDS.get((part["whole"] or "").lower(), 0) + 1 / _PARTS[part["fraction"].lower()])
        elif part["twice"]:
            yield Stated(words, 2.0)
        elif part["half"]:
            yield Stated(words, 0.5)
        elif part["number"]:
            unit = part["unit"] or ""
            yield Stated(words, _read(part["number"]) / _divisor(unit), bool(unit))
        else:
            yield Stated(words, _WORDS[part["word"].lower()] / _divisor(part["counted"]))


def unfounded(sentence: str, compared: Comparison, names: Mapping[str, str]) -> list[str]:
    """The numbers of a claim's sentence that are none of its comparison's, nor of the names in it.

    Args:
        names: what its runs are called in the language of the sentence.
    """
    known = set(_compared(compared))
    for used in compared.quantities:
        for name in (used.run or "", names.get(used.run or "", ""), used.layer or ""):
            known |= {one.value for one in stated(name.replace("×", " "))}
    return [one.words for one in stated(sentence) if not near(one.value, known)]


def near(value: float, known: Collection[float]) -> bool:
    """Whether a number is one of these, as far as they are written out."""
    return any(math.isclose(value, one, rel_tol=_NEAR, abs_tol=1e-12) for one in known)


def sentences(
    texts: Sequence[str], said: Mapping[str, Sequence[str]], runs: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, int, str, Mapping[str, str]]]:
    """Every sentence of the claims: the path of its key, its number, the words, and what runs are called there.

    Args:
        texts: the sentences as they are written in the scenario.
        said: their translations, by language.
        runs: the translated names of the runs, by language.
    """
    yield from ((f"claim[{number}].text", number, text, {}) for number, text in enumerate(texts))
    for language, translated in said.items():
        for number, text in enumerate(translated):
            yield f"translation.{language}.claim[{number}]", number, text, runs.get(language, {})


def _compared(compared: Comparison) -> Iterator[float]:
    """The numbers of a comparison, and a factor the other way round."""
    if compared.right is None or compared.plus:
        yield abs(compared.plus)
    if compared.factor not in (0.0, 1.0):
        yield from (compared.factor, 1 / compared.factor)
    for used in compared.quantities:
        if used.operator:
            yield used.threshold
        if isinstance(used.place, float):
            yield used.place


def _read(number: str) -> float:
    return float(number.replace(",", ""))


def _divisor(unit: str) -> int:
    return 100 if unit.lower().startswith(("point", "%", "percent")) else 1
