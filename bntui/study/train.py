"""Trains a run without a recording; runs in a worker process."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from typing import Final

from bntui.errors import DataError, ScenarioError, TrainerError
from bntui.insight.claims import Frames, Trained
from bntui.recording.history import SAME_EPOCH
from bntui.recording.memory import MemoryWriter
from bntui.scenario.checks import problems
from bntui.scenario.schema import RunConfig
from bntui.study.trial import SeedsJob
from bntui.text.language import _
from bntui.trainer.bench import Bench, checksum, from_scenario
from bntui.trainer.data.dataset import fit_scaling
from bntui.trainer.first_failure import FailureWatch
from bntui.trainer.fork_transfer import transfer
from bntui.trainer.run import Run

NEVER: Final = 2**62
"""A number of steps after which no run records a keyframe."""


def trained(
    config: RunConfig, job: SeedsJob, frames: Frames, watch: Callable[[MemoryWriter], object] | None = None,
) -> Trained:  # fmt: skip
    """Train one run to its end without a recording.

    Its history has the rows of a recording's at the ends of epochs, bit for bit but for their times, and those of
    keyframe 0 and of the keyframes in ``frames``; with ``frames.all``, it is the same history.

    Args:
        config: one of the job's.
        watch: called with what is recorded after the initial state and after each epoch.
    """
    # where keyframes are a number of steps apart, a run may end at one within an epoch
    whole = frames.all or config.record.every != "epoch"
    run, memory = watched(config, job, whole=whole), MemoryWriter()
    run.begin(memory)
    if watch is not None:
        watch(memory)
    while not run.over:
        run.train_epoch(memory, lambda: False, math.inf if whole else goal(run, frames.epochs))
        if watch is not None:
            watch(memory)
    return Trained(run.info, memory.history(run.info), memory.events)


def watched(config: RunConfig, job: SeedsJob, *, whole: bool) -> Run:
    """A run before its first step that records as few keyframes as possible, or all that a recording has.

    Raises:
        BntuiError: see :func:`begun`.
    """
    if not whole:
        return begun(without_keyframes(config), job)

    def again() -> Run:
        return begun(config, job)

    run = again()
    run.watcher = FailureWatch(_Again(again), run.step)
    return run


def goal(run: Run, epochs: Collection[int]) -> float:
    """The end of the current epoch if it is one of those whose last step is to be measured; otherwise infinite."""
    ahead = math.floor(run.epoch + SAME_EPOCH) + 1
    return float(ahead) if ahead in epochs else math.inf


class _Again:
    """Restores a run at an earlier step by training it again from its start, as others do from a recording."""

    def __init__(self, begun: Callable[[], Run]) -> None:
        self._begun = begun

    def reach(self, _index: int, step: int) -> Run:
        run = self._begun()
        while run.step < step:
            run.train_step(None)
        return run


def without_keyframes(config: RunConfig) -> RunConfig:
    """The configuration, but keyframes only where a run begins and may end; every epoch still has its row."""
    return config.model_copy(update={"record": config.record.model_copy(update={"every": NEVER})})


def begun(config: RunConfig, job: SeedsJob) -> Run:
    """A run before its first step, without a recording; the ancestors of a fork are trained first.

    Args:
        config: one of the job's.

    Raises:
        BntuiError: the configuration does not fit the data, the data or device is missing, a data file has changed,
            or a fork's parent ended before the fork.
    """
    bench = _bench(config.data.model_dump_json(), config.seed, config.device, config.deterministic, job.folder)
    if job.checksum and checksum(bench.data) != job.checksum:
        sentence = _("{source} is not the data that the recording was made from: the checksums differ")
        raise DataError(sentence.format(source=config.data.source))
    if found := list(problems(config, bench.facts)):
        raise ScenarioError(found)
    line = [*(stem.config for stem in job.stems), config]
    run = _made(bench, line[0])
    for stem, child in zip(job.stems, line[1:], strict=True):
        while run.step < stem.step:
            if run.over:
                raise TrainerError(_("its parent ended at epoch {epoch:g}, before the fork").format(epoch=run.epoch))
            run.train_step(None)
        parent, run = run, _made(bench, child)
        transfer(run, parent)
    return run


def _made(bench: Bench, config: RunConfig) -> Run:
    scaling = fit_scaling(config.data.scaling, bench.data.x[bench.train])
    return Run(0, "trial", config, bench.samples(config, scaling), bench.device)


@lru_cache(1)
def _bench(_data: str, seed: int, device: str, deterministic: bool, folder: Path) -> Bench:
    """The samples, shared by the runs of a seed, which are trained one after another."""
    from bntui.scenario.data import Data
    from bntui.scenario.network import NetworkConfig
    from bntui.scenario.schema import Record
    from bntui.scenario.training import Training

    data = Data.model_validate_json(_data)
    shared = RunConfig(
        data=data, network=NetworkConfig(), training=Training(), record=Record(), seed=seed, device=device,
        deterministic=deterministic,
    )  # fmt: skip
    return from_scenario(shared, folder)
