"""Transfers a parent's state to its fork according to the fork plan."""

from __future__ import annotations

from dataclasses import replace

from bntui.patience import Patience
from bntui.recording.evidence import Average
from bntui.scenario.fork_plan import ForkPlan, State, kept_state, plan_fork
from bntui.trainer.optim import Plateau
from bntui.trainer.progress import Progress
from bntui.trainer.run import Run
from bntui.trainer.score import Sums


def transfer(child: Run, parent: Run) -> State:
    """Let a child continue from the parent's current state, with its own configuration.

    Returns:
        Names of the parameters and buffers copied from the parent, and of those the child initialized itself.
    """
    plan = plan_fork(parent.config, child.config)
    own, theirs = child.network.state(), parent.network.state()
    state = kept_state(*({name: tuple(tensor.shape) for name, tensor in side.items()} for side in (own, theirs)))
    child.network.load(own | {name: theirs[name] for name in state.kept})
    kept = {Average(name, average) for name in state.kept for average in plan.averages}
    remembered = parent.stepper.optimizer.state()
    child.stepper.optimizer.load({key: value for key, value in remembered.items() if key in kept})
    child.set_progress(_progress(plan, child, parent))
    if child.best_step is not None:
        child.best = parent.best
    return state


def _progress(plan: ForkPlan, child: Run, parent: Run) -> Progress:
    at = parent.progress
    data = child.config.data
    if data.last_batch == "drop" and len(child.samples.x) - at.offset < data.batch_size:
        at = replace(at, epoch=at.epoch + 1, offset=0, sums=Sums())  # the rest of the epoch is less than a mini-batch
    if at.offset == 0:
        at = replace(at, sums=Sums())  # the child starts an epoch; the parent still has the sums of the previous one
    if not plan.plateau_count:
        at = replace(at, plateau=Plateau(factor=at.plateau.factor if plan.plateau_factor else Plateau().factor))
    if not plan.best_loss:
        at = replace(at, best_loss=Progress().best_loss)
    if not plan.patience:
        return replace(at, patience=Patience(), best_step=0)
    return replace(at, patience=replace(at.patience, stopped=False, reason=""))
