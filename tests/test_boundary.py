"""Tests untrusted recordings: every value is validated when it is read, and one bad file does not break a list."""

from __future__ import annotations

import json
import os
import random
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bntui.__main__ import main
from bntui.audit.audit import audit
from bntui.errors import RecordingError
from bntui.link.library import entry, recordings
from bntui.recording.arrays import layer_tables
from bntui.recording.codec import metadata_of, pack_arrays, unpack_arrays
from bntui.recording.reader import Reader
from bntui.recording.schema import TABLES, VERSION, open_read_only, tables_of
from bntui.text.output import clean, json_text, unarmed
from tests.fuzz.recording_calls import view
from tests.fuzz.recording_mutations import attest
from tests.fuzz.recording_seeds import as_format_2

EVIL = "\x1b]0;owned\x07\x1b[2J"


@pytest.fixture
def path(seeds: dict[str, bytes], tmp_path: Path) -> Path:
    """One with two runs and a fork, dropout, batch normalization, early stopping, and predictions on a grid."""
    path = tmp_path / "x.bntui"
    path.write_bytes(seeds["plane"])
    return path


def edit(path: Path, *statements: str, attested: bool = True) -> None:
    """Change a recording with SQL, and make its digests anew."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            db.execute(statement)
        if attested:
            attest(db)


def change(path: Path, table: str, column: str, made_of: Callable[[str], str]) -> None:
    """Change the text in one column of a table's first row."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        key, text = db.execute(f"SELECT rowid, {column} FROM {table} LIMIT 1").fetchone()
        db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (made_of(text), key))
        attest(db)


def test_every_seed_is_read_and_true_in_what_it_shows(seeds: dict[str, bytes], tmp_path: Path) -> None:
    for name, block in seeds.items():
        path = tmp_path / f"{name}.bntui"
        path.write_bytes(block)
        with closing(Reader(path)) as reader:
            for run in reader.runs:
                history = reader.history(run.index)
                for row in np.flatnonzero(history.has_frame).tolist():
                    assert reader.keyframe(run.index, row).step == history.step[row]
                for row in reader.evidence_rows(run.index).tolist():
                    assert reader.evidence(run.index, row)
            assert (reader.dataset is not None) == (name != "watched")


# --- the schema ---

FOREIGN = {
    "a view": ["CREATE VIEW evil AS SELECT * FROM run"],
    "a view in place of a table": ["ALTER TABLE event RENAME TO old", "CREATE VIEW event AS SELECT * FROM old"],
    "a trigger": ["CREATE TRIGGER evil AFTER UPDATE ON run BEGIN DELETE FROM event; END"],
    "an index of an expression": ["CREATE INDEX evil ON keyframe (step + 1)"],
    "a table": ["CREATE TABLE evil (x)"],
    "a virtual table": ["CREATE VIRTUAL TABLE evil USING fts5 (x)"],
    "a generated column": ["ALTER TABLE keyframe ADD COLUMN evil AS (step * 2)"],
    "another column": ["ALTER TABLE run ADD COLUMN evil TEXT"],
    "a renamed column": ["ALTER TABLE run RENAME COLUMN name TO evil"],
    "a renamed table": ["ALTER TABLE event RENAME TO evil"],
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_schema_that_no_recording_has_is_refused(path: Path, what: str) -> None:
    edit(path, *FOREIGN[what], attested=False)
    with pytest.raises(RecordingError, match=r"has an unexpected|its table event is missing"):
        Reader(path)
    with pytest.raises(RecordingError):
        audit(path)
    assert entry(path).problem


@pytest.mark.parametrize("table", ["meta", "run", "keyframe", "measures", "evidence", "event", "checkpoint", "data"])
def test_a_missing_table_is_named(path: Path, table: str) -> None:
    edit(path, "PRAGMA foreign_keys = OFF", f"DROP TABLE {table}", attested=False)
    with pytest.raises(RecordingError, match=f"its table {table} is missing"):
        Reader(path)


def test_the_tables_of_each_format_are_known(seeds: dict[str, bytes], tmp_path: Path) -> None:
    assert tables_of(VERSION).keys() - tables_of(2).keys() == {"agenda", "seed"}
    with closing(sqlite3.connect(":memory:")) as db:  # SQLite itself says what the script makes
        db.executescript(TABLES)
        for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"):
            assert tables_of(VERSION)[name].fits(sql)
            assert not tables_of(VERSION)[name].fits(sql.replace(")", ", evil AS (1))", 1))
    old = tmp_path / "old.bntui"
    as_format_2(seeds["curve"], old)
    open_read_only(old).close()
    edit(old, "PRAGMA user_version = 1", attested=False)  # format 1 had no figures beside an event's sentence
    with pytest.raises(RecordingError, match="table 'event'"):
        open_read_only(old)


def test_a_stranger_s_file_cannot_be_written_or_make_sqlite_work_for_ever(path: Path) -> None:
    with closing(open_read_only(path)) as database:
        assert database.execute("PRAGMA trusted_schema").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            database.execute("DELETE FROM run")
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            database.execute(endless)
        assert database.execute("SELECT count(*) FROM run").fetchone() == (3,)  # the next query has time of its own
        with pytest.raises(sqlite3.DataError, match="too big"):
            database.execute("SELECT zeroblob(100000000)")


# --- cells ---

WRONG_CELLS = [
    ("keyframe", "step", "-1"), ("keyframe", "step", "9223372036854775807"), ("keyframe", "step", "'x'"),
    ("keyframe", "epoch", "9e999"), ("keyframe", "epoch", "1e308"), ("keyframe", "epoch", "-1.0"),
    ("keyframe", "epoch", "x'00'"), ("event", "epoch", "1e308"),
    ("keyframe", "val_loss", "'many'"), ("keyframe", "lr", "9e999"), ("keyframe", "epoch_end", "2"),
    ("keyframe", "best_epoch", "NULL"), ("keyframe", "wait", "-5"), ("keyframe", "reason", "x'ff'"),
    ("keyframe", "run", "7"), ("keyframe", "layers", "'text'"), ("keyframe", "layers", "x'0000000000000000'"),
    ("event", "run", "99"), ("event", "kind", "x'00'"), ("event", "step", "0.5"), ("event", "arguments", "'{'"),
    ("run", "steps_per_epoch", "0"), ("run", "name", "''"), ("run", "device", "x'00'"), ("run", "run", "run + 5"),
    ("meta", "value", "x'00'"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column", "value"), WRONG_CELLS)
def test_a_cell_of_another_type_or_out_of_range_is_refused_with_its_place(
    path: Path, table: str, column: str, value: str
) -> None:
    edit(path, f"UPDATE {table} SET {column} = {value}" + " WHERE id = 3" * (table == "keyframe"))
    with pytest.raises(RecordingError) as told:
        Reader(path)
    words = str(told.value)
    assert words.startswith(f"{path} is damaged: ")
    assert len(words) < len(str(path)) + 320
    assert words.isprintable()
    with pytest.raises(RecordingError):
        audit(path)


def test_where_a_cell_is_wrong_is_said(path: Path) -> None:
    edit(path, "UPDATE keyframe SET wait = -5 WHERE id = 3")
    with pytest.raises(
        RecordingError, match=r"wait in the table keyframe \(id 3, run 0, step \d+\) is -5, not a whole"
    ):
        Reader(path)


def test_what_diverged_is_no_damage(path: Path) -> None:
    edit(path, "UPDATE keyframe SET val_loss = 9e999, train_loss = NULL WHERE id > 3")
    with closing(Reader(path)) as reader:
        assert np.isinf(reader.history(0).val_loss[-1])
        assert np.isnan(reader.history(0).train_loss[-1])


# --- JSON ---

DEEP = {"a list": "[" * 100_000, "a table": '{"a":' * 100_000, "closed": "[" * 50 + "]" * 50}
WRONG_JSON: list[tuple[str, str, Callable[[str], str]]] = [
    *(("run", column, lambda _text, deep=deep: deep) for column in ("config", "layers") for deep in DEEP.values()),
    ("run", "config", lambda text: text.replace('"epochs": 3', '"epochs": 1e400')),
    ("run", "config", lambda text: text.replace('"epochs": 3', '"epochs": "3"')),
    ("run", "config", lambda text: text.replace('"epochs": 3', f'"epochs": {"9" * 5000}')),
    ("run", "config", lambda text: text.replace('"patience": 1', '"patience": null')),
    ("run", "config", lambda text: text.replace('"training"', '"straining"')),
    ("run", "config", lambda text: text.replace('"norm_eps": 1e-05', '"norm_eps": 0.0')),
    ("run", "layers", lambda text: text.replace('"shape": [5]', '"shape": []')),
    ("run", "layers", lambda text: text.replace('"shape": [5]', '"shape": [5, 1]')),
    ("run", "layers", lambda text: text.replace('"shape": [5]', '"shape": [1000000000]')),
    ("run", "layers", lambda text: text.replace('"dropout": 0.2', '"dropout": NaN')),
    ("run", "layers", lambda text: text.replace('"name"', '"nickname"')),
    ("run", "layers", lambda _text: "[]"),
    ("run", "layers", lambda text: json.dumps(json.loads(text) * 400)),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG_JSON)))
def test_json_that_is_deep_large_or_of_another_form_is_refused(path: Path, number: int) -> None:
    table, column, made_of = WRONG_JSON[number]
    change(path, table, column, made_of)
    with pytest.raises(RecordingError, match="is damaged") as told:
        Reader(path)
    assert len(str(told.value)) < len(str(path)) + 320


def test_keys_and_kinds_of_a_newer_version_pass(path: Path) -> None:
    change(path, "run", "config", lambda text: text[:-1] + ', "later": {"x": [1]}}')
    change(path, "run", "layers", lambda text: text.replace('"activation": "relu"', '"activation": "swish"', 1))
    with closing(Reader(path)) as reader:
        assert reader.runs[0].config["later"] == {"x": [1]}
        assert reader.runs[0].layers[0].activation == "swish"


def test_a_configuration_without_any_of_its_keys_is_refused_or_shown(path: Path) -> None:
    """Recordings of other versions lack some keys; what every version wrote is required."""
    with closing(sqlite3.connect(path)) as db:
        config = json.loads(db.execute("SELECT config FROM run").fetchone()[0])
    whole, refused = path.read_bytes(), set()
    keys = [(section, key) for section, table in config.items() if isinstance(table, dict) for key in table]
    for section, key in keys:
        less = config | {section: {name: value for name, value in config[section].items() if name != key}}
        path.write_bytes(whole)
        edit(path, f"UPDATE run SET config = '{json.dumps(less)}'")
        if not view(path, random.Random(f"{section}.{key}")):
            refused.add(f"{section}.{key}")
    required = {"data.source", "data.batch_size", "training.epochs", "training.early_stopping", "record.budget"}
    assert refused == required


def test_a_configuration_that_cannot_be_trained_can_be_shown_and_is_not_forked(path: Path) -> None:
    change(path, "run", "config", lambda text: text.replace('"optimizer": "sgd"', '"optimizer": "magic"'))
    Reader(path).close()
    assert said("fork", str(path), "--run", "0", "--set", "training.lr=0.1", "--headless") == (2, "")


def test_no_control_character_of_a_recording_comes_through(path: Path) -> None:
    edit(
        path,
        f"UPDATE meta SET value = '{EVIL}title' WHERE key = 'title'",
        f"UPDATE run SET name = '{EVIL}' || name, device = '{EVIL}cpu'",
        f"UPDATE event SET message = '{EVIL}' || message, arguments = '{{\"a\": \"\\u001b[2J\"}}'",
    )
    change(path, "run", "config", lambda text: text.replace('"blobs"', json.dumps(f"{EVIL}\u202eblobs.csv")))
    with closing(Reader(path)) as reader:
        assert reader.title == "]0;owned[2Jtitle"
        run = reader.runs[0]
        words = [run.name, run.device, run.config["data"]["source"], *(event.text for event in reader.events(0))]
        assert all(word.isprintable() for word in words), words


# --- arrays ---


def block(path: Path, table: str, number: int = 0) -> bytes:
    with closing(sqlite3.connect(path)) as db:
        found: bytes = db.execute(f"SELECT block FROM {table} LIMIT 1 OFFSET ?", (number,)).fetchone()[0]
    return found


def put(path: Path, table: str, block: bytes) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        db.execute(f"UPDATE {table} SET block = ? WHERE rowid = (SELECT min(rowid) FROM {table})", (block,))
        attest(db)


WRONG_MEASURES: dict[str, NDArray[Any]] = {
    "counts": np.zeros((3, 4, 31), np.uint8),
    "batch_indices": np.array([-1, 2]),
    "0.mask": np.zeros((8, 3), np.uint8),
    "0.mask_shape": np.array([8, 2**40]),
    "predictions": np.zeros((2, 2, 2), np.float16),
    "predicted_classes": np.zeros((1, 1), np.uint8),
    "0.eps": np.array([0.0]),
}


@pytest.mark.parametrize("name", WRONG_MEASURES)
def test_measures_of_another_shape_type_or_range_are_refused(path: Path, name: str) -> None:
    arrays = unpack_arrays(block(path, "measures")) | {name: WRONG_MEASURES[name]}
    put(path, "measures", pack_arrays(arrays))
    with closing(Reader(path)) as reader, pytest.raises(RecordingError, match=rf"the array {name.split('_')[0]}"):
        reader.keyframe(0, 0)


WRONG_EVIDENCE: dict[str, NDArray[Any]] = {
    "stage/0": np.zeros((2, 5), np.float32),
    "stage/1": np.zeros((8, 6), np.float32),
    "stage/99": np.zeros((8, 5), np.float32),
    "mask/linear 1": np.zeros((2, 2), np.uint8),
    "before/linear 1.linear.weight": np.zeros((2, 2), bool),
}


@pytest.mark.parametrize("name", WRONG_EVIDENCE)
def test_evidence_of_another_shape_or_type_is_refused(path: Path, name: str) -> None:
    old = block(path, "evidence")
    put(path, "evidence", pack_arrays(unpack_arrays(old) | {name: WRONG_EVIDENCE[name]}, metadata_of(old)))
    with closing(Reader(path)) as reader, pytest.raises(RecordingError, match="the array"):
        reader.evidence(0, int(reader.evidence_rows(0)[0]))


WRONG_DATA: dict[str, NDArray[Any]] = {
    "x": np.full((24, 2), np.nan, np.float32),
    "y": np.full(24, 9),
    "train": np.array([0, 24]),
    "validation": np.array([-1]),
}


@pytest.mark.parametrize("name", WRONG_DATA)
def test_samples_that_lead_nowhere_are_refused(path: Path, name: str) -> None:
    old = block(path, "data")
    put(path, "data", pack_arrays(unpack_arrays(old) | {name: WRONG_DATA[name]}, metadata_of(old)))
    with closing(Reader(path)) as reader, pytest.raises(RecordingError, match=f"the array {name}"):
        assert reader.dataset


HEADERS = [b"", b"\xff" * 8, (2**62).to_bytes(8, "little"), (10**6).to_bytes(8, "little") + b"[" * 10**6,
           (4).to_bytes(8, "little") + b"{}  "]  # fmt: skip


@pytest.mark.parametrize("number", range(len(HEADERS)))
def test_the_headers_of_blocks_are_bounded(path: Path, number: int) -> None:
    put(path, "measures", HEADERS[number])
    put(path, "evidence", HEADERS[number])
    with closing(Reader(path)) as reader:
        with pytest.raises(RecordingError):
            reader.keyframe(0, 0)
        if number < 4:
            with pytest.raises(RecordingError):
                reader.state(0, 0)


def test_a_table_of_scalars_is_of_its_layers() -> None:
    rows = layer_tables([np.arange(78.0).tobytes(), None, np.arange(70.0).tobytes()], 2)
    assert rows.shape == (3, 2, 39)
    assert rows[0].ravel().tolist() == list(range(78))
    assert np.isnan(rows[1]).all()
    assert rows[2, :, :35].ravel().tolist() == list(range(70))
    for size in (77, 0, 68, 80):
        with pytest.raises(ValueError, match="does not match 2 layers"):
            layer_tables([np.zeros(size).tobytes()], 2)


# --- files ---


def _special(folder: Path, good: bytes) -> Iterator[Path]:
    """What is no regular file, or is none that is worth reading."""
    for name in ("pipe", "zero", "gone", "loop", "folder", "socket", "sparse", "text", "empty"):
        path = folder / f"{name}.bntui"
        match name:
            case "pipe":
                os.mkfifo(path)
            case "zero":
                path.symlink_to("/dev/zero")
            case "gone":
                path.symlink_to("nowhere")
            case "loop":
                path.symlink_to(path)
            case "folder":
                path.mkdir()
            case "socket":
                with socket.socket(socket.AF_UNIX) as listening:
                    listening.bind(os.path.relpath(path))
            case "sparse":
                path.touch()
                os.truncate(path, 2**40)
            case "text":
                path.write_text("no recording\x1b[2J\n" * 100)
            case _:
                path.touch()
        yield path
    beside = folder / "beside.bntui"
    beside.write_bytes(good)
    os.mkfifo(folder / "beside.bntui-wal")
    yield beside


COMMANDS = ("show", "stops", "audit", "replay", "attach", "resume --headless", "fork --headless", "stop", "compare")


def said(*arguments: str) -> tuple[object, str]:
    """Exit code and stdout of a command, in this process."""
    before, sys.argv = sys.argv, ["bntui", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code, ""
    finally:
        sys.argv = before
    return None, ""


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_opens_what_is_no_file(
    command: str,
    seeds: dict[str, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    monkeypatch.setenv("XDG_RUNTIME_DIR", tempfile.mkdtemp(dir="/tmp"))
    good = tmp_path / "good"
    good.write_bytes(seeds["curve"])
    for path in _special(tmp_path, seeds["curve"]):
        more = [str(good)] if command == "compare" else []
        code, _nothing = said(*command.split(), *more, str(path))
        out, words = capsys.readouterr()
        assert (code, out) == (2, ""), path
        assert words.startswith("bntui: ")
        assert path.name in words
        assert "Traceback" not in words
        assert words.removesuffix("\n").isprintable()


def test_no_file_breaks_a_list(seeds: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    special = list(_special(tmp_path, seeds["curve"]))
    for name in (f"{EVIL}\n.bntui", os.fsdecode(b"\xff\xfe.bntui"), "fine.bntui"):
        (tmp_path / name).write_bytes(seeds["curve"])
    os.utime(tmp_path / "fine.bntui", (-(2**40), -(2**40)))  # older than any calendar
    found = {found.path.name: found for found in recordings(tmp_path)}
    assert len(found) == len(special) + 3
    assert all(found[path.name].problem for path in special)
    assert found["fine.bntui"].problem is None
    assert found["fine.bntui"].title == "A curve"


def test_a_list_says_names_without_what_a_terminal_obeys(
    seeds: dict[str, bytes], own_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = own_folders / "xdg_data_home" / "bntui" / "recordings"
    folder.mkdir(parents=True)
    names = [f"{EVIL}\n\x9b.bntui", os.fsdecode(b"\xff.bntui"), "gone.bntui"]
    for name in names[:2]:
        (folder / name).write_bytes(seeds["curve"])
    (folder / names[2]).symlink_to("nowhere")
    said("list")
    text = capsys.readouterr().out
    assert all(line.isprintable() for line in text.splitlines())
    assert "is a broken link" in text
    said("list", "--json")
    text = capsys.readouterr().out
    assert text.removesuffix("\n").isprintable()
    paths = {listed["path"] for listed in json.loads(text)["recordings"]}
    assert paths == {str(folder / name) for name in names}  # a program gets the very names


def test_a_list_of_thousands_stays_fast_enough_to_be_shown(seeds: dict[str, bytes], tmp_path: Path) -> None:
    opened = tmp_path / "one.bntui"
    opened.write_bytes(seeds["curve"])
    for number in range(2000):
        (tmp_path / f"{number}.bntui").hardlink_to(opened)
    assert len(recordings(tmp_path)) == 2001


# --- words ---


def test_text_is_cleaned_for_a_terminal_and_escaped_for_a_program() -> None:
    assert clean("a\x1b[2J\u202e\ud800b\nc") == "a[2Jb c"
    assert unarmed("a\x1b\u202eé\u200db\x9b") == "aé\u200db"
    written = json_text({"a": "\x7f\x1b\ud800\u202eé\n\x85"})
    assert written.isprintable()
    assert json.loads(written) == {"a": "\x7f\x1b\ud800\u202eé\n\x85"}


def test_a_recording_is_read_without_what_validates_scenarios(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bntui.recording.reader import Reader; Reader(Path(sys.argv[1]));"
    )
    script += "assert not {'pydantic', 'torch', 'textual'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
