"""Models the form of a fork: the settings that may differ, and those changed so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bntui.recording.history import RunInfo
from bntui.scenario.checks import Facts
from bntui.scenario.fork import Setting, settings
from bntui.scenario.sources import BUILTIN_DATA
from bntui.text.language import N_, _
from bntui.viewer.fork.kinds import kind_of
from bntui.viewer.view_state import Recording

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
EPOCHS: Final = "training.epochs"
STOPPING: Final = "training.early_stopping"
PATIENCE: Final = "training.early_stopping.patience"
NO_PATIENCE: Final = N_("none turns early stopping off; a number turns it on.")


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
class ForkForm:
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
    proposed: str = ""
    """Epochs that are proposed where the parent had no more of them."""
    halted: bool = False
    """It was to start, and something is wrong: the keys mean the first thing that is."""

    @property
    def item(self) -> Item:
        """The setting that the keys mean."""
        return self.items[self.at]

    @property
    def proposes(self) -> bool:
        """The keys mean the epochs, and those that were proposed stand there."""
        return bool(self.proposed) and self.item.setting.path == EPOCHS and self.text(self.item) == self.proposed

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


def opened(origin: Origin) -> ForkForm:
    """The form as it opens: nothing is changed."""
    found = {setting.path: setting for setting in _shown(origin.run.config)}
    common = [Item(found[path], "") for path in COMMON if path in found]
    rest = [Item(setting, _table(path)) for path, setting in found.items() if path not in COMMON]
    rest.sort(key=lambda item: ORDER.index(item.group))  # stable: within a table as the schema has them
    return _proposing(ForkForm(origin, (*common, *rest)))


def _proposing(form: ForkForm) -> ForkForm:
    """With twice the epochs where a fork would be over at once, and the keys at them."""
    epochs = int(form.origin.run.config["training"]["epochs"])
    if form.origin.epoch < epochs:
        return form
    at = next(number for number, item in enumerate(form.items) if item.setting.path == EPOCHS)
    more = str(2 * epochs)
    return replace(form, at=at, typed={EPOCHS: more}, proposed=more)


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


def move(form: ForkForm, by: int) -> ForkForm:
    """To another setting; the ends are walls."""
    return replace(form, at=min(max(form.at + by, 0), len(form.items) - 1), begun="", halted=False)


def halt(form: ForkForm, wrong: Collection[str]) -> ForkForm:
    """It cannot start: to the first setting of those that are wrong, by their key paths, if there are any."""
    first = (number for number, item in enumerate(form.items) if item.setting.path in wrong)
    return replace(form, at=next(first, form.at), begun="", halted=True)


def turn(form: ForkForm, by: int) -> ForkForm:
    """To the next choice of a setting that has some; the last one is followed by the first."""
    choices = form.item.choices
    if not choices:
        return form
    text = form.text(form.item)
    at = choices.index(text) + by if text in choices else 0
    return _typed(form, choices[at % len(choices)], "")


def enter(form: ForkForm, characters: str) -> ForkForm:
    """Typed characters: the first one replaces what stood there; of choices they find the one that begins so.

    What no number can begin with does not get where only a number may stand.
    """
    choices = form.item.choices
    if choices:
        for begun in (form.begun + characters, characters):
            found = next((choice for choice in choices if choice.startswith(begun)), None)
            if found is not None:
                return _typed(form, found, begun)
        return form
    text = form.begun + characters
    return _typed(form, text, text) if kind_of(form.item.setting.path).begins(text) else form


def erase(form: ForkForm) -> ForkForm:
    """Without the last character of a typed value; a choice stands again as it was."""
    if form.item.choices and form.text(form.item) in form.item.choices:
        return restore(form)
    text = form.text(form.item)[:-1]
    return _typed(form, text, text)


def restore(form: ForkForm) -> ForkForm:
    """The setting as it is in the parent."""
    typed = {path: text for path, text in form.typed.items() if path != form.item.setting.path}
    return replace(form, typed=typed, begun="", halted=False)


def _typed(form: ForkForm, text: str, begun: str) -> ForkForm:
    return replace(form, typed={**form.typed, form.item.setting.path: text}, begun=begun, halted=False)
