"""Adds faults of whole rows: another length, names again, totals, values where others have none."""

from __future__ import annotations

from collections.abc import Sequence

from bntui.text.language import _
from bntui.trainer.data.cells import TOTAL, is_total, is_word
from bntui.trainer.data.columns import ColumnPlan
from bntui.trainer.data.faults import Faults, shown
from bntui.trainer.data.header import Head


def refuse_filled(faults: Faults, line: int, cells: list[str], head: Head) -> None:
    """Add cells in columns that are empty in the first rows, and left out."""
    for at in sorted(head.blank):
        if cells[at]:
            what = _("{cell} is in a column without a name, which is empty above; name the column or remove the cell")
            faults.add(line, at, head.names[at], what.format(cell=shown(cells[at])))


def refuse_totals(
    faults: Faults, line: int, cells: Sequence[str], targets: Sequence[str], head: Head, plan: ColumnPlan
) -> None:
    """Refuse a last row of totals that is labeled where no number is read; elsewhere its label is no number."""
    for at, cell in enumerate(cells):
        own = at not in plan.features and at not in head.blank
        if own and is_total(cell) and (at != plan.target or targets.count(cell) == 1):
            faults.add(line, at, head.names[at], _(TOTAL).format(cell=shown(cell)))


def refuse_repeated(faults: Faults, line: int, head: Head) -> None:
    """Add a row that repeats the names."""
    what = _("repeats the names of row {first}; remove the row").format(first=head.line)
    faults.add(line, -1, head.names[0], what)


def ragged(faults: Faults, line: int, cells: list[str], head: Head) -> None:
    """Add a row of another length than the first."""
    if sum(map(bool, cells)) == 1 and is_word(text := max(cells)) and line > head.line:
        what = _("{cell} is not a row of the table; remove it, or begin it with #").format(cell=shown(text))
        faults.add(line, -1, head.names[0], what)
        return
    short = len(cells) < head.width
    place = len(cells) if short else head.width - 1
    sentence = _("is not the last cell; the row has {found} cells, row {first} has {wanted}")
    if short:
        sentence = _("is missing; the row has only {found} of the {wanted} cells of row {first}")
    what = sentence.format(found=len(cells), first=head.line, wanted=head.width)
    faults.add(line, -1, head.names[place], what)
