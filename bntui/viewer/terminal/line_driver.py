"""Separates the terminal's answers from keys, and measures how long writes take.

The terminal is asked for its background before the first question for its cursor: the answers come in that order, so
that a terminal that has answered the second one says nothing to the first.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import IO, Any, Final, Protocol, cast

from textual import events
from textual.app import App
from textual.message import Message

from bntui.viewer.terminal import ground
from bntui.viewer.terminal.driver import TerminalDriver
from bntui.viewer.terminal.pasted import PasteSplitter
from bntui.viewer.terminal.textual_private import TextualParser

HOLD: Final = 1.0
"""Seconds that the beginning of an answer waits for its end."""
_IGNORED: Final = "[?0;0$y"
"""What Textual ignores after an escape: the report of a mode that nobody asked for."""
LAST_ANSWERS: Final = 1.5
"""Seconds that the program waits for answers at its end; later ones would appear as input of the shell."""


class Listener(Protocol):
    """The sender of frames, which is informed about answers and writes."""

    def opened(self, now: float) -> None: ...
    def answered(self, x: int, y: int, at: float) -> None: ...
    def written(self, size: int, seconds: float) -> None: ...


class Sending(Protocol):
    """An app with a sender of frames."""

    @property
    def sender(self) -> Listener: ...
    @property
    def asks_ground(self) -> bool: ...
    def ground_told(self, dark: bool) -> None: ...


class Ground(Message):
    """The terminal said what its background is; ``color`` is as it wrote it."""

    def __init__(self, color: str) -> None:
        super().__init__()
        self.color = color


class PacedDriver(TerminalDriver):
    """A driver that informs the sender about the terminal's answers and the duration of writes."""

    def __init__(self, app: App[Any], **arguments: Any) -> None:
        super().__init__(app, **arguments)
        self._sending = cast("Sending", app)
        self._sender = self._sending.sender
        self._answers = threading.Condition()
        self._asked = self._heard = 0

    def start_application_mode(self) -> None:
        if not isinstance(self.output, Gauge):
            self.output = cast("Any", Gauge(self.output, self._written))
        super().start_application_mode()
        self._asked = self._heard = 0
        if self._sending.asks_ground:
            self.write(ground.QUESTION)
        self.write("\x1b[2H\x1b[6n\x1b[H")  # the question with the number 0
        self._sender.opened(monotonic())

    def write(self, data: str) -> None:
        self._asked += data.count("\x1b[6n")
        super().write(data)

    def _written(self, size: int, seconds: float) -> None:
        with contextlib.suppress(RuntimeError):  # the program is ending
            self.loop.call_soon_threadsafe(self._sender.written, size, seconds)

    def process_message(self, message: Message) -> None:
        if isinstance(message, Ground):
            dark = ground.is_dark(message.color)
            if dark is not None:
                with contextlib.suppress(RuntimeError):  # the program is ending
                    self.loop.call_soon_threadsafe(self._sending.ground_told, dark)
        elif isinstance(message, events.CursorPosition):
            if message.y:  # else it is a key
                with self._answers:
                    self._heard += 1
                    self._answers.notify_all()
            with contextlib.suppress(RuntimeError):  # the program is ending
                self.loop.call_soon_threadsafe(self._sender.answered, message.x, message.y, monotonic())
        else:
            super().process_message(cast("Any", message))

    def disable_input(self) -> None:
        """Stop reading after the pending answers have arrived, which would otherwise appear as input of the shell."""
        if not self.exit_event.is_set() and self.reads:
            with self._answers:
                if self._heard:
                    self._answers.wait_for(lambda: self._heard >= self._asked, LAST_ANSWERS)
        super().disable_input()

    def parser(self) -> TextualParser:
        """A parser that waits for complete answers."""
        return AnswerParser(self.debug)


class AnswerParser(TextualParser):
    """A parser that waits for the rest of an answer, which Textual's parser treats as keys if it comes late.

    What was pasted is neither an answer nor keys.
    """

    _BEGUN: Final = re.compile(rf"\x1b\[[0-9]+(;[0-9]*)?\Z|{ground.BEGUN.pattern}")
    _REST: Final = re.compile(rf"\[[0-9]+;[0-9]+R|{ground.REST}")

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._pastes = PasteSplitter()
        self._held = ""
        self._until = 0.0
        self._escaped = False
        """The last input ended with an escape, which may be the beginning of an answer."""

    def feed(self, data: str) -> Iterable[Message]:
        if data:
            data, self._held = ground.continued(self._held, data), ""
            for piece in self._pastes.split(data):
                if isinstance(piece, str):
                    yield from self._answered(piece)
                else:
                    yield piece
            return
        yield from self._release()
        yield from super().feed(data)

    def _answered(self, data: str) -> Iterable[Message]:
        if self._escaped and self._REST.match(data):
            if not self.waits:
                data = "\x1b" + data
            elif data[0] == "]":  # Textual would go on with keys: its escape becomes something that it ignores
                yield from super().feed(_IGNORED)
                data = "\x1b" + data
        while found := ground.ANSWER.search(data):
            yield from self._typed(data[: found.start()])
            yield Ground(found[1])
            data = data[found.end() :]
        self._escaped = data.endswith("\x1b")
        if begun := self._BEGUN.search(data):
            data, self._held, self._until = data[: begun.start()], begun[0], monotonic() + HOLD
        yield from self._typed(data)

    def tick(self) -> Iterable[Message]:
        if self._held and monotonic() >= self._until and not self._held.startswith(ground.CERTAIN):
            yield from self._release()
        yield from super().tick()

    def _typed(self, data: str) -> Iterable[Message]:
        if data:
            yield from super().feed(data)

    def _release(self) -> Iterable[Message]:
        held, self._held = self._held, ""
        if not held.startswith(ground.CERTAIN):
            yield from self._typed(held)


class Gauge:
    """A file that reports how long its writes take.

    Args:
        tell: called with the number of bytes and the seconds of each write.
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
