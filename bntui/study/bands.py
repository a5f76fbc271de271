"""Trains the runs of a recording with other seeds, for the bands behind their curves.

:func:`train` is the only place that decides how seeds are trained.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bntui.keyframe import FloatArray
from bntui.recording.history import RunInfo
from bntui.recording.seeds import FIGURES, SeedEnd, SeedPiece
from bntui.recording.tables import FAILED
from bntui.scenario.fork import configuration
from bntui.scenario.schema import RunConfig
from bntui.scenario.study import other_seeds
from bntui.study.pool import answers
from bntui.study.trial import Epochs, Outcome, Stem, Trial

GIVES_WAY: Final = 10
"""Niceness of the workers: the recorded run comes first."""


@dataclass(frozen=True, slots=True)
class SeedTrial:
    """A run to train with another seed."""

    run: int
    seed: int
    trial: Trial


def missing(
    runs: Sequence[RunInfo], folder: Path, seeds: int, ended: Collection[tuple[int, int]]
) -> tuple[SeedTrial, ...]:
    """What is left to train so that every run has ``seeds`` seeds with its own, seed by seed.

    Args:
        folder: data files are relative to it.
        ended: run and seed of what has ended.
    """
    found = []
    for number in range(seeds - 1):
        for info in runs:
            seed = other_seeds(int(info.config["seed"]), seeds)[number]
            if (info.index, seed) not in ended:
                found.append(SeedTrial(info.index, seed, _trial(runs, info, folder, seed)))
    return tuple(found)


def train(wanted: Sequence[SeedTrial], stopped: Callable[[], bool]) -> Iterator[SeedPiece]:
    """Train in worker processes, one a core, and yield epochs as they come; the last piece of a seed has all of them.

    Args:
        stopped: ends the iterator early if true.
    """
    pieces: dict[int, list[SeedPiece]] = {number: [] for number in range(len(wanted))}
    jobs = os.cpu_count() or 1
    for number, told in answers([one.trial for one in wanted], jobs, nice=GIVES_WAY, stopped=stopped):
        run, seed = wanted[number].run, wanted[number].seed
        if isinstance(told, Outcome):
            yield _whole(run, seed, pieces.pop(number), told)
        elif isinstance(told, Epochs):
            piece = SeedPiece(run, seed, told.first, told.figures)
            pieces[number].append(piece)
            yield piece


def _whole(run: int, seed: int, pieces: Sequence[SeedPiece], done: Outcome) -> SeedPiece:
    first = pieces[0].first if pieces else 0
    none: FloatArray = np.empty((len(FIGURES), 0))
    figures: FloatArray = np.concatenate([none, *(piece.figures for piece in pieces)], axis=1)
    last = first + max(figures.shape[1] - 1, 0)
    return SeedPiece(run, seed, first, figures, done.end or SeedEnd(FAILED, float(last), done.failure))


def _trial(runs: Sequence[RunInfo], info: RunInfo, folder: Path, seed: int) -> Trial:
    stems: list[Stem] = []
    fork = info.fork
    while fork is not None:
        stems.insert(0, Stem(_with(runs[fork.run], seed), fork.step))
        fork = runs[fork.run].fork
    return Trial(_with(info, seed), folder, courses=True, stems=tuple(stems))


def _with(info: RunInfo, seed: int) -> RunConfig:
    return configuration(info.config).model_copy(update={"seed": seed})
