"""Writes a JSON object for each row of a run, with the names of ``bntui show --json``.

Numbers that are not finite are the strings NaN, Infinity, and -Infinity.  A row without a keyframe has only scalars.
In a folder, a second file has an object for each row of the table ``seeds``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bntui.drafts import Drafts
from bntui.export.figures import ExportedFigure, chosen
from bntui.export.request import Request, Tell
from bntui.export.seeds import seeds_table
from bntui.export.selected import selected
from bntui.recording.as_json import plain
from bntui.recording.history import LayerInfo
from bntui.recording.reader import Reader
from bntui.text.language import ngettext


def write(reader: Reader, request: Request, drafts: Drafts, tell: Tell) -> list[str]:
    """Write one file with the rows of all runs."""
    figures = chosen(request.quantities)
    runs = selected(reader, request)
    path = request.file("keyframes", ".jsonl")
    done, total = 0, sum(len(one.rows) for one in runs)
    with drafts.new(path).open("w", encoding="ascii") as file:
        for one in runs:
            frames = one.keyframes()
            for row in one.scalars():
                place = {"run": one.info.name, "run_number": one.info.index}
                told = {"step": row.figures["step"], "epoch": row.figures["epoch"], "epoch_end": row.epoch_end}
                measured = next(frames) if row.has_frame else row.figures
                record = plain({**place, **told, **_record(measured, one.info.layers, figures)})
                file.write(json.dumps(record, allow_nan=False) + "\n")  # json.dump is several times slower
                done += 1
                tell(done, total)
    seeds = seeds_table(runs, request.epochs, [one.name for one in figures]) if request.folder else None
    if seeds is None:
        return [_said(path, total)]
    beside = request.file(seeds.name, ".jsonl")
    with drafts.new(beside).open("w", encoding="ascii") as file:
        for cells in seeds.rows:
            file.write(json.dumps(plain(dict(zip(seeds.columns, cells, strict=True))), allow_nan=False) + "\n")
    return [_said(path, total), _said(beside, seeds.total)]


def _said(path: object, count: int) -> str:
    sentence = ngettext("{path}: {count} JSON object", "{path}: {count} JSON objects", count)
    return sentence.format(path=path, count=f"{count:,}")


def _record(measured: Any, infos: Sequence[LayerInfo], figures: Sequence[ExportedFigure]) -> dict[str, Any]:
    """The figures of a keyframe, or the scalars of a row that has none."""
    scalars_only = isinstance(measured, dict)
    record = _nested(measured, [one for one in figures if not one.of_layer and not (scalars_only and one.is_array)])
    layers = () if scalars_only else measured.layers
    of_layer = [one for one in figures if one.of_layer]
    if of_layer:
        record["layers"] = [
            {"name": layer.name, **_nested(layer, of_layer), **dict.fromkeys(_never(info, of_layer))}
            for info, layer in zip(infos, layers, strict=not scalars_only)
        ]
    return record


def _never(info: LayerInfo, figures: Sequence[ExportedFigure]) -> list[str]:
    """The figures that were never measured in a layer; they are null, as in the tables, not NaN."""
    return [figure.name for figure in figures if figure.path[0] in info.absent]


def _nested(part: Any, figures: Sequence[ExportedFigure]) -> dict[str, Any]:
    """The figures of a part, grouped as their names say; a group of which there is nothing is null."""
    record: dict[str, Any] = {}
    for figure in figures:
        *groups, name = figure.name.split(".")
        if figure.has_no_group(part):
            record[groups[0]] = None
            continue
        inner = record
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[name] = figure.of(part)
    return record
