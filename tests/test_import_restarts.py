"""Tests imports of jobs that wrote steps again, and of runs with more steps than are recorded."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from struct import pack

import pytest

from bntui.export import event_files, imported, restarts
from bntui.export.event_files import read_into
from bntui.export.logged import RESUMED, TAGS, TWICE, Logged
from bntui.export.protobuf import double, message, varint
from bntui.export.records import record
from bntui.export.thinned import thinned
from bntui.recording.reader import Reader
from tests.commands import bntui
from tests.test_import import scalar


def start(step: int) -> bytes:
    return record(double(1, 1.0) + varint(2, step) + message(7, varint(1, restarts.START)))


def losses(path: Path) -> dict[int, float]:
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        return dict(zip(history.step.tolist(), history.train_loss.tolist(), strict=True))


@pytest.mark.parametrize("marked", [True, False])
def test_a_resumed_job_is_what_tensorboard_shows(marked: bool, tmp_path: Path) -> None:
    """The first attempt logs ten steps; the second one begins at 5 and is at 7 now."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from torch.utils.tensorboard import SummaryWriter

    folder = tmp_path / "logs"
    for number, steps in enumerate((range(10), range(5, 8)), 1):
        with SummaryWriter(
            str(folder), purge_step=5 if marked and number > 1 else None, filename_suffix=f".{number}"
        ) as writer:
            for step in steps:
                writer.add_scalar("loss", 100 * number + step, step)
    first, second = sorted(folder.iterdir(), key=lambda path: path.suffix)
    first.rename(folder / "events.out.tfevents.1.a")  # TensorBoard, too, reads them in the order of their names
    second.rename(folder / "events.out.tfevents.2.a")
    done = bntui("import", folder, "-o", tmp_path / "x.bntui")
    assert done.returncode == 0, done.stderr
    shown = accumulators.EventAccumulator(str(folder)).Reload().Scalars("loss")
    assert losses(tmp_path / "x.bntui") == {one.step: one.value for one in shown}
    assert ("TensorBoard leaves out, too: 5\n" in done.stderr) is marked
    assert ("the steps of a tag go back" in done.stderr) is not marked


def histogram(tag: str, step: int) -> bytes:
    proto = double(1, 0.0) + double(2, 1.0) + double(3, 1.0) + message(6, pack("<d", 1.0)) + message(7, pack("<d", 1.0))
    return record(double(1, 1.0) + varint(2, step) + message(5, message(1, message(1, tag) + message(5, proto))))


def test_histograms_have_a_limit_together_which_restarts_give_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_files, "MOST_HISTOGRAMS", 5)
    path, logged = tmp_path / "x", Logged()
    first = [histogram(tag, step) for step in range(4) for tag in "ab"]
    path.write_bytes(b"".join([*first[:2], first[0], *first[2:], start(1), histogram("a", 1), histogram("b", 2)]))
    read_into(logged, path)
    # of eight, five are kept, up to a of step 2; the restart forgets those of the steps 1 and 2
    assert {tag: list(values) for tag, values in logged.histograms.items()} == {"a": [0, 1], "b": [0, 2]}
    assert (logged.left_out[TAGS], logged.left_out[RESUMED], logged.left_out[TWICE]) == (3, 3, 1)


def test_a_restart_concerns_the_files_of_its_folder_only(tmp_path: Path) -> None:
    path, logged = tmp_path / "x", Logged()
    for prefix, contents in (
        ("", [scalar("loss", 1, step=3), scalar("loss", 2, step=8)]),
        ("val/", [scalar("loss", 1, step=3), scalar("loss", 2, step=8), start(4), scalar("loss", 5, step=6)]),
    ):
        path.write_bytes(b"".join(contents))
        read_into(logged, path, prefix)
    assert logged.scalars == {"loss": {3: 1, 8: 2}, "val/loss": {3: 1, 6: 5}}
    assert logged.times.keys() == {3, 6, 8}


def test_endless_restarts_end(tmp_path: Path) -> None:
    path, logged = tmp_path / "x", Logged()
    path.write_bytes(b"".join((scalar("loss", step, step=step) + start(step)) for step in range(restarts.MOST + 2)))
    read_into(logged, path)
    assert logged.scalars["loss"] == {step: step for step in (restarts.MOST, restarts.MOST + 1)}


def test_rare_figures_and_ends_are_kept_of_a_long_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A loss at each of 1,001 steps, a validation loss at every 90th, off the grid of what is kept of the loss."""
    monkeypatch.setattr(imported, "MOST_ROWS", 200)
    logged = Logged()
    path = tmp_path / "x"
    rare = range(89, 1001, 90)
    often = [scalar("loss", step, step=step) for step in range(1001)]
    path.write_bytes(b"".join([*often, *(scalar("val_loss", -step, step=step) for step in rare)]))
    read_into(logged, path)
    found = imported.imported(logged, 0, None, {})
    assert found is not None
    rows = {row.step: row for row in found.rows}
    assert len(rows) <= 202
    assert {step: row.val_loss for step, row in rows.items() if row.val_loss == row.val_loss} == {s: -s for s in rare}
    assert {0, 1000} <= rows.keys()
    assert all(row.train_loss == step for step, row in rows.items())
    assert set(range(0, 1001, found.every)) <= rows.keys()


def test_figures_of_different_steps_all_keep_some() -> None:
    """Even and odd steps: every second row of all would be those of one figure only."""
    even, odd = range(0, 1000, 2), range(1, 1000, 2)
    kept, every = thinned([even, odd], 100)
    assert every > 1
    assert len(kept) <= 102
    for course in (even, odd):
        found = sorted(set(kept) & set(course))
        assert found[0] == course[0]
        assert found[-1] == course[-1]
        assert len(found) > 40


def test_what_has_room_is_kept_whole() -> None:
    assert thinned([[3, 1], [2]], 3) == ((1, 2, 3), 1)
    assert thinned([], 3) == ((), 1)


def test_tags_of_images_texts_and_curves_are_named(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "logs")) as writer:
        writer.add_scalar("loss", 1.0, 0)
        writer.add_image("sample", np.zeros((3, 4, 4)), 0)
        writer.add_text("note", "hello", 0)
        writer.add_pr_curve("precision", np.array([0, 1, 1]), np.array([0.2, 0.6, 0.9]), 0)
        writer.add_hparams({"lr": 0.1}, {"hparam/loss": 1.0}, run_name=".")
    done = bntui("import", tmp_path / "logs", "-o", tmp_path / "x.bntui")
    assert done.returncode == 0, done.stderr
    for tag in ("sample", "note/text_summary", "precision"):
        assert tag in done.stderr
    assert losses(tmp_path / "x.bntui") == {0: 1.0}
