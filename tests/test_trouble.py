"""Tests that the first bad step is the one found by measuring every step, and that a resume reports how it goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bntui.audit.audit import audit
from bntui.errors import DataError, RecordingError
from bntui.keyframe import Keyframe
from bntui.recording.codec import fields_digest
from bntui.recording.copy import copied, writable
from bntui.recording.reader import Reader
from bntui.recording.schema import RUN
from bntui.scenario.load import Override, parse
from bntui.trainer import first_failure
from bntui.trainer.session import Session
from tests.same import compare
from tests.test_dead import POSITIVE, positive
from tests.test_session import DIGITS, never, rows, train

DIVERGES: list[Override] = [
    ("network.activation", "relu"), ("network.hidden", [20] * 6), ("network.init", "he"), ("training.lr", 10.0),
    ("training.epochs", 5),
]  # fmt: skip
DIES: list[Override] = [
    ("network.activation", "relu"), ("network.hidden", [20] * 6), ("network.init", "he"), ("training.lr", 1.2),
    ("training.weight_decay", 0.3), ("training.epochs", 8),
]  # fmt: skip


def not_finite(frame: Keyframe) -> bool:
    """Any figure of a step that is NaN or infinite, looked for in the keyframe's own numbers."""
    figures = [frame.batch_loss]
    for layer in frame.layers:
        for values in (layer.input, layer.pre_norm, layer.normalized, layer.output):
            figures += [] if values is None else [values.min, values.max]
        figures += [layer.weight_gradient_norm, layer.activation_gradient_norm]
    return not np.isfinite(figures).all()


def dead(frame: Keyframe) -> str | None:
    """The layer nearest to the output whose weight gradient is below 1e-8 of the output layer's."""
    last = frame.layers[-1].weight_gradient_norm
    names = [layer.name for layer in frame.layers[:-1] if last > 0 and layer.weight_gradient_norm < 1e-8 * last]
    return names[-1] if names else None


def test_the_first_bad_value_is_found_to_the_step(tmp_path: Path) -> None:
    every = train(tmp_path, DIGITS, *DIVERGES, ("record.every", 1))
    # measured at each step the run ends as soon as its weights are no numbers: the next step is the first to see it
    frames = [every.keyframe(0, row) for row in range(len(every.history(0)))]
    assert not any(map(not_finite, frames))
    assert np.isnan(frames[-1].val_loss)
    assert np.isfinite([frame.val_loss for frame in frames[:-1]]).all()
    first = frames[-1].step + 1
    assert first % 6 > 1, "within an epoch, or it would be found without a search"
    (event,) = [event for event in every.events(0) if event.kind == "first_bad"]
    assert event.message == f"first NaN value at step {first - 1}: validation loss of layer output"

    once = train(tmp_path, DIGITS, *DIVERGES)
    (event,) = [event for event in once.events(0) if event.kind == "first_bad"]
    assert event.step == first
    assert event.message.startswith(f"first infinite value at step {first}: pre-activation of layer linear")
    row = int(np.searchsorted(once.history(0).step, first))
    assert once.history(0).step[row] == first  # a keyframe of its own, to be looked at
    assert not_finite(once.keyframe(0, row))
    assert row in once.evidence_rows(0)
    assert once.events(0)[-1].kind == "diverged"


def test_the_quantity_is_the_first_one_on_the_way(tmp_path: Path) -> None:
    once = train(tmp_path, DIGITS, *DIVERGES)
    (event,) = [event for event in once.events(0) if event.kind == "first_bad"]
    history = once.history(0)
    frame = once.keyframe(0, int(np.searchsorted(history.step, event.step)))
    way = [
        (layer.name, words, np.isfinite([values.min, values.max]).all())
        for layer in frame.layers
        for words, values in (("input", layer.input), ("pre-activation", layer.pre_norm), ("output", layer.output))
    ]
    way.append(("output", "loss", np.isfinite(frame.batch_loss)))
    for layer in reversed(frame.layers):
        way.append((layer.name, "activation gradient", np.isfinite(layer.activation_gradient_norm)))
        way.append((layer.name, "weight gradient", np.isfinite(layer.weight_gradient_norm)))
    layer_name, quantity, _ = next(place for place in way if not place[2])
    assert (event.arguments["layer"], event.arguments["quantity"]) == (layer_name, quantity)


def test_a_gradient_that_dies_is_found_to_the_step(tmp_path: Path) -> None:
    every = train(tmp_path, DIGITS, *DIES, ("record.every", 1))
    frames = [every.keyframe(0, row) for row in range(len(every.history(0)))]
    first = next(frame for frame in frames if dead(frame))
    assert first.step > 1
    once = train(tmp_path, DIGITS, *DIES)
    (event,) = [event for event in once.events(0) if event.kind == "died"]
    assert event.step == first.step
    assert event.arguments["layer"] == dead(first)
    assert once.events(0)[-1].kind == "finished"  # it goes on, and to its end
    assert compare(every, 0, once, 0) >= 8


def test_trouble_in_a_resumed_run_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "x.bntui"
    session = Session.begin(parse(DIGITS, file="test.toml", overrides=DIES), path)
    while not any(event.kind == "died" for event in Reader(path).events(0)):
        session.epoch(never)
    session.close()
    session = Session.resume(path)
    while not session.over:
        session.epoch(never)
    session.close()
    with closing(Reader(path)) as reader:
        assert [event.kind for event in reader.events(0)] == ["died", "resumed", "finished"]


def half(path: Path, *overrides: Override) -> Path:
    session = Session.begin(parse(DIGITS, file="test.toml", overrides=list(overrides)), path)
    for _ in range(3):
        session.epoch(never)
    session.close()
    return path


def change_meta(path: Path, **values: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for key, value in values.items():
            db.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
        meta = sorted(db.execute("SELECT key, value FROM meta WHERE key != 'digest'").fetchall())
        db.execute("UPDATE meta SET value = ? WHERE key = 'digest'", (fields_digest(meta).hex(),))


def resumed_event(path: Path) -> str:
    session = Session.resume(path)
    session.epoch(never)
    session.close()
    with closing(Reader(path)) as reader:
        return next(event.message for event in reader.events(0) if event.kind == "resumed")


def test_another_torch_is_said(tmp_path: Path) -> None:
    assert resumed_event(half(tmp_path / "same.bntui")) == "resumed at epoch 3"
    path = half(tmp_path / "other.bntui")
    change_meta(path, torch="2.0.0", cpu_capability="VSX")
    message = resumed_event(path)
    assert message.startswith("resumed at epoch 3 with torch 2.")
    assert message.endswith("instead of torch 2.0.0, cpu, VSX: bits may differ")


def test_a_recording_from_a_device_that_is_not_here_is_gone_on_with_and_said(tmp_path: Path) -> None:
    path = half(tmp_path / "x.bntui")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE run SET device = 'cuda:7'")
        row = db.execute(f"SELECT {', '.join(RUN)} FROM run").fetchone()
        db.execute("UPDATE run SET digest = ?", (fields_digest(*row),))
    change_meta(path, device="cuda:7", device_name="NVIDIA H100")
    assert "instead of torch" in resumed_event(path)


def test_the_digests_say_from_where_a_run_departs(tmp_path: Path) -> None:
    path = half(tmp_path / "x.bntui", ("record.budget", 0.0))
    with closing(
        sqlite3.connect(path, isolation_level=None)
    ) as db:  # as if another machine had trained on from step 12
        db.execute("UPDATE keyframe SET weights_digest = 'ffff' WHERE step >= 12")
    session = Session.resume(path)
    session.epoch(never)
    session.close()
    with closing(Reader(path)) as reader:
        (event,) = [event for event in reader.events(0) if event.kind == "departed"]
        assert event.message == "from step 12 on the weights are no longer those that were recorded"


@pytest.mark.parametrize("table", ["evidence", "data", "run"])
def test_a_damaged_recording_is_not_gone_on_with(tmp_path: Path, table: str) -> None:
    path = half(tmp_path / "x.bntui", ("record.budget", 2.0))
    column = {"evidence": "block", "data": "block", "run": "config"}[table]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for rowid, value in db.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
            at = len(value) * 2 // 3
            if isinstance(value, str):
                changed: str | bytes = value.replace("60", "61", 1)  # the batch size
            else:
                changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
            db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (changed, rowid))
    before = path.read_bytes()
    with pytest.raises((RecordingError, DataError), match=r"damaged"):
        Session.resume(path)
    assert rows(path, "SELECT count(*) FROM event") == [(0,)]
    assert len(path.read_bytes()) == len(before)


def test_foreign_and_newer_files_are_not_gone_on_with(tmp_path: Path) -> None:
    foreign = tmp_path / "notes.bntui"
    foreign.write_text("no recording at all")
    with pytest.raises(RecordingError, match="is not a recording"):
        Session.resume(foreign)
    assert foreign.read_text() == "no recording at all"
    path = half(tmp_path / "x.bntui")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(RecordingError, match="newer"):
        Session.resume(path)


def test_format_1_can_be_replayed_and_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "old.bntui"
    path.write_bytes((Path(__file__).parent / "data" / "format-1.bntui").read_bytes())
    before = path.read_bytes()
    with pytest.raises(RecordingError, match="format 1"):
        Session.resume(path)
    assert path.read_bytes() == before


def test_a_copy_has_what_the_journal_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.bntui"
    session = Session.begin(parse(DIGITS, file="test.toml"), path)
    session.epoch(never)
    assert path.with_name("x.bntui-wal").stat().st_size > 0
    copy = copied(path, tmp_path / "copies")
    session.close()
    assert copy.name == "x-001.bntui"
    assert writable(copy)
    with closing(Reader(copy)) as one, closing(Reader(path)) as other:
        assert compare(one, 0, other, 0) == 2


SINE = """
title = "A sine"
[data]
source = "sine"
samples = {samples}
batch_size = 4
[network]
hidden = [8, 8]
activation = "sigmoid"
[training]
lr = 3.0
epochs = 1
"""


@pytest.mark.parametrize("samples", [185, 210])
def test_two_troubles_in_one_interval_are_each_found_in_their_order(tmp_path: Path, samples: int) -> None:
    text = SINE.format(samples=samples)
    once, every = train(tmp_path, text), train(tmp_path, text, ("record.every", 1))
    steps = once.history(0).step
    assert (np.diff(steps) > 0).all()
    found = {event.kind: event.step for event in once.events(0)}
    frames = [every.keyframe(0, row) for row in range(len(every.history(0)))]
    deaths = [frame.step for frame in frames if dead(frame)]
    assert found.get("died") == (deaths[0] if deaths else None)
    assert found["first_bad"] >= frames[-1].step  # where each step is measured, the run ends when validation overflows
    assert not_finite(once.keyframe(0, int(np.searchsorted(steps, found["first_bad"]))))
    assert {found["first_bad"], *deaths[:1]} <= set(steps.tolist())


@pytest.mark.parametrize("every", [4, 23])
def test_a_gradient_dies_in_the_same_step_however_seldom_it_is_measured(tmp_path: Path, every: int) -> None:
    exact = train(tmp_path, DIGITS, *DIES, ("record.every", 1))
    seldom = train(tmp_path, DIGITS, *DIES, ("record.every", every))
    told = [next(event for event in reader.events(0) if event.kind == "died") for reader in (exact, seldom)]
    assert told[0] == told[1]
    assert (np.diff(seldom.history(0).step) > 0).all()


def test_a_step_that_is_recorded_for_a_dead_gradient_tells_what_its_update_led_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weight decay turns the signs of all weights: in step 2 no unit is active, and its update is too large."""
    monkeypatch.setattr(first_failure, "_stays", lambda *_of, **_keys: True)  # they would turn again
    text = POSITIVE.format(seed=0, path=positive(tmp_path), hidden=1)
    huge: list[Override] = [("training.lr", 1e-3), ("training.weight_decay", 1e16), ("data.batch_size", 5)]
    reader = train(tmp_path, text, *huge, ("training.epochs", 1))
    history = reader.history(0)
    assert history.step.tolist()[:2] == [0, 2]
    assert not np.isfinite(history.val_loss[1])
    assert not not_finite(reader.keyframe(0, 1))
    told = {event.kind: (event.step, event.arguments.get("quantity")) for event in reader.events(0)}
    assert told["died"] == (2, None)
    assert told["first_bad"] == (2, "validation loss")
    assert not audit(reader.path).ledger.failures
