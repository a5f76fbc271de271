"""Shows notices on a screen, each once, and removes those that no longer apply."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from bntui.text.output import clean
from bntui.viewer.terminal import textual_private

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel
    from textual.screen import Screen

ERROR_SECONDS = 15
"""Seconds for which an error is displayed, which is longer than for other notices."""


SEVERITIES: Final = ("information", "warning", "error")
"""From the least severe one on."""


def worst(severities: Iterable[SeverityLevel]) -> SeverityLevel:
    """The most severe one."""
    return max(severities, key=SEVERITIES.index)


class Notices:
    """The notices of a screen; their texts are sanitized."""

    def __init__(self, screen: Screen[Any]) -> None:
        self._screen = screen
        self._complaints: set[str] = set()
        self._replaced = ""

    def say(
        self, text: str, title: str = "", severity: SeverityLevel = "information", seconds: float | None = None
    ) -> None:
        """Show a notice for a number of seconds, by default Textual's."""
        self._screen.notify(clean(text), title=clean(title), severity=severity, timeout=seconds, markup=False)

    def say_with(self, texts: Sequence[str], title: str, severity: SeverityLevel) -> None:
        """Show these texts in one notice, with those of the same title that are still on the screen."""
        said, told = [*map(clean, texts)], clean(title)
        for notice in textual_private.notices(self._screen.app):
            if notice.title == told:
                textual_private.withdraw(self._screen.app, notice)
                said.insert(0, notice.message)
                severity = worst((notice.severity, severity))
        self.say(" · ".join(said), told, severity)

    def error(self, text: str, title: str = "") -> None:
        """Show an error; without a title, the same error is shown only once."""
        if title or text not in self._complaints:
            self._complaints.add(text)
            self.say(text, title, "error", ERROR_SECONDS)

    def say_once(self, sentence: str, severity: SeverityLevel = "information") -> None:
        """Show a notice, unless the same one is still on the screen."""
        if not any(notice.message == sentence for notice in textual_private.notices(self._screen.app)):
            self.say(sentence, severity=severity)

    def say_instead(self, sentence: str) -> None:
        """Show a notice, or none if empty, in place of the last one of this call, which no longer applies."""
        self.unsay(self._replaced)
        self._replaced = clean(sentence)
        if sentence:
            self.say(sentence)

    def unsay(self, sentence: str) -> None:
        """Remove a notice that no longer applies."""
        for notice in textual_private.notices(self._screen.app):
            if notice.message == sentence:
                textual_private.withdraw(self._screen.app, notice)
