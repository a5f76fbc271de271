"""Trains a trial and reads its figures; runs in a worker process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from bntui.errors import ScenarioError, TrainerError
from bntui.insight.claims import Frames, Trained, frames_of, value
from bntui.recording.memory import MemoryWriter
from bntui.recording.seeds import FIGURES, SeedEnd
from bntui.recording.sentences import traits
from bntui.scenario.checks import problems
from bntui.scenario.claim_expression import quantity
from bntui.scenario.schema import RunConfig
from bntui.study.trial import Epochs, Outcome, Stem, Trial
from bntui.text.language import _
from bntui.trainer.bench import Bench, from_scenario
from bntui.trainer.data.dataset import fit_scaling
from bntui.trainer.first_failure import Watch
from bntui.trainer.fork_transfer import transfer
from bntui.trainer.run import SAME_EPOCH, Run

NEVER: Final = 2**62
"""A number of steps after which no run records a keyframe."""
INTERVAL: Final = 0.25
"""Seconds between two reports of a run's epochs."""


def carried_out(trial: Trial, report: Callable[[Epochs], object] = lambda _epochs: None) -> Outcome:
    """Train a trial and read its quantities.

    Args:
        report: called with the epochs of a trial whose courses are asked for, a few times a second.

    Raises:
        BntuiError: the configuration does not fit the data, the data or device is missing, or a fork's parent ended
            before the fork.
    """
    started = time.process_time()
    wanted = {text: quantity(text) for text in trial.quantities}
    courses = Courses(report) if trial.courses else None
    run = trained(trial.config, trial.folder, frames_of(wanted.values()), trial.stems, courses)
    end = None if courses is None else courses.ended(run)
    return Outcome({text: value(one, run) for text, one in wanted.items()}, time.process_time() - started, end=end)


def trained(
    config: RunConfig, folder: Path, frames: Frames, stems: Sequence[Stem] = (),
    watch: Callable[[MemoryWriter], object] | None = None,
) -> Trained:  # fmt: skip
    """Train one run to its end without a recording.

    Its history has the rows of a recording's at the ends of epochs, bit for bit but for their times, and those of
    keyframe 0 and of the keyframes in ``frames``; with ``frames.all``, it is the same history.

    Args:
        stems: ancestors of a fork, which are trained first.
        watch: called with what is recorded after the initial state and after each epoch.
    """
    # where keyframes are a number of steps apart, a run may end at one within an epoch
    whole = frames.all or config.record.every != "epoch"
    if not whole:
        config = config.model_copy(update={"record": config.record.model_copy(update={"every": NEVER})})

    def again() -> Run:
        return begun(config, folder, stems)

    run, memory = again(), MemoryWriter()
    if whole:
        run.watcher = Watch(_Again(again), run.step)
    run.begin(memory)
    if watch is not None:
        watch(memory)
    while not run.over:
        ahead = math.floor(run.epoch + 1e-9) + 1
        goal = float(ahead) if ahead in frames.epochs and not whole else math.inf
        run.train_epoch(memory, lambda: False, goal)
        if watch is not None:
            watch(memory)
    return Trained(run.info, memory.history(run.info), memory.events)


class _Again:
    """Restores a run at an earlier step by training it again from its start, as others do from a recording."""

    def __init__(self, begun: Callable[[], Run]) -> None:
        self._begun = begun

    def reach(self, _index: int, step: int) -> Run:
        run = self._begun()
        while run.step < step:
            run.train_step(None)
        return run


class Courses:
    """Reports the epochs of a run while it is trained."""

    def __init__(self, report: Callable[[Epochs], object]) -> None:
        self._report = report
        self._rows = 0
        """Rows of the history that were looked at."""
        self._waiting: list[tuple[float, ...]] = []
        self._next: int | None = None
        """Number of the first epoch in ``_waiting``."""
        self._due = -math.inf

    def __call__(self, memory: MemoryWriter) -> None:
        """Report what is new, if the last report is long enough ago."""
        for row in memory.rows(self._rows):
            self._rows += 1
            epoch = row["epoch"]
            if abs(epoch - round(epoch)) > SAME_EPOCH or not (row["epoch_end"] or self._rows == 1):
                continue
            if self._next is None:
                self._next = round(epoch)
            self._waiting.append(tuple(math.nan if row[name] is None else row[name] for name in FIGURES))
        if time.monotonic() >= self._due:
            self._flush()

    def ended(self, run: Trained) -> SeedEnd:
        """Report the rest, and say how the run ended."""
        self._flush()
        event = next(event for event in run.events if traits(event.kind).ends == "run")
        measured = bool(run.history.has_frame[-1])
        ratio = value(quantity("gradient_ratio"), run) if measured else math.nan
        return SeedEnd(str(event.kind), float(event.epoch), event.message, ratio)

    def _flush(self) -> None:
        if self._waiting and self._next is not None:
            self._report(Epochs(self._next, np.array(self._waiting, np.float64).T))
            self._next += len(self._waiting)
            self._waiting = []
        self._due = time.monotonic() + INTERVAL


def begun(config: RunConfig, folder: Path, stems: Sequence[Stem] = ()) -> Run:
    """A run before its first step, without a recording.

    Args:
        stems: ancestors of a fork, which are trained first.

    Raises:
        BntuiError: the configuration does not fit the data, the data or device is missing, or a fork's parent ended
            before the fork.
    """
    bench = _bench(config.data.model_dump_json(), config.seed, config.device, config.deterministic, folder)
    if found := list(problems(config, bench.facts)):
        raise ScenarioError(found)
    line = [*(stem.config for stem in stems), config]
    run = _made(bench, line[0])
    for stem, child in zip(stems, line[1:], strict=True):
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
    from bntui.scenario.schema import Data, Network, Record, Training

    data = Data.model_validate_json(_data)
    shared = RunConfig(
        data=data, network=Network(), training=Training(), record=Record(), seed=seed, device=device,
        deterministic=deterministic,
    )  # fmt: skip
    return from_scenario(shared, folder)
