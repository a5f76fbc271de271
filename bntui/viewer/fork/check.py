"""Validates the fork form, and determines what the fork would keep of its parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bntui.errors import Problem, ScenarioError, UsageError, did_you_mean
from bntui.scenario.checks import facts_of
from bntui.scenario.fork import Change, configuration, forked
from bntui.scenario.fork_plan import ForkPlan, State, expected_state, over_at_once, plan_fork
from bntui.scenario.load import parse_override
from bntui.scenario.merge import key_path
from bntui.text.language import _
from bntui.viewer.fork.form import PATIENCE, STOPPING, ForkForm, Item


@dataclass(frozen=True, slots=True)
class ForkCheck:
    """The result of validating a fork form."""

    changes: tuple[tuple[str, Any], ...] = ()
    """Key paths and values, as sent to the trainer."""
    differences: tuple[Change, ...] = ()
    """Settings that differ from the parent; empty if there are errors."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Errors by key path of the setting that shows them."""
    others: tuple[str, ...] = ()
    """Errors that belong to no setting in the form."""
    plan: ForkPlan | None = None
    """What the fork would keep; None if the configuration is not valid."""
    state: State | None = None
    """Names of the parameters that are kept and initialized, if the structure changes and the shapes are known."""

    @property
    def valid(self) -> bool:
        return not self.errors and not self.others


def judge(form: ForkForm) -> ForkCheck:
    """Validate the form as a scenario would be, and determine what the fork would keep."""
    errors: dict[str, str] = {}
    changes: list[tuple[str, Any]] = []
    unwatched = any(item.setting.path == PATIENCE and form.text(item) == "none" for item in form.items)
    for item in form.items:
        path = item.setting.path
        if not form.touched(item):
            continue
        if unwatched and path.startswith(f"{STOPPING}."):
            # without patience, the other settings of the table have no effect, and would turn early stopping on again
            if path == PATIENCE:
                changes.append((STOPPING, "none"))
            continue
        try:
            changes.append((path, _value(path, form.text(item))))
        except UsageError as error:
            errors[path] = str(error)
    others: list[str] = []
    try:
        after, differences = forked(form.origin.run.config, changes, form.origin.facts)
    except ScenarioError as error:
        for problem in error.problems:
            owner = _owner(form.items, problem)
            if owner is None:
                others.append(str(problem))
            else:
                errors.setdefault(owner, _said(problem))
        return ForkCheck(tuple(changes), (), errors, tuple(others))
    before = configuration(form.origin.run.config)
    plan = plan_fork(before, after)
    waited = form.origin.waited
    ended = over_at_once(after, form.origin.epoch, waited if plan.patience or waited is None else 0)
    if ended is not None:
        errors[ended.path] = ended.message
    facts = form.origin.facts or facts_of(before.data)
    state = expected_state(before, after, facts.shape) if plan.structural else None
    return ForkCheck(tuple(changes), differences, errors, (), plan, state)


def _value(path: str, text: str) -> Any:
    """Parse a typed value like ``--set`` does.

    Raises:
        UsageError: the text is not a value.
    """
    if not text.strip():
        raise UsageError(_("a value is missing; del restores the parent's"))
    try:
        return parse_override(f"{path}={text}")[1]
    except UsageError as error:  # remove the option that the message begins with
        raise UsageError(str(error).removeprefix(f"--set {path}={text}: ")) from None


def _owner(items: Sequence[Item], problem: Problem) -> str | None:
    """Key path of the setting that shows a problem: its own or the one that contains it; None if there is none."""
    paths = sorted((item.setting.path for item in items), key=len, reverse=True)
    try:
        wanted = key_path(problem.path)
    except ValueError:
        return None
    return next((path for path in paths if wanted[: len(own := key_path(path))] == own), None)


def _said(problem: Problem) -> str:
    return problem.message + (f" {did_you_mean(problem.nearest)}" if problem.nearest else "")
