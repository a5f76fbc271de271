"""Parses references to recorded figures, such as ``val_loss of He at best``, and comparisons between them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bntui.keyframe import LAYER_COLUMNS
from bntui.text.language import _

OF_RUN: Final = (
    "epoch", "step", "lr", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "wait", "best", "best_epoch",
    "gap", "gradient_ratio",
)  # fmt: skip
"""Figures of a run: scalars of a keyframe; ``gap`` is the validation loss minus the training loss, ``gradient_ratio``
the norm of the first layer's weight gradient divided by the last layer's."""
PLACES: Final = ("start", "end", "best", "first bad")
"""Places in a run: its first and last keyframe, its best epoch, and its first NaN, infinite value or dead gradient."""
OPERATOR: Final = "<=|>=|<|>"
"""What compares figures, for a regular expression."""
_REFERENCE: Final = re.compile(
    r"(?P<figure>[a-z_0-9.]+)(?:\[(?P<layer>[^\]]+)\])?(?: of (?P<run>.+?))?"
    r"(?: at (?P<place>start|end|best|first bad|\d+(?:\.\d+)?))?"
)
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_COMPARISON: Final = re.compile(rf"(.+?)\s*({OPERATOR})\s*(?:(\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?:\s*\*\s*)?)?(.*)")

Place = str | float
"""One of ``PLACES``, or an epoch."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A figure of a run at a place; what is not given is that of the stop of a tour that it stands in."""

    figure: str
    layer: str | None = None
    run: str | None = None
    place: Place | None = None

    def __str__(self) -> str:
        return self.figure + (f"[{self.layer}]" if self.layer else "")


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left < factor * right``, or with another operator; without ``right``, compared with the factor itself."""

    left: Reference
    operator: str
    factor: float
    right: Reference | None = None

    def holds(self, left: float, right: float = 1.0) -> bool:
        """Compare values of the references; a value that is not a number fulfils nothing."""
        limit = self.factor * right
        if math.isnan(left) or math.isnan(limit):
            return False
        return {"<": left < limit, ">": left > limit, "<=": left <= limit, ">=": left >= limit}[self.operator]


def reference(text: str) -> Reference:
    """Parse a reference.

    Raises:
        ValueError: it is not one, or names a figure that is not recorded.
    """
    found = _REFERENCE.fullmatch(text.strip())
    if found is None:
        raise ValueError(_("{text!r} is not a figure; write FIGURE[LAYER] of RUN at PLACE").format(text=text))
    figure, layer, place = found["figure"], found["layer"], found["place"]
    known = LAYER_COLUMNS if layer else OF_RUN
    if figure not in known:
        sentence = _("there is no figure {figure!r}; the figures are {names}")
        raise ValueError(sentence.format(figure=figure, names=", ".join(known)))
    at: Place | None = float(place) if place and place[0].isdigit() else place
    return Reference(figure, layer, found["run"], at)


def references(text: str) -> Iterator[tuple[str, Reference]]:
    """The placeholders of a text in braces, and what they refer to.

    Raises:
        ValueError: one of them is not a reference.
    """
    for found in _PLACEHOLDER.finditer(text):
        yield found[0], reference(found[1])


def comparison(text: str) -> Comparison:
    """Parse a comparison, such as ``gradient_ratio < 1e-3`` or ``val_loss of He < 0.5 * val_loss of plain``.

    Raises:
        ValueError: it is not one.
    """
    found = _COMPARISON.fullmatch(text.strip())
    if found is None or not (found[3] or found[4]):
        raise ValueError(_("{text!r} is not a comparison; write FIGURE < NUMBER or FIGURE > FIGURE").format(text=text))
    return Comparison(
        reference(found[1]),
        found[2],
        float(found[3]) if found[3] else 1.0,
        reference(found[4]) if found[4] else None,
    )
