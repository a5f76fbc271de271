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
from bntui.link.wire import FRAME_PATIENCE, FrameError, LineBuffer
from bntui.text.language import _

MOST_CLIENTS = 8
"""Maximum number of simultaneous connections."""
LAST_ANSWER = 5.0
"""Seconds to wait until a client with an incomplete frame has been sent the error, before closing its connection."""
LAST_STATUS = 1.0
"""Seconds that closing waits for a client to receive the last status."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that is not a valid request; the reason is sent to its sender."""

    sender: Connection
    why: str


class Connection:
    """The connection to one client.

    A slow client may miss statuses, but always receives the latest one.  Its frames are validated before they are
    passed on.
    """

    def __init__(
        self,
        client: socket.socket,
        hear: Callable[[Request | Refused], None],
        forget: Callable[[Connection], None],
    ) -> None:
        """Prepare to serve a client; see :meth:`start`.

        Args:
            hear: receives its requests; while it blocks, nothing more is read from this client.
            forget: called when the client has disconnected.
        """
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
        """Start to serve the client, and send it the current status."""
        self.tell(status)
        threading.Thread(target=self._listen, daemon=True).start()
        self._speaker.start()

    def tell(self, status: Status) -> None:
        """Send a status, which includes the reason if this client's last request was refused."""
        with self._news:
            if self._refused > status.refused:
                status = replace(status, refusal=self._refusal, refused=self._refused)
                self._answered.set()
            self._latest = status
            self._news.notify()

    def refuse(self, why: str, number: int) -> None:
        """Report in the next status why a request was refused.

        Args:
            why: the reason.
            number: number of requests received up to the refused one.
        """
        with self._news:
            self._refusal, self._refused = why, number
            self._answered.clear()

    def hang_up(self) -> None:
        """Send the last status and nothing more; see :meth:`close`."""
        with self._news:
            self._closing = True
            self._news.notify()

    def close(self) -> None:
        """Send the last status and close the connection."""
        self.hang_up()
        self._speaker.join(timeout=LAST_STATUS)
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._client.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the client hung up, or the connection was closed here
            self._read()
        self._forget(self)  # before closing, so that the descriptor does not leak
        self.close()

    def _read(self) -> None:
        lines, poll = LineBuffer(), select.poll()
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
