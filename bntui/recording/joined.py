"""Joins several recordings into one, so that every panel can compare their runs.

Runs keep their numbers: those present at first are numbered in the order of the files, and forks that are added later
follow them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
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
from bntui.recording.opened import Recording
from bntui.recording.reader import Reader
from bntui.recording.recorded import opened, recorded
from bntui.recording.seeds import SeedCourse
from bntui.recording.tour import TourStop
from bntui.text.language import N_, _

TASKS: Final = {"classification": N_("classification"), "regression": N_("regression")}
DATA: Final = ("x", "y", "train", "validation")
"""Fields that are equal in two recordings of the same data: samples, targets, and the split."""

Stamp = tuple[tuple[int, int], ...]
"""Modification time in nanoseconds and size of a recording's file and of its WAL."""


def refuse_incomparable(paths: Sequence[Path]) -> None:
    """Raise the errors of :class:`Joined`, in the same time for any number of keyframes."""
    tags(paths)
    with ExitStack() as stack:
        _common_task([stack.enter_context(closing(opened(path))) for path in paths])


def _common_task(recordings: Sequence[Recording]) -> str:
    first = recordings[0]
    for one in recordings:
        if one.task != first.task:
            sentence = _("{one} is {task} and {other} is {another}: their figures cannot be compared")
            words = {"task": _(TASKS.get(first.task, "")), "another": _(TASKS.get(one.task, ""))}
            raise UsageError(sentence.format(one=first.path, other=one.path, **words))
    return first.task


class Joined:
    """Two or more recordings, with the interface of a :class:`Reader`.

    Raises:
        UsageError: there are fewer than two files, one is given twice, or their tasks differ.
        RecordingError: a file is not a recording, is from a newer version, or is damaged.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        """The files in the given order."""
        self._tags = tags(self.paths)
        self.path = self.paths[0]
        with ExitStack() as opened_so_far:
            self._readers = tuple(opened_so_far.enter_context(closing(recorded(path))) for path in self.paths)
            self.task = _common_task(self._readers)
            opened_so_far.pop_all()
        self.title = " · ".join(dict.fromkeys(reader.title for reader in self._readers))
        facts = [set(reader.meta.items()) for reader in self._readers]
        self.meta: Mapping[str, str] = dict(set.intersection(*facts))
        """What all of them say of themselves."""
        self.scenario_text = ""
        self.first_view = FirstView()
        self.tour: tuple[TourStop, ...] = ()
        self.runs: tuple[RunInfo, ...] = ()
        """In the order of their numbers; :meth:`refresh` adds forks."""
        self._places: list[tuple[int, int]] = []
        """The file of each run, and its number in that file."""
        self._stamps: dict[int, Stamp] = {}
        self._frame = lru_cache(maxsize=64)(self._renumbered)
        self._data: dict[int, tuple[RecordedData | None, bool]] = {}
        self._add_runs()

    @property
    def opposite(self) -> int:
        """The run to show beside the first one: a run of another file with the same name, or else the first one."""
        theirs = [number for number, (file, _run) in enumerate(self._places) if file > 0]
        names = {run.name for run in self._readers[0].runs[:1]}
        return next((number for number in theirs if self._own(number).name in names), min(theirs, default=1))

    def refresh(self) -> bool:
        """Load what was committed since the last call; True if there is anything new.

        Files that did not change are closed, because a trainer that ends can only checkpoint its WAL when no reader
        has the file open.
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
            self._add_runs()
        return new

    def history(self, run: int) -> RunHistory:
        """Scalars of all keyframes of a run, as loaded by the last :meth:`refresh`."""
        reader, own = self._place(run)
        return reader.history(own)

    def seeds(self, run: int) -> tuple[SeedCourse, ...]:
        """What is recorded of a run with other seeds."""
        reader, own = self._place(run)
        return reader.seeds(own)

    @property
    def seeds_asked(self) -> int:
        """Number of seeds with which every run of each of them is to be trained."""
        return min(reader.seeds_asked for reader in self._readers)

    def events(self, run: int) -> tuple[Event, ...]:
        """What happened to a run, oldest first."""
        reader, own = self._place(run)
        return tuple(replace(event, run=run) for event in reader.events(own))

    def keyframe(self, run: int, row: int) -> Keyframe:
        """The keyframe of a row of :meth:`history`; its digest is checked.

        Raises:
            RecordingError: the row has only an epoch's scalars, or its digest does not match.
        """
        return self._frame(run, row)

    def histograms(self, run: int, history: RunHistory) -> Histograms:
        """Histograms of a run over time, from a sample of the keyframes in its history."""
        reader, own = self._place(run)
        return reader.histograms(own, history)

    def evidence(self, run: int, row: int) -> Evidence | None:
        """The evidence of a keyframe; None if it was thinned out.

        Raises:
            RecordingError: its digest does not match.
        """
        reader, own = self._place(run)
        return reader.evidence(own, row)

    def evidence_rows(self, run: int) -> IntArray:
        """Rows of :meth:`history` that have evidence, ascending."""
        reader, own = self._place(run)
        return reader.evidence_rows(own)

    @property
    def dataset(self) -> RecordedData | None:
        """The samples that all runs share; None if a recording has none, or they differ.

        Raises:
            RecordingError: the samples are damaged.
        """
        return self._common_data()[0]

    @property
    def mixed(self) -> bool:
        """True if some recordings have samples, and not all have the same, split in the same way."""
        return self._common_data()[1]

    def release(self) -> None:
        """Close all files; the next read opens them again."""
        for reader in self._readers:
            reader.release()

    close = release

    def _place(self, run: int) -> tuple[Reader, int]:
        file, own = self._places[run]
        return self._readers[file], own

    def _own(self, run: int) -> RunInfo:
        reader, own = self._place(run)
        return reader.runs[own]

    def _add_runs(self) -> None:
        """Add the runs that are new, with the next numbers."""
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
        """A run with its number, its parent's number and its name in the joined recording.

        Args:
            known: number of each run by its place.
            apart: the name is used in several files, so the file's tag is appended.
        """
        fork, tag = run.fork, f" · {self._tags[file]}" if apart else ""
        name, label = run.name + tag, run.label and run.label + tag
        if fork is not None:
            parent, joined = self._readers[file].runs[fork.run], self.runs[known[file, fork.run]]
            fork = replace(fork, run=joined.index)
            if joined.name != parent.name:  # the parent's tag, and then what the fork changes
                name = _with_tag(run.name, parent.name, joined.name, name)
                label = run.label and _with_tag(run.label, parent.label, joined.label, label)
        return replace(run, index=number, fork=fork, name=name, label=label)

    def _renumbered(self, run: int, row: int) -> Keyframe:
        reader, own = self._place(run)
        return replace(reader.keyframe(own, row), run=run)

    def _common_data(self) -> tuple[RecordedData | None, bool]:
        """The shared samples, and whether the recordings differ; computed again only when there are more runs."""
        runs = len(self.runs)
        if runs not in self._data:
            every = [reader.dataset for reader in self._readers]
            first = every[0]
            kept = [data for data in every if data is not None]
            mixed = 0 < len(kept) < len(every) or not all(same_data(kept[0], data) for data in kept[1:])
            if first is None or mixed:
                self._data = {runs: (None, mixed)}
            else:
                scalings = tuple(reader.scaling(own) for reader, own in map(self._place, range(runs)))
                self._data = {runs: (replace(first, scalings=scalings), False)}
        return self._data[runs]


def same_data(one: RecordedData, other: RecordedData) -> bool:
    """True if both have bit-identical samples and the same split."""
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in DATA)


def tags(paths: Sequence[Path]) -> tuple[str, ...]:
    """A unique name for each file: its stem, preceded by as many parent folders as needed.

    Raises:
        UsageError: there are fewer than two files, or one is given twice.
    """
    if len(paths) < 2:
        raise UsageError(_("comparing needs at least two recordings"))
    real = [Path(os.path.realpath(path)) for path in paths]  # accepts circular links, which the reader reports
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


def _with_tag(fork: str, parent: str, tagged: str, otherwise: str) -> str:
    """The name of a fork, which begins with its parent's, with the parent's tag in it."""
    return tagged + fork.removeprefix(parent) if parent and fork.startswith(parent) else otherwise


def _names(run: RunInfo) -> set[str]:
    """The names of a run in all languages."""
    return {run.name, run.called}


def _stamp(path: Path) -> Stamp:
    stamps = []
    for file in (path, path.with_name(path.name + "-wal")):
        try:
            found = file.stat()
        except OSError:  # without a WAL there is no writer; a missing file is reported by its reader
            stamps.append((0, 0))
        else:
            stamps.append((found.st_mtime_ns, found.st_size))
    return tuple(stamps)
