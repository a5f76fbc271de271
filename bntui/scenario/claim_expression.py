"""Parses what a claim compares, such as ``val_accuracy of batch norm > val_accuracy of plain + 0.02``.

A place is start, end (the default), best (epoch), kept (the weights that the run ends with), or a number of epochs.
"""

from __future__ import annotations

from typing import Final

from bntui.scenario.figures import Comparison, Grammar, Quantity
from bntui.text.language import _

PLACES: Final = ("start", "end", "best", "kept")
_GRAMMAR: Final = Grammar(PLACES, "end", whole=True)


def quantity(text: str) -> Quantity:
    """Parse a quantity.

    Raises:
        ValueError: it is not one, or names a figure that is not recorded.
    """
    return _GRAMMAR.quantity(text)


def comparison(text: str) -> Comparison:
    """Parse what a claim asserts.

    Raises:
        ValueError: it is not a comparison, or one that is impossible or always true.
    """
    compared = _GRAMMAR.comparison(text)
    _refuse_impossible(compared)
    return compared


def _refuse_impossible(compared: Comparison) -> None:
    left, right, limit = compared.left, compared.right, compared.plus
    known = left.known
    if right is None:
        above = known.upper is not None and limit > known.upper
        below = known.lower is not None and (limit < known.lower or (limit == 0 and compared.operator in ("<", ">=")))
        if above and known.unit == "share":
            sentence = _("{figure} is a share from 0 to 1, never above {limit:g}; write 90 % as 0.9")
            raise ValueError(sentence.format(figure=left.figure, limit=limit))
        if below:
            sentence = _("{figure} is never below 0; compared with {limit:g} it says nothing")
            raise ValueError(sentence.format(figure=left.column, limit=limit))
        return
    if left == right:
        raise ValueError(_("{figure} is compared with itself").format(figure=left))
    if right.known.unit != known.unit:
        sentence = _("{left} and {right} cannot be compared: they have different units")
        raise ValueError(sentence.format(left=left.column, right=right.column))
    if known.decades and (compared.plus or compared.factor <= 0):
        sentence = _("{figure} is compared by factors; write 0.1 * {other} instead of adding or subtracting")
        raise ValueError(sentence.format(figure=left.column, other=right))
