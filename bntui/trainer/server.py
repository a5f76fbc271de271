"""Listens on a Unix socket: accepts requests, and sends the status to every client.

Up to twice a second, the server checks that the socket and the recording are still in place, because logind removes
runtime folders, and users rename files.  It also renews its note in the registry of trainers.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bntui.errors import BntuiError
from bntui.link import Status, TurnedAwayError, registry
from bntui.link.address import peer, socket_path
from bntui.link.requests import ForkRequest, PlainCommand, Request
from bntui.recording.seeds import SeedPiece
from bntui.text.language import _
from bntui.trainer.connection import MOST_CLIENTS, Connection, Refused
from bntui.trainer.seeds import SeedsOver

LAST_WORDS: Final = 3.0
"""Seconds that a failed trainer waits for its first client, to report the reason."""
WAITING: Final = 256
"""Maximum number of queued requests; beyond it, no more are read from clients."""
LOOK_SECONDS: Final = 0.5
"""Seconds between two checks of the socket and the recording."""


@dataclass(frozen=True, slots=True)
class Rebound:
    """The socket was bound again, so the recording must store its address."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The recording was moved or deleted."""


Heard = Request | Refused | Rebound | Moved | SeedPiece | SeedsOver


class Server:
    """Listens on a recording's socket, and puts the requests of all clients into one queue."""

    def __init__(
        self, recording: Path, status: Status, *, owner: str = "", moved: Callable[[], bool] = lambda: False
    ) -> None:
        """Start to listen.

        Args:
            owner: the process that started the training; see ``Status.owner``.
            moved: tells whether the recording was moved or deleted; called from another thread.

        Raises:
            BntuiError: there is no folder for the socket.
        """
        self.heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self.urgent = threading.Event()
        """A pause, fork, stop or move of the recording is pending."""
        self._owner = owner
        self.status = replace(status, recording=str(recording), owner=owner)
        self._recording = recording
        self._moved, self._told_moved = moved, False
        self._closing = False
        self._visited = threading.Event()
        """A client has connected."""
        self._clients: list[Connection] = []
        self._mutex = threading.Lock()
        self._bound, self._socket, self._node = _listening(recording)
        self._noted = -math.inf
        self._note()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Current path of the socket."""
        return str(self._bound)

    def put(self, request: Request | Moved | SeedPiece | SeedsOver) -> None:
        """Queue a request; safe in a signal handler."""
        if isinstance(request, ForkRequest | Moved) or (
            isinstance(request, PlainCommand) and request.command in ("pause", "stop")
        ):
            self.urgent.set()  # before queueing, because obeying the request clears it
        self.heard.put(request)

    def publish(self, status: Status) -> None:
        """Send a status to all clients, and to clients that connect later."""
        with self._mutex:
            self.status = replace(status, recording=str(self._recording), owner=self._owner)
            self._tell()

    def follow(self, recording: Path) -> None:
        """Listen on the socket that belongs to the recording's new path.

        Raises:
            BntuiError: the socket cannot be created.
        """
        with self._mutex:
            self._bind(recording)
            self._recording, self._told_moved, self._noted = recording, False, -math.inf
            self._note()

    def look_again(self) -> None:
        """Report the move of the recording again, because it could not be followed."""
        self._told_moved = False

    def close(self) -> None:
        """Accept no more clients, send the last status, and close all connections.

        If training failed early, the process that started the trainer may not have connected yet, so this waits up to
        ``LAST_WORDS`` seconds for it.
        """
        if self.status.state == "failed":
            self._visited.wait(timeout=LAST_WORDS)
        with self._mutex:
            self._closing = True
            registry.erase()
            self._unlink()
            self._socket.close()
            clients, self._clients = self._clients, []
        for client in clients:
            client.hang_up()
        for client in clients:
            client.close()

    def _tell(self) -> None:
        for client in self._clients:
            client.tell(replace(self.status, clients=len(self._clients)))

    def _hear(self, what: Request | Refused) -> None:
        while self.heard.qsize() >= WAITING and not self._closing:
            time.sleep(0.01)
        if isinstance(what, Refused):
            self.heard.put(what)
        else:
            self.put(what)

    def _forget(self, client: Connection) -> None:
        with self._mutex:
            if client in self._clients:
                self._clients.remove(client)
                self._tell()

    def _accept(self) -> None:
        looked = time.monotonic()
        while not self._closing:
            try:
                listening = self._socket  # replaced after a move
                if select.select([listening], [], [], LOOK_SECONDS)[0]:
                    self._welcome(listening.accept()[0])
            except (OSError, ValueError):  # closed, bound again, or temporarily out of descriptors
                time.sleep(0.1)
            if time.monotonic() - looked >= LOOK_SECONDS:
                self._look()
                looked = time.monotonic()

    def _welcome(self, client: socket.socket) -> None:
        client.setblocking(True)  # on some systems, it inherits non-blocking mode
        with self._mutex:
            why = ""
            if peer(client) not in (os.getuid(), 0):
                why = _("this training belongs to another user")
            elif len(self._clients) >= MOST_CLIENTS:
                sentence = _(
                    "{count} programs are connected to this trainer; close one, or stop the training with: kill {pid}"
                )
                why = sentence.format(count=len(self._clients), pid=os.getpid())
            if why:
                with client, contextlib.suppress(OSError):
                    client.setblocking(False)
                    client.send(TurnedAwayError(why).line())
                return
            connection = Connection(client, self._hear, self._forget)
            self._clients.append(connection)
            connection.start(replace(self.status, clients=len(self._clients)))
            self._tell()
            self._visited.set()

    def _look(self) -> None:
        """Bind again if the socket was removed, report if the recording was moved or deleted, and renew the note."""
        with self._mutex:
            if self._closing:
                return
            self._note()
            if _node(self._bound) != self._node:
                try:
                    self._bind(self._recording)
                except (BntuiError, OSError) as error:
                    print(error, file=sys.stderr, flush=True)  # goes to the log; the next check tries again
                else:
                    self.heard.put(Rebound())
            if not self._told_moved and self._moved():
                self._told_moved = True
                self.put(Moved())

    def _note(self) -> None:
        """Note in the registry what is trained here, from time to time: somebody may have removed the note."""
        if time.monotonic() - self._noted >= registry.RENEWED:
            registry.write(self._recording)
            self._noted = time.monotonic()

    def _bind(self, recording: Path) -> None:
        before = self._socket
        bound, self._socket, node = _listening(recording)
        self._unlink()
        before.close()
        self._bound, self._node = bound, node

    def _unlink(self) -> None:
        if _node(self._bound) == self._node:
            self._bound.unlink(missing_ok=True)


def _listening(recording: Path) -> tuple[Path, socket.socket, tuple[int, int] | None]:
    """Create a listening socket; returns its path, the socket, and the device and inode of its file."""
    path = socket_path(recording)
    path.unlink(missing_ok=True)  # left by a killed trainer, as this process holds the lock
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    path.chmod(0o600)
    listening.listen()
    listening.setblocking(False)  # a client may disconnect between select and accept
    return path, listening, _node(path)


def _node(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file at a path; None if there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
