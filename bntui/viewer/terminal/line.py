"""Sends the app's output as frames at the pace of the line, which is measured by the terminal's answers.

Textual writes every update of the screen to the terminal at once.  Here, updates go into an image of the screen
(``image.py``), and a frame is built from it whenever the line has room for one (``pacing.py``).  After each frame, the
cursor is moved to a position that encodes the number of the frame, and the terminal is asked for the position
(``CSI 6 n``).  The first row is not used, because ``CSI 1 ; 2 R`` is what some terminals send for shift+F3.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from math import inf
from time import monotonic
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from rich.control import Control
from textual import events
from textual.driver import Driver
from textual.geometry import Size
from textual.strip import Strip

from bntui.viewer.draw.theme import DARK, Palette
from bntui.viewer.terminal import ground, pacing, textual_private
from bntui.viewer.terminal.image import Image, Part
from bntui.viewer.terminal.line_driver import PacedDriver
from bntui.viewer.terminal.pasted import one_line
from bntui.viewer.terminal.textual_private import TextualApp
from bntui.viewer.terminal.typed import Typed, Typing

COLUMNS: Final = 32
ROWS: Final = 4
"""Numbers of columns, and of rows below the first, that encode the number of a frame."""
HURRY: Final = 0.5
"""Seconds after a key in which its effects are sent first."""
LATE: Final = 3.0
"""Minimum seconds for which the screen says that parts of it are late."""
SETUP: Final = 250
"""Approximate number of bytes that Textual sends to set up the terminal."""

ReturnType = TypeVar("ReturnType")


@runtime_checkable
class Parted(Protocol):
    """A screen that declares the priority of its parts; it is redrawn when parts begin or cease to be late."""

    def parts(self) -> Sequence[Part]: ...
    def redraw(self) -> None: ...


def numbers(size: Size) -> int:
    """How many frames can be distinguished on a terminal of this size; 0 if it is too small to be asked."""
    return min(min(size.width, COLUMNS) * min(size.height - 1, ROWS), pacing.NUMBERS)


def question(number: int, size: Size) -> str:
    """The sequence that asks a terminal of this size for the answer with a number."""
    row, column = divmod(number, min(size.width, COLUMNS))
    return f"\x1b[{row + 2};{column + 1}H\x1b[6n"


def number_of(x: int, y: int, size: Size) -> int | None:
    """The number in an answer, with column and row counted from 0; None if it does not answer a frame."""
    return (y - 1) * min(size.width, COLUMNS) + x if y and x < COLUMNS and y <= ROWS else None


class Sender:
    """The image of an app's screen, and the line on which it is sent.

    Args:
        write: writes to the terminal without blocking for long.
    """

    def __init__(self, app: PacedApp[Any], write: Callable[[str], object]) -> None:
        self.image = Image()
        self.line: pacing.TerminalLine | None = None
        """None if the line is not measured, so that no frame is held back."""
        self._app = app
        self._write = write
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._hurried = self._late_at = self._held = 0.0
        self.late = False
        """Parts of the screen are late, because the line is slow."""

    @property
    def pending(self) -> bool:
        """True if there is something to send as soon as the line has room."""
        return self.image.pending

    def opened(self, now: float) -> None:
        """Start to measure the line, after the caller has set up the terminal and asked the first question."""
        self._number = 0
        self.line = pacing.opened(0, SETUP, now)
        self._held = now + ground.PATIENCE if self._app.asks_ground else 0.0
        self.image.forget()
        self._pump()

    def recolored(self) -> None:
        """All is about to be drawn in other colors: a first frame that waits is not sent in the old ones."""
        if self._held:
            self.image.clear()

    def answered(self, x: int, y: int, at: float) -> None:
        """Handle the terminal's answer with the cursor position, counted from 0."""
        number = number_of(x, y, self.image.size or Size(COLUMNS, ROWS + 1))
        if self.line is None or number is None:
            return
        self.line = pacing.answered(self.line, number, at)
        self._held = 0.0  # the background was asked for before: it has been said by now, or never will be
        self._pump()

    def written(self, size: int, seconds: float) -> None:
        """Handle the end of a write of ``size`` bytes, which took ``seconds``."""
        if self.line is None:  # the terminal is being set up
            return
        self.line = pacing.written(self.line, size, seconds, monotonic())
        self._pump()

    def hurry(self) -> None:
        """Send the effects of a key first, for a while."""
        self._hurried = monotonic() + HURRY

    def put(self, pieces: Iterable[tuple[int, int, Strip]]) -> None:
        """Update the image with strips at their columns and rows; they are sent as soon as the line has room."""
        self.image.resize(self._app.screen.outer_size)
        for x, y, strip in pieces:
            self.image.put(x, y, strip, self._app.console)
        self._pump()

    def _pump(self) -> None:
        """Send frames while the line has room, and schedule the next attempt."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if textual_private.has_terminal(self._app):
            try:
                self._send_frames(monotonic())
            except Exception as error:  # called by the event loop, which would only log the exception
                textual_private.crash(self._app, error)

    def _send_frames(self, now: float) -> None:
        if now < self._held:
            self._timer = asyncio.get_running_loop().call_later(self._held - now, self._pump)
            return
        self._held = 0.0
        while self.image.pending:
            room = pacing.UNLIMITED if self.line is None else pacing.room(self.line, now)
            if not room:
                break
            frame = self.image.frame(room, self._parts(), now, hurried=now < self._hurried)
            if frame:
                self._send(frame, now)
        if self.line is None:
            return
        if self.image.late(now):
            self._late_at = now
            if not self.late:
                self._look()
        self.line = pacing.looked(self.line, now)
        if self.image.pending:
            self._timer = asyncio.get_running_loop().call_later(pacing.wait(self.line, now), self._pump)

    def _look(self) -> None:
        """Redraw the screen when parts become late, and when none has been late for a while."""
        late = monotonic() < self._late_at + LATE
        if late != self.late:
            self.late = late
            if textual_private.has_terminal(self._app) and isinstance(self._app.screen, Parted):
                self._app.screen.redraw()
        if late:
            asyncio.get_running_loop().call_later(LATE, self._look)

    def _send(self, frame: str, now: float) -> None:
        size = self.image.size
        self._number = (self._number + 1) % max(numbers(size), 1)
        start, end = textual_private.around_a_frame(self._app)
        cursor = Control.move_to(*self.image_cursor()).segment.text
        line = self.line if numbers(size) else None  # without questions, do not wait for answers
        asked = "" if line is None else question(self._number, size)
        data = f"{start}{frame}{end}{asked}{cursor}"
        self._write(data)
        if line is not None:
            self.line = pacing.sent(line, self._number, len(data.encode()), now)

    def image_cursor(self) -> tuple[int, int]:
        """The cursor position that the app wants."""
        return self._app.screen.outer_size.clamp_offset(self._app.cursor_position)

    def _parts(self) -> list[Part]:
        screen = self._app.screen
        toasts = [Part(toast.region, inf) for toast in screen.query("Toast") if toast.region]
        return [*toasts, *(screen.parts() if isinstance(screen, Parted) else ())]


class PacedApp(TextualApp[ReturnType]):
    """An app whose frames are sent at the pace of the line."""

    palette: Palette = DARK
    """How styles look."""
    read_only = False
    """The screen is shown to others, who may look only: nothing is trained, changed, or saved."""
    asks_ground = False
    """The terminal is asked for its background, and the first frame waits a moment for the answer."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.sender = Sender(self, self._write)
        self._typing = Typing(self)

    def get_driver_class(self) -> type[Driver]:
        return super().get_driver_class() if "TEXTUAL_DRIVER" in os.environ else PacedDriver

    def show(self, pieces: Iterable[tuple[int, int, Strip]]) -> None:
        self.sender.put(pieces)

    def ground_told(self, dark: bool) -> None:
        """The terminal has said that its background is dark, or light."""

    async def on_event(self, event: events.Event) -> None:
        if isinstance(
            event, (events.Key, events.MouseDown, events.Paste, events.MouseScrollDown, events.MouseScrollUp)
        ):
            self.sender.hurry()
        if isinstance(event, events.Paste) and not event.is_forwarded:
            event = events.Paste(one_line(event.text))
        if isinstance(event, Typed) and not event.is_forwarded:
            await self._typing.take(event, super().on_event)
        else:
            await super().on_event(event)

    def _write(self, data: str) -> None:
        driver = textual_private.driver_of(self)
        if driver is not None:
            driver.write(data)
