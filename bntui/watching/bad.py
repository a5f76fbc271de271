"""Finds the first value of a run that is NaN or infinite, once the layers of a row are measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bntui.keyframe import QUANTITIES, LayerMeasures
from bntui.recording import sentences
from bntui.recording.history import Event
from bntui.recording.sentences import ACTIVATION_GRADIENT, LOSS, QUANTITY_WORDS, VALIDATION_LOSS, WEIGHT_GRADIENT

Absent = Sequence[frozenset[str]]
"""Of each layer, the figures that nobody measured."""


@dataclass(frozen=True)
class BadSearch:
    """A place among the events of a row where the first bad value is to be named, if it is one of these."""

    step: int
    epoch: float
    last: str
    """The layer that an event about a loss names."""
    loss: float | None
    val_loss: float | None
    layers: bool
    """The layers of the row are looked at too."""


class FirstBad:
    """Names the first value of a run that is not finite, once.

    Args:
        found: it is named already.
    """

    def __init__(self, *, found: bool = False) -> None:
        self._found = found

    def events(
        self, told: Sequence[Event | BadSearch], layers: Sequence[LayerMeasures], absent: Absent
    ) -> tuple[Event, ...]:
        """The events of a row, with one in place of the search that finds a bad value."""
        events = ((one if isinstance(one, Event) else self._search(one, layers, absent)) for one in told)
        return tuple(event for event in events if event is not None)

    def _search(self, search: BadSearch, layers: Sequence[LayerMeasures], absent: Absent) -> Event | None:
        if self._found:
            return None
        figures = _figures(search, layers if search.layers else (), absent)
        bad = next((figure for figure in figures if not math.isfinite(figure[2])), None)
        if bad is None:
            return None
        self._found = True
        layer, quantity, value = bad
        word = sentences.NAN if math.isnan(value) else sentences.INFINITE
        known = {"step": search.step, "epoch": search.epoch, "layer": layer, "quantity": quantity, "value": word}
        return Event.of(0, search.step, search.epoch, "first_bad", sentences.FIRST_BAD, **known)


def _figures(search: BadSearch, layers: Sequence[LayerMeasures], absent: Absent) -> Iterator[tuple[str, str, float]]:
    """Layer, quantity and a value that is finite only if the whole quantity is, in the order of the forward pass, the
    backward pass, and the validation."""
    for layer in layers:
        for name in QUANTITIES:
            values = getattr(layer, name)
            if values is not None and not values.empty:
                bad = values.min if not math.isfinite(values.min) else values.max
                yield layer.name, QUANTITY_WORDS.get(name, name), bad
    if search.loss is not None:
        yield search.last, LOSS, search.loss
    for layer, missing in zip(reversed(layers), reversed(absent), strict=False):
        for quantity, field in ((ACTIVATION_GRADIENT, "activation_gradient_norm"),
                                (WEIGHT_GRADIENT, "weight_gradient_norm")):  # fmt: skip
            if field not in missing:
                yield layer.name, quantity, getattr(layer, field)
    if search.val_loss is not None:
        yield search.last, VALIDATION_LOSS, search.val_loss
