"""Finds the first value of a step that is NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bntui.keyframe import QUANTITIES
from bntui.recording import sentences
from bntui.recording.sentences import ACTIVATION_GRADIENT, LOSS, QUANTITY_WORDS, VALIDATION_LOSS, WEIGHT_GRADIENT
from bntui.watching.layers import Layer


@dataclass(frozen=True, slots=True)
class Bad:
    """A quantity that is not finite."""

    layer: str
    quantity: str
    value: float

    def arguments(self) -> dict[str, Any]:
        """The figures of the sentence ``FIRST_BAD``, but for the step."""
        word = sentences.NAN if math.isnan(self.value) else sentences.INFINITE
        return {"layer": self.layer, "quantity": self.quantity, "value": word}


def first_bad(layers: Sequence[Layer], last: str, loss: float | None, val_loss: float | None) -> Bad | None:
    """The first quantity that is not finite, in the order of the forward pass, the backward pass, and the validation.

    Args:
        last: the layer that an event about a loss names.
    """
    figures = _figures(layers, last, loss, val_loss)
    return next((Bad(*figure) for figure in figures if not math.isfinite(figure[2])), None)


def _figures(
    layers: Sequence[Layer], last: str, loss: float | None, val_loss: float | None
) -> Iterator[tuple[str, str, float]]:
    """Layer, quantity and a value that is finite only if the whole quantity is."""
    for layer in layers:
        for name in QUANTITIES:
            values = getattr(layer.measures, name)
            if values is not None and not values.empty:
                bad = values.min if not math.isfinite(values.min) else values.max
                yield layer.info.name, QUANTITY_WORDS.get(name, name), bad
    if loss is not None:
        yield last, LOSS, loss
    for layer in reversed(layers):
        for quantity, field in ((ACTIVATION_GRADIENT, "activation_gradient_norm"),
                                (WEIGHT_GRADIENT, "weight_gradient_norm")):  # fmt: skip
            if field not in layer.absent:
                yield layer.info.name, quantity, getattr(layer.measures, field)
    if val_loss is not None:
        yield last, VALIDATION_LOSS, val_loss
