"""Shows notices on a screen, each once, and removes those that no longer apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bntui.text.output import clean
from bntui.viewer.terminal import textual_private

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel
    from textual.screen import Screen

ERROR_SECONDS = 15
"""An error stays longer than other notices."""


class Notices:
    """What a screen says beside its panels; strangers' words are cleaned."""

    def __init__(self, screen: Screen[Any]) -> None:
        self._screen = screen
        self._complaints: set[str] = set()

    def say(
        self, text: str, title: str = "", severity: SeverityLevel = "information", seconds: float | None = None
    ) -> None:
        """A notice, for so many seconds (by default Textual's)."""
        self._screen.notify(clean(text), title=clean(title), severity=severity, timeout=seconds, markup=False)

    def error(self, text: str, title: str = "") -> None:
        """What went wrong; without a title it is said once, however often it comes."""
        if title or text not in self._complaints:
            self._complaints.add(text)
            self.say(text, title, "error", ERROR_SECONDS)

    def say_once(self, sentence: str) -> None:
        """A notice, unless the same one is still on the screen: boxes must not pile up."""
        if not any(notice.message == sentence for notice in textual_private.notices(self._screen.app)):
            self.say(sentence)

    def unsay(self, sentence: str) -> None:
        """Take a notice away that is true no more."""
        for notice in textual_private.notices(self._screen.app):
            if notice.message == sentence:
                textual_private.withdraw(self._screen.app, notice)
