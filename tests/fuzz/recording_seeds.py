"""Builds small valid recordings of every kind as starting points for the recording fuzzer.

    python -m tests.fuzz.recording_seeds FOLDER

A process of its own makes them: torch is not needed to read one, and a fuzzer's workers start without it.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bntui.recording.seeds import SeedEnd, SeedPiece
from bntui.watching.record import record
from tests.fuzz.recording_mutations import attest

if TYPE_CHECKING:
    from bntui.recording.writer import Writer

ROOT: Final = Path(__file__).parents[2]

PLANE: Final = """
title = "A plane"
seed = 3
[data]
source = "blobs"
samples = 24
scaling = "standard"
batch_size = 8
[network]
hidden = [5, 4]
activation = "relu"
dropout = 0.2
[training]
lr = 0.1
epochs = 3
early_stopping = { patience = 1, restore_best_weights = true }
[record]
shift = true
budget = 0.02
[[run]]
name = "plain"
[[run]]
name = "batch norm"
set = { network.norm = "batch" }
[[claim]]
text = "Batch normalization is better."
holds = "val_loss of batch norm < val_loss of plain"
[[claim]]
text = "Its gradients stay."
holds = "gradient_ratio of batch norm > 0.1 * gradient_ratio of plain"
[translation.ko]
title = "평면"
runs = { "plain" = "그대로" }
claim = ["배치 정규화가 낫습니다.", "기울기가 유지됩니다."]
"""
IMAGES: Final = """
title = "Images"
[data]
source = "digits"
samples = 16
scaling = "minmax"
batch_size = 6
[[network.layer]]
type = "conv"
channels = 4
pool = 4
dropout = 0.1
[[network.layer]]
type = "linear"
units = 4
norm = "batch"
[network]
norm = "group"
groups = 2
[training]
optimizer = "adam"
epochs = 1
"""
SEQUENCES: Final = """
title = "Sequences"
[data]
source = "iris"
samples = 12
scaling = "minmax"
batch_size = 6
sequence = "pixels"
[[network.layer]]
type = "recurrent"
units = 3
cell = "lstm"
[network]
norm = "batch"
norm_recurrent = "step"
[training]
epochs = 1
"""
CURVE: Final = """
title = "A curve"
[data]
source = "sine"
samples = 16
batch_size = 5
input_noise = 0.1
[network]
hidden = [4]
activation = "tanh"
norm = "layer"
[training]
lr = 0.2
epochs = 3
schedule = { kind = "cosine", warmup_epochs = 1 }
[record]
every = 2
budget = 0.0
"""
DIVERGING: Final = """
title = "Diverging"
[data]
source = "line"
samples = 12
batch_size = 4
[network]
hidden = [4, 4]
activation = "relu"
[training]
lr = 1e15
epochs = 3
"""
SCENARIOS: Final = {"plane": PLANE, "images": IMAGES, "sequences": SEQUENCES, "curve": CURVE, "diverging": DIVERGING}


def make(folder: Path) -> None:
    """Write all seeds into a folder."""
    from bntui.scenario.load import parse
    from bntui.trainer.session import Session

    for name, text in SCENARIOS.items():
        path = folder / f"{name}.bntui"
        session = Session.begin(parse(text, file=f"{name}.toml"), path)
        while not session.over:
            session.epoch(lambda: False)
        if name == "plane":
            changes: list[tuple[str, Any]] = [("training.lr", 0.05), ("training.epochs", 4)]
            session.fork(1, 6, changes)
            while not session.over:
                session.epoch(lambda: False)
            _other_seeds(session.writer)
        session.close()
        _timeless(path)
    _watched(folder / "watched.bntui")
    (folder / "format-1.bntui").write_bytes((ROOT / "tests" / "data" / "format-1.bntui").read_bytes())
    as_format_2((folder / "images.bntui").read_bytes(), folder / "format-2.bntui")


def _watched(path: Path) -> None:
    """A loop of NumPy arrays: some figures are told later, some never, and it ends early."""
    rng = np.random.default_rng(5)
    with record(path, title="A loop", epochs=9, batch_size=6, optimizer="SGD", model="Net") as recorder:
        for epoch in range(1, 4):
            a, w = rng.normal(size=(6, 4)), rng.normal(size=(4, 4))
            block: dict[str, Any] = {
                "input": a,
                "pre_activation": a,
                "output": np.maximum(a, 0),
                "weight": w,
                "activation": "relu",
            }
            late = {"gradient": w, "updated_weight": 0.9 * w} if epoch > 1 else {}
            conv: dict[str, Any] = {
                "output": rng.normal(size=(6, 2, 3, 3)),
                "weight": rng.normal(size=(2, 1, 3, 3)),
                "mask": a > 0,
            }
            norm = {"kind": "normalization", "norm": "rms", "normalized": a, "activation_gradient": a}
            layers: dict[str, dict[str, Any]] = {
                "block.0": block | late,
                "block.1": conv | {"dropout": 0.5},
                "norm": norm,
            }
            recorder.keyframe(4 * epoch - 1, epoch - 0.25, layers, loss=1 / epoch, lr=0.1)
            recorder.epoch(step=4 * epoch, val_loss=2.0 / epoch, val_accuracy=0.5)
            recorder.early_stopping(wait=epoch - 1, best=2.0, patience=2, stopped=epoch == 3)
    _timeless(path)


def _other_seeds(writer: Writer) -> None:
    """One that has ended, one that was interrupted, and one that failed."""
    figures = np.linspace(0.1, 1.0, 16).reshape(4, 4)
    writer.add_seed(SeedPiece(0, 4, 0, figures, SeedEnd("finished", 3.0, "finished after 3 epochs", 0.5)))
    writer.add_seed(SeedPiece(1, 4, 0, figures))
    writer.add_seed(SeedPiece(1, 4, 4, figures[:, :2]))
    writer.add_seed(SeedPiece(0, 5, 0, figures[:, :0], SeedEnd("failed", 0.0, "there is no data")))
    writer.plan('{"seeds": 3}')


def _timeless(path: Path) -> None:
    """Without what differs each time: when it was made, and how long it took."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        db.execute("UPDATE keyframe SET wall_time = step * 0.125")
        db.execute("UPDATE meta SET value = '2026-01-01T00:00:00+00:00' WHERE key = 'created'")
        attest(db)
        db.execute("VACUUM")


def as_format_2(block: bytes, path: Path) -> None:
    """A recording as format 2 had it: without forks, other seeds, agenda and half of the digests."""
    path.write_bytes(block)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for column in ("fork", "budget", "stride", "digest"):
            db.execute(f"ALTER TABLE run DROP COLUMN {column}")
        db.execute("ALTER TABLE event DROP COLUMN digest")
        db.execute("ALTER TABLE keyframe DROP COLUMN gradient_scale")
        db.execute("DROP TABLE agenda")
        db.execute("DROP TABLE seed")
        db.execute("DELETE FROM meta WHERE key = 'digest'")
        db.execute("PRAGMA user_version = 2")
        db.execute("VACUUM")


def made(folder: Path) -> dict[str, bytes]:
    """All seeds by name, made in a process of their own, so that this one need not import torch."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.fuzz.recording_seeds", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, env=environment)
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.bntui"))}


if __name__ == "__main__":
    make(Path(sys.argv[1]))
