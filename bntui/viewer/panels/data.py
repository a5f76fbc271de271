"""What do the networks learn from, and what do they make of it?"""

from __future__ import annotations

from bntui.viewer import cells
from bntui.viewer.rows import Drawing
from bntui.viewer.view import View


def draw(view: View, width: int, height: int) -> Drawing:  # noqa: ARG001
    """Not drawn yet."""
    return cells.notice("Data", ["This panel is being built."], width, height)
