"""Tests that runs are trained with other seeds: bit for bit what a recording of that seed holds, also after a kill."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bntui.audit.audit import audit
from bntui.commands.manage import _described
from bntui.commands.show import seed_lines
from bntui.errors import RecordingError
from bntui.keyframe import MOST_SEEDS, FloatArray
from bntui.link.client import Trainer
from bntui.link.library import entry
from bntui.link.live import is_live
from bntui.link.requests import SeedRequest
from bntui.link.requests import parse as parse_request
from bntui.link.wire import FrameError
from bntui.recording import seeds
from bntui.recording.history import RunHistory
from bntui.recording.reader import Reader
from bntui.recording.schema import TABLES
from bntui.recording.seeds import FIGURES, SeedCourse, SeedCourses, SeedEnd, SeedPiece
from bntui.scenario.load import load, parse
from bntui.scenario.study import other_seeds
from bntui.study.bands import missing, train
from bntui.trainer.agenda import Agenda
from bntui.trainer.seeds import SeedStudy, SeedTrainer
from bntui.trainer.session import Session
from tests.commands import bntui
from tests.honest import BASE, trained_here
from tests.test_session import never, rows
from tests.test_study import TEXT, VARIANTS, same
from tests.waiting import until

END = SeedEnd("finished", 4.0, "finished after 4 epochs", 0.5)


# --- the table ---


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript(TABLES)
        yield db


def figures(epochs: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(len(FIGURES), epochs))


def read(db: sqlite3.Connection) -> SeedCourses:
    courses = SeedCourses()
    courses.read(db, 3)
    return courses


def test_pieces_are_one_course_whenever_they_are_read(db: sqlite3.Connection) -> None:
    """A reader that looks after each piece sees what one sees that opens the file then."""
    dice, live = random.Random(1), SeedCourses()
    wanted = {(run, seed): figures(40, 10 * run + seed) for run in (0, 2) for seed in (5, 9)}
    done = dict.fromkeys(wanted, 0)
    while min(done.values()) < 40:
        run, seed = key = dice.choice([key for key in wanted if done[key] < 40])
        stop = min(done[key] + dice.randint(0, 9), 40)
        seeds.add(db, SeedPiece(run, seed, done[key], wanted[key][:, done[key] : stop]))
        done[key] = stop
        if stop == 40:
            seeds.add(db, SeedPiece(run, seed, 0, wanted[key], replace(END, epoch=39.0)))
        if dice.random() < 0.5:
            assert live.read(db, 3)
            for run_ in (0, 2):
                for course, opened in zip(live.of(run_), read(db).of(run_), strict=True):
                    assert course.seed == opened.seed
                    assert (course.end is None) == (opened.end is None) == (done[run_, course.seed] < 40)
                    assert same(course.figures, opened.figures)
                    assert same(course.figures, wanted[run_, course.seed][:, : done[run_, course.seed]])
    assert db.execute("SELECT count(*) FROM seed").fetchone() == (4,)
    live.read(db, 3)
    assert not live.read(db, 3)
    kept = live.of(0)
    assert live.of(0) is kept
    assert live.of(1) == ()


def test_whatever_a_seed_failed_of_can_be_read(db: sqlite3.Connection) -> None:
    """An error of a library may be long, and may name a file whose name is not UTF-8."""
    reason = "caf\udce9.csv: no memory for " + 2_000 * "[1, 2, 3] "
    seeds.add(db, SeedPiece(0, 1, 0, np.zeros((len(FIGURES), 3)), SeedEnd("failed", 2.0, reason)))
    found = SeedCourses()
    assert found.read(db, 1)
    (course,) = found.of(0)
    assert course.end is not None
    assert course.end.kind == "failed"
    assert course.end.reason == ("caf.csv: no memory for " + 2_000 * "[1, 2, 3] ")[:9_999] + "…"


def test_a_seed_that_is_trained_anew_begins_again(db: sqlite3.Connection) -> None:
    seeds.add(db, SeedPiece(0, 5, 0, figures(7)))
    courses = read(db)
    seeds.add(db, SeedPiece(0, 5, 0, figures(3, 1)))
    courses.read(db, 1)
    assert same(courses.of(0)[0].figures, figures(3, 1))
    assert seeds.ended(db) == set()
    seeds.add(db, SeedPiece(0, 5, 0, figures(0), SeedEnd("failed", 0.0, "no data")))
    assert seeds.ended(db) == set()  # another trainer tries again
    seeds.add(db, SeedPiece(0, 5, 0, figures(5), END))
    assert seeds.ended(db) == {(0, 5)}
    assert rows_of(db) == 1


def rows_of(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM seed").fetchone()[0])


def told(end: SeedEnd | None) -> tuple[str, float, str]:
    """How a seed ended, whose ratio is NaN; from Python 3.13 on, such dataclasses differ from each other."""
    assert end is not None
    assert math.isnan(end.ratio)
    return end.kind, end.epoch, end.reason


def test_a_damaged_seed_is_told_and_the_others_are_read(db: sqlite3.Connection) -> None:
    for seed in (5, 6):
        seeds.add(db, SeedPiece(0, seed, 0, figures(5, seed), END))
    db.execute("UPDATE seed SET epoch = 3 WHERE seed = 5")
    damaged, whole = read(db).of(0)
    assert told(damaged.end) == ("failed", 0.0, seeds.DAMAGED)
    assert not damaged.figures.size
    assert same(whole.figure("val_loss"), figures(5, 6)[2])


@pytest.mark.parametrize(
    ("column", "value"),
    [("run", 3), ("block", b"1"), ("ending", "exploded"), ("reason", None), ("first", -1), ("seed", -1)],
)
def test_a_row_that_no_trainer_writes_is_refused(db: sqlite3.Connection, column: str, value: object) -> None:
    seeds.add(db, SeedPiece(0, 5, 0, figures(5), END))
    db.execute(f"UPDATE seed SET {column} = ?", (value,))
    with pytest.raises(ValueError, match=r"seed|is .*, not"):
        read(db)


@pytest.mark.parametrize(
    ("text", "count"),
    [("{}", 1), ('{"seeds": 8}', 8), ('{"seeds": 65}', 1), ('{"seeds": true}', 1), ("[" * 9999, 1), ("7", 1)],
)
def test_the_number_of_seeds_that_were_asked_for_is_read_from_the_agenda(
    db: sqlite3.Connection, text: str, count: int
) -> None:
    assert seeds.asked(db) == 1
    db.execute("INSERT INTO agenda VALUES (1, ?)", (text,))
    assert seeds.asked(db) == count


# --- which seeds ---


def test_seeds_follow_the_run_s_own() -> None:
    assert other_seeds(7, 4) == (8, 9, 10)
    assert other_seeds(7, 1) == ()
    assert other_seeds(2**63 - 2, 3) == (2**63 - 1, 0)


@pytest.mark.parametrize("count", [0, MOST_SEEDS + 1, True, 2.0, "2", None])
def test_a_request_for_a_number_of_seeds_that_cannot_be_is_refused(count: object) -> None:
    assert parse_request(b'{"command": "seeds", "seeds": 8}\n') == SeedRequest(8)
    with pytest.raises(FrameError, match="seeds must be a whole number from 1 to 64"):
        parse_request(json.dumps({"command": "seeds", "seeds": count}).encode() + b"\n")


# --- training ---


def recorded(path: Path, text: str, seed: int) -> Reader:
    overrides = (("seed", seed),)
    session = Session.begin(parse(text, file="x", overrides=overrides), path, overrides)
    while not session.over:
        session.epoch(never)
    session.close()
    return Reader(path)


def same_epochs(course: SeedCourse | SeedPiece, history: RunHistory) -> bool:
    """The figures are those of the ends of epochs, and of the first keyframe if that is one."""
    ends = history.epoch_end | (history.step == history.step[0])
    ends &= history.epoch % 1 == 0
    figures = np.stack([getattr(history, name)[ends] for name in FIGURES])
    return same(course.figures, figures) and course.first == history.epoch[ends][0]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_seed_has_the_figures_of_its_recording_bit_for_bit(name: str, tmp_path: Path) -> None:
    with closing(recorded(tmp_path / "0.bntui", VARIANTS[name], 0)) as own:
        runs = own.runs
        wanted = missing(runs, tmp_path, 2, {(0, 1)})
    with closing(recorded(tmp_path / "1.bntui", VARIANTS[name], 1)) as other:
        assert [(one.run, one.seed) for one in missing(runs, tmp_path, 2, ())] == [(0, 1), (1, 1)]
        (one,) = wanted
        history = other.history(1)
        (ending,) = [event for event in other.events(1) if event.kind in ("finished", "stopped_early", "diverged")]
        third = replace(one, config=one.config.model_copy(update={"seed": 2}))
        for alone_or_not in ([one], [one, third]):
            whole = trained_here(alone_or_not)[0]
            assert same_epochs(whole, history)
            end = whole.end
            assert end is not None
            assert (end.kind, end.epoch, end.reason) == (ending.kind, ending.epoch, ending.message)
            if ending.kind == "diverged":
                assert name.startswith("diverged")
            else:
                first, last = (history.layer(layer, "weight_gradient_norm")[-1] for layer in (0, -1))
                assert end.ratio == first / last


def test_the_seeds_of_a_fork_fork_where_it_forks(tmp_path: Path) -> None:
    changes = (("training.lr", 0.1), ("training.epochs", 5))

    def forked(seed: int) -> Reader:
        path = tmp_path / f"{seed}.bntui"
        overrides = (("seed", seed),)
        session = Session.begin(parse(TEXT, file="x", overrides=overrides), path, overrides)
        session.epoch(never)
        session.epoch(never)
        session.fork(1, 16, changes)
        session.fork(2, 16, [("network.dropout", 0.3)])
        while not session.over:
            session.epoch(never)
        session.close()
        return Reader(path)

    with closing(forked(0)) as own, closing(forked(1)) as other:
        assert [run.fork.step for run in own.runs if run.fork is not None] == [16, 16]
        wanted = [one for one in missing(own.runs, tmp_path, 2, ()) if one.run >= 2]
        for one in wanted:
            (whole,) = trained_here([one])
            assert same_epochs(whole, other.history(one.run))
        (late,) = trained_here([replace(wanted[0], stems=(replace(wanted[0].stems[0], step=1000),))])
        assert told(late.end) == ("failed", 0.0, "its parent ended at epoch 3, before the fork")


def test_workers_report_epochs_while_they_train_and_end_when_told(tmp_path: Path) -> None:
    endless = TEXT.replace("epochs = 3", "epochs = 1000000")
    with closing(unfinished(tmp_path / "x.bntui", endless)) as reader:
        wanted = missing(reader.runs, tmp_path, 2, ())
    enough: set[tuple[int, int]] = set()
    stopped_at = math.inf
    for piece in train(wanted, lambda: len(enough) == 2):
        assert piece.end is None
        assert piece.first == 0 or (piece.run, piece.seed) in enough or piece.figures.shape[1]
        enough.add((piece.run, piece.seed))
        stopped_at = min(stopped_at, time.monotonic()) if len(enough) == 2 else math.inf
    assert time.monotonic() - stopped_at < 5


def test_a_worker_that_is_being_started_does_not_delay_the_end(tmp_path: Path) -> None:
    released = threading.Event()

    def train(_wanted: object, _stopped: object) -> Iterator[SeedPiece]:
        released.wait()
        return iter(())

    begun = SeedTrainer(SeedStudy(missing, train), lambda _news: None)
    session = Session.begin(parse(TEXT, file="x"), tmp_path / "x.bntui")
    try:
        begun.begin(session.writer, 2)
        assert begun.left == 2
        began = time.monotonic()
        begun.close()
        assert time.monotonic() - began < 3
    finally:
        released.set()
        session.close()


def unfinished(path: Path, text: str) -> Reader:
    session = Session.begin(parse(text, file="x"), path)
    session.close()
    return Reader(path)


def test_a_seed_of_a_data_file_that_has_changed_fails_and_its_curve_is_not_mixed_with_others(tmp_path: Path) -> None:
    dice, file, path = np.random.default_rng(0), tmp_path / "d.csv", tmp_path / "x.bntui"
    x = dice.normal(size=(60, 2))

    def write(y: np.ndarray) -> None:
        file.write_text("a,b,y\n" + "".join(f"{a},{b},{one}\n" for (a, b), one in zip(x, y, strict=True)))

    write(x.sum(1) > 0)
    scenario = tmp_path / "x.toml"
    head = 'title = "x"\n[data]\nsource = "d.csv"\n[network]\nhidden = [3]\n[training]\nepochs = 2\n'
    scenario.write_text(head, encoding="utf-8")
    session = Session.begin(load(scenario), path)
    with closing(Reader(path)) as reader:
        wanted = missing(reader.runs, tmp_path, 3, (), reader.data_checksum)
    assert [one.end.kind for one in trained_here(wanted) if one.end is not None] == ["finished", "finished"]
    write(x.sum(1) < 0)
    for one in trained_here(wanted):
        assert one.end is not None
        assert (one.end.kind, one.figures.size) == ("failed", 0)
        assert one.end.reason == "d.csv is not the data that the recording was made from: the checksums differ"
    session.close()


# --- from end to end ---


@pytest.mark.usefixtures("real_trainers")
def test_seeds_that_were_lost_to_a_kill_are_trained_again(tmp_path: Path) -> None:
    scenario = tmp_path / "x.toml"
    scenario.write_text(TEXT.replace("epochs = 3", "epochs = 90") + "[study]\nseeds = 2\n", encoding="utf-8")
    path = tmp_path / "killed.bntui"
    assert bntui("run", scenario, "--detach", "-o", path).returncode == 0
    pid = trainer_of(path)
    until(lambda: rows(path, "SELECT 1 FROM seed WHERE ending IS NULL"), "the beginning of a seed")
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_live(path), "the end of the trainer")
    resumed = bntui("resume", path, "--headless")
    assert resumed.returncode == 0, resumed.stderr
    with closing(Reader(path)) as reader:
        assert reader.seeds_asked == 2
        for one in missing(reader.runs, tmp_path, 2, ()):
            (whole,) = trained_here([one])
            (course,) = reader.seeds(one.run)
            assert (course.seed, course.end) == (1, whole.end)
            assert same(course.figures, whole.figures)
    assert len(rows(path, "SELECT id FROM seed")) == 2
    over = bntui("resume", path, "--headless")
    assert "have ended" in over.stderr


def trainer_of(recording: Path) -> int:
    """The process that listens on the recording's socket."""
    import socket
    import struct

    trainer = Trainer.connect(recording)
    assert trainer is not None
    with closing(trainer):
        told = trainer._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", told)[0])


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stops early and a fork of it, with two other seeds each."""
    path = tmp_path_factory.mktemp("seeds") / "forked.bntui"
    rule = {"monitor": "val_loss", "patience": 3, "min_delta": 9.0}  # stops after epoch 4
    session = Session.begin(parse(BASE, file="x", overrides=[("training.early_stopping", rule), ("training.lr", 3.0),
                                                               ("training.epochs", 20)]), path)  # fmt: skip
    session.epoch(never)
    session.fork(0, session.runs[0].step, [("training.momentum", 0.2)])
    while not session.over:
        session.epoch(never)
    with closing(Reader(path)) as reader:
        for one in missing(reader.runs, path.parent, 3, ()):
            session.writer.add_seed(*trained_here([one]))
    session.writer.plan(Agenda(seeds=3).text())
    session.close()
    return path


def test_the_seeds_of_a_fork_are_audited_as_to_where_they_stop(forked: Path, tmp_path: Path) -> None:
    assert audit(forked).true
    with closing(Reader(forked)) as reader:
        (course, *_others) = reader.seeds(1)
    assert course.end is not None
    assert (course.end.kind, course.end.epoch) == ("stopped_early", 4)
    path = tmp_path / "forged.bntui"
    path.write_bytes(forked.read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None)) as db:  # as if it had stopped an epoch earlier
        db.execute("DELETE FROM seed WHERE run = 1 AND seed = ?", (course.seed,))
        reason = course.end.reason.replace(f"{course.end.epoch:g}", f"{course.end.epoch - 1:g}", 1)
        end = replace(course.end, epoch=course.end.epoch - 1, reason=reason)
        seeds.add(db, SeedPiece(1, course.seed, course.first, course.figures[:, :-1], end))
    report = audit(path)
    assert not report.true


def test_only_seeds_that_have_ended_have_a_loss_at_their_ends() -> None:
    def course(seed: int, loss: float, *, ended: bool) -> SeedCourse:
        figures = np.full((len(FIGURES), 3), np.nan)
        figures[FIGURES.index("val_loss")] = (9.0, 8.0, loss)
        return SeedCourse(seed, 0, figures, SeedEnd("finished", 2.0) if ended else None)

    courses = [course(1, 0.5, ended=True), course(2, 0.25, ended=True), course(3, 7.0, ended=False)]
    assert list(seed_lines(courses)) == [
        "other seeds 1–3   validation loss at their ends 0.25 to 0.5   1 of them has not ended"
    ]
    assert list(seed_lines(courses[2:])) == ["other seeds 3   1 of them has not ended"]
    wild = [course(4, math.nan, ended=True), course(5, math.inf, ended=True)]
    assert list(seed_lines([*courses[:2], *wild])) == [
        "other seeds 1–2, 4–5   validation loss at their ends 0.25 to 0.5   validation loss not finite in 2 of them"
    ]
    assert list(seed_lines(wild)) == ["other seeds 4–5   validation loss not finite in 2 of them"]


def test_show_and_list_name_the_seeds(forked: Path) -> None:
    with closing(Reader(forked)) as reader:
        courses = reader.seeds(1)
    losses = [float(course.figure("val_loss")[-1]) for course in courses]
    text = bntui("show", forked, "--run", "1").stdout
    assert f"other seeds 5–6   validation loss at their ends {min(losses):.6g} to {max(losses):.6g}" in text
    told = json.loads(bntui("show", forked, "--run", "1", "--json").stdout)["seeds"]
    assert [(one["seed"], one["val_loss"], one["state"]) for one in told] == [
        (course.seed, loss, course.end.kind) for course, loss in zip(courses, losses, strict=True) if course.end
    ]
    listed = entry(forked)
    assert listed.seeds == 3
    assert "; 3 seeds)" in _described(listed)


@pytest.mark.usefixtures("real_trainers")
def test_a_run_without_a_screen_fails_if_no_other_seed_could_be_trained(tmp_path: Path) -> None:
    data = tmp_path / "x.csv"
    data.write_text("a,b\n" + "\n".join(f"{at / 20},{at / 10}" for at in range(40)) + "\n", encoding="utf-8")
    scenario = tmp_path / "x.toml"
    scenario.write_text(
        'title = "S"\n[data]\nsource = "x.csv"\n[network]\nhidden = [3]\n[training]\nepochs = 2\n', encoding="utf-8"
    )
    path = tmp_path / "x.bntui"
    assert bntui("run", scenario, "--headless", "-o", path).returncode == 0
    session = Session.resume(path)
    session.writer.plan(Agenda(seeds=2).text())
    session.close()
    data.unlink()
    done = bntui("resume", path, "--headless")
    assert done.returncode == 1
    assert "no other seed could be trained" in done.stderr
    assert "x.csv" in done.stderr


def test_a_recording_without_the_table_is_read(tmp_path: Path) -> None:
    with closing(unfinished(tmp_path / "x.bntui", TEXT)) as reader:
        assert reader.seeds(0) == ()
    with closing(sqlite3.connect(tmp_path / "x.bntui", isolation_level=None)) as db:
        db.execute("DROP TABLE seed")
    with pytest.raises(RecordingError, match="its table seed is missing"):
        Reader(tmp_path / "x.bntui")
    with closing(sqlite3.connect(tmp_path / "x.bntui", isolation_level=None)) as db:
        db.execute("ALTER TABLE keyframe DROP COLUMN gradient_scale")
        db.execute("PRAGMA user_version = 3")
    with closing(Reader(tmp_path / "x.bntui")) as old:
        assert old.seeds(0) == ()
    session = Session.resume(tmp_path / "x.bntui")
    session.writer.add_seed(SeedPiece(1, 1, 0, figures(4), END))
    session.close()
    with closing(Reader(tmp_path / "x.bntui")) as new:
        assert same(new.seeds(1)[0].figures, figures(4))
