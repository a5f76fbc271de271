"""Trains the runs of a recording with other seeds, for the bands behind their curves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from bntui.cpu import cores
from bntui.keyframe import FloatArray
from bntui.recording.history import RunInfo
from bntui.recording.seeds import FIGURES, SeedEnd, SeedPiece
from bntui.recording.tables import FAILED
from bntui.scenario.fork import configuration
from bntui.scenario.schema import RunConfig
from bntui.scenario.sources import kind_of
from bntui.scenario.study import other_seeds
from bntui.study.pool import answers
from bntui.study.shares import shares
from bntui.study.trial import Epochs, Over, SeedsJob, Stem

GIVES_WAY: Final = 10
"""Niceness of the workers: the recorded run comes first."""
_NONE: Final[FloatArray] = np.empty((len(FIGURES), 0))


@dataclass(frozen=True, slots=True, eq=False)
class SeedTrial:
    """A run to train with another seed."""

    run: int
    seed: int
    config: RunConfig
    folder: Path
    """Data files are relative to it."""
    stems: tuple[Stem, ...] = ()
    """Of a fork: its ancestors with this seed."""
    checksum: bytes = b""
    """The digest of the recorded samples, if they are a file's; those that a seed generates have their own."""


def missing(
    runs: Sequence[RunInfo], folder: Path, seeds: int, ended: Collection[tuple[int, int]], checksum: bytes = b""
) -> tuple[SeedTrial, ...]:
    """What is left to train so that every run has ``seeds`` seeds with its own, seed by seed.

    Args:
        folder: data files are relative to it.
        ended: run and seed of what has ended.
        checksum: the digest of the recorded samples.
    """
    found = []
    for number in range(seeds - 1):
        for info in runs:
            seed = other_seeds(int(info.config["seed"]), seeds)[number]
            if (info.index, seed) not in ended:
                config = _with(info, seed)
                own = b"" if kind_of(config.data.source) == "built-in" else checksum
                found.append(SeedTrial(info.index, seed, config, folder, _stems(runs, info, seed), own))
    return tuple(found)


def train(wanted: Sequence[SeedTrial], stopped: Callable[[], bool]) -> Iterator[SeedPiece]:
    """Train in worker processes, one a core, and yield epochs as they come; the last piece of a seed has all of them.

    Args:
        stopped: ends the iterator early if true.
    """
    jobs = cores()
    parts = shares(wanted, lambda one: (one.run, one.seed if one.stems else None), jobs)
    work = [job_of(part) for part in parts]
    pieces: dict[SeedTrial, list[SeedPiece]] = {one: [] for one in wanted}
    for number, told in answers(work, jobs, nice=GIVES_WAY, stopped=stopped):
        if isinstance(told, Over):
            for one in parts[number]:
                if one in pieces:  # its worker died
                    yield _whole(pieces.pop(one), SeedPiece(one.run, one.seed, 0, _NONE), told.failure)
            continue
        assert isinstance(told, Epochs)
        one = parts[number][told.number]
        piece = SeedPiece(one.run, one.seed, told.first, told.figures, told.end)
        if told.end is None:
            pieces[one].append(piece)
            yield piece
        else:
            yield _whole(pieces.pop(one), piece)


def job_of(part: Sequence[SeedTrial]) -> SeedsJob:
    """The job of seeds of one run, which a worker trains."""
    first = part[0]
    return SeedsJob(tuple(one.config for one in part), first.folder, first.stems, checksum=first.checksum)


def _whole(before: Sequence[SeedPiece], last: SeedPiece, failure: str = "") -> SeedPiece:
    """All epochs of a seed, and how it ended."""
    figures: FloatArray = np.concatenate([*(piece.figures for piece in before), last.figures], axis=1)
    first = before[0].first if before else last.first
    at = float(first + max(figures.shape[1] - 1, 0))
    return replace(last, first=first, figures=figures, end=last.end or SeedEnd(FAILED, at, failure))


def _stems(runs: Sequence[RunInfo], info: RunInfo, seed: int) -> tuple[Stem, ...]:
    stems: list[Stem] = []
    fork = info.fork
    while fork is not None:
        stems.insert(0, Stem(_with(runs[fork.run], seed), fork.step))
        fork = runs[fork.run].fork
    return tuple(stems)


def _with(info: RunInfo, seed: int) -> RunConfig:
    return configuration(info.config).model_copy(update={"seed": seed})
