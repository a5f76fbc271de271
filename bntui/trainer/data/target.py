"""Decides whether the target column of a table contains classes or values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from unicodedata import normalize

import numpy as np

from bntui.keyframe import IntArray, SingleArray
from bntui.recording.reading import ReadingNote
from bntui.text.language import N_, _
from bntui.trainer.data.cells import (
    COMMA,
    MISSING,
    POINT,
    complaint,
    has_leading_zero,
    has_sign,
    has_unit,
    is_date,
    is_digits,
    is_long,
    number,
)
from bntui.trainer.data.columns import ColumnPlan
from bntui.trainer.data.contents import (
    SET_TASK,
    TaskChoice,
    are_codes,
    are_whole,
    class_numbers,
    code_notes,
    fits_single,
    listed,
    not_finite,
    target_values,
    word_classes,
)
from bntui.trainer.data.faults import Faults, shown

Target = tuple[IntArray | SingleArray, tuple[str, ...], list[ReadingNote]]

ELSE_CLASSES: Final = N_('if these are classes, set data.task = "classification"')
MIXED: Final = N_("{cell} is not a number like the others; {advice}")


def target_of(
    faults: Faults, cells: Sequence[str], lines: Sequence[int], plan: ColumnPlan, mark: str, task: TaskChoice
) -> Target:
    """Targets, names of the classes (empty in regression), and notes.

    Args:
        faults: faults in the whole file, to which those of the targets are added; if there are any, no targets are
            returned.
        cells: the target column.
        lines: line number of each cell.
        plan: the columns, for messages.
        mark: decimal mark.
        task: ``data.task``.
    """
    distinct = dict.fromkeys(cells)
    numbers = {cell: number(cell, mark) for cell in distinct}
    wrong = _wrong(numbers, mark, task)
    if wrong:
        for line, cell in zip(lines, cells, strict=True):
            if cell in wrong:
                faults.add(line, plan.target, plan.target_name, wrong[cell])
    if faults.count:
        return np.empty(0, np.int64), (), []
    place = _("{path}: column {column}").format(path=faults.path, column=shown(plan.target_name))
    if any(value is None for value in numbers.values()):
        return _words(place, cells, [])
    values: np.ndarray = np.array([numbers[cell] for cell in cells], dtype=np.float64)
    long = next(filter(is_long, distinct), "") if all(map(is_digits, distinct)) else ""
    if long:
        values = np.array(list(map(int, cells)), dtype=object)
    whole = bool(long) or are_whole(values)
    if task == "regression" or (task == "auto" and not (whole and are_codes(values))):
        single, notes = target_values(values, noted=whole and task == "auto")
        return single, (), notes
    coded = next(filter(has_leading_zero, distinct), "")
    notes = code_notes(values) if task == "auto" else []
    if whole and (coded or long):
        spelled = ReadingNote("zeros" if coded else "long", {"example": shown(coded or long)})
        return _words(place, cells, [*notes, spelled])
    return *class_numbers(place, values), notes


def _wrong(numbers: dict[str, float | None], mark: str, task: TaskChoice) -> dict[str, str]:
    """Cells that cannot be targets, and why."""
    other = POINT if mark == COMMA else COMMA
    some = any(value is not None or number(cell, other) is not None for cell, value in numbers.items())
    numeric = task == "regression" or (task == "auto" and some)
    meant = task == "auto" and all(cell in MISSING or has_sign(cell) or is_date(cell) for cell in numbers)
    found = {}
    for cell, value in numbers.items():
        if value is not None:
            if (task == "regression" or abs(value) == np.inf) and not fits_single(np.array(value)):
                found[cell] = not_finite(value)
        elif cell == "" or (task != "classification" and cell in MISSING):
            found[cell] = _(complaint(cell)).format(cell=shown(cell), mark=shown(mark))
        elif meant:  # such as 5%, a quantity that would be a class
            found[cell] = f"{_(complaint(cell)).format(cell=shown(cell))}; {_(ELSE_CLASSES)}"
        elif numeric:
            sentence = complaint(cell)
            if task == "auto" and number(cell, other) is None:
                sentence = MIXED
            found[cell] = _(sentence).format(cell=shown(cell), mark=shown(mark), advice=_(SET_TASK))
    if numeric and not found:
        found = {
            cell: not_finite(value)
            for cell, value in numbers.items()
            if value is not None and not fits_single(np.array(value))
        }
    return found


def _words(place: str, cells: Sequence[str], notes: list[ReadingNote]) -> Target:
    y, classes = word_classes(place, cells)
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(" ".join(normalize("NFKC", name).casefold().split()), []).append(name)
    several = [name for names in alike.values() if len(names) > 1 for name in names]
    if several:
        notes = [*notes, ReadingNote("spellings", {"names": listed(several)})]
    if all(map(has_unit, classes)):
        notes = [*notes, ReadingNote("units", {"example": shown(classes[0])})]
    return y, classes, notes
