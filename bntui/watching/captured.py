"""What was captured of the layers in a step: arrays, figures and words, of which the measures are computed.

Nothing here needs the library that trained: what is captured can be measured in another process, see ``hand_over.py``.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.activity import dead_fraction, saturated_fraction
from bntui.distributions import (
    UNMEASURED,
    Values,
    distributions,
    percentiles,
    unit_percentiles,
)
from bntui.keyframe import UNIT_STATISTICS, BatchNorm, Distribution, DropoutMask, Foreign, LayerMeasures

_NO_UNIT: Final = dict.fromkeys(UNIT_STATISTICS, math.nan)

ABSENT_IF_NOT_CALLED: Final = frozenset({
    "weight_norm", "weight_gradient_norm", "activation_gradient_norm", "update_ratio", "dead_fraction",
    "saturated_fraction", *UNIT_STATISTICS,
})  # fmt: skip
"""Figures of a layer that was not called in a step."""


@dataclass(frozen=True)
class Reduced:
    """The figures of a tensor that is too large to be copied, reduced on its device."""

    mean: float
    std: float
    """Population standard deviation."""
    low: float
    high: float
    counts: NDArray[np.int64]
    sample: Values
    """An even sample of its values, for percentiles."""


Captured = Values | Reduced


@dataclass(frozen=True)
class CapturedLayer:
    """What one call of a layer, and what followed it, gave; fields that nothing was seen of keep their defaults."""

    name: str
    kind: str
    normed: bool
    """A normalization follows, or is the layer."""
    activation: str = "none"
    axis: int = -1
    """Axis of the units in what the layer, or its normalization, gives."""
    units: tuple[int, int, int] | None = None
    """A shape of the output in which its units are along the middle axis; None if they cannot be told apart."""
    input: int | None = None
    """Its quantities, as their places among the values of the step; layers may share them."""
    pre_norm: int | None = None
    normalized: int | None = None
    output: int | None = None
    unit: Values | None = None
    """Values of the first unit that enter the activation, where they cannot be taken from the others."""
    weight_norm: float = math.nan
    weight_gradient_norm: float = math.nan
    activation_gradient_norm: float = math.nan
    update_ratio: float = math.nan
    dead: float = math.nan
    """Share of dead units of an output that was reduced."""
    saturated: float = math.nan
    batch_norm: BatchNorm | None = None
    dropout: DropoutMask | None = None

    def measures(self, values: Sequence[Captured], known: Sequence[Distribution]) -> LayerMeasures:
        """Its measures.

        Args:
            values: those of the step.
            known: the distribution of each.
        """

        def of(place: int | None) -> Distribution:
            return UNMEASURED if place is None else known[place]

        dead, saturated = self.dead, self.saturated
        if self.output is not None and isinstance(output := values[self.output], np.ndarray):
            dead = math.nan if self.units is None else dead_fraction(self.activation, output.reshape(self.units), 1)
            saturated = saturated_fraction(self.activation, output)
        last = next((one for one in (self.output, self.normalized, self.pre_norm) if one is not None), None)
        return LayerMeasures(
            name=self.name,
            kind=Foreign(self.kind),
            input=of(self.input),
            pre_norm=of(self.pre_norm),
            normalized=of(self.normalized) if self.normed else None,
            output=of(last),
            weight_norm=self.weight_norm,
            weight_gradient_norm=self.weight_gradient_norm,
            activation_gradient_norm=self.activation_gradient_norm,
            update_ratio=self.update_ratio,
            dead_fraction=dead,
            saturated_fraction=saturated,
            batch_norm=self.batch_norm,
            dropout=self.dropout,
            **self._unit(values),
        )

    def _unit(self, values: Sequence[Captured]) -> dict[str, float]:
        """Percentiles of what enters the activation of the first unit."""
        unit, place = self.unit, self.pre_norm if self.normalized is None else self.normalized
        if unit is None and place is not None:
            entered = values[place]
            if isinstance(entered, np.ndarray) and entered.ndim:
                unit = entered.take([0], axis=self.axis)
        return _NO_UNIT if unit is None or not unit.size else unit_percentiles(unit)


@dataclass(frozen=True)
class CapturedStep:
    """The layers of a step; see :class:`bntui.watching.layers.StepLayers`."""

    values: tuple[Captured, ...]
    """Their quantities."""
    layers: tuple[CapturedLayer, ...]
    absent: tuple[frozenset[str], ...]

    def measured(self) -> tuple[LayerMeasures, ...]:
        """The measures of each layer; quantities that layers share are measured once."""
        with np.errstate(all="ignore"):  # the figures of a diverging network overflow
            known = described(self.values)
            return tuple(layer.measures(self.values, known) for layer in self.layers)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle plain tuples, and the memory of arrays, which is far less work than pickling objects of classes."""
        bare = [
            (pickle.PickleBuffer(one.data), one.shape)
            if isinstance(one, np.ndarray) and one.dtype == np.float32 and one.flags.c_contiguous and one.size
            else one
            for one in self.values
        ]
        return _unpickled, (bare, [tuple(layer.__dict__.values()) for layer in self.layers], self.absent)


def _unpickled(bare: Sequence[Any], layers: Sequence[tuple[Any, ...]], absent: Any) -> CapturedStep:
    values = (np.frombuffer(one[0], np.float32).reshape(one[1]) if isinstance(one, tuple) else one for one in bare)
    return CapturedStep(tuple(values), tuple(CapturedLayer(*fields) for fields in layers), absent)


def described(values: Sequence[Captured]) -> list[Distribution]:
    """The distribution of each quantity."""
    of_whole = iter(distributions([one for one in values if isinstance(one, np.ndarray)]))
    return [next(of_whole) if isinstance(one, np.ndarray) else _of_reduced(one) for one in values]


def _of_reduced(one: Reduced) -> Distribution:
    sound = math.isfinite(one.low) and math.isfinite(one.high)
    p15, p50, p85 = percentiles(one.sample) if sound else [math.nan] * 3
    return Distribution(one.mean, one.std, p15, p50, p85, one.low, one.high, one.counts.astype(np.int32))
