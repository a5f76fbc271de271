"""Renames and deletes the recordings of the gallery, after it has asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bntui.errors import BntuiError
from bntui.text.language import _
from bntui.text.output import clean
from bntui.viewer import opening
from bntui.viewer.looking import READ_ONLY
from bntui.viewer.screens.gallery_prompt import Prompt

if TYPE_CHECKING:
    from bntui.link.library import ListedRecording
    from bntui.viewer.screens.gallery_state import Gallery
    from bntui.viewer.terminal.line import PacedApp

Outcome = TypeVar("Outcome")


class ListingScreen(Protocol):
    """The part of the gallery's screen that this module needs."""

    gallery: Gallery

    @property
    def app(self) -> PacedApp[Any]: ...
    def notify(self, message: str, *, markup: bool) -> None: ...
    def change(self, gallery: Gallery) -> None:
        """Show another state of the gallery."""
        ...

    def list_recordings(self, then: Callable[[tuple[ListedRecording, ...]], object]) -> None:
        """List the recordings in the background; ``then`` receives them."""
        ...

    def failed(self, error: BntuiError) -> None:
        """Say what did not work."""
        ...


class GalleryChanges:
    """Asks for a new name or an agreement, and changes the chosen recording in the background."""

    def __init__(self, screen: ListingScreen) -> None:
        self._screen = screen

    def rename(self) -> None:
        """Ask for a new name of the chosen recording."""
        entry = self._changeable()
        if entry is not None:
            self._ask(Prompt("rename", entry.path.stem, entry.path))

    def delete(self) -> None:
        """Ask whether to delete the chosen recording, if it may be deleted at all."""
        entry = self._changeable()
        if entry is None:
            return
        path = entry.path

        def ask(found: ListedRecording) -> None:
            self._ask(Prompt("delete", path=found.path, size=found.size))

        self._do(_("Looking at {name} …").format(name=path.stem), lambda: _deletable(path), ask)

    def agreed(self, prompt: Prompt) -> None:
        """Do what was asked."""
        path, name = prompt.path, prompt.text
        if path is None:
            return
        if prompt.asks == "delete":
            self._do(_("Deleting {name} …").format(name=path.stem), lambda: _delete(path), self._changed)
        elif name != path.stem:
            self._do(_("Renaming {name} …").format(name=path.stem), lambda: _rename(path, name), self._changed)

    def _changeable(self) -> ListedRecording | None:
        """The chosen recording, if it may be changed now; says why not on a read-only screen."""
        if self._screen.app.read_only:
            self._screen.notify(_(READ_ONLY), markup=False)
            return None
        gallery = self._screen.gallery
        return None if gallery.busy else gallery.entry

    def _ask(self, prompt: Prompt) -> None:
        self._screen.change(replace(self._screen.gallery, busy="", prompt=prompt))

    def _do(self, busy: str, work: Callable[[], Outcome], then: Callable[[Outcome], object]) -> None:
        self._screen.change(replace(self._screen.gallery, busy=clean(busy)))
        opening.in_background(self._screen.app, work, then, self._screen.failed)

    def _changed(self, chosen: Path | None) -> None:
        """List again after a recording was renamed or deleted; the busy sentence stands until then."""

        def listed(entries: tuple[ListedRecording, ...]) -> None:
            self._screen.change(replace(self._screen.gallery.with_entries(entries, chosen), busy=""))

        self._screen.list_recordings(listed)


# what the first paint of the gallery does not wait for is imported when it is needed


def _deletable(path: Path) -> ListedRecording:
    from bntui.link.manage import deletable

    return deletable(path)


def _delete(path: Path) -> None:
    from bntui.link.manage import delete

    delete(path)


def _rename(path: Path, name: str) -> Path:
    from bntui.link.manage import rename

    return rename(path, name)
