"""Names the figures that can be exported, and chooses among them; all are read from the table of measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final

from bntui.errors import UsageError, did_you_mean
from bntui.keyframe import MEASURES, Distribution, LayerMeasures
from bntui.measures import Measure
from bntui.recording.history import LayerInfo
from bntui.text.language import _

PLACE: Final = ("run_number", "step", "epoch", "layers.name")
"""Figures that say where a row belongs; they are always there."""
_LAYERS: Final = "layers"


@dataclass(frozen=True, slots=True)
class ExportedFigure:
    """One figure of a keyframe, or of each of its layers."""

    name: str
    """As in ``bntui show --json``: ``val_loss``, or ``input.mean`` of a layer."""
    path: tuple[str, ...]
    """Fields from the keyframe, or from the layer, down to it."""
    type: type
    """``float``, ``int``, ``bool``, or ``str``; of an array, that of its elements is not known."""
    of_layer: bool
    is_array: bool

    def of(self, part: Any) -> Any:
        """Its value in a keyframe, a layer, or the scalars of a row; None where there is none."""
        return _walked(part, self.path)

    def of_layer_in(self, info: LayerInfo, layer: LayerMeasures) -> Any:
        """Its value in a layer; None also where it was never measured."""
        return None if self.path[0] in info.absent else self.of(layer)

    def has_no_group(self, part: Any) -> bool:
        """It belongs to a group, such as batch normalization, that this part does not have."""
        return len(self.path) > 1 and _walked(part, self.path[:-1]) is None


def _walked(part: Any, path: Sequence[str]) -> Any:
    for field in path:
        if part is None:
            return None
        part = part[field] if isinstance(part, Mapping) else getattr(part, field)
        if isinstance(part, Distribution) and part.empty:  # nothing was measured
            return None
    return part


def _figure(measure: Measure) -> ExportedFigure:
    of_layer = measure.path[0] == _LAYERS
    kind = measure.declared.type
    return ExportedFigure(
        name=measure.json.removeprefix(f"{_LAYERS}."),
        path=measure.path[1:] if of_layer else measure.path,
        type=kind if kind in (float, int, bool) else str,
        of_layer=of_layer,
        is_array=bool(measure.declared.kept.shape),
    )


FIGURES: Final = tuple(_figure(one) for one in MEASURES if one.declared.kept.place != "group" and one.json not in PLACE)
"""Every figure of a keyframe, in declaration order."""


def chosen(patterns: Sequence[str]) -> tuple[ExportedFigure, ...]:
    """The figures that a pattern names: their name, the group before a dot, or with the wildcards ``*`` and ``?``.

    Raises:
        UsageError: a pattern names none.
    """
    wanted = [pattern.strip() for given in patterns for pattern in given.split(",")]
    for pattern in wanted:
        if not any(_named(one.name, pattern) for one in FIGURES):
            names = {one.name.lower(): one.name for one in FIGURES}
            close = get_close_matches(pattern.lower(), names, n=1)
            hint = f" {did_you_mean(names[close[0]])}" if close else ""
            sentence = _("--quantities {pattern}: no such figure; docs/measures.md lists them")
            raise UsageError(sentence.format(pattern=pattern) + hint)
    return tuple(one for one in FIGURES if not wanted or any(_named(one.name, pattern) for pattern in wanted))


def _named(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")


def split(figures: Iterable[ExportedFigure]) -> tuple[list[ExportedFigure], list[ExportedFigure], list[ExportedFigure]]:
    """The scalars of keyframes, the scalars of layers, and the arrays."""
    found: tuple[list[ExportedFigure], list[ExportedFigure], list[ExportedFigure]] = ([], [], [])
    for one in figures:
        found[2 if one.is_array else int(one.of_layer)].append(one)
    return found
