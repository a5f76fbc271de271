"""Saves a picture of what a screen shows."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bntui.drafts import save_somewhere
from bntui.errors import StorageError
from bntui.pictures.svg import svg
from bntui.text.language import _
from bntui.text.output import clean
from bntui.viewer.draw.theme import DARK, Palette, palette_of
from bntui.viewer.picture import picture, sheet
from bntui.viewer.widgets import RowsWidget

if TYPE_CHECKING:
    from textual.screen import Screen

SECONDS: Final = 10
"""For which the notice stands that names the file."""


def photograph(screen: Screen[Any], title: str, recording: Path, place: str) -> None:
    """Save a picture of a screen's rows, and say where it is.

    It is saved in the current folder; where that is not possible, beside the recording, or in the home folder.

    Args:
        recording: its name begins the picture's.
        place: what the picture shows of it, the rest of the name.
    """
    widgets = [widget for widget in screen.query(RowsWidget) if widget.display]
    size = screen.app.size
    rows = sheet(((widget.region, widget.rows) for widget in widgets), size.width, size.height)
    drawn = svg(picture(title, rows, size.width, _painted(getattr(screen.app, "palette", DARK))))
    name = f"{recording.stem}-{place}"
    if screen.app.is_web:  # the folders are not the visitor's
        screen.app.deliver_text(io.StringIO(drawn), save_filename=f"{name}.svg", mime_type="image/svg+xml")
        return
    try:
        path = save_somewhere(_folders(recording), name, ".svg", drawn.encode())
    except StorageError as error:
        screen.notify(clean(str(error)), severity="error", timeout=SECONDS, markup=False)
        return
    screen.notify(clean(_("Picture saved: {path}").format(path=path)), timeout=SECONDS, markup=False)


def _folders(recording: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):  # it was deleted
        yield Path.cwd()
    yield recording.resolve().parent
    with contextlib.suppress(RuntimeError):  # the user has none
        yield Path.home()


def _painted(palette: Palette) -> Palette:
    """A palette with a background: the terminal's own is not known."""
    return palette if palette.ground else palette_of("dark" if palette.dark else "light")
