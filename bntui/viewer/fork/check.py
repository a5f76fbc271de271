"""Checks a fork that is being written, and says what it would keep of its parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bntui.errors import Problem, ScenarioError, UsageError, did_you_mean
from bntui.scenario.checks import facts_of
from bntui.scenario.fork import Change, configuration, forked
from bntui.scenario.fork_plan import ForkPlan, State, expected_state, plan_fork
from bntui.scenario.load import parse_override
from bntui.scenario.merge import key_path
from bntui.text import figures
from bntui.text.language import _
from bntui.viewer.fork.form import EPOCHS, PATIENCE, STOPPING, ForkForm, Item


@dataclass(frozen=True, slots=True)
class ForkCheck:
    """Whether the fork may be as it is written, and what it would be."""

    changes: tuple[tuple[str, Any], ...] = ()
    """Key paths and values, as the trainer takes them."""
    differences: tuple[Change, ...] = ()
    """What is different in the fork; of no meaning where something is wrong."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """By key path of the setting that they stand beside."""
    others: tuple[str, ...] = ()
    """Problems of no setting in the form."""
    plan: ForkPlan | None = None
    """What the fork would keep; None where something is wrong."""
    state: State | None = None
    """Names of what is kept and what starts anew, where the structure changes and the shapes are known."""

    @property
    def valid(self) -> bool:
        return not self.errors and not self.others


def judge(form: ForkForm) -> ForkCheck:
    """The scenario's own validation of what is written, and what a fork with it would keep."""
    errors: dict[str, str] = {}
    changes: list[tuple[str, Any]] = []
    unwatched = any(item.setting.path == PATIENCE and form.text(item) == "none" for item in form.items)
    for item in form.items:
        path = item.setting.path
        if not form.touched(item):
            continue
        if unwatched and path.startswith(f"{STOPPING}."):
            # without a patience the rest of the table means nothing, and would bring it back
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
    if form.origin.epoch >= after.training.epochs:
        sentence = _("the fork starts at epoch {epoch} and would end at once; give it more epochs")
        errors[EPOCHS] = sentence.format(epoch=figures.epoch(form.origin.epoch))
    before = configuration(form.origin.run.config)
    plan = plan_fork(before, after)
    facts = form.origin.facts or facts_of(before.data)
    state = expected_state(before, after, facts.shape) if plan.structural else None
    return ForkCheck(tuple(changes), differences, errors, (), plan, state)


def _value(path: str, text: str) -> Any:
    """What was typed, read as ``--set`` reads it.

    Raises:
        UsageError: it is no value.
    """
    if not text.strip():
        raise UsageError(_("a value is missing; del restores the parent's"))
    try:
        return parse_override(f"{path}={text}")[1]
    except UsageError as error:  # its sentence begins with the option, which is not there
        raise UsageError(str(error).removeprefix(f"--set {path}={text}: ")) from None


def _owner(items: Sequence[Item], problem: Problem) -> str | None:
    """The setting beside which a problem stands: its own, or the one that holds it."""
    paths = sorted((item.setting.path for item in items), key=len, reverse=True)
    try:
        wanted = key_path(problem.path)
    except ValueError:
        return None
    return next((path for path in paths if wanted[: len(own := key_path(path))] == own), None)


def _said(problem: Problem) -> str:
    return problem.message + (f" {did_you_mean(problem.nearest)}" if problem.nearest else "")
