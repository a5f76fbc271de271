"""Tests that recordings are found by name, renamed, and deleted, and that nothing recorded is lost by it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bntui.cli import obey
from bntui.errors import NameTakenError, RecordingError, UsageError
from bntui.link import library, manage
from bntui.link.library import find
from bntui.link.live import is_live
from bntui.recording.names import recordings_folder
from bntui.recording.reader import Reader
from tests.commands import bntui
from tests.korean import BNTUI
from tests.terminal import Terminal
from tests.test_moving import Training, training
from tests.test_registry import note
from tests.test_session import DIGITS, train

__all__ = ["training"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished recording, to be copied."""
    return train(tmp_path_factory.mktemp("made"), DIGITS).path


def put(made: Path, name: str, folder: Path | None = None) -> Path:
    """A copy of it, by default in the user's folder."""
    path = (folder or recordings_folder()) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(made, path)
    return path


def keyframes(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT count(*) FROM keyframe").fetchone()[0])


# --- names ---


def test_a_name_is_found_with_and_without_its_suffix(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(made, "deep-001.bntui")
    monkeypatch.chdir(tmp_path)
    assert find("deep-001") == find("deep-001.bntui") == path
    here = put(made, "deep-001", tmp_path)
    assert find("deep-001") == Path("deep-001")  # a path that exists wins
    here.unlink()
    Path("deep-001").symlink_to("/nowhere")
    assert find("deep-001") == Path("deep-001")
    assert find("./deep-002") == Path("deep-002")  # a path, existing or not
    assert find(str(path)) == path


def test_a_name_without_suffix_is_found_in_the_current_folder(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = put(made, "trees week 3.bntui", tmp_path)
    assert find("trees week 3").resolve() == here
    assert find("./trees week 3").resolve() == here
    (tmp_path / "folder").mkdir()
    assert find("folder/new") == Path("folder/new")
    assert bntui("show", "trees week 3").stdout.startswith("Digits · ")
    other = put(made, "trees week 3.bntui")
    with pytest.raises(UsageError, match="several recordings have this name") as refused:
        find("trees week 3")
    assert str(other) in str(refused.value)
    assert find("trees week 3.bntui").resolve() == here  # a path
    monkeypatch.chdir(other.parent)
    assert find("trees week 3").resolve() == other  # one and the same


def test_an_unknown_name_gets_the_nearest_ones(made: Path) -> None:
    for name in ("vanishing-gradients-001", "vanishing-gradients-002", "dropout-rates-001"):
        put(made, f"{name}.bntui")
    with pytest.raises(UsageError) as wrong:
        find("vanishing-gradients")
    hint = "(did you mean one of these: vanishing-gradients-001, vanishing-gradients-002?)"
    assert str(wrong.value) == f"vanishing-gradients: no such recording {hint}"
    with pytest.raises(UsageError, match=r"did you mean 'dropout-rates-001'\?"):
        find("dropout-rate-001.bntui")
    with pytest.raises(UsageError, match=r"^zzz: no such recording$"):
        find("zzz")


def test_a_trainers_recording_is_found_by_name_and_an_ambiguous_name_is_refused(
    training: Training, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert find("x") == training.recording
    other = put(made, "x.bntui")
    with pytest.raises(UsageError, match="x: several recordings have this name; give the path of one: ") as wrong:
        find("x")
    assert {str(other), str(training.recording)} <= set(str(wrong.value).replace(",", "").split())
    other.unlink()
    link = recordings_folder() / "x.bntui"
    link.symlink_to(training.recording)
    assert find("x") == link  # one recording, not two
    assert bntui("stop", "x").returncode == 0
    assert training.idle._process.wait(timeout=60) == 0


@pytest.mark.parametrize("command", ["show", "stops", "audit", "replay", "attach", "resume", "fork", "stop", "compare",
                                     "rename", "delete"])  # fmt: skip
def test_every_command_that_takes_a_recording_finds_it_by_name(command: str) -> None:
    with pytest.raises(UsageError, match=r"^nothing-like-it: no such recording$"):
        obey([command, "nothing-like-it", *(["another"] if command in ("compare", "rename") else [])])


def test_special_files_among_the_recordings_are_named_and_do_not_block(made: Path) -> None:
    folder = put(made, "fine.bntui").parent
    os.mkfifo(folder / "pipe.bntui")
    (folder / "broken.bntui").symlink_to("/nowhere")
    (folder / "circle.bntui").symlink_to(folder / "circle.bntui")
    (folder / "evil\x1b[2J.bntui").write_text("x")
    assert {path.name for path in library.known()} >= {"pipe.bntui", "broken.bntui", "circle.bntui", "fine.bntui"}
    for name, words in (("pipe", "named pipe"), ("broken", "broken link"), ("evil\x1b[2J", "is empty")):
        done = bntui("show", name)
        assert done.returncode == 2
        assert words in done.stderr
        assert "\x1b" not in done.stderr
    assert "\x1b" not in bntui("list").stdout
    with pytest.raises(RecordingError, match="named pipe"):
        manage.delete(folder / "pipe.bntui")
    for name in ("broken", "circle", "evil\x1b[2J"):
        manage.delete(folder / f"{name}.bntui")
    assert sorted(path.name for path in folder.iterdir()) == ["fine.bntui", "pipe.bntui"]


# --- search ---


def test_list_searches_names_titles_and_runs(made: Path) -> None:
    put(made, "first-one.bntui")
    put(made, "second-one.bntui")

    def listed(*words: str) -> list[str]:
        found = json.loads(bntui("list", *words, "--json").stdout)["recordings"]
        return sorted(Path(entry["path"]).stem for entry in found)

    assert listed("ONE") == ["first-one", "second-one"]
    assert listed("one", "sec") == ["second-one"]
    assert listed("digits", "first") == ["first-one"]  # the title is Digits
    assert listed("nothing") == []
    assert "No such recordings" in bntui("list", "nothing").stdout
    assert bntui("list", "--live").stdout == "Nothing is being trained\n"
    both = bntui("list", "one").stdout
    both_sizes = 2 * made.stat().st_size
    size = f"{both_sizes / 1e3:.0f} kB" if both_sizes < 1e6 else f"{both_sizes / 1e6:.3g} MB"
    assert f"Recordings  2 · {size}" in both


def test_a_list_tells_a_paused_training_from_one_that_runs(training: Training) -> None:
    def told() -> tuple[bool, bool]:
        (entry,) = json.loads(bntui("list", "--live", "--json").stdout)["recordings"]
        return entry["live"], entry["paused"]

    training.until(lambda status: status.state == "running")
    assert told() == (True, False)
    training.client.send("pause")
    training.until(lambda status: status.state == "paused")
    assert told() == (True, True)
    listed = bntui("list", "--live").stdout
    assert "❚❚ paused  " in listed
    assert "● live" not in listed
    training.client.send("run")
    training.until(lambda status: status.state == "running")
    assert "● live  " in bntui("list", "--live").stdout


def test_names_with_commas_and_those_of_forks_are_told_apart_in_a_list(made: Path) -> None:
    path = put(made, "commas.bntui")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE run SET name = 'dropout, 0.1' WHERE run = 0")
        runs = [name for (name,) in database.execute("SELECT name FROM run ORDER BY run")]
    assert f"({' | '.join(runs)}; " in bntui("list", "commas").stdout
    assert "(no dropout | p = 0.2 | p = 0.5 | " in bntui("list", "dropout-rates").stdout


def test_a_name_with_what_separates_names_is_quoted_in_a_list(made: Path) -> None:
    path = put(made, "bars.bntui")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE run SET name = 'wide | deep' WHERE run = 0")
        first, *others = [name for (name,) in database.execute("SELECT name FROM run ORDER BY run")]
    assert first == "wide | deep"
    quoted = " | ".join(["'wide | deep'", *others])
    assert f"({quoted}; " in bntui("list", "bars").stdout


# --- delete ---


def test_deleting_asks_once_with_name_and_size(made: Path) -> None:
    path = put(made, "deep-001.bntui")
    size = f"{made.stat().st_size / 1000:.0f} kB"
    for answer, left in (("n", True), ("", True), ("y", False)):
        with Terminal([*BNTUI, "delete", "deep-001"], columns=100, rows=10) as terminal:
            terminal.until(f"Delete deep-001.bntui ({size})? This cannot be undone. [y/N]")
            terminal.press(f"{answer}\r")
            assert terminal.exit_code() == (1 if left else 0)
        assert path.exists() == left


def test_without_a_terminal_nothing_is_deleted_unless_agreed_before(made: Path) -> None:
    first, second = put(made, "a.bntui"), put(made, "b.bntui")
    done = bntui("delete", "a", "b")
    assert done.returncode == 2
    assert "add -y" in done.stderr
    assert first.exists()
    assert bntui("delete", "a", "b", "a", "-y").returncode == 0
    assert not first.exists()
    assert not second.exists()


def test_a_file_given_by_two_paths_is_deleted_once(made: Path, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = put(made, "a\nb.bntui", tmp_path)
    done = bntui("delete", path, tmp_path / "inner" / ".." / path.name, "-y")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("deleted: ") == 1
    assert not path.exists()


def test_a_name_with_a_line_break_has_one_line_in_the_list(made: Path) -> None:
    path = put(made, "a\nb.bntui")
    assert f"  {str(path).replace(chr(10), ' ')}  " in bntui("list").stdout


def test_of_several_none_is_deleted_if_one_is_refused(training: Training, made: Path) -> None:
    first = put(made, "a.bntui")
    done = bntui("delete", first, training.recording, "-y")
    assert done.returncode == 2
    assert f"{training.recording} is being trained; stop it first with: bntui stop" in done.stderr
    assert first.exists()
    assert training.recording.exists()
    assert is_live(training.recording)


def test_deleting_removes_what_a_killed_trainer_left_and_only_that(training: Training, made: Path) -> None:
    training.until(lambda status: status.keyframes > 6)
    os.kill(training.idle.pid, signal.SIGKILL)
    training.idle._process.wait()
    folder = training.recording.parent
    assert (folder / "x.bntui-wal").exists()
    put(made, "x.bntui-copy.bntui", folder)
    manage.delete(training.recording)
    assert sorted(path.name for path in folder.iterdir() if "bntui" in path.name) == ["x.bntui-copy.bntui"]


def test_of_a_link_only_the_link_is_deleted(made: Path, tmp_path: Path) -> None:
    path = put(made, "a.bntui", tmp_path)
    link = tmp_path / "link.bntui"
    link.symlink_to(path)
    manage.delete(link)
    assert path.exists()
    assert not os.path.lexists(link)


def test_what_is_no_recording_is_deleted_only_if_its_name_says_so(tmp_path: Path) -> None:
    for name in ("notes.txt", "damaged.bntui"):
        (tmp_path / name).write_text("precious")
    with pytest.raises(RecordingError, match="not a recording"):
        manage.delete(tmp_path / "notes.txt")
    with pytest.raises(RecordingError, match="is a folder"):
        manage.delete(tmp_path)
    manage.delete(tmp_path / "damaged.bntui")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_recording_that_another_host_trains_is_kept(made: Path) -> None:
    path = put(made, "a.bntui")
    note(path, "far away", 7)
    for change in (lambda: manage.delete(path), lambda: manage.rename(path, "b")):
        with pytest.raises(RecordingError, match="is being trained on far away by process 7; stop it there first"):
            change()
    assert path.exists()
    assert "● live on far away" in bntui("list").stdout


# --- rename ---


def test_renaming_keeps_every_keyframe_of_a_killed_trainer(training: Training) -> None:
    training.until(lambda status: status.keyframes > 6)
    os.kill(training.idle.pid, signal.SIGKILL)
    training.idle._process.wait()
    count = keyframes(training.recording)
    new = manage.rename(training.recording, "y")
    assert new == training.recording.with_name("y.bntui")
    assert keyframes(new) == count > 0
    with closing(Reader(new)) as reader:
        assert sum(len(reader.history(run.index)) for run in reader.runs) == count
    names = [path.name for path in new.parent.iterdir() if "bntui" in path.name and not path.name.endswith("-shm")]
    assert [name for name in names if name != "y.bntui-wal"] == ["y.bntui"]
    manage.rename(new, "x.bntui")  # its old name is free again


def test_a_trainer_follows_its_renamed_recording(training: Training) -> None:
    training.until(lambda status: status.keyframes > 6)
    new = manage.rename(training.recording, "y")
    assert is_live(new)
    status = training.until(lambda status: status.recording == str(new))
    training.until(lambda later: later.keyframes > status.keyframes + 2)
    last = training.end()
    assert keyframes(new) == last.keyframes


def test_nothing_is_overwritten_by_renaming(made: Path) -> None:
    path, other = put(made, "a.bntui"), put(made, "b.bntui")
    other.write_bytes(b"precious")
    with pytest.raises(NameTakenError, match=r"b\.bntui already exists; choose another name"):
        manage.rename(path, "b")
    (other.parent / "c.bntui-wal").write_bytes(b"precious")
    with pytest.raises(NameTakenError, match=r"c\.bntui-wal is left over"):
        manage.rename(path, "c")
    assert other.read_bytes() == b"precious"
    assert path.read_bytes() == made.read_bytes()


@pytest.mark.parametrize("name", ["", " ", "a/b", "../b", ".b", "-b", "b\x1b[2J", "b\n", ".bntui", "b\x00"])
def test_a_name_that_cannot_be_typed_or_shown_is_refused(made: Path, name: str) -> None:
    path = put(made, "a.bntui")
    if name == "b\n":
        assert manage.file_name(name) == "b.bntui"
        return
    with pytest.raises(UsageError, match="cannot be the name of a recording"):
        manage.rename(path, name)
    assert path.exists()


def test_a_recording_that_another_program_holds_is_not_renamed_under_it(training: Training) -> None:
    training.until(lambda status: status.keyframes > 6)
    os.kill(training.idle.pid, signal.SIGKILL)
    training.idle._process.wait()
    with closing(sqlite3.connect(training.recording, isolation_level=None)) as busy:
        busy.execute("BEGIN")
        count = busy.execute("SELECT count(*) FROM keyframe").fetchone()[0]
        with pytest.raises(RecordingError, match="in use by another program"):
            manage.rename(training.recording, "y")
        busy.execute("COMMIT")
    assert keyframes(manage.rename(training.recording, "y")) == count
