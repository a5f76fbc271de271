"""Tests that changes in a recording are detected and located: corrupted bytes and edited figures."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bntui.audit.audit import audit
from bntui.errors import RecordingError
from bntui.scenario.load import Override, parse
from bntui.trainer.session import Session
from tests import forger
from tests.forger import Arrays
from tests.spread import spread

SCENARIO = """
title = "Forged"
seed = 3
[data]
source = "digits"
samples = 300
scaling = "minmax"
batch_size = 40
[network]
norm = "batch"
dropout = 0.3
[training]
optimizer = "adam"
lr = 0.004
epochs = 3
[training.schedule]
kind = "step"
step_size = 2
gamma = 0.5
[training.early_stopping]
patience = 1
min_delta = 0.5
restore_best_weights = true
[record]
every = 2
[[run]]
name = "dense"
set = { network.hidden = [16, 12], network.activation = "relu" }
"""
OTHERS = """
[[run]]
name = "image"
set = { network.layer = [{ type = "conv", channels = 6, pool = 2, activation = "sigmoid" }] }
[[run]]
name = "sequence"
set = { network.layer = [{ type = "recurrent", cell = "lstm", units = 8 }], network.norm_recurrent = "step" }
"""
DENSE, IMAGE, SEQUENCE = range(3)
STEP = 4
"""A keyframe within the first epoch of six steps; ``END`` is the epoch's last one."""
END = 6


def made(path: Path, scenario: str, *settings: Override) -> Path:
    session = Session.begin(parse(scenario, file="test.toml", overrides=settings), path)
    while not session.over:
        session.epoch(lambda: False)
    session.close()
    report = audit(path)
    assert report.true, report.ledger.failures[:5]
    assert report.full == session.writer.keyframes
    assert report.consistent == 0
    return path


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one network: an audit of all three takes five times as long."""
    return made(tmp_path_factory.mktemp("genuine") / "x.bntui", SCENARIO)


@pytest.fixture(scope="module")
def of_three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shift: tuple[Override, ...] = (("record.shift", True), ("training.epochs", 1))
    return made(tmp_path_factory.mktemp("three") / "x.bntui", SCENARIO + OTHERS, *shift)


@pytest.fixture
def copy(genuine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(genuine, tmp_path / "forged.bntui"))


ROTTEN = {
    "layers of a keyframe": ("keyframe", "layers", ""),
    "digest of a keyframe": ("keyframe", "digest", ""),
    "measures": ("measures", "block", ""),
    "evidence": ("evidence", "block", ""),
    "digest of evidence": ("evidence", "digest", ""),
    "checkpoint": ("checkpoint", "block", ""),
    "digest of a checkpoint": ("checkpoint", "digest", ""),
    "data": ("data", "block", "WHERE name = 'data'"),
    "digest of data": ("data", "digest", "WHERE name = 'data'"),
    "scaling of a run": ("run", "scaling", ""),
    "digest of a run": ("run", "digest", ""),
    "digest of an event": ("event", "digest", ""),
}


@pytest.mark.parametrize("what", ROTTEN)
def test_a_flipped_bit_is_found_by_its_digest(copy: Path, what: str) -> None:
    table, column, which = ROTTEN[what]
    if table in ("checkpoint", "data"):  # tables without a number of their own
        which = which or "WHERE run = 0"
        with forger.opened(copy) as db:
            block = bytearray(db.execute(f"SELECT {column} FROM {table} {which}").fetchone()[column])
            block[int(0.7 * (len(block) - 1))] ^= 0x10
            db.execute(f"UPDATE {table} SET {column} = ? {which}", (bytes(block),))
    else:
        forger.flip(copy, table, column, 0.7, which)
    report = audit(copy)
    assert not report.true
    assert report.ledger.failures[0].check == "digests"
    assert table in report.ledger.failures[0].figure or table == "measures"


@pytest.mark.parametrize("column", ["epoch", "lr", "val_loss", "wall_time", "weights_digest"])
def test_an_edited_scalar_without_a_new_digest_is_found_and_the_audit_goes_on(copy: Path, column: str) -> None:
    forger.execute(copy, f"UPDATE keyframe SET {column} = 17 WHERE run = 0 AND step = {STEP}")
    report = audit(copy)
    assert [(f.check, f.place.run, f.place.step) for f in report.ledger.failures] == [("digests", "dense", STEP)]
    with forger.opened(copy) as db:
        assert report.full == db.execute("SELECT count(*) FROM keyframe").fetchone()[0] - 1


def test_meta_has_a_digest(copy: Path) -> None:
    forger.execute(copy, "UPDATE meta SET value = '99.0' WHERE key = 'torch'")
    assert [f.figure for f in audit(copy).ledger.failures] == ["meta"]


def times(factor: float) -> Callable[[float], float]:
    return lambda value: value * factor


def plus(amount: float) -> Callable[[Any], Any]:
    return lambda value: value + amount


def at(name: str, index: tuple[int, ...], change: Callable[[Any], Any]) -> Callable[[Arrays], object]:
    """One element of an array is another one."""

    def forge(arrays: Arrays) -> None:
        arrays[name][index] = change(arrays[name][index])

    return forge


def one_more(arrays: Arrays) -> None:
    """A value moves from one bin of a histogram into the next: the sum stays as it is."""
    counts = arrays["counts"][1, 3]
    full = int(np.argmax(counts[:-1]))
    counts[full] -= 1
    counts[full + 1] += 1


def shift_mask(arrays: Arrays) -> None:
    """The share that is kept stays as it is; other units are kept."""
    arrays["0.mask"] = np.roll(arrays["0.mask"], 1, axis=0)


def swapped(arrays: Arrays) -> None:
    indices = arrays["batch_indices"]
    indices[0], indices[1] = indices[1], indices[0]


def everything_kept(arrays: Arrays) -> None:
    arrays["mask/linear 1"][:] = 255


Forgery = tuple[Callable[[Path], None], str]
"""What is done to a copy, and a word of the figure that has to fail."""

FORGED: dict[str, Forgery] = {
    # figures of a keyframe
    "learning rate": (lambda p: forger.scalar(p, DENSE, STEP, "lr", times(1.0001)), "lr"),
    "mini-batch loss": (lambda p: forger.scalar(p, DENSE, STEP, "batch_loss", times(1.00001)), "batch_loss"),
    "validation loss": (lambda p: forger.scalar(p, DENSE, STEP, "val_loss", times(1.05)), "val_loss"),
    "validation accuracy, one sample": (
        lambda p: forger.scalar(p, DENSE, STEP, "val_accuracy", plus(1 / 60)), "val_accuracy"
    ),
    "validation accuracy, half a sample": (
        lambda p: forger.scalar(p, DENSE, STEP, "val_accuracy", plus(0.5 / 60)), "val_accuracy"
    ),
    "training loss of the initial state": (
        lambda p: forger.scalar(p, DENSE, 0, "train_loss", times(1.0001)), "train_loss"
    ),
    "training accuracy out of range": (
        lambda p: forger.scalar(p, DENSE, STEP, "train_accuracy", lambda _: 1.2), "train_accuracy"
    ),
    "epoch": (lambda p: forger.scalar(p, DENSE, STEP, "epoch", plus(0.01)), "epoch"),
    "end of an epoch": (lambda p: forger.scalar(p, DENSE, STEP, "epoch_end", lambda _: 1), "epoch_end"),
    "clock": (lambda p: forger.scalar(p, DENSE, END, "wall_time", lambda _: 0.0), "wall_time"),
    "patience counter": (lambda p: forger.scalar(p, DENSE, END, "wait", plus(1)), "wait"),
    "best value": (lambda p: forger.scalar(p, DENSE, END, "best", times(0.9)), "best"),
    "best epoch": (lambda p: forger.scalar(p, DENSE, END, "best_epoch", plus(1)), "best_epoch"),
    "stopped": (lambda p: forger.scalar(p, DENSE, END, "stopped", lambda _: 1), "stopped"),
    "reason": (lambda p: forger.scalar(p, DENSE, END, "reason", lambda _: "tired"), "reason"),
    "digest of weights": (lambda p: forger.scalar(p, DENSE, 0, "weights_digest", lambda d: d[::-1]), "weights_digest"),
    # figures of a layer
    "mean": (lambda p: forger.figure(p, DENSE, STEP, 0, "input.mean", times(1 + 1e-6)), "input.mean"),
    "standard deviation": (lambda p: forger.figure(p, DENSE, STEP, 1, "pre_norm.std", times(1 + 1e-6)), "pre_norm.std"),
    "minimum": (lambda p: forger.figure(p, DENSE, STEP, 0, "normalized.min", plus(1e-5)), "normalized.min"),
    "weight norm": (lambda p: forger.figure(p, DENSE, STEP, 1, "weight_norm", times(1 + 1e-6)), "weight_norm"),
    "weight's gradient norm": (
        lambda p: forger.figure(p, DENSE, STEP, 0, "weight_gradient_norm", times(1.001)), "weight_gradient_norm"
    ),
    "activation's gradient norm": (
        lambda p: forger.figure(p, DENSE, STEP, 0, "activation_gradient_norm", times(1.001)), "activation_gradient"
    ),
    "update ratio": (lambda p: forger.figure(p, DENSE, STEP, 0, "update_ratio", times(1.01)), "update_ratio"),
    "dead fraction": (lambda p: forger.figure(p, DENSE, STEP, 0, "dead_fraction", plus(1 / 16)), "dead_fraction"),
    "kept fraction": (
        lambda p: forger.figure(p, DENSE, STEP, 0, "dropout.kept_fraction", plus(1 / 640)), "kept_fraction"
    ),
    "typical unit": (lambda p: forger.figure(p, DENSE, STEP, 0, "unit_p50", plus(1e-5)), "unit_p50"),
    # arrays of a keyframe
    "histogram": (lambda p: forger.measures(p, DENSE, STEP, one_more), "counts"),
    "dropout mask": (lambda p: forger.measures(p, DENSE, STEP, shift_mask), "mask"),
    "order of samples": (lambda p: forger.measures(p, DENSE, STEP, swapped), "stage/0"),
    "a sample that is not there": (
        lambda p: forger.measures(p, DENSE, STEP, at("batch_indices", (0,), lambda _: 250)), "batch_indices"
    ),
    "a sample twice": (
        lambda p: forger.measures(p, DENSE, STEP, lambda a: a["batch_indices"].__setitem__(0, a["batch_indices"][1])),
        "batch_indices",
    ),
    "batch mean": (
        lambda p: forger.measures(p, DENSE, STEP, at("0.statistics", (0, 3), plus(1e-3))), "batch_mean"
    ),
    "batch variance": (
        lambda p: forger.measures(p, DENSE, STEP, at("0.statistics", (1, 3), times(1.0001))), "batch_var"
    ),
    "running mean": (
        lambda p: forger.measures(p, DENSE, STEP, at("0.statistics", (2, 3), plus(1e-3))), "running_mean"
    ),
    "gamma": (lambda p: forger.measures(p, DENSE, STEP, at("0.affine", (0, 3), times(1.00001))), "gamma"),
    "gamma's gradient": (
        lambda p: forger.measures(p, DENSE, STEP, at("0.affine", (2, 3), plus(1e-3))), "gamma_gradient"
    ),
    "epsilon": (lambda p: forger.measures(p, DENSE, STEP, at("0.eps", (0,), times(2))), "eps"),
    # evidence
    "pre-activation": (lambda p: forger.evidence(p, DENSE, STEP, at("stage/1", (5, 3), plus(1e-4))), "stage/1"),
    "normalized value": (lambda p: forger.evidence(p, DENSE, STEP, at("stage/2", (5, 3), plus(1e-3))), "stage/2"),
    "activation": (lambda p: forger.evidence(p, DENSE, STEP, at("stage/3", (5, 3), plus(1e-5))), "stage/3"),
    "dropped value": (lambda p: forger.evidence(p, DENSE, STEP, at("stage/4", (5, 3), plus(1e-5))), "stage/4"),
    "weight": (
        lambda p: forger.evidence(p, DENSE, STEP, at("before/linear 1.linear.weight", (3, 20), plus(1e-3))), "stage/1"
    ),
    "weight of a pixel that is always 0": (
        lambda p: forger.evidence(p, DENSE, STEP, at("before/linear 1.linear.weight", (3, 0), plus(1e-3))),
        "weight_norm",
    ),
    "running mean before the step": (
        lambda p: forger.evidence(p, DENSE, STEP, at("before/linear 1.norm.running_mean", (3,), plus(0.01))),
        "running_mean",
    ),
    "optimizer's mean": (
        lambda p: forger.evidence(p, DENSE, STEP, lambda a: a["optimizer/output.linear.weight/exp_avg"].fill(1.0)),
        "update_ratio",
    ),
    "recorded gradient": (
        lambda p: forger.evidence(p, DENSE, STEP, at("gradient/linear 1.norm.weight", (3,), plus(1e-2))), "gradient"
    ),
    "mask of evidence": (
        lambda p: forger.evidence(p, DENSE, STEP, at("mask/linear 1", (3,), lambda b: b ^ 16)), "kept_fraction"
    ),
    "mask that does not fit its rate": (lambda p: forger.evidence(p, DENSE, STEP, everything_kept), "mask"),
    "evidence left out": (lambda p: forger.evidence(p, DENSE, STEP, lambda a: a.pop("stage/2")), "stage/2"),
    # what stands around the keyframes
    "kept weights": (
        lambda p: forger.checkpoint(p, DENSE, at("output.linear.bias", (0,), plus(1e-3))), "weights_digest"
    ),
    "pixel of a sample": (
        lambda p: forger.dataset(
            p, "data", lambda a: a["x"].__setitem__((slice(None), 0, 4, 4), 3.0),
            lambda a, _b: hashlib.blake2b(a["x"].tobytes() + a["y"].tobytes(), digest_size=16).digest(),
        ),
        "stage/0",
    ),
    "labels": (
        lambda p: forger.dataset(
            p, "data", lambda a: a["y"].__setitem__(slice(None), a["y"][::-1].copy()),
            lambda a, _b: hashlib.blake2b(a["x"].tobytes() + a["y"].tobytes(), digest_size=16).digest(),
        ),
        "batch_loss",
    ),
    "split": (
        lambda p: forger.dataset(
            p, "data", lambda a: a["train"].__setitem__(0, a["validation"][0]),
            lambda a, _b: hashlib.blake2b(a["x"].tobytes() + a["y"].tobytes(), digest_size=16).digest(),
        ),
        "train, validation",
    ),
    "learning rate of the configuration": (
        lambda p: forger.run_row(p, DENSE, "config", lambda text: text.replace("0.004", "0.04")), "lr"
    ),
    "rate of dropout": (
        lambda p: forger.run_row(p, DENSE, "layers", lambda text: text.replace('"dropout": 0.3', '"dropout": 0.2')),
        "stage/4",
    ),
    "kind of activation": (
        lambda p: forger.run_row(p, DENSE, "layers", lambda text: text.replace('"relu"', '"swish"')), "activation"
    ),
    "kind of optimizer": (
        lambda p: forger.run_row(p, DENSE, "config", lambda text: text.replace('"adam"', '"lion"')), "optimizer"
    ),
    "steps of an epoch": (lambda p: forger.run_row(p, DENSE, "steps_per_epoch", plus(1)), "epoch"),
    "end of the run": (
        lambda p: forger.execute(p, "DELETE FROM event WHERE kind = 'stopped_early' AND run = 0"), "end"
    ),
    "figure of an event": (
        lambda p: forger.event(p, "stopped_early", "arguments", lambda t: json.dumps(json.loads(t) | {"wait": 7})),
        "wait",
    ),
    "a row taken out": (
        lambda p: forger.execute(p, f"DELETE FROM keyframe WHERE run = 0 AND step = {END}"), "measures"
    ),
}  # fmt: skip
FORGED_ELSEWHERE: dict[str, Forgery] = {
    "validation loss of the image": (lambda p: forger.scalar(p, IMAGE, STEP, "val_loss", times(1.01)), "val_loss"),
    "validation loss of the sequence": (
        lambda p: forger.scalar(p, SEQUENCE, STEP, "val_loss", times(1.05)), "val_loss"
    ),
    "percentile": (lambda p: forger.figure(p, IMAGE, STEP, 0, "output.p85", times(1 + 1e-6)), "output.p85"),
    "gradient norm of a convolution": (
        lambda p: forger.figure(p, IMAGE, STEP, 0, "weight_gradient_norm", times(1.03)), "weight_gradient_norm"
    ),
    "gradient norm of a recurrent layer": (
        lambda p: forger.figure(p, SEQUENCE, STEP, 0, "weight_gradient_norm", times(1.03)), "weight_gradient_norm"
    ),
    "saturated fraction": (
        lambda p: forger.figure(p, IMAGE, STEP, 0, "saturated_fraction", plus(1 / (40 * 6 * 64))), "saturated"
    ),
    "gradient shift": (lambda p: forger.figure(p, DENSE, STEP, 1, "gradient_shift", times(1.2)), "gradient_shift"),
    "running variance of a time step": (
        lambda p: forger.measures(p, SEQUENCE, STEP, at("0.statistics", (3, 2, 3), times(1.001))), "running_var"
    ),
    "beta": (lambda p: forger.measures(p, IMAGE, STEP, at("0.affine", (1, 3), plus(1e-5))), "beta"),
    "beta's gradient": (
        lambda p: forger.measures(p, SEQUENCE, STEP, at("0.affine", (3, 3), plus(1e-2))), "beta_gradient"
    ),
    "convolution": (lambda p: forger.evidence(p, IMAGE, STEP, at("stage/0", (5, 3, 2, 2), plus(1e-4))), "stage/0"),
    "max pooling": (lambda p: forger.evidence(p, IMAGE, STEP, at("stage/3", (5, 3, 2, 2), plus(1e-5))), "stage/3"),
    "hidden state": (lambda p: forger.evidence(p, SEQUENCE, STEP, at("stage/3", (5, 3, 2), plus(1e-2))), "stage/3"),
    "hidden weight": (
        lambda p: forger.evidence(p, SEQUENCE, STEP, at("before/recurrent 1.activation.weight_hh", (3, 2), plus(0.1))),
        "stage/3",
    ),
}  # fmt: skip
"""What only the recording of all three networks has: convolution, recurrence, shift."""


ALL = [*FORGED, *FORGED_ELSEWHERE]
TRIED = spread(ALL, 4)
"""Every fourth; ``test_audit_forgeries`` tries hundreds of others."""


@pytest.mark.parametrize("what", TRIED)
def test_what_a_forger_edits_is_found(what: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    forge, word = FORGED.get(what) or FORGED_ELSEWHERE[what]
    copy = tmp_path / "forged.bntui"
    shutil.copy(request.getfixturevalue("genuine" if what in FORGED else "of_three"), copy)
    forge(copy)
    report = audit(copy)
    assert not report.true
    figures = [failure.figure for failure in report.ledger.failures]
    assert any(word in figure for figure in figures), figures[:10]
    digests = [failure for failure in report.ledger.failures if failure.check == "digests"]
    assert not digests or word == "measures"  # the forger has made them anew
    told = next(failure for failure in report.ledger.failures if word in failure.figure)
    assert told.recorded != told.recomputed


THINNED: dict[str, Forgery] = {
    "histogram": (lambda p: forger.measures(p, DENSE, STEP, at("counts", (0, 1, 5), plus(3))), "counts"),
    "order of percentiles": (lambda p: forger.figure(p, DENSE, STEP, 0, "output.p15", plus(99)), "output.p15"),
    "mean beyond the maximum": (lambda p: forger.figure(p, DENSE, STEP, 0, "input.mean", plus(99)), "input.mean"),
    "spread beyond what the ends allow": (
        lambda p: forger.figure(p, DENSE, STEP, 0, "output.std", times(100)), "output.std"
    ),
    "mean against the features' means": (
        lambda p: forger.figure(p, DENSE, STEP, 0, "pre_norm.mean", plus(1e-3)), "pre_norm.mean"
    ),
    "spread against the features' variances": (
        lambda p: forger.figure(p, DENSE, STEP, 0, "pre_norm.std", times(1.001)), "pre_norm.std"
    ),
    "batch variance against the spread": (
        lambda p: forger.measures(p, DENSE, STEP, at("0.statistics", (1, 3), times(1.1))), "std"
    ),
    "gamma against the spread after it": (
        lambda p: forger.measures(p, DENSE, STEP, at("0.affine", (0, 3), times(1.1))), "normalized.std"
    ),
    "beta against the mean after it": (
        lambda p: forger.measures(p, DENSE, STEP, at("0.affine", (1, 3), plus(0.1))), "normalized.mean"
    ),
    "negative norm": (lambda p: forger.figure(p, DENSE, STEP, 0, "weight_gradient_norm", times(-1)), "weight_gradient"),
    "more kept than there are bits": (
        lambda p: forger.figure(p, DENSE, STEP, 0, "dropout.kept_fraction", plus(0.1)), "kept"
    ),
    "mask that does not fit its rate": (
        lambda p: forger.measures(p, DENSE, STEP, lambda a: a["0.mask"].fill(255)), "mask"
    ),
    "dead fraction of no unit": (lambda p: forger.figure(p, DENSE, STEP, 0, "dead_fraction", plus(0.01)), "dead"),
    "variance below 0": (
        lambda p: forger.measures(p, DENSE, STEP, at("0.statistics", (3, 3), times(-1))), "running_var"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def thinned(genuine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copy(genuine, tmp_path_factory.mktemp("thinned") / "x.bntui"))
    forger.thin(path, DENSE, STEP)
    report = audit(path)
    assert report.true
    assert report.consistent == 1
    return path


@pytest.mark.parametrize("what", THINNED)
def test_where_evidence_is_gone_a_row_still_has_to_agree_with_itself(thinned: Path, what: str, tmp_path: Path) -> None:
    copy = Path(shutil.copy(thinned, tmp_path / "forged.bntui"))
    forge, word = THINNED[what]
    forge(copy)
    report = audit(copy)
    figures = [failure.figure for failure in report.ledger.failures]
    assert any(word in figure for figure in figures), figures


def test_runs_of_one_seed_see_the_same_samples_in_the_same_order(of_three: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(of_three, tmp_path / "forged.bntui"))
    forger.thin(copy, DENSE, STEP)
    forger.measures(copy, DENSE, STEP, swapped)
    assert any("batch_indices" in failure.figure for failure in audit(copy).ledger.failures)


def contents(path: Path) -> list[Any]:
    """Everything that the tables hold."""
    with forger.opened(path) as db:
        tables = [row["name"] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [[tuple(row) for row in db.execute(f"SELECT * FROM {table}")] for table in sorted(tables)]


def test_no_bit_of_what_is_recorded_can_flip_unseen(genuine: Path, tmp_path: Path) -> None:
    """Anywhere in the file: what SQLite still reads and finds changed is found, or refused; nothing crashes."""
    written, before = genuine.read_bytes(), contents(genuine)
    rng = np.random.default_rng(0)
    changed = 0
    for _ in range(12):
        block = bytearray(written)
        block[int(rng.integers(len(block)))] ^= 1 << int(rng.integers(8))
        path = tmp_path / "flipped.bntui"
        path.write_bytes(block)
        try:
            if contents(path) == before:
                continue  # room that no row takes
        except sqlite3.Error:
            pass
        changed += 1
        try:
            assert not audit(path).true
        except RecordingError:
            continue
    assert changed >= 4
