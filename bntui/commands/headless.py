"""Reports training without a screen: progress bars for people, JSON lines for programs."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bntui.commands.show import data_lines, fork_lines
from bntui.errors import BntuiError, TrainerError
from bntui.link import OVER, Status
from bntui.link.client import ME, Trainer
from bntui.recording.as_json import plain
from bntui.recording.reader import Reader
from bntui.recording.recorded import moved_to
from bntui.recording.seeds import FIGURES, SeedCourse
from bntui.recording.sentences import traits
from bntui.recording.tables import FAILED
from bntui.text.figures import brief, number
from bntui.text.language import _
from bntui.text.output import json_text, say
from bntui.text.widths import cut_middle

_SHORTEST_NAME: Final = 16
"""Cells of a run's name beside its bar, at least."""


class Reporter(Protocol):
    """Reports the progress of training."""

    def report(self, reader: Reader, status: Status) -> None: ...


@dataclass(slots=True)
class Known:
    """Contents of a recording that need not be reported again."""

    epochs: dict[int, int] = field(default_factory=dict)
    """Number of rows of each run."""
    events: dict[int, int] = field(default_factory=dict)
    seeds: set[tuple[int, int]] = field(default_factory=set)
    """Run and seed of trainings with other seeds that have ended."""

    @classmethod
    def of(cls, recording: Path) -> Known:
        """Everything recorded so far."""
        with contextlib.closing(Reader(recording)) as reader:
            runs = [run.index for run in reader.runs]
            ended = {(run, course.seed) for run, course in ended_seeds(reader)}
            return cls({n: len(reader.history(n)) for n in runs}, {n: len(reader.events(n)) for n in runs}, ended)


def ended_seeds(reader: Reader) -> Iterator[tuple[int, SeedCourse]]:
    """Run and course of every training with another seed that has ended."""
    for run in reader.runs:
        yield from ((run.index, course) for course in reader.seeds(run.index) if course.end is not None)


@dataclass(slots=True)
class JsonLines:
    """One line per epoch of each run and per event, on stdout."""

    known: Known

    def report(self, reader: Reader, status: Status) -> None:  # noqa: ARG002
        for run in reader.runs:
            history, events = reader.history(run.index), reader.events(run.index)
            for row in range(self.known.epochs.get(run.index, 0), len(history)):
                if history.epoch_end[row]:
                    names = ("epoch", "step", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "wait")
                    figures = {name: getattr(history, name)[row] for name in names}
                    self.line(run=run.name, **figures)
            self.known.epochs[run.index] = len(history)
            for event in events[self.known.events.get(run.index, 0) :]:
                self.line(event=event.kind, run=run.name, epoch=event.epoch, step=event.step, message=event.message)
            self.known.events[run.index] = len(events)
        for index, course in ended_seeds(reader):
            if (index, course.seed) not in self.known.seeds and (end := course.end) is not None:
                last = course.figures[:, -1:].ravel().tolist()
                self.line(
                    event="seed", run=reader.runs[index].name, seed=course.seed, ended=end.kind, epoch=end.epoch,
                    message=end.reason, gradient_ratio=end.ratio, **dict(zip(FIGURES, last, strict=False)),
                )  # fmt: skip
                self.known.seeds.add((index, course.seed))

    @staticmethod
    def line(**record: Any) -> None:
        say(json_text(plain(record)))


class ProgressBars:
    """A progress bar per run on stderr, with rate, remaining time, and losses; events are printed above the bars."""

    def __init__(self, progress: Progress, known: Known) -> None:
        self._progress = progress
        self._known = known
        self._tasks: dict[int, Any] = {}
        self._seeds: Any = None

    def report(self, reader: Reader, status: Status) -> None:
        if not self._tasks and not self._known.epochs:  # a new recording
            for line in data_lines(reader):
                self._progress.console.print(line, markup=False, highlight=False)
        for run in reader.runs:
            history = reader.history(run.index)
            if run.index not in self._tasks:
                name = cut_middle(run.called, max(self._progress.console.width // 4, _SHORTEST_NAME))
                self._tasks[run.index] = self._progress.add_task(name, total=run.epochs, rate="", losses="")
                for line in fork_lines(reader.runs, run.index) if run.index not in self._known.epochs else ():
                    self._progress.console.print(f"{run.called}: {line}", markup=False, highlight=False)
            self._progress.update(
                self._tasks[run.index],
                completed=int(history.epoch[-1]),
                rate=_("{rate} epochs/s").format(rate=number(status.rate, 6, 1)) if status.rate else "",
                losses=_("loss {training}  val {validation}").format(
                    training=brief(history.train_loss[-1]), validation=brief(history.val_loss[-1])
                ),
            )
            events = reader.events(run.index)
            for event in events[self._known.events.get(run.index, 0) :]:
                if event.kind != "finished":
                    self._progress.console.print(f"{run.called}: {event.text}", markup=False, highlight=False)
            self._known.events[run.index] = len(events)
        if reader.seeds_asked > 1:
            self._report_seeds(reader)

    def _report_seeds(self, reader: Reader) -> None:
        """A bar that counts trainings with other seeds, and why one failed."""
        if self._seeds is None:
            total = len(reader.runs) * (reader.seeds_asked - 1)
            self._seeds = self._progress.add_task(_("other seeds"), total=total, rate="", losses="")
        for index, course in ended_seeds(reader):
            if (index, course.seed) not in self._known.seeds and course.end is not None and course.end.kind == FAILED:
                sentence = _("{run}, seed {seed}, was not trained: {reason}")
                said = sentence.format(run=reader.runs[index].called, seed=course.seed, reason=course.end.reason)
                self._progress.console.print(said, markup=False, highlight=False)
            self._known.seeds.add((index, course.seed))
        self._progress.update(self._seeds, completed=len(self._known.seeds))


@contextlib.contextmanager
def reporter(known: Known, *, as_json: bool) -> Iterator[Reporter]:
    """Progress bars on stderr, or JSON lines on stdout, about everything not yet ``known``."""
    if as_json:
        yield JsonLines(known)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )
    with Progress(*columns, console=Console(file=sys.stderr), refresh_per_second=8) as progress:
        yield ProgressBars(progress, known)


def end_of(number: int) -> BaseException:
    """The exception that ends the process as a signal asks: exit code 130 for Ctrl+C, 143 for SIGTERM."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


@contextlib.contextmanager
def signals(handler: Callable[[int, FrameType | None], None], *numbers: signal.Signals) -> Iterator[None]:
    """Handle signals, except those that are ignored, as SIGHUP is under ``nohup``."""
    if threading.current_thread() is not threading.main_thread():  # only the main one receives signals
        yield
        return
    before = {one: was for one in numbers if (was := signal.getsignal(one)) != signal.SIG_IGN}
    for one in before:
        signal.signal(one, handler)
    try:
        yield
    finally:
        for one, was in before.items():
            signal.signal(one, was)


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Let SIGTERM raise an exception, as Ctrl+C does, so that processes that were started are not left behind."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise end_of(number)

    with signals(end, signal.SIGTERM):
        yield


class Interrupt:
    """A signal that asks to end while a trainer is followed.

    Ctrl+C and SIGTERM stop a trainer that this process started.  Otherwise, and always if the terminal is gone
    (SIGHUP), training continues, and the exception of the signal is raised.  It is no exception in the first case,
    which would leave half a line read or reported.
    """

    def __init__(self) -> None:
        self.trainer: Trainer | None = None
        self.asked: int | None = None
        """The first signal."""
        self._owner: str | None = None

    def know(self, owner: str) -> None:
        """Say who started the trainer, which its first status tells; a signal before that is carried out now."""
        self._owner = owner
        if self.asked is not None:
            self._act(self.asked)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        self.asked = self.asked or number
        self._act(number)

    def _act(self, number: int) -> None:
        if self.trainer is None or self._owner is None:
            return
        if self._owner != ME or number == signal.SIGHUP:
            raise end_of(number)
        with contextlib.suppress(BntuiError):
            self.trainer.send("stop")


def follow(recording: Path, *, as_json: bool, known: Known | None = None, until_paused: bool = False) -> Path:
    """Report until the trainer is done, except what is already ``known``.

    Args:
        until_paused: or until it is paused.

    Returns:
        The recording, which may have been renamed.

    Raises:
        TrainerError: the trainer failed; with its last message.
        KeyboardInterrupt: Ctrl+C; a trainer started here has been told to stop, and everything is saved.
        SystemExit: SIGTERM, likewise, or SIGHUP, and training continues.
    """
    interrupt = Interrupt()
    last = Status("running", None, 0.0, 0)
    handled = signals(interrupt.handle, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with handled, contextlib.ExitStack() as opened:
        trainer = interrupt.trainer = Trainer.connect(recording)
        if trainer is not None:
            opened.callback(trainer.close)
        reader = opened.enter_context(contextlib.closing(Reader(recording)))
        with reporter(known or Known(), as_json=as_json) as out:
            while trainer is not None:
                try:
                    status = trainer.receive()
                    if status is None:
                        break
                    if status.message != last.message and status.state != "failed":
                        say(status.message, sys.stderr)
                    last = status
                    interrupt.know(status.owner)
                    moved_to(reader, status.recording)
                    reader.refresh()
                    out.report(reader, status)
                    if until_paused and status.state == "paused":
                        break
                    if status.state in OVER:
                        reader.release()  # the trainer is about to checkpoint the journal
                except (KeyboardInterrupt, SystemExit):
                    said = _("training continues; stop it with: bntui stop {recording}").format(recording=reader.path)
                    say(said, sys.stderr)
                    raise
                except OSError:  # the reader of the lines has exited, or its disk is full
                    if last.owner == ME:
                        trainer.send("stop")
                    raise
            reader.refresh()
            out.report(reader, last)
        courses = [course for run in reader.runs for course in reader.seeds(run.index)]
        lost_seeds = [course.end.reason for course in courses if course.end is not None and course.end.kind == FAILED]
        ended = all(any(traits(event.kind).ends for event in reader.events(run.index)) for run in reader.runs)
    left = until_paused and last.state == "paused"
    state = last.state if last.state in OVER or left else "finished" if ended else "failed"
    if as_json:
        JsonLines.line(event="end", state=state, recording=str(reader.path))
    if interrupt.asked is not None:
        raise end_of(interrupt.asked)
    if state == "failed":
        raise TrainerError(why_failed(last, reader.path))
    if lost_seeds and len(lost_seeds) == len(courses) and not left:
        sentence = _("{recording}: no other seed could be trained: {reason}")
        raise TrainerError(sentence.format(recording=reader.path, reason=lost_seeds[0]))
    return reader.path


def why_failed(last: Status, recording: Path) -> str:
    """The message for a trainer that has not finished, from its last status."""
    return last.message if last.state == "failed" and last.message else lost(recording)


def lost(recording: Path) -> str:
    """The message for a trainer that ended without a final status."""
    return _("the trainer of {recording} ended unexpectedly; what it recorded is intact").format(recording=recording)
