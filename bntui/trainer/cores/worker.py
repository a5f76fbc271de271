"""Trains runs in a worker process, and sends what there is to record to the trainer, which alone writes."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from torch import Tensor

from bntui.errors import RecordingError
from bntui.keyframe import Keyframe
from bntui.recording.evidence import pack_state
from bntui.recording.history import Event, RunInfo
from bntui.recording.opened import Recording
from bntui.recording.packed import PackedEvidence, packed
from bntui.scenario.fork import configuration
from bntui.trainer.bench import Bench, from_recording
from bntui.trainer.cores.carried import packed_best, restore
from bntui.trainer.cores.messages import (
    Answer,
    Checkpoint,
    Commit,
    Done,
    Hand,
    Idle,
    Load,
    NotFound,
    Order,
    Ready,
    Recall,
    Together,
    TrainEpoch,
)
from bntui.trainer.data.dataset import Scaling
from bntui.trainer.first_failure import FailureWatch
from bntui.trainer.replay import Past
from bntui.trainer.run import Run


def serve(pipe: Connection) -> None:
    """Train in this process until the pipe is closed, which also happens when the trainer dies."""
    _Worker(pipe).serve()


class _Worker:
    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._leaving = False
        """An order to leave has arrived, and is not obeyed yet."""
        self._bench: Bench | None = None
        self._recording = Path()
        self._past = Past(lambda: self._recording, self._built)
        self._runs: dict[int, tuple[Run, Outbox]] = {}

    def serve(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            order = self._orders.get()
            if isinstance(order, Recall):
                self._leaving = False
                self._runs.clear()
                self._send(Idle())
            elif not self._leaving:
                self._tried(order)

    def _listen(self) -> None:
        """Receive orders while the other thread trains; end the process when nobody is left to give any."""
        try:
            while True:
                order: Order = self._pipe.recv()
                self._leaving = self._leaving or isinstance(order, Recall)
                self._orders.put(order)
        except (EOFError, OSError):
            os._exit(0)

    def _send(self, answer: Answer) -> None:
        try:
            self._pipe.send(answer)
        except OSError:
            os._exit(0)

    def _tried(self, order: Load | Hand | TrainEpoch) -> None:
        """Obey an order, unless the recording was renamed after it was given."""
        try:
            self._obey(order)
        except RecordingError:
            if isinstance(order, TrainEpoch) or Path(order.recording).exists():
                raise
            self._send(NotFound(order.run if isinstance(order, Hand) else None))

    def _obey(self, order: Load | Hand | TrainEpoch) -> None:
        self._recording = Path(order.recording)
        match order:
            case Load():
                with closing(Recording(self._recording)) as reader:
                    self._bench = from_recording(reader, configuration(reader.runs[0].config))
                self._send(Ready())
            case Hand(_, index, carried, number, keeps):
                with closing(Recording(self._recording)) as reader:
                    run = self._built(reader.runs[index])
                run.watcher = FailureWatch(self._past, carried.since)
                restore(run, carried)
                self._runs[index] = run, Outbox(self._send, index, number, lambda: self._leaving, keeps=keeps)
            case TrainEpoch(_, index, _stride) if index not in self._runs:
                pass  # it was not taken over, which the trainer knows by now
            case TrainEpoch(_, index, stride):
                run, outbox = self._runs[index]
                outbox.stride = stride
                best, started = run.best, time.perf_counter()
                run.train_epoch(outbox, lambda: self._leaving)
                self._send(_done(run, outbox, time.perf_counter() - started, best))

    def _built(self, info: RunInfo) -> Run:
        """A recorded run in its initial state."""
        assert self._bench is not None
        with closing(Recording(self._recording)) as reader:
            recorded: Any = reader.scaling(info.index)
        config = configuration(info.config)
        samples = self._bench.samples(config, Scaling(recorded.kind, recorded.offset, recorded.factor))
        return Run(info.index, info.name, config, samples, self._bench.device, info.fork)


def _done(run: Run, outbox: Outbox, seconds: float, best: dict[str, Tensor] | None) -> Done:
    """What the trainer must know of a run after an epoch; ``best`` were its best weights before."""
    assert isinstance(run.watcher, FailureWatch)
    state = None if run.over or outbox.sent == run.step else pack_state(run.state)
    better = None if run.best is None or run.best is best else packed_best(run.best)
    watch = run.watcher
    return Done(
        run.info.index, run.progress, seconds, run.over, frozenset(run.told), watch.since, watch.recorded, state, better
    )


class Outbox:
    """Takes what a run records, in place of a ``Writer``, packs it, and sends each transaction.

    Evidence is sent if the writer would store it at once, and that of the last keyframe of each epoch, from which the
    run can be continued.
    """

    def __init__(
        self, send: Callable[[Answer], object], run: int, number: int, leaving: Callable[[], bool], *, keeps: bool
    ) -> None:
        self._send, self._run, self._leaving, self._keeps = send, run, leaving, keeps
        self._number = number
        self.stride = 1
        self.sent = -1
        """The step of the last evidence that was sent."""
        self._records: list[Commit | Checkpoint] | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send everything inside at once."""
        if self._records is not None:
            yield
            return
        self._records = []
        yield
        records, self._records = tuple(self._records), None
        self._send(Together(self._run, records))

    def commit(
        self,
        frame: Keyframe,
        *,
        epoch_end: bool,
        best: bool = False,
        evidence: Callable[[], bytes] | None = None,
        events: Sequence[Event] = (),
    ) -> None:
        """See :meth:`bntui.recording.writer.Writer.commit`."""
        block = None
        if evidence is not None and self._keeps:
            if events or epoch_end or self._number % self.stride == 0 or self._leaving():
                block, self.sent = PackedEvidence.of(evidence()), frame.step
            self._number += 1
        row = packed(frame, epoch_end=epoch_end)
        with self.together():
            assert self._records is not None
            self._records.append(Commit(row, epoch_end, best, evidence is not None, block, tuple(events)))

    def checkpoint(self, run: int, name: str, step: int, block: bytes, events: Sequence[Event] = ()) -> None:  # noqa: ARG002
        """See :meth:`bntui.recording.writer.Writer.checkpoint`."""
        with self.together():
            assert self._records is not None
            self._records.append(Checkpoint(name, step, block, tuple(events)))
