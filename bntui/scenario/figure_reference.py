"""Parses the figures of a tour, such as ``val_loss of He at best``, and comparisons between them.

What a figure does not say is that of the stop that it stands in: its run and its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bntui.scenario.figures import Comparison, Grammar, Quantity

PLACES: Final = ("start", "end", "best", "first bad")
"""Places in a run: its first and last keyframe, its best epoch, and its first NaN, infinite value or dead gradient."""
GRAMMAR: Final = Grammar(PLACES, None, whole=False)
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


def references(text: str) -> Iterator[tuple[str, Quantity]]:
    """The placeholders of a text in braces, and what they refer to.

    Raises:
        ValueError: one of them is not a figure.
    """
    for found in _PLACEHOLDER.finditer(text):
        yield found[0], GRAMMAR.quantity(found[1])


def comparison(text: str) -> Comparison:
    """Parse a comparison, such as ``gradient_ratio < 1e-3`` or ``val_loss of He < 0.5 * val_loss of plain``.

    Raises:
        ValueError: it is not one.
    """
    return GRAMMAR.comparison(text)
