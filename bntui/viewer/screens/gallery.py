"""Shows the gallery: lists of scenarios and recordings, with a description of the chosen one.

The gallery is the first screen, so no slow modules may be imported here.  After the first paint, they are imported, and
a trainer is started that waits for the user's choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Region

from bntui.errors import BntuiError
from bntui.link.training_packages import why_no_training
from bntui.scenario.pace import NOTHING_ASKED, PacingOptions
from bntui.text.language import _
from bntui.text.output import clean
from bntui.viewer import goodbye, opening
from bntui.viewer.gallery_keys import CONTROLS, EVERYTHING
from bntui.viewer.kept_keys import KeptKeys
from bntui.viewer.keys import bindings_of, help_of
from bntui.viewer.notices import Notices
from bntui.viewer.palette import SpokenScreen
from bntui.viewer.screens.gallery_changes import GalleryChanges
from bntui.viewer.screens.gallery_preview import Previews
from bntui.viewer.screens.gallery_prompt import Prompt, State, answered
from bntui.viewer.screens.gallery_rows import draw, on_page, scrolled
from bntui.viewer.screens.gallery_state import Gallery, Lists, Preview
from bntui.viewer.screens.gallery_trainer import GalleryTrainer
from bntui.viewer.terminal.image import Part
from bntui.viewer.widgets import RowsWidget

if TYPE_CHECKING:
    from bntui.link.library import ListedRecording
    from bntui.viewer.feed import TrainerLink
    from bntui.viewer.snapshot import ViewedRecording
    from bntui.viewer.terminal.line import PacedApp

WHEEL_ROWS: Final = 3
"""Rows by which a notch of the wheel scrolls the page."""
GROWTH_SECONDS: Final = 1.0
"""Seconds after which the preview of a recording that is being trained is read again."""


class GalleryScreen(SpokenScreen[None]):
    """Two lists and a page about the chosen item; enter opens it in the laboratory."""

    CSS = "GalleryScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(CONTROLS)]
    app: PacedApp[Any]

    def __init__(self, watching: PacingOptions = NOTHING_ASKED, folder: Path | None = None) -> None:
        """``folder``: list its recordings instead of the user's."""
        super().__init__()
        self._folder = folder
        self._watching = watching
        self._kept = KeptKeys()
        self.gallery = Gallery()
        self._canvas = RowsWidget("gallery")
        self.trainer = GalleryTrainer(self, watching)
        self._changes = GalleryChanges(self)
        self._lines: dict[int, tuple[Lists, int]] = {}
        self._previews = Previews(self, self._previewed)
        self._prepares = False

    def compose(self) -> ComposeResult:
        yield self._canvas

    def on_mount(self) -> None:
        from bntui.scenario.gallery import scenarios

        cards = () if self.app.read_only else scenarios()
        self.gallery = replace(self.gallery, cards=cards, read_only=self.app.read_only)
        self._draw()
        self.set_interval(GROWTH_SECONDS, self._grow)

    def on_screen_resume(self) -> None:
        if self.gallery.entries is not None:  # returned from the laboratory
            self._prepare()

    def on_resize(self) -> None:
        self._draw()
        if not self._prepares:  # before the screen has a size, nothing is painted, and nothing is waited for
            self._prepares = True
            self.call_after_refresh(self._prepare)

    def quit(self) -> None:
        """End the program, and any trainer that is waiting or starting."""
        self.app.exit()
        self.trainer.discard()

    def interrupted(self) -> None:
        """Handle ctrl+c, which does not end the program: say which keys do."""
        Notices(self).say_once(_(goodbye.QUITS if self.gallery.prompt is None else goodbye.QUITS_BELOW))

    # --- behind the screen ---

    def _prepare(self) -> None:
        """What the first paint did not wait for: recordings, a trainer, the laboratory's imports."""
        self.list_recordings(self._listed)
        self.trainer.prepare()

    def list_recordings(self, then: Callable[[tuple[ListedRecording, ...]], object]) -> None:
        """List the recordings in the background; ``then`` receives them."""
        from bntui.link.library import recordings

        listed = recordings if self._folder is None else partial(recordings, self._folder)
        opening.in_background(self.app, listed, then, self.failed)

    def _listed(self, entries: tuple[ListedRecording, ...]) -> None:
        self.change(self.gallery.with_entries(entries))
        opening.in_background(self.app, _walked, self._marked, self.failed)
        opening.in_background(self.app, opening.warm, self._warmed, self.failed)

    def _marked(self, walked: frozenset[str]) -> None:
        self.change(replace(self.gallery, walked=walked))

    def _warmed(self, _: None) -> None:
        self._previews.ready = True
        self._previews.look(self.gallery)

    def _previewed(self, preview: Preview) -> None:
        self.change(self.gallery.with_preview(preview))

    def _grow(self) -> None:
        if self.app.screen is self:
            self._previews.look(self.gallery, again=True)

    def failed(self, error: BntuiError) -> None:
        """Say what did not work behind the screen; a scenario that is starting goes on."""
        if not self.trainer.opening:
            self._leave_starting()
            self.change(replace(self.gallery, busy=""))
        self.notify(clean(str(error)), severity="error", timeout=15, markup=False)

    # --- looking around ---

    def change(self, gallery: Gallery) -> None:
        """Show another state of the gallery."""
        self.gallery = gallery
        self._draw()
        self._previews.look(gallery)

    def _draw(self) -> None:
        width, height = self.app.size
        self._canvas.place(Region(0, 0, width, height))
        rows, self._lines = draw(self.gallery, width, height)
        self._canvas.show(rows, width)

    def redraw(self) -> None:
        """Draw again."""
        self._draw()

    def parts(self) -> list[Part]:
        """The parts of the screen; on a slow line, the lists are sent first, because they show the selection."""
        width, height = self.app.size
        lists = self.gallery.list_width(width)
        return [Part(Region(0, 0, lists, height), inf), Part(Region(lists, 0, width - lists, height))]

    def action_move(self, by: int) -> None:
        self.change(self.gallery.moved(by))

    def action_scroll(self, by: int) -> None:
        self.change(scrolled(self.gallery, by, *self.app.size))

    def action_other(self) -> None:
        self.change(self.gallery.switched())

    @on(RowsWidget.Clicked)
    def _clicked(self, message: RowsWidget.Clicked) -> None:
        hit = self._lines.get(message.y)
        beside = on_page(self.gallery, message.x, message.y, *self.app.size)
        if hit is None or beside or self.gallery.prompt is not None:
            return
        if hit == (self.gallery.active, self.gallery.position):
            self.action_open()
        else:
            self.change(self.gallery.at(*hit))

    @on(RowsWidget.Wheeled)
    def _wheeled(self, message: RowsWidget.Wheeled) -> None:
        """Scroll the page, or move in the list under the mouse."""
        if self.gallery.prompt is not None:
            return
        if on_page(self.gallery, message.x, message.y, *self.app.size):
            self.change(scrolled(self.gallery, message.by, *self.app.size, rows=WHEEL_ROWS))
            return
        which, _place = self._lines.get(message.y, (self.gallery.active, 0))
        self.change(self.gallery.at(which, self.gallery.place(which) + message.by))

    def action_explain(self) -> None:
        from bntui.viewer.screens.help import HelpScreen  # Markdown is not needed to draw

        self.app.clear_notifications()
        self.app.push_screen(HelpScreen("gallery", help_of(CONTROLS, EVERYTHING)))

    # --- searching and changing ---

    def on_key(self, event: events.Key) -> None:
        prompt = self.gallery.prompt
        answer = None if prompt is None else answered(prompt, event.key, event.character)
        if answer is not None:
            event.stop()  # it is no key of the lists
            self._answer(*answer)
        elif self.gallery.busy:
            self._kept.keep(event)  # while something opens, keys are meant for it

    def on_paste(self, event: events.Paste) -> None:
        prompt = self.gallery.prompt
        if prompt is not None and prompt.asks != "delete":
            event.stop()
            self._answer(prompt.with_more(event.text), "open")

    def _answer(self, prompt: Prompt, state: State) -> None:
        self.change(replace(self.gallery, prompt=prompt if state == "open" else None))
        if prompt.asks == "search":
            self.change(self.gallery.searched("" if state == "left" else prompt.text))
        elif state == "done":
            self._changes.agreed(prompt)

    def action_answer(self, key: str) -> None:
        """Answer what is asked as this key does, for a click on it."""
        prompt = self.gallery.prompt
        answer = None if prompt is None else answered(prompt, key, key if len(key) == 1 else None)
        if answer is not None:
            self._answer(*answer)

    def action_search(self) -> None:
        self.change(replace(self.gallery, prompt=Prompt("search", self.gallery.query)))

    def action_show_all(self) -> None:
        self.change(self.gallery.searched(""))

    def action_rename(self) -> None:
        self._changes.rename()

    def action_delete(self) -> None:
        self._changes.delete()

    # --- opening ---

    def action_open(self) -> None:
        if self.gallery.busy:
            return
        card, entry = self.gallery.card, self.gallery.entry
        if card is not None:
            if card.problem is not None:
                title = _("{name} cannot be opened").format(name=card.name)
                self.notify(clean(card.problem), title=title, severity="error", markup=False)
            else:
                self._train(card.path)
        elif entry is not None:
            self._open(entry.path)

    def _train(self, scenario: Path) -> None:
        """Open a scenario, as soon as there is a trainer."""
        if untrainable := why_no_training():
            self.notify(untrainable, title=_("No trainer"), severity="error", timeout=15, markup=False)
            return
        from bntui.viewer.screens.starting import StartingScreen

        starting = StartingScreen(scenario.stem, self.trainer.cancel, back=self._leave_starting)
        self._kept = starting.kept
        self.app.clear_notifications()
        self.app.push_screen(starting)
        self.trainer.open(scenario)

    def _leave_starting(self) -> None:
        """Return to the lists, where the next trainer is started."""
        from bntui.viewer.screens.starting import StartingScreen

        StartingScreen.leave(self.app)

    def _open(self, recording: Path) -> None:
        self._kept = KeptKeys()
        self.change(replace(self.gallery, busy=_("Opening {name} …").format(name=recording.stem)))
        opening.in_background(
            self.app,
            lambda: opening.look_at(recording) if self.app.read_only else opening.open_recording(recording),
            self.opened,
            lambda error: self.refused(recording, error),
        )

    def opened(self, found: tuple[ViewedRecording, TrainerLink | None]) -> None:
        """Show a recording in the laboratory, and type there what was typed while it was opening."""
        self.trainer.done()
        self.change(replace(self.gallery, busy=""))
        from bntui.viewer.screens.lab import LabScreen
        from bntui.viewer.screens.starting import StartingScreen

        StartingScreen.leave(self.app, LabScreen(*found, from_gallery=True, watching=self._watching))
        self._kept.type_into(self.app)

    def refused(self, chosen: Path, error: BntuiError) -> None:
        """Say why the chosen file cannot be opened."""
        self._kept.clear()
        self.trainer.done()
        self._leave_starting()
        self.trainer.prepare()
        refusals = {**self.gallery.refusals, chosen: str(error)}
        self.change(replace(self.gallery, busy="", refusals=refusals))


def _walked() -> frozenset[str]:
    from bntui.link.course import walked

    return walked()
