"""Checks that a fork begins where its parent stood, with what it says was changed, kept and new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.configuration import SHARED
from bntui.audit.course import AuditedRun, Row
from bntui.audit.ends import WEIGHTS
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import state_names
from bntui.audit.standing import BatchSizes, Standing, inherited
from bntui.recording.evidence import OPTIMIZER, Evidence
from bntui.recording.history import Fork, RunInfo
from bntui.text.language import N_

Values = NDArray[Any]

FORKS: Final = N_("forks: changes, kept values, starting points")

FIXED: Final = (*SHARED, "data.scaling")
"""Settings that a fork shares with its parent."""
TOLD_FIRST: Final = (
    "training.lr", "network.norm", "network.dropout", "network.activation", "training.optimizer",
    "training.early_stopping", "training.epochs",
)  # fmt: skip
"""Changes that a fork's name lists first."""
ADAMS: Final = ("adam", "adamw")
"""Optimizers whose averages have the same meaning."""
ABSENT: Final = object()


def begins(parent: AuditedRun, child: RunInfo, pace: BatchSizes | None) -> Standing | None:
    """The state in which a fork begins; None if it does not follow from the parent's rows."""
    assert child.fork is not None
    row = parent.at(child.fork.step)
    passage = None if row is None else parent.passage(row)
    if passage is None or pace is None:
        return None
    return inherited(passage.after, parent.subject.run.config, child.config, pace.samples)


def check_fork(ledger: Ledger, parent: AuditedRun, child: AuditedRun, runs: Sequence[RunInfo]) -> None:
    """Check the stated origin of a fork."""
    run, fork = child.subject.run, child.subject.run.fork
    assert fork is not None
    place = Place(run.name, fork.step, fork.epoch)
    row = parent.at(fork.step)
    if parent.whole and ledger.hold(FORKS, place, "fork, step", row is not None, fork.step, "-") and row is not None:
        epoch = row.scalars["epoch"]
        ledger.compare(FORKS, place, "fork, epoch", fork.epoch, epoch, 1e-12 * max(1, epoch))
    _changes(ledger, place, parent.subject.run.config, run.config, fork)
    stem = _name(parent.subject.run.name, fork.changes)
    taken = {other.name for other in runs[: run.index]}
    name, number = stem, 1
    while name in taken:
        name, number = f"{stem} ({number + 1})", number + 1
    ledger.hold(FORKS, place, "name", run.name == name, run.name, name)
    _names(ledger, place, parent, child, fork)


def _changes(ledger: Ledger, place: Place, theirs: Any, own: Any, fork: Fork) -> None:
    """Check that the stated changes are exactly the differences between the two configurations."""
    told = {path: (before, after) for path, before, after in fork.changes}
    ledger.hold(FORKS, place, "fork, changes", len(told) == len(fork.changes), len(fork.changes), len(told))
    due = {path: (before, after) for path, before, after in differences("", theirs, own)}
    for path in {**told, **due}:
        before, after = due.get(path, (ABSENT, ABSENT))
        said = told.get(path)
        if said is None:
            # a key unknown to the parent's version has its default here
            fits = before is ABSENT
        elif before is ABSENT and path in due:
            fits = said[1] == after
        else:
            fits = said == (before, after)
        ledger.hold(FORKS, place, f"fork, changes, {path}", fits, said, due.get(path, "-"))
    for path in due:
        fixed = [name for name in FIXED if path == name or path.startswith(f"{name}.")]
        ledger.hold(FORKS, place, path, not fixed or due[path][0] is ABSENT, due[path][1], due[path][0])


def differences(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """Key paths at which two configurations differ; ``ABSENT`` for a key that one of them lacks."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            here = f"{path}.{key}" if path else key
            if key in after:  # a key missing here belonged to another version
                yield from differences(here, before.get(key, ABSENT), after[key])
    elif before != after:
        yield path, before, after


def _name(parent: str, changes: Sequence[tuple[str, Any, Any]]) -> str:
    """A fork's name: its parent's name and the changes."""
    if not changes:
        return f"{parent} · again"
    ranks = {path: rank for rank, path in enumerate(TOLD_FIRST)}
    first = sorted(changes, key=lambda change: ranks.get(change[0], len(ranks)))
    return f"{parent} · " + ", ".join(map(_words, first[:3])) + (", …" if len(changes) > 3 else "")


def _words(change: tuple[str, Any, Any]) -> str:
    path, _before, value = change
    if path == "training.early_stopping":
        return "no early stopping" if value is None else f"patience {value['patience']}"
    key = path.rpartition(".")[2]
    return f"{key} {'none' if value is None else f'{value:g}' if isinstance(value, float) else value}"


def _names(ledger: Ledger, place: Place, parent: AuditedRun, child: AuditedRun, fork: Fork) -> None:
    """Check that kept and new names together are all parameters and buffers, in order."""
    own, theirs = state_names(child.subject.stages), state_names(parent.subject.stages)
    if not own or not theirs:
        return
    kept = [name for name in own if name in fork.kept]
    new = [name for name in own if name not in fork.kept]
    ledger.hold(FORKS, place, "fork, kept", list(fork.kept) == kept, list(fork.kept), kept)
    ledger.hold(FORKS, place, "fork, new", list(fork.new) == new, list(fork.new), new)
    stray = [name for name in kept if name not in theirs]
    ledger.hold(FORKS, place, "fork, kept", not stray, stray, [])
    if child.subject.run.layers == parent.subject.run.layers:
        ledger.hold(FORKS, place, "fork, new", not fork.new, list(fork.new), [])


def check_inheritance(
    ledger: Ledger, parent: AuditedRun, child: AuditedRun, own: Evidence, theirs: Evidence | None
) -> None:
    """Check that a fork's first evidence holds its parent's weights and averages wherever they were kept.

    Args:
        own: evidence of the fork's first row.
        theirs: evidence of the parent's next step, or of it parameters and buffers alone.
    """
    fork, run = child.subject.run.fork, child.subject.run
    assert fork is not None
    place = Place(run.name, fork.step, fork.epoch)
    if child.departed(fork.step):
        return
    averages = _same_averages(run, parent.subject.run)
    for average, values in own.optimizer.items():
        name = OPTIMIZER.name(average)
        if not averages or average.parameter not in fork.kept:
            fits = not np.any(values)
            ledger.hold(FORKS, place, name, fits, float(np.abs(values).max(initial=0)), 0)
        elif theirs is not None and average in theirs.optimizer:
            ledger.hold(FORKS, place, name, _equal(values, theirs.optimizer[average]), "-", parent.subject.run.name)
    if theirs is None:
        return
    both = own.before.keys() & theirs.before.keys()
    for name in fork.kept:
        if name in both:
            here, there = own.before[name], theirs.before[name]
            ledger.hold(FORKS, place, name, _equal(here, there), here.shape, there.shape)
    for name in fork.new:
        if name in both:
            here, there = own.before[name], theirs.before[name]
            ledger.hold(FORKS, place, f"fork, new, {name}", there.shape != here.shape, there.shape, here.shape)


def _equal(one: Values, other: Values) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other, equal_nan=True))


def check_parentage(ledger: Ledger, parent: AuditedRun, fork: AuditedRun) -> None:
    """Check that a fork that keeps all parameters begins with its parent's weights, bit for bit."""
    begun = fork.subject.run.fork
    names = state_names(fork.subject.stages)
    if begun is None or begun.new or not fork.rows or names != state_names(parent.subject.stages):
        return
    found = parent.at(begun.step)
    if found is not None and fork.rows[0].number == 0:
        first, theirs = fork.rows[0], found.scalars["weights_digest"]
        ours, place = first.scalars["weights_digest"], first.place(fork.subject.run.name)
        fits = ours == theirs or fork.departed(begun.step)
        ledger.hold(WEIGHTS, place, "weights_digest, fork", fits, ours, theirs)


def check_tracked(
    ledger: Ledger, courses: Mapping[int, AuditedRun], course: AuditedRun, row: Row, before: Mapping[str, Values]
) -> None:
    """Check ``num_batches_tracked`` of batch normalization: one mini-batch per step since the layer was created."""
    passage = course.passage(row)
    if passage is None:
        return
    for name, values in before.items():
        if name.endswith("num_batches_tracked"):
            ours = _counted(courses, course.subject.run, name, passage.before.step)
            ledger.compare(FORKS, row.place(course.subject.run.name), name, float(values.reshape(-1)[0]), ours, 0)


def check_begun(ledger: Ledger, courses: Mapping[int, AuditedRun], course: AuditedRun, row: Row, own: Evidence) -> None:
    """Check that optimizers counted their steps, and that averages are 0 before the first one."""
    passage, place = course.passage(row), row.place(course.subject.run.name)
    if passage is None:
        return
    for average, values in own.optimizer.items():
        ours = _updates(courses, course.subject.run, average.parameter, passage.before.step)
        name = OPTIMIZER.name(average)
        if average.name == "step":  # float32 counts no further than 2^24
            due = np.full(values.shape, min(ours, 2**24))
            ledger.compare(FORKS, place, name, values, due, 0)
        elif not ours:
            ledger.compare(FORKS, place, name, values, np.zeros(values.shape), 0)


def _updates(courses: Mapping[int, AuditedRun], run: RunInfo, parameter: str, step: int) -> int:
    """Updates of a parameter until a step by an optimizer with these averages."""
    if run.fork is None:
        return step
    own, parent = step - run.fork.step, courses.get(run.fork.run)
    if parent is None or parameter not in run.fork.kept or not _same_averages(run, parent.subject.run):
        return own
    return own + _updates(courses, parent.subject.run, parameter, run.fork.step)


def _same_averages(run: RunInfo, other: RunInfo) -> bool:
    kinds = [one.config["training"]["optimizer"] for one in (run, other)]
    return kinds[0] == kinds[1] or set(kinds) <= set(ADAMS)


def _counted(courses: Mapping[int, AuditedRun], run: RunInfo, name: str, step: int) -> int:
    if run.fork is None:
        return step
    own = step - run.fork.step
    parent = courses.get(run.fork.run)
    if parent is None or name not in run.fork.kept:
        return own
    return own + _counted(courses, parent.subject.run, name, run.fork.step)
