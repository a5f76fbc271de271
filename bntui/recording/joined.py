"""Joins several recordings into one, so that every panel can compare their runs.

A run's number stays what it was: the runs that are there at first come in the order of the files, and what is forked
while the files grow comes after all of them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from bntui.errors import UsageError
from bntui.keyframe import IntArray, Keyframe
from bntui.recording.dataset import RecordedData
from bntui.recording.evidence import Evidence
from bntui.recording.first_view import FirstView
from bntui.recording.histograms import Histograms
from bntui.recording.history import Event, RunHistory, RunInfo
from bntui.recording.reader import Reader
from bntui.recording.recorded import recorded
from bntui.text.language import N_, _

TASKS: Final = {"classification": N_("classification"), "regression": N_("regression")}
DATA: Final = ("x", "y", "train", "validation")
"""What two recordings have in common that learned from the same: samples, targets, and which of them are for what."""

Stamp = tuple[tuple[int, int], ...]
"""Time of change and size of a recording's file and of its journal."""


class Joined:
    """Two or more recordings side by side, with the interface of a :class:`Reader`.

    Raises:
        UsageError: fewer than two files, one of them twice, or tasks whose figures cannot be compared.
        RecordingError: a file is not a recording, is from a newer version, or is damaged.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        """The files, in the order in which they were named."""
        self._tags = tags(self.paths)
        self._readers = tuple(map(recorded, self.paths))
        self.path = self.paths[0]
        self.task = self._common_task()
        self.title = " · ".join(dict.fromkeys(reader.title for reader in self._readers))
        facts = [set(reader.meta.items()) for reader in self._readers]
        self.meta: Mapping[str, str] = dict(set.intersection(*facts))
        """What all of them say of themselves."""
        self.first_view = FirstView()
        self.runs: tuple[RunInfo, ...] = ()
        """In the order of their numbers; :meth:`refresh` adds forks."""
        self._places: list[tuple[int, int]] = []
        """File of each run, and its number there."""
        self._stamps: dict[int, Stamp] = {}
        self._frame = lru_cache(maxsize=64)(self._renumbered)
        self._data: dict[int, tuple[RecordedData | None, bool]] = {}
        self._take_in()

    def _common_task(self) -> str:
        first = self._readers[0]
        for reader in self._readers:
            if reader.task != first.task:
                self.close()
                sentence = _("{one} is {task} and {other} is {another}: their figures cannot be compared")
                words = {"task": _(TASKS.get(first.task, "")), "another": _(TASKS.get(reader.task, ""))}
                raise UsageError(sentence.format(one=first.path, other=reader.path, **words))
        return first.task

    @property
    def opposite(self) -> int:
        """The run to stand beside the first one: that of another file with its name, or that file's first."""
        theirs = [number for number, (file, _run) in enumerate(self._places) if file > 0]
        names = {run.name for run in self._readers[0].runs[:1]}
        return next((number for number in theirs if self._own(number).name in names), min(theirs, default=1))

    def refresh(self) -> bool:
        """Load what was committed since; True if anything is new.

        Files that did not change are let go of: a trainer that ends folds its journal in, once nobody holds the file.
        """
        new = False
        for file, reader in enumerate(self._readers):
            stamp = _stamp(reader.path)
            if stamp == self._stamps.get(file):
                reader.release()
                continue
            self._stamps[file] = stamp
            new |= reader.refresh()
        if new:
            self._take_in()
        return new

    def history(self, run: int) -> RunHistory:
        """Scalars of all keyframes of a run, as loaded by the last :meth:`refresh`."""
        reader, own = self._place(run)
        return reader.history(own)

    def events(self, run: int) -> tuple[Event, ...]:
        """What happened to a run, oldest first."""
        reader, own = self._place(run)
        return tuple(replace(event, run=run) for event in reader.events(own))

    def keyframe(self, run: int, row: int) -> Keyframe:
        """The keyframe of a row of :meth:`history`; its digest is checked.

        Raises:
            RecordingError: the row holds an epoch's scalars only, or its bytes are not those written.
        """
        return self._frame(run, row)

    def histograms(self, run: int, history: RunHistory) -> Histograms:
        """Histograms over the time of a run's history."""
        reader, own = self._place(run)
        return reader.histograms(own, history)

    def evidence(self, run: int, row: int) -> Evidence | None:
        """What a keyframe's step began with, drew and gave; None where that was thinned out.

        Raises:
            RecordingError: its bytes are not those that were written.
        """
        reader, own = self._place(run)
        return reader.evidence(own, row)

    def evidence_rows(self, run: int) -> IntArray:
        """Rows of :meth:`history` whose evidence is kept, ascending."""
        reader, own = self._place(run)
        return reader.evidence_rows(own)

    @property
    def dataset(self) -> RecordedData | None:
        """The samples that all runs learned from; None where one recording has none, or they differ.

        Raises:
            RecordingError: its bytes are damaged.
        """
        return self._common_data()[0]

    @property
    def mixed(self) -> bool:
        """The recordings learned from different samples, or split them differently."""
        return self._common_data()[1]

    def release(self) -> None:
        """Let go of all files; the next read opens them again."""
        for reader in self._readers:
            reader.release()

    close = release

    def _place(self, run: int) -> tuple[Reader, int]:
        file, own = self._places[run]
        return self._readers[file], own

    def _own(self, run: int) -> RunInfo:
        reader, own = self._place(run)
        return reader.runs[own]

    def _take_in(self) -> None:
        """Give the next numbers to runs that have none yet."""
        known = {place: number for number, place in enumerate(self._places)}
        several = Counter(name for reader in self._readers for name in set().union(*map(_names, reader.runs)))
        for file, reader in enumerate(self._readers):
            for run in reader.runs:
                place = file, run.index
                if place in known:
                    continue
                number = known[place] = len(self._places)
                apart = any(several[name] > 1 for name in _names(run))
                self._places.append(place)
                self.runs += (self._joined(run, file, number, known, apart=apart),)

    def _joined(
        self, run: RunInfo, file: int, number: int, known: Mapping[tuple[int, int], int], *, apart: bool
    ) -> RunInfo:
        """A run as it is known here."""
        fork = run.fork
        if fork is not None:
            fork = replace(fork, run=known[file, fork.run])
        tag = f" · {self._tags[file]}" if apart else ""
        return replace(run, index=number, fork=fork, name=run.name + tag, label=run.label and run.label + tag)

    def _renumbered(self, run: int, row: int) -> Keyframe:
        reader, own = self._place(run)
        return replace(reader.keyframe(own, row), run=run)

    def _common_data(self) -> tuple[RecordedData | None, bool]:
        """The samples, and whether they differ; found once for as many runs as there are."""
        runs = len(self.runs)
        if runs not in self._data:
            every = [reader.dataset for reader in self._readers]
            first = every[0]
            kept = [data for data in every if data is not None]
            mixed = len(kept) == len(every) and not all(same_data(kept[0], data) for data in kept[1:])
            if first is None or len(kept) < len(every) or mixed:
                self._data = {runs: (None, mixed)}
            else:
                scalings = tuple(reader.scaling(own) for reader, own in map(self._place, range(runs)))
                self._data = {runs: (replace(first, scalings=scalings), False)}
        return self._data[runs]


def same_data(one: RecordedData, other: RecordedData) -> bool:
    """Whether both hold the same samples, to the last bit, and split them alike."""
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in DATA)


def tags(paths: Sequence[Path]) -> tuple[str, ...]:
    """A name for each file: its own without the suffix, with as many folders before it as tell it from the others.

    Raises:
        UsageError: fewer than two files, or one of them twice.
    """
    if len(paths) < 2:
        raise UsageError(_("comparing needs at least two recordings"))
    real = [Path(os.path.realpath(path)) for path in paths]  # of a link in a circle too, which is said later
    twice = next((path for path, place in zip(paths, real, strict=True) if real.count(place) > 1), None)
    if twice is not None:
        raise UsageError(_("{path} is given twice: a recording cannot be compared with itself").format(path=twice))
    parts = [path.with_suffix("").parts for path in real]
    if len(set(parts)) < len(parts):
        parts = [path.parts for path in real]
    depth = next(
        depth for depth in range(1, max(map(len, parts)) + 1) if len({p[-depth:] for p in parts}) == len(parts)
    )
    return tuple("/".join(names[-depth:]) for names in parts)


def _names(run: RunInfo) -> set[str]:
    """What a run is called, in any language."""
    return {run.name, run.label or run.name}


def _stamp(path: Path) -> Stamp:
    stamps = []
    for file in (path, path.with_name(path.name + "-wal")):
        try:
            found = file.stat()
        except OSError:  # no journal: nobody writes; no file: its reader says so
            stamps.append((0, 0))
        else:
            stamps.append((found.st_mtime_ns, found.st_size))
    return tuple(stamps)
