"""Contains the Textual application, which opens a recording or shows the gallery.

No slow modules are imported here: NumPy, plotext and the laboratory's screen are imported when they are needed, or
while the gallery is displayed.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual import events
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.geometry import Size
from textual.screen import Screen

from bntui.errors import BntuiError
from bntui.link.address import runtime_folder
from bntui.scenario.pace import NOTHING_ASKED, PacingOptions
from bntui.text.language import N_, _
from bntui.text.themes import THEMES
from bntui.viewer import goodbye, opening
from bntui.viewer.draw.theme import OWN, Palette, palette_of, textual_theme
from bntui.viewer.layout import MOST_TIMELINE_ROWS, SMALLEST
from bntui.viewer.notices import Notices
from bntui.viewer.palette import SEARCH, SpokenPalette, commands, of_keys
from bntui.viewer.terminal.ground import dark_by_variable
from bntui.viewer.terminal.line import PacedApp, Parted
from bntui.viewer.terminal.textual_private import driver_of, exiting
from bntui.viewer.widgets import RowsWidget

if TYPE_CHECKING:
    from bntui.viewer.feed import TrainerLink
    from bntui.viewer.snapshot import ViewedRecording
    from bntui.viewer.sweep.board import Board

Outcome = TypeVar("Outcome")


class LabApp(PacedApp[BntuiError]):
    """The application; its return value is the error that ended it, or None.

    Args:
        recording: open this one, or these side by side; without it, and without ``beginning``, the gallery is shown.
            Of a folder, the gallery lists the recordings.
        trainer: its live trainer; by default looked for.
        beginning: a training to be started.
        watching: what the user asked for about training on the screen.
        sweep: reads a sweep to be shown.
        theme: one of ``THEMES``; without it the dark or the light one, as the terminal's background is.
    """

    TITLE = "bntui"
    ESCAPE_TO_MINIMIZE = False
    CSS = (
        "Screen { background: $background; }"
        # notices cover as few rows as possible, and end above the timeline and the keys
        " Toast { background: $surface; padding: 0 1; max-width: 80%; }"
        f" ToastRack {{ margin-bottom: {MOST_TIMELINE_ROWS + 1}; }}"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+z", "suspend_process", N_("Suspend"), show=False, priority=True)
    ]

    def __init__(
        self,
        recording: Path | Sequence[Path] | None = None,
        trainer: TrainerLink | None = None,
        *,
        beginning: opening.Beginning | None = None,
        sweep: Callable[[], Board] | None = None,
        watching: PacingOptions = NOTHING_ASKED,
        theme: str | None = None,
    ) -> None:
        # with NO_COLOR, use the terminal's own colors instead of shades of gray
        super().__init__(ansi_color="NO_COLOR" in os.environ or None)
        self._dark = dark_by_variable(os.environ)
        textuals = self.available_themes  # which would change Textual's own widgets alone
        for name in THEMES:
            self.register_theme(textual_theme(self._palette_of(name)))
        self.theme = theme or self._by_ground
        for name in textuals:
            self.unregister_theme(name)
        self._paint(self.theme)
        self._follows = theme is None
        """The theme is the one of the terminal's background, until the user chooses another one."""
        self.asks_ground = not self.no_color and theme in (None, OWN)
        self.animation_level = "none"
        self._recording = recording
        self._trainer = trainer
        self._beginning = beginning
        self._sweep = sweep
        self._watching = watching

    # --- colors ---

    @property
    def _by_ground(self) -> str:
        return "dark" if self._dark else "light"

    def _palette_of(self, theme: str) -> Palette:
        return palette_of(theme, dark=self._dark, few=self.console.color_system == "standard")

    def ground_told(self, dark: bool) -> None:
        if dark == self._dark:
            return
        self._dark = dark
        self.register_theme(textual_theme(self._palette_of(OWN)))
        if self._follows:
            self.theme = self._by_ground
            self._follows = True  # nobody chose it
        elif self.theme == OWN:
            self._paint(OWN)
            self.refresh_css(animate=False)

    def watch_theme(self, theme: str) -> None:
        """Draw everything in another theme."""
        self._follows = False
        self._paint(theme)

    def _paint(self, theme: str) -> None:
        self.palette = self._palette_of(theme)
        self.ansi_color = True if self.no_color or theme == OWN else None
        self.sender.recolored()
        for screen in self.screen_stack if self.is_running else ():
            for widget in screen.query(RowsWidget):
                widget.repaint()
            if isinstance(screen, Parted):
                screen.redraw()
            screen.refresh()

    @property
    def _folder(self) -> Path | None:
        return self._recording if isinstance(self._recording, Path) and self._recording.is_dir() else None

    def on_mount(self) -> None:
        self.app_resume_signal.subscribe(self, lambda _app: self.screen.refresh(layout=True))
        if self._beginning is not None:
            from bntui.viewer.screens.starting import StartingScreen

            begin, cancel, name = self._beginning
            starting = StartingScreen(name, cancel)
            self._kept = starting.kept
            self.push_screen(starting)
            opening.in_background(self, lambda: opening.open_recording(begin()), self._opened, self._failed)
            # while the trainer starts, once the screen says so
            self.call_after_refresh(opening.in_background, self, opening.warm, lambda _none: None, self._failed)
        elif self._sweep is not None:
            from bntui.viewer.screens.sweep import SweepScreen

            try:
                self.push_screen(SweepScreen(self._sweep, self._sweep(), self._watching))
            except BntuiError as error:
                self._failed(error)
        elif self._recording is not None and not self._folder:
            try:
                if self.read_only:
                    reader, trainer = opening.look_at(self._recording)
                else:
                    reader, trainer = opening.open_recording(self._recording, self._trainer)
            except BntuiError as error:
                self._failed(error)
            else:
                self.show_lab(reader, trainer, from_gallery=False)
        else:
            from bntui.viewer.screens.gallery import GalleryScreen

            self.push_screen(GalleryScreen(self._watching, self._folder))

    def show_lab(self, reader: ViewedRecording, trainer: TrainerLink | None, *, from_gallery: bool) -> None:
        """Open the laboratory on top of the current screen."""
        from bntui.viewer.screens.lab import LabScreen

        self.push_screen(LabScreen(reader, trainer, from_gallery=from_gallery, watching=self._watching))

    def _opened(self, found: tuple[ViewedRecording, TrainerLink | None]) -> None:
        if exiting(self):  # cancelled in the meantime
            opening.drop(found)
            return
        from bntui.viewer.screens.lab import LabScreen
        from bntui.viewer.screens.starting import StartingScreen

        StartingScreen.leave(self, LabScreen(*found, from_gallery=False, watching=self._watching))
        self._kept.type_into(self)

    def crashed(self) -> BntuiError:
        """Write the traceback of an uncaught exception to a file, and return an error that names the file."""
        log = runtime_folder() / "screen.log"
        log.write_text(traceback.format_exc(), encoding="utf-8")
        sentence = _("the screen failed, the recording did not: please report {log}")
        return BntuiError(sentence.format(log=log))

    def _failed(self, error: BntuiError) -> None:
        if not exiting(self):  # after cancelling, errors are expected
            self.exit(error, return_code=error.exit_code)

    def action_help_quit(self) -> None:
        """Handle ctrl+c, which does not quit; the screen says which key does."""
        interrupted = getattr(self.screen, "interrupted", None)
        if interrupted is not None:
            interrupted()
        else:
            Notices(self.screen).say_once(_(goodbye.QUITS))

    def action_suspend_process(self) -> None:
        driver = driver_of(self)
        if driver is not None and not driver.can_suspend:
            self.notify(_("No shell would continue bntui: it was not started from one with job control."), markup=False)
            return
        super().action_suspend_process()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        return (*of_keys(screen), *commands(super().get_system_commands(screen)))

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette) and _has_room(self.size):
            self.push_screen(SpokenPalette(placeholder=_(SEARCH), id="--command-palette"))

    def on_resize(self, event: events.Resize) -> None:
        if isinstance(self.screen, CommandPalette) and not _has_room(event.size):
            self.screen.dismiss()

    async def action_quit(self) -> None:
        """Quit through the screen's own ``quit``, which first ends what has to be ended."""
        for screen in reversed(self.screen_stack):
            leave = getattr(screen, "quit", None)
            if leave is not None:
                leave()
                return
        self.exit()


def _has_room(size: Size) -> bool:
    """False on a screen that is too small for anything; Textual's list of commands fails where it has no row."""
    return size.width >= SMALLEST[0] and size.height >= SMALLEST[1]
