"""Models the form of a fork: the settings that may differ, and those changed so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from bntui.recording.history import RunHistory, RunInfo
from bntui.scenario.checks import DataFacts
from bntui.scenario.fork import Setting, settings
from bntui.scenario.sources import BUILTIN_DATA
from bntui.text.language import N_, _
from bntui.viewer.fork.kinds import kind_of
from bntui.viewer.snapshot import ViewedRecording

LONGEST: Final = 1000
"""Characters that a setting takes."""
COMMON: Final = (
    "training.lr", "network.norm", "network.dropout", "network.activation", "training.optimizer", "training.momentum",
    "training.weight_decay", "data.batch_size", "training.early_stopping.patience", "training.epochs",
)  # fmt: skip
"""The settings that are changed most often; they come first in the form, in this order."""
GROUPS: Final = (
    ("", N_("Changed most often")),
    ("data", N_("Data")),
    ("network", N_("Network")),
    ("training.early_stopping", N_("Early stopping")),
    ("training", N_("Training")),
    ("record", N_("Record")),
)
"""Tables of the scenario file with their headings; a nested table precedes the one that contains it."""
ORDER: Final = ("", "data", "network", "training", "training.early_stopping", "record")
EPOCHS: Final = "training.epochs"
STOPPING: Final = "training.early_stopping"
PATIENCE: Final = "training.early_stopping.patience"
NO_PATIENCE: Final = N_("none turns early stopping off; a number turns it on.")


@dataclass(frozen=True, slots=True)
class ForkOrigin:
    """The keyframe that a fork starts from."""

    run: RunInfo
    step: int
    epoch: float
    facts: DataFacts | None = None
    """Facts about the data; None if the data's name is enough to derive them."""
    waited: int | None = None
    """Number of epochs that early stopping had waited, if it ended the run here."""
    diverged: bool = False
    """A loss that the fork would inherit is not finite here."""
    sound: float | None = None
    """Epoch of the last keyframe from which a fork would not diverge at once, if there is one."""


@dataclass(frozen=True, slots=True)
class Item:
    """One setting in the form."""

    setting: Setting
    group: str
    """The table of the scenario file; empty for settings that are changed most often."""

    @property
    def label(self) -> str:
        """The key path, without the table in the heading."""
        return self.setting.path.removeprefix(f"{self.group}.") if self.group else self.setting.path

    @property
    def choices(self) -> tuple[str, ...]:
        """All possible values; empty if they cannot be listed."""
        if isinstance(self.setting.value, bool):
            return ("false", "true")
        return tuple(dict.fromkeys(self.setting.choices))

    @property
    def written(self) -> str:
        """The parent's value as a user would type it."""
        return written(self.setting.value)


def written(value: Any) -> str:
    """A value as typed after ``--set``: words without quotes, ``none`` for a missing value."""
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
    """The state of the form: all settings, and what was typed into them."""

    origin: ForkOrigin
    items: tuple[Item, ...]
    typed: Mapping[str, str] = field(default_factory=dict)
    """Typed text by key path, for the settings that were edited."""
    at: int = 0
    """Index of the current setting."""
    begun: str = ""
    """The typed beginning of a choice, or of a value."""
    top: int = 0
    """First visible row of the list."""
    proposed: str = ""
    """Suggested number of epochs, if the parent has completed all of its own."""
    halted: bool = False
    """The user tried to start the fork, but there are errors; the current setting is the first one with an error."""

    @property
    def item(self) -> Item:
        """The current setting."""
        return self.items[self.at]

    @property
    def proposes(self) -> bool:
        """True if the current setting is the number of epochs, and has the suggested value."""
        return bool(self.proposed) and self.item.setting.path == EPOCHS and self.text(self.item) == self.proposed

    def text(self, item: Item) -> str:
        """The current text of a setting."""
        return self.typed.get(item.setting.path, item.written)

    def touched(self, item: Item) -> bool:
        """True if a setting differs from the parent's."""
        return self.text(item) != item.written


def data_facts(reader: ViewedRecording, run: RunInfo) -> DataFacts | None:
    """Facts about a recording's data that its name does not tell; None for built-in data.

    Raises:
        RecordingError: the samples are damaged.
    """
    if run.config["data"]["source"] in BUILTIN_DATA:
        return None
    meta: Mapping[str, str] = getattr(reader, "meta", {})
    sizes = [meta.get(key, "") for key in ("train_samples", "validation_samples")]
    samples = sum(map(int, sizes)) if all(size.isdecimal() for size in sizes) else None
    dataset = reader.dataset
    return DataFacts(samples, reader.task, None if dataset is None else dataset.x.shape[1:])


def last_sound(history: RunHistory, row: int) -> int | None:
    """The last keyframe up to a row from which a fork would not diverge at once; None if there is none.

    A fork inherits the weights, and within an epoch the mean of its losses so far.
    """
    upto = slice(row + 1)
    sound = np.isfinite(history.val_loss[upto]) & (history.epoch_end[upto] | np.isfinite(history.train_loss[upto]))
    found = np.flatnonzero(sound & history.has_frame[upto])
    return int(found[-1]) if len(found) else None


def opened(origin: ForkOrigin) -> ForkForm:
    """The initial form, without changes."""
    found = {setting.path: setting for setting in _shown(origin.run.config)}
    common = [Item(found[path], "") for path in COMMON if path in found]
    rest = [Item(setting, _table(path)) for path, setting in found.items() if path not in COMMON]
    rest.sort(key=lambda item: ORDER.index(item.group))  # a stable sort keeps the schema's order within a table
    form = ForkForm(origin, (*common, *rest))
    return _proposing(form) if origin.waited is None else _at(form, PATIENCE)


def _proposing(form: ForkForm) -> ForkForm:
    """Suggest twice the epochs if the fork would be over at once, and make that the current setting."""
    epochs = int(form.origin.run.config["training"]["epochs"])
    if form.origin.epoch < epochs:
        return form
    more = str(2 * epochs)
    return replace(_at(form, EPOCHS), typed={EPOCHS: more}, proposed=more)


def _at(form: ForkForm, path: str) -> ForkForm:
    return replace(form, at=next(at for at, item in enumerate(form.items) if item.setting.path == path))


def _shown(config: Mapping[str, Any]) -> list[Setting]:
    """The settings of a run that the form shows.

    Without early stopping, its patience is added, which turns it on.  Only the list of layers in use is shown.
    """
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
    """The heading of a table's settings."""
    return _(dict(GROUPS)[group])


def move(form: ForkForm, by: int) -> ForkForm:
    """Move to another setting, stopping at the ends."""
    return replace(form, at=min(max(form.at + by, 0), len(form.items) - 1), begun="", halted=False)


def halt(form: ForkForm, wrong: Collection[str]) -> ForkForm:
    """Refuse to start, and move to the first setting in ``wrong``, which contains key paths."""
    first = (number for number, item in enumerate(form.items) if item.setting.path in wrong)
    return replace(form, at=next(first, form.at), begun="", halted=True)


def turn(form: ForkForm, by: int) -> ForkForm:
    """Select the next choice of the current setting, wrapping around."""
    choices = form.item.choices
    if not choices:
        return form
    text = form.text(form.item)
    at = choices.index(text) + by if text in choices else 0
    return _typed(form, choices[at % len(choices)], "")


def enter(form: ForkForm, characters: str) -> ForkForm:
    """Type characters into the current setting.

    The first one replaces the old value.  In a setting with choices, they select the choice that begins with them.
    Characters that cannot be part of a number are ignored in a numeric setting.
    """
    choices = form.item.choices
    if choices:
        for begun in (form.begun + characters, characters):
            found = next((choice for choice in choices if choice.startswith(begun)), None)
            if found is not None:
                return _typed(form, found, begun)
        return form
    text = (form.begun + characters)[:LONGEST]
    return _typed(form, text, text) if kind_of(form.item.setting.path).begins(text) else form


def erase(form: ForkForm) -> ForkForm:
    """Delete the last character of a typed value; a choice is reset to the parent's."""
    if form.item.choices and form.text(form.item) in form.item.choices:
        return restore(form)
    text = form.text(form.item)[:-1]
    return _typed(form, text, text)


def restore(form: ForkForm) -> ForkForm:
    """Reset the current setting to the parent's value."""
    typed = {path: text for path, text in form.typed.items() if path != form.item.setting.path}
    return replace(form, typed=typed, begun="", halted=False)


def _typed(form: ForkForm, text: str, begun: str) -> ForkForm:
    return replace(form, typed={**form.typed, form.item.setting.path: text}, begun=begun, halted=False)
