"""Decides what a fork keeps from its parent and whether it has anything to train, for trainer, fork form, and jury."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bntui.errors import Problem
from bntui.scenario.blocks import blocks
from bntui.scenario.schema import RunConfig
from bntui.scenario.state_shapes import state_shapes
from bntui.scenario.structure import Shape
from bntui.scenario.training import Training
from bntui.text import figures
from bntui.text.language import _

_ADAMS: Final = frozenset(("adam", "adamw"))
"""Optimizers whose running averages have the same meaning."""


@dataclass(frozen=True, slots=True)
class State:
    """Names of a fork's parameters and buffers: those it keeps, and those that are initialized."""

    kept: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """What a fork keeps; everything else starts as in a new run."""

    structural: bool
    """The networks differ in their stages, so the parent's losses do not apply to the child."""
    same_optimizer: bool
    """The optimizers' running averages have the same meaning."""
    averages: tuple[str, ...]
    """Averages that the child keeps for each kept parameter: ``exp_avg``, ``step``, …"""
    patience: bool
    """Early stopping keeps its best value and continues counting."""
    best_loss: bool
    """Without early stopping: the smallest validation loss so far is kept."""
    plateau_factor: bool
    """Reduce-on-plateau keeps the learning rate that it has reached."""
    plateau_count: bool
    """Reduce-on-plateau keeps its best loss and continues counting."""


def plan_fork(before: RunConfig, after: RunConfig) -> ForkPlan:
    """What a run with configuration ``after`` keeps from a parent with configuration ``before``."""
    anew = structural(before, after)
    same_optimizer = _same_optimizer(before.training, after.training)
    own, theirs = _averages(after.training), _averages(before.training)
    plateau = before.training.schedule.kind == "plateau"
    return ForkPlan(
        structural=anew,
        same_optimizer=same_optimizer,
        averages=tuple(name for name in own if name in theirs) if same_optimizer else (),
        patience=not anew and _watched(before.training) == _watched(after.training),
        best_loss=not anew,
        plateau_factor=plateau,
        plateau_count=plateau and not anew,
    )


def over_at_once(after: RunConfig, epoch: float, waited: int | None) -> Problem | None:
    """Why a fork with this configuration would end without training; None if it has something left to train.

    Args:
        epoch: where it starts.
        waited: number of epochs that its early stopping has waited, if early stopping ended its parent there.
    """
    training = after.training
    if epoch >= training.epochs:
        sentence = _("the fork starts at epoch {epoch} and would end at once; give it more epochs")
        words = sentence.format(epoch=figures.epoch(epoch))
        return Problem("training.epochs", words, value=str(training.epochs))
    rule = training.early_stopping
    if rule is not None and waited is not None and waited >= rule.patience:
        sentence = _(
            "the run stopped early here: it waited {wait} epochs, and patience is {patience}; raise patience, or fork"
            " from an earlier keyframe"
        )
        words = sentence.format(wait=waited, patience=rule.patience)
        return Problem("training.early_stopping.patience", words, value=str(rule.patience))
    return None


def kept_state(own: Mapping[str, Shape], parent: Mapping[str, Shape]) -> State:
    """Keep the parameters and buffers that match by name and shape.

    Args:
        own: shapes of the child's parameters and buffers, by name.
        parent: shapes of the parent's.
    """
    kept = tuple(name for name, shape in own.items() if parent.get(name) == shape)
    return State(kept, tuple(name for name in own if name not in kept))


def expected_state(before: RunConfig, after: RunConfig, sample: Shape | None) -> State | None:
    """The same, from the configurations alone; None if too little is known about the samples' shape."""
    parent, own = state_shapes(before, sample), state_shapes(after, sample)
    return None if parent is None or own is None else kept_state(own, parent)


def structural(before: RunConfig, after: RunConfig) -> bool:
    """True if the networks differ in their stages; dropout and initialization do not count."""
    return _structure(before) != _structure(after)


def _structure(config: RunConfig) -> dict[str, Any]:
    network = config.network.model_dump(include={"norm_position", "groups", "norm_recurrent"})
    return {**network, "layers": [replace(block, dropout=0.0, init="") for block in blocks(config.network)]}


def _same_optimizer(before: Training, after: Training) -> bool:
    return before.optimizer == after.optimizer or {before.optimizer, after.optimizer} <= _ADAMS


def _averages(training: Training) -> tuple[str, ...]:
    """PyTorch's names for the state that the optimizer keeps per parameter."""
    momentum = ("momentum_buffer",) if training.momentum else ()
    if training.optimizer == "sgd":
        return momentum
    if training.optimizer == "rmsprop":
        return "square_avg", *momentum, "step"
    return "exp_avg", "exp_avg_sq", "step"


def _watched(training: Training) -> tuple[str, str] | None:
    rule = training.early_stopping
    return None if rule is None else (rule.monitor, rule.mode)
