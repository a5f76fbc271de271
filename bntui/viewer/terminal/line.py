"""Sends the app's output as frames at the pace of the line, which the terminal's answers tell.

Textual writes every update of the screen to the terminal at once.  Here updates go into an image of the screen
(``image.py``), and a frame is made of it whenever the line has room for one (``pacing.py``).  After each frame the
terminal is asked for its cursor's place (``CSI 6 n``), which was set so that the answer tells which frame it follows.
The row is never the first one: ``CSI 1 ; 2 R`` is what some terminals send for shift+F3.
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

from bntui.viewer.terminal import pacing, textual_private
from bntui.viewer.terminal.image import Image, Part
from bntui.viewer.terminal.line_driver import PacedDriver
from bntui.viewer.terminal.textual_private import TextualApp

COLUMNS: Final = 32
ROWS: Final = 4
"""Where the cursor stands when the terminal is asked: in one of so many columns of as many rows below the first."""
HURRY: Final = 0.5
"""Seconds after a key in which what it changed comes first."""
LATE: Final = 3.0
"""Seconds for which it is said at least that parts of the screen are late."""
SETUP: Final = 250
"""Bytes that Textual sends to set the terminal up, about."""

ReturnType = TypeVar("ReturnType")


@runtime_checkable
class Parted(Protocol):
    """A screen that says which of its parts come first; it is drawn again when parts begin or cease to be late."""

    def parts(self) -> Sequence[Part]: ...
    def redraw(self) -> None: ...


def numbers(size: Size) -> int:
    """How many frames can be told apart on a terminal of this size; 0: it cannot be asked."""
    return min(min(size.width, COLUMNS) * min(size.height - 1, ROWS), pacing.NUMBERS)


def question(number: int, size: Size) -> str:
    """What asks a terminal of this size for the answer with this number."""
    row, column = divmod(number, min(size.width, COLUMNS))
    return f"\x1b[{row + 2};{column + 1}H\x1b[6n"


def number_of(x: int, y: int, size: Size) -> int | None:
    """The number in an answer, whose column and row count from 0; None where it answers nothing of ours."""
    return (y - 1) * min(size.width, COLUMNS) + x if y and x < COLUMNS and y <= ROWS else None


class Sender:
    """The image of an app's screen, and the line that it goes out on.

    Args:
        write: hands bytes to the terminal, and does not block for long.
    """

    def __init__(self, app: PacedApp[Any], write: Callable[[str], object]) -> None:
        self.image = Image()
        self.line: pacing.Line | None = None
        """None: nobody tells what becomes of frames, and none is held back."""
        self._app = app
        self._write = write
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._hurried = self._late_at = 0.0
        self.late = False
        """Parts of the screen are behind, because the line is slow."""

    @property
    def pending(self) -> bool:
        """Something is to be sent as soon as the line has room for it."""
        return self.image.pending

    def opened(self, now: float) -> None:
        """The terminal is set up and the first question is asked: by whoever calls."""
        self._number = 0
        self.line = pacing.opened(0, SETUP, now)
        self.image.forget()
        self._pump()

    def answered(self, x: int, y: int, at: float) -> None:
        """The terminal has said where its cursor stands, columns and rows counted from 0."""
        number = number_of(x, y, self.image.size or Size(COLUMNS, ROWS + 1))
        if self.line is None or number is None:
            return
        self.line = pacing.answered(self.line, number, at)
        self._pump()

    def written(self, size: int, seconds: float) -> None:
        """The kernel has taken a frame."""
        if self.line is None:  # what sets the terminal up
            return
        self.line = pacing.written(self.line, size, seconds, monotonic())
        self._pump()

    def hurry(self) -> None:
        """A key was pressed."""
        self._hurried = monotonic() + HURRY

    def put(self, pieces: Iterable[tuple[int, int, Strip]]) -> None:
        """Strips of the screen with their columns and rows; they are sent as soon as the line has room."""
        self.image.resize(self._app.screen.outer_size)
        for x, y, strip in pieces:
            self.image.put(x, y, strip, self._app.console)
        self._pump()

    def _pump(self) -> None:
        """Send a frame if one may leave; look again when one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if textual_private.has_terminal(self._app):
            try:
                self._send_frames(monotonic())
            except Exception as error:  # called by the loop: nobody else would hear of it
                textual_private.crash(self._app, error)

    def _send_frames(self, now: float) -> None:
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
        """Say when parts begin to be late, and when they have not been for a while."""
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
        line = self.line if numbers(size) else None  # where no question can be asked, none is waited for
        asked = "" if line is None else question(self._number, size)
        data = f"{start}{frame}{end}{asked}{cursor}"
        self._write(data)
        if line is not None:
            self.line = pacing.sent(line, self._number, len(data.encode()), now)

    def image_cursor(self) -> tuple[int, int]:
        """Where the app wants the cursor to stand."""
        return self._app.screen.outer_size.clamp_offset(self._app.cursor_position)

    def _parts(self) -> list[Part]:
        screen = self._app.screen
        toasts = [Part(toast.region, inf) for toast in screen.query("Toast") if toast.region]
        return [*toasts, *(screen.parts() if isinstance(screen, Parted) else ())]


class PacedApp(TextualApp[ReturnType]):
    """An app whose frames leave at the pace of the line."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.sender = Sender(self, self._write)

    def get_driver_class(self) -> type[Driver]:
        return super().get_driver_class() if "TEXTUAL_DRIVER" in os.environ else PacedDriver

    def show(self, pieces: Iterable[tuple[int, int, Strip]]) -> None:
        self.sender.put(pieces)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(
            event, (events.Key, events.MouseDown, events.Paste, events.MouseScrollDown, events.MouseScrollUp)
        ):
            self.sender.hurry()
        await super().on_event(event)

    def _write(self, data: str) -> None:
        driver = textual_private.driver_of(self)
        if driver is not None:
            driver.write(data)
