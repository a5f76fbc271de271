"""Reading and reopening a recording without its histories: compared with plain definitions over all rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.errors import RecordingError
from bntui.keyframe import Keyframe
from bntui.recording.file import WritableFile
from bntui.recording.opened import Recording
from bntui.recording.recorded import opened, recorded
from bntui.recording.writer import Writer
from tests.test_recording import FRAME, INFO, META

RUNS = 2


class Row(NamedTuple):
    """A row that is written, and what the definitions below need of it."""

    run: int
    step: int
    epoch: float
    framed: bool
    epoch_end: bool
    val_loss: float
    best_epoch: int


rows_of_runs = st.lists(
    st.tuples(
        st.integers(0, RUNS - 1), st.integers(1, 3), st.booleans(), st.booleans(),
        st.sampled_from([0.1, 0.2, 0.3, math.inf]), st.integers(0, 12),
    ),
    max_size=30,
)  # fmt: skip


def written(path: Path, drawn: Sequence[tuple[int, int, bool, bool, float, int]]) -> list[Row]:
    """Write rows of two runs, interleaved; their steps ascend, and their epochs with them."""
    writer = Writer.create(path, META)
    for run in range(RUNS):
        writer.add_run(dataclasses.replace(INFO, index=run, name=f"run {run}"), b"", 1e6)
    steps, found = [0] * RUNS, []
    for run, ahead, framed, epoch_end, val_loss, best_epoch in drawn:
        steps[run] += ahead
        row = Row(run, steps[run], steps[run] / 2, framed, epoch_end, val_loss, best_epoch)
        found.append(row)
        writer.commit(frame(row), epoch_end=epoch_end)
    writer.close()
    return found


def frame(row: Row) -> Keyframe:
    assert FRAME.early_stopping is not None
    return dataclasses.replace(
        FRAME, run=row.run, step=row.step, epoch=row.epoch, val_loss=row.val_loss, wall_time=3.0 * row.step,
        layers=FRAME.layers if row.framed else (), predictions=None,
        early_stopping=dataclasses.replace(FRAME.early_stopping, best_epoch=row.best_epoch),
    )  # fmt: skip


def best(rows: Sequence[Row]) -> set[tuple[int, int]]:
    """Run and step of each run's best keyframe: early stopping's, or the first with the smallest validation loss."""
    found = set()
    for run in range(RUNS):
        latest = max((row.best_epoch for row in rows if row.run == run), default=0)
        ends = [row for row in rows if row.run == run and row.framed and row.epoch_end]
        stopping = [row for row in ends if row.best_epoch != 0 and row.epoch == latest]
        if ends:
            chosen = min(stopping or ends, key=lambda row: row.val_loss)
            found.add((run, chosen.step))
    return found


@given(rows_of_runs)
def test_a_reopened_writer_finds_the_best_keyframe_that_is_defined(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int, bool, bool, float, int]]
) -> None:
    path = tmp_path_factory.mktemp("best") / "x.bntui"
    rows = written(path, drawn)
    writer = Writer.reopen(path)
    found = [thinning.best for thinning in writer._thinning.values()]
    places = [writer._db.execute("SELECT run, step FROM keyframe WHERE id = ?", (row,)).fetchone() for row in found]
    writer.close()
    assert {place for place in places if place is not None} == best(rows)
    assert writer.keyframes == len(rows)


@given(rows_of_runs, st.floats(-1, 20))
def test_single_rows_are_those_of_the_histories(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int, bool, bool, float, int]], epoch: float
) -> None:
    path = tmp_path_factory.mktemp("rows") / "x.bntui"
    rows = written(path, drawn)
    if not rows:
        with pytest.raises(RecordingError, match="no keyframe was recorded"):
            opened(path)
        return
    with closing(opened(path)) as recording, closing(recorded(path)) as reader:
        assert recording.runs == reader.runs
        for run in range(RUNS):
            mine = [row for row in rows if row.run == run]
            last = recording.place(run)
            assert (None if last is None else (last.step, last.epoch, last.wall_time, last.epoch_end)) == (
                (mine[-1].step, mine[-1].epoch, 3.0 * mine[-1].step, mine[-1].epoch_end) if mine else None
            )
            first = recording.first(run)
            assert (None if first is None else first.step) == (mine[0].step if mine else None)
            for step in range(-1, 8):
                there = recording.place(run, step)
                assert (there is not None) == any(row.step == step for row in mine)
                assert there is None or there.step == step
            before = [row.step for row in mine if row.framed and row.epoch <= epoch + 1e-9]
            found = recording.frame_at(run, epoch)
            assert (None if found is None else found.step) == (before[-1] if before else None)
            if found is not None:
                at = reader.history(run).at(epoch)
                assert recording.frame(run, found).step == reader.keyframe(run, at).step


def test_reopening_takes_work_in_proportion_to_the_keyframes(tmp_path: Path) -> None:
    def work(epochs: int) -> int:
        path = tmp_path / f"{epochs}.bntui"
        written(path, [(0, 2, True, True, 1 / (1 + number), number) for number in range(epochs)])
        instructions = 0

        def count() -> int:
            nonlocal instructions
            instructions += 1
            return 0

        writer = Writer(WritableFile.open(path))
        writer._db.set_progress_handler(count, 10)
        writer._remember()
        with closing(Recording(path)) as recording:
            recording._db.set_progress_handler(count, 10)
            assert recording.place(0) == recording.frame_at(0, math.inf)
            assert recording.nearest_state(0, 2**40) is None
        writer._db.set_progress_handler(None, 0)
        writer.close()
        return instructions

    once = work(100)
    assert 0 < once < work(200) < 3 * once
