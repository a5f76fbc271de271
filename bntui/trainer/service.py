"""What the trainer does when: it trains as its clients command, and says after each commit where it stands."""

from __future__ import annotations

import queue
import time
from collections import deque
from typing import Any

from bntui.link import State, Status
from bntui.trainer.server import Server
from bntui.trainer.session import Session

PAUSE_PATIENCE = 0.3
"""Seconds that a pause waits for the epoch's end before it takes the step under way."""


class Service:
    """The loop between commands and epochs of one session."""

    def __init__(self, session: Session, server: Server, *, running: bool, pace: float | None) -> None:
        self._session = session
        self._server = server
        self._running = running
        self._pace = pace
        self._epochs = 0
        self._steps = 0
        """Epochs and mini-batches asked for while paused, and not yet trained."""
        self._stop = False
        self._pause_at: float | None = None
        self._next_epoch = time.monotonic()
        self._done: deque[float] = deque([time.monotonic()], maxlen=512)

    def serve(self) -> None:
        """Train until all runs are over or a client says stop; the recording is closed either way."""
        self._publish()
        while not self._stop and not self._session.over:
            if self._take_commands():
                self._train()
                self._publish()
        if self._stop:
            self._session.interrupt()
        self._session.writer.flush()
        self._publish("stopped" if self._stop else "finished")
        self._session.writer.close()

    def _train(self) -> None:
        if self._steps and not self._running:
            self._steps -= 1
            self._session.step()
        else:
            self._session.epoch(self._interrupted)
            self._epochs = max(0, self._epochs - 1)
            self._done.append(time.monotonic())
        if not self._busy():
            self._session.writer.flush()

    def _busy(self) -> bool:
        return self._running or self._epochs > 0 or self._steps > 0

    def _take_commands(self) -> bool:
        """Obey what has come in; False when there is nothing to train yet."""
        if not self._busy():
            self._obey(self._server.commands.get())
        elif self._running and self._pace is not None:
            wait = self._next_epoch - time.monotonic()
            if wait > 0:
                try:
                    self._obey(self._server.commands.get(timeout=wait))
                except queue.Empty:
                    pass
                else:
                    return False
            # a pace that cannot be held is not caught up with
            self._next_epoch = max(self._next_epoch + 1 / self._pace, time.monotonic())
        while not self._server.commands.empty():
            self._obey(self._server.commands.get())
        return self._busy() and not self._stop

    def _obey(self, command: dict[str, Any]) -> None:
        match command:
            case {"command": "epoch"}:
                self._epochs += 1
                self._running = False
            case {"command": "step"}:
                self._steps += 1
                self._running = False
            case {"command": "run"}:
                self._running = True
                self._next_epoch = time.monotonic()
            case {"command": "pause"}:
                self._running = False
                self._epochs = self._steps = 0
            case {"command": "pace", "epochs_per_second": None}:
                self._pace = None
            case {"command": "pace", "epochs_per_second": int() | float() as pace} if pace > 0:
                self._pace = pace
                self._next_epoch = time.monotonic()
            case {"command": "stop"}:
                self._stop = True
        if self._server.commands.empty():
            self._server.urgent.clear()
            self._pause_at = None
        self._publish()

    def _interrupted(self) -> bool:
        """Asked before every step: is there a pause or stop that cannot wait for the epoch's end?"""
        if not self._server.urgent.is_set():
            return False
        if self._pause_at is None:
            self._pause_at = time.monotonic() + PAUSE_PATIENCE
        return time.monotonic() >= self._pause_at

    def _rate(self) -> float:
        """Epochs a second over the last second or so."""
        now = time.monotonic()
        recent = [moment for moment in self._done if now - moment <= 1.5]
        if len(recent) < 2 or not self._busy():
            return 0.0
        return (len(recent) - 1) / (recent[-1] - recent[0])

    def _publish(self, state: State | None = None, message: str = "") -> None:
        state = state or ("running" if self._busy() else "paused")
        self._server.publish(Status(state, self._pace, self._rate(), self._session.writer.keyframes, message))
