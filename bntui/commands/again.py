"""Resumes or forks a recording from the command line, through its live trainer or a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bntui.commands.headless import lost
from bntui.commands.show import find_run
from bntui.errors import TrainerError, UsageError
from bntui.keyframe import Foreign
from bntui.link.client import IdleTrainer, Trainer
from bntui.link.live import is_live
from bntui.link.registry import recorder
from bntui.recording.copy import copied, writable
from bntui.recording.opened import Recording
from bntui.recording.recorded import opened
from bntui.recording.sentences import EventKind, outcome
from bntui.scenario.fork import forked as valid_fork
from bntui.scenario.pace import PacingOptions
from bntui.text.language import _


@dataclass(frozen=True, slots=True)
class ForkPoint:
    """The keyframe of a run at which a fork begins."""

    run: int
    step: int
    epoch: float


def place(recording: Path, run: str | None, epoch: float | None, *, first: bool = False) -> ForkPoint:
    """The last keyframe of a run (name or number) at or before an epoch; without an epoch, the last (or ``first``) one.

    Raises:
        UsageError: the run or keyframe does not exist.
        RecordingError: the file is not a recording, or is damaged.
    """
    with closing(opened(recording)) as reader:
        refuse_watched(reader)
        index = find_run(reader, run)
        found = reader.frame_at(index, float("inf") if epoch is None else epoch)
        if first and epoch is None:
            found = reader.first(index)
        if found is None:
            sentence = _("run {run!r} has no keyframe at or before epoch {epoch:g}")
            raise UsageError(sentence.format(run=reader.runs[index].called, epoch=epoch or 0))
        return ForkPoint(index, found.step, found.epoch)


def refuse_watched(reader: Recording) -> None:
    """Raise UsageError if a loop of the user's own was recorded: its code is not here."""
    if any(run.watched for run in reader.runs):
        sentence = _("{recording} is a recorded training loop: only its own script can train on, or train it again")
        raise UsageError(sentence.format(recording=reader.path))


def refuse_what_is_over(recording: Path) -> None:
    """Raise UsageError if no run can be resumed."""
    with closing(Recording(recording)) as reader:
        refuse_watched(reader)
        ended = ending(reader) != "interrupted" and not reader.seeds_left
    if ended and not is_live(recording):
        raise UsageError(_("all runs of {recording} have ended; fork one of them instead").format(recording=recording))


def ending(reader: Recording) -> EventKind | Foreign:
    """How the training of a recording ended, unless it has a live trainer."""
    return outcome([event.kind for event in reader.events(run.index)] for run in reader.runs)


def no_trainer(recording: Path) -> UsageError:
    """The error for a recording without a live trainer, with what can be done with it.

    Raises:
        RecordingError: the file is not a recording, or is damaged.
    """
    with closing(Recording(recording)) as reader:
        unfinished = ending(reader) == "interrupted" and not any(run.watched for run in reader.runs)
    loop = recorder(recording)
    if loop is not None:
        sentence = _(
            "{recording} is recorded by the training loop of process {pid}, which takes no commands; open it with: "
            "bntui replay {recording}"
        )
        return UsageError(sentence.format(recording=recording, pid=loop.pid))
    sentence = _("{recording} has no live trainer; open it with: bntui replay {recording}")
    if unfinished:
        sentence = _(
            "{recording} has no live trainer, and its training was interrupted; resume it with: bntui resume"
            " {recording}, or open it with: bntui replay {recording}"
        )
    return UsageError(sentence.format(recording=recording))


def on_own_ground(recording: Path) -> Path:
    """The recording, or a copy of it if it is not writable."""
    return recording if writable(recording) else copied(recording)


def resume(recording: Path, watching: PacingOptions | None = None) -> Path:
    """Start a trainer that resumes a recording; returns the recording's path.

    Raises:
        TrainerError: the trainer failed to resume it.
        UsageError: it already has a live trainer.
    """
    if is_live(recording):
        raise UsageError(
            _("{recording} is being trained; watch it with: bntui attach {recording}").format(recording=recording)
        )
    return IdleTrainer.start().resume(recording, watching=watching)


def fork(
    recording: Path, there: ForkPoint, changes: Sequence[tuple[str, object]], watching: PacingOptions | None = None
) -> Path:
    """Start a new run from a keyframe, through the live trainer or a new one; returns the recording's path.

    Raises:
        ScenarioError: the changes are not valid.
        UsageError: the live trainer refused.
        TrainerError: the new trainer failed.
    """
    with closing(Recording(recording)) as reader:
        valid_fork(reader.runs[there.run].config, changes)  # reports errors before anything starts
        wanted: Mapping[str, Any] = {"run": there.run, "step": there.step, "changes": list(map(list, changes))}
        trainer = Trainer.connect(recording)
        if trainer is None:
            return IdleTrainer.start().resume(recording, fork=wanted, watching=watching)
        with closing(trainer):
            before = trainer.receive()
            asked, taken, runs = 0 if before is None else before.commands, False, len(reader.runs)
            trainer.send("fork", **wanted)
            while (status := trainer.receive()) is not None:
                reader.refresh()
                taken = taken or status.commands > asked
                if status.refused > asked:
                    raise UsageError(status.refusal)
                new = (run.fork for run in reader.runs[runs:])
                if any(made is not None and (made.run, made.step) == (there.run, there.step) for made in new):
                    return recording
    if taken:
        raise TrainerError(lost(recording))
    return IdleTrainer.start().resume(recording, fork=wanted, watching=watching)  # the live trainer was ending
