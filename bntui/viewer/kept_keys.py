"""Keeps keys that are typed while a training is starting, for the laboratory that is about to open."""

from __future__ import annotations

from typing import Any, Final

from textual import events
from textual.app import App

MOST: Final = 100
"""Keys that are kept; more than anybody types in the seconds that a start takes."""
OTHERS: Final = frozenset({"q", "escape", "d", "enter", "tab", "shift+tab", "question_mark"})
"""Keys that mean the screen on which they are typed, or that are typed again because nothing seems to happen."""


class KeptKeys:
    """Keys that the laboratory knows, in the order in which they were typed."""

    def __init__(self) -> None:
        self._keys: list[tuple[str, str | None]] = []

    def keep(self, event: events.Key) -> None:
        """Keep a key of the laboratory; others go on their way."""
        from bntui.viewer.lab_keys import bindings  # with all panels, for which the gallery's first paint does not wait

        if event.key not in OTHERS and any(event.key in binding.key.split(",") for binding in bindings()):
            event.stop()
            if len(self._keys) < MOST:
                self._keys.append((event.key, event.character))

    def clear(self) -> None:
        """Forget them: nothing opens."""
        self._keys.clear()

    def type_into(self, app: App[Any]) -> None:
        """Type them again, once what was opened has been drawn."""
        keys, self._keys = self._keys, []

        def type_all() -> None:
            for key, character in keys:
                app.post_message(events.Key(key, character))

        if keys:
            app.call_after_refresh(type_all)
