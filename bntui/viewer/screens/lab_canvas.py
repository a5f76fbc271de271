"""Places the laboratory's widgets and shows rows in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from textual.geometry import Region, Size

from bntui.viewer import chrome, parts
from bntui.viewer.widgets import RowsWidget

if TYPE_CHECKING:
    from bntui.viewer.parts import ScreenContent


class LabCanvas:
    """One widget for each part of the screen, and one for the message that the screen is too small."""

    def __init__(self) -> None:
        self.size: Size | None = None
        """Size of the screen when its widgets were last placed."""
        self._parts = {name: RowsWidget(name) for name in parts.PARTS}
        self._message = RowsWidget("small")

    @property
    def widgets(self) -> Iterator[RowsWidget]:
        yield from self._parts.values()
        yield self._message

    def place(self, size: Size, regions: Mapping[str, Region]) -> None:
        """Move each part to its region, or hide it if it has none; without any, show that the screen is too small."""
        self.size = size
        for name, widget in self._parts.items():
            widget.place(regions.get(name))
        self._message.place(None if regions else size.region)
        if not regions:
            self._message.show(chrome.too_small(*size), size.width)

    def show(self, shown: ScreenContent, regions: Mapping[str, Region]) -> None:
        """Draw the parts that have a region."""
        for name, region in regions.items():
            self._parts[name].show(parts.rows(name, shown, *region.size), region.width)
