"""Checks whether a run can be forked after a step, and whether the fork has something left to train."""

from __future__ import annotations

import numpy as np

from bntui.errors import Problem, ScenarioError, UsageError
from bntui.recording.reader import Reader
from bntui.scenario.checks import Facts, rest_of_epoch
from bntui.text import figures
from bntui.text.language import _
from bntui.trainer.run import Run


def epoch_of(reader: Reader, parent: int, step: int) -> float:
    """The epoch of a keyframe that a fork is to start from.

    Raises:
        UsageError: there is no such keyframe.
    """
    if not 0 <= parent < len(reader.runs) or step not in reader.history(parent).step:
        sentence = _("run {run} has no keyframe at step {step}")
        raise UsageError(sentence.format(run=parent, step=step))
    history = reader.history(parent)
    return float(history.epoch[int(np.searchsorted(history.step, step))])


def refuse_at_its_end(child: Run, reader: Reader, parent: int, step: int) -> None:
    """Raise ScenarioError unless a fork that stands where its parent stood has something left to train."""
    config = child.config
    if child.epoch >= config.training.epochs:
        sentence = _("the fork starts at epoch {epoch} and would end at once; give it more epochs")
        words, epochs = sentence.format(epoch=figures.epoch(child.epoch)), str(config.training.epochs)
        raise ScenarioError([Problem("training.epochs", words, value=epochs)])
    _refuse_the_same_end(child, reader, parent, step)


def refuse_a_rest(child: Run, facts: Facts) -> None:
    """Raise ScenarioError where the samples left of the epoch under way do not suit the fork's mini-batches."""
    rest = rest_of_epoch(child.config, facts, child.left)
    if rest is not None:
        raise ScenarioError([rest])


def _refuse_the_same_end(child: Run, reader: Reader, parent: int, step: int) -> None:
    """A run that early stopping ended goes on as a fork if something was changed about that."""
    rule, wait = child.config.training.early_stopping, child.progress.patience.wait
    stopped = any(event.kind == "stopped_early" and event.step == step for event in reader.events(parent))
    if stopped and rule is not None and wait >= rule.patience:
        sentence = _("the run stopped early here: it waited {wait} epochs, and patience is {patience}")
        words = sentence.format(wait=wait, patience=rule.patience)
        raise ScenarioError([Problem("training.early_stopping.patience", words, value=str(rule.patience))])
