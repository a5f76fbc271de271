"""Which panels are there?  Each is a module with a pure ``draw(view, width, height) -> Drawing``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from bntui.text.language import N_
from bntui.viewer.draw.extremes import unbounded

if TYPE_CHECKING:
    from bntui.viewer.draw.rows import Drawing
    from bntui.viewer.view import View


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: its name is its module's and its lesson's."""

    name: str
    key: str
    label: str
    """In English, marked for translation."""
    quotes: tuple[str, ...] = ()
    """Keys of the definitions of what it draws, which its help page quotes; see :mod:`bntui.definitions`."""
    does: str = ""
    """What the list of keys says of its key, where that is no digit; marked for translation."""

    def draw(self, view: View, width: int, height: int) -> Drawing:
        """The panel's rows, exactly ``height`` of ``width`` cells; its module is imported on the first call."""
        module = import_module(f"bntui.viewer.panels.{self.name}")
        with unbounded():
            drawing: Drawing = module.draw(view, width, height)
        return drawing


def _of(owner: str, fields: str) -> tuple[str, ...]:
    return tuple(f"{owner}.{field}" for field in fields.split())


PANELS: Final = (
    Panel("curves", "1", N_("Curves"), _of("Keyframe", "epoch train_loss val_loss train_accuracy val_accuracy")),
    Panel(
        "layers",
        "2",
        N_("Layers"),
        (
            *_of("LayerMeasures", "pre_norm normalized output dead_fraction saturated_fraction"),
            *_of("LayerMeasures", "weight_norm update_ratio"),
            *_of("Distribution", "mean std p15 p50 p85 min max counts"),
        ),
    ),
    Panel(
        "gradients",
        "3",
        N_("Gradients"),
        _of("LayerMeasures", "weight_gradient_norm activation_gradient_norm update_ratio"),
    ),
    Panel(
        "dropout",
        "4",
        N_("Dropout"),
        (*_of("DropoutMask", "p kept_fraction kept"), *_of("Keyframe", "batch_indices")),
    ),
    Panel(
        "stopping",
        "5",
        N_("Early stopping"),
        (*_of("EarlyStopping", "monitor best best_epoch wait patience reason"), *_of("Keyframe", "val_loss")),
    ),
    Panel(
        "timeline",
        "6",
        N_("Timeline"),
        (*_of("Keyframe", "epoch step"), *_of("EarlyStopping", "best_epoch")),
    ),
    Panel(
        "data",
        "7",
        N_("Data"),
        (*_of("Predictions", "values classes"), *_of("Keyframe", "batch_indices val_accuracy")),
    ),
    Panel(
        "drift",
        "8",
        N_("Drift"),
        (
            *_of("LayerMeasures", "pre_norm normalized unit_p15 unit_p50 unit_p85 gradient_shift"),
            *_of("Distribution", "p15 p50 p85"),
        ),
    ),
    Panel(
        "distributions",
        "9",
        N_("Distributions"),
        (*_of("LayerMeasures", "input pre_norm normalized output"), *_of("Distribution", "counts")),
    ),
    Panel(
        "jury",
        "0",
        N_("Stopping rules"),
        (*_of("Keyframe", "epoch val_loss train_loss"), *_of("EarlyStopping", "patience")),
    ),
    Panel(
        "compare",
        "c",
        N_("Compare"),
        (
            *_of("Keyframe", "epoch step lr batch_loss train_loss val_loss train_accuracy val_accuracy"),
            *_of("Keyframe", "wall_time weights_digest"),
            *_of("EarlyStopping", "best best_epoch wait patience stopped"),
            *_of("LayerMeasures", "weight_gradient_norm activation_gradient_norm weight_norm update_ratio"),
            *_of("LayerMeasures", "dead_fraction saturated_fraction input pre_norm normalized output"),
            *_of("Distribution", "mean std"),
            *_of("DropoutMask", "kept_fraction"),
        ),
        N_("compare the selected run with the pinned one, figure by figure"),
    ),
)
"""All panels in the order of their keys; the timeline also stands below the others, on every screen."""

BY_NAME: Final = {panel.name: panel for panel in PANELS}
