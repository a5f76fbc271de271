"""Trains many seeds of one configuration, and tells every epoch of each as it is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bntui.scenario.schema import RunConfig
from bntui.study.pool import answers
from bntui.study.trial import EpochRow, Outcome, Seeds


@dataclass(frozen=True, slots=True)
class Lost:
    """Seeds that could not be trained to their end."""

    seeds: tuple[int, ...]
    reason: str


def courses(config: RunConfig, folder: Path, seeds: Sequence[int], jobs: int) -> Iterator[tuple[EpochRow, ...] | Lost]:
    """Train a configuration with each of several seeds in ``jobs`` worker processes.

    A worker stacks its seeds where calls cost more than arithmetic.  Their figures are those that ``bntui run`` gives
    with these seeds up to float32 rounding, which grows where training is chaotic.  Other seeds are trained one after
    another, an epoch of each in turn, and have these figures bit for bit.

    Args:
        config: the resolved configuration; its own seed is ignored.
        folder: paths of data files are relative to it.
        seeds: the seeds, each once.
        jobs: number of worker processes, which all end with the iterator.

    Yields:
        Rows as they are known, those of a seed in order; a last one has ``ended``.  At most twenty times a second from
        each worker.
    """
    parts = [tuple(seeds[first::jobs]) for first in range(min(jobs, len(seeds)))]
    work = [Seeds(tuple(config.model_copy(update={"seed": seed}) for seed in part), folder) for part in parts]
    for number, answer in answers(work, jobs):
        if isinstance(answer, Outcome):
            if answer.failure:
                yield Lost(parts[number], answer.failure)
        elif isinstance(answer, tuple) and answer:
            yield answer
