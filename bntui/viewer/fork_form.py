"""What may be different in a fork, and what has been changed so far?  The form, its transitions, its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bntui.errors import Problem, ScenarioError, UsageError, did_you_mean
from bntui.language import N_, _
from bntui.recording.history import RunInfo
from bntui.scenario.checks import Facts, facts_of
from bntui.scenario.fork import Change, Setting, forked, settings, structural
from bntui.scenario.load import parse_override
from bntui.scenario.merge import key_path
from bntui.scenario.schema import BUILTIN_DATA, RunConfig
from bntui.viewer.fork_state import Carried, carried
from bntui.viewer.session import Recording

COMMON: Final = (
    "training.lr", "network.norm", "network.dropout", "network.activation", "training.optimizer", "training.momentum",
    "training.weight_decay", "data.batch_size", "training.early_stopping.patience", "training.epochs",
)  # fmt: skip
"""What people change most, in that order; it stands first."""
GROUPS: Final = (
    ("", N_("Changed most often")),
    ("data", N_("Data")),
    ("network", N_("Network")),
    ("training.early_stopping", N_("Early stopping")),
    ("training", N_("Training")),
    ("record", N_("Record")),
)
"""Tables of the scenario file with their headings, an inner table before the one around it."""
ORDER: Final = ("", "data", "network", "training", "training.early_stopping", "record")
STOPPING: Final = "training.early_stopping"
PATIENCE: Final = "training.early_stopping.patience"
NO_PATIENCE: Final = N_("With none there is no early stopping; a number begins it.")
SAME_AVERAGES: Final = ("adam", "adamw")
"""Optimizers that go on with each other's averages."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The keyframe that a fork starts from."""

    run: RunInfo
    step: int
    epoch: float
    facts: Facts | None = None
    """Of the data, where more is known than its name says."""


@dataclass(frozen=True, slots=True)
class Item:
    """One setting with its place in the form."""

    setting: Setting
    group: str
    """A table of the scenario file; empty for what is changed most."""

    @property
    def label(self) -> str:
        """The key path, without the table that the heading names."""
        return self.setting.path.removeprefix(f"{self.group}.") if self.group else self.setting.path

    @property
    def choices(self) -> tuple[str, ...]:
        """All values, where they are words or few."""
        if isinstance(self.setting.value, bool):
            return ("false", "true")
        return tuple(dict.fromkeys(self.setting.choices))

    @property
    def written(self) -> str:
        """Its value as it is typed."""
        return written(self.setting.value)


def written(value: Any) -> str:
    """A value as people type it after ``--set``: words without quotes, ``none`` for what is left out."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {written(inner)}' for key, inner in value.items())} }}"
    return str(value)


@dataclass(frozen=True, slots=True)
class Form:
    """All settings, and what was typed into them."""

    origin: Origin
    items: tuple[Item, ...]
    typed: Mapping[str, str] = field(default_factory=dict)
    """Text by key path, of the settings that were touched."""
    at: int = 0
    """Which setting the keys mean."""
    begun: str = ""
    """The beginning of a word that is chosen by typing, or a value that is being typed."""
    top: int = 0
    """First row of the list that is on the screen."""

    @property
    def item(self) -> Item:
        """The setting that the keys mean."""
        return self.items[self.at]

    def text(self, item: Item) -> str:
        """What stands in a setting now."""
        return self.typed.get(item.setting.path, item.written)

    def touched(self, item: Item) -> bool:
        """Something else than before stands there."""
        return self.text(item) != item.written


def data_facts(reader: Recording, run: RunInfo) -> Facts | None:
    """What a recording knows of its data and their name does not tell; None where the name tells all.

    Raises:
        RecordingError: the samples are damaged.
    """
    if run.config["data"]["source"] in BUILTIN_DATA:
        return None
    meta: Mapping[str, str] = getattr(reader, "meta", {})
    sizes = [meta.get(key, "") for key in ("train_samples", "validation_samples")]
    samples = sum(map(int, sizes)) if all(size.isdecimal() for size in sizes) else None
    dataset = reader.dataset
    return Facts(samples, reader.task, None if dataset is None else dataset.x.shape[1:])


def opened(origin: Origin) -> Form:
    """The form as it opens: nothing is changed."""
    found = {setting.path: setting for setting in _shown(origin.run.config)}
    common = [Item(found[path], "") for path in COMMON if path in found]
    rest = [Item(setting, _table(path)) for path, setting in found.items() if path not in COMMON]
    rest.sort(key=lambda item: ORDER.index(item.group))  # stable: within a table as the schema has them
    return Form(origin, (*common, *rest))


def _shown(config: Mapping[str, Any]) -> list[Setting]:
    """The settings of a run: with a patience where it has no early stopping, of the lists of layers the one used."""
    shown: list[Setting] = []
    for setting in settings(config):
        if setting.path in ("network.layer", "network.hidden") and setting.value is None:
            continue
        if setting.path == STOPPING:
            setting = Setting(PATIENCE, None, f"{setting.description} {_(NO_PATIENCE)}")
        elif setting.path == PATIENCE:
            setting = replace(setting, description=f"{setting.description} {_(NO_PATIENCE)}")
        shown.append(setting)
    return shown


def _table(path: str) -> str:
    return next(table for table, _heading in GROUPS if table and path.startswith((f"{table}.", f"{table}[")))


def heading(group: str) -> str:
    """What stands above the settings of a table."""
    return _(dict(GROUPS)[group])


def move(form: Form, by: int) -> Form:
    """To another setting; the ends are walls."""
    return replace(form, at=min(max(form.at + by, 0), len(form.items) - 1), begun="")


def turn(form: Form, by: int) -> Form:
    """To the next choice of a setting that has some; the last one is followed by the first."""
    choices = form.item.choices
    if not choices:
        return form
    text = form.text(form.item)
    at = choices.index(text) + by if text in choices else 0
    return _typed(form, choices[at % len(choices)], "")


def enter(form: Form, characters: str) -> Form:
    """Typed characters: the first one replaces what stood there; of choices they find the one that begins so."""
    choices = form.item.choices
    if choices:
        for begun in (form.begun + characters, characters):
            found = next((choice for choice in choices if choice.startswith(begun)), None)
            if found is not None:
                return _typed(form, found, begun)
        return form
    text = form.begun + characters
    return _typed(form, text, text)


def erase(form: Form) -> Form:
    """Without the last character of a typed value; a choice stands again as it was."""
    if form.item.choices and form.text(form.item) in form.item.choices:
        return restore(form)
    text = form.text(form.item)[:-1]
    return _typed(form, text, text)


def restore(form: Form) -> Form:
    """The setting as it is in the parent."""
    typed = {path: text for path, text in form.typed.items() if path != form.item.setting.path}
    return replace(form, typed=typed, begun="")


def _typed(form: Form, text: str, begun: str) -> Form:
    return replace(form, typed={**form.typed, form.item.setting.path: text}, begun=begun)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the fork may be as it is written, and what it would be."""

    changes: tuple[tuple[str, Any], ...] = ()
    """Key paths and values, as the trainer takes them."""
    differences: tuple[Change, ...] = ()
    """What is different in the fork; of no meaning where something is wrong."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """By key path of the setting that they stand beside."""
    others: tuple[str, ...] = ()
    """Problems of no setting in the form."""
    structural: bool = False
    carried: Carried | None = None
    """Names of what is kept and what begins anew, where the structure changes and the shapes are known."""
    averages: bool = True
    """The optimizer goes on with its averages."""
    patience: bool = True
    """Early stopping goes on counting."""

    @property
    def valid(self) -> bool:
        return not self.errors and not self.others


def judge(form: Form) -> Verdict:
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
        return Verdict(tuple(changes), (), errors, tuple(others))
    if form.origin.epoch >= after.training.epochs:
        sentence = _("the fork begins at epoch {epoch:g} and would be over at once: give it more epochs")
        errors["training.epochs"] = sentence.format(epoch=form.origin.epoch)
    before = RunConfig.model_validate(_frozen(form.origin.run.config))
    afresh = structural(before, after)
    optimizers = (before.training.optimizer, after.training.optimizer)
    rules = [None if rule is None else (rule.monitor, rule.mode) for rule in (_rule(before), _rule(after))]
    facts = form.origin.facts or facts_of(before.data)
    return Verdict(
        tuple(changes),
        differences,
        errors,
        (),
        afresh,
        carried(before, after, facts.shape) if afresh else None,
        optimizers[0] == optimizers[1] or set(optimizers) <= set(SAME_AVERAGES),
        not afresh and rules[0] == rules[1],
    )


def _rule(config: RunConfig) -> Any:
    return config.training.early_stopping


def _value(path: str, text: str) -> Any:
    """What was typed, read as ``--set`` reads it.

    Raises:
        UsageError: it is no value.
    """
    if not text.strip():
        raise UsageError(_("a value is missing; del brings back the parent's"))
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


def _frozen(value: Any) -> Any:
    """Lists as tuples, all the way down, as the models want them."""
    if isinstance(value, Mapping):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
