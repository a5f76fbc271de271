"""Lets a session record in a thread of its own while it trains on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Final

from bntui.keyframe import Keyframe
from bntui.recording.history import Event
from bntui.recording.writer import Writer

WORTH: Final = 200_000
"""Bytes of evidence from which packing, digesting, and writing take longer than the threads hinder each other."""
MOST_BEHIND: Final = 16_000_000
"""Bytes of evidence that may wait while SQLite moves its log into the file, which takes some epochs of a small run."""


class WriteBehind:
    """Takes what runs record, as a :class:`bntui.trainer.recorder.RunWriter`, and writes it a little later.

    SQLite, digests, and large copies do not hold Python's lock, so they cost the training thread next to nothing.  A
    crash loses what waits, which training repeats exactly.  After an error nothing that waits is written, so that what
    is recorded has no gaps; the error is raised by the next transaction, or by a look at the :attr:`writer`.
    """

    def __init__(self, writer: Writer) -> None:
        """Until :meth:`start`, everything is written at once."""
        self._writer = writer
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[tuple[Future[None], int]] = deque()
        """Transactions that wait, and the bytes of their evidence."""
        self._sizes: dict[int, int] = {}
        """Bytes of the last evidence of each run."""
        self._given: list[Callable[[], None]] | None = None
        """What the current transaction consists of; None outside of one."""
        self._run = 0
        self._failed = False
        """A transaction could not be written, so that those that wait are not, either."""

    def start(self) -> None:
        """Let a thread write from now on."""
        self._pool = ThreadPoolExecutor(1, "bntui-writer")

    @property
    def writer(self) -> Writer:
        """The writer, once everything that was given is written.

        Raises:
            StorageError: it could not be written.
        """
        self._settle(-1)
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
        run = self._run
        if run not in self._sizes:
            self._sizes[run] = self.writer.evidence_bytes(run)
        size = self._sizes[run]
        if self._pool is None or size < WORTH:
            self._settle(-1)
            self._write(run, given)
        else:
            self._settle(max(0, MOST_BEHIND - size))
            self._waiting.append((self._pool.submit(self._write_later, run, given), size))

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
            self._pool = None

    def _give(self, record: Callable[[], None]) -> None:
        assert self._given is not None
        self._given.append(record)

    def _settle(self, most: int) -> None:
        """Raise the error of what is done, and wait until at most so many bytes wait; -1 waits for all."""
        total = sum(size for _, size in self._waiting)
        while self._waiting and (total > most or self._waiting[0][0].done()):
            first, size = self._waiting.popleft()
            total -= size
            error = first.exception()
            if error is not None:
                wait([others for others, _ in self._waiting])
                self._waiting.clear()
                self._failed = False
                raise error

    def _write(self, run: int, given: Sequence[Callable[[], None]]) -> None:
        with self._writer.together():
            for record in given:
                record()
        self._sizes[run] = self._writer.evidence_bytes(run)

    def _write_later(self, run: int, given: Sequence[Callable[[], None]]) -> None:
        if not self._failed:
            self._failed = True
            self._write(run, given)
            self._failed = False
