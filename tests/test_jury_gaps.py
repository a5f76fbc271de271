"""Tests that rules judge a loop at the epochs in which it validated, and name these epochs."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import bntui as package
from bntui.insight.jury import JuryResult, judge
from bntui.recording.reader import Reader
from tests.commands import bntui
from tests.test_import import scalar

LOSSES = (1.0, 0.5, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Lowest at the third validation; the fourth is 12.5 % above it."""


def judged(path: Path) -> JuryResult:
    with closing(Reader(path)) as reader:
        return judge(0, reader.runs, [reader.history(0)], reader.events(0))


@pytest.mark.parametrize("every", [1, 10])
def test_an_import_is_judged_by_the_epochs_that_it_has(every: int, tmp_path: Path) -> None:
    """Of 90 epochs every tenth validates; training losses are logged there only, or in every epoch."""
    (tmp_path / "logs").mkdir()
    trained = [scalar("train_loss", 1 / epoch, step=epoch) for epoch in range(every, 91, every)]
    validated = [scalar("val_loss", loss, step=10 * number) for number, loss in enumerate(LOSSES, 1)]
    (tmp_path / "logs" / "events.out.tfevents.1.h").write_bytes(b"".join(trained + validated))
    path = tmp_path / "x.bntui"
    assert bntui("import", tmp_path / "logs", "-o", path).returncode == 0
    done = bntui("stops", path, "--json")
    (run,) = json.loads(done.stdout)["runs"]
    assert (run["best_epoch"], run["epochs_judged"]) == (30, 9)
    rules = {rule["rule"]: rule for rule in run["rules"]}
    # Keras' patience is 0, Lightning's is 3; GL stops above 5 %
    stops = {name: (rule["stops"], rule["best_epoch"], rule["epochs_saved"]) for name, rule in rules.items()}
    assert stops["Keras"] == stops["Prechelt GL"] == (40, 30, 50)
    assert stops["Lightning"] == (60, 30, 30)
    assert rules["Lightning"]["because"] == "patience"
    assert "lowest val_loss 0.4 at epoch 30" in bntui("stops", path).stdout


@pytest.mark.parametrize("broken", [False, True])
def test_a_loop_that_validates_now_and_then_is_judged_there_up_to_where_it_breaks(broken: bool, tmp_path: Path) -> None:
    output = np.ones((2, 2), np.float32)
    path = tmp_path / "x.bntui"
    with package.record(path) as recorder:
        for epoch in range(14):
            bad = broken and epoch >= 8
            recorder.keyframe(
                epoch, epoch, {"fc": {"output": output * (np.nan if bad else 1.0)}},
                train_loss=np.nan if bad else 1.0,
                val_loss=LOSSES[epoch // 3] if not epoch % 3 and not bad else None,
            )  # fmt: skip
    found = judged(path)
    lightning = next(one for one in found.verdicts if one.juror.name == "Lightning")
    if broken:
        assert found.epochs.tolist() == [3, 6, 13]
        assert (lightning.stop, lightning.because, lightning.best) == (13, "check_finite", 6)
    else:
        assert found.epochs.tolist() == [3, 6, 9, 12]
        assert (lightning.stop, lightning.best, found.best) == (None, 6, 6)


def test_a_loss_that_a_loop_tells_to_be_nan_stops_lightning(tmp_path: Path) -> None:
    path = tmp_path / "x.bntui"
    with package.record(path) as recorder:
        for epoch in range(5):
            loss = np.nan if epoch == 3 else 1 / (epoch + 1)
            recorder.keyframe(epoch, epoch, {"fc": {"output": np.ones((2, 2), np.float32)}}, val_loss=loss)
    lightning = next(one for one in judged(path).verdicts if one.juror.name == "Lightning")
    assert (lightning.stop, lightning.because, lightning.best) == (3, "check_finite", 2)
