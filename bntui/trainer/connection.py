"""Serves one client of a trainer; a silent, slow or hostile client never blocks training."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from bntui.link import Status, requests
from bntui.link.requests import Request
from bntui.link.wire import FRAME_PATIENCE, FrameError, Lines
from bntui.text.language import _

MOST_CLIENTS = 8
"""Connections that are served at once."""
LAST_ANSWER = 5.0
"""Seconds that a client whose frame never ended waits to be told so."""
LAST_STATUS = 1.0
"""Seconds that closing waits for a client to take the last status."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that is not a request: its sender is told why."""

    sender: Connection
    why: str


class Connection:
    """A slow client misses statuses, never the latest; what it sends is checked before it counts."""

    def __init__(
        self,
        client: socket.socket,
        hear: Callable[[Request | Refused], None],
        forget: Callable[[Connection], None],
    ) -> None:
        """``hear`` may block: meanwhile nothing more is read of this client."""
        self._client = client
        self._hear = hear
        self._forget = forget
        self._news = threading.Condition()
        self._latest: Status | None = None
        self._refusal, self._refused = "", 0
        self._answered = threading.Event()
        self._closing = False
        self._speaker = threading.Thread(target=self._speak, daemon=True)

    def start(self, status: Status) -> None:
        """Serve it, beginning with where the trainer stands."""
        self.tell(status)
        threading.Thread(target=self._listen, daemon=True).start()
        self._speaker.start()

    def tell(self, status: Status) -> None:
        """Send a status, and with it why this client's own last request was refused."""
        with self._news:
            if self._refused > status.refused:
                status = replace(status, refusal=self._refusal, refused=self._refused)
                self._answered.set()
            self._latest = status
            self._news.notify()

    def refuse(self, why: str, number: int) -> None:
        """Have the next status say why a request was refused; ``number`` counts the requests until then."""
        with self._news:
            self._refusal, self._refused = why, number
            self._answered.clear()

    def hang_up(self) -> None:
        """Say the last word and no more; see :meth:`close`."""
        with self._news:
            self._closing = True
            self._news.notify()

    def close(self) -> None:
        """Hang up, once the last word is said."""
        self.hang_up()
        self._speaker.join(timeout=LAST_STATUS)
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._client.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has hung up, or is closed here
            self._read()
        self._forget(self)  # its descriptor must not stay
        self.close()

    def _read(self) -> None:
        lines, poll = Lines(), select.poll()
        poll.register(self._client, select.POLLIN)
        while True:
            patience = lines.patience
            if not poll.poll(None if patience is None else 1000 * patience):
                break
            piece = self._client.recv(65536)
            if not piece:
                return
            for line in lines.add(piece):
                self._hear(self._request(line))
        why = _("a frame was incomplete after {seconds:g} seconds").format(seconds=FRAME_PATIENCE)
        self._hear(Refused(self, why))
        self._answered.wait(timeout=LAST_ANSWER)

    def _request(self, line: bytes | FrameError) -> Request | Refused:
        try:
            if isinstance(line, FrameError):
                raise line
            return requests.parse(line)
        except FrameError as error:
            return Refused(self, str(error))

    def _speak(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._latest is not None or self._closing)
                status, self._latest = self._latest, None
            if status is None:
                return
            try:
                self._client.sendall(status.line())
            except OSError:
                return
