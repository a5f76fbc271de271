"""Writes tidy tables: ``curves`` with a row per run and keyframe, ``layers`` with a row per run, keyframe, and layer.

Where runs were trained with other seeds, ``seeds`` has a row per run, seed, and epoch.

A cell is empty where there is no such figure, and says ``NaN`` or ``inf`` where the figure is not finite.  Numbers are
written so that reading them gives the same bits.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from bntui.drafts import Drafts
from bntui.errors import UsageError
from bntui.export.export_table import Columns, ExportTable, Row
from bntui.export.figures import ExportedFigure, chosen, split
from bntui.export.request import Request, Tell
from bntui.export.seeds import seeds_table
from bntui.export.selected import Selected, selected
from bntui.recording.reader import Reader
from bntui.text.language import _, ngettext

BATCH: Final = 2000
"""Rows that are written at a time."""
WriteRows = Callable[[Sequence[Row]], object]


def write_csv(reader: Reader, request: Request, drafts: Drafts, tell: Tell) -> list[str]:
    """Write the tables as CSV in UTF-8, with a header."""
    return _write(reader, request, drafts, tell, ".csv", _csv)


def write_parquet(reader: Reader, request: Request, drafts: Drafts, tell: Tell) -> list[str]:
    """Write the tables as Parquet; a figure that there is not is null, and NaN stays NaN."""
    return _write(reader, request, drafts, tell, ".parquet", _parquet)


def _write(
    reader: Reader, request: Request, drafts: Drafts, tell: Tell, suffix: str,
    opened: Callable[[Path, Columns], AbstractContextManager[WriteRows]],
) -> list[str]:  # fmt: skip
    found = tables_of(selected(reader, request), request)
    tables = found if request.folder else found[:1]
    done, total, said = 0, sum(table.total for table in tables), []
    for table in tables:
        path = request.file(table.name, suffix)
        with opened(drafts.new(path), table.columns) as write:
            for rows in _batched(table.rows):
                write(rows)
                tell(done := done + len(rows), total)
        said.append(_sentence(path, table))
    layers = [table for table in found[len(tables) :] if table.name == "layers"]
    if request.quantities and layers:
        left = _("{path}: without the table {table}, which has some of --quantities; write a folder, or use --table")
        said.append(left.format(path=request.target, table=layers[0].name))
    return said


def _batched(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def _sentence(path: Path, table: ExportTable) -> str:
    counted = ngettext("{count} row", "{count} rows", table.total).format(count=f"{table.total:,}")
    return _("{path}: {table}, {rows}, {columns} columns").format(
        path=path, table=table.name, rows=counted, columns=len(table.columns)
    )


def tables_of(runs: Sequence[Selected], request: Request) -> list[ExportTable]:
    """The tables that a folder gets; a file holds the first of them.

    Raises:
        UsageError: the table has none of the figures, or no other seeds are recorded.
    """
    of_keyframe, of_layer, _arrays = split(chosen(request.quantities))
    made = (
        _curves(runs, of_keyframe) if of_keyframe else None,
        _layers(runs, of_layer) if of_layer else None,
        seeds_table(runs, request.epochs, [figure.name for figure in of_keyframe]),
    )
    found = [table for table in made if table is not None and request.table in ("", table.name)]
    if not found and request.table == "seeds" and not any(one.reader.seeds(one.info.index) for one in runs):
        raise UsageError(
            _("--table seeds: no other seeds are recorded; train them with bntui run --seeds N, or the key b")
        )
    if not found:
        sentence = _("--quantities {patterns}: no column of a table; arrays are written into .npz and .jsonl")
        if of_keyframe or of_layer:
            sentence = _("--quantities {patterns}: no column of --table {table}; leave it out, or name another one")
        raise UsageError(sentence.format(patterns=",".join(request.quantities), table=request.table))
    return found


def _curves(runs: Sequence[Selected], figures: Sequence[ExportedFigure]) -> ExportTable:
    def rows() -> Iterator[Row]:
        for one in runs:
            for row in one.scalars():
                place = (one.info.name, one.info.index, row.figures["step"], row.figures["epoch"])
                values = (figure.of(row.figures) for figure in figures)
                yield (*place, row.epoch_end, row.has_frame, *values)

    columns = {**_PLACE, "epoch_end": bool, "keyframe": bool, **{one.name: one.type for one in figures}}
    return ExportTable("curves", columns, rows(), sum(len(one.rows) for one in runs))


def _layers(runs: Sequence[Selected], figures: Sequence[ExportedFigure]) -> ExportTable:
    def rows() -> Iterator[Row]:
        for one in runs:
            for frame in one.keyframes():
                place = (one.info.name, one.info.index, frame.step, frame.epoch)
                for number, (info, layer) in enumerate(zip(one.info.layers, frame.layers, strict=True)):
                    yield (*place, layer.name, number, *(figure.of_layer_in(info, layer) for figure in figures))

    columns = {**_PLACE, "layer": str, "layer_number": int, **{one.name: one.type for one in figures}}
    return ExportTable("layers", columns, rows(), sum(len(one.frames) * len(one.info.layers) for one in runs))


_PLACE: Final[Columns] = {"run": str, "run_number": int, "step": int, "epoch": float}
TABLES: Final = ("curves", "layers", "seeds")


@contextmanager
def _csv(path: Path, columns: Columns) -> Iterator[WriteRows]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        yield lambda rows: writer.writerows(map(_cells, rows))


def _cells(row: Row) -> list[str]:
    return [_cell(value) for value in row]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else repr(value)  # infinity is inf
    return str(value)


@contextmanager
def _parquet(path: Path, columns: Columns) -> Iterator[WriteRows]:
    import pyarrow
    from pyarrow import parquet

    kinds = {float: pyarrow.float64(), int: pyarrow.int64(), bool: pyarrow.bool_(), str: pyarrow.string()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])

    def write(rows: Sequence[Row]) -> None:
        cells = zip(*rows, strict=True) if rows else [[] for _ in columns]
        arrays = [pyarrow.array(column, kinds[kind]) for column, kind in zip(cells, columns.values(), strict=True)]
        writer.write_batch(pyarrow.record_batch(arrays, schema=schema))

    with parquet.ParquetWriter(path, schema) as writer:
        yield write
