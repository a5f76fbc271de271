"""Finds trouble in a keyframe, such as a non-finite figure or a dead gradient, by the rules behind the events."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bntui.audit.course import Row
from bntui.keyframe import Keyframe

DEAD_BELOW: Final = 1e-8
"""A layer's gradient is dead if its weight gradient's norm is below this fraction of the last layer's."""
ASKS: Final = 1.17549435e-38 / DEAD_BELOW
"""A norm at or above this is not rounding: ``DEAD_BELOW`` times it is still a normal float32."""
QUANTITIES: Final = {
    "input": "input",
    "pre_norm": "pre-activation",
    "normalized": "normalized values",
    "output": "output",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an event about a keyframe must report."""

    layer: str
    quantity: str = ""
    value: str = ""
    ratio: float = math.nan
    sure: bool = True
    """True if an event must report it; otherwise an event may."""

    def told_by(self, figures: Mapping[str, Any]) -> bool:
        """True if these figures of an event report it."""
        if figures.get("layer") != self.layer:
            return False
        if self.quantity:
            return figures.get("quantity") == self.quantity and figures.get("value") == self.value
        ratio = figures.get("ratio")
        if ratio is None:  # a gradient that is exactly 0 is reported without a ratio
            return self.ratio == 0
        return isinstance(ratio, int | float) and abs(ratio - self.ratio) <= 1e-9 * self.ratio


def word(value: float) -> str:
    """The word for a value that is not finite."""
    return "NaN" if math.isnan(value) else "infinite"


def first_bad(row: Row) -> list[Trouble]:
    """The first NaN or infinite figure: forward through the layers, the loss, backward, then what follows."""
    layers = () if row.frame is None else row.frame.layers
    for layer, quantity, value in () if row.frame is None else _figures(row.frame):
        if not math.isfinite(value):
            return [Trouble(layer, quantity, word(value))]
    last = layers[-1].name if layers else ""
    for name, quantity in (("val_loss", "validation loss"), ("train_loss", "loss")):
        value = row.scalars[name]
        if last and not math.isfinite(value):
            return [Trouble(last, quantity, word(value))]
    return []


def _figures(frame: Keyframe) -> Iterator[tuple[str, str, float]]:
    for layer in frame.layers:
        for name, words in QUANTITIES.items():
            values = getattr(layer, name)
            if values is not None:
                yield layer.name, words, values.max if math.isfinite(values.min) else values.min
    yield frame.layers[-1].name, "loss", frame.batch_loss
    for layer in reversed(frame.layers):
        yield layer.name, "activation gradient", layer.activation_gradient_norm
        yield layer.name, "weight gradient", layer.weight_gradient_norm


def dead(row: Row) -> list[Trouble]:
    """Layers, from last to first, whose weight gradient is 0 or negligible compared with the output layer's.

    The first of them must be reported if its ratio is not rounding.  One mini-batch does not show whether a gradient
    that is exactly 0 is 0 for every training sample or only by chance.
    """
    if row.frame is None:
        return []
    *earlier, last = row.frame.layers
    beside, asks = last.weight_gradient_norm, last.activation_gradient_norm
    found: list[Trouble] = []
    for layer in reversed(earlier):
        norm = layer.weight_gradient_norm
        if norm == 0:
            found.append(Trouble(layer.name, ratio=0.0, sure=False))
        elif 0 < beside < math.inf and norm / beside < DEAD_BELOW:
            sure = not found and min(beside, asks) >= ASKS and math.isfinite(asks)
            found.append(Trouble(layer.name, ratio=norm / beside, sure=sure))
    return found
