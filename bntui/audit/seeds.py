"""Checks what is recorded of runs with other seeds, as far as the file determines it.

Their weights are not recorded, so the figures themselves cannot be recomputed.  What follows from them and from the
configuration can: which seeds there are, that no epoch is missing, and where the training had to end.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from bntui.audit.blocks import structural
from bntui.audit.ledger import Ledger, Place
from bntui.audit.stopping import Waiting
from bntui.recording.history import RunInfo
from bntui.recording.seeds import FIGURES, SeedCourse, SeedPiece, piece_of
from bntui.recording.sentences import FINISHED, STOPPED, STOPPED_ALL, STOPPED_BASELINE
from bntui.recording.tables import FAILED, rows
from bntui.text.language import N_

SEEDS: Final = N_("other seeds")
MONITORED: Final = {
    "loss": 0, "accuracy": 1, "r2": 1, "val_loss": 2, "val_accuracy": 3, "val_r2": 3,
}  # fmt: skip
"""Row of a block by the name that early stopping uses for its figure."""
OF_TRAINING: Final = ("lr", "epochs", "early_stopping", "schedule", "optimizer", "momentum", "nesterov")
"""Settings that move nothing before the first step."""
NEAR: Final = 1e-6


def check_seeds(ledger: Ledger, db: sqlite3.Connection, runs: Sequence[RunInfo], meta: Mapping[str, str]) -> None:
    """Check every row of the table ``seed``."""
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "seed" not in there:
        return
    asked = _asked(db)
    pieces: dict[tuple[int, int], list[SeedPiece]] = defaultdict(list)
    for row in rows(db, "SELECT * FROM seed ORDER BY id", of="seed"):
        if row["run"] < len(runs):
            pieces[row["run"], row["seed"]].append(piece_of(row))
    courses: dict[tuple[int, int], SeedCourse] = {}
    for (run, seed), told in pieces.items():
        info = runs[run]
        place = Place(info.name)
        allowed = {(info.config["seed"] + number) % 2**63 for number in range(1, asked)}
        ledger.hold(SEEDS, place, f"seed {seed}", seed in allowed, seed, ", ".join(map(str, sorted(allowed))) or "-")
        course = _course(ledger, place, told)
        if course is not None:
            courses[run, seed] = course
            _check(ledger, place, info, course, _beginning(runs, courses, info, seed), meta)
    _check_start(ledger, runs, courses)


def _asked(db: sqlite3.Connection) -> int:
    """Number of seeds that the trainer was asked for."""
    for row in rows(db, "SELECT text FROM agenda", of="agenda"):
        asked = json.loads(row["text"]).get("seeds", 1)
        return asked if isinstance(asked, int) else 1
    return 1


def _course(ledger: Ledger, place: Place, pieces: Sequence[SeedPiece]) -> SeedCourse | None:
    """The epochs of the last training; None if it failed, or its pieces do not follow each other."""
    last = pieces[-1]
    if last.end is not None:
        figure = f"seed {last.seed}, rows"
        ledger.hold(SEEDS, place, figure, len(pieces) == 1, len(pieces), 1)
        return None if last.end.kind == FAILED else SeedCourse(last.seed, last.first, last.figures, last.end)
    start = max(
        number for number, piece in enumerate(pieces)
        if number == 0 or piece.first == pieces[0].first or pieces[number - 1].end is not None
    )  # fmt: skip
    of_last = pieces[start:]
    due = of_last[0].first
    for piece in of_last:
        if not ledger.hold(SEEDS, place, f"seed {last.seed}, first", piece.first == due, piece.first, due):
            return None
        due += piece.figures.shape[1]
    figures = np.concatenate([piece.figures for piece in of_last], axis=1)
    return SeedCourse(last.seed, of_last[0].first, figures, None)


def _beginning(
    runs: Sequence[RunInfo], courses: Mapping[tuple[int, int], SeedCourse], info: RunInfo, seed: int
) -> Waiting | None:
    """How long early stopping has waited where a run begins with a seed; None if its parent's is not recorded."""
    if info.fork is None:
        return Waiting()
    parent = runs[info.fork.run]
    rules = [one.early_stopping for one in (parent, info)]
    watched = [None if rule is None else (rule["monitor"], rule["mode"]) for rule in rules]
    if structural(parent.config, info.config) or watched[0] != watched[1]:
        return Waiting()
    course, state = courses.get((parent.index, seed)), _beginning(runs, courses, parent, seed)
    if course is None or state is None:
        return None
    for _epoch in _waits(state, parent, course, info.fork.epoch):
        pass
    return replace(state, stopped=False)


def _waits(state: Waiting, info: RunInfo, course: SeedCourse, until: float = math.inf) -> Iterator[int]:
    """Let early stopping see a seed's epochs after the beginning, and give the number of each."""
    rule, begin = info.early_stopping, 0.0 if info.fork is None else info.fork.epoch
    if rule is None:
        return
    for number, value in enumerate(course.figures[MONITORED[rule["monitor"]]].tolist(), course.first):
        if begin + NEAR < number <= until + NEAR:
            state.see(rule, number, value)
            yield number


def _check(
    ledger: Ledger, place: Place, info: RunInfo, course: SeedCourse, state: Waiting | None, meta: Mapping[str, str]
) -> None:
    """Check a course; ``state`` is that of early stopping where it begins, None if that is not known."""

    def hold(what: str, fits: bool, recorded: object, ours: object) -> bool:
        return ledger.hold(SEEDS, place, f"seed {course.seed}, {what}", fits, recorded, ours)

    begin = 0 if info.fork is None else math.ceil(info.fork.epoch - NEAR)
    hold("first", course.first == begin, course.first, begin)
    count, epochs = course.figures.shape[1], info.epochs
    last = course.first + count - 1
    hold("epochs", last <= epochs, last, epochs)
    _check_figures(ledger, place, course, meta)
    end = course.end
    rule = info.early_stopping
    stops = None
    if state is not None:
        stops = next((number for number in _waits(state, info, course) if state.stopped), None)
    if end is None:
        hold("epoch of stopping", stops is None or stops >= last, last, stops)
        return
    whole = hold("epoch", math.floor(end.epoch + NEAR) == last, end.epoch, last)
    losses = course.figures[[0, 2]]
    bad: Any = ~np.isfinite(losses).all(axis=0)
    within = end.kind == "diverged" and abs(end.epoch - round(end.epoch)) > NEAR
    diverged = within or bool(count and bad[-1])
    hold("ending", (end.kind == "diverged") == diverged, end.kind, "diverged" if diverged else "finished")
    if end.kind == "diverged" or not whole:
        return
    stopped = end.kind == "stopped_early"
    if state is not None:
        hold("epoch of stopping", stops == (last if stopped else None), last if stopped else None, stops)
    hold("epoch", stopped or last == epochs, last, epochs)
    if stopped and rule is not None and state is not None:
        sentence = _sentence(rule, state, last)
        hold("reason", end.reason == sentence, end.reason, sentence)
    elif not stopped:
        sentence = FINISHED.format(epochs=epochs)
        hold("reason", end.reason == sentence, end.reason, sentence)
    hold("ratio", end.ratio >= 0 or math.isnan(end.ratio), end.ratio, "≥ 0")


def _check_figures(ledger: Ledger, place: Place, course: SeedCourse, meta: Mapping[str, str]) -> None:
    """Check that figures are possible, and that no training went on with a loss that is not finite."""

    def hold(what: str, wrong: Any) -> None:
        at = np.flatnonzero(wrong)
        where = Place(place.run, epoch=float(course.first + at[0])) if len(at) else place
        ledger.hold(SEEDS, where, f"seed {course.seed}, {what}", not len(at), len(at), 0)

    figures = course.figures
    for name, values in zip(FIGURES, figures, strict=True):
        if name.endswith("loss"):
            hold(name, values < 0)
            hold(name, ~np.isfinite(values[:-1]))
        else:
            hold(name, (values > 1) | ((values < 0) & (meta["task"] == "classification")))
    samples = meta.get("validation_samples", "")
    if meta["task"] == "classification" and samples.isdecimal():
        right = figures[FIGURES.index("val_accuracy")] * int(samples)
        hold("val_accuracy", np.abs(right - np.rint(right)) > NEAR * (1 + np.abs(right)))


def _check_start(ledger: Ledger, runs: Sequence[RunInfo], courses: Mapping[tuple[int, int], SeedCourse]) -> None:
    """Check that runs with the same network, samples and seed start alike."""
    first: dict[tuple[str, int], tuple[str, SeedCourse]] = {}
    for (run, seed), course in sorted(courses.items(), key=lambda one: one[0]):
        info = runs[run]
        if info.fork is not None or not course.figures.shape[1]:
            continue
        training = {key: value for key, value in info.config["training"].items() if key not in OF_TRAINING}
        alike = json.dumps([info.config["data"], info.config["network"], training, info.device], sort_keys=True)
        name, other = first.setdefault((alike, seed), (info.name, course))
        here, there = course.figures[:, 0], other.figures[:, 0]
        figure = f"seed {seed}, first epoch as in {name}"
        ledger.hold(SEEDS, Place(info.name), figure, here.tobytes() == there.tobytes(), here.tolist(), there.tolist())


def _sentence(rule: Mapping[str, Any], state: Waiting, epoch: int) -> str:
    sentence = STOPPED if state.best_epoch else STOPPED_ALL
    if rule["baseline"] is not None and not math.isnan(state.best):
        sign = 1 if rule["mode"] == "max" or (rule["mode"] == "auto" and not rule["monitor"].endswith("loss")) else -1
        if not sign * state.best - abs(rule["min_delta"]) > sign * rule["baseline"]:
            sentence = STOPPED_BASELINE
    return sentence.format(
        epoch=epoch, monitor=rule["monitor"], best_epoch=state.best_epoch, wait=state.wait, patience=rule["patience"],
        baseline=rule["baseline"], best=state.best,
    )  # fmt: skip
