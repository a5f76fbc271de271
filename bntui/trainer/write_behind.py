"""Lets a session record in a thread of its own while it trains on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from bntui.keyframe import Keyframe
from bntui.recording.history import Event
from bntui.recording.writer import Writer

WORTH: Final = 200_000
"""Bytes of evidence from which packing, digesting, and writing take longer than the threads hinder each other."""


class WriteBehind:
    """Takes what runs record, as a :class:`bntui.trainer.recorder.RunWriter`, and writes one transaction behind.

    SQLite, digests, and large copies do not hold Python's lock, so they cost the training thread next to nothing.  At
    most one transaction waits, and a crash loses at most that one and the current one.  Errors are raised by what
    comes next: another transaction, or a look at the :attr:`writer`.
    """

    def __init__(self, writer: Writer) -> None:
        """Until :meth:`start`, everything is written at once."""
        self._writer = writer
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: Future[None] | None = None
        self._given: list[Callable[[], None]] | None = None
        """What the current transaction consists of; None outside of one."""
        self._run = 0

    def start(self) -> None:
        """Let a thread write from now on."""
        self._pool = ThreadPoolExecutor(1, "bntui-writer")

    @property
    def writer(self) -> Writer:
        """The writer, once everything that was given is written.

        Raises:
            StorageError: it could not be written.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.result()
        return self._writer

    @property
    def keyframes(self) -> int:
        """Number of keyframes that are written by now, or within milliseconds."""
        return self._writer.keyframes

    @contextmanager
    def together(self) -> Iterator[None]:
        """Record everything inside in one transaction, perhaps later."""
        self._given = []
        try:
            yield
            given = self._given
        finally:
            self._given = None
        writer = self.writer
        if self._pool is None or writer.evidence_bytes(self._run) < WORTH:
            self._write(given)
        else:
            self._waiting = self._pool.submit(self._write, given)

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
        self._run = frame.run
        self._give(lambda: self._writer.commit(frame, epoch_end=epoch_end, best=best, evidence=evidence, events=events))

    def checkpoint(self, run: int, name: str, step: int, block: bytes, events: Sequence[Event] = ()) -> None:
        """See :meth:`bntui.recording.writer.Writer.checkpoint`."""
        self._give(lambda: self._writer.checkpoint(run, name, step, block, events))

    def close(self) -> None:
        """End the thread, once everything is written; errors of that are raised by the :attr:`writer`."""
        if self._pool is not None:
            self._pool.shutdown()

    def _give(self, record: Callable[[], None]) -> None:
        assert self._given is not None
        self._given.append(record)

    def _write(self, given: Sequence[Callable[[], None]]) -> None:
        with self._writer.together():
            for record in given:
                record()
