"""Tests that recordings read back what was written, in another process too, and that damage and foreign files are
named.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.errors import NameTakenError, RecordingError, StorageError
from bntui.keyframe import Keyframe
from bntui.link.library import entry, recordings
from bntui.recording.codec import pack_arrays, row_digest, unpack_arrays
from bntui.recording.copy import copied
from bntui.recording.draft import Draft
from bntui.recording.file import WritableFile, file_system, on_network
from bntui.recording.history import Event, RunInfo
from bntui.recording.names import new_path
from bntui.recording.reader import Reader
from bntui.recording.schema import APPLICATION_ID, SCALARS, VERSION
from bntui.recording.writer import Writer
from bntui.viewer.view import RunView
from tests.factory import run_view

META = {"title": "A test", "task": "classification", "scenario": 'title = "A test"'}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some run.bntui"


def parts(view: RunView) -> tuple[RunInfo, Keyframe]:
    assert view.frame is not None
    return view.info, view.frame


INFO, FRAME = parts(run_view(norm=True, dropout=0.2))


def begin(path: Path, budget: float = 1e6) -> Writer:
    writer = Writer.create(path, META)
    writer.add_run(INFO, b"", budget)
    return writer


def at(step: int) -> Keyframe:
    return dataclasses.replace(FRAME, step=step, epoch=step / 24)


def same(one: object, other: object) -> bool:
    """Equal in every figure, NaN included, however deep."""
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one)
        )
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    return one == other or (one != one and other != other)


def test_what_is_written_is_read(path: Path) -> None:
    writer = begin(path)
    writer.commit(FRAME, epoch_end=True, events=[Event(0, FRAME.step, FRAME.epoch, "diverged", "the loss became NaN")])
    reader = Reader(path)
    assert same(reader.keyframe(0, 0), FRAME)
    assert reader.runs == (INFO,)
    assert reader.title == "A test"
    assert [event.kind for event in reader.events(0)] == ["diverged"]
    history = reader.history(0)
    assert history.val_loss[0] == FRAME.val_loss
    assert history.layer(1, "weight_gradient_norm")[0] == FRAME.layers[1].weight_gradient_norm
    assert history.layer(0, "pre_norm.p85")[0] == FRAME.layers[0].pre_norm.p85
    reader.close()
    writer.close()


@given(
    loss=st.floats(width=64),
    lr=st.floats(0, 10),
    step=st.integers(0, 2**40),
    wait=st.integers(0, 1000),
    best=st.floats(),
)
def test_every_float_survives(tmp_path_factory: pytest.TempPathFactory, **figures: float) -> None:
    assert FRAME.early_stopping is not None
    early = dataclasses.replace(FRAME.early_stopping, wait=int(figures["wait"]), best=figures["best"])
    frame = dataclasses.replace(
        FRAME, val_loss=figures["loss"], lr=figures["lr"], step=int(figures["step"]), early_stopping=early
    )
    path = tmp_path_factory.mktemp("float") / "x.bntui"
    writer = begin(path)
    writer.commit(frame, epoch_end=False)
    reader = Reader(path)
    assert same(reader.keyframe(0, 0), frame)
    reader.close()
    writer.close()


def test_a_growing_recording_is_followed_and_snapshots_never_change(path: Path) -> None:
    writer = begin(path)
    writer.commit(at(0), epoch_end=False)
    reader = Reader(path)
    early = reader.history(0)
    assert not reader.refresh()
    for step in range(1, 200):  # beyond the first doubling of the columns
        writer.commit(at(step), epoch_end=True)
    assert len(early) == 1
    assert reader.refresh()
    assert len(reader.history(0)) == 200
    assert reader.history(0).step.tolist() == list(range(200))
    assert early.step.tolist() == [0]
    reader.close()
    writer.close()


def test_an_epoch_without_a_frame_has_its_scalars_only(path: Path) -> None:
    writer = begin(path)
    writer.commit(at(0), epoch_end=False)
    writer.commit(dataclasses.replace(at(24), layers=(), batch_indices=np.empty(0, np.int64)), epoch_end=True)
    reader = Reader(path)
    history = reader.history(0)
    assert history.has_frame.tolist() == [True, False]
    assert history.at(1.0) == 0
    assert np.isnan(history.layers[1]).all()
    with pytest.raises(RecordingError, match="only the epoch's scalars"):
        reader.keyframe(0, 1)
    reader.close()
    writer.close()


def test_it_is_read_by_another_process_while_it_grows(path: Path) -> None:
    writer = begin(path)
    writer.commit(FRAME, epoch_end=True)
    script = (
        "import sys; from pathlib import Path; from bntui.recording.reader import Reader;"
        "r = Reader(Path(sys.argv[1])); print(r.keyframe(0, 0).val_loss.hex())"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert float.fromhex(done.stdout) == FRAME.val_loss
    writer.close()


def test_a_closed_recording_is_one_file_and_opens_from_a_read_only_folder(path: Path) -> None:
    writer = begin(path)
    writer.commit(FRAME, epoch_end=True)
    writer.close()
    assert os.listdir(path.parent) == [path.name]
    path.chmod(stat.S_IRUSR)
    path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert same(Reader(path).keyframe(0, 0), FRAME)
    finally:
        path.parent.chmod(stat.S_IRWXU)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_reader_that_holds_the_file_does_not_lose_a_row(path: Path) -> None:
    writer = begin(path)
    writer.commit(FRAME, epoch_end=True)
    reader = Reader(path)
    writer.close()  # cannot fold the journal in while the reader is there
    reader.release()
    assert same(Reader(path).keyframe(0, 0), FRAME)


def test_arrays_survive_whatever_their_layout() -> None:
    square = np.arange(12.0).reshape(3, 4)
    for array in (square.T, square[::2, 1::2], np.asfortranarray(square), square.astype(np.float32)[:, ::-1]):
        np.testing.assert_array_equal(unpack_arrays(pack_arrays({"a": array}))["a"], array)


def test_a_file_that_is_no_recording_is_named_as_such(path: Path) -> None:
    path.write_text("hello")
    with pytest.raises(RecordingError, match="not a recording"):
        Reader(path)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE other (x)")
    with pytest.raises(RecordingError, match="another SQLite file"):
        Reader(path)
    with pytest.raises(RecordingError, match="is a folder"):
        Reader(path.parent)
    with pytest.raises(RecordingError, match="no such recording"):
        Reader(path.with_name("nowhere"))


def test_a_newer_recording_is_named_as_such(path: Path) -> None:
    begin(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(RecordingError, match=f"newer bntui .format {VERSION + 1}.*update bntui"):
        Reader(path)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE keyframe SET val_loss = val_loss + 1e-9",
        "UPDATE keyframe SET layers = zeroblob(length(layers))",
        "UPDATE measures SET block = zeroblob(length(block))",
        "UPDATE keyframe SET weights_digest = 'x'",
        "DELETE FROM measures",
    ],
)
def test_an_edited_row_is_found_by_its_digest(path: Path, damage: str) -> None:
    writer = begin(path)
    writer.commit(FRAME, epoch_end=True)
    writer.close()
    with sqlite3.connect(path) as db:
        assert db.execute(damage).rowcount == 1
    with pytest.raises(RecordingError, match="'plain' at step 288 is damaged"):
        Reader(path).keyframe(0, 0)


def test_a_block_that_is_no_safetensors_is_damage_whatever_its_digest_says(path: Path) -> None:
    writer = begin(path)
    writer.commit(FRAME, epoch_end=True)
    writer.close()
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        row = db.execute("SELECT * FROM keyframe").fetchone()
        db.execute("UPDATE measures SET block = ?", (b"garbage",))
        forged = row_digest([row[name] for name in SCALARS], row["layers"], b"garbage")
        db.execute("UPDATE keyframe SET digest = ?", (forged,))
    with pytest.raises(RecordingError, match="is damaged"):
        Reader(path).keyframe(0, 0)


def test_text_of_a_strangers_recording_cannot_command_the_terminal(path: Path) -> None:
    writer = Writer.create(path, META | {"title": "\x1b]0;owned\x07\x1b[2Ja title"})
    writer.add_run(dataclasses.replace(INFO, name="run\x1b[1m"), b"", 1e6)
    assert FRAME.early_stopping is not None
    early = dataclasses.replace(FRAME.early_stopping, reason="\x1b[2Jno reason")
    frame = dataclasses.replace(FRAME, early_stopping=early, weights_digest="\x1b[31m0")
    writer.commit(frame, epoch_end=True, events=[Event(0, 1, 1.0, "diverged", "\x1b[2Jgone")])
    reader = Reader(path)
    shown = [reader.title, reader.runs[0].name, reader.events(0)[0].message, entry(path).title, *entry(path).runs]
    read = reader.keyframe(0, 0)
    assert read.early_stopping is not None
    shown += [read.early_stopping.reason, read.weights_digest]
    reader.close()
    writer.close()
    assert all(text.isprintable() for text in shown)


@pytest.mark.parametrize("column", ["lr", "wait", "stopped", "best", "reason"])
def test_a_cell_that_cannot_be_its_figure_is_named(path: Path, column: str) -> None:
    """Losses may be infinite, a learning rate may not."""
    writer = begin(path)
    writer.commit(dataclasses.replace(FRAME, val_loss=float("inf")), epoch_end=True)
    writer.close()
    assert np.isinf(Reader(path).history(0).val_loss[0])
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE keyframe SET {column} = ?", ({"lr": float("inf"), "stopped": 2}.get(column, b"x"),))
    with pytest.raises(RecordingError, match=f"{column} in the table keyframe"):
        Reader(path)


@pytest.mark.parametrize("damage", ["DROP TABLE keyframe", "DELETE FROM meta", "UPDATE run SET layers = '{'"])
def test_a_recording_with_a_part_missing_is_damaged(path: Path, damage: str) -> None:
    begin(path).close()
    with sqlite3.connect(path) as db:
        db.execute(damage)
    with pytest.raises(RecordingError, match="damaged"):
        Reader(path)


def test_a_truncated_recording_is_damaged(path: Path) -> None:
    writer = begin(path)
    for step in range(60):
        writer.commit(at(step), epoch_end=True)
    writer.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(RecordingError, match="damaged"):
        [Reader(path).keyframe(0, row) for row in range(60)]


def test_nothing_is_ever_overwritten(path: Path) -> None:
    begin(path).close()
    before = path.read_bytes()
    with pytest.raises(NameTakenError, match="already exists; choose another name"):
        Writer.create(path, META)
    assert path.read_bytes() == before


def test_a_copy_is_complete_or_not_there_and_takes_no_other_ones_name(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = begin(path)
    for step in range(40):
        writer.commit(at(step), epoch_end=True)
    folder = tmp_path / "copies"
    first = copied(path, folder)  # while it grows: what the journal holds is in it
    with closing(Reader(first)) as reader:
        assert len(reader.history(0)) == 40
    names = [first.name.replace("001", number) for number in ("001", "002", "003")]
    another = folder / names[1]

    def published(draft: Draft, final: Path) -> None:
        if not another.exists():
            another.write_bytes(b"of another process")
        publish(draft, final)

    publish = Draft.publish
    with monkeypatch.context() as patch:
        patch.setattr(Draft, "publish", published)
        third = copied(path, folder)
    assert (third.name, another.read_bytes()) == (names[2], b"of another process")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StorageError, match="cannot write the copy"):
            copied(path, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    left = {one.name.removesuffix("-shm").removesuffix("-wal") for one in folder.iterdir()}  # which the reader makes
    assert sorted(left) == names
    writer.close()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write the recording .*/file/x.bntui: File exists"):
        Writer.create(tmp_path / "file" / "x.bntui", META)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """A disk that holds 2 MB a file: the kernel refuses what is beyond, as a full one does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_ends_with_a_message_and_all_earlier_keyframes_intact(path: Path) -> None:
    writer = begin(path)
    written = 0

    def fill() -> None:
        nonlocal written
        for step in range(1000):
            writer.commit(at(step), epoch_end=True)
            written += 1

    with pytest.raises(StorageError, match="everything recorded before is intact"):
        fill()
    assert 3 < written < 1000
    reader = Reader(path)
    assert len(reader.history(0)) == written
    for row in range(written):
        assert reader.keyframe(0, row).step == row


@pytest.mark.usefixtures("small_disk")
def test_a_disk_without_room_for_a_journal_leaves_the_name_free(path: Path) -> None:
    """SQLite's index of the journal needs 32 kB at once."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    file = WritableFile.draft(path)
    file.db.execute("CREATE TABLE one (x)")
    with pytest.raises(StorageError, match="database or disk is full"):
        file.publish(path)
    file.discard()
    assert list(path.parent.iterdir()) == []


def test_evidence_is_thinned_to_its_budget_and_never_the_first_last_best_or_an_events(path: Path) -> None:
    writer = begin(path, budget=10_000)
    event = Event(0, 37, 37 / 24, "diverged", "")
    for step in range(100):
        writer.commit(
            at(step), epoch_end=True, best=step in (3, 21, 63), evidence=lambda: b"e" * 1000,
            events=[event] if step == 37 else (),
        )  # fmt: skip
    writer.close()
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT step, length(block) FROM evidence JOIN keyframe USING (id) ORDER BY step").fetchall()
    steps = [step for step, _ in rows]
    assert {0, 37, 63, 99} <= set(steps)
    assert 3 not in steps  # the best of its time, not of the run
    assert 21 not in steps
    regular = [step for step in steps if step not in (37, 63, 99)]
    assert len(set(np.diff(regular))) == 1  # what is left is evenly spread
    assert sum(size for _, size in rows) <= 10_000


def sizes_of_evidence(path: Path) -> dict[int, int]:
    """Bytes of the evidence that is kept, by step."""
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT step, length(block) FROM evidence JOIN keyframe USING (id)"))


@pytest.mark.parametrize("over", [False, True])
def test_evidence_larger_than_its_budget_is_kept_only_to_resume_from(path: Path, *, over: bool) -> None:
    """As in a network of three layers of 2,048 units, whose state alone is larger than half of 64 MB."""
    size, event = 400_000, Event(0, 5, 5 / 24, "diverged", "")
    writer = begin(path, budget=size - 1)
    for step in range(40):
        writer.commit(
            at(step), epoch_end=True, best=step in (3, 21), evidence=lambda: b"e" * size,
            events=[event] if step == 5 else (),
        )  # fmt: skip
        if step == 12:
            writer.flush()  # as for a pause
    if over:
        writer.checkpoint(0, "final", 39, b"")
    writer.close()
    assert sizes_of_evidence(path) == ({} if over else {39: size})
    with closing(Reader(path)) as reader:
        assert len(reader.history(0)) == 40
    assert path.stat().st_size < 3 * size  # the space of the state at the pause was used again


def test_a_writer_that_reopens_a_recording_drops_the_state_it_resumed_from(path: Path) -> None:
    writer = begin(path, budget=1000)
    for step in range(3):
        writer.commit(at(step), epoch_end=True, evidence=lambda: b"e" * 1001)
    writer.close()
    assert sizes_of_evidence(path) == {2: 1001}
    writer = Writer.reopen(path)
    for step in range(3, 20):
        writer.commit(at(step), epoch_end=True, evidence=lambda: b"e" * 1001)
    writer.checkpoint(0, "final", 19, b"")
    writer.close()
    assert sizes_of_evidence(path) == {}


def test_no_evidence_is_kept_without_a_budget(path: Path) -> None:
    writer = begin(path, budget=0)
    writer.commit(FRAME, epoch_end=True, evidence=lambda: b"e")
    writer.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM evidence").fetchone() == (0,)


def test_new_names_count_on_and_overwrite_nothing(tmp_path: Path) -> None:
    assert new_path("batch norm!", tmp_path).name == "batch-norm-001.bntui"
    (tmp_path / "batch-norm-041.bntui").touch()
    assert new_path("batch norm!", tmp_path).name == "batch-norm-042.bntui"
    refused = tmp_path / "batch-norm-042.bntui"
    refused.touch()  # published by the process that had locked it when it was refused
    assert new_path("batch norm!", tmp_path, refused=[refused]).name == "batch-norm-043.bntui"


def test_the_library_lists_what_there_is_and_says_what_is_broken(tmp_path: Path, path: Path) -> None:
    writer = begin(path)
    writer.commit(FRAME, epoch_end=True)
    writer.close()
    (tmp_path / "broken.bntui").write_text("nothing of the kind")
    found = {one.path.name: one for one in recordings(tmp_path)}
    good, bad = found[path.name], found["broken.bntui"]
    assert (good.title, good.runs, good.epochs, good.live, good.problem) == ("A test", ("plain",), 12.0, False, None)
    assert good.size == path.stat().st_size
    assert bad.problem is not None
    assert "not a recording" in bad.problem
    assert entry(path) == good


def test_the_file_system_is_known() -> None:
    assert file_system(Path("/proc/self/status")) == "proc" or not Path("/proc/mounts").exists()


def test_a_network_is_known_below_names_with_spaces_and_automatic_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an automatic mount looks in ``/proc/mounts``: the network's line follows that of what it covers."""
    share = tmp_path / "my share\xe9"
    (share / "deep").mkdir(parents=True)
    point = os.fsencode(share).replace(b" ", rb"\040")
    table = tmp_path / "mounts"
    lines = [b"/dev/sda1 / ext4 rw 0 0", b"systemd-1 " + point + b" autofs rw 0 0",
             b"server:/home " + point + b" nfs4 rw 0 0", b"tmpfs /bytes-\xff tmpfs rw 0 0"]  # fmt: skip
    table.write_bytes(b"\n".join(lines) + b"\n")
    monkeypatch.setattr("bntui.recording.file.MOUNTS", table)
    assert file_system(share / "deep" / "x.bntui") == "nfs4"
    assert on_network(share / "x.bntui")
    assert file_system(tmp_path / "x.bntui") == "ext4"


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        ("beegfs", True), ("gpfs", True), ("lustre", True), ("fuse.glusterfs", True), ("ceph", True), ("smb3", True),
        ("fuse.ceph-fuse", True), ("fuse.juicefs", True), ("fuse.s3fs", True), ("panfs", True), ("wekafs", True),
        ("nfs", True), ("ext4", False), ("xfs", False), ("btrfs", False), ("overlay", False), ("tmpfs", False),
        ("zfs", False), ("fuseblk", False), ("fuse.ntfs-3g", False),
    ],
)  # fmt: skip
def test_file_systems_of_clusters_are_networks(
    kind: str, network: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mounts"
    table.write_text(f"/dev/sda1 / ext4 rw 0 0\ndata {tmp_path} {kind} rw 0 0\n")
    monkeypatch.setattr("bntui.recording.file.MOUNTS", table)
    assert on_network(tmp_path / "x.bntui") == network


def test_a_recording_of_format_1_is_read() -> None:
    """Made by bntui before format 2: what came later is NaN, and nothing else is missing."""
    with sqlite3.connect(Path(__file__).parent / "data" / "format-1.bntui") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    reader = Reader(Path(__file__).parent / "data" / "format-1.bntui")
    assert [run.name for run in reader.runs] == ["plain", "batch norm"]
    history = reader.history(1)
    assert history.epoch.tolist() == [0, 1, 2, 3, 4]
    assert np.isfinite(history.layer(0, "weight_norm")).all()
    assert np.isnan(history.layer(0, "gradient_shift")).all()
    norm = reader.keyframe(1, 4).layers[0].batch_norm
    assert norm is not None
    assert norm.gamma.shape == norm.gamma_gradient.shape == (6,)
    assert np.isnan(norm.gamma_gradient).all()
    assert (norm.running_var > 0).all()
    assert reader.dataset is not None
    assert reader.dataset.x.shape == (40, 2)
    assert reader.dataset.scalings[0].kind == "standard"
    evidence = reader.evidence(0, int(reader.evidence_rows(0)[0]))
    assert evidence is not None
    assert evidence.before["linear 1.linear.weight"].shape == (6, 2)
