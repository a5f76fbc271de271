"""Checks that a run can be forked after a step, and that the fork has something left to train."""

from __future__ import annotations

import numpy as np

from bntui.errors import Problem, ScenarioError, UsageError
from bntui.recording.reader import Reader
from bntui.scenario.checks import Facts, rest_of_epoch
from bntui.text import figures
from bntui.text.language import _
from bntui.trainer.run import Run


def epoch_of(reader: Reader, parent: int, step: int) -> float:
    """The epoch of the keyframe from which a fork starts.

    Raises:
        UsageError: the run has no keyframe at this step.
    """
    if not 0 <= parent < len(reader.runs) or step not in reader.history(parent).step:
        sentence = _("run {run} has no keyframe at step {step}")
        raise UsageError(sentence.format(run=parent, step=step))
    history = reader.history(parent)
    return float(history.epoch[int(np.searchsorted(history.step, step))])


def refuse_at_its_end(child: Run, reader: Reader, parent: int, step: int) -> None:
    """Raise ScenarioError if a fork, in the state of its parent, would end without training."""
    config = child.config
    if child.epoch >= config.training.epochs:
        sentence = _("the fork starts at epoch {epoch} and would end at once; give it more epochs")
        words, epochs = sentence.format(epoch=figures.epoch(child.epoch)), str(config.training.epochs)
        raise ScenarioError([Problem("training.epochs", words, value=epochs)])
    _refuse_the_same_end(child, reader, parent, step)


def refuse_a_rest(child: Run, facts: Facts) -> None:
    """Raise ScenarioError if the fork cannot split the rest of the current epoch into mini-batches."""
    rest = rest_of_epoch(child.config, facts, child.left)
    if rest is not None:
        raise ScenarioError([rest])


def _refuse_the_same_end(child: Run, reader: Reader, parent: int, step: int) -> None:
    """Raise ScenarioError if early stopping ended the parent at this step and would end the fork, too."""
    rule, wait = child.config.training.early_stopping, child.progress.patience.wait
    stopped = any(event.kind == "stopped_early" and event.step == step for event in reader.events(parent))
    if stopped and rule is not None and wait >= rule.patience:
        sentence = _("the run stopped early here: it waited {wait} epochs, and patience is {patience}")
        words = sentence.format(wait=wait, patience=rule.patience)
        raise ScenarioError([Problem("training.early_stopping.patience", words, value=str(rule.patience))])
