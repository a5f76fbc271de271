"""Lists forgeries with recomputed digests: every column and every field of every table.

Each forgery is found, or stands in the table of ``docs/audit.md`` that says what no reader of the file can refute.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bntui.keyframe import Foreign
from bntui.recording.codec import digest, metadata_of, pack_arrays, unpack_arrays
from bntui.recording.history import Event
from bntui.recording.sentences import FINISHED, INTERRUPTED, RESTORED, RESUMED, RESUMED_ELSEWHERE
from bntui.scenario.load import Override
from bntui.trainer.session import Session
from tests import forger, honest
from tests.forger import Arrays
from tests.honest import BASE, REGRESSION, STOPPING, TWO

THREE = """
[[run]]
name = "plain"
[[run]]
name = "slow"
set = { training.lr = 0.01 }
[[run]]
name = "stops"
set = { training.epochs = 9, training.early_stopping = { patience = 3, min_delta = 0.5 } }
"""

Forge = Callable[[Path], None]
Change = Callable[[Any], Any]

# --- why something is not found: the first words of a row of the table in docs/audit.md ---

CLOCK = "Wall-clock times"
THINNED = "Figures of a row whose evidence was thinned out"
TAIL = "What was cut off at the end"
UNUSED = "Settings that move nothing"
ORIGIN = "Where the samples come from"
SEED = "The seed"
MACHINE = "The machine"
ASKED = "What was asked of the trainer"
TEXTS = "Names of classes and features"
RESUMPTIONS = "When a run was stopped by hand or resumed"
TAKEN = "Kept weights that were taken out"
SETTINGS = "Settings in the scenario's text"
SMALL = "Changes within the tolerance"
INITIAL = "How the initial weights were drawn"
VALIDATED = "That a run validated in training mode"
MORE = "More keyframes than were asked for"
FIGURES = "Figures of other seeds"
REASONS = (
    CLOCK, THINNED, TAIL, UNUSED, ORIGIN, SEED, MACHINE, ASKED, TEXTS, RESUMPTIONS, TAKEN, SETTINGS, SMALL,
    INITIAL, VALIDATED, MORE, FIGURES,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Forgery:
    """One thing that is done to a copy of a recording."""

    base: str
    name: str
    forge: Forge
    unseen: str = ""
    """Why it is not found; empty where it is."""

    def __str__(self) -> str:
        return f"{self.base}: {self.name}"


# --- what is forged ---


def _main(path: Path, *settings: Override) -> None:
    honest.whole(path, BASE + STOPPING + TWO, ("record.every", 2), ("training.epochs", 3), *settings)


def _forked(path: Path) -> None:
    kinds: tuple[Override, ...] = (("network.norm", "batch"), ("training.optimizer", "adam"), ("training.epochs", 3))
    honest.whole(path, BASE + STOPPING, ("record.every", 2), *kinds)
    honest.fork(path, 0, 10, ("training.early_stopping.patience", 3))
    honest.fork(path, 0, 5, ("network.hidden", [5, 6]), ("training.lr", 0.01))
    honest.fork(path, 0, 4, ("training.lr", 0.02), ("training.optimizer", "adamw"))


def _left(path: Path) -> None:
    honest.interrupted_after(path, 2, BASE, ("record.every", 2))
    for _ in range(2):
        session = Session.resume(path)
        session.epoch(honest.never)
        honest.stop(session)


_PLATEAU: tuple[Override, ...] = (
    ("training.schedule.kind", "plateau"), ("training.schedule.patience", 0), ("training.schedule.threshold", 0.4),
)  # fmt: skip


def _plateau(path: Path) -> None:
    honest.whole(path, BASE, *_PLATEAU)
    honest.fork(path, 0, 10, ("training.schedule.gamma", 0.7))


BASES: dict[str, Forge] = {
    "main": _main,
    "shift": lambda p: _main(p, ("record.shift", True)),
    "forked": _forked,
    "lean": lambda p: honest.whole(
        p, BASE + STOPPING + TWO, ("record.budget", 0), ("training.early_stopping.patience", 2)
    ),
    "seldom": lambda p: honest.whole(p, BASE, ("record.every", 7)),
    "bad": lambda p: honest.diverged_within(p, 4),
    "dead": lambda p: honest.died(p, 1),
    "left": _left,
    "plateau": _plateau,
    "sine": lambda p: honest.whole(p, REGRESSION, ("record.every", 2), ("training.epochs", 2)),
    "elsewhere": lambda p: honest.went_on_elsewhere(p, False),
    "images": lambda p: honest.whole(p, honest.CONV, ("training.epochs", 1)),
    "seeds": lambda p: honest.with_seeds(p, BASE + THREE, 3),
    "LSTM": lambda p: honest.whole(
        p, honest.SEQUENCE.replace("CELL", "lstm").replace("NORM", "batch"), ("network.norm_recurrent", "step"),
        ("training.epochs", 1),
    ),
}  # fmt: skip

LAST_DIGIT = "optimizer/linear 1.linear.weight/exp_avg"

# --- changes ---


def plus(amount: float) -> Change:
    return lambda value: value + amount


def times(factor: float) -> Change:
    return lambda value: value * factor


def to(value: Any) -> Change:
    return lambda _old: value


def put(key_path: str, change: Change | Any) -> Callable[[Any], None]:
    """A change of one value of nested tables; keys between dots, numbers for lists."""

    def changed(told: Any) -> None:
        *before, last = (int(key) if key.isdigit() else key for key in key_path.split("."))
        for key in before:
            told = told[key]
        told[last] = change(told[last]) if callable(change) else change

    return changed


def drop(key: str) -> Callable[[Any], None]:
    return lambda told: told.pop(key)


def element(name: str, index: tuple[int, ...], change: Change) -> Callable[[Arrays], object]:
    def changed(arrays: Arrays) -> None:
        arrays[name][index] = change(arrays[name][index])

    return changed


# --- the table ---


def scalars() -> Iterator[Forgery]:
    """``keyframe``: each column of a row with evidence, of an epoch's end, and of a row without."""

    def of(base: str, run: int, step: int, column: str, change: Change, unseen: str = "", what: str = "") -> Forgery:
        name = f"{column} of step {step}, run {run}{what}"
        return Forgery(base, name, lambda p: forger.scalar(p, run, step, column, change), unseen)

    for run in (0, 1):
        yield of("main", run, 4, "epoch", plus(0.01))
        yield of("main", run, 4, "epoch_end", to(1))
        yield of("main", run, 4, "lr", times(1.0001))
        yield of("main", run, 4, "batch_loss", times(1.0001))
        yield of("main", run, 4, "train_loss", times(1.000001))
        yield of("main", run, 4, "train_accuracy", plus(1 / 32))
        yield of("main", run, 5, "train_accuracy", plus(-1 / 35))
        yield of("main", run, 5, "train_loss", plus(0.001))
        yield of("main", run, 4, "val_loss", times(1.001))
        yield of("main", run, 4, "val_accuracy", plus(-1 / 9))
        yield of("main", run, 5, "epoch_end", to(0))
        yield of("main", run, 5, "best", times(0.99))
        yield of("main", run, 5, "best_epoch", plus(1))
        yield of("main", run, 10, "wait", plus(1))
        yield of("main", run, 10, "stopped", to(0))
        yield of("main", run, 10, "reason", lambda text: text.replace("1, patience", "2, patience"))
        yield of("main", run, 10, "reason", lambda text: text + "!", what=", with a mark")
        yield of("main", run, 4, "reason", to("tired"))
    yield of("main", 0, 0, "weights_digest", lambda text: text[::-1])
    yield of("main", 0, 4, "weights_digest", lambda text: text[::-1])
    yield of("main", 0, 5, "weights_digest", lambda text: text[::-1], what=" (the kept weights)")
    yield of("main", 0, 6, "weights_digest", to("no digest"))
    yield of("main", 0, 0, "train_loss", times(1.0001))
    yield of("main", 0, 0, "train_accuracy", plus(1 / 8))
    yield of("main", 0, 6, "wall_time", to(0.0))
    yield of("main", 0, 6, "wall_time", to(-1.0), what=", negative")
    yield of("main", 0, 10, "wall_time", plus(3600.0), CLOCK)
    yield of("forked", 1, 10, "best", times(0.9), what=" (where a fork begins)")
    yield of("forked", 1, 10, "wait", to(0), what=" (where a fork begins)")
    yield of("forked", 1, 10, "best_epoch", to(2), what=" (where a fork begins)")
    yield of("forked", 1, 10, "epoch", plus(1), what=" (where a fork begins)")
    yield of("forked", 2, 5, "wait", to(1), what=" (where a fork begins afresh)")
    yield of("forked", 3, 4, "epoch", plus(0.1), what=" (where a fork begins)")
    yield of("forked", 3, 4, "lr", times(2), what=" (where a fork begins)")
    # evidence at a budget of 0
    kept, last = 5, 15
    yield of("lean", 0, kept, "val_loss", times(1.01), what=" (the kept weights)")
    yield of("lean", 0, kept, "val_accuracy", plus(-1 / 9), what=" (the kept weights)")
    yield of("lean", 0, 10, "lr", times(1.1))
    yield of("lean", 0, 10, "train_accuracy", plus(0.3 / 35))
    yield of("lean", 0, 10, "val_accuracy", plus(0.3 / 9))
    yield of("lean", 0, 10, "wait", to(0))
    yield of("lean", 0, 10, "train_loss", times(1.001), THINNED)
    yield of("lean", 0, 10, "train_accuracy", plus(-1 / 35), THINNED, " (whole samples)")
    yield of("lean", 0, 10, "batch_loss", times(1.001), THINNED)
    yield of("lean", 0, 10, "val_loss", times(1.001), THINNED)
    yield of("lean", 0, 10, "weights_digest", lambda text: text[::-1], THINNED)
    yield of("lean", 0, last, "best_epoch", to(3))
    # rows of scalars alone
    yield of("seldom", 0, 5, "val_loss", times(-1), what=" (no frame; negative)")
    yield of("seldom", 0, 15, "val_loss", times(1.1), what=" (no frame; the best so far)")
    yield of("seldom", 0, 10, "train_accuracy", plus(0.01))
    yield of("seldom", 0, 5, "epoch", plus(0.2))
    # sums within an epoch only grow
    yield of("sine", 0, 4, "train_loss", times(0.1))
    yield of("sine", 0, 4, "train_accuracy", plus(0.001))
    yield of("sine", 0, 5, "train_accuracy", plus(0.001), THINNED, " (no frame)")
    yield of("sine", 0, 4, "val_accuracy", times(0.99))
    # a schedule that looks at what happened
    yield of("plateau", 0, 15, "lr", times(2))
    yield of("plateau", 1, 15, "lr", times(2))
    yield of("plateau", 0, 5, "val_loss", times(0.5))


def columns() -> Iterator[Forgery]:
    """Per-layer scalars: the table in ``keyframe.layers``."""

    def of(column: str, change: Change, layer: int = 0, base: str = "main") -> Forgery:
        name = f"{column} of layer {layer}, step 4, run 1"
        return Forgery(base, name, lambda p: forger.figure(p, 1, 4, layer, column, change))

    for quantity in ("input", "pre_norm", "normalized", "output"):
        for statistic in ("mean", "std", "p15", "p50", "p85", "min", "max"):
            yield of(f"{quantity}.{statistic}", plus(1e-3))
    for column in ("weight_norm", "weight_gradient_norm", "activation_gradient_norm", "update_ratio"):
        yield of(column, times(1.01))
    yield of("dropout.kept_fraction", plus(1 / 40))
    yield of("dead_fraction", to(0.2))
    yield of("saturated_fraction", plus(1 / 40))
    for column in ("unit_p15", "unit_p50", "unit_p85"):
        yield of(column, plus(1e-3))
    yield of("gradient_shift", times(1.5), layer=1, base="shift")
    yield of("gradient_shift", to(float("nan")), layer=1, base="shift")


def arrays() -> Iterator[Forgery]:
    """``measures``, ``evidence``, ``checkpoint`` and ``data``: each array."""

    def measured(name: str, change: Callable[[Arrays], object], base: str = "main", step: int = 4) -> Forgery:
        return Forgery(base, name, lambda p: forger.measures(p, 1 if base == "main" else 0, step, change))

    def kept(name: str, change: Callable[[Arrays], object], unseen: str = "", step: int = 4) -> Forgery:
        return Forgery("main", name, lambda p: forger.evidence(p, 1, step, change), unseen)

    def weights(name: str, change: Callable[[Arrays], object], base: str = "main") -> Forgery:
        return Forgery(base, name, lambda p: forger.checkpoint(p, 0, change))

    for number, figure in enumerate(("batch mean", "batch variance", "running mean", "running variance")):
        yield measured(figure, element("0.statistics", (number, 2), plus(1e-2)))
    for number, figure in enumerate(("gamma", "beta", "gamma's gradient", "beta's gradient")):
        yield measured(figure, element("0.affine", (number, 2), plus(1e-2)))
    yield measured("epsilon", element("0.eps", (0,), times(2)))
    yield measured("bits of a mask", lambda a: a.update({"0.mask": np.roll(a["0.mask"], 1, axis=0)}))
    yield measured("counts of a histogram", element("counts", (0, 1, 3), plus(1)))
    yield measured("a sample of the mini-batch", element("batch_indices", (0,), to(34)))
    yield measured("a mini-batch that is shorter", lambda a: a.update(batch_indices=a["batch_indices"][:-1]))
    yield measured("predictions", element("predictions", (3, 5), to(0.01)))
    yield measured("predicted classes", element("predicted_classes", (3, 5), lambda c: (c + 1) % 3))
    yield measured("predictions left out", drop("predictions"))
    yield measured("predictions at budget 0, kept weights", element("predictions", (3, 5), to(0.01)), "lean", 5)
    yield measured("classes at budget 0, kept weights", element("predicted_classes", (3, 5), plus(1)), "lean", 5)
    for at in range(5):
        yield kept(f"values of stage {at}", element(f"stage/{at}", (3, 2), plus(1e-2)))
    yield kept("a weight before the step", element("before/linear 1.linear.weight", (2, 1), plus(1e-2)))
    yield kept("a bias before the step", element("before/linear 1.linear.bias", (2,), plus(1e-2)))
    yield kept("a running mean before the step", element("before/linear 1.norm.running_mean", (2,), plus(1e-2)))
    yield kept("a count of mini-batches", element("before/linear 1.norm.num_batches_tracked", (0,), plus(1)))
    yield kept("an average of the gradient", lambda a: a["optimizer/output.linear.weight/exp_avg"].fill(1.0))
    yield kept("an average of its square", lambda a: a["optimizer/output.linear.weight/exp_avg_sq"].fill(1.0))
    yield kept("a count of steps", lambda a: a["optimizer/output.linear.weight/step"].fill(900))
    yield kept(
        "the last digit of an average",
        lambda a: a.update({LAST_DIGIT: np.nextafter(a[LAST_DIGIT], np.float32(1))}),
        SMALL,
    )
    yield kept("a recorded gradient", element("gradient/linear 1.norm.weight", (2,), plus(1e-2)))
    yield kept("a full mask", element("mask/linear 1", (0,), lambda b: b ^ 16))
    yield kept("a stage left out", drop("stage/2"))
    yield weights("kept weights", element("output.linear.bias", (0,), plus(1e-3)))
    yield weights("kept weights, one left out", drop("output.linear.bias"))
    yield weights("kept weights, one too many", lambda a: a.update(extra=np.zeros(3, np.float32)))
    yield weights("kept weights at budget 0", element("output.linear.bias", (0,), plus(1e-3)), "lean")
    yield Forgery("lean", "kept weights at budget 0, with their digest", _other_weights)
    yield Forgery("lean", "running variance at budget 0", lambda p: forger.measures(
        p, 1, forger.kept_step(p, 1), element("0.statistics", (3, 2), times(1.01))))  # fmt: skip
    yield Forgery("main", "step of the kept weights", lambda p: forger.execute(p, "UPDATE checkpoint SET step = 10"))
    yield Forgery(
        "main", "name of the kept weights", lambda p: forger.execute(p, "UPDATE checkpoint SET name = 'best'")
    )
    yield Forgery("main", "kept weights of a run that goes on", _kept_too_early)
    yield Forgery("main", "kept weights taken out", lambda p: forger.execute(p, "DELETE FROM checkpoint"))
    yield Forgery("seldom", "kept weights taken out", lambda p: forger.execute(p, "DELETE FROM checkpoint"), TAKEN)

    def samples(name: str, change: Callable[[Arrays], object]) -> Forgery:
        return Forgery("main", f"data, {name}", lambda p: forger.dataset(p, "data", change, _whole))

    yield samples("a sample", element("x", (4, 0), plus(1)))
    yield samples("a label", element("y", (4,), lambda label: (label + 1) % 3))
    yield samples("the split", lambda a: a["train"].__setitem__(0, a["validation"][0]))
    yield Forgery("main", "grid, an axis", lambda p: forger.dataset(p, "grid", element("x1", (3,), plus(0.2)), _whole))
    yield Forgery("main", "grid taken out", lambda p: forger.execute(p, "DELETE FROM data WHERE name = 'grid'"))
    yield Forgery("main", "name of the data", lambda p: forger.execute(p, "UPDATE data SET source = 'moons'"))
    yield Forgery("main", "name of the grid", lambda p: forger.execute(
        p, "UPDATE data SET source = 'moons' WHERE name = 'grid'"))  # fmt: skip
    yield Forgery("main", "data under another name", lambda p: forger.execute(
        p, "UPDATE data SET name = 'other' WHERE name = 'grid'"))  # fmt: skip
    yield Forgery("images", "name of a class", lambda p: _retitled(p, "classes"), TEXTS)
    yield Forgery("images", "name of a feature", lambda p: _retitled(p, "features"), TEXTS)


def _whole(_arrays: Arrays, block: bytes) -> bytes:
    return digest(block)


def _other_weights(path: Path) -> None:
    """The kept weights are others, and the row has their digest."""
    from bntui.audit.audit import audit

    forger.checkpoint(path, 0, lambda a: a.update({name: values * 1.5 for name, values in a.items()}))
    failed = next(f for f in audit(path).ledger.failures if f.figure == "weights_digest, checkpoint")
    forger.scalar(path, 0, 5, "weights_digest", to(failed.recomputed))


def _kept_too_early(path: Path) -> None:
    forger.execute(path, "DELETE FROM event WHERE run = 0 AND kind IN ('finished', 'stopped_early', 'restored_best')")


def _retitled(path: Path, what: str) -> None:
    with forger.opened(path) as db:
        block = db.execute("SELECT block FROM data WHERE name = 'data'").fetchone()["block"]
        names = metadata_of(block)
        names[what] = json.dumps(["none", *json.loads(names[what])[1:]])
        forged = pack_arrays(unpack_arrays(block), names)
        db.execute("UPDATE data SET block = ?, digest = ? WHERE name = 'data'", (forged, digest(forged)))


def states() -> Iterator[Forgery]:
    """The trainer's state in evidence: each field of it."""

    def of(
        path: str, change: Change | Any, unseen: str = "", *, base: str = "main", run: int = 0, step: int = 8
    ) -> Forgery:
        name = f"state, {path} at step {step} of run {run}"
        return Forgery(base, name, lambda p: forger.progress(p, run, step, put(path, change)), unseen)

    yield of("step", plus(1))
    yield of("epoch", plus(1))
    yield of("offset", plus(-8))
    yield of("wall", plus(1e6))
    yield of("wall", times(0.5), CLOCK)
    yield of("best_loss", 0.1)
    yield of("best_step", 6)
    yield of("plateau.factor", 0.5)
    yield of("plateau.best", 0.5)
    yield of("plateau.bad_epochs", 1)
    yield of("patience.best", times(0.9))
    yield of("patience.best_epoch", 2)
    yield of("patience.wait", 1)
    yield of("patience.stopped", True)
    yield of("patience.reason", "tired")
    yield of("patience.improved", False)
    yield of("sums.batches", plus(1))
    yield of("sums.samples", plus(8))
    yield of("sums.loss", times(1.01))
    yield of("sums.right", plus(1))
    yield of("sums.residuals", [1.0])
    yield of("sums.targets", [1.0])
    yield of("sums.squares", [1.0])
    yield of("sums.first_bad", 0)
    yield of("patience.wait", -3, base="forked", run=1, step=14)
    yield of("patience.best", 0.0, base="forked", run=1, step=10)
    yield of("patience.wait", 2, base="forked", run=2, step=5)
    yield of("best_step", 5, base="forked", run=2, step=5)
    yield of("offset", 0, base="forked", run=3, step=4)
    yield of("sums.loss", times(1.01), base="forked", run=3, step=4)
    yield of("sums.right", plus(1), base="forked", run=3, step=4)
    yield of("best_loss", 0.1, base="plateau", step=15)
    yield of("best_loss", 0.1, base="plateau", run=1, step=15)
    yield of("plateau.factor", 0.5, base="plateau", step=15)
    yield of("plateau.best", times(2), base="plateau", step=15)
    yield of("plateau.bad_epochs", 7, base="plateau", run=1, step=15)
    yield of("sums.residuals.0", times(1.01), base="sine", step=4)
    yield of("sums.targets.0", plus(1), base="sine", step=4)
    yield of("sums.squares.0", times(1.01), base="sine", step=4)
    yield of("sums.first_bad", None, base="bad", step=4)
    yield of("sums.first_bad", 7, base="bad", step=4)
    yield Forgery("main", "state without its patience", lambda p: forger.progress(p, 0, 8, drop("patience")))
    yield Forgery("forked", "state without its wait", lambda p: forger.progress(
        p, 1, 14, lambda told: told["patience"].pop("wait")))  # fmt: skip
    yield Forgery("main", "no state", lambda p: forger.progress_out(p, 0, 8))


def events() -> Iterator[Forgery]:
    """``event``: moved, invented, taken out, twice, with other figures, with another sentence."""

    def retold(kind: str, /, base: str = "main", run: int = 0, unseen: str = "", **changed: Any) -> Forgery:
        words = ", ".join(f"{name} {value}" for name, value in changed.items())
        return Forgery(base, f"{kind}: {words}", lambda p: forger.retell(p, kind, run, **changed), unseen)

    def happened(name: str, event: Event, base: str = "main", before: str = "", unseen: str = "") -> Forgery:
        return Forgery(base, name, lambda p: forger.happen(p, event, before), unseen)

    def gone(kind: str, base: str = "main", run: int = 0, unseen: str = "") -> Forgery:
        statement = f"DELETE FROM event WHERE kind = '{kind}' AND run = {run}"
        return Forgery(base, f"{kind} of run {run} taken out", lambda p: forger.execute(p, statement), unseen)

    yield retold("finished", "seldom", epochs=99)
    yield retold("finished", "seldom", step=15, epoch=3.0)
    yield retold("finished", "seldom", message="finished after 99 epochs")
    yield retold("finished", "seldom", step=17)
    yield retold("finished", "seldom", kind_="stopped_early")
    yield gone("finished", "seldom")
    yield happened("finished twice", Event.of(0, 20, 4.0, "finished", FINISHED, epochs=4), "seldom")
    yield happened("finished at half time", Event.of(0, 10, 2.0, "finished", FINISHED, epochs=4), "left")
    yield happened("finished beside stopped early", Event.of(0, 10, 2.0, "finished", FINISHED, epochs=4))
    yield retold("stopped_early", best_epoch=2)
    yield retold("stopped_early", wait=5)
    yield retold("stopped_early", patience=5)
    yield retold("stopped_early", monitor="loss")
    yield retold("stopped_early", epoch_=3)
    yield retold("stopped_early", step=5, epoch=1.0)
    yield retold("stopped_early", epoch=1.5)
    yield retold("stopped_early", message="stopped at epoch 2: everything is fine")
    yield gone("stopped_early")
    yield retold("restored_best", epoch_=2)
    yield retold("restored_best", step=5, epoch=1.0)
    yield gone("restored_best")
    yield happened("restored, though nothing is", Event.of(0, 20, 4.0, "restored_best", RESTORED, epoch=4), "seldom")
    yield retold("diverged", "bad", loss="infinite-ish")
    yield retold("diverged", "bad", step_=1)
    yield retold("diverged", "bad", step=3, epoch=0.6)
    yield gone("diverged", "bad")
    yield happened(
        "diverged, though it is not",
        Event.of(0, 20, 4.0, "diverged", "the training loss became {loss} at step {step}", loss="NaN", step=20),
        "seldom", "finished",
    )  # fmt: skip
    yield retold("first_bad", "bad", step_=2, step=2, epoch=0.4)
    yield retold("first_bad", "bad", layer="linear 1")
    yield retold("first_bad", "bad", layer="linear 9")
    yield retold("first_bad", "bad", quantity="output")
    yield retold("first_bad", "bad", value="NaN")
    yield retold("first_bad", "bad", epoch=0.7)
    yield gone("first_bad", "bad")
    yield retold("died", "dead", layer="linear 2")
    yield retold("died", "dead", ratio=1e-12)
    yield retold("died", "dead", step_=3)
    yield retold("died", "dead", step_=3, step=3, epoch=0.6)
    yield gone("died", "dead")
    bad = "first {value} value at step {step}: {quantity} of layer {layer}"
    wrong = {"value": "NaN", "quantity": "output", "layer": "linear 1"}
    yield happened("first bad at a sound row", Event.of(0, 4, 0.8, "first_bad", bad, step=4, **wrong))
    yield happened("first bad where there is no row", Event.of(0, 3, 0.6, "first_bad", bad, step=3, **wrong))
    yield happened("first bad twice", Event.of(0, 3, 0.6, "first_bad", bad, step=3, **wrong), "bad")
    yield retold("interrupted", "left", epoch_=3.0)
    yield retold("interrupted", "left", step=7, epoch=1.4)
    yield retold("interrupted", "left", epoch=0.1)
    yield happened("interrupted after the end", Event.of(0, 20, 4.0, "interrupted", INTERRUPTED, epoch=4.0), "seldom")
    yield happened(
        "interrupted, and never resumed",
        Event.of(0, 7, 1.4, "interrupted", INTERRUPTED, epoch=1.4),
        "seldom",
        "finished",
    )
    yield happened("resumed after the end", Event.of(0, 20, 4.0, "resumed", RESUMED, epoch=4.0), "seldom")
    yield happened(
        "resumed where there is no row", Event.of(0, 8, 1.6, "resumed", RESUMED, epoch=1.6), "seldom", "finished"
    )
    yield happened(
        "resumed, though nobody stopped it", Event.of(0, 7, 1.4, "resumed", RESUMED, epoch=1.4), "seldom", "finished",
        RESUMPTIONS,
    )  # fmt: skip
    yield happened(
        "resumed with another torch than the recording's",
        Event.of(0, 7, 1.4, "resumed", RESUMED_ELSEWHERE, epoch=1.4, now="torch 3, cpu", before="torch 1, cpu"),
        "seldom", "finished",
    )  # fmt: skip
    yield gone("resumed", "left")
    yield Forgery("left", "the last interruption taken out", lambda p: forger.execute(
        p, "DELETE FROM event WHERE id = (SELECT max(id) FROM event)"), RESUMPTIONS)  # fmt: skip
    yield retold("departed", "elsewhere", step_=999)
    yield retold("departed", "elsewhere", step_=17)
    yield gone("departed", "elsewhere")
    yield gone("resumed", "elsewhere")
    departed = "from step {step} on the weights are no longer those that were recorded"
    yield happened(
        "departed, though it is the same", Event.of(0, 4, 0.8, "departed", departed, step=4), "main", "stopped_early"
    )
    yield happened("a kind that there is not", Event(0, 10, 2.0, Foreign("won"), "won the prize", {"prize": 1}))
    yield happened("an event of no run", Event.of(17, 20, 4.0, "finished", FINISHED, epochs=4))
    yield Forgery(
        "seldom", "figures taken out of an event", lambda p: forger.event(p, "finished", "arguments", to("{}"))
    )
    yield Forgery("left", "events in another order", lambda p: forger.execute(p, "UPDATE event SET id = 100 - id"))


def runs() -> Iterator[Forgery]:
    """``run``: its columns, its layers, where it comes from."""

    def column(name: str, change: Change, run: int = 0, unseen: str = "", base: str = "main") -> Forgery:
        return Forgery(base, f"run {run}, {name}", lambda p: forger.run_row(p, run, name, change), unseen)

    def layer(path: str, change: Change | Any, run: int = 1, base: str = "main") -> Forgery:
        return Forgery(
            base, f"layers.{path}", lambda p: forger.run_row(p, run, "layers", forger.jsoned(put(path, change)))
        )

    def fork(path: str, change: Change | Any, run: int = 1) -> Forgery:
        return Forgery(
            "forked",
            f"fork.{path} of run {run}",
            lambda p: forger.run_row(p, run, "fork", forger.jsoned(put(path, change))),
        )

    yield column("name", to("other"))
    yield column("name", to("run · patience 9"), 1, base="forked")
    yield column("steps_per_epoch", plus(1))
    yield column("device", to("cuda:0"))
    yield column("budget", times(2))
    yield column("budget", times(2), 1, base="forked")
    yield column("fork", to(None), 1, base="forked")
    yield Forgery("main", "a stride that is no power of two", lambda p: forger.execute(p, "UPDATE run SET stride = 3"))
    yield Forgery("main", "a stride for which there was room", lambda p: forger.execute(p, "UPDATE run SET stride = 4"))
    yield Forgery("main", "scaling", _other_scaling)
    yield layer("0.name", "first")
    yield layer("0.kind", "conv")
    yield layer("0.shape", [6])
    yield layer("0.norm", "layer")
    yield layer("0.activation", "sigmoid")
    yield layer("0.dropout", 0.5)
    yield layer("0.parameters", plus(1))
    yield layer("0.stages", ["linear", "activation", "norm", "dropout"])
    yield layer("0.cell", "gru")
    yield layer("0.per_step", True)
    yield layer("0.groups", 2)
    yield layer("0.cell", "gru", 0, "LSTM")
    yield layer("0.per_step", False, 0, "LSTM")
    yield layer("0.parameters", plus(4), 0, "LSTM")
    yield layer("0.parameters", plus(4), 0, "images")
    yield layer("1.shape", [2, 4, 4], 0, "images")
    yield layer("2.groups", 1, 0, "images")
    yield fork("run", 1, 2)
    yield fork("step", 8)
    yield fork("epoch", 1.0)
    yield fork("changes", [])
    yield fork("changes", [["training.lr", 0.05, 0.5]])
    yield fork("changes.0.1", 2)
    yield fork("changes.0.2", 9)
    yield fork("kept", lambda names: names[1:])
    yield fork("kept", [], 2)
    yield fork("new", ["linear 1.linear.weight"])
    yield fork("new", [], 2)
    yield fork("changes", lambda changes: changes[:1], 3)
    yield Forgery("forked", "weights of a fork", lambda p: forger.evidence(
        p, 2, 5, element("before/linear 1.linear.weight", (1, 1), plus(1e-3))))  # fmt: skip
    yield Forgery("forked", "averages of a fork", lambda p: forger.evidence(
        p, 3, 4, element("optimizer/linear 1.linear.weight/exp_avg", (1, 1), plus(1e-3))))  # fmt: skip
    yield Forgery("forked", "averages of a fork's new parameters", lambda p: forger.evidence(
        p, 2, 5, lambda a: a["optimizer/output.linear.bias/exp_avg"].fill(0.3)))  # fmt: skip


def _other_scaling(path: Path) -> None:
    def changed(block: bytes) -> bytes:
        arrays = unpack_arrays(block)
        return pack_arrays({**arrays, "offset": arrays["offset"] + 0.1}, metadata_of(block))

    forger.run_row(path, 0, "scaling", changed)


def settings() -> Iterator[Forgery]:
    """``run.config``: each key of it."""

    def of(path: str, change: Change | Any, unseen: str = "", *, base: str = "main", run: int = 1) -> Forgery:
        name = f"settings, {path} of run {run}"
        return Forgery(base, name, lambda p: forger.config(p, run, put(path, change)), unseen)

    yield of("seed", 5)
    yield of("device", "cuda")
    yield of("deterministic", False)
    for path, value in {
        "data.source": "moons", "data.labels": "l", "data.target": "t", "data.task": "classification",
        "data.samples": 45, "data.noise": 0.5, "data.scaling": "minmax", "data.validation": 0.3,
        "data.factor": 2.0, "data.sequence": "rows",
        "data.batch_size": 7, "data.last_batch": "drop", "data.input_noise": 0.1,
    }.items():  # fmt: skip
        yield of(path, value)
    for path, value in {
        "network.hidden": [5, 5], "network.activation": "relu", "network.norm": "layer",
        "network.norm_position": "after_activation", "network.norm_momentum": 0.2, "network.norm_eps": 1e-3,
        "network.norm_noise": 0.1, "network.dropout": 0.5, "network.norm_gamma": 0.5,
        "network.layer": [{"type": "linear", "units": 5}, {"type": "linear", "units": 5}],
    }.items():  # fmt: skip
        yield of(path, value)
    yield of("network.groups", 4, UNUSED)
    yield of("network.groups", 2, base="images", run=0)
    yield of("network.norm_recurrent", "step", UNUSED)
    yield of("network.norm_recurrent", "input", base="LSTM", run=0)
    yield of("network.init", "zeros")
    yield of("network.init", "uniform:0.01")
    yield of("network.init", "he_normal")
    yield of("network.init", "normal:0.02", INITIAL, base="dead", run=0)
    for path, value in {
        "training.optimizer": "sgd", "training.lr": 0.06, "training.weight_decay": 0.5, "training.betas": [0.5, 0.999],
        "training.clip_norm": 0.001, "training.clip_value": 0.001,
        "training.schedule.kind": "cosine", "training.schedule.warmup_epochs": 1,
        "training.early_stopping.monitor": "loss", "training.early_stopping.min_delta": 0.0,
        "training.early_stopping.patience": 2,
        "training.early_stopping.restore_best_weights": False, "training.early_stopping.start_from_epoch": 1,
        "training.early_stopping.baseline": 0.001, "training.early_stopping": None,
    }.items():  # fmt: skip
        yield of(path, value)
    yield of("training.early_stopping.mode", "max", UNUSED)
    yield of("training.validation_mode", "training", VALIDATED)
    yield of("training.momentum", 0.5, run=0)
    yield of("training.nesterov", True, UNUSED)
    yield of("training.alpha", 0.5, UNUSED)
    yield of("training.epochs", 99, UNUSED)
    yield of("training.epochs", 1)
    yield of("training.epochs", 99, base="seldom", run=0)
    yield of("training.validation_batch", 3, UNUSED)
    for key, value in {"step_size": 3, "gamma": 0.7, "min_lr": 0.001, "patience": 2, "threshold": 0.3}.items():
        yield of(f"training.schedule.{key}", value, UNUSED)
    yield of("training.schedule.gamma", 0.7, base="plateau", run=0)
    yield of("training.schedule.patience", 3, base="plateau", run=0)
    yield of("training.schedule.threshold", 0.0, base="plateau", run=0)
    yield of("record.every", 3)
    yield of("record.every", 1)
    yield of("record.every", 4, MORE)
    yield of("record.budget", 1.0)
    yield of("record.shift", False, base="shift")
    yield of("record.unit", 1)
    yield of("network.layer.0.kernel", 5, base="images", run=0)
    yield of("network.layer.0.pool", 1, base="images", run=0)
    yield of("network.layer.1.stride", 1, base="images", run=0)
    yield of("network.layer.1.padding", 0, base="images", run=0)
    yield of("network.layer.0.channels", 4, base="images", run=0)
    yield of("network.layer.2.dropout", 0.3, base="images", run=0)
    yield of("network.layer.2.norm", "batch", base="images", run=0)
    yield of("network.layer.1.name", "third", base="images", run=0)
    yield of("network.layer.0.cell", "gru", base="LSTM", run=0)
    yield of("network.layer.0.units", 5, base="LSTM", run=0)
    for path, value, reason in (
        ("seed", 5, SEED), ("data.factor", 2.0, ORIGIN), ("data.noise", 0.5, ORIGIN), ("deterministic", False, UNUSED),
    ):  # fmt: skip
        yield of(path, value, reason, base="left", run=0)


def notes() -> Iterator[Forgery]:
    """``meta``, and the file's tables."""

    def of(key: str, change: Callable[[str], str | None], unseen: str = "") -> Forgery:
        return Forgery("main", f"meta, {key}", lambda p: forger.meta(p, key, change), unseen)

    yield of("title", to("Another title"))
    yield of("description", to("It never fails."))
    yield of("look_for", to('["nothing"]'))
    yield of("task", to("regression"))
    yield of("device", to("cuda:0"))
    yield of("torch", to("best"))
    yield of("torch", to("9.9.9"), MACHINE)
    yield of("numpy", to(""))
    yield of("python", to("three"))
    yield of("bntui", to("new"))
    yield of("threads", to("-1"))
    yield of("cores", to("many"))
    yield of("created", to("yesterday"))
    yield of("created", to("1999-01-01T00:00:00+00:00"), MACHINE)
    yield of("device_name", to("abacus"), MACHINE)
    yield of("cpu_capability", to("AVX9000"), MACHINE)
    yield of("platform", to("Windows 3.11"), MACHINE)
    yield of("scenario_file", to("/tmp/x.toml"), MACHINE)
    yield of("overrides", to("[]"), SETTINGS)
    yield of("translation", to('{"ko": {"title": "x"}}'), SETTINGS)
    yield of("train_samples", to("36"))
    yield of("validation_samples", to("10"))
    yield of("scenario", lambda text: text.replace("Honest", "Dishonest"))
    yield of("scenario", lambda text: text.replace('"batch norm"', '"no norm"'))
    yield of("scenario", lambda text: text + '[[run]]\nname = "third"\n')
    yield of("scenario", to("no = toml ="))
    yield of("scenario", lambda text: text.replace("lr = 0.05", "lr = 0.06"), SETTINGS)
    yield Forgery(
        "main", "digest of meta taken out", lambda p: forger.execute(p, "DELETE FROM meta WHERE key = 'digest'")
    )
    yield Forgery(
        "main", "agenda", lambda p: forger.execute(p, "INSERT OR REPLACE INTO agenda VALUES (1, '{}')"), ASKED
    )
    yield Forgery("main", "an older format", lambda p: forger.execute(p, "PRAGMA user_version = 2"))


def rows() -> Iterator[Forgery]:
    """Rows that are taken out, moved, made bare, or too many."""

    def without(base: str, run: int, *steps: int, unseen: str = "") -> Forgery:
        def forge(path: Path) -> None:
            for step in steps:
                forger.remove_row(path, run, step)

        return Forgery(base, f"rows {steps} of run {run} taken out", forge, unseen)

    def execute(base: str, name: str, statement: str) -> Forgery:
        return Forgery(base, name, lambda p: forger.execute(p, statement))

    yield without("main", 0, 4)
    yield without("main", 0, 5)
    yield without("main", 0, 0)
    yield without("main", 0, 2, 4)
    yield without("lean", 0, 5)
    yield without("lean", 0, 5, 10)
    yield without("lean", 0, 15)
    yield without("seldom", 0, 7)
    yield without("seldom", 0, 10)
    yield without("main", 0, 10)
    yield without("left", 0, 10)
    yield Forgery("left", "the last row and its event taken out", _cut, TAIL)
    yield Forgery("main", "a keyframe made bare", lambda p: forger.bare(p, 0, 4))
    yield Forgery("lean", "an epoch's keyframe made bare", lambda p: forger.bare(p, 0, 10))
    yield Forgery("seldom", "the last keyframe made bare", lambda p: forger.bare(p, 0, 20))
    yield Forgery("main", "evidence taken out", lambda p: forger.execute(
        p, "DELETE FROM evidence WHERE id = (SELECT id FROM keyframe WHERE run = 0 AND step = 4)"))  # fmt: skip
    yield execute("main", "all evidence taken out", "DELETE FROM evidence")
    yield execute("main", "measures taken out", "DELETE FROM measures WHERE id = 3")
    yield Forgery("main", "a row moved to another step", lambda p: _moved(p, 4, 3))
    yield Forgery("main", "a row moved past the end", lambda p: _moved(p, 10, 12))
    yield Forgery("main", "a row given to another run", _given)
    yield Forgery("seldom", "a row past the end", lambda p: _copied(p, 20, 25))
    yield Forgery("seldom", "a row in between", lambda p: _copied(p, 14, 13))


def _cut(path: Path) -> None:
    forger.remove_row(path, 0, 10)
    forger.execute(path, "DELETE FROM event WHERE step = 10")


def _moved(path: Path, step: int, to_step: int) -> None:
    with forger.opened(path) as db:
        db.execute("UPDATE keyframe SET step = ? WHERE run = 0 AND step = ?", (to_step, step))
        forger.attest(db, 0, to_step)


def _given(path: Path) -> None:
    with forger.opened(path) as db:
        db.execute("UPDATE keyframe SET run = 1, step = 3 WHERE run = 0 AND step = 4")
        forger.attest(db, 1, 3)


def _copied(path: Path, step: int, to_step: int) -> None:
    """A row once more, under another step, with the epoch of that."""
    with forger.opened(path) as db:
        row = forger.row_of(db, 0, step)
        names = [name for name in row.keys() if name not in ("id", "block")]  # noqa: SIM118 - a Row
        values = [to_step if name == "step" else to_step / 5 if name == "epoch" else row[name] for name in names]
        marks = ", ".join("?" * len(names))
        made = db.execute(f"INSERT INTO keyframe ({', '.join(names)}) VALUES ({marks})", values).lastrowid
        db.execute("INSERT INTO measures VALUES (?, ?)", (made, row["block"]))
        forger.attest(db, 0, to_step)


def _numbered(forgeries: Iterator[Forgery]) -> Iterator[Forgery]:
    """Of one name the second is called so."""
    seen: Counter[str] = Counter()
    for forgery in forgeries:
        seen[str(forgery)] += 1
        count = seen[str(forgery)]
        yield forgery if count == 1 else replace(forgery, name=f"{forgery.name} ({count})")


def seeds() -> Iterator[Forgery]:
    """Other seeds: which there are, their epochs, their figures, and how they ended."""

    def sql(name: str, statement: str, unseen: str = "") -> Forgery:
        return Forgery("seeds", name, lambda p: forger.seeds(p, statement), unseen)

    def figures(name: str, run: int, change: Change, unseen: str = "") -> Forgery:
        return Forgery("seeds", name, lambda p: forger.seed_figures(p, run, change), unseen)

    def put(epoch: int, column: int, value: float) -> Change:
        def change(values: Any) -> Any:
            values[epoch, column] = value
            return values

        return change

    yield sql("another seed", "UPDATE seed SET seed = 77 WHERE seed = 5 AND run = 0")
    yield sql("its own seed", "UPDATE seed SET seed = 4 WHERE seed = 5 AND run = 0")
    yield sql("a run that is not there", "UPDATE seed SET run = 9 WHERE seed = 5 AND run = 0")
    columns = ", ".join(forger.SEED)
    yield sql("a seed twice", f"INSERT INTO seed SELECT 99, {columns}, digest FROM seed WHERE run = 0 AND seed = 5")
    yield sql("a later first epoch", "UPDATE seed SET first = 1 WHERE run = 0 AND seed = 5")
    yield sql("stopped early", "UPDATE seed SET ending = 'stopped_early' WHERE run = 0")
    yield sql("finished", "UPDATE seed SET ending = 'finished' WHERE run = 2")
    yield sql("diverged", "UPDATE seed SET ending = 'diverged' WHERE run = 0 AND seed = 5")
    yield sql("still trained", "UPDATE seed SET ending = NULL, epoch = NULL, reason = NULL WHERE run = 0", TAIL)
    yield sql("failed", "UPDATE seed SET ending = 'failed', reason = 'no data' WHERE run = 0 AND seed = 5", FIGURES)
    yield sql("an earlier end", "UPDATE seed SET epoch = 3 WHERE run = 0 AND seed = 5")
    yield sql("another reason", "UPDATE seed SET reason = 'tired' WHERE run = 2 AND seed = 5")
    yield sql("another ratio", "UPDATE seed SET ratio = ratio * 2", FIGURES)
    yield sql("taken out", "DELETE FROM seed WHERE run = 0 AND seed = 5", TAIL)
    yield figures("an epoch less", 0, lambda values: values[:-1])
    yield figures("an epoch less of one that stopped", 2, lambda values: values[:-1])
    yield figures("an epoch more of one that stopped", 2, lambda values: np.concatenate([values, values[-1:]]))
    yield figures("another start", 1, put(0, 2, 0.5))
    yield figures("a better epoch while it waited", 2, put(-2, 2, 0.0))
    yield figures("a negative loss", 0, put(2, 2, -0.1))
    yield figures("a loss that is not finite", 0, put(2, 0, np.nan))
    yield figures("a part of a sample right", 0, put(2, 3, 0.123))
    yield figures("another loss", 0, put(2, 2, 0.7), FIGURES)


FORGERIES: tuple[Forgery, ...] = tuple(
    _numbered(
        forgery
        for table in (scalars, columns, arrays, states, events, runs, settings, notes, rows, seeds)
        for forgery in table()
    )
)
