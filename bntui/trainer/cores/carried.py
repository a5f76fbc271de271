"""Carries a run to another process, with everything that its next steps depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bntui.recording.codec import pack_arrays, unpack_arrays
from bntui.recording.evidence import Evidence, TrainerState, pack_state, progress_of
from bntui.recording.sentences import EventKind
from bntui.trainer.first_failure import FailureWatch
from bntui.trainer.probes import array
from bntui.trainer.run import Run


@dataclass(frozen=True, slots=True)
class Carried:
    """A run between two processes."""

    state: bytes
    """Its state before one of its steps, from :func:`bntui.recording.evidence.pack_state`."""
    step: int
    """The last step that is recorded; those up to it are repeated."""
    wall: float
    """Seconds of training up to there."""
    told: frozenset[EventKind]
    """See :attr:`bntui.trainer.run.Run.told`."""
    since: int
    recorded: int
    """See :class:`bntui.trainer.first_failure.FailureWatch`."""
    best: bytes | None = None
    """Parameters and buffers of the best epoch, if early stopping restores them."""
    over: bool = False
    """It is recorded that the run has ended."""


def carried(run: Run) -> Carried:
    """A run as it is now."""
    assert isinstance(run.watcher, FailureWatch)
    best = None if run.best is None else packed_best(run.best)
    wall, watch = run.progress.wall, run.watcher
    return Carried(pack_state(run.state), run.step, wall, frozenset(run.told), watch.since, watch.recorded, best)


def restore(run: Run, other: Carried) -> None:
    """Continue a run, which has its recorded configuration, where it was in another process."""
    arrays, progress = unpack_arrays(other.state), progress_of(other.state)
    assert progress is not None
    assert isinstance(run.watcher, FailureWatch)
    run.load(TrainerState(Evidence.of(arrays), progress))
    run.best = None if other.best is None else _unpacked(other.best)
    run.over = False
    while run.step < other.step:
        run.train_step(None)
    run.set_progress(replace(run.progress, wall=other.wall))
    run.told = set(other.told)
    run.over = other.over
    run.watcher.since, run.watcher.recorded = other.since, other.recorded


def packed_best(best: Mapping[str, Tensor]) -> bytes:
    """Parameters and buffers as one block."""
    return pack_arrays({name: array(tensor) for name, tensor in best.items()})


def _unpacked(best: bytes) -> dict[str, Tensor]:
    return {name: torch.tensor(values) for name, values in unpack_arrays(best).items()}
