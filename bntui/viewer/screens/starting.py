"""Shows that a trainer is starting."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from bntui.text.language import N_, _
from bntui.text.output import clean
from bntui.viewer.kept_keys import KeptKeys
from bntui.viewer.palette import SpokenScreen
from bntui.viewer.terminal.textual_private import exiting


class StartingScreen(SpokenScreen[None]):
    """One line of text until the first keyframe is recorded; quitting also ends the trainer that is starting."""

    CSS = """
    StartingScreen { align: center middle; }
    StartingScreen Static { width: auto; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,escape", "app.quit", N_("Cancel"))]

    def __init__(self, starting: str = "", cancel: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._starting = clean(starting) or _("the trainer")
        self._cancel = cancel
        self.kept = KeptKeys()

    def compose(self) -> ComposeResult:
        sentence = _("Starting {name}: data, networks, first keyframe …   q cancel").format(name=self._starting)
        yield Static(sentence, markup=False)

    def on_key(self, event: events.Key) -> None:
        """Keep what is meant for the laboratory."""
        self.kept.keep(event)

    def quit(self) -> None:
        """End the program, then the trainer, which may take a moment and must not be requested twice."""
        if not exiting(self.app):
            self.app.exit()
            if self._cancel is not None:
                self._cancel()

    def interrupted(self) -> None:
        """Handle ctrl+c like quitting, because nothing has been recorded yet."""
        self.quit()
