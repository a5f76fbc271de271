"""Names the recorded figures of layers for the screen, by their fields in :mod:`bntui.keyframe`."""

from __future__ import annotations

from typing import Final

from bntui.keyframe import UNIT_STATISTICS, LayerMeasures
from bntui.measures import declarations
from bntui.text.language import N_, _

SCALARS: Final = tuple(
    one.field for one in declarations(LayerMeasures) if one.kept.place == "layers" and one.field not in UNIT_STATISTICS
)
"""The figures of a layer as a whole, in the order of the table of measures."""
_NAMES: Final = {
    "weight_norm": N_("weight norm"),
    "weight_gradient_norm": "|∂L/∂W|",
    "activation_gradient_norm": "|∂L/∂a|",
    "update_ratio": N_("update/weight"),
    "dead_fraction": N_("dead"),
    "saturated_fraction": N_("saturated"),
    "kept_fraction": N_("kept"),
    "gradient_shift": N_("gradient shift"),
    "input": N_("input"),
    "pre_norm": N_("before norm"),
    "normalized": N_("after norm"),
    "output": N_("after activation"),
}


def name_of(field: str) -> str:
    """The name of a layer's figure or quantity in the current language; derived from the field if there is none."""
    return _(_NAMES.get(field, field.replace("_", " ")))
