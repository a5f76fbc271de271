"""Audits recordings of random scenarios that were really trained, to find false accusations.

    python -m benchmarks.honest --count 2800 [--small | --diverging] [--first 0] [--seed 0] [--jobs 2] [--json]
    python -m benchmarks.honest --case 1234 [--small | --diverging] [--seed 0] [--keep FOLDER]

A case's number and the seed determine everything: data, layers, activations, normalization, initialization, optimizer,
schedule, early stopping, recording budget, where the run is interrupted and resumed, and what is forked and where.
``--small`` draws the same kinds with fewer samples, units, and epochs, in a fifth of the time; ``--diverging`` draws
small ones whose steps are so large that most losses become infinite or NaN.  ``--case`` repeats one case and prints
what failed.  Exits 1 if any recording failed its audit.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, get_args

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy and torch are imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.report import parser, verdict
from bntui.audit.audit import audit
from bntui.errors import BntuiError
from bntui.recording.reader import Reader
from bntui.scenario.activations import ActivationName
from bntui.scenario.load import parse
from bntui.trainer.session import Session

Settings = dict[str, Any]

DATA: Final = ("digits", "breast_cancer", "wine", "iris", "moons", "circles", "spirals", "xor", "blobs", "line", "sine")
GENERATED: Final = ("moons", "circles", "spirals", "xor", "blobs", "line", "sine")
SHORT: Final = {"digits": "iris", "breast_cancer": "wine"}
"""Sequences of 4 and 13 values instead of 64 and 30."""
REGRESSION: Final = ("line", "sine")
ACTIVATIONS: Final = get_args(ActivationName)
INITS: Final = (
    "default", "zeros", "xavier", "xavier_normal", "he", "he_normal", "lecun", "orthogonal", "normal:0.01",
    "normal:0.5", "normal:1", "normal:2", "uniform:0.3", "uniform:3",
)  # fmt: skip
TEXT: Final = 'title = "Honest {number}"\nseed = {seed}\n[data]\nsource = "{source}"\n'


@dataclass(frozen=True, slots=True)
class Case:
    """A random recording: a scenario, and what happens to it during training."""

    number: int
    seed: int
    source: str
    settings: Settings
    interruptions: tuple[int, ...]
    """Numbers of calls after which training is interrupted and resumed."""
    killed: bool
    """True if an interruption is a kill, without a flush."""
    forks: tuple[Settings, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The audit's result for one case."""

    number: int
    keyframes: int = 0
    refused: str = ""
    """Why the case could not be trained; such cases are not counted."""
    failures: tuple[str, ...] = ()
    checks: tuple[str, ...] = field(default=())
    """Names of failed checks."""
    share: float = 0.0
    """Largest ratio of an error to its tolerance."""


def layers(rng: random.Random, kind: str) -> list[Settings]:
    """Random layers as tables: dense, convolutional, or recurrent, sometimes with settings of their own."""
    small = [1, 2, 3, 5, 8, 12, 16, 33]
    if kind == "conv":
        made: list[Settings] = []
        for _ in range(rng.randint(1, 2)):
            layer: Settings = {"type": "conv", "channels": rng.choice([1, 2, 4, 8]), "kernel": rng.choice([1, 3, 5])}
            if rng.random() < 0.3:
                layer |= {"kernel": rng.choice([2, 3]), "stride": rng.choice([1, 2]), "padding": rng.choice([0, 1])}
            if rng.random() < 0.5:
                layer["pool"] = 2
            made.append(layer)
    elif kind == "recurrent":
        made = [
            {"type": "recurrent", "units": rng.choice([1, 3, 6, 10]), "cell": rng.choice(["elman", "gru", "lstm"])}
            for _ in range(rng.randint(1, 2))
        ]
    else:
        made = [{"type": "linear", "units": rng.choice(small)} for _ in range(rng.randint(1, 5))]
    if kind != "linear" and rng.random() < 0.5:
        made.append({"type": "linear", "units": rng.choice(small)})
    for layer in made:
        if rng.random() < 0.2:
            layer["activation"] = rng.choice(ACTIVATIONS)
        if rng.random() < 0.15:
            layer["norm"] = rng.choice(["none", "batch", "layer"])
        if rng.random() < 0.15:
            layer["dropout"] = rng.choice([0.1, 0.5, 0.9])
        if rng.random() < 0.15:
            layer["init"] = rng.choice(INITS)
    return made


def network(rng: random.Random, source: str) -> Settings:
    kind = rng.choices(["linear", "hidden", "conv", "recurrent"], [3, 3, 2, 3])[0]
    if source != "digits" and kind == "conv":
        kind = "hidden"
    found: Settings = {}
    if kind == "hidden":
        units = rng.choice([[8], [16, 16], [16, 16, 16], [64, 64], [100, 100, 100], [8] * 8, [4] * 3, [128]])
        found["network.hidden"] = units
    else:
        found["network.layer"] = layers(rng, kind)
    if kind == "recurrent":
        found["data.sequence"] = "pixels" if source != "digits" else "rows"
        found["network.norm_recurrent"] = rng.choice(["input", "step"])
    found["network.activation"] = rng.choice(ACTIVATIONS)
    found["network.norm"] = rng.choices(["none", "batch", "layer", "group"], [4, 4, 2, 2])[0]
    found["network.groups"] = rng.choice([1, 2, 4, 8])
    found["network.norm_position"] = rng.choice(["before_activation", "before_activation", "after_activation"])
    found["network.norm_eps"] = rng.choice([1e-5, 1e-5, 1e-3, 1.0, 1e-8, 1e-12])
    found["network.norm_gamma"] = rng.choice([1.0, 1.0, 0.1, 0.0, 3.0])
    found["network.norm_momentum"] = rng.choice([0.1, 0.1, 0.5, 1.0, 0.01])
    found["network.dropout"] = rng.choice([0.0, 0.0, 0.2, 0.5, 0.9])
    found["network.init"] = rng.choice(INITS)
    if rng.random() < 0.1:
        found["network.norm_noise"] = rng.choice([0.1, 0.5])
    return found


def training(rng: random.Random, source: str) -> Settings:
    optimizer = rng.choice(["sgd", "adam", "adamw", "rmsprop"])
    rates = [1e-4, 1e-2, 0.1, 0.5, 3.0] if optimizer == "sgd" else [1e-4, 1e-3, 1e-2, 0.1]
    found: Settings = {
        "training.optimizer": optimizer,
        "training.lr": rng.choice([*rates, 0.0] if rng.random() < 0.2 else rates),
        "training.weight_decay": rng.choice([0.0, 0.0, 1e-3, 0.1]),
        "training.epochs": rng.randint(2, 5),
        "training.schedule.kind": rng.choice(["constant", "constant", "step", "cosine", "plateau"]),
        "training.schedule.step_size": rng.randint(1, 3),
        "training.schedule.patience": rng.randint(0, 2),
        "training.schedule.threshold": rng.choice([1e-4, 0.1]),
        "training.schedule.warmup_epochs": rng.choice([0, 0, 1, 2]),
    }
    if optimizer in ("sgd", "rmsprop"):
        found["training.momentum"] = rng.choice([0.0, 0.5, 0.9, 0.99])
        if optimizer == "sgd" and found["training.momentum"]:
            found["training.nesterov"] = rng.random() < 0.4
    if optimizer in ("adam", "adamw"):
        found["training.betas"] = rng.choice([[0.9, 0.999], [0.5, 0.9], [0.0, 0.99], [0.99, 0.5], [0.9, 0.0]])
    if optimizer == "rmsprop":
        found["training.alpha"] = rng.choice([0.99, 0.5, 0.0])
    if rng.random() < 0.2:
        found["training.clip_norm"] = rng.choice([1e-3, 0.1, 1.0, 100.0])
    if rng.random() < 0.15:
        found["training.clip_value"] = rng.choice([1e-4, 0.01, 1.0])
    if rng.random() < 0.1:
        found["training.validation_mode"] = "training"
        found["training.validation_batch"] = rng.choice([2, 7, 50])
    if rng.random() < 0.4:
        names = ["val_loss", "loss", *(["val_r2", "r2"] if source in REGRESSION else ["val_accuracy", "accuracy"])]
        found["training.early_stopping"] = {
            "monitor": rng.choice(names), "patience": rng.randint(0, 3), "min_delta": rng.choice([0.0, 0.01]),
            "restore_best_weights": rng.random() < 0.6, "start_from_epoch": rng.choice([0, 0, 2]),
        }  # fmt: skip
        if rng.random() < 0.3:
            found["training.early_stopping"]["baseline"] = rng.choice([0.0, 0.3, 2.0])
    return found


def data(rng: random.Random, source: str) -> Settings:
    found: Settings = {
        "data.scaling": rng.choice(["none", "minmax", "standard"]),
        "data.batch_size": rng.choice([2, 3, 7, 16, 32, 33, 64]),
        "data.last_batch": rng.choice(["first", "first", "keep", "drop"]),
        "data.validation": rng.choice([0.2, 0.2, 0.4]),
        "data.factor": rng.choice([1.0, 1.0, 1.0, 15.9375, 1e-3, 1e3]),
        "data.input_noise": rng.choice([0.0, 0.0, 0.0, 0.1]),
    }
    found["data.samples"] = rng.choice([50, 120, 300] if source in GENERATED else [60, 120, 170])
    if source in GENERATED:
        found["data.noise"] = rng.choice([0.0, 0.05, 0.3])
    return found


def fork(rng: random.Random, settings: Settings) -> Settings:
    """Random changes of a fork: nothing, training settings, the batch size, or the structure."""
    choices: list[Settings] = [
        {},
        {"training.lr": rng.choice([1e-3, 0.05])},
        {"data.batch_size": rng.choice([2, 5, 20, 50])},
        {"network.dropout": rng.choice([0.0, 0.3])},
        {"network.norm": rng.choice(["none", "batch", "layer"])},
        {"network.activation": rng.choice(ACTIVATIONS)},
        {"training.optimizer": "adam", "training.momentum": 0.0, "training.nesterov": False},
        {"training.schedule.kind": rng.choice(["cosine", "step", "plateau"])},
        {"training.schedule.warmup_epochs": 3, "data.batch_size": 11},
        {"training.early_stopping.patience": rng.randint(1, 4)},
        {"network.norm_eps": 1e-3},
        {"record.every": rng.choice([1, 3, "epoch"])},
    ]
    changed = dict(rng.choice(choices))
    if rng.random() < 0.3:
        changed |= rng.choice(choices)
    if rng.random() < 0.5:
        changed["training.epochs"] = settings["training.epochs"] + rng.randint(1, 3)
    return changed


def small(number: int, seed: int) -> Case:
    """Like :func:`case`, with fewer samples, units, epochs, and forks, and shorter sequences: many fit into a test."""
    made = case(number, seed)
    samples = 16 if made.settings["data.batch_size"] > 3 else 10
    settings = made.settings | {"data.samples": samples, "training.epochs": 2}
    if "network.hidden" in settings:
        settings["network.hidden"] = [min(units, 33) for units in settings["network.hidden"]]
    forks = tuple(fork | ({"training.epochs": 3} if "training.epochs" in fork else {}) for fork in made.forks[:1])
    source = SHORT.get(made.source, made.source) if "data.sequence" in settings else made.source
    return replace(made, source=source, settings=settings, interruptions=made.interruptions[:1], forks=forks)


def diverging(number: int, seed: int) -> Case:
    """Like :func:`small`, with steps, or a decay of the weights, that end in infinite values, often within an epoch."""
    made, rng = small(number, seed), random.Random(f"diverging {seed}/{number}")
    settings = made.settings | {
        "record.every": rng.choice([1, 2, 3, 7, "epoch"]),
        "data.batch_size": rng.choice([1, 2, 3]),
    }
    if rng.random() < 0.8:
        settings["training.lr"] = 10.0 ** rng.choice([1, 2, 4, 8, 15, 25, 35])
    else:
        settings["training.weight_decay"] = 10.0 ** rng.choice([2, 10, 20, 30])
    return replace(made, settings=settings)


def case(number: int, seed: int) -> Case:
    """The case with this number; deterministic."""
    rng = random.Random(f"{seed}/{number}")
    source = rng.choice(DATA)
    settings = data(rng, source) | network(rng, source) | training(rng, source)
    settings["record.every"] = rng.choice(["epoch", "epoch", 1, 1, 2, 5])
    settings["record.budget"] = rng.choice([64.0, 64.0, 64.0, 1.0, 0.1, 0.0])
    settings["record.shift"] = rng.random() < 0.25
    settings["record.unit"] = rng.choice([0, 0, 3])
    stops = tuple(rng.randint(1, 12) for _ in range(rng.choice([0, 0, 0, 1, 2])))
    forks = tuple(fork(rng, settings) for _ in range(rng.choice([0, 0, 1, 2])))
    return Case(number, rng.randrange(2**31), source, settings, stops, rng.random() < 0.5, forks)


def trained(what: Case, path: Path) -> None:
    """Train a case to its end.

    Raises:
        BntuiError: its settings are not compatible.
    """
    text = TEXT.format(number=what.number, seed=what.seed, source=what.source)
    session = Session.begin(parse(text, file="honest.toml", overrides=list(what.settings.items())), path)
    try:
        for stop in what.interruptions:
            steps = iter(range(stop))
            while not session.over and next(steps, None) is not None:
                session.epoch(lambda: next(steps, None) is None)  # noqa: B023
            session = _again(session, killed=what.killed)
        _finished(session)
        for changes in what.forks:
            with closing(Reader(path)) as reader:
                rng = random.Random(f"{what.seed}/{len(reader.runs)}")
                parent = rng.randrange(len(reader.runs))
                step = int(rng.choice(list(reader.history(parent).step)))
            try:
                session.fork(parent, step, list(changes.items()))
            except BntuiError:  # nothing left to train, or incompatible settings
                continue
            if what.killed and not session.over:
                session.epoch(lambda: False)
                session = _again(session, killed=True)
            _finished(session)
    finally:
        session.close()


def _again(session: Session, *, killed: bool) -> Session:
    path = session.writer.path
    if killed:
        session.writer.abandon()
        session._hold.release()
    else:
        session.interrupt()
        session.close()
    return Session.resume(path)


def _finished(session: Session) -> None:
    while not session.over:
        session.epoch(lambda: False)


def judged(what: Case, folder: Path) -> Verdict:
    """Train a case and audit it."""
    path = folder / f"{what.number}.bntui"
    try:
        trained(what, path)
    except BntuiError as error:
        return Verdict(what.number, refused=str(error))
    report = audit(path)
    share = max((line.share for line in report.ledger.lines.values()), default=0.0)
    failures = tuple(
        f"{f.check}: {f.place.run} step {f.place.step} {f.place.layer} {f.figure}: {f.recorded} against {f.recomputed}"
        for f in report.ledger.failures
    )
    checks = tuple(dict.fromkeys(failure.check for failure in report.ledger.failures))
    return Verdict(what.number, report.full + report.consistent, "", failures, checks, share)


def _work(job: tuple[Callable[[int, int], Case], int, int]) -> Verdict:
    import torch

    torch.set_num_threads(1)
    draw, number, seed = job
    with tempfile.TemporaryDirectory() as folder:
        return judged(draw(number, seed), Path(folder))


def survey(
    first: int, count: int, seed: int, jobs: int, draw: Callable[[int, int], Case] = case
) -> tuple[list[Verdict], float]:
    """The verdicts on a range of cases, which ``draw`` makes from number and seed, and the elapsed seconds."""
    began = time.monotonic()
    numbers = [(draw, number, seed) for number in range(first, first + count)]
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=200) as pool:
        found = []
        for verdict_ in pool.imap(_work, numbers):
            found.append(verdict_)
            if verdict_.failures:
                print(f"case {verdict_.number}: {'; '.join(verdict_.failures[:2])}", file=sys.stderr, flush=True)
    return found, time.monotonic() - began


def summary(found: Sequence[Verdict]) -> dict[str, Any]:
    """Number of trained cases, and of failed ones by check."""
    made = [one for one in found if not one.refused]
    return {
        "recordings": len(made),
        "keyframes": sum(one.keyframes for one in made),
        "impossible_settings": len(found) - len(made),
        "accused": sum(bool(one.failures) for one in made),
        "by_check": dict(Counter(check for one in made for check in one.checks)),
        "largest_share_of_a_tolerance": max((one.share for one in made), default=0.0),
    }


def main() -> int:
    made = parser(__doc__, rounds=1)
    made.add_argument("--count", type=int, default=200)
    made.add_argument("--first", type=int, default=0)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    made.add_argument("--case", type=int)
    made.add_argument("--keep", type=Path)
    kinds = made.add_mutually_exclusive_group()
    kinds.add_argument("--small", dest="draw", action="store_const", const=small, default=case)
    kinds.add_argument("--diverging", dest="draw", action="store_const", const=diverging)
    options = made.parse_args()
    draw = options.draw
    if options.case is not None:
        with tempfile.TemporaryDirectory() as folder:
            what = draw(options.case, options.seed)
            print(json.dumps({"source": what.source, **what.settings, "forks": what.forks}, indent=1))
            one = judged(what, options.keep or Path(folder))
        print(one.refused or "\n".join(one.failures) or f"true; {one.keyframes} keyframes")
        return 1 if one.failures else 0
    found, seconds = survey(options.first, options.count, options.seed, options.jobs, draw)
    figures = summary(found) | {"seconds": round(seconds)}
    print(json.dumps(figures) if options.json else "\n".join(f"{name}: {value}" for name, value in figures.items()))
    return verdict(not figures["accused"], "no honest recording is accused")


if __name__ == "__main__":
    sys.exit(main())
