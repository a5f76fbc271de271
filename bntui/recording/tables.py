"""Declares the kind of each column, and checks rows against it as they are read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from bntui.recording.kinds import EPOCH, FINITE, LARGEST, Blob, Kind, Maybe, Number, OneOf, Text, Whole
from bntui.recording.schema import FIGURES
from bntui.recording.sentences import EVENT_KINDS
from bntui.text.language import _

MOST_RUNS: Final = 256
MOST_LAYERS: Final = 1000
MOST_EVENTS: Final = 100_000
LONGEST_REASON: Final = 10_000
"""Characters of the reason why a seed has failed."""

LONG: Final = Text(4_000_000)
"""JSON, or the text of a scenario."""
DIGEST: Final = Blob(64)
KINDS: Final[Mapping[type, Kind]] = {float: Maybe(Number()), int: Whole(), bool: Whole(0, 1), str: Text()}
"""Kind of a column of each type: NULL stands for NaN, and diverged runs have infinite values."""
RUN: Final = Whole(0, MOST_RUNS - 1)
ID: Final = Whole(1, LARGEST)
FAILED: Final = "failed"
SEED_ENDINGS: Final = (*(kind for kind, one in EVENT_KINDS.items() if one.ends == "run"), FAILED)
"""How the training of a run with another seed ends."""

COLUMNS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "meta": {"key": Text(), "value": LONG},
    "run": {
        "run": RUN, "name": Text(shortest=1), "config": LONG, "layers": LONG, "steps_per_epoch": Whole(1),
        "device": Text(), "scaling": Blob(), "fork": Maybe(LONG), "budget": Number(0), "stride": Whole(1),
        "digest": DIGEST,
    },
    "keyframe": {
        "id": ID, "run": RUN, "step": Whole(), "epoch": EPOCH, "epoch_end": Whole(0, 1),
        **{name: KINDS[kind] for name, kind in FIGURES.items()},
        "lr": Maybe(FINITE),  # a setting, so it does not diverge
        "layers": Maybe(Blob()), "digest": DIGEST,
    },
    "measures": {"id": ID, "block": Blob()},
    "evidence": {"id": ID, "block": Blob(), "digest": DIGEST},
    "event": {
        "id": ID, "run": RUN, "step": Whole(), "epoch": EPOCH, "kind": Text(100),
        "message": Text(10_000), "arguments": LONG, "digest": DIGEST,
    },
    "agenda": {"id": ID, "text": LONG},
    "checkpoint": {"run": RUN, "name": Text(), "step": Whole(), "block": Blob(), "digest": DIGEST},
    "data": {"name": Text(), "block": Maybe(Blob()), "source": Text(10_000), "digest": DIGEST},
    "seed": {
        "id": ID, "run": RUN, "seed": Whole(0, 2**63 - 1), "first": Whole(), "block": Blob(),
        "ending": Maybe(OneOf(SEED_ENDINGS)), "epoch": Maybe(EPOCH), "reason": Maybe(Text(LONGEST_REASON)),
        "ratio": Maybe(Number(0)), "digest": DIGEST,
    },
}  # fmt: skip
"""Kinds of all columns of all formats."""

CHUNK: Final = 512
"""Rows that are read and checked at a time; rows with a block are read one at a time."""


def rows(
    database: sqlite3.Connection, query: str, parameters: Sequence[Any] = (), *, of: str, joined: str = ""
) -> Iterator[sqlite3.Row]:
    """Rows of a query, each cell checked against the kind of its column.

    Args:
        of: the table.
        joined: a table in a LEFT JOIN, whose columns are NULL if it has no matching row.

    Raises:
        ValueError: a cell is not of its kind; the message names the table, row and column.
    """
    cursor = database.execute(query, parameters)
    cursor.row_factory = sqlite3.Row
    kinds = _kinds(tuple(column[0] for column in cursor.description), of, joined)
    size = 1 if any(name in kinds for name in ("block", "scaling")) else CHUNK
    while chunk := cursor.fetchmany(size):
        check(chunk, of, kinds)
        yield from chunk


def one(
    database: sqlite3.Connection, query: str, parameters: Sequence[Any] = (), *, of: str, joined: str = ""
) -> sqlite3.Row:
    """The first row of a query, checked.

    Raises:
        ValueError: a cell is not of its kind, or the query has no rows.
    """
    found = next(rows(database, query, parameters, of=of, joined=joined), None)
    if found is None:
        raise ValueError(_("a row is missing in the table {table}").format(table=of))
    return found


def check(chunk: Sequence[Sequence[Any]], table: str, kinds: Mapping[str, Kind]) -> None:
    """Raise ValueError for the first cell that is not of the kind of its column."""
    for (name, kind), values in zip(kinds.items(), zip(*chunk, strict=True), strict=True):
        if not kind.all_fit(values):
            names = list(kinds)
            for row, value in zip(chunk, values, strict=True):
                for problem in kind.bad(value, _place(table, dict(zip(names, row, strict=True)), name)):
                    raise problem


@lru_cache(maxsize=64)
def _kinds(names: tuple[str, ...], table: str, joined: str) -> Mapping[str, Kind]:
    own, other = COLUMNS[table], COLUMNS.get(joined, {})
    kinds: dict[str, Kind] = {}
    for name in names:
        assert name not in kinds, name
        kinds[name] = own[name] if name in own else Maybe(other[name])
    return kinds


def _place(table: str, row: Mapping[str, Any], column: str) -> str:
    keys = ", ".join(f"{key} {row[key]}" for key in ("id", "run", "step") if type(row.get(key)) is int)
    place = _("{column} in the table {table} ({keys})") if keys else _("{column} in the table {table}")
    return place.format(column=column, table=table, keys=keys)
