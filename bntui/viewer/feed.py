"""Receives the trainer's status in a thread, and hands over the newest on request."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bntui.errors import TrainerError
from bntui.link import Command, Status

FRAME: Final = 1 / 15
"""Seconds between two drawings of the trainer's news."""
SLOW_FRAME: Final = 0.2
"""The same where the line to the terminal has not carried the last one yet."""


class TrainerLink(Protocol):
    """A connection to a live trainer; see ``client.Trainer``."""

    def send(self, command: Command, **arguments: object) -> None: ...
    def receive(self, timeout: float | None = None) -> Status | None: ...
    def close(self) -> None: ...


class Feed:
    """The latest status, and whether the trainer has hung up.

    ``tell`` is called from the feed's own thread, once; after :meth:`take` it is called again.  So a slow
    screen is never behind, and never flooded.
    """

    def __init__(self, trainer: TrainerLink, tell: Callable[[], object]) -> None:
        self._trainer = trainer
        self._tell = tell
        self._lock = threading.Lock()
        self._latest: Status | None = None
        self._closed = False
        self._told = False
        self.error: TrainerError | None = None
        """Why the connection was given up, where the trainer did not just hang up."""

    def start(self) -> None:
        # a daemon: a trainer that says nothing must not keep the program from ending
        threading.Thread(target=self._listen, name="bntui-feed", daemon=True).start()

    def take(self) -> tuple[Status | None, bool]:
        """The newest status since the last call, if any, and whether the trainer has hung up."""
        with self._lock:
            status, self._latest, self._told = self._latest, None, False
            return status, self._closed

    def _listen(self) -> None:
        while True:
            try:
                status = self._trainer.receive()
            except TrainerError as error:
                status, self.error = None, error
            with self._lock:
                if status is None:
                    self._closed = True
                else:
                    self._latest = status
                tell, self._told = not self._told, True
            if tell:
                with contextlib.suppress(RuntimeError):  # the program is ending: its event loop is closed
                    self._tell()
            if status is None:
                return


@dataclass(frozen=True, slots=True)
class Tempo:
    """How often the trainer's news are drawn: never more than half of the time goes there, so that keys come first."""

    earliest: float = 0.0
    """When the next drawing may begin, in seconds of a monotonic clock."""

    def wait(self, now: float) -> float:
        """Seconds until that; 0 where it may begin."""
        return max(self.earliest - now, 0.0)

    def drawn(self, began: float, ended: float, *, slow: bool) -> Tempo:
        """After a drawing; ``slow``: the line to the terminal has not carried it yet."""
        return Tempo(began + max(SLOW_FRAME if slow else FRAME, 2 * (ended - began)))
