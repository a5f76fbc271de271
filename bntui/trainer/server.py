"""The trainer's ear and mouth: a Unix socket that takes commands and tells every client its status."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bntui.link import Status, socket_path

LAST_WORDS: Final = 3.0
"""Seconds that a failure waits for its first client."""


class _Client:
    """One connection.  A slow one misses statuses, never the latest, and never holds the trainer up."""

    def __init__(
        self,
        connection: socket.socket,
        obey: Callable[[dict[str, Any]], None],
        forget: Callable[[_Client], None],
    ) -> None:
        self._connection = connection
        self._obey = obey
        self._forget = forget
        self._news = threading.Condition()
        self._latest: Status | None = None
        self._closing = False
        threading.Thread(target=self._listen, daemon=True).start()
        self._speaker = threading.Thread(target=self._speak, daemon=True)
        self._speaker.start()

    def tell(self, status: Status) -> None:
        with self._news:
            self._latest = status
            self._news.notify()

    def close(self) -> None:
        """Say the last word, then hang up."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._speaker.join(timeout=1)
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError), self._connection.makefile("rb") as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # not from a client of ours
                    command = json.loads(line)
                    if isinstance(command, dict):
                        self._obey(command)
        self._forget(self)  # it has hung up: its descriptor must not stay
        self.close()

    def _speak(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._latest is not None or self._closing)
                status, self._latest = self._latest, None
            if status is None:
                return
            try:
                self._connection.sendall(status.line())
            except OSError:
                return


class Server:
    """Listens on a recording's socket; commands of all clients come in one queue."""

    def __init__(self, recording: Path, status: Status) -> None:
        self.commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.urgent = threading.Event()
        """A pause or stop has come in that was not yet obeyed."""
        self.status = status
        self._visited = threading.Event()
        """A client has been here."""
        self._clients: list[_Client] = []
        self._mutex = threading.Lock()
        self._path = socket_path(recording)
        self._path.unlink(missing_ok=True)  # left by a trainer that was killed: its lock is ours now
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def put(self, command: dict[str, Any]) -> None:
        """Take in a command, from a client or from a signal."""
        if command.get("command") in ("pause", "fork", "stop"):
            self.urgent.set()  # first: once it is obeyed it is not urgent any more
        self.commands.put(command)

    def publish(self, status: Status) -> None:
        """Tell all clients; those that connect later hear it first."""
        with self._mutex:
            self.status = status
            for client in self._clients:
                client.tell(status)

    def close(self) -> None:
        """Take no more clients; the last status reaches those that are there.

        Who started this trainer may not have come yet when it fails at once: the reason waits for them a while.
        """
        if self.status.state == "failed":
            self._visited.wait(timeout=LAST_WORDS)
        self._path.unlink(missing_ok=True)
        self._socket.close()
        with self._mutex:
            clients, self._clients = self._clients, []
        for client in clients:
            client.close()

    def _forget(self, client: _Client) -> None:
        with self._mutex:
            if client in self._clients:
                self._clients.remove(client)

    def _accept(self) -> None:
        while self._socket.fileno() >= 0:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed, or for a moment out of descriptors
                time.sleep(0.1)
                continue
            with self._mutex:
                client = _Client(connection, self.put, self._forget)
                client.tell(self.status)
                self._clients.append(client)
                self._visited.set()
