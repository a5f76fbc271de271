"""Pairs the figures of two keyframes, and computes their distance and whether they are bit-identical."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np

from bntui.keyframe import QUANTITIES, EarlyStopping, Keyframe, LayerMeasures
from bntui.measures import declarations
from bntui.text import figures
from bntui.text.language import _, spoken
from bntui.viewer.figure_names import SCALARS, name_of
from bntui.viewer.identical import Identical

FigureKind = Literal["size", "place", "share", "count", "word", "time"]
"""How figures are compared: positive sizes by their ratio, places (means) in standard deviations, and shares (from 0 to
1) by their difference.

A time has a ratio too, but says nothing about the network.
"""

FIGURE: Final = 8
"""Width of a figure in cells."""
OWN: Final = frozenset(("run", "wall_time"))
"""Fields in which keyframes of equal networks may differ: the number of the run, and the time."""


_OPTIONAL: Final = frozenset(one.field for one in declarations(LayerMeasures) if one.kept.since > 1)
"""Figures that only some recordings have."""
_fields: Final[dict[type, tuple[str, ...]]] = {}
"""Names of the fields of each part of a keyframe, as far as they were asked for."""


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """One figure of both keyframes; None for a keyframe that does not have it."""

    name: str
    kind: FigureKind
    one: float | str | None
    other: float | str | None
    spread: float = 1.0
    """For places, the larger of both standard deviations."""
    field: str = ""
    """The name by which references call it."""
    layer: str = ""

    @property
    def same(self) -> bool:
        """True if the figures are bit-identical."""
        return _equal(self.one, self.other)

    @property
    def difference(self) -> float:
        """The first figure minus the other; NaN if one of them is not a number."""
        if not isinstance(self.one, float) or not isinstance(self.other, float):
            return math.nan
        return self.one - self.other

    @property
    def apart(self) -> float:
        """Distance of the figures, on a scale on which 1 is far.

        It is the difference, divided by the larger magnitude for sizes and counts, and by the spread for places.  It is
        infinite if only one figure is finite or words differ, and 0 if a keyframe does not have the figure.
        """
        if self.same or self.one is None or self.other is None:
            return 0.0
        if not isinstance(self.one, float) or not isinstance(self.other, float):
            return math.inf
        difference = abs(self.difference)
        if not math.isfinite(difference):
            return math.inf
        if self.kind == "share":
            return difference
        scale = self.spread if self.kind == "place" else max(abs(self.one), abs(self.other))
        return difference / scale if scale > 0 else math.inf if difference else 0.0

    @property
    def ratio(self) -> float:
        """The first size divided by the other, or the difference of places in spreads; NaN for other kinds."""
        if self.kind == "place":
            return self.difference / self.spread if self.spread > 0 else math.nan
        if self.kind not in ("size", "time") or not isinstance(self.one, float) or not isinstance(self.other, float):
            return math.nan
        return self.one / self.other if self.one > 0 and self.other > 0 else math.nan


@dataclass(frozen=True, slots=True)
class FigureSection:
    """Figures that belong together: those of the run, or of one layer."""

    name: str
    figures: tuple[ComparedFigure, ...]

    @property
    def layer(self) -> str:
        """Name of the layer that the figures are of; empty for those of the run."""
        return self.figures[0].layer if self.figures else ""

    @property
    def farthest(self) -> ComparedFigure:
        """The figure that differs most; of equal ones, the first."""
        return max(self.figures, key=lambda figure: figure.apart)


@dataclass(frozen=True, slots=True)
class Bits:
    """The number of measures that differ, out of all, including histograms, percentiles, masks and indices."""

    differ: int
    of: int


def written(value: float | str | None, kind: str) -> str:
    """A figure's value in at most ``FIGURE`` cells."""
    if value is None:
        return "—"
    if isinstance(value, str):
        return value[:FIGURE]  # a digest is abbreviated to its first characters
    if kind == "share":
        return figures.percent(value)
    if kind == "count" and value == round(value) and abs(value) < 1e6:
        return figures.count(round(value))
    return figures.number(value, FIGURE, 2 if kind == "count" else 4)


def sections(one: Keyframe, other: Keyframe, task: str) -> tuple[FigureSection, ...]:
    """All figures: those of the run, then those of each layer; layers that only the other run has come last."""
    return (FigureSection("", tuple(_of_run(one, other, task))), *of_layers(one, other))


def of_layers(one: Keyframe, other: Keyframe) -> tuple[FigureSection, ...]:
    """The figures of each layer, which are paired once for the same keyframes."""
    return _of_layers(Identical(one), Identical(other), spoken())


@lru_cache(maxsize=2)
def _of_layers(one: Identical[Keyframe], other: Identical[Keyframe], _language: str) -> tuple[FigureSection, ...]:
    theirs = {layer.name: layer for layer in other.value.layers}
    own = {layer.name: layer for layer in one.value.layers}
    names = [*own, *(name for name in theirs if name not in own)]
    return tuple(FigureSection(name, tuple(_of_layer(name, own.get(name), theirs.get(name)))) for name in names)


@dataclass(frozen=True, slots=True)
class FarthestFigure:
    """The figure of a layer that differs most."""

    figure: ComparedFigure
    apart: float


def farthest(one: Keyframe, other: Keyframe) -> Mapping[str, FarthestFigure]:
    """The figure of each layer that differs most, which is found once for the same keyframes."""
    return _farthest(Identical(one), Identical(other), spoken())


@lru_cache(maxsize=2)
def _farthest(one: Identical[Keyframe], other: Identical[Keyframe], language: str) -> Mapping[str, FarthestFigure]:
    found = ((section.name, section.farthest) for section in _of_layers(one, other, language))
    return {name: FarthestFigure(figure, figure.apart) for name, figure in found}


def _of_run(one: Keyframe, other: Keyframe, task: str) -> Iterator[ComparedFigure]:
    accuracy: FigureKind = "share" if task == "classification" else "place"
    score = _("accuracy") if task == "classification" else "R²"
    training, validation = _("training {figure}"), _("validation {figure}")
    names: tuple[tuple[str, FigureKind, str], ...] = (
        (_("epoch"), "count", "epoch"),
        (_("step"), "count", "step"),
        (_("learning rate"), "size", "lr"),
        (_("gradient scale"), "count", "gradient_scale"),
        (_("batch {figure}").format(figure=_("loss")), "size", "batch_loss"),
        (training.format(figure=_("loss")), "size", "train_loss"),
        (validation.format(figure=_("loss")), "size", "val_loss"),
        (training.format(figure=score), accuracy, "train_accuracy"),
        (validation.format(figure=score), accuracy, "val_accuracy"),
        (_("seconds"), "time", "wall_time"),
    )
    for name, kind, field in names:
        values = [float(getattr(frame, field)) for frame in (one, other)]
        # a recorded loop need not report an accuracy, nor its weights
        optional = kind == "share" or field in ("lr", "gradient_scale")
        mine, theirs = (None if optional and math.isnan(value) else value for value in values)
        if mine is not None or theirs is not None:
            yield ComparedFigure(name, kind, mine, theirs, field=field)
    if one.weights_digest or other.weights_digest:
        yield ComparedFigure(_("weights"), "word", one.weights_digest or None, other.weights_digest or None)
    early, late = one.early_stopping, other.early_stopping
    monitors = dict.fromkeys(stopping.monitor for stopping in (early, late) if stopping is not None)
    if monitors:
        best = _("best {monitor}").format(monitor=", ".join(monitors))
        stopping: tuple[tuple[str, FigureKind, str], ...] = (
            (best, "size", "best"),
            (_("best epoch"), "count", "best_epoch"),
            (_("wait"), "count", "wait"),
            (_("patience"), "count", "patience"),
        )
        for name, kind, field in stopping:
            yield ComparedFigure(name, kind, _known(early, field), _known(late, field), field=field)
        ended = {None: None, 0.0: _("no"), 1.0: _("yes")}
        yield ComparedFigure(_("stopped"), "word", ended[_of(early, "stopped")], ended[_of(late, "stopped")])


def _known(stopping: EarlyStopping | None, field: str) -> float | None:
    """A figure of early stopping; before there is a best value, it is NaN, and its epoch 0 is none."""
    if stopping is None or (field in ("best", "best_epoch") and math.isnan(stopping.best)):
        return None
    return _of(stopping, field)


def _of_layer(name: str, one: LayerMeasures | None, other: LayerMeasures | None) -> Iterator[ComparedFigure]:
    """Every figure of a layer that either run has, in the order of the table of measures."""
    layers = (one, other)
    for field in SCALARS:
        yield from _scalar(name, field, *(_of(layer, field) for layer in layers))
    yield from _scalar(name, "kept_fraction", *(_of(layer and layer.dropout, "kept_fraction") for layer in layers))
    for field in QUANTITIES:
        found = [None if layer is None else getattr(layer, field) for layer in layers]
        before, after = (None if values is None or values.empty else values for values in found)
        if before is not None or after is not None:
            stds = _of(before, "std"), _of(after, "std")
            spread = max(std for std in stds if std is not None)
            means = _of(before, "mean"), _of(after, "mean")
            yield ComparedFigure(f"μ {name_of(field)}", "place", *means, spread, f"{field}.mean", name)
            yield ComparedFigure(f"σ {name_of(field)}", "size", *stds, field=f"{field}.std", layer=name)


def _scalar(layer: str, field: str, one: float | None, other: float | None) -> Iterator[ComparedFigure]:
    """One figure of a layer; nothing if neither run has it."""
    kind: FigureKind = "share" if field.endswith("_fraction") else "size"
    if kind == "share" or field in _OPTIONAL:  # NaN means that there is no such figure, such as dead units of a sigmoid
        one, other = (None if value is None or math.isnan(value) else value for value in (one, other))
    if one is not None or other is not None:
        path = f"dropout.{field}" if field == "kept_fraction" else field
        yield ComparedFigure(name_of(field), kind, one, other, field=path, layer=layer)


def _of(measured: object, field: str) -> float | None:
    return None if measured is None else float(getattr(measured, field))


def bits(one: Keyframe, other: Keyframe) -> Bits:
    """Compare all measures of both keyframes bit by bit, except ``OWN``; layers are matched by name."""
    return _bits(Identical(one), Identical(other))


@lru_cache(maxsize=2)
def _bits(one: Identical[Keyframe], other: Identical[Keyframe]) -> Bits:
    theirs = {layer.name: layer for layer in other.value.layers}
    own = {layer.name: layer for layer in one.value.layers}
    counts = [_differing(own.get(name), theirs.get(name)) for name in own.keys() | theirs.keys()]
    counts += [
        _differing(getattr(one.value, name), getattr(other.value, name))
        for name in _names(Keyframe)
        if name not in OWN and name != "layers"
    ]
    return Bits(sum(differ for differ, _of in counts), sum(of for _differ, of in counts))


def _differing(one: Any, other: Any) -> tuple[int, int]:
    """The number of measures within two parts of a keyframe that differ, out of all that any of them has."""
    there: object = other if one is None else one
    if there is None:
        return 0, 0
    names = _names(type(there))
    if not names:
        return int(not _equal(one, other)), 1
    differ = of = 0
    for name in names:
        found = _differing(getattr(one, name, None), getattr(other, name, None))
        differ, of = differ + found[0], of + found[1]
    return differ, of


def _names(of: type) -> tuple[str, ...]:
    """Names of the fields of a part of a keyframe; none for a single measure."""
    if of not in _fields:
        _fields[of] = tuple(field.name for field in fields(of)) if is_dataclass(of) else ()
    return _fields[of]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and one:
        return one == other or (one != one and other != other)  # the sign of zero counts, the bits of NaN do not
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            return False
        same = one.tobytes() == other.tobytes()
        return same or (one.dtype.kind == "f" and bool(np.isnan(one).any()) and _bytes(one) == _bytes(other))
    return _bytes(one) == _bytes(other)


def _bytes(value: Any) -> bytes:
    """The bits of a figure; all NaN values are equal."""
    if isinstance(value, float):
        return struct.pack("<d", math.nan if math.isnan(value) else value)
    if isinstance(value, np.ndarray):
        plain = np.where(np.isnan(value), value.dtype.type(np.nan), value) if value.dtype.kind == "f" else value
        return repr((plain.dtype.str, plain.shape)).encode() + plain.tobytes()
    return repr(value).encode()
