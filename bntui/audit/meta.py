"""Checks a recording's metadata against its runs, its samples, and the scenario's text."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np

from bntui.audit.ledger import Ledger, Place
from bntui.recording.dataset import RecordedData
from bntui.recording.history import RunInfo
from bntui.text.language import N_
from bntui.text.output import clean

META: Final = N_("recording metadata")
GRID: Final = N_("prediction grid")
KEPT: Final = N_("evidence kept within the budget")

VERSION: Final = re.compile(r"\d+(\.\d+)*\S*")
COUNT: Final = re.compile(r"[1-9]\d*")
FORMS: Final = {
    "torch": VERSION, "numpy": VERSION, "python": VERSION, "bntui": VERSION, "threads": COUNT, "cores": COUNT,
}  # fmt: skip
COUNTS: Final = {"classification": (48, 32), "regression": (128,)}
"""Number of grid points per axis."""
MARGIN: Final = 0.1
"""The grid extends beyond the samples by this fraction of their range, on each side."""


def _named(db: sqlite3.Connection, query: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
    """Run a query whose rows can be indexed by column name."""
    cursor = db.execute(query, parameters)
    cursor.row_factory = sqlite3.Row
    return cursor


def check_meta(ledger: Ledger, meta: Mapping[str, str], runs: Sequence[RunInfo], data: RecordedData | None) -> None:
    """Check the format of versions, the counts of samples, and the runs of the scenario."""
    place = Place()
    for name, form in FORMS.items():
        told = meta.get(name)
        ledger.hold(META, place, f"meta, {name}", told is None or bool(form.fullmatch(told)), told, form.pattern)
    ledger.hold(META, place, "meta, task", meta["task"] in COUNTS, meta["task"], ", ".join(COUNTS))
    try:
        datetime.fromisoformat(meta["created"])
    except (ValueError, LookupError):
        ledger.fail(META, place, "meta, created", meta.get("created", "-"), "ISO 8601")
    if data is not None:
        for name, count in (("train_samples", len(data.train)), ("validation_samples", len(data.validation))):
            ledger.hold(META, place, f"meta, {name}", meta.get(name, str(count)) == str(count), meta.get(name), count)
    _scenario(ledger, meta, runs)


def _scenario(ledger: Ledger, meta: Mapping[str, str], runs: Sequence[RunInfo]) -> None:
    """Check what the command line cannot change: the runs and their names, the title, the texts."""
    place = Place()
    try:
        told: dict[str, Any] = tomllib.loads(meta["scenario"])
        names = [clean(table["name"]) for table in told.get("run", ())] or ["run"]
        look_for = told.get("look_for", [])
        due = {
            "title": told["title"],
            "description": told.get("description", ""),
            "look_for": [look_for] if isinstance(look_for, str) else look_for,
            "view": told.get("view", {}),
            "tour": told.get("tour", []),
        }
        recorded = {
            "title": meta["title"],
            "description": meta.get("description", ""),
            "look_for": json.loads(meta.get("look_for", "[]")),
            "view": json.loads(meta.get("view", "{}")),
            "tour": json.loads(meta.get("tour", "[]")),
        }
    except (ValueError, LookupError, TypeError) as error:
        ledger.fail(META, place, "meta, scenario", f"{type(error).__name__}: {error}", "TOML")
        return
    own = [run.name for run in runs if run.fork is None]
    ledger.hold(META, place, "meta, scenario, run", own == names, own, names)
    for name, ours in due.items():
        ledger.hold(META, place, f"meta, {name}", recorded[name] == ours, recorded[name], ours)
    forks = [run.fork is not None for run in runs]
    ledger.hold(META, place, "run, fork", forks == sorted(forks), forks, N_("forks come last"))


def check_grid(ledger: Ledger, data: RecordedData, task: str, runs: Sequence[RunInfo]) -> None:
    """Check the axes: equal steps from a tenth below to a tenth above the samples, present where they can be drawn."""
    if not data.grid and not any(run.stages for run in runs):
        return  # format 1
    shape, place = data.x.shape[1:], Place()
    drawn = shape == (2,) and len(data.classes) <= 256 if task == "classification" else shape == (1,)
    if not ledger.hold(GRID, place, "grid", bool(data.grid) == drawn, len(data.grid), int(drawn)) or not drawn:
        return
    for number, (axis, count) in enumerate(zip(data.grid, COUNTS[task], strict=True)):
        wide = data.x[:, number].astype(np.float64)
        low, high = wide.min(), wide.max()
        margin = MARGIN * (high - low) or 1.0
        ours = np.linspace(low - margin, high + margin, count)
        near = 1e-6 * (abs(low) + abs(high) + margin)
        ledger.compare(GRID, place, f"grid, x{number + 1}", axis, ours, near)


def check_tables(ledger: Ledger, db: sqlite3.Connection, runs: Sequence[RunInfo], meta: Mapping[str, str]) -> None:
    """Check that no row refers to a missing run, that all names are known, and that the budget is the requested one."""
    place, known = Place(), range(len(runs))
    tables = {row["name"] for row in _named(db, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    columns = {row["name"] for row in _named(db, "PRAGMA table_info(run)")}
    for table in ("event", "checkpoint", "keyframe", "seed"):
        for row in _named(db, f"SELECT DISTINCT run FROM {table}") if table in tables else ():
            ledger.hold(META, place, f"{table}, run", row["run"] in known, row["run"], f"0 … {len(runs) - 1}")
    for table, names in (("checkpoint", ("final",)), ("data", ("data", "grid"))):
        for row in _named(db, f"SELECT name FROM {table}") if table in tables else ():
            ledger.hold(META, place, f"{table}, name", row["name"] in names, row["name"], ", ".join(names))
    if "data" in tables:
        sources = {row["source"] for row in _named(db, "SELECT source FROM data")}
        ledger.hold(META, place, "data, source", len(sources) <= 1, ", ".join(sorted(map(str, sources))), "1")
    if "digest" in columns:  # format 3
        ledger.hold(META, place, "meta, digest", "digest" in meta, "-", "+")
        own = sum(run.fork is None for run in runs)
        for row in _named(db, "SELECT run, budget, stride FROM run WHERE run < ? ORDER BY run", (len(runs),)):
            _budget(ledger, runs, own, row, db)


def _budget(ledger: Ledger, runs: Sequence[RunInfo], own: int, row: sqlite3.Row, db: sqlite3.Connection) -> None:
    """Check that keyframes at multiples of the stride have evidence, and that the stride grew only to save space."""
    run, place = runs[row["run"]], Place(runs[row["run"]].name)
    asked = run.config["record"]["budget"] * 1e6
    due = asked / own
    if run.fork is not None and all(path != "record.budget" for path, _before, _after in run.fork.changes):
        due = _named(db, "SELECT budget FROM run WHERE run = ?", (run.fork.run,)).fetchone()["budget"]
    elif run.fork is not None:
        due = asked
    ledger.compare(KEPT, place, "budget", row["budget"], due, 1e-9 * due)
    stride = row["stride"]
    power = isinstance(stride, int) and stride > 0 and stride & (stride - 1) == 0
    if not ledger.hold(KEPT, place, "stride", power, stride, "2^k"):
        return
    frames = _named(
        db,
        "SELECT step, length(evidence.block) AS size FROM keyframe LEFT JOIN evidence USING (id)"
        " WHERE run = ? AND layers IS NOT NULL ORDER BY step",
        (row["run"],),
    ).fetchall()
    sizes = [frame["size"] for frame in frames if frame["size"] is not None]
    if row["budget"] <= 0:
        ledger.hold(KEPT, place, "evidence", not sizes, len(sizes), 0)
        return
    for number, frame in enumerate(frames):
        too_large = number == 0 and row["budget"] < _most_bytes(run)
        kept = frame["size"] is not None or number % stride != 0 or too_large
        ledger.hold(KEPT, Place(run.name, frame["step"]), "evidence", kept, "-", f"{number} = {stride} · k")
    # the first keyframes may lack averages that the optimizer has later: three times the size is always enough
    whole = bool(frames) and frames[0]["size"] is not None
    room = whole and 3 * max(sizes, default=math.inf) * len(frames) <= row["budget"]
    ledger.hold(KEPT, place, "stride", stride == 1 or not room, stride, 1)


def _most_bytes(run: RunInfo) -> float:
    """More than the evidence of a keyframe can have: that of the first one is missing only if it exceeds the budget."""
    state = 5 * sum(layer.parameters for layer in run.layers)  # itself, and at most three averages
    # a stage before pooling, or with all gates of a cell, has at most 16 times the values of its layer
    values = sum(16 * math.prod(layer.shape) * len(layer.stages) for layer in run.layers)
    batch = int(run.config["data"]["batch_size"])
    return 4.0 * (state + batch * values) + 100_000


def check_stray(ledger: Ledger, db: sqlite3.Connection, runs: Sequence[RunInfo]) -> None:
    """Check that arrays and evidence belong to a keyframe."""
    tables = {row["name"] for row in _named(db, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in ("measures", "evidence"):
        if table not in tables:
            continue
        found = _named(db, f"SELECT run, step FROM {table} JOIN keyframe USING (id) WHERE layers IS NULL")
        for row in found.fetchall():
            name = runs[row["run"]].name if 0 <= row["run"] < len(runs) else ""
            ledger.fail(META, Place(name, row["step"]), table, "+", "-")
