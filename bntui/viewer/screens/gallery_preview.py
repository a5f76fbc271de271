"""Reads the last recording of the chosen scenario in the background, and draws its curves on the scenario's page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from bntui.errors import BntuiError, RecordingError
from bntui.text.language import _
from bntui.viewer import opening
from bntui.viewer.draw.rows import Row, Span
from bntui.viewer.screens.gallery_lists import epochs, life_mark, short
from bntui.viewer.screens.gallery_state import Gallery, Preview

if TYPE_CHECKING:
    from textual.screen import Screen

    from bntui.link.library import ListedRecording
    from bntui.viewer.view import View


def read(entry: ListedRecording) -> Preview:
    """Read a recording as it is now; it may block."""
    from bntui.link import library

    try:
        now = replace(library.entry(entry.path), host=entry.host)
    except OSError:  # it was removed after it was listed
        return Preview(entry, None)
    try:
        return Preview(now, _view(now))
    except RecordingError:
        return Preview(now, None)


def _view(entry: ListedRecording) -> View:
    """The recording at its newest keyframe.

    Raises:
        RecordingError: it cannot be opened, or is damaged.
    """
    from bntui.recording.recorded import recorded
    from bntui.viewer import view_state
    from bntui.viewer.snapshot import take_snapshot

    reader = recorded(entry.path)
    try:
        snapshot = take_snapshot(reader)
        return view_state.build_view(snapshot, view_state.end(view_state.opening(reader), snapshot.stops))
    finally:
        reader.close()  # not kept open, so that its trainer can fold in the journal


def draw_preview(gallery: Gallery, width: int, height: int) -> list[Row]:
    """The name of the chosen scenario's last recording, and its curves once they have been read."""
    entry, preview = gallery.pictured, gallery.preview
    if entry is None or not height:
        return []
    live, title = life_mark(entry), Span(_("Last recording"), "bold accent")
    room = width - cell_len(live.text + title.text) - 2
    rows: list[Row] = [(live, title, Span(f"  {short(f'{entry.path.stem} · {epochs(entry)}', room)}", "muted"))]
    if preview is not None and preview.view is not None and preview.entry.path == entry.path:
        from bntui.viewer.panels import curves  # imports NumPy; it has been imported before anything could be read

        rows += curves.draw(preview.view, width, height - 1).rows
    rows = rows[:height]
    return [*rows, *([()] * (height - len(rows)))]


class Previews:
    """Reads one recording at a time; when it has been read, the one that is chosen by then, if it is another."""

    def __init__(self, screen: Screen[Any], show: Callable[[Preview], object]) -> None:
        self._screen = screen
        self._show = show
        self._reading = False
        self.ready = False
        """What reading needs has been imported."""

    def look(self, gallery: Gallery, *, again: bool = False) -> None:
        """Read the last recording of the chosen scenario, unless that was done; ``again`` if it is being trained."""
        entry, last = gallery.pictured, gallery.preview
        if entry is None or self._reading or not self.ready:
            return
        if last is None or last.entry != entry or (again and entry.growing):
            self._reading = True
            opening.in_background(self._screen.app, lambda: read(entry), self._done, self._failed)

    def _done(self, preview: Preview) -> None:
        self._reading = False
        self._show(preview)

    def _failed(self, error: BntuiError) -> None:  # noqa: ARG002
        self._reading = False
