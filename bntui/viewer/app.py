"""Starts the program on the screen: chooses its first screen and opens recordings for it.

Nothing heavy is imported here: NumPy, plotext and the laboratory's screen come when they are needed, or
while the gallery is being looked at.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.screen import Screen

from bntui.errors import BntuiError
from bntui.link.address import runtime_folder
from bntui.scenario.pace import NOTHING_ASKED, Watching
from bntui.text.language import N_, _
from bntui.viewer import opening
from bntui.viewer.draw.theme import THEME
from bntui.viewer.palette import SEARCH, commands, of_keys
from bntui.viewer.terminal.line import PacedApp
from bntui.viewer.terminal.textual_private import driver_of, exiting

if TYPE_CHECKING:
    from bntui.viewer.feed import TrainerLink
    from bntui.viewer.view_state import Recording

Outcome = TypeVar("Outcome")


class LabApp(PacedApp[BntuiError]):
    """The laboratory.  It returns the error that ended it, if one did.

    Args:
        recording: open this one, or these side by side; without it, and without ``opening``, the gallery is shown.
        trainer: its live trainer; by default looked for.
        opening: starts a training and gives its recording; it may block and runs in a thread.
        cancel: ends the training that ``opening`` is starting.
        starting: name of what ``opening`` starts.
        watching: what the user asked for about training on the screen.
    """

    TITLE = "bntui"
    ESCAPE_TO_MINIMIZE = False
    CSS = "Screen { background: $background; } Toast { background: $surface; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+z", "suspend_process", N_("Suspend"), show=False, priority=True)
    ]

    def __init__(
        self,
        recording: Path | Sequence[Path] | None = None,
        trainer: TrainerLink | None = None,
        *,
        opening: Callable[[], Path] | None = None,
        cancel: Callable[[], None] | None = None,
        starting: str = "",
        watching: Watching = NOTHING_ASKED,
    ) -> None:
        # without colours the terminal's own are used, instead of shades of grey
        super().__init__(ansi_color="NO_COLOR" in os.environ or None)
        self.register_theme(THEME)
        self.theme = THEME.name
        self.animation_level = "none"
        self._recording = recording
        self._trainer = trainer
        self._opening = opening
        self._cancel = cancel
        self._starting = starting
        self._watching = watching

    def on_mount(self) -> None:
        self.app_resume_signal.subscribe(self, lambda _app: self.screen.refresh(layout=True))
        if self._opening is not None:
            from bntui.viewer.screens.starting import StartingScreen

            begin = self._opening
            starting = StartingScreen(self._starting, self._cancel)
            self._kept = starting.kept
            self.push_screen(starting)
            opening.in_background(self, lambda: opening.open_recording(begin()), self._opened, self._failed)
        elif self._recording is not None:
            try:
                reader, trainer = opening.open_recording(self._recording, self._trainer)
            except BntuiError as error:
                self._failed(error)
            else:
                self.show_lab(reader, trainer, from_gallery=False)
        else:
            from bntui.viewer.screens.gallery import GalleryScreen

            self.push_screen(GalleryScreen(self._watching))

    def show_lab(self, reader: Recording, trainer: TrainerLink | None, *, from_gallery: bool) -> None:
        """The laboratory over whatever is on the screen."""
        from bntui.viewer.screens.lab import LabScreen

        self.push_screen(LabScreen(reader, trainer, from_gallery=from_gallery, watching=self._watching))

    def _opened(self, found: tuple[Recording, TrainerLink | None]) -> None:
        if exiting(self):  # cancelled meanwhile
            opening.drop(found)
            return
        self.pop_screen()
        self.show_lab(*found, from_gallery=False)
        self._kept.type_into(self)

    def crashed(self) -> BntuiError:
        """For an error of ours that nobody caught: no traceback reaches a user, it goes to a file."""
        log = runtime_folder() / "screen.log"
        log.write_text(traceback.format_exc(), encoding="utf-8")
        sentence = _("the screen failed, the recording did not: please report {log}")
        return BntuiError(sentence.format(log=log))

    def _failed(self, error: BntuiError) -> None:
        if not exiting(self):  # who cancelled does not want to hear what that broke
            self.exit(error, return_code=error.exit_code)

    def action_help_quit(self) -> None:
        """Ctrl+c on a screen that does not end by it."""
        for screen in reversed(self.screen_stack):
            interrupted = getattr(screen, "interrupted", None)
            if interrupted is not None:
                interrupted()
                return
        self.notify(_("ctrl+q quits."), markup=False)

    def action_suspend_process(self) -> None:
        driver = driver_of(self)
        if driver is not None and not driver.can_suspend:
            self.notify(_("No shell would continue bntui: it was not started from one with job control."), markup=False)
            return
        super().action_suspend_process()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        return (*of_keys(screen), *commands(super().get_system_commands(screen)))

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder=_(SEARCH), id="--command-palette"))

    async def action_quit(self) -> None:
        """Each screen knows what has to be ended first."""
        for screen in reversed(self.screen_stack):
            leave = getattr(screen, "quit", None)
            if leave is not None:
                leave()
                return
        self.exit()
