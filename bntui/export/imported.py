"""Turns what event files say into runs of a recording: scalars into curves, histograms into layers.

A tag that bntui exports comes back as the figure that it was.  Other scalars are recognized by their usual names, and
of other histograms each becomes a layer with an output.  What a recording has no place for is left out and named.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np

from bntui.distributions import UNMEASURED
from bntui.export.logged import Buckets, Logged
from bntui.export.thinned import thinned
from bntui.keyframe import (
    HISTOGRAM_BINS,
    LAYER_COLUMNS,
    QUANTITIES,
    CountArray,
    Distribution,
    Foreign,
    Keyframe,
    LayerMeasures,
)
from bntui.recording.history import LayerInfo

MOST_ROWS: Final = 100_000
"""Rows of a run; of more, :func:`thinned` chooses."""
MOST_LAYERS: Final = 500
_HELD_OUT: Final = "(val|valid|validation|eval|test)"
_TRAINING: Final = "(train|training)"
_ACCURACY: Final = "acc(uracy)?"
FIGURES: Final[Mapping[str, str]] = {
    "lr": "(.*[/_])?(lr|learning_rate)([-/_].*)?",
    "val_loss": f"{_HELD_OUT}[/_](epoch_)?loss(_epoch)?|loss[/_]{_HELD_OUT}",
    "val_accuracy": f"{_HELD_OUT}[/_](epoch_)?{_ACCURACY}(_epoch)?|{_ACCURACY}[/_]{_HELD_OUT}",
    "train_loss": f"({_TRAINING}[/_])?(epoch_)?loss(_epoch)?|loss[/_]{_TRAINING}",
    "train_accuracy": f"({_TRAINING}[/_])?(epoch_)?{_ACCURACY}(_epoch)?|{_ACCURACY}[/_]{_TRAINING}",
    "batch_loss": f"({_TRAINING}[/_])?(loss_step|(batch|step|iter)_loss)",
}
"""Usual names of the figures of a row, as regular expressions without case."""
_OF_TEST: Final = re.compile("(.*[/_])?test([/_].*)?", re.IGNORECASE)
"""Figures of the test set, where there is a validation set, too, are not those of the validation set."""
_KNOWN: Final = frozenset({"wall_time"})
"""What each event says anyway."""
_NONE: Final = LayerInfo("no layers", Foreign("none"), (1,), "none", "none", 0.0, 0)
"""A layer of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Imported:
    """One run, as it will be recorded."""

    layers: tuple[LayerInfo, ...]
    steps: tuple[int, ...]
    rows: Iterator[Keyframe]
    """One for each step."""
    unused: tuple[str, ...]
    """Tags that a recording has no place for, also of images and texts."""
    every: int
    """1, or of how many rows one is kept where a figure was logged often."""


def imported(logged: Logged, run: int, steps_per_epoch: int | None, named: Mapping[str, str]) -> Imported | None:
    """What is known of a run; None if nothing is.

    Args:
        named: the figures of some tags, instead of those that their names suggest.
    """
    scalars, of_layers, unused = _sorted(logged, named)
    every = tuple(dict.fromkeys([*of_layers, *(_layer_of(tag)[0] for tag in logged.histograms)]))
    unused += [f"{name}/…" for name in every[MOST_LAYERS:]]
    unused += logged.others.keys() - logged.scalars.keys() - logged.histograms.keys()
    layers = [_Layer(name, of_layers.get(name, {}), logged.histograms) for name in every[:MOST_LAYERS]]
    known = (scalars.values(), *(layer.known() for layer in layers))
    kept, stride = thinned((values for one in known for values in one if values), MOST_ROWS)
    if not kept:
        return None
    began = min(filter(math.isfinite, logged.times.values()), default=math.nan)

    def row(step: int) -> Keyframe:
        told: dict[str, Any] = {name: scalars.get(name, {}).get(step, math.nan) for name in FIGURES}
        wall = logged.times.get(step, math.nan) - began
        return Keyframe(
            run=run, step=step, epoch=step / (steps_per_epoch or 1), wall_time=wall if wall >= 0 else math.nan,
            batch_indices=np.empty(0, np.int64), layers=tuple(layer.at(step) for layer in layers) or (_NOTHING,),
            early_stopping=None, weights_digest="", **told,
        )  # fmt: skip

    infos = tuple(layer.info for layer in layers) or (_BARE,)
    return Imported(infos, kept, map(row, kept), tuple(sorted(unused)), stride)


Values = dict[int, float]


def _sorted(
    logged: Logged, named: Mapping[str, str]
) -> tuple[dict[str, Values], dict[str, dict[str, Values]], list[str]]:
    """The scalars by figure, those of layers by layer and column, and the tags that are left."""
    scalars: dict[str, Values] = {}
    of_layers: dict[str, dict[str, Values]] = {}
    unused = []
    for tag, values in sorted(logged.scalars.items(), key=lambda item: _rank(item[0], named)):
        layer, _slash, column = tag.rpartition("/")
        figure = named.get(tag) or next((name for name in FIGURES if _is(name, tag)), None)
        if figure is not None and figure not in scalars:
            scalars[figure] = {step: _bounded(figure, value) for step, value in values.items()}
        elif layer and column in LAYER_COLUMNS:
            of_layers.setdefault(layer, {})[column] = values
        elif tag not in _KNOWN:
            unused.append(tag)
    return scalars, of_layers, unused


def _rank(tag: str, named: Mapping[str, str]) -> int:
    """Of several tags that may be the same figure, the one with the lowest rank is."""
    return 0 if tag in named else 1 if tag in FIGURES else 3 if _OF_TEST.fullmatch(tag) else 2


def left_over(logged: Logged) -> tuple[str, ...]:
    """The tags of a run of which nothing is recorded."""
    return tuple(sorted({*logged.scalars, *logged.histograms, *logged.others} - _KNOWN))


def _is(figure: str, tag: str) -> bool:
    return tag == figure or re.fullmatch(FIGURES[figure], tag, re.IGNORECASE) is not None


def _bounded(figure: str, value: float) -> float:
    """A learning rate that is not one is not known."""
    return math.nan if figure == "lr" and not (math.isfinite(value) and value >= 0) else value


def _layer_of(tag: str) -> tuple[str, str]:
    """Layer and quantity of a histogram's tag."""
    layer, _slash, quantity = tag.rpartition("/")
    return (layer, quantity) if layer and quantity in QUANTITIES else (tag, "output")


class _Layer:
    """What is known of one layer, by step."""

    def __init__(
        self, name: str, columns: Mapping[str, Values], histograms: Mapping[str, Mapping[int, Buckets]]
    ) -> None:
        self._columns = columns
        self._histograms = {
            quantity: values
            for tag, values in histograms.items()
            for layer, quantity in (_layer_of(tag),)
            if layer == name
        }
        groups = {column.partition(".")[0] for column in columns} | set(self._histograms)
        never = tuple(sorted(column for column in LAYER_COLUMNS if column in _SINGLE and column not in columns))
        self.info = replace(
            _NONE, name=name, kind=Foreign("imported"), norm="norm" if "normalized" in groups else "none",
            # with no activation, the screen shows what would enter it: that is then the output
            activation="unknown" if {"pre_norm", "normalized"} & groups else "none", absent=never,
        )  # fmt: skip
        self._nothing = _unknown(self.info)

    def known(self) -> Iterable[Mapping[int, Any]]:
        """Everything that is known, by step."""
        return (*self._columns.values(), *self._histograms.values())

    def at(self, step: int) -> LayerMeasures:
        """Its measures at a step."""
        told: dict[str, dict[str, float]] = {}
        for column, values in self._columns.items():
            if step in values:
                group, _dot, figure = column.rpartition(".")
                told.setdefault(group, {})[figure] = values[step]
        found: dict[str, Any] = dict(told.get("", {}))
        for quantity in QUANTITIES:
            buckets = self._histograms.get(quantity, {}).get(step)
            statistics = told.get(quantity, {})
            if buckets is not None or statistics:
                found[quantity] = distribution(buckets, statistics)
        if self.info.activation == "none" and "output" in found:
            found["pre_norm"] = found["output"]
        return replace(self._nothing, **found)


def distribution(buckets: Buckets | None, statistics: Mapping[str, float]) -> Distribution:
    """What is known of a quantity: its histogram in as many bins as a recording has, and its statistics.

    Counts go to the bins in proportion to what they cover; buckets that are these bins already are not changed.
    Percentiles are NaN unless they are among the statistics: a histogram does not determine them.
    """
    if buckets is None:
        found: dict[str, Any] = {"min": math.nan, "max": math.nan, **statistics}
        return replace(UNMEASURED, **found)
    filled = np.flatnonzero(buckets.counts)
    low, high = float(buckets.edges[filled[0]]), float(buckets.edges[filled[-1] + 1])
    known: dict[str, Any] = {"mean": buckets.mean, "std": buckets.std, "min": low, "max": high, **statistics}
    return replace(UNMEASURED, **known, counts=_rebinned(buckets, low, high))


def _rebinned(buckets: Buckets, low: float, high: float) -> CountArray:
    counts = np.zeros(HISTOGRAM_BINS, np.int32)
    total = round(float(buckets.counts.sum()))
    if high == low:
        counts[-1] = total  # the last bin is closed
        return counts
    below = np.concatenate([[0.0], np.cumsum(buckets.counts)])
    edges, last = np.unique(buckets.edges[::-1], return_index=True)  # of equal edges, the last one counts all below
    summed = below[len(below) - 1 - last]
    shares = np.interp(np.linspace(low, high, HISTOGRAM_BINS + 1), edges, summed)
    shares[-1] = summed[-1]
    binned: CountArray = np.diff(np.rint(shares)).astype(np.int32)
    return binned


def _unknown(info: LayerInfo) -> LayerMeasures:
    """The measures of a layer of which nothing is known."""
    nothing: dict[str, Any] = {one.name: math.nan for one in fields(LayerMeasures)}
    nothing |= {"name": info.name, "kind": info.kind, "batch_norm": None, "dropout": None}
    nothing |= dict.fromkeys(QUANTITIES, UNMEASURED)
    if info.norm == "none":
        nothing["normalized"] = None
    return LayerMeasures(**nothing)


_SINGLE: Final = frozenset(name for name in LAYER_COLUMNS if "." not in name and not name.startswith("unit_"))
"""Figures of a layer that are single numbers, and that a layer may not have."""
_BARE: Final = replace(_NONE, absent=tuple(sorted(_SINGLE)))
"""The layer of a run of which only scalars are known: none of its figures is, which is not that they are NaN."""
_NOTHING: Final = _unknown(_BARE)
