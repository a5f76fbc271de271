"""Receives the trainer's status in a thread, and keeps the newest for the screen."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bntui.errors import TrainerError
from bntui.link import Command, Status

FRAME: Final = 1 / 15
"""Minimum seconds between two drawings of new keyframes."""
SLOW_FRAME: Final = 0.2
"""The same while the last drawing is still being sent to the terminal."""


class TrainerLink(Protocol):
    """A connection to a live trainer; see ``client.Trainer``."""

    def send(self, command: Command, **arguments: object) -> None: ...
    def receive(self, timeout: float | None = None) -> Status | None: ...
    def close(self) -> None: ...


class Feed:
    """The latest status, and whether the trainer has hung up.

    ``tell`` is called once from the feed's own thread, and again only after :meth:`fetch`, so that a slow screen is
    neither flooded nor behind.
    """

    def __init__(self, trainer: TrainerLink, tell: Callable[[], object]) -> None:
        self._trainer = trainer
        self._tell = tell
        self._lock = threading.Lock()
        self._latest: Status | None = None
        self._closed = False
        self._told = False
        self.error: TrainerError | None = None
        """The error that ended the connection; None if the trainer hung up normally."""

    def start(self) -> None:
        # a daemon thread, so that a silent trainer cannot prevent the program from ending
        threading.Thread(target=self._listen, name="bntui-feed", daemon=True).start()

    def fetch(self) -> tuple[Status | None, bool]:
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
    """Limits how often new keyframes are drawn, to at most half of the time, so that keys are handled promptly."""

    earliest: float = 0.0
    """Earliest time of the next drawing, in seconds of a monotonic clock."""

    def wait(self, now: float) -> float:
        """Seconds until the next drawing may begin; 0 if it may begin now."""
        return max(self.earliest - now, 0.0)

    def drawn(self, began: float, ended: float, *, slow: bool) -> Tempo:
        """The tempo after a drawing.

        Args:
            slow: the drawing has not been sent to the terminal yet.
        """
        return Tempo(began + max(SLOW_FRAME if slow else FRAME, 2 * (ended - began)))
