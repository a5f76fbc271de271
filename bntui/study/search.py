"""Chooses the combinations of a sweep: all of a list, or one after another by Optuna's sampler."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from bntui.errors import UsageError
from bntui.insight.claims import scaled
from bntui.scenario.claim_expression import quantity
from bntui.study.axes import Axis, Settings, count
from bntui.study.journal import JournalEntry, key_of
from bntui.study.sweep_plan import SAMPLERS, SweepPlan
from bntui.text.language import _

_ATTEMPTS: Final = 100
"""Combinations in a row that were tried already, after which a search ends."""


class Search(Protocol):
    """Says which combinations to train."""

    @property
    def total(self) -> int:
        """How many combinations there are in the end."""

    def combinations(self) -> Iterator[Settings]:
        """The combinations, each when a worker is free for it."""

    def tell(self, entry: JournalEntry) -> None:
        """Take note of a trial that is done."""


def search(plan: SweepPlan, found: Sequence[Settings]) -> Search:
    """The search of a plan, whose combinations are ``found``, if they are known from the start.

    Raises:
        UsageError: Optuna is needed, and not installed.
    """
    return Optuna(plan) if plan.search == "optuna" else ListSearch(found)


class ListSearch:
    """A list of combinations that is known from the start."""

    def __init__(self, combinations: Sequence[Settings]) -> None:
        self._combinations = combinations

    @property
    def total(self) -> int:
        return len(self._combinations)

    def combinations(self) -> Iterator[Settings]:
        yield from self._combinations

    def tell(self, entry: JournalEntry) -> None:
        """A list does not change."""


class Optuna:
    """One of Optuna's samplers; the tree-structured Parzen estimator draws where combinations were good so far.

    It is told the mean of the goal over seeds.  A combination is trained once: if the sampler draws it again, it is
    told what is known.  The trials of a resumed sweep are told again, in the order in which they were done.
    """

    def __init__(self, plan: SweepPlan) -> None:
        try:
            import optuna
        except ImportError as error:
            sentence = _("--search optuna needs Optuna, which is not installed; install it with: pip install {package}")
            raise UsageError(sentence.format(package="'bntui[search]'")) from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna: Any = optuna
        self._plan = plan
        with warnings.catch_warnings(action="ignore"):  # some samplers are called experimental
            sampler = getattr(optuna.samplers, SAMPLERS[plan.sampler])(seed=0)
        self._study = optuna.create_study(direction="maximize" if plan.larger else "minimize", sampler=sampler)
        self._space = {axis.path: self._distribution(axis) for axis in plan.axes}
        self._known: dict[str, dict[int, JournalEntry]] = {}
        self._settings: dict[str, Settings] = {}
        self._asked: dict[str, list[Any]] = {}
        self._lock = threading.Lock()  # workers' engines draw combinations in threads of their own

    @property
    def total(self) -> int:
        there = count(self._plan.axes)
        return self._plan.trials if there is None else min(self._plan.trials, there)

    def combinations(self) -> Iterator[Settings]:
        """First those that a resumed sweep has begun, then new ones."""
        with self._lock:
            begun = [self._settings[key] for key, ones in self._known.items() if len(ones) < self._plan.seeds]
        yield from begun
        repeated = 0
        while repeated < _ATTEMPTS:
            with self._lock:
                if len(self._settings) >= self.total:
                    return
                settings = self._drawn()
            if settings is None:
                repeated += 1
            else:
                repeated = 0
                yield settings

    def _drawn(self) -> Settings | None:
        """A new combination; None if the sampler draws one again."""
        trial = self._study.ask(self._space)
        settings = tuple((axis.path, self._value(axis, trial.params[axis.path])) for axis in self._plan.axes)
        key = key_of(settings, 0)[0]
        new = key not in self._settings
        self._settings.setdefault(key, settings)
        self._asked.setdefault(key, []).append(trial)
        self._conclude(key)
        return settings if new else None

    def tell(self, entry: JournalEntry) -> None:
        """Tell the sampler the mean of a combination, once all its seeds are done."""
        key = key_of(entry.settings, 0)[0]
        with self._lock:
            self._settings.setdefault(key, entry.settings)
            self._known.setdefault(key, {})[entry.seed] = entry
            if key not in self._asked and len(self._known[key]) == self._plan.seeds:
                self._study.add_trial(self._past(key))
                self._asked[key] = []
            self._conclude(key)

    def _past(self, key: str) -> Any:
        """A trial that an earlier process was told, for the sampler of this one."""
        ones = list(self._known[key].values())
        given = dict(self._settings[key])
        parameters = {
            axis.path: axis.values.index(given[axis.path]) if axis.values else given[axis.path]
            for axis in self._plan.axes
        }  # fmt: skip
        state, value, last = self._outcome(ones)
        between = {} if last is None else {last: value}
        return self._optuna.trial.create_trial(
            params=parameters, distributions=self._space, state=state, value=value, intermediate_values=between
        )

    def _conclude(self, key: str) -> None:
        ones = self._known.get(key, {})
        if len(ones) < self._plan.seeds:
            return
        state, value, last = self._outcome(list(ones.values()))
        for trial in self._asked.pop(key, ()):
            if last is not None:
                trial.report(value, last)
            self._study.tell(trial, None if last is not None else value, state)
        self._asked.setdefault(key, [])

    def _outcome(self, ones: Sequence[JournalEntry]) -> tuple[Any, float | None, int | None]:
        """How a combination ended, its value, and of a pruned one the epoch of that value, if it is known."""
        states = self._optuna.trial.TrialState
        if any(entry.state == "failed" for entry in ones):
            return states.FAIL, None, None
        if all(entry.state == "done" for entry in ones):
            return states.COMPLETE, self._mean(ones), None
        courses = [() if entry.course is None else entry.course.values for entry in ones]
        last = min(map(len, courses))
        values = [values[last - 1] for values in courses] if last else []
        if not values or not all(map(math.isfinite, values)):
            return states.PRUNED, None, None
        return states.PRUNED, math.fsum(values) / len(values), last

    def _mean(self, entries: Sequence[JournalEntry]) -> float:
        """The mean over seeds, as it ranks; infinitely bad where a seed diverged or has no finite value."""
        used = quantity(self._plan.goal)
        values = [scaled(used, entry.figures.get(self._plan.goal, math.nan)) for entry in entries]
        wild = used.figure != "diverged" and any(entry.diverged for entry in entries)
        if wild or not all(map(math.isfinite, values)):
            return -math.inf if self._plan.larger else math.inf
        return math.fsum(values) / len(values)

    def _distribution(self, axis: Axis) -> Any:
        """Of a range the numbers, of a list the places in it."""
        distributions = self._optuna.distributions
        if not axis.values:
            low, high = sorted((axis.low, axis.high))
            if axis.whole:
                return distributions.IntDistribution(int(low), int(high), log=axis.log)
            return distributions.FloatDistribution(low, high, log=axis.log)
        if math.isfinite(axis.low):
            return distributions.IntDistribution(0, len(axis.values) - 1)
        return distributions.CategoricalDistribution(tuple(range(len(axis.values))))

    def _value(self, axis: Axis, drawn: float) -> object:
        if axis.values:
            return axis.values[int(drawn)]
        low, high = sorted((axis.low, axis.high))
        return int(drawn) if axis.whole else min(max(float(f"{drawn:.4g}"), low), high)
