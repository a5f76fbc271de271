"""Decides which column of a table is the target, which are features, and which are left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unicodedata import normalize

from bntui.errors import DataError
from bntui.recording.reading import ReadingNote
from bntui.text.language import _
from bntui.text.output import clean
from bntui.trainer.data.cells import TRUTH, is_date, is_long, is_word
from bntui.trainer.data.contents import Choices, listed, nearest
from bntui.trainer.data.faults import shown
from bntui.trainer.data.header import LONGEST_NAME, Head, Row

_TARGETS: Final = frozenset({"label", "labels", "target", "targets", "class", "y", "레이블", "라벨", "정답", "목표"})
"""Names, in lower case, that a target has."""


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """The columns that are read."""

    target: int
    """Column of the target."""
    target_name: str
    features: tuple[int, ...]
    """Columns of the features."""
    names: tuple[str, ...]
    """Names of the features."""
    booleans: frozenset[int]
    """Numbers of the features that contain true and false."""
    notes: tuple[ReadingNote, ...]


def plan_of(path: Path, head: Head, rows: Sequence[Row], choices: Choices) -> ColumnPlan:
    """Decide which columns are read, and as what.

    Args:
        path: the file, for messages.
        head: names of the columns.
        rows: the first rows of the file.
        choices: the scenario's settings.

    Raises:
        DataError: a name is unknown or not unique, or no features are left.
    """
    line = rows[0][0]
    if head.width < 2:
        sentence = _("{path}: row {row}: only one column; needs features and a target, separated by , ; tab | or space")
        raise DataError(sentence.format(path=path, row=line))
    body = [cells for _line, cells in (rows[1:] if head.header else rows) if len(cells) == head.width]
    notes: list[ReadingNote] = []
    columns = [column for column in range(head.width) if column not in head.blank]
    if head.blank == {head.width - 1}:
        notes.append(ReadingNote("trailing", {}))
    elif head.blank:
        notes.append(ReadingNote("blank", {"count": f"{len(head.blank):,}"}))
    choose = _Chooser(path, line, head)
    dropped = {choose.column(name, "data.drop") for name in choices.drop}
    wanted = None if choices.features is None else [choose.column(name, "data.features") for name in choices.features]
    target = None if choices.target is None else choose.column(choices.target, "data.target")
    choose.check()
    columns = [column for column in columns if column not in dropped]
    if 0 in columns and target != 0 and wanted is None and _holds_row_names(head, body):
        columns.remove(0)
        notes.append(ReadingNote("row names", {}))
    if choices.drop:
        notes.append(ReadingNote("dropped", {"names": listed(choices.drop)}))
    if target is None:
        rest = [column for column in columns if wanted is None or column not in wanted]
        if not rest:
            sentence = _("{path}: every column is a feature or left out; name the target with data.target")
            raise DataError(sentence.format(path=path))
        target = rest[-1]
    if target in dropped or (wanted is not None and target in wanted):
        sentence = _("{path}: column {name} is the target; remove it from data.drop and data.features")
        raise DataError(sentence.format(path=path, name=shown(head.names[target])))
    features = tuple(column for column in (columns if wanted is None else wanted) if column != target)
    if not features:
        sentence = _("{path}: no features are left besides the target {target}; needs at least one column of numbers")
        raise DataError(sentence.format(path=path, target=shown(head.names[target])))
    booleans = frozenset(
        place for place, column in enumerate(features) if body and all(row[column].lower() in TRUTH for row in body)
    )
    names = tuple(head.names[column] for column in features)
    if choices.target is None and choices.features is None and (other := _other_target(names, head.names[target])):
        figures = {"name": shown(other), "target": shown(head.names[target]), "quoted": f'"{other}"'}
        notes.append(ReadingNote("other target", figures))
    long = dict.fromkeys(
        name
        for row in body
        if max(map(len, row)) > 15
        for column, name in zip(features, names, strict=True)
        if is_long(row[column])
    )
    if long:
        notes.append(ReadingNote("digits", {"names": listed(list(long))}))
    return ColumnPlan(target, head.names[target], features, names, booleans, tuple(notes))


def _other_target(features: Sequence[str], target: str) -> str | None:
    """A feature that is named like a target, where the target is not; beside an ``x``, a ``y`` is a coordinate."""
    if target.casefold() in _TARGETS:
        return None
    lower = [name.casefold() for name in features]
    found = _TARGETS - {"y"} if "x" in lower else _TARGETS
    return next((name for name, bare in zip(features, lower, strict=True) if bare in found), None)


def _holds_row_names(head: Head, body: Sequence[Sequence[str]]) -> bool:
    """True if the first column contains row names.

    In files from R, the header has no cell for them.  Otherwise they are words or dates in a column without a name.
    """
    if head.row_names:
        return True
    return 0 in head.unnamed and bool(body) and all(is_word(row[0]) or is_date(row[0]) for row in body)


class _Chooser:
    """Finds columns by name, and collects the errors in all names."""

    def __init__(self, path: Path, line: int, head: Head) -> None:
        self._path, self._line, self._head = path, line, head
        self._wrong: list[str] = []

    def column(self, name: str, key: str) -> int:
        """The number of the column with a name; without one, ``column 1`` etc. work in every language.

        Returns -1 if the name is wrong; see :meth:`check`.
        """
        names = self._head.names
        name = clean(normalize("NFC", name))[:LONGEST_NAME].strip()  # as the names of the file were read
        if name not in names and (found := re.fullmatch(r"column (\d{1,9})", name)):
            number = int(found[1])
            numbered = not self._head.header and not self._head.from_comment
            if 1 <= number <= len(names) and (numbered or number - 1 in self._head.unnamed):
                return number - 1
        if names.count(name) == 1:
            return names.index(name)
        if name in names:
            sentence = _("{path}: row {row}: several columns are named {name} ({key}); give each its own name")
            self._wrong.append(sentence.format(path=self._path, row=self._line, name=shown(name), key=key))
        else:
            sentence = _("{path}: row {row}: no column {name} ({key}){hint}; the columns are {names}")
            hint = nearest(name, names[:1000])
            self._wrong.append(
                sentence.format(
                    path=self._path, row=self._line, name=shown(name), key=key, hint=hint, names=listed(names)
                )
            )
        return -1

    def check(self) -> None:
        """Raise DataError if any name was wrong."""
        if self._wrong:
            raise DataError("\n".join(self._wrong[:10]))
