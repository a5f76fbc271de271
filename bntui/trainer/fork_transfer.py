"""What does a fork take over from its parent: everything that fits by name and shape."""

from __future__ import annotations

from dataclasses import replace

from bntui.scenario.fork import structural
from bntui.trainer.early_stopping import Patience
from bntui.trainer.optim import Plateau
from bntui.trainer.progress import Progress
from bntui.trainer.run import Run
from bntui.trainer.score import Sums

_ADAMS = ("adam", "adamw")
"""Optimizers whose averages mean the same."""


def take_over(child: Run, parent: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The child goes on from where the parent stands, under its own configuration.

    Parameters, buffers and the optimizer's averages are taken over one by one where name and shape fit, the place in
    the data and the patience as they are.  Where the networks differ in their stages, whether the child improves
    is judged anew.

    Returns:
        Names of the parameters and buffers that were kept, and of those that are the child's own.
    """
    own, theirs = child.network.state(), parent.network.state()
    kept = {name: theirs[name] for name, mine in own.items() if name in theirs and theirs[name].shape == mine.shape}
    child.network.load(own | kept)
    optimizers = (child.config.training.optimizer, parent.config.training.optimizer)
    if optimizers[0] == optimizers[1] or set(optimizers) <= set(_ADAMS):
        state = parent.stepper.optimizer.state()
        child.stepper.optimizer.load({key: value for key, value in state.items() if key.rpartition("/")[0] in kept})
    child.take_up(_progress(child, parent))
    if child.best_step is not None:
        child.best = parent.best
    return tuple(kept), tuple(name for name in own if name not in kept)


def _progress(child: Run, parent: Run) -> Progress:
    at = parent.progress
    data = child.config.data
    if data.last_batch == "drop" and len(child.samples.x) - at.offset < data.batch_size:
        at = replace(at, epoch=at.epoch + 1, offset=0, sums=Sums())  # what is left fills no larger mini-batch
    if at.offset == 0:
        at = replace(at, sums=Sums())  # an epoch begins, though the parent ended with the one before
    afresh = structural(parent.config, child.config)
    if parent.config.training.schedule.kind != "plateau":
        at = replace(at, plateau=Plateau())
    if afresh:
        at = replace(at, best_loss=Progress().best_loss, plateau=Plateau(factor=at.plateau.factor))
    rules = [run.config.training.early_stopping for run in (child, parent)]
    watched = [None if rule is None else (rule.monitor, rule.mode) for rule in rules]
    if afresh or watched[0] != watched[1]:
        return replace(at, patience=Patience(), best_step=0)
    return replace(at, patience=replace(at.patience, stopped=False, reason=""))
