"""Checks that a run can be forked after a step, and that the fork has something left to train."""

from __future__ import annotations

from bntui.errors import ScenarioError, UsageError
from bntui.recording.opened import Recording
from bntui.recording.tables import MOST_RUNS
from bntui.scenario.checks import DataFacts, rest_of_epoch
from bntui.scenario.fork_plan import over_at_once
from bntui.text.language import _
from bntui.trainer.run import Run


def epoch_of(reader: Recording, parent: int, step: int) -> float:
    """The epoch of the keyframe from which a fork starts.

    Raises:
        UsageError: the run has no keyframe at this step.
    """
    place = reader.place(parent, step) if 0 <= parent < len(reader.runs) else None
    if place is None:
        sentence = _("run {run} has no keyframe at step {step}")
        raise UsageError(sentence.format(run=parent, step=step))
    return place.epoch


def refuse_one_more(runs: int) -> None:
    """Raise UsageError if a recording with so many runs can have no other one: readers would call it damaged."""
    if runs >= MOST_RUNS:
        sentence = _(
            "the recording has {count} runs, and can have no more; train the scenario again to fork from there"
        )
        raise UsageError(sentence.format(count=runs))


def refuse_at_its_end(child: Run, reader: Recording, parent: int, step: int) -> None:
    """Raise ScenarioError if a fork, in the state of its parent, would end without training."""
    stopped = any(event.kind == "stopped_early" and event.step == step for event in reader.events(parent))
    problem = over_at_once(child.config, child.epoch, child.progress.patience.wait if stopped else None)
    if problem is not None:
        raise ScenarioError([problem])


def refuse_a_rest(child: Run, facts: DataFacts) -> None:
    """Raise ScenarioError if the fork cannot split the rest of the current epoch into mini-batches."""
    rest = rest_of_epoch(child.config, facts, child.left)
    if rest is not None:
        raise ScenarioError([rest])
