"""Serves the visitors of ``bntui serve``: checks what their browsers send, and ends the process of each.

What a browser sends is untrusted.  A size of a hundred million rows would need all memory of the machine, and a process
that does not end when it is told to would keep the server from ending.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

WIDEST: Final = 600
"""Columns of a visitor's screen."""
TALLEST: Final = 300
"""Rows of it."""
USUAL: Final = (80, 24)
PATIENCE: Final = 3.0
"""Seconds in which a visitor's process ends by itself."""


class Visitor(AppService):  # type: ignore[misc]  # its base is known only where it is installed
    """The process of one visitor."""

    _process: asyncio.subprocess.Process
    _task: asyncio.Task[None] | None

    async def stop(self) -> None:
        """End the process; kill it if it does not end by itself."""
        if self._task is None:
            return
        ending = asyncio.ensure_future(super().stop())
        try:
            await asyncio.wait({ending}, timeout=PATIENCE)
        finally:
            if not ending.done():
                self._process.kill()
        await ending


async def attend(request: web.Request, command: str, downloads: DownloadManager) -> web.WebSocketResponse:
    """Let a visitor look until they leave or the process ends."""
    socket = web.WebSocketResponse(heartbeat=15)
    size = request.query.get("width"), request.query.get("height")
    visitor = None
    try:
        await socket.prepare(request)
        visitor = Visitor(
            command, write_bytes=socket.send_bytes, write_str=socket.send_str, close=socket.close,
            download_manager=downloads,
        )  # fmt: skip
        await visitor.start(*fitting(*size))
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await _heard(message.data, visitor, socket.send_json)
    except (ConnectionError, asyncio.CancelledError):  # the visitor, or the server, has left
        await socket.close()
    finally:
        if visitor is not None:
            await visitor.stop()
    return socket


def fitting(width: Any, height: Any) -> tuple[int, int]:
    """A size that a screen can have."""
    return _within(width, WIDEST, USUAL[0]), _within(height, TALLEST, USUAL[1])


def _within(asked: Any, most: int, otherwise: int) -> int:
    try:
        return min(max(int(asked), 1), most)
    except (TypeError, ValueError, OverflowError):
        return otherwise


async def _heard(text: str, visitor: AppService, answer: Callable[[Any], Awaitable[None]]) -> None:
    """Pass on what a browser sends; ignore what is not a message of textual-serve's page."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return
    match told:
        case ["stdin", str(data)]:
            await visitor.send_bytes(data.encode("utf-8", "replace"))
        case ["resize", {"width": width, "height": height}]:
            await visitor.set_terminal_size(*fitting(width, height))
        case ["ping", data]:
            await answer(["pong", data])
        case ["blur", *_]:
            await visitor.blur()
        case ["focus", *_]:
            await visitor.focus()
