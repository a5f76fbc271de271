"""Hands keys to the application one after another, so that a key meets the screen that the key before it opened."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from textual import events
from textual.app import App
from textual.dom import DOMNode

Typed = events.Key | events.Paste
WAIT: Final = 2.0
"""Seconds after which a key no longer waits for the one before it, whatever holds that up."""


class Typing:
    """What is typed faster than the screen follows: over a slow line, keys arrive together.

    Textual passes a key to the screen, and what the key does happens when it comes back from there.  A second key that
    arrived with it would be passed to the same screen before: of ``/q``, the ``q`` would quit.
    """

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._ahead: deque[Typed] = deque()
        self._since: float | None = None
        """When the key was passed on that is on its way; None if there is none."""

    async def take(self, event: Typed, handle: Callable[[events.Event], Awaitable[None]]) -> None:
        """Pass a key on as soon as the one before it has done what it does."""
        self._ahead.append(event)
        if self._since is None or time.monotonic() - self._since >= WAIT:
            await self._next(handle)

    async def _next(self, handle: Callable[[events.Event], Awaitable[None]]) -> None:
        self._since = None
        if not self._ahead:
            return
        self._since = time.monotonic()
        app = self._app
        way: DOMNode = app.focused or app.screen
        await handle(self._ahead.popleft())

        def climb(node: DOMNode | None) -> None:
            """Follow the key, which goes from the focused widget up to the app, behind it in every queue."""
            if node is None or node is app:
                app.call_later(self._next, handle)
            elif not node.call_later(climb, node.parent):  # it has been closed
                climb(node.parent)

        climb(way)
