"""Shows that a trainer is starting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.screen import Screen

from bntui.text.language import N_, _
from bntui.text.output import clean
from bntui.text.widths import wrap
from bntui.viewer.draw.rows import Row, Span, fit
from bntui.viewer.drawn_screen import DrawnScreen
from bntui.viewer.kept_keys import KeptKeys
from bntui.viewer.keys import Control, bindings_of, footer_of, help_of
from bntui.viewer.terminal.textual_private import exiting
from bntui.viewer.widgets import RowsWidget

# fmt: off
CONTROLS: Final[tuple[Control[None], ...]] = (
    Control(("q", "esc"), N_("end the trainer that is starting; nothing is recorded"),
            (Binding("q,escape", "cancel", N_("Cancel")),), N_("cancel"), rank=1, glyph="q"),
    Control((), N_("are kept for the laboratory, and typed there"), words=N_("other keys")),
    Control(("?",), N_("this page"), (Binding("question_mark", "explain", N_("Explain")),), N_("explain"), rank=2),
)
# fmt: on


class StartingScreen(DrawnScreen[None]):
    """A sentence until the first keyframe is recorded; cancelling and quitting end the trainer that is starting.

    Args:
        starting: name of what is starting, for the user.
        cancel: ends the trainer.
        back: where cancelling leads; without it, it ends the program.
    """

    CSS = "StartingScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(CONTROLS)]

    def __init__(
        self,
        starting: str = "",
        cancel: Callable[[], None] | None = None,
        *,
        back: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._starting = clean(starting) or _("the trainer")
        self._cancel = cancel
        self._back = back
        self._canvas = RowsWidget("starting")
        self.kept = KeptKeys()

    def _draw(self) -> None:
        width, height = self.app.size
        self._canvas.place(Region(0, 0, width, height))
        self._canvas.show(draw(self._starting, width, height), width)

    def on_key(self, event: events.Key) -> None:
        """Keep what is meant for the laboratory."""
        self.kept.keep(event)

    def action_explain(self) -> None:
        from bntui.viewer.screens.help import HelpScreen  # imports Markdown, which drawing does not need

        self.app.push_screen(HelpScreen("starting", help_of(CONTROLS, None)))

    @staticmethod
    def leave(app: App[Any], there: Screen[Any] | None = None) -> None:
        """Close this screen, if it is open, with its help; open another one in its place."""
        while any(isinstance(screen, StartingScreen) for screen in app.screen_stack[:-1]):
            app.pop_screen()  # its help
        begun = isinstance(app.screen, StartingScreen)
        if there is None:
            if begun:
                app.pop_screen()
        elif begun:
            app.switch_screen(there)  # what is below does not become active
        else:
            app.push_screen(there)

    def action_cancel(self) -> None:
        if self._back is None:
            self.quit()
        else:
            if self._cancel is not None:
                self._cancel()
            self._back()

    def quit(self) -> None:
        """End the program, then the trainer, which may take a moment and must not be requested twice."""
        if not exiting(self.app):
            self.app.exit()
            if self._cancel is not None:
                self._cancel()

    def interrupted(self) -> None:
        """Handle ctrl+c like cancelling, because nothing has been recorded yet."""
        self.action_cancel()


def draw(name: str, width: int, height: int) -> tuple[Row, ...]:
    """What is starting, in the middle of the screen, and the keys below."""
    sentence = _("Starting {name}: data, networks, first keyframe …").format(name=name)
    lines = wrap(sentence, max(width - 4, 2))[: max(height - 1, 0)]
    size = max(map(len, lines), default=0)
    left = Span(" " * max((width - size) // 2, 0))
    rows: list[Row] = [()] * max((height - len(lines)) // 2, 0)
    rows += [(left, Span(line, "muted")) for line in lines]
    rows = [*rows, *[()] * height][: height - 1]
    return tuple(fit(row, width) for row in (*rows, footer_of(CONTROLS, None, width)))
