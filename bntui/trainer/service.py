"""Schedules the trainer: executes the requests of clients, and publishes its status."""

from __future__ import annotations

import math
import queue
import sys
import time
import traceback
from collections import deque
from dataclasses import replace
from typing import Final

from bntui.errors import RecordingError, ScenarioError, StorageError, UsageError
from bntui.link import State, Status
from bntui.link.requests import ForkRequest, Note, Pace, PlainCommand, SeedRequest
from bntui.recording.history import RunInfo
from bntui.recording.seeds import SeedPiece
from bntui.text.language import _
from bntui.trainer.agenda import MOST_FORKS, Agenda
from bntui.trainer.connection import Refused
from bntui.trainer.seeds import SeedsOver, SeedStudy, SeedTrainer
from bntui.trainer.server import Heard, Moved, Rebound, Server
from bntui.trainer.session import Session

PAUSE_PATIENCE: Final = 0.3
"""Seconds that a pause waits for the end of the epoch before it stops after the current step."""
INTERVAL: Final = 0.05
"""Seconds between two statuses that differ only in the progress of training; one costs as much as a small network's
step."""
MOST_LOGGED: Final = 100
"""Maximum number of refused frames written to the log."""


class Service:
    """Alternates between the requests of clients and the epochs of one session."""

    def __init__(
        self,
        session: Session,
        server: Server,
        agenda: Agenda,
        *,
        for_fork: bool = False,
        study: SeedStudy | None = None,
    ) -> None:
        """Begin to listen.

        Args:
            for_fork: it was started for a fork alone, and ends where that one is to stop.
            study: how runs are trained with other seeds; None does not train them.
        """
        self._session = session
        self._server = server
        self._agenda = agenda
        self._for_fork = for_fork
        self._seeds = None if study is None else SeedTrainer(study, server.put)
        self._refusal = ""
        self._commands = self._refused = self._logged = 0
        self._stop = False
        self._pause_at: float | None = None
        self._next_epoch = time.monotonic()
        self._done: deque[float] = deque([time.monotonic()], maxlen=512)
        self._due = -math.inf
        """When the progress may be published again."""
        self._late = False
        """There is progress that was not published."""
        self._standing = (False, 0)
        """What was published apart from the progress: whether training goes on, and the last refusal."""
        self._plan(agenda)
        self._publish()

    def serve(self) -> None:
        """Train until nothing is left to do or a client sends stop, then close the recording."""
        self._train_seeds()
        if self._seeds is not None and self._seeds.busy:
            self._publish()  # the first of them reports when a worker has started, which takes seconds
        while not self._stop and not self._all_done():
            if self._receive_commands():
                self._train()
                self._publish_progress()
        if self._seeds is not None:
            self._seeds.close()
        if self._stop:
            self._session.interrupt()
            self._plan(self._agenda.paused())
        self._session.writer.flush()
        self._session.writer.plan(replace(self._agenda, address="").text())
        self._publish("finished" if self._session.over and not self._stop else "stopped")
        self._session.close()

    def _all_done(self) -> bool:
        """True if nothing is left to do, including requests that arrived during the last epoch."""
        self._obey_all()
        if self._seeds is not None and self._seeds.busy:
            return False
        arrived = self._for_fork and bool(self._agenda.alone) and not self._busy()
        return arrived or (self._session.over and not self._agenda.forks)

    def _train(self) -> None:
        if self._agenda.forks:
            self._fork(self._agenda.forks[0])
        elif self._to_step():
            self._session.step(self._agenda.steps)
        else:
            self._session.epoch(self._interrupted, self._agenda.alone if self._forks_alone() else None)
            self._done.append(time.monotonic())
        if not self._busy():
            self._session.writer.flush()

    def _fork(self, request: ForkRequest) -> None:
        rest = self._agenda.after_first_fork()

        def made(fork: RunInfo) -> str:
            nonlocal rest
            rest = rest.with_fork_alone(fork.index, self._session.goal_of(fork))
            self._next_epoch = time.monotonic()
            return rest.text()

        try:
            self._session.fork(request.run, request.step, request.changes, made)
        except (ScenarioError, UsageError, RecordingError) as error:
            self._refuse(str(error), rest)
        except (RuntimeError, MemoryError, ValueError) as error:  # from PyTorch, for instance if memory runs out
            traceback.print_exc()  # goes to the log
            self._refuse(_("cannot create the fork: {reason}").format(reason=error), rest)
        self._agenda = rest
        self._train_seeds()

    def _train_seeds(self) -> None:
        if self._seeds is not None:
            self._seeds.begin(self._session.writer, self._agenda.seeds)

    def _refuse(self, refusal: str, rest: Agenda) -> None:
        self._refusal, self._refused = refusal, self._commands
        self._session.writer.plan(rest.text())

    def _to_step(self) -> bool:
        """True if runs still have single steps to do, which clients requested while paused."""
        goals = self._agenda.steps
        active = [run for run in self._session.runs if not run.over]
        return not self._agenda.running and any(run.step < goals.get(run.info.index, 0) for run in active)

    def _forks_alone(self) -> bool:
        """Forks train while the other runs are paused."""
        return not self._agenda.running and bool(self._session.active(self._agenda.alone))

    def _busy(self) -> bool:
        agenda, session = self._agenda, self._session
        if agenda.forks or self._forks_alone():
            return True
        return not session.over and (agenda.running or session.furthest_behind < agenda.epochs or self._to_step())

    def _receive_commands(self) -> bool:
        """Obey pending requests, waiting for one if there is nothing to do; False if there is still nothing to train.

        With a pace, this also waits until the next epoch is due.
        """
        pace = self._agenda.pace
        if not self._busy():
            self._obey(self._server.heard.get())
        elif pace is not None and (self._agenda.running or self._forks_alone()):
            wait = self._next_epoch - time.monotonic()
            if wait > INTERVAL and self._late:
                self._publish()
            if wait > 0:
                try:
                    self._obey(self._server.heard.get(timeout=wait))
                except queue.Empty:
                    pass
                else:
                    return False
            # if the pace is too fast, do not try to catch up later
            self._next_epoch = max(self._next_epoch + 1 / pace, time.monotonic())
        self._obey_all()
        return self._busy() and not self._stop

    def _obey_all(self) -> None:
        """Obey the requests that are queued now, but no later ones, so that a flood of them cannot stop training."""
        for _request in range(self._server.heard.qsize()):
            self._obey(self._server.heard.get())

    def _obey(self, request: Heard) -> None:
        agenda = self._agenda
        self._commands += not isinstance(request, Moved | Rebound | SeedPiece | SeedsOver)
        match request:
            case PlainCommand("epoch"):
                self._plan(agenda.one_more_epoch(self._session.furthest_behind))
            case PlainCommand("step"):
                self._plan(agenda.one_more_step({run.info.index: run.step for run in self._session.runs}))
            case PlainCommand("run"):
                self._plan(replace(agenda, running=True))
                self._next_epoch = time.monotonic()
            case PlainCommand("pause"):
                self._plan(agenda.paused())
            case PlainCommand("stop"):
                self._stop = True
            case Pace(pace):
                self._plan(replace(agenda, pace=pace))
                self._next_epoch = time.monotonic()
            case Note(run, step, text):
                self._note(run, step, text)
            case ForkRequest() if agenda.full:
                self._refusal = _("{count} forks are pending; try again when they are done").format(count=MOST_FORKS)
                self._refused = self._commands
            case ForkRequest():
                self._plan(agenda.with_fork(request))
            case SeedRequest(seeds):
                self._plan(replace(agenda, seeds=max(agenda.seeds, seeds)))
                self._train_seeds()
            case SeedPiece() | SeedsOver() if self._seeds is not None:
                self._seeds.record(self._session.writer, request)
                self._train_seeds()
            case Rebound():
                self._plan(agenda)
            case Moved():
                self._follow()
            case Refused(sender, why):
                self._log(why)
                sender.refuse(why, self._commands)
        if self._server.heard.empty():
            self._server.urgent.clear()
            self._pause_at = None
        self._publish()

    def _note(self, run: int, step: int, text: str) -> None:
        try:
            self._session.note(run, step, text)
        except UsageError as error:
            self._refusal, self._refused = str(error), self._commands

    def _log(self, why: str) -> None:
        """Log a refused frame, up to a limit, so that a client cannot fill the disk."""
        self._logged += 1
        if self._logged <= MOST_LOGGED:
            print(_("refused: {reason}").format(reason=why), file=sys.stderr, flush=True)
        if self._logged == MOST_LOGGED:
            print(_("further refusals are not logged"), file=sys.stderr, flush=True)

    def _plan(self, agenda: Agenda) -> None:
        """Replace the agenda, and store it in the recording before clients are informed."""
        self._agenda = replace(agenda, address=self._server.address)
        self._session.writer.plan(self._agenda.text())

    def _follow(self) -> None:
        """Continue at the recording's new path; if readers block that, try again later.

        Raises:
            StorageError: the recording was deleted or cannot be found; everything that could be saved was saved.
        """
        try:
            followed = self._session.follow()
        except StorageError:
            self._session.leave()
            raise
        if followed:
            self._server.follow(self._session.writer.path)
            self._plan(self._agenda)
        else:
            self._server.look_again()

    def _interrupted(self) -> bool:
        """True if an urgent request cannot wait for the end of the epoch; called before every step."""
        if self._late and time.monotonic() >= self._due:
            self._publish()
        if not self._server.urgent.is_set():
            return False
        if self._pause_at is None:
            self._pause_at = time.monotonic() + PAUSE_PATIENCE
        return time.monotonic() >= self._pause_at

    def _rate(self) -> float:
        """Epochs per second over the last 1.5 seconds; 0 if unknown."""
        now = time.monotonic()
        recent = self._done
        while recent and now - recent[0] > 1.5:
            recent.popleft()
        if len(recent) < 2 or not self._busy():
            return 0.0
        return (len(recent) - 1) / (recent[-1] - recent[0])

    def _publish_progress(self) -> None:
        """Publish what was trained, or a little later if that alone has changed since a status just published."""
        self._late = self._standing == (self._busy(), self._refused) and time.monotonic() < self._due
        if not self._late:
            self._publish()

    def _publish(self, state: State | None = None, message: str = "") -> None:
        seeds = 0 if self._seeds is None else self._seeds.left
        state = state or ("running" if self._busy() or (self._session.over and seeds) else "paused")
        # unless another status follows soon, keyframes are written before they are announced
        awaited = self._agenda.pace is not None or not self._busy()
        keyframes = self._session.writer.keyframes if awaited else self._session.keyframes
        message = message or self._session.trouble
        heard = (self._refusal, self._refused, self._commands)
        self._due, self._late = time.monotonic() + INTERVAL, False
        self._standing = (self._busy(), self._refused)
        self._server.publish(Status(state, self._agenda.pace, self._rate(), keyframes, message, *heard, seeds=seeds))
