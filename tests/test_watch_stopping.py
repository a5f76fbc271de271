"""A recorder that applies a rule of early stopping: Keras' own callback decides when, and by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bntui
from bntui.audit.audit import audit
from bntui.audit.watched import APPLIED
from bntui.errors import StorageError, UsageError
from bntui.recording.reader import Reader
from bntui.viewer import view_state
from bntui.viewer.panels import stopping
from bntui.viewer.screens.lab_recording import LoadedRecording
from bntui.watching.pytorch.silent import Silent
from bntui.watching.trouble import RecorderWarning
from tests import forger

BY = ("watch", "record")
LOSSES = [5.0, 4.0, 4.2, 3.95, 3.9, 4.1, 4.0, 4.4, 3.0, 2.0]


class Loop:
    """A loop of one step an epoch, recorded by one of the two functions."""

    def __init__(self, by: str, path: Path, rule: Any) -> None:
        self._by, self._step = by, 0
        if by == "watch":
            self.model = nn.Linear(2, 1)
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
            self.recorder: Any = bntui.watch(self.model, self.optimizer, path, every=1, early_stopping=rule, quiet=True)
        else:
            self.recorder = bntui.record(path, early_stopping=rule)

    def train(self) -> None:
        self._step += 1
        if self._by == "watch":
            self.model(torch.ones(3, 2)).sum().backward()
            self.optimizer.step()
        else:
            self.recorder.keyframe(self._step, self._step, {"a": {"output": np.ones((3, 1))}}, loss=1.0)

    def run(self, figures: list[float], name: str = "val_loss", *, obey: bool = True) -> int:
        """Trains epoch by epoch; returns how many there were."""
        with self.recorder:
            for epoch, figure in enumerate(figures, 1):
                self.train()
                self.recorder.epoch(**{name: figure})
                if obey and self.recorder.should_stop:
                    return epoch
        return len(figures)


def keras_stops(values: list[float], **rule: Any) -> tuple[int, float, int, int]:
    """What Keras' callback makes of the values: epochs trained, best value and its epoch, and epochs waited."""
    if os.environ.get("KERAS_BACKEND", "torch") != "torch":
        pytest.skip("KERAS_BACKEND is not torch")
    os.environ["KERAS_BACKEND"] = "torch"
    keras = pytest.importorskip("keras")
    callback = keras.callbacks.EarlyStopping(monitor="figure", **rule)
    model = types.SimpleNamespace(stop_training=False)
    callback._model = model
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"figure": value})
        if model.stop_training:
            break
    return epoch + 1, float(callback.best), callback.best_epoch + 1, callback.wait


@pytest.mark.filterwarnings("ignore")  # of Keras
@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(
    "rule",
    [
        {"patience": 3}, {"patience": 2, "min_delta": 0.08}, {"patience": 0}, {"patience": 1, "start_from_epoch": 3},
        {"patience": 50}, {"patience": 2, "min_delta": -0.3}, {"patience": 4, "min_delta": 0.5},
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["min", "max"])
def test_it_stops_where_keras_stops(by: str, rule: dict[str, Any], mode: Any, tmp_path: Path) -> None:
    name = "val_loss" if mode == "min" else "val_accuracy"
    values = LOSSES if mode == "min" else [1 - loss / 10 for loss in LOSSES]
    epochs, best, best_epoch, wait = keras_stops(values, mode=mode, **rule)
    loop = Loop(by, tmp_path / "run.bntui", bntui.EarlyStopping(name, mode=mode, **rule))
    assert loop.run(values, name) == epochs
    with closing(Reader(tmp_path / "run.bntui")) as reader:
        history = reader.history(0)
        assert history.epoch[-1] == epochs
        assert history.best[-1] == pytest.approx(best)
        assert (history.best_epoch[-1], history.wait[-1]) == (best_epoch, wait)
        kinds = [event.kind for event in reader.events(0)]
        told = reader.runs[0].early_stopping
    assert kinds == ["stopped_early" if epochs < len(values) else "finished"]
    assert told is not None
    assert told["monitor"] == name
    assert {key: told[key] for key in rule} == rule
    assert audit(tmp_path / "run.bntui").true


@pytest.mark.parametrize("by", BY)
def test_it_is_recorded_as_if_the_loop_had_told_it(by: str, tmp_path: Path) -> None:
    """With patience 3, by hand: 4.2 waits 1, 3.95 is better, 3.9 is better, then 4.1, 4.0 and 4.4 wait."""
    path = tmp_path / "run.bntui"
    assert Loop(by, path, bntui.EarlyStopping(patience=3)).run(LOSSES) == 8
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        assert history.wait.tolist() == [0, 0, 1, 0, 0, 1, 2, 3]
        assert history.best.tolist() == [5.0, 4.0, 4.0, 3.95, 3.9, 3.9, 3.9, 3.9]
        assert history.best_epoch.tolist() == [1, 2, 2, 4, 5, 5, 5, 5]
        states = [reader.keyframe(0, row).early_stopping for row in range(8)]
        assert [one.stopped for one in states if one] == [False] * 7 + [True]
        (event,) = reader.events(0)
        assert event.message == "stopped at epoch 8: val_loss has not improved since epoch 5; waited 3, patience is 3"
        loaded = LoadedRecording(reader)
        state = view_state.grown(view_state.opening(reader), loaded.snapshot.stops)
        drawing = stopping.draw(view_state.build_view(loaded.snapshot, state, dataset=True, histograms=True), 78, 12)
        text = "\n".join("".join(span.text for span in row) for row in drawing.rows)
    assert "●●● 3/3" in text
    assert "best  3.900 at epoch 5" in text
    assert "stopped at epoch 8" in text
    assert "improves when val_loss falls by more than min_delta 0" in text


@pytest.mark.parametrize(
    ("column", "step", "value"),
    [("wait", 8, 4), ("best", 5, 3.95), ("best_epoch", 8, 6), ("val_loss", 7, 3.0), ("stopped", 4, 1)],
)
def test_the_audit_applies_the_rule_again(column: str, step: int, value: float, tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    Loop("record", path, bntui.EarlyStopping(patience=3)).run(LOSSES)
    assert audit(path).true
    forger.scalar(path, 0, step, column, lambda _before: value)
    report = audit(path)
    assert not report.true
    assert APPLIED in {failure.check for failure in report.ledger.failures}


@pytest.mark.parametrize("by", BY)
def test_an_epoch_that_is_not_told_its_figure_is_not_held_against_the_recording(by: str, tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    loop = Loop(by, path, bntui.EarlyStopping(patience=3))
    with loop.recorder:
        for loss in (2.0, None, 3.0, 1.0):
            loop.train()
            if loss is None:
                with pytest.warns(RecorderWarning, match="was not told val_loss"):
                    loop.recorder.epoch(val_accuracy=0.5)
            else:
                loop.recorder.epoch(val_loss=loss)
    with closing(Reader(path)) as reader:
        assert reader.history(0).wait.tolist() == [0, 0, 1, 0]
    assert audit(path).true


@pytest.mark.parametrize("by", BY)
def test_a_loop_that_goes_on_is_not_ended(by: str, tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    assert Loop(by, path, bntui.EarlyStopping(patience=2)).run(LOSSES, obey=False) == len(LOSSES)
    with closing(Reader(path)) as reader:
        assert reader.history(0).wait.tolist() == [0, 0, 1, 0, 0, 1, 2, 3, 0, 0]
        assert [event.kind for event in reader.events(0)] == ["finished"]


@pytest.mark.parametrize("by", BY)
def test_a_loop_that_goes_on_into_an_epoch_has_not_stopped_early(by: str, tmp_path: Path) -> None:
    loop = Loop(by, tmp_path / "run.bntui", bntui.EarlyStopping(patience=1))
    with loop.recorder:
        for loss in (1.0, 2.0):
            loop.train()
            loop.recorder.epoch(val_loss=loss)
        assert loop.recorder.should_stop
        loop.train()
    with closing(Reader(tmp_path / "run.bntui")) as reader:
        assert [event.kind for event in reader.events(0)] == ["finished"]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("by", BY)
def test_it_decides_also_when_nothing_can_be_recorded(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the disk is full must not change how long a network is trained."""

    def full(*_arguments: object, **_more: object) -> None:
        raise StorageError("the disk is full")

    loop = Loop(by, tmp_path / "run.bntui", bntui.EarlyStopping(patience=3))
    monkeypatch.setattr("bntui.recording.writer.Writer.commit", full)
    with pytest.warns(RecorderWarning, match="the disk is full"):
        assert loop.run(LOSSES) == 8


def test_an_epoch_that_ends_with_its_keyframe_is_counted_once(tmp_path: Path) -> None:
    with bntui.record(tmp_path / "run.bntui", early_stopping=bntui.EarlyStopping(patience=3)) as recorder:
        for epoch, loss in enumerate(LOSSES, 1):
            recorder.keyframe(epoch, epoch, {"a": {"output": np.ones((3, 1))}}, val_loss=loss)
            recorder.epoch(val_loss=loss)
            if recorder.should_stop:
                break
    with closing(Reader(tmp_path / "run.bntui")) as reader:
        waited = reader.history(0).wait.tolist()
    assert waited == [0, 0, 1, 0, 0, 1, 2, 3]


@pytest.mark.parametrize("by", BY)
def test_what_the_rule_cannot_use_is_warned_of(by: str, tmp_path: Path) -> None:
    loop = Loop(by, tmp_path / "run.bntui", bntui.EarlyStopping("val_acc", patience=1))
    with loop.recorder:
        loop.train()
        with pytest.warns(RecorderWarning, match="was not told val_accuracy"):
            loop.recorder.epoch(val_loss=1.0)
        with pytest.warns(RecorderWarning, match="applies its own rule"):
            loop.recorder.early_stopping(wait=7, best=1.0, patience=9)
        assert not loop.recorder.should_stop
    with closing(Reader(tmp_path / "run.bntui")) as reader:
        assert reader.history(0).wait.tolist() == [0]


def test_other_processes_of_a_distributed_training_decide_alike(tmp_path: Path) -> None:
    silent = Silent(tmp_path / "run.bntui", bntui.EarlyStopping(patience=3))
    stops = []
    for loss in LOSSES:
        silent.epoch(val_loss=torch.tensor(loss))
        stops.append(silent.should_stop)
    assert stops.index(True) == 7
    assert not Silent(None).should_stop


@pytest.mark.parametrize("known", [{"monitor": "f1"}, {"monitor": 3}])
def test_a_monitor_that_is_not_recorded_is_refused(known: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="which is not recorded; use one of val_loss"):
        bntui.EarlyStopping(**known)


@pytest.mark.parametrize("known", [{"patience": -1}, {"patience": "3"}, {"mode": "up"}, {"min_delta": float("nan")}])
@pytest.mark.parametrize("by", BY)
def test_a_senseless_rule_is_refused_before_training(by: str, known: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"early_stopping.{next(iter(known))}"):
        Loop(by, tmp_path / "run.bntui", bntui.EarlyStopping(**known))
    assert list(tmp_path.iterdir()) == []


def test_a_rule_is_imported_without_torch() -> None:
    script = "import sys, bntui; bntui.EarlyStopping(); print({'torch', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
