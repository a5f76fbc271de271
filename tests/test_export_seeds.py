"""Tests the table of seeds against recordings of the same runs that have these seeds of their own."""

from __future__ import annotations

import csv
import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bntui.recording import seeds
from bntui.recording.reader import Reader
from bntui.recording.seeds import FIGURES, SeedEnd, SeedPiece
from tests.commands import bntui
from tests.honest import whole, with_seeds

SCENARIO = """
title = "x"
seed = 3
[data]
source = "digits"
batch_size = 100
[network]
hidden = [6]
[training]
optimizer = "sgd"
epochs = 3
[[run]]
name = "plain"
[[run]]
name = "one, wild"
set = { training = { lr = 1e38 } }
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seeds") / "x.bntui"
    with_seeds(path, SCENARIO, 3)
    with sqlite3.connect(path) as db:  # one that could not begin
        seeds.add(db, SeedPiece(0, 99, 0, np.zeros((len(FIGURES), 0)), SeedEnd("failed", 0.0, "no memory, it says")))
    return path


def exported(recording: Path, to: Path, *options: object, code: int = 0) -> str:
    done = bntui("export", recording, "--to", to, *options)
    assert done.returncode == code, done.stderr
    return done.stderr


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def of(rows: list[dict[str, Any]], run: int, seed: int) -> list[dict[str, Any]]:
    return [row for row in rows if int(row["run_number"]) == run and int(row["seed"]) == seed]


def test_each_seed_has_the_figures_of_a_recording_with_that_seed(recording: Path, tmp_path: Path) -> None:
    assert "seeds" in exported(recording, tmp_path / "out")
    found = rows_of(tmp_path / "out" / "seeds.csv")
    with closing(Reader(recording)) as reader:
        others = [course.seed for course in reader.seeds(1)]
    assert len(others) == 2
    for seed in others:
        whole(tmp_path / f"{seed}.bntui", SCENARIO, ("seed", seed))
        with closing(Reader(tmp_path / f"{seed}.bntui")) as alone:
            for info in alone.runs:
                history, rows = alone.history(info.index), of(found, info.index, seed)
                ends = history.epoch % 1 == 0
                assert {row["run"] for row in rows} == {info.name}
                assert [int(row["epoch"]) for row in rows] == history.epoch[ends].tolist()
                for name in FIGURES:
                    exported_ones = np.array([float(row[name]) for row in rows])
                    assert np.array_equal(exported_ones, getattr(history, name)[ends], equal_nan=True)
                (end,) = (event for event in alone.events(info.index) if event.kind in ("finished", "diverged"))
                assert {row["ending"] for row in rows} == {end.kind}
                assert {float(row["end_epoch"]) for row in rows} == {end.epoch}


def test_a_seed_that_could_not_begin_has_a_row_that_says_why(recording: Path, tmp_path: Path) -> None:
    exported(recording, tmp_path / "x.csv", "--table", "seeds")
    (row,) = of(rows_of(tmp_path / "x.csv"), 0, 99)
    assert (row["epoch"], row["val_loss"], row["ending"], row["reason"]) == ("", "", "failed", "no memory, it says")


def test_every_format_has_the_same_cells(recording: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    exported(recording, tmp_path / "a")
    exported(recording, tmp_path / "b", "--as", "parquet")
    exported(recording, tmp_path / "c", "--as", "jsonl")
    plain = pandas.read_csv(tmp_path / "a" / "seeds.csv", dtype_backend="numpy_nullable")
    packed = pandas.read_parquet(tmp_path / "b" / "seeds.parquet")
    assert list(plain.columns) == list(packed.columns)
    lines = [json.loads(line) for line in (tmp_path / "c" / "seeds.jsonl").read_text().splitlines()]
    assert len(lines) == len(plain) == len(packed)
    for name in plain.columns:
        for ours, theirs, told in zip(plain[name], packed[name], (line[name] for line in lines), strict=True):
            missing = told is None or told == "NaN"
            assert (pandas.isna(ours) and pandas.isna(theirs)) if missing else ours == theirs == _number(told)


def _number(told: Any) -> Any:
    return {"Infinity": math.inf, "-Infinity": -math.inf}.get(told, told) if isinstance(told, str) else told


def test_runs_epochs_and_figures_are_chosen_as_in_the_other_tables(recording: Path, tmp_path: Path) -> None:
    options = ("--table", "seeds", "--run", "0", "--epochs", "1..2", "--quantities", "val_*")
    exported(recording, tmp_path / "x.csv", *options)
    found = rows_of(tmp_path / "x.csv")
    assert list(found[0]) == [
        "run", "run_number", "seed", "epoch", "val_loss", "val_accuracy", "ending", "end_epoch", "reason",
        "gradient_ratio",
    ]  # fmt: skip
    assert {row["run"] for row in found} == {"plain"}
    assert [row["epoch"] for row in found if row["seed"] != "99"] == ["1", "2"] * 2
    exported(recording, tmp_path / "y.csv", "--table", "seeds", "--run", "0", "--epochs", "2")
    assert [row["epoch"] for row in rows_of(tmp_path / "y.csv") if row["seed"] != "99"] == ["2"] * 2


def test_without_other_seeds_there_is_no_table_and_asking_for_it_says_how_to_train_them(tmp_path: Path) -> None:
    whole(tmp_path / "x.bntui", SCENARIO)
    assert "seeds.csv" not in exported(tmp_path / "x.bntui", tmp_path / "out")
    assert not (tmp_path / "out" / "seeds.csv").exists()
    said = exported(tmp_path / "x.bntui", tmp_path / "x.csv", "--table", "seeds", code=2)
    assert "no other seeds are recorded" in said
    assert "--seeds N" in said
