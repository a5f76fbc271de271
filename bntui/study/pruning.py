"""Ends trials of a sweep that earlier trials, or the jury's stopping rules, give no chance.

Optuna's pruners run in the worker that trains a trial, which is sent what is known of earlier trials with the same
seed: no message is exchanged while it trains, and what it decides follows from its order.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from bntui.insight.jury import jury
from bntui.insight.stopping_rules import LossCurves
from bntui.recording.history import RunHistory, RunInfo
from bntui.recording.seeds import FIGURES
from bntui.scenario.figures import Quantity
from bntui.study.order import Pruning, TrialProgress

RULES: Final = "rules"
PRUNERS: Final[Mapping[str, str]] = {"median": "MedianPruner", "hyperband": "HyperbandPruner", RULES: ""}
"""By name: the class of Optuna that decides; none where the jury does."""
_LOOKS: Final = 100
"""Looks at the first so many epochs; later, the jury looks less often, because it reads all epochs each time."""


def figure_of(goal: Quantity) -> str:
    """The figure of a goal that has a value in every epoch; empty if it has none."""
    return goal.figure if not goal.over and goal.layer is None and goal.figure in (*FIGURES, "gap") else ""


class Pruner:
    """Looks at a trial after each of its epochs."""

    def __init__(self, pruning: Pruning, info: RunInfo) -> None:
        """Prepare the pruner of an order.

        Raises:
            ImportError: Optuna is not installed here.
        """
        self._figure = pruning.figure
        self._warmup = int(info.config["training"]["schedule"]["warmup_epochs"])
        self._jury = [juror.rule for juror in jury(info.early_stopping)]
        self._course = TrialProgress(pruning.number)
        self._trial = None if pruning.pruner == RULES else _trial(pruning, info.epochs)

    def prunes(self, history: RunHistory) -> bool:
        """Whether to end the trial after its last epoch; called once after each."""
        ends = history.epoch_end & (history.step > 0)
        validation, training = history.val_loss[ends], history.train_loss[ends]
        if self._figure:
            course = validation - training if self._figure == "gap" else getattr(history, self._figure)[ends]
            self._course = replace(self._course, values=tuple(np.asarray(course, np.float64).tolist()))
        epoch = len(validation)
        if self._trial is not None:
            self._trial.report(self._course.values[-1], step=epoch)
            pruned = self._trial.should_prune()
        elif epoch % (1 + epoch // _LOOKS):
            pruned = False
        else:
            losses = LossCurves(validation.tolist(), training.tolist())
            stopped = sum(rule.decide(losses).stop is not None for rule in self._jury)
            pruned = 2 * stopped > len(self._jury)
        pruned = pruned and epoch > self._warmup
        self._course = replace(self._course, pruned=pruned)
        return pruned

    @property
    def course(self) -> TrialProgress:
        """What later trials need to know of this one."""
        if self._trial is None:
            return self._course
        frozen = self._trial.study.get_trials(deepcopy=False)[self._trial.number]
        rungs = {key: float(value) for key, value in frozen.system_attrs.items() if isinstance(value, float)}
        return replace(self._course, rungs=rungs)


def _trial(pruning: Pruning, epochs: int) -> Any:
    """A trial of Optuna that knows the earlier ones."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    given = {"min_resource": 1, "max_resource": epochs} if pruning.pruner == "hyperband" else {}
    with warnings.catch_warnings(action="ignore"):  # some pruners are called experimental
        study = optuna.create_study(
            study_name="bntui",  # hyperband puts a trial into a bracket by it and by the trial's number
            direction="maximize" if pruning.larger else "minimize",
            pruner=getattr(optuna.pruners, PRUNERS[pruning.pruner])(**given),
        )
        known = {one.number: one for one in pruning.known}
        for number in range(pruning.number):
            study.add_trial(_past(optuna.trial, known.get(number)))
    return study.ask()


def _past(trial: Any, one: TrialProgress | None) -> Any:
    """An earlier trial as Optuna keeps it; one that failed or is being trained has no values."""
    states = trial.TrialState
    if one is None or not one.values or not math.isfinite(one.values[-1]):
        return trial.create_trial(state=states.FAIL)
    return trial.create_trial(
        state=states.PRUNED if one.pruned else states.COMPLETE,
        value=one.values[-1],
        intermediate_values=dict(enumerate(one.values, 1)),
        system_attrs=dict(one.rungs),
    )
