"""Tests recordings of other training loops: what is measured, kept, shown, and never done to the loop."""

from __future__ import annotations

import math
import os
import re
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len

import bntui
from bntui.audit.audit import audit
from bntui.audit.report import verdict
from bntui.errors import NameTakenError, RecordingError, StorageError, UsageError
from bntui.keyframe import COLUMN, HISTOGRAM_BINS
from bntui.link import registry
from bntui.link.library import entry
from bntui.link.lock import Hold
from bntui.link.manage import delete, rename
from bntui.recording.reader import Reader
from bntui.text.language import LANGUAGES, use
from bntui.viewer import chrome, view_state
from bntui.viewer.panels import PANELS
from bntui.viewer.screens.lab_recording import LoadedRecording
from bntui.watching.record import Recorder, record
from bntui.watching.trouble import RecorderWarning
from tests.forger import attest

RNG = np.random.default_rng(7)
EXAMPLE = Path(__file__).parents[1] / "docs" / "watch-any-framework.md"


def layers(**more: Any) -> dict[str, dict[str, Any]]:
    """Two layers of which everything is told."""
    a, w = RNG.normal(size=(8, 5)), RNG.normal(size=(3, 5))
    first = {
        "input": RNG.normal(size=(8, 3)), "pre_activation": a, "output": np.maximum(a, 0), "weight": w,
        "updated_weight": w * 0.99, "gradient": w * 2, "activation_gradient": a, "activation": "relu", **more,
    }  # fmt: skip
    return {"dense_1": first, "dense_2": {"output": RNG.normal(size=(8, 2)), "weight": RNG.normal(size=(5, 2))}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "own.bntui"


@pytest.fixture
def reading(path: Path) -> Iterator[Any]:
    """Opens the recording that a test has made."""
    opened: list[Reader] = []

    def read() -> Reader:
        opened.append(Reader(path))
        return opened[-1]

    yield read
    for reader in opened:
        reader.close()


def recorded(path: Path, epochs: int = 3, **known: Any) -> Path:
    with record(path, **known) as recorder:
        for epoch in range(1, epochs + 1):
            recorder.keyframe(10 * epoch, epoch, layers(), loss=1 / epoch, lr=0.1)
            recorder.epoch(val_loss=2 / epoch, val_accuracy=0.5)
    return path


def test_figures_are_those_that_numpy_computes(path: Path, reading: Any) -> None:
    given = layers()
    with record(path) as recorder:
        recorder.keyframe(1, 0.5, given, loss=0.25, lr=0.1)
    frame = reading().keyframe(0, 0)
    one, two = given["dense_1"], frame.layers[0]
    for key, field in {"input": "input", "pre_activation": "pre_norm", "output": "output"}.items():
        values, found = one[key].astype(np.float32).astype(np.float64), getattr(two, field)
        marks = np.percentile(values, (15, 50, 85))
        assert (found.mean, found.std) == pytest.approx((values.mean(), values.std()), rel=1e-12)
        assert (found.p15, found.p50, found.p85) == pytest.approx(tuple(marks), rel=1e-12)
        assert np.array_equal(found.counts, np.histogram(values, HISTOGRAM_BINS)[0])
    assert two.weight_norm == pytest.approx(np.linalg.norm(one["weight"]), rel=1e-6)
    assert two.weight_gradient_norm == pytest.approx(np.linalg.norm(one["gradient"]), rel=1e-6)
    assert two.update_ratio == pytest.approx(0.01, rel=1e-4)
    assert two.dead_fraction == np.mean((one["output"] == 0).all(axis=0))
    assert (frame.batch_loss, frame.lr, frame.step, frame.epoch) == (0.25, 0.1, 1, 0.5)
    assert two.normalized is None
    assert two.batch_norm is None


def test_what_is_not_told_is_missing_and_never_zero(path: Path, reading: Any) -> None:
    with record(path) as recorder:
        recorder.keyframe(1, 1, {"a": {"weight": np.ones((2, 2))}})
    reader = reading()
    (layer,) = reader.keyframe(0, 0).layers
    assert layer.output.empty
    assert math.isnan(layer.weight_gradient_norm)
    assert math.isnan(reader.keyframe(0, 0).val_loss)
    assert "weight_gradient_norm" in reader.runs[0].layers[0].absent
    assert "weight_norm" not in reader.runs[0].layers[0].absent


def test_a_figure_that_is_told_later_is_no_longer_absent_even_to_an_open_reader(path: Path, reading: Any) -> None:
    with record(path) as recorder:
        recorder.keyframe(1, 0.1, {"a": {"weight": np.ones((2, 2))}})
        reader = reading()
        assert "weight_gradient_norm" in reader.runs[0].layers[0].absent
        recorder.keyframe(2, 0.2, {"a": {"weight": np.ones((2, 2)), "gradient": np.ones((2, 2))}})
        assert reader.refresh()
        assert "weight_gradient_norm" not in reader.runs[0].layers[0].absent
        reader.release()


def test_an_epoch_completes_the_keyframe_of_its_last_step(path: Path, reading: Any) -> None:
    with record(path, epochs=5) as recorder:
        recorder.step(loss=3.0)
        recorder.keyframe(2, 1, layers(), loss=1.0)
        recorder.epoch(val_loss=0.5, val_accuracy=0.25)
        recorder.keyframe(3, 1.5, layers(), loss=4.0)
        recorder.epoch(step=4, val_loss=0.75)
    reader = reading()
    history = reader.history(0)
    assert history.step.tolist() == [2, 3, 4]
    assert history.epoch.tolist() == [1.0, 1.5, 2.0]
    assert history.epoch_end.tolist() == [True, False, True]
    assert history.has_frame.tolist() == [True, True, False]
    assert np.array_equal(history.val_loss, [0.5, math.nan, 0.75], equal_nan=True)
    assert history.train_loss.tolist() == [2.0, 4.0, 4.0]
    assert reader.runs[0].watched
    assert reader.runs[0].epochs == 5
    assert [event.kind for event in reader.events(0)] == ["finished"]


def test_early_stopping_as_reported(path: Path, reading: Any) -> None:
    with record(path) as recorder:
        for epoch, (wait, best) in enumerate([(0, 2.0), (0, 1.0), (1, 1.0), (2, 1.0)], 1):
            recorder.keyframe(epoch, epoch, layers(), loss=1.0)
            recorder.epoch(val_loss=best + wait)
            recorder.early_stopping(wait=wait, best=best, patience=2, stopped=wait == 2)
    reader = reading()
    history = reader.history(0)
    assert history.wait.tolist() == [0, 0, 1, 2]
    assert history.best_epoch.tolist()[1:] == [2, 2, 2]
    rule = reader.runs[0].early_stopping
    assert rule is not None
    assert (rule["monitor"], rule["patience"]) == ("val_loss", 2)
    (event,) = reader.events(0)
    assert event.message == "stopped at epoch 4: val_loss has not improved since epoch 2; waited 2, patience is 2"
    frame = reader.keyframe(0, 3)
    assert frame.early_stopping is not None
    assert frame.early_stopping.reason == "val_loss has not improved since epoch 2: waited 2, patience is 2"


def test_the_first_value_that_is_not_finite_is_named(path: Path, reading: Any) -> None:
    given = layers()
    given["dense_2"]["output"] = np.array([[1.0, np.inf]])
    with record(path) as recorder:
        recorder.keyframe(1, 0.1, layers(), loss=1.0)
        recorder.keyframe(2, 0.2, given, loss=math.nan)
        recorder.keyframe(3, 0.3, given, loss=math.nan)
    first, last = reading().events(0)
    assert (first.kind, first.step) == ("first_bad", 2)
    assert first.arguments["layer"] == "dense_2"
    assert first.arguments["value"] == "infinite"
    assert (last.kind, last.arguments["loss"], last.step) == ("diverged", "NaN", 2)


@pytest.mark.parametrize("ends", ["held", "later"])
@pytest.mark.parametrize("whole", [int, np.int64])
def test_the_audit_believes_the_event_of_a_validation_that_failed(
    path: Path, reading: Any, ends: str, whole: type
) -> None:
    with record(path) as recorder:
        recorder.keyframe(whole(1), whole(1) if ends == "held" else 0.5, layers(), loss=1.0)
        recorder.epoch(step=None if ends == "held" else whole(2), val_loss=math.nan)
    event = reading().events(0)[0]
    assert (event.kind, event.epoch) == ("first_bad", 1.0)
    assert not audit(path).ledger.failures


@pytest.mark.parametrize("whole", [int, np.int64])
def test_the_audit_believes_the_events_of_a_loss_that_failed(path: Path, reading: Any, whole: type) -> None:
    with record(path) as recorder:
        recorder.keyframe(whole(1), 1, layers(), loss=math.inf)
        recorder.keyframe(whole(2), float(np.float32(1.5)), layers(), loss=math.nan)
    assert [(event.kind, event.step) for event in reading().events(0)] == [("first_bad", 1), ("diverged", 1)]
    assert not audit(path).ledger.failures


@pytest.mark.parametrize("bad", [22, 23, 24, 25, 26, 30])
@pytest.mark.parametrize("every", [1, 5])
def test_a_loss_that_fails_between_keyframes_is_placed_at_its_step(
    path: Path, reading: Any, bad: int, every: int
) -> None:
    with record(path) as recorder:
        for step in range(1, 41):  # ten steps an epoch
            loss = math.nan if step >= bad else 1.0
            if step % every:
                recorder.step(loss=loss)
            else:
                recorder.keyframe(step, step / 10, layers(), loss=loss)
            if step % 10 == 0:
                recorder.epoch(val_loss=1.0)
    last = reading().events(0)[-1]
    assert (last.kind, last.step, last.epoch) == ("diverged", bad, pytest.approx(bad / 10))
    assert f"at step {bad}" in last.text
    assert not audit(path).ledger.failures


def test_several_losses_of_a_step_name_no_step_after_its_row(path: Path, reading: Any) -> None:
    with record(path) as recorder:
        recorder.keyframe(1, 0.1, layers(), loss=1.0)
        for _ in range(9):
            recorder.step(loss=1.0)
        recorder.step(loss=math.nan)
        recorder.keyframe(3, 0.3, layers(), loss=math.nan)
    last = reading().events(0)[-1]
    assert (last.kind, last.step, last.epoch) == ("diverged", 3, pytest.approx(0.3))


def test_an_exception_passes_unchanged_and_the_file_is_closed(path: Path, reading: Any) -> None:
    error = KeyError("mine")

    def loop() -> None:
        with record(path) as recorder:
            recorder.keyframe(1, 1, layers(), loss=1.0)
            raise error

    with pytest.raises(KeyError) as raised:
        loop()
    assert raised.value is error
    assert not path.with_name(path.name + "-wal").exists()
    (event,) = reading().events(0)
    assert event.message == "the training loop ended with KeyError at epoch 1"
    assert entry(path).state == "interrupted"


WRONG: dict[str, tuple[Any, str]] = {
    "no number": ({"a": {"weight": ["x"]}}, "a.weight is not an array of numbers"),
    "complex": ({"a": {"weight": np.ones(2, complex)}}, "a.weight is not an array of numbers"),
    "empty": ({"a": {"weight": np.ones((0, 2))}}, "a.weight is empty"),
    "shapes": (layers(gradient=np.ones(2)), r"gradient has shape \(2,\), but weight has \(3, 5\)"),
    "key": ({"a": {"wieght": np.ones(2)}}, "layer a has 'wieght', which is not recorded"),
    "nothing": ({"a": {}}, "layer a has no array"),
    "masked": ({"a": {"output": np.ma.masked_less(np.arange(4), 2)}}, "a.output is not an array.*masked"),
    "none": ({}, "there are no layers"),
    "name": ({3: {"weight": np.ones(2)}}, "layers must map a name"),
    "dropout": ({"a": {"weight": np.ones(2), "dropout": 2}}, "dropout must be a number from 0 to 1"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_warned_of_once_and_the_loop_goes_on(path: Path, reading: Any, what: str) -> None:
    wrong, sentence = WRONG[what]
    with record(path) as recorder:
        with pytest.warns(RecorderWarning, match=sentence) as told:
            recorder.keyframe(1, 1, wrong)
        assert told[0].filename == __file__
        recorder.keyframe(1, 1, wrong)
        recorder.keyframe(2, 2, layers(), loss=1.0)
        warnings.simplefilter("ignore")
    assert reading().history(0).step.tolist() == [2]


@pytest.mark.parametrize("known", [{"channels": "middle"}, {"epoch": 3}, {"steps": 4, "model": "mine"}])
def test_an_argument_that_is_unknown_is_named(path: Path, known: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(known))):
        record(path, **known)
    assert not path.exists()


@pytest.mark.parametrize("shape", [(8, 5), (8, 1), (1, 5), (8,)])
def test_a_mask_is_kept_where_it_is_not_zero(path: Path, reading: Any, shape: tuple[int, ...]) -> None:
    mask = np.where(np.arange(math.prod(shape)).reshape(shape) % 4, -2.0, 0.0)
    with record(path) as recorder:
        recorder.keyframe(1, 1, layers(mask=mask, dropout=0.25))
    told = reading().keyframe(0, 0).layers[0].dropout
    assert told.kept_fraction == np.mean(mask != 0)
    assert (told.kept == (mask != 0).reshape(shape[0], -1)).all()


def test_steps_that_go_backwards_and_other_layers_are_left_out(path: Path, reading: Any) -> None:
    with record(path) as recorder:
        recorder.keyframe(5, 1, layers(), loss=1.0)
        with pytest.warns(RecorderWarning, match="step 5 follows step 5"):
            recorder.keyframe(5, 2, layers(), loss=1.0)
        with pytest.warns(RecorderWarning, match="epoch 0.5 follows epoch 1"):
            recorder.keyframe(6, 0.5, layers(), loss=1.0)
        with pytest.warns(RecorderWarning, match="dense_1"):
            recorder.keyframe(6, 2, {"dense_2": layers()["dense_2"]}, loss=1.0)
        recorder.keyframe(7, 1.5, layers(), loss=1.0)
        with pytest.warns(RecorderWarning, match="from now on, keyframes wait for the end of their epoch"):
            recorder.epoch(val_loss=1.0)
        with pytest.warns(RecorderWarning, match="monitors f1"):
            recorder.early_stopping(wait=0, best=1, patience=1, monitor="f1")
    assert reading().history(0).step.tolist() == [5, 7]


def test_nothing_is_overwritten_and_two_recorders_exclude_each_other(path: Path) -> None:
    with record(path) as recorder:
        for step in (1, 2):  # before the first row, and after it
            with pytest.raises(RecordingError, match="is already being written; choose another name"):
                record(path)
            with pytest.raises(RecordingError, match=f"training loop of process {os.getpid()}; wait until it ends"):
                Hold(path)
            recorder.keyframe(step, step, layers(), val_loss=1.0)
        with pytest.raises(RecordingError, match="training loop of process"):
            delete(path)
        with pytest.raises(RecordingError, match="training loop of process"):
            rename(path, "other")
    with pytest.raises(NameTakenError, match="already exists; choose another name"):
        record(path)
    delete(rename(path, "other"))
    with pytest.raises(StorageError):
        record("/proc/own.bntui")


def test_a_full_disk_is_warned_of_once(path: Path, monkeypatch: pytest.MonkeyPatch, reading: Any) -> None:
    with record(path) as recorder:
        recorder.keyframe(1, 0.5, layers(), loss=1.0)

        def full(*_arguments: object, **_more: object) -> None:
            raise StorageError("the disk is full")

        monkeypatch.setattr("bntui.recording.writer.Writer.commit", full)
        with pytest.warns(RecorderWarning, match="the disk is full; nothing more is recorded, training goes on"):
            recorder.keyframe(2, 0.6, layers(), loss=1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            recorder.keyframe(3, 0.7, layers(), loss=1.0)
    assert reading().history(0).step.tolist() == [1]


def test_a_deleted_file_ends_the_recording_and_a_moved_one_is_followed(path: Path, tmp_path: Path) -> None:
    recorder = record(path)
    recorder.keyframe(1, 0.1, layers(), loss=1.0)
    moved = tmp_path / "moved.bntui"
    path.rename(moved)
    recorder.keyframe(2, 0.2, layers(), loss=1.0)
    assert recorder.path == moved
    with closing(Reader(moved)) as reader:
        assert reader.history(0).step.tolist() == [1, 2]
    moved.unlink()
    with pytest.warns(RecorderWarning, match="was deleted or moved away; nothing more is recorded, training goes on"):
        recorder.keyframe(3, 0.3, layers(), loss=1.0)
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_without_a_keyframe_there_is_no_file(tmp_path: Path) -> None:
    with record(tmp_path / "own.bntui"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_forked_process_neither_writes_nor_closes_the_file(path: Path, reading: Any) -> None:
    with record(path) as recorder:
        recorder.keyframe(1, 0.1, layers(), loss=1.0)
        child = os.fork()
        if child == 0:
            recorder.keyframe(2, 0.2, layers(), loss=1.0)
            recorder.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert registry.recorder(path) is not None
        recorder.keyframe(3, 0.3, layers(), loss=1.0)
    assert reading().history(0).step.tolist() == [1, 3]
    assert registry.recorder(path) is None


def test_it_is_listed_as_live_while_its_process_records(path: Path) -> None:
    with record(path) as recorder:
        recorder.keyframe(1, 0.1, layers(), loss=1.0)
        found = entry(path)
        assert (found.live, found.state, found.watched) == (True, "training", True)
    assert (entry(path).live, entry(path).state) == (False, "finished")


def test_format_5_readers_are_told_to_update(path: Path) -> None:
    with closing(sqlite3.connect(recorded(path))) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 6


def test_the_audit_finds_contradictions_and_never_says_true(path: Path) -> None:
    report = audit(recorded(path))
    assert report.true
    assert verdict(report).startswith("no contradiction found; nothing could be recomputed")
    with closing(Reader(path)) as reader:
        count = len(reader.runs[0].layers)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        block = db.execute("SELECT layers FROM keyframe WHERE step = 20").fetchone()[0]
        table = np.frombuffer(block).reshape(count, -1).copy()
        table[0, COLUMN["input.mean"]] = 99.0
        db.execute("UPDATE keyframe SET layers = ? WHERE step = 20", (table.tobytes(),))
        attest(db, 0, 20)
    report = audit(path)
    assert {failure.figure for failure in report.ledger.failures} >= {"input.mean"}
    assert "true" not in verdict(report)


def test_what_needs_the_code_is_refused_kindly(path: Path) -> None:
    from bntui.commands.again import place, refuse_what_is_over

    recorded(path)
    for refused in (lambda: refuse_what_is_over(path), lambda: place(path, None, None)):
        with pytest.raises(UsageError, match="only its own script can train on"):
            refused()


def test_importing_bntui_is_instant() -> None:
    script = "import sys, bntui; print({'numpy', 'sqlite3', 'torch'} & set(sys.modules)); bntui.record"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert bntui.record is record
    with pytest.raises(AttributeError):
        bntui.nothing  # noqa: B018


def test_the_documented_example_learns_and_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", EXAMPLE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(example, str(EXAMPLE), "exec"), {})
    with closing(Reader(tmp_path / "by-hand.bntui")) as reader:
        history = reader.history(0)
        assert len(history) == 20
        assert history.epoch_end.all()
        assert history.val_loss[-1] < history.val_loss[0] / 2
        assert np.isfinite(history.train_loss).all()
        assert reader.events(0)[-1].kind == "finished"
    assert audit(tmp_path / "by-hand.bntui").true


def test_a_recorder_is_typed(path: Path) -> None:
    with bntui.record(path) as recorder:
        assert isinstance(recorder, Recorder)


def many(path: Path, count: int) -> Path:
    """A network of many blocks, most of which do not fit on the screen."""
    names = [f"encoder.layers.{at // 4}.{('attn', 'fc1', 'fc2', 'norm')[at % 4]}" for at in range(count)]
    with record(path, title="Encoder", model="Encoder", optimizer="AdamW") as recorder:
        for epoch in (1, 2):
            a = RNG.normal(size=(8, 4))
            given: dict[str, dict[str, Any]] = {
                name: {"output": a, "weight": a, "gradient": a / 9} if at % 4 < 3 else {"normalized": a, "norm": "rms"}
                for at, name in enumerate(names)
            }
            recorder.keyframe(epoch, epoch, given, loss=1.0)
            recorder.epoch(val_loss=1.0)
            recorder.early_stopping(wait=0, best=1.0, patience=3)
    return path


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_panel_draws_it_with_dashes_for_what_was_not_told(path: Path, language: str) -> None:
    use(language)
    for layers_of in (4, 200):
        file = many(path.with_stem(f"{layers_of}"), layers_of)
        with closing(Reader(file)) as reader:
            loaded = LoadedRecording(reader)
            state = view_state.grown(view_state.opening(reader), loaded.snapshot.stops)
            view = view_state.build_view(loaded.snapshot, state, dataset=True, histograms=True)
            for width, height in ((158, 20), (78, 20), (58, 14), (38, 9)):
                for panel in PANELS:
                    rows = panel.draw(view, width, height).rows
                    text = ["".join(span.text for span in row) for row in rows]
                    assert len(rows) == height
                    assert all(cell_len(line) <= width for line in text), (panel.name, width)
                    assert "NaN" not in "".join(text), panel.name
            header = "".join(span.text for span in chrome.header(view, reader.meta, ("", "text"), 150))
            assert "Encoder" in header
            assert "AdamW" in header


def test_tensors_of_pytorch_that_have_gradients_are_recorded_without_a_warning(
    path: Path, reading: Any, recwarn: pytest.WarningsRecorder
) -> None:
    torch = pytest.importorskip("torch")
    weight = torch.tensor([[3.0, 4.0]], requires_grad=True)
    loss = (weight * 0.25).sum() - 1
    with bntui.record(path) as recorder:
        recorder.keyframe(1, 1, {"a": {"output": weight * 2, "weight": weight}}, loss=loss)
        recorder.epoch(val_loss=loss * 2)
    assert not [str(one.message) for one in recwarn]
    frame = reading().keyframe(0, 0)
    assert (frame.batch_loss, frame.val_loss) == (0.75, 1.5)
    assert frame.layers[0].weight_norm == 5.0
