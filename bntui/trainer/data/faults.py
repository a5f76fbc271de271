"""Collects the faulty cells of a table and reports the first ten, with the number of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bntui.errors import DataError
from bntui.text.language import _, ngettext

SHOWN: Final = 10
ENOUGH: Final = 10_000
"""Number of faults after which reading stops."""
_LONGEST_CELL: Final = 40


def shown(cell: str) -> str:
    """A cell as shown in a message: quoted, escaped and shortened."""
    return repr(cell if len(cell) <= _LONGEST_CELL else cell[: _LONGEST_CELL - 1] + "…")


def cell_fault(path: Path, line: int, column: str, what: str) -> str:
    """The sentence that says where a cell is and what is wrong with it."""
    sentence = _("{path}: row {row}, column {column}: {what}")
    return sentence.format(path=path, row=line, column=shown(column), what=what)


@dataclass(slots=True)
class Faults:
    """Collects the faulty cells of a file; a column that is mostly faulty is reported as one fault."""

    path: Path
    target: int
    """Column of the target, which cannot be left out."""
    count: int = 0
    _found: list[tuple[int, int, str]] = field(default_factory=list)
    """Line, column and sentence of the first faults in each column."""
    _by_column: dict[int, int] = field(default_factory=dict)
    _columns: dict[int, tuple[int, str, str]] = field(default_factory=dict)
    """First faulty line, name and first fault of each column."""

    def add(self, line: int, column: int, name: str, what: str) -> None:
        """Add a cell that cannot be used; ``what`` says why."""
        self.count += 1
        before = self._by_column.get(column, 0)
        self._by_column[column] = before + 1
        self._columns.setdefault(column, (line, name, what))
        if before < SHOWN:
            self._found.append((line, column, cell_fault(self.path, line, name, what)))

    def check(self, rows: int) -> None:
        """Raise DataError if there are any faults in the ``rows`` rows that were read."""
        if not self.count:
            return
        whole = {column for column, count in self._by_column.items() if column >= 0 and count > max(3, rows // 2)}
        told = [(line, text) for line, column, text in self._found if column not in whole]
        told += [(self._columns[column][0], self._whole(column)) for column in whole]
        lines = [text for _line, text in sorted(told)[:SHOWN]]
        hidden = self.count - sum(self._by_column[column] for column in whole) + len(whole) - len(lines)
        raise DataError("\n".join([*lines, *more(hidden)]))

    def _whole(self, column: int) -> str:
        line, name, what = self._columns[column]
        others = self._by_column[column] - 1
        sentence = ngettext(
            "{what} (and {count} more cell of this column)", "{what} (and {count} more cells of this column)", others
        )
        if column != self.target:
            sentence = ngettext(
                "{what} (and {count} more cell of this column; drop = [{name}] leaves it out)",
                "{what} (and {count} more cells of this column; drop = [{name}] leaves it out)",
                others,
            )
        return cell_fault(self.path, line, name, sentence.format(what=what, count=f"{others:,}", name=f'"{name[:60]}"'))


def more(hidden: int) -> Sequence[str]:
    """A last line with the number of faults that are not shown, if there are any."""
    if hidden <= 0:
        return ()
    return (ngettext("… and {count} more", "… and {count} more", hidden).format(count=f"{hidden:,}"),)
