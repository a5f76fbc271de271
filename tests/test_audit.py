"""bntui audit on whole recordings: what is honest is true, nothing can be built that it does not know."""

from __future__ import annotations

import ast
import inspect
import json
import sqlite3
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from safetensors.numpy import load

from bntui.audit.activations import ACTIVATIONS
from bntui.audit.audit import Report, audit
from bntui.audit.backward import BACKWARD
from bntui.audit.forward import FORWARD
from bntui.audit.network import DRAWN, ENTRIES
from bntui.audit.normalize import NORMS
from bntui.audit.optimizers import OPTIMIZERS
from bntui.audit.recurrence import CELLS, CELLS_BACK
from bntui.audit.report import as_json, as_text
from bntui.audit.stopping import SCHEDULES, Waiting
from bntui.audit.tolerances import TABLE, UNIT_IS
from bntui.audit.values import STAGES
from bntui.scenario import activations, data, fields, network, training
from bntui.scenario.load import parse
from bntui.text.language import use
from bntui.trainer import network as theirs
from bntui.trainer.session import Session
from tests.korean import korean, said
from tests.test_session import DIGITS

ROOT = Path(__file__).parent.parent


def recorded(path: Path, text: str, *settings: tuple[str, Any]) -> Report:
    """Train a scenario to its end, and audit it."""
    session = Session.begin(parse(text, file="test.toml", overrides=settings), path)
    while not session.over:
        session.epoch(lambda: False)
    session.close()
    return audit(path)


# --- nothing can be added without its audit ---


def choices(model: type[fields.Table], field: str) -> set[str]:
    """The words that a key of the scenario file allows."""
    found: set[str] = set()
    waiting = [get_type_hints(model)[field]]
    while waiting:
        for part in get_args(waiting.pop()):
            if isinstance(part, str):
                found.add(part)
            else:
                waiting.append(part)
    return found


def test_every_choice_of_the_scenario_file_has_its_audit() -> None:
    assert set(ACTIVATIONS) == choices(network.NetworkConfig, "activation") == set(activations.ACTIVATIONS)
    assert {"none", *NORMS} == choices(network.NetworkConfig, "norm")
    assert set(OPTIMIZERS) == choices(training.Training, "optimizer")
    assert set(SCHEDULES) == choices(training.Schedule, "kind")
    assert set(CELLS) == set(CELLS_BACK) == choices(network.RecurrentLayer, "cell")
    layers = (network.LinearLayer, network.ConvLayer, network.RecurrentLayer)
    assert get_args(get_args(network.Layer)[0]) == layers
    assert set(ENTRIES) == {kind for layer in layers for kind in choices(layer, "type")}
    assert choices(training.Training, "validation_mode") == {"evaluation", "training"}
    assert choices(network.NetworkConfig, "norm_position") == {"before_activation", "after_activation"}
    assert choices(network.NetworkConfig, "norm_recurrent") == {"input", "step"}
    assert choices(data.Data, "scaling") == {"none", "minmax", "standard"}
    assert choices(data.Data, "sequence") == {"none", "rows", "pixels"}
    assert choices(data.Data, "last_batch") == {"first", "keep", "drop"}


def test_every_setting_that_moves_a_number_is_one_that_the_audit_has_heard_of() -> None:
    """A new key fails here until somebody has thought about what the audit has to do with it."""
    assert set(training.Training.model_fields) == {
        "optimizer", "lr", "momentum", "nesterov", "weight_decay", "betas", "alpha", "clip_norm", "clip_value",
        "epochs", "validation_mode", "validation_batch", "engine", "threads", "schedule", "early_stopping",
    }  # fmt: skip
    assert set(network.NetworkConfig.model_fields) == {
        "hidden", "layer", "activation", "norm", "norm_position", "groups", "norm_momentum", "norm_eps", "norm_gamma",
        "norm_noise", "norm_recurrent", "dropout", "init",
    }  # fmt: skip
    assert set(training.Schedule.model_fields) == {
        "kind", "step_size", "gamma", "min_lr", "patience", "threshold", "warmup_epochs"
    }  # fmt: skip
    assert set(training.EarlyStoppingRule.model_fields) == {
        "monitor", "min_delta", "patience", "mode", "baseline", "restore_best_weights", "start_from_epoch"
    }  # fmt: skip


def test_every_kind_of_stage_that_the_trainer_can_make_has_its_audit() -> None:
    """Read off the trainer's source: the first word of each pair of a kind and a module, and of each Stage."""
    made: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(theirs))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Stage":
            made |= {
                arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            }
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            kind, module = node.elts
            if isinstance(kind, ast.Constant) and isinstance(kind.value, str) and not isinstance(module, ast.Constant):
                made.add(kind.value)
    made |= {"linear", "conv", "recurrent"}  # named by the block's type
    assert made == set(FORWARD) == set(BACKWARD)
    assert set(theirs.DRAWN) == {*DRAWN, "dropout"}
    assert set(STAGES) | {"input_noise"} == set(FORWARD)


# --- what a recording may be ---

SMALL = """
title = "Small"
seed = 5
[data]
source = "digits"
samples = 200
scaling = "standard"
batch_size = 30
[network]
hidden = [10, 8]
activation = "tanh"
norm = "batch"
[training]
lr = 0.1
epochs = 2
[record]
every = 1
"""

VARIANTS: dict[str, tuple[tuple[str, Any], ...]] = {
    "sgd, momentum": (("training.momentum", 0.9), ("training.weight_decay", 0.01)),
    "nesterov": (("training.momentum", 0.9), ("training.nesterov", True)),
    "adam": (("training.optimizer", "adam"), ("training.lr", 0.01), ("training.weight_decay", 0.01)),
    "adamw": (("training.optimizer", "adamw"), ("training.lr", 0.01), ("training.weight_decay", 0.1)),
    "rmsprop": (("training.optimizer", "rmsprop"), ("training.lr", 0.01), ("training.momentum", 0.5)),
    "clipped norm": (("training.clip_norm", 0.05),),
    "clipped values": (("training.clip_value", 0.001),),
    "warm-up and cosine": (("training.schedule.kind", "cosine"), ("training.schedule.warmup_epochs", 1)),
    "plateau": (
        ("training.schedule.kind", "plateau"), ("training.schedule.patience", 0), ("training.schedule.threshold", 0.5),
        ("training.epochs", 4),
    ),
    "left over samples dropped": (("data.last_batch", "drop"),),
    "left over samples last": (("data.last_batch", "keep"),),
    "left over samples first, every step": (("data.last_batch", "first"), ("record.every", 1)),
    "layer norm": (("network.norm", "layer"), ("network.dropout", 0.4)),
    "group norm": (("network.norm", "group"), ("network.groups", 2), ("network.activation", "gelu")),
    "after the activation": (("network.norm_position", "after_activation"), ("network.activation", "leaky_relu")),
    "softsign, momentum of 1": (("network.activation", "softsign"), ("network.norm_momentum", 1.0)),
    "noise": (("network.norm_noise", 0.5),),
    "noise in the inputs": (("data.input_noise", 0.2), ("network.activation", "relu")),
    "gradient shift": (("record.shift", True), ("network.dropout", 0.2)),
    "a diverging run": (
        ("training.lr", 1e6), ("network.norm", "none"), ("network.activation", "relu"), ("data.last_batch", "keep"),
    ),
    "a curve": (
        ("data.source", "sine"), ("data.batch_size", 16), ("training.early_stopping.monitor", "val_r2"),
        ("training.epochs", 5),
    ),
    "a boundary": (("data.source", "moons"), ("network.activation", "relu")),
    "accuracy is watched": (
        ("training.early_stopping.monitor", "val_accuracy"), ("training.early_stopping.baseline", 0.5),
        ("training.early_stopping.patience", 1), ("training.epochs", 6), ("record.every", "epoch"),
    ),
    "validation in training mode": (("training.validation_mode", "training"), ("training.validation_batch", 13)),
    "gru over rows": (
        ("network.layer", [{"type": "recurrent", "cell": "gru", "units": 6}]), ("data.sequence", "rows"),
    ),
    "elman, layer norm": (
        ("network.layer", [{"type": "recurrent", "units": 6}]), ("network.norm", "layer"), ("data.sequence", "rows"),
    ),
    "an image's rows": (
        ("network.layer", [{"type": "conv", "channels": 2}, {"type": "recurrent", "cell": "lstm", "units": 5}]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_a_recording_of_any_kind_is_true(name: str, tmp_path: Path) -> None:
    text = SMALL
    settings = VARIANTS[name]
    if any(key == "network.layer" for key, _value in settings):
        text = SMALL.replace("hidden = [10, 8]\n", "")
    report = recorded(tmp_path / "x.bntui", text, *settings)
    assert report.true, report.ledger.failures[:5]
    assert report.full >= 4
    if name != "noise":
        assert not report.ledger.notes or name == "validation in training mode"
    assert report.ledger.lines["pre-activations"].figures


def test_forks_are_true(tmp_path: Path) -> None:
    """Of each kind: the same again, other settings of training, another batch size, another structure."""
    path = tmp_path / "x.bntui"
    session = Session.begin(parse(SMALL, file="test.toml"), path)
    while not session.over:
        session.epoch(lambda: False)
    for step, changes in (
        (3, ()),
        (3, (("training.lr", 0.01), ("training.epochs", 3))),
        (4, (("data.batch_size", 50),)),
        (6, (("network.dropout", 0.5), ("training.optimizer", "adam"))),
        (6, (("network.norm", "none"), ("network.activation", "relu"))),
        (2, (("training.schedule.kind", "plateau"), ("training.early_stopping.patience", 3))),
    ):
        session.fork(0, step, changes)
    while not session.over:
        session.epoch(lambda: False)
    session.close()
    report = audit(path)
    assert report.true, report.ledger.failures[:5]
    assert report.full > 40


def test_evidence_that_was_thinned_leaves_consistency(tmp_path: Path) -> None:
    report = recorded(tmp_path / "x.bntui", SMALL, ("record.budget", 0.15), ("network.dropout", 0.3))
    assert report.true, report.ledger.failures[:5]
    assert report.full >= 2
    assert report.consistent >= 4
    assert f"{report.consistent} checked for consistency only" in as_text(report).splitlines()[-1]


def test_a_recording_without_its_data_says_what_it_cannot_check(tmp_path: Path) -> None:
    path = tmp_path / "x.bntui"
    recorded(path, SMALL)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE data SET block = NULL")
    report = audit(path)
    assert report.true, report.ledger.failures[:5]
    assert any("does not contain the data set" in note for note in report.ledger.notes)
    assert report.ledger.lines["normalization, scale and shift"].figures
    assert "gradient norms" not in report.ledger.lines


def test_a_recording_of_format_1_says_what_it_cannot_check() -> None:
    report = audit(ROOT / "tests" / "data" / "format-1.bntui")
    assert report.true
    assert (report.full, report.consistent) == (0, 10)
    assert "keyframes of format 1, which does not name the network's stages" in report.ledger.notes
    assert "Not checked:" in as_text(report)


def test_a_recording_that_is_growing_can_be_audited(tmp_path: Path) -> None:
    session = Session.begin(parse(SMALL, file="test.toml"), tmp_path / "x.bntui")
    session.epoch(lambda: False)
    report = audit(tmp_path / "x.bntui")
    session.close()
    assert report.true, report.ledger.failures[:5]


# --- how it is said ---


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "x.bntui"
    recorded(path, SMALL, ("record.every", "epoch"))
    return path


def test_the_command_prints_a_table_and_ends_with_0(small: Path) -> None:
    done = said("audit", small)
    assert done.returncode == 0
    assert not done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Small · ")
    assert lines[2].split() == ["checked", "figures", "largest", "relative", "error", "tolerance", "where"]
    assert lines[-1] == (
        "true: every figure within its tolerance; 3 keyframes recomputed in full, 0 checked for consistency only"
    )


def test_a_figure_outside_ends_with_1_and_is_named(small: Path, tmp_path: Path) -> None:
    from tests import forger

    forged = tmp_path / "forged.bntui"
    forged.write_bytes(small.read_bytes())
    forger.figure(forged, 0, 6, 1, "weight_norm", lambda value: value * 2)
    done = said("audit", forged)
    assert done.returncode == 1
    row = next(line for line in done.stdout.splitlines() if "weight_norm" in line)
    assert row.split()[:5] == ["run", "6", "linear", "2", "weight_norm"]
    recorded_value, recomputed = map(float, row.split()[5:7])
    assert recorded_value == pytest.approx(2 * recomputed)
    assert done.stdout.splitlines()[-1].startswith("not true: 1 figure fails; 3 keyframes")


def test_a_file_that_is_none_ends_with_2(tmp_path: Path) -> None:
    assert said("audit", ROOT / "README.md").returncode == 2
    assert said("audit", tmp_path / "none.bntui").returncode == 2


def test_json_is_for_programs(small: Path) -> None:
    done = said("audit", small, "--json", "--lang", "ko")
    report = json.loads(done.stdout)
    assert report["true"] is True
    assert report["keyframes"] == {"full": 3, "consistency": 0, "damaged": 0}
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["gradient norms"]["figures"] == 9
    assert 0 < checks["gradient norms"]["largest_relative_error"] < checks["gradient norms"]["tolerance"]
    assert report["failures"] == report["not_checked"] == []


def test_json_of_figures_that_are_not_finite_is_json(tmp_path: Path) -> None:
    report = recorded(tmp_path / "x.bntui", SMALL, *VARIANTS["a diverging run"])
    json.loads(as_json(report), parse_constant=lambda name: pytest.fail(name))


def test_korean_says_all_of_it_in_korean(small: Path) -> None:
    try:
        use("ko")
        words = as_text(audit(small))
    finally:
        use("en")
    for line in words.splitlines()[2:]:
        assert not line or korean(line), line
    page = said("audit", "--help", "--lang", "ko", COLUMNS="200").stdout
    for line in page.splitlines()[-len(TABLE) - 1 :]:
        assert korean(line), line


def test_the_help_quotes_the_tolerances() -> None:
    done = said("audit", "--help", COLUMNS="200")
    for rule in TABLE:
        assert f"{rule.subject}: {rule.size}" in done.stdout


def test_the_documentation_quotes_the_tolerances() -> None:
    page = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    plain = page.replace("\\|", "|")  # a stroke in a table's cell
    for rule in TABLE:
        assert f"| {rule.subject} | `{rule.size}` | {rule.reason} |" in plain
    assert UNIT_IS in page


# --- Keras' early stopping, by hand ---

RULE = {"monitor": "val_loss", "min_delta": 0.0, "patience": 2, "mode": "auto", "baseline": None, "start_from_epoch": 0}


@pytest.mark.parametrize(
    ("changes", "values", "waits", "stop"),
    [
        ({}, [3, 2, 2, 1, 1, 1], [0, 0, 1, 0, 1, 2], 6),
        ({"min_delta": -0.5}, [3, 2.6, 2.4, 2.4], [0, 1, 0, 1], None),
        ({"patience": 0}, [3, 2, 2], [0, 0, 1], 3),
        ({"patience": 0}, [float("nan"), 2, 1], [1, 0, 0], None),
        ({"mode": "max"}, [1, 2, 2, 2], [0, 0, 1, 2], 4),
        ({"monitor": "val_accuracy"}, [1, 2, 2, 2], [0, 0, 1, 2], 4),
        ({"baseline": 1.0}, [3, 2, 1.5], [1, 2, 3], None),
        ({"baseline": 1.0}, [3, 0.5, 0.5], [1, 0, 1], None),
        ({"start_from_epoch": 2}, [1, 1, 3, 3, 3], [0, 0, 0, 1, 2], 5),
        ({}, [2, float("nan"), 1, float("nan"), float("nan")], [0, 1, 0, 1, 2], 5),
    ],
)
def test_patience_is_kerass(changes: dict[str, Any], values: list[float], waits: list[int], stop: int | None) -> None:
    state, seen, ended = Waiting(), [], None
    for epoch, value in enumerate(values, 1):
        state.see(RULE | changes, epoch, value)
        seen.append(state.wait)
        if state.stopped and ended is None:
            ended = epoch
    assert (seen, ended) == (waits, stop)
    assert np.isfinite(state.best) or not seen


def test_the_same_file_is_audited_alike_in_whatever_order_its_arrays_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safetensors gives the arrays of a block in another order each time."""
    layer = {"type": "recurrent", "units": 6, "cell": "gru"}  # its certain bounds are so wide that trials are drawn
    recurrent = (("network.layer", [layer]), ("data.sequence", "rows"))
    first = recorded(tmp_path / "x.bntui", DIGITS, ("training.epochs", 2), *recurrent)
    orders = []

    def in_reverse(block: bytes) -> dict[str, Any]:
        found = dict(sorted(load(block).items(), reverse=True))
        orders.append(list(found))
        return found

    monkeypatch.setattr("bntui.recording.codec.load", in_reverse)
    second = audit(tmp_path / "x.bntui")
    assert any(len(order) > 5 for order in orders)
    assert as_json(second) == as_json(first)
