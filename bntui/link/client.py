"""Starts trainer processes, sends them commands, and receives their status."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bntui.errors import TrainerError
from bntui.link import Command, State, Status, TurnedAwayError, command_line, wire
from bntui.link.job import Answer, Job
from bntui.link.live import dial
from bntui.link.requests import ForkRequest
from bntui.link.spawn import Spawned, spawned
from bntui.link.wire import FrameError, LineBuffer
from bntui.scenario.pace import PacingOptions
from bntui.text.language import _, spoken

ME: Final = secrets.token_hex(8)
"""Name of this process, by which it recognizes the trainers that it started."""
ANSWERS_WITHIN: Final = 1.0
"""Seconds in which a trainer sends the status with which it greets every client."""


class Trainer:
    """A connection to a live trainer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = LineBuffer()

    @classmethod
    def connect(cls, recording: Path) -> Trainer | None:
        """Connect to the trainer of a recording; None if none is live."""
        connection = dial(recording)
        return None if connection is None else cls(connection)

    def send(self, command: Command, **arguments: object) -> None:
        """Send a command.

        Raises:
            TrainerError: the trainer has exited.
        """
        try:
            self._connection.sendall(command_line(command, **arguments))
        except OSError as error:
            raise TrainerError(
                _("the trainer of this recording has exited; everything it recorded is saved")
            ) from error

    def receive(self, timeout: float | None = None) -> Status | None:
        """Wait for the next status, and return the latest if several are waiting; None if the trainer has hung up.

        Raises:
            TimeoutError: nothing arrived within ``timeout`` seconds.
            TrainerError: the trainer accepts no more clients, or the other end is not a trainer.
        """
        found: list[bytes | FrameError] = []
        while not found:
            try:
                self._connection.settimeout(timeout)
                piece = self._connection.recv(65536)
            except TimeoutError:
                raise
            except OSError:
                return None
            if not piece:
                return None
            found = self._lines.add(piece)
        try:
            if isinstance(found[-1], FrameError):
                raise found[-1]
            return Status.parse(found[-1])
        except TurnedAwayError as error:
            raise TrainerError(str(error)) from error
        except FrameError as error:
            sentence = _("the process on this recording's socket is not a trainer of this bntui: {reason}")
            raise TrainerError(sentence.format(reason=error)) from error

    def close(self) -> None:
        with contextlib.suppress(OSError):  # wakes a thread that waits in receive
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def state_of(recording: Path) -> State | None:
    """What the trainer of a recording says that it does; None if none is live, ``running`` if it says nothing."""
    trainer = Trainer.connect(recording)
    if trainer is None:
        return None
    try:
        status = trainer.receive(timeout=ANSWERS_WITHIN)
    except (TimeoutError, TrainerError):
        status = None
    finally:
        trainer.close()
    return "running" if status is None else status.state


class IdleTrainer:
    """A trainer process started ahead of time, so that training starts as soon as a scenario is chosen."""

    def __init__(self, spawned: Spawned) -> None:
        self._spawned = spawned
        self._process, self._control, self._log = spawned
        self.pid = self._process.pid

    @classmethod
    def start(cls) -> IdleTrainer:
        """Start the process, or take the one that was started ahead.

        Raises:
            UsageError: bntui is installed without the packages that train.
            TrainerError: the system lacks what a process needs.
        """
        return cls(spawned())

    def open(
        self,
        scenario: Path,
        recording: Path | None,
        overrides: Sequence[tuple[str, object]] = (),
        *,
        text: str | None = None,
        watching: PacingOptions | None = None,
        seeds: int | None = None,
    ) -> Path:
        """Send it a scenario and wait until the first keyframes are recorded; returns the recording's path.

        Args:
            text: the scenario as read and checked; by default the trainer reads the file.
            recording: path to record to; None chooses a new name in the user's folder.
            watching: train at the pace at which the scenario, or this, wants to be watched; None: unthrottled.
            seeds: number of seeds with which to train every run; None: as the scenario says.

        Raises:
            TrainerError: with the message and the exit code of the trainer's error.
        """
        return self._do(
            Job(
                resume=False,
                scenario=str(scenario.absolute()),
                text=text,
                recording=None if recording is None else str(recording.resolve()),
                overrides=tuple(overrides),
                watching=watching,
                seeds=seeds,
                language=spoken(),  # errors are shown to this user
                owner=ME,
            )
        )

    def resume(
        self,
        recording: Path,
        *,
        fork: Mapping[str, Any] | None = None,
        watching: PacingOptions | None = None,
        seeds: int | None = None,
    ) -> Path:
        """Resume a recording and wait until the trainer has restored its last state; returns the recording's path.

        Args:
            fork: a run to start from a keyframe: ``run``, ``step``, and ``changes`` as in the command.
            watching: train at the pace at which the scenario, or this, wants to be watched; None: unthrottled.
                Pending requests are carried out in any case, even if it waits.
            seeds: train every run with so many seeds, its own included, and wait with all else.

        Raises:
            TrainerError: with the message and the exit code of the trainer's error.
        """
        wanted = None if fork is None else ForkRequest.parse(fork)
        where = str(recording.resolve())
        return self._do(
            Job(
                resume=True, recording=where, fork=wanted, watching=watching, seeds=seeds, language=spoken(), owner=ME
            )
        )  # fmt: skip

    def _do(self, job: Job) -> Path:
        try:
            self._control.sendall(job.line())
            with self._control.makefile("rb") as lines:
                line = lines.readline(wire.LONGEST_FRAME)
        except OSError:
            line = b""
        except BaseException:  # Ctrl+C: nobody would know about a training that starts now
            self.discard()
            raise
        self._control.close()
        if not line:
            self._process.wait()
            sentence = _("the trainer exited before it started training; its last output is in {log}")
            raise TrainerError(sentence.format(log=self._log))
        try:
            answer = Answer.parse(line)
        except FrameError as error:
            self._process.kill()
            self._process.wait()
            sentence = _("the trainer sent an invalid answer; its last output is in {log}")
            raise TrainerError(sentence.format(log=self._log)) from error
        if answer.recording is None:
            self._process.wait()
            failed = TrainerError(answer.error)
            failed.exit_code = answer.exit_code
            raise failed
        # it outlives this process; until then, reap it so that it does not become a zombie
        threading.Thread(target=self._process.wait, daemon=True).start()
        return Path(answer.recording)

    def discard(self) -> None:
        """End the unused process."""
        self._spawned.discard()
