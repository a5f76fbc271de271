"""Which panels are there?  Each is a module with a pure ``draw(view, width, height) -> Drawing``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from bntui.language import N_

if TYPE_CHECKING:
    from bntui.viewer.rows import Drawing
    from bntui.viewer.view import View


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: its name is its module's and its lesson's."""

    name: str
    key: str
    label: str
    """In English, marked for translation."""

    def draw(self, view: View, width: int, height: int) -> Drawing:
        """The panel's rows, exactly ``height`` of ``width`` cells; its module is imported on the first call."""
        drawing: Drawing = import_module(f"bntui.viewer.panels.{self.name}").draw(view, width, height)
        return drawing


PANELS: Final = (
    Panel("curves", "1", N_("Curves")),
    Panel("layers", "2", N_("Layers")),
    Panel("gradients", "3", N_("Gradients")),
    Panel("dropout", "4", N_("Dropout")),
    Panel("stopping", "5", N_("Early stopping")),
    Panel("timeline", "6", N_("Timeline")),
    Panel("data", "7", N_("Data")),
    Panel("drift", "8", N_("Drift")),
    Panel("distributions", "9", N_("Distributions")),
    Panel("jury", "0", N_("Stopping rules")),
)
"""All panels in the order of their keys; the timeline also stands below the others, on every screen."""

BY_NAME: Final = {panel.name: panel for panel in PANELS}
