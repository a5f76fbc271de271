"""Says what a step tells of its layers, and checks that a reader would accept them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from bntui.keyframe import LayerMeasures
from bntui.recording.forms import LAYERS
from bntui.recording.history import LayerInfo
from bntui.recording.kinds import hold
from bntui.recording.runs import layer_of
from bntui.text.language import _


class StepLayers(Protocol):
    """The layers of a step, in order; their measures may be computed only where the row is written."""

    @property
    def absent(self) -> tuple[frozenset[str], ...]:
        """Of each layer, the fields of its measures that are NaN because nobody measured them, unlike those that are
        NaN by their values."""

    def measured(self) -> tuple[LayerMeasures, ...]:
        """The measures of each layer."""


@dataclass(frozen=True)
class MeasuredLayers:
    """Layers whose measures are known already."""

    layers: tuple[LayerMeasures, ...] = ()
    absent: tuple[frozenset[str], ...] = ()

    def measured(self) -> tuple[LayerMeasures, ...]:
        """See :class:`StepLayers`."""
        return self.layers


def refuse_unfit(layers: Sequence[LayerInfo]) -> None:
    """Check layers as a reader will.

    Raises:
        ValueError: a reader would refuse them, or two have one name.
    """
    if not layers:
        raise ValueError(_("there are no layers to record"))
    told = [
        {**asdict(layer), "shape": list(layer.shape), "stages": list(layer.stages), "absent": list(layer.absent)}
        for layer in layers
    ]
    hold(LAYERS, told, _("layers"))
    for layer in told:
        layer_of(layer)
    names = [layer.name for layer in layers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(_("two layers have the name {name}").format(name=twice))
