"""Trains the runs of a session with other seeds in the background; the session's thread writes what they report."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from bntui.recording.opened import Recording
from bntui.recording.seeds import FIGURES, SeedEnd, SeedPiece
from bntui.recording.tables import FAILED
from bntui.recording.writer import Writer

_PATIENCE: Final = 1.0
"""Seconds in which the workers are ended; one that is just being started ends itself when this process is gone."""


@dataclass(frozen=True, slots=True)
class SeedsOver:
    """Everything that was asked for has been reported."""


class Wanted(Protocol):
    """A run to train with another seed."""

    @property
    def run(self) -> int: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True, slots=True)
class SeedStudy:
    """How seeds are trained; ``bntui.study.bands``, which the trainer's modules do not know."""

    missing: Callable[..., Sequence[Any]]
    train: Callable[[Any, Callable[[], bool]], Iterator[SeedPiece]]


class SeedTrainer:
    """The seeds that are being trained.

    Args:
        put: queues what they report; called from another thread.
    """

    def __init__(self, study: SeedStudy, put: Callable[[SeedPiece | SeedsOver], object]) -> None:
        self._study = study
        self._put = put
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._left: set[tuple[int, int]] = set()
        self._failed: set[tuple[int, int]] = set()
        """What failed in this process, which does not try it again; another one does."""

    @property
    def left(self) -> int:
        """Number of trainings that have not ended."""
        return len(self._left)

    @property
    def busy(self) -> bool:
        """Something is being trained, or its report is still queued."""
        return self._thread is not None

    def begin(self, writer: Writer, seeds: int) -> None:
        """Train what is missing so that each run has so many seeds, unless seeds are being trained already."""
        if self.busy or seeds < 2:
            return
        with closing(Recording(writer.path)) as reader:
            folder = Path(reader.meta.get("scenario_file") or ".").parent.absolute()
            ended = writer.ended_seeds() | self._failed
            wanted = self._study.missing(reader.runs, folder, seeds, ended, reader.data_checksum)
        if wanted:
            self._left = {(one.run, one.seed) for one in wanted}
            self._thread = threading.Thread(target=self._train, args=(wanted,), daemon=True)
            self._thread.start()

    def record(self, writer: Writer, news: SeedPiece | SeedsOver) -> None:
        """Write what was reported."""
        if isinstance(news, SeedsOver):
            self._thread, self._left = None, set()
            return
        writer.add_seed(news)
        if news.end is not None:
            self._left.discard((news.run, news.seed))
            if news.end.kind == FAILED:
                self._failed.add((news.run, news.seed))

    def close(self) -> None:
        """End the workers; seeds that have not ended are trained again when the recording is resumed."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _train(self, wanted: Sequence[Wanted]) -> None:
        left = dict.fromkeys((one.run, one.seed) for one in wanted)
        try:
            for piece in self._study.train(wanted, self._stopped.is_set):
                if piece.end is not None:
                    left.pop((piece.run, piece.seed))
                self._put(piece)
        except Exception as error:  # such as no memory for another process
            traceback.print_exc()  # goes to the log
            end = SeedEnd(FAILED, 0.0, f"{type(error).__name__}: {error}")
            for run, seed in left:
                self._put(SeedPiece(run, seed, 0, np.empty((len(FIGURES), 0)), end))
        if not self._stopped.is_set():
            self._put(SeedsOver())
