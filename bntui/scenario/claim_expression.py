"""Parses what a claim compares, such as ``val_accuracy of batch norm > val_accuracy of plain + 0.02``.

A place is start, end (the default), best (epoch), kept (the weights that the run ends with), or a number of epochs.
"""

from __future__ import annotations

import math
from typing import Final

from bntui.scenario.figures import OF_RUN, Comparison, Figure, Grammar, Quantity
from bntui.text.language import _

PLACES: Final = ("start", "end", "best", "kept")
_GRAMMAR: Final = Grammar(PLACES, "end", whole=True)


def quantity(text: str) -> Quantity:
    """Parse a quantity.

    Raises:
        ValueError: it is not one, or names a figure that is not recorded.
    """
    found = _GRAMMAR.quantity(text)
    _refuse_threshold(found)
    return found


def comparison(text: str) -> Comparison:
    """Parse what a claim asserts.

    Raises:
        ValueError: it is not a comparison, or one that is impossible or always true.
    """
    compared = _GRAMMAR.comparison(text)
    for used in compared.quantities:
        _refuse_threshold(used)
    _refuse_impossible(compared)
    return compared


def _refuse_threshold(used: Quantity) -> None:
    """Refuse an ``epochs_to`` whose condition is never true, or always."""
    if used.operator:
        _refuse_limit(used.figure, OF_RUN[used.figure], used.operator, used.threshold)


def _refuse_limit(name: str, known: Figure, operator: str, limit: float) -> None:
    """Refuse a comparison of a figure with a number that it never has, or never passes."""
    if not math.isfinite(limit):
        raise ValueError(_("{figure} is compared with a number that is not finite").format(figure=name))
    upper, lower = known.upper, known.lower
    above = upper is not None and (limit > upper or (limit == upper and operator in (">", "<=")))
    below = lower is not None and (limit < lower or (limit == lower and operator in ("<", ">=")))
    if above and known.unit == "share":
        sentence = _("{figure} is a share from 0 to 1, never above {limit:g}; write 90 % as 0.9")
        raise ValueError(sentence.format(figure=name, limit=limit))
    if below:
        sentence = _("{figure} is never below 0; compared with {limit:g} it says nothing")
        raise ValueError(sentence.format(figure=name, limit=limit))


def _refuse_impossible(compared: Comparison) -> None:
    left, right = compared.left, compared.right
    known = left.known
    if right is None:
        _refuse_limit(left.column, known, compared.operator, compared.plus)
        return
    if left == right:
        raise ValueError(_("{figure} is compared with itself").format(figure=left))
    if right.known.unit != known.unit:
        sentence = _("{left} and {right} cannot be compared: they have different units")
        raise ValueError(sentence.format(left=left.column, right=right.column))
    if known.decades and (compared.plus or compared.factor <= 0):
        sentence = _("{figure} is compared by factors; write 0.1 * {other} instead of adding or subtracting")
        raise ValueError(sentence.format(figure=left.column, other=right))
    if not (math.isfinite(compared.factor) and math.isfinite(compared.plus)):
        raise ValueError(_("{figure} is compared with a number that is not finite").format(figure=left.column))
    never_below = known.lower == 0 == right.known.lower and compared.plus <= 0
    if compared.factor == 0 or (compared.factor < 0 and never_below):
        sentence = _("{figure} is compared with {factor:g} times {other}, which says nothing")
        raise ValueError(sentence.format(figure=left.column, factor=compared.factor, other=right))
    if known.unit == "share" and known.lower is not None and abs(compared.plus) >= 1:
        raise ValueError(apart(left, compared.plus))


def apart(used: Quantity, plus: float) -> str:
    """Says that two shares never differ that much."""
    sentence = _("{figure} is a share from 0 to 1, and two never differ by {plus:g}; write five points as 0.05")
    return sentence.format(figure=used.column, plus=abs(plus))
