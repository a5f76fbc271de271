"""One unit of a normalization, in the four steps that it goes through."""

from __future__ import annotations

from textual.screen import Screen

from bntui.viewer.session import Recording, Snapshot, ViewState


class MicroscopeScreen(Screen[ViewState]):
    """Opens at the laboratory's cursor; gives back where it was left."""

    def __init__(self, reader: Recording, recorded: Snapshot, state: ViewState) -> None:
        super().__init__()
        self._reader, self._recorded, self._state = reader, recorded, state
