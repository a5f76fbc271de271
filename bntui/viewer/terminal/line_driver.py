"""Separates the terminal's answers from keys, and measures how long writes take."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, cast

from textual import events
from textual.app import App

from bntui.viewer.terminal.driver import TerminalDriver
from bntui.viewer.terminal.textual_private import TextualParser

if TYPE_CHECKING:
    from textual.message import Message

HOLD: Final = 1.0
"""Seconds that the beginning of an answer waits for its end."""
LAST_ANSWERS: Final = 1.5
"""Seconds that the end of the program waits for answers: those that come later would be typed into the shell."""


class Listener(Protocol):
    """Whoever sends: hears what becomes of it."""

    def opened(self, now: float) -> None: ...
    def answered(self, x: int, y: int, at: float) -> None: ...
    def written(self, size: int, seconds: float) -> None: ...


class Sending(Protocol):
    """An app that sends its frames itself."""

    @property
    def sender(self) -> Listener: ...


class PacedDriver(TerminalDriver):
    """The terminal's driver, which also tells the sender what was answered and how long writing took."""

    def __init__(self, app: App[Any], **arguments: Any) -> None:
        super().__init__(app, **arguments)
        self._sender = cast("Sending", app).sender
        self._answers = threading.Condition()
        self._asked = self._heard = 0

    def start_application_mode(self) -> None:
        if not isinstance(self.output, Gauge):
            self.output = cast("Any", Gauge(self.output, self._written))
        super().start_application_mode()
        self._asked = self._heard = 0
        self.write("\x1b[2H\x1b[6n\x1b[H")  # the question with the number 0
        self._sender.opened(monotonic())

    def write(self, data: str) -> None:
        self._asked += data.count("\x1b[6n")
        super().write(data)

    def _written(self, size: int, seconds: float) -> None:
        with contextlib.suppress(RuntimeError):  # the program is ending
            self.loop.call_soon_threadsafe(self._sender.written, size, seconds)

    def process_message(self, message: Message) -> None:
        if isinstance(message, events.CursorPosition):
            if message.y:  # else it is a key
                with self._answers:
                    self._heard += 1
                    self._answers.notify_all()
            with contextlib.suppress(RuntimeError):  # the program is ending
                self.loop.call_soon_threadsafe(self._sender.answered, message.x, message.y, monotonic())
        else:
            super().process_message(cast("Any", message))

    def disable_input(self) -> None:
        """Stop reading, once the answers that are on their way have come: a shell would take them for typed."""
        if not self.exit_event.is_set() and self.reads:
            with self._answers:
                if self._heard:
                    self._answers.wait_for(lambda: self._heard >= self._asked, LAST_ANSWERS)
        super().disable_input()

    def parser(self) -> TextualParser:
        """One that waits for whole answers."""
        return AnswerParser(self.debug)


class AnswerParser(TextualParser):
    """Textual's parser, which takes the rest of a sequence for keys if it comes late; here it is waited for."""

    _BEGUN: Final = re.compile(r"\x1b\[[0-9]+(;[0-9]*)?\Z")
    _REST: Final = re.compile(r"\[[0-9]+;[0-9]+R")

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._held = ""
        self._until = 0.0
        self._escaped = False
        """The last piece ended with an escape, perhaps that of an answer."""

    def feed(self, data: str) -> Iterable[Message]:
        if data:
            data, self._held = self._held + data, ""
            if self._escaped and (rest := self._REST.match(data)) and not self.waits:
                data = "\x1b" + data if rest else data
            self._escaped = data.endswith("\x1b")
            if begun := self._BEGUN.search(data):
                data, self._held, self._until = data[: begun.start()], begun[0], monotonic() + HOLD
            if data:
                yield from super().feed(data)
            return
        yield from self._release()
        yield from super().feed(data)

    def tick(self) -> Iterable[Message]:
        if self._held and monotonic() >= self._until:
            yield from self._release()
        yield from super().tick()

    def _release(self) -> Iterable[Message]:
        held, self._held = self._held, ""
        if held:
            yield from super().feed(held)


class Gauge:
    """A file of which is told how long its writes took.

    Args:
        tell: called with the bytes and the seconds of each write.
    """

    def __init__(self, file: IO[str], tell: Callable[[int, float], object]) -> None:
        self._file = file
        self._tell = tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        began = monotonic()
        done = self._file.write(text)
        self._file.flush()
        self._tell(len(text.encode()), monotonic() - began)
        return done
