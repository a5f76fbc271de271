"""Tests the table of measures: everything in a keyframe is stored, read back, and shown as JSON under a stable name."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

from bntui import keyframe
from bntui.cli import obey
from bntui.keyframe import LAYER_COLUMNS, MEASURES, Keyframe
from bntui.measures import Kept, declarations, table
from bntui.recording.codec import unpack_arrays
from bntui.recording.reader import Reader
from bntui.watching.record import record
from tests.fuzz.recording_seeds import as_format_2
from tests.test_session import train
from tools.list_measures import PAGE, written

FORMAT_1 = Path(__file__).parent / "data" / "format-1.bntui"
MOONS = """
title = "Moons"
record = { shift = true }
[data]
source = "moons"
samples = 120
batch_size = 24
[network]
hidden = [6, 5]
norm = "batch"
dropout = 0.3
[training]
epochs = 3
[training.early_stopping]
patience = 1
"""
SINE = """
title = "Sine"
[data]
source = "sine"
samples = 60
[network]
hidden = [4]
[training]
epochs = 1
"""
GATED = """
title = "Gated"
[data]
source = "digits"
samples = 60
sequence = "rows"
[network]
activation = "tanh"
norm_recurrent = "step"
[[network.layer]]
type = "recurrent"
cell = "gru"
units = 4
norm = "batch"
[training]
epochs = 1
"""
DIVERGED = '\n[[run]]\nname = "run"\n[[run]]\nname = "too fast"\nset = { training.lr = 1e30, network.norm = "none" }\n'
SCENARIOS = {"moons": MOONS + DIVERGED, "sine": SINE, "gated": GATED}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: train(tmp_path_factory.mktemp(name), text) for name, text in SCENARIOS.items()}
    for reader in made.values():
        reader.close()
    paths = {name: reader.path for name, reader in made.items()}
    format_2 = paths["moons"].with_name("format-2.bntui")
    as_format_2(paths["moons"].read_bytes(), format_2)
    loop = paths["moons"].with_name("loop.bntui")
    with record(loop) as recorder:
        recorder.keyframe(1, 1, {"a": {"output": np.ones((2, 2))}}, loss=1.0, gradient_scale=1024.0)
    return {"format 1": FORMAT_1, "format 2": format_2, "loop": loop, **paths}


NEW = (*SCENARIOS, "loop")
KINDS = ("format 1", "format 2", *NEW)


def shown(capsys: pytest.CaptureFixture[str], path: Path, run: int, epoch: float) -> dict[str, Any]:
    """What ``bntui show --json`` prints."""
    with pytest.raises(SystemExit) as ended:
        obey(["show", str(path), "--run", str(run), "--epoch", str(epoch), "--json"])
    assert not ended.value.code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def frames(path: Path) -> Iterator[Keyframe]:
    """All keyframes of all runs."""
    reader = Reader(path)
    for run in reader.runs:
        history = reader.history(run.index)
        yield from (reader.keyframe(run.index, int(row)) for row in np.flatnonzero(history.has_frame))
    reader.close()


# --- the oracle: dataclasses.fields, and the two places where JSON has other names ---

Place = tuple[str | int, ...]
"""Names of fields and numbers of layers."""
ELSEWHERE: dict[Place, Place] = {("run",): ("run_number",), ("batch_indices",): ("batch", "indices")}


def leaves(part: Any, path: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Path and value of everything in a keyframe that is no group, whatever the program knows of it."""
    if is_dataclass(part):
        for field in fields(part):
            yield from leaves(getattr(part, field.name), (*path, field.name))
    elif isinstance(part, tuple):
        for at, one in enumerate(part):
            yield from leaves(one, (*path, at))
    else:
        yield path, part


def named(path: Place) -> str:
    """The path of a figure that every layer has: without the layer's number."""
    return ".".join(step for step in path if isinstance(step, str))


def absent(value: Any) -> bool:
    """Whether a keyframe has no such figure."""
    return value is None or (value == "" if isinstance(value, str) else bool(np.isnan(value).all()))


def as_number(value: Any) -> Any:
    """JSON's values, or the lists of them, with the three words for numbers that are not finite read as numbers."""
    if isinstance(value, list):
        return [as_number(one) for one in value]
    words = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    return words.get(value, value) if isinstance(value, str) else value


def agree(value: Any, found: Any) -> bool:
    """The same value in every bit, NaN included, and of the same kind."""
    if value is None or isinstance(value, str):
        return bool(found == value)
    told, kept = np.array(as_number(found)), np.array(value)
    kinds = {kept.dtype.kind, told.dtype.kind}
    if told.size and kinds not in ({"f"}, {"b"}, {"i"}, {"u", "i"}):
        return False
    return np.array_equal(kept.astype(np.float64), told.astype(np.float64).reshape(kept.shape), equal_nan=True)


def never_measured(path: Path) -> set[tuple[int, int, str]]:
    """Run, number of the layer, and name of the figures that a loop or an import never has of it."""
    with closing(sqlite3.connect(path)) as db:
        runs = db.execute("SELECT run, layers FROM run").fetchall()
    return {
        (run, at, name)
        for run, layers in runs
        for at, layer in enumerate(json.loads(layers))
        for name in layer.get("absent", ())
    }


@pytest.mark.parametrize("kind", KINDS)
def test_show_has_every_figure_of_every_keyframe(
    recordings: dict[str, Path], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    never = never_measured(recordings[kind])
    for frame in frames(recordings[kind]):
        record = shown(capsys, recordings[kind], frame.run, frame.epoch)
        for path, value in leaves(frame):
            found: Any = record
            for step in ELSEWHERE.get(path, path):
                found = found[step]
            known = (frame.run, *path[1:]) not in never
            assert agree(value if known else None, found), (frame.step, path, value, found)


def test_the_recordings_have_something_in_every_field(recordings: dict[str, Path]) -> None:
    met: set[str] = set()
    for kind in NEW:
        for frame in frames(recordings[kind]):
            met |= {named(path) for path, value in leaves(frame) if not absent(value)}
    assert met == {".".join(one.path) for one in MEASURES if one.declared.kept.place != "group"}


def test_a_difference_would_be_found() -> None:
    assert agree(np.array([0.1, np.nan], np.float32), [0.10000000149011612, "NaN"])
    assert not agree(np.array([0.1], np.float32), [0.1])
    assert not agree(np.array([True]), [1])
    assert not agree(1.0, 1)
    assert not agree(math.inf, "-Infinity")


def test_the_keys_that_programs_know_stay(recordings: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the first release, written down here once: nothing is renamed."""
    record = shown(capsys, recordings["moons"], 0, 1)
    assert record.keys() >= {
        "run", "epoch", "step", "lr", "batch_loss", "train_loss", "val_loss", "train_accuracy", "val_accuracy",
        "wall_time", "weights_digest", "batch", "task", "classes", "layers", "early_stopping",
    }  # fmt: skip
    assert (record["run"], record["task"], record["classes"]) == ("run", "classification", 2)
    assert len(record["batch"]["indices"]) == 24
    assert record["early_stopping"].keys() >= {
        "monitor", "best", "best_epoch", "wait", "patience", "stopped", "reason"
    }  # fmt: skip
    layer = record["layers"][0]
    assert layer.keys() >= {
        "name", "kind", "input", "pre_norm", "normalized", "output", "weight_norm", "weight_gradient_norm",
        "activation_gradient_norm", "update_ratio", "dead_fraction", "saturated_fraction", "batch_norm", "dropout",
    }  # fmt: skip
    assert layer["normalized"].keys() >= {"mean", "std", "p15", "p50", "p85", "min", "max"}
    assert layer["batch_norm"].keys() >= {
        "batch_mean", "batch_var", "running_mean", "running_var", "gamma", "beta", "eps", "gamma_gradient",
        "beta_gradient",
    }  # fmt: skip
    assert layer["dropout"].keys() >= {"p", "kept_fraction"}
    assert record["layers"][-1]["normalized"] is record["layers"][-1]["dropout"] is None


def test_show_has_the_grid_that_predictions_are_made_on(
    recordings: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    plane = shown(capsys, recordings["moons"], 0, 1)["predictions"]
    assert np.shape(plane["values"]) == np.shape(plane["classes"]) == tuple(len(axis) for axis in plane["grid"][::-1])
    curve = shown(capsys, recordings["sine"], 0, 1)["predictions"]
    assert curve["classes"] is None
    assert np.shape(curve["values"]) == (len(curve["grid"][0]), 1)
    assert shown(capsys, recordings["gated"], 0, 1)["predictions"] is None


# --- the file ---


@pytest.mark.parametrize("kind", KINDS)
def test_show_has_every_column_of_the_file(
    recordings: dict[str, Path], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    never = never_measured(recordings[kind])
    with sqlite3.connect(recordings[kind]) as db:
        db.row_factory = sqlite3.Row
        rows = db.execute("SELECT * FROM keyframe WHERE layers IS NOT NULL").fetchall()
    for row in rows:
        record = shown(capsys, recordings[kind], row["run"], row["epoch"])
        record |= {"run": record["run_number"]} | (record["early_stopping"] or {})
        for column in set(row.keys()) - {"id", "layers", "digest"}:
            if column in record:
                assert agree(math.nan if row[column] is None else row[column], _plain(record[column])), column
            else:
                assert column in {"best", "best_epoch", "wait", "stopped", "reason"}
                assert record["early_stopping"] is None
        kept = np.frombuffer(row["layers"]).reshape(len(record["layers"]), -1)
        for at, (layer, figures) in enumerate(zip(record["layers"], kept, strict=True)):
            for value, name in zip(figures.tolist(), LAYER_COLUMNS, strict=False):
                found = layer
                for step in name.split("."):
                    found = math.nan if found is None else found if isinstance(found, float) else found[step]
                known = (row["run"], at, name) not in never
                assert agree(value if known else None, found), (layer["name"], name)


def _plain(value: Any) -> Any:
    """SQLite has no truth values."""
    return int(value) if isinstance(value, bool) else value


def test_the_order_of_columns_is_part_of_the_format() -> None:
    statistics = ("mean", "std", "p15", "p50", "p85", "min", "max")
    written = (
        *(f"{quantity}.{name}" for quantity in ("input", "pre_norm", "normalized", "output") for name in statistics),
        "weight_norm", "weight_gradient_norm", "activation_gradient_norm", "update_ratio", "dead_fraction",
        "saturated_fraction", "dropout.kept_fraction", "unit_p15", "unit_p50", "unit_p85", "gradient_shift",
    )  # fmt: skip
    assert written == LAYER_COLUMNS
    assert keyframe.QUANTITIES == ("input", "pre_norm", "normalized", "output")
    assert statistics == keyframe.STATISTICS
    assert keyframe.UNIT_STATISTICS == ("unit_p15", "unit_p50", "unit_p85")


def test_a_block_holds_the_arrays_that_are_declared(recordings: dict[str, Path]) -> None:
    names: set[str] = set()
    for kind in SCENARIOS:
        with sqlite3.connect(recordings[kind]) as db:
            blocks = [block for (block,) in db.execute("SELECT block FROM measures")]
        names |= {name.lstrip("0123456789").lstrip(".") for block in blocks for name in unpack_arrays(block)}
    assert names - {"mask_shape"} == {one.declared.kept.array for one in MEASURES} - {""}


@pytest.mark.parametrize("kind", KINDS)
def test_every_shape_is_as_declared(recordings: dict[str, Path], kind: str) -> None:
    declared = {".".join(one.path): one.declared.kept.shape for one in MEASURES}
    for frame in frames(recordings[kind]):
        lengths: dict[tuple[object, ...], int] = {}
        for path, value in leaves(frame):
            shape = declared[named(path)]
            if value is None:
                continue
            axes = [one.split(" × ") for one in shape.split(" or ") if shape]
            assert np.ndim(value) in ([len(one) for one in axes] or [0]), path
            chosen = next((one for one in axes if len(one) == np.ndim(value)), [])
            for name, length in zip(chosen, np.shape(value), strict=True):
                owner = path[:-1] if name != "bins" else ()
                assert lengths.setdefault((owner, name), length) == length, (path, name)


def test_what_came_later_is_missing_in_an_older_recording_and_nothing_else_is() -> None:
    there = {named(path) for frame in frames(FORMAT_1) for path, value in leaves(frame) if not absent(value)}
    figures = [one for one in MEASURES if one.declared.kept.place != "group"]
    missing = {one.json for one in figures if ".".join(one.path) not in there}
    elsewhere = {"layers.saturated_fraction", "early_stopping.reason"}  # it has ReLU, and was not stopped
    assert missing == elsewhere | {one.json for one in figures if one.declared.kept.since > 1}


# --- declaring a figure ---


def test_the_page_lists_every_figure(recordings: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Run ``python -m tools.list_measures`` if it does not."""
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page
    for path in keys(shown(capsys, recordings["moons"], 0, 1)):
        quantity = re.sub(r"\.(input|pre_norm|normalized|output)\.", ".{quantity}.", path)
        quantity = "events" if quantity.startswith("events") else quantity
        beside = (
            "run",
            "state",
            "planned",
            "epoch_end",
            "task",
            "classes",
            "events",
            "seeds",
            "fork",
            "predictions.grid",
        )
        if quantity not in beside:
            assert f"| `{quantity}` |" in page
        else:
            assert f"`{quantity}`" in page


def keys(record: Any, path: str = "") -> Iterator[str]:
    """Key paths of all that is no object, nor a list of objects."""
    if isinstance(record, dict):
        for key, value in record.items():
            yield from keys(value, f"{path}.{key}" if path else key)
    elif isinstance(record, list) and record and isinstance(record[0], dict):
        yield from keys(record[0], f"{path}[]")
    else:
        yield path


@dataclass
class Part:
    share: Annotated[float, Kept("layers", since=4)]


@dataclass
class Made:
    one: Part
    other: Part | None
    parts: tuple[Part, ...]
    indices: Annotated[int, Kept("row", json="batch.indices")]


@dataclass
class Undeclared:
    loss: float


def test_a_row_for_every_field_named_by_its_place() -> None:
    rows = [(one.declared.key, one.path, one.json, one.name) for one in table(Made)]
    assert rows == [
        ("Made.one", ("one",), "one", "one"),
        ("Part.share", ("one", "share"), "one.share", "share"),
        ("Made.other", ("other",), "other", "other"),
        ("Part.share", ("other", "share"), "other.share", "share"),
        ("Made.parts", ("parts",), "parts", "parts"),
        ("Part.share", ("parts", "share"), "parts.share", "share"),
        ("Made.indices", ("indices",), "batch.indices", "batch.indices"),
    ]
    assert [one.declared.many for one in table(Made)] == [False, False, False, False, True, False, False]


def test_a_field_that_does_not_say_where_it_is_kept_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Undeclared.loss does not say where a recording keeps it"):
        declarations(Undeclared)


def test_a_figure_that_is_declared_anew_is_kept_and_shown(tmp_path: Path) -> None:
    """One field more in each place of ``bntui/keyframe.py``, and nothing else."""
    path = tmp_path / "more.bntui"
    told = subprocess.run(
        [sys.executable, "-m", "tests.declared_anew", str(path)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    record = json.loads(told.stdout)
    assert record["surprise"] == 2.5
    assert record["batch"]["ranks"] == [300 * at for at in range(len(record["batch"]["indices"]))]
    assert [layer["roughness"] for layer in record["layers"]] == [0.5 + at for at in range(len(record["layers"]))]
    assert [layer["profile"][0] for layer in record["layers"]] == list(range(len(record["layers"])))
    assert record["layers"][0]["profile"][2] == "NaN"
    with sqlite3.connect(path) as db:
        ((surprise, table, block),) = db.execute(
            "SELECT surprise, layers, block FROM keyframe JOIN measures USING (id)"
        )
    assert surprise == 2.5
    assert np.frombuffer(table).reshape(len(record["layers"]), -1)[:, -1].tolist() == [
        0.5 + at for at in range(len(record["layers"]))
    ]
    assert {"ranks", "0.profile", "1.profile"} <= set(unpack_arrays(block))
