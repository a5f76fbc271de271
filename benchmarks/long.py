"""Measures how long it takes to resume, replay, fork, open, and show a recording, against its number of keyframes.

    python -m benchmarks.long [--rounds 3] [--keyframes 1000 10000 100000] [--json]

A tiny network is trained for 500 keyframes.  Its rows are then repeated, with ascending steps and valid digests, and
with the evidence of every 16th one, to the given numbers of keyframes.  Figures are seconds of CPU time, the smallest
of the rounds; that of `show` is beyond the start of the interpreter.  Exits 1 if resume, replay, or fork takes 5
seconds, or if `show` takes twice as long for the longest recording as for the shortest one.
"""

from __future__ import annotations

import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import parser, verdict
from bntui.recording.codec import digest, metadata_of, pack_arrays, row_digest, unpack_arrays
from bntui.recording.reader import Reader
from bntui.recording.schema import SCALARS
from bntui.recording.writer import INSERT
from bntui.scenario.load import parse
from bntui.trainer.session import Session

TRAINED = 500
STRIDE = 16
SECONDS = 5.0
SCENARIO = """
title = "Long"
[data]
source = "moons"
samples = 60
batch_size = 64
[network]
hidden = [8, 8]
[training]
epochs = 1000000
[record]
every = "epoch"
[[run]]
name = "only"
"""
Row = tuple[Any, ...]


def recorded(path: Path) -> None:
    """Train ``TRAINED`` keyframes of one step each."""
    session = Session.begin(parse(SCENARIO, file="long"), path)
    while session.writer.keyframes < TRAINED:
        session.epoch(lambda: False)
    session.close()


def lengthen(path: Path, keyframes: int) -> None:
    """Repeat the rows of a recording until it has that many."""
    with closing(sqlite3.connect(path)) as db, db:
        columns = ", ".join(f"keyframe.{name}" for name in SCALARS)
        query = f"SELECT {columns}, layers, measures.block, evidence.block FROM keyframe JOIN measures USING (id)"
        rows = db.execute(f"{query} JOIN evidence USING (id) ORDER BY id").fetchall()[1:]
        for at, (*scalars, layers, measures, evidence) in _repeated(rows, keyframes):
            db.execute(INSERT, (*scalars, layers, row_digest(scalars, layers, measures)))
            db.execute("INSERT INTO measures VALUES (?, ?)", (at, measures))
            if at % STRIDE == 1 or at == keyframes:
                db.execute("INSERT INTO evidence VALUES (?, ?, ?)", (at, evidence, digest(evidence)))


def _repeated(rows: list[Row], keyframes: int) -> Iterator[tuple[int, Row]]:
    """Id and values of each further row: the given ones, later by a multiple of their number."""
    step, epoch = SCALARS.index("step"), SCALARS.index("epoch")
    for at in range(len(rows) + 2, keyframes + 1):
        *values, evidence = rows[(at - 2) % len(rows)]
        later = at - 1 - values[step]
        values[step], values[epoch] = at - 1, float(at - 1)
        if at % STRIDE == 1 or at == keyframes:
            progress = json.loads(metadata_of(evidence)["progress"])
            progress |= {"step": progress["step"] + later, "epoch": progress["epoch"] + later}
            evidence = pack_arrays(unpack_arrays(evidence), {"progress": json.dumps(progress)})
        yield at, (*values, evidence)


def timed(work: Callable[[], object]) -> float:
    """Seconds of CPU time of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def of_command(*arguments: str) -> float:
    """Seconds of CPU time of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(path: Path, keyframes: int) -> dict[str, float]:
    """Seconds of each operation on a recording."""
    found = {"open": timed(lambda: Reader(path).close())}
    found["show"] = of_command("-m", "bntui", "show", str(path)) - of_command("-c", "pass")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(path, folder))
        sessions: list[Session] = []
        found["resume"] = timed(lambda: sessions.append(Session.resume(copy)))
        (session,) = sessions
        middle = keyframes * 3 // 7
        found["replay"] = timed(lambda: session._past.reach(0, middle))
        found["fork"] = timed(lambda: session.fork(0, middle, []))
        session.close()
    return found


def main() -> int:
    options_of = parser(__doc__, rounds=3)
    options_of.add_argument("--keyframes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    options = options_of.parse_args()
    torch.set_num_threads(1)
    table = []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base.bntui"
        recorded(base)
        for keyframes in sorted(options.keyframes):
            path = Path(shutil.copy(base, Path(folder) / "long.bntui"))
            lengthen(path, keyframes)
            rounds = [measured(path, keyframes) for _ in range(options.rounds)]
            best = {name: round(min(one[name] for one in rounds), 3) for name in rounds[0]}
            table.append({"keyframes": keyframes, "mb": round(path.stat().st_size / 1e6), **best})
    if options.json:
        print(json.dumps(table))
    else:
        for values in (list(table[0]), *(one.values() for one in table)):
            print("".join(f"{value!s:>11}" for value in values))
    longest = max(table[-1][name] for name in ("resume", "replay", "fork"))
    soon = verdict(longest < SECONDS, "a recording is resumed, replayed, and forked within 5 seconds of CPU time")
    return soon | verdict(table[-1]["show"] < 2 * table[0]["show"], "show takes as long for any number of keyframes")


if __name__ == "__main__":
    sys.exit(main())
