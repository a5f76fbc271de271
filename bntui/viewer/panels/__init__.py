"""Which panels are there?  Each is a module with a pure ``draw(view, width, height) -> Drawing``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bntui.viewer.rows import Drawing
    from bntui.viewer.view import View


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: its name is its module's and its lesson's."""

    name: str
    key: str
    label: str

    def draw(self, view: View, width: int, height: int) -> Drawing:
        """The panel's rows, exactly ``height`` of ``width`` cells; its module is imported on the first call."""
        drawing: Drawing = import_module(f"bntui.viewer.panels.{self.name}").draw(view, width, height)
        return drawing


PANELS: Final = (
    Panel("curves", "1", "Curves"),
    Panel("layers", "2", "Layers"),
    Panel("gradients", "3", "Gradients"),
    Panel("dropout", "4", "Dropout"),
    Panel("stopping", "5", "Early stopping"),
    Panel("timeline", "6", "Timeline"),
    Panel("data", "7", "Data"),
    Panel("drift", "8", "Drift"),
    Panel("distributions", "9", "Distributions"),
)
"""All panels in the order of their keys; the timeline also stands below the others, on every screen."""

BY_NAME: Final = {panel.name: panel for panel in PANELS}
