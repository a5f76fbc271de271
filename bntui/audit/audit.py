"""Is a recording true?  Digests first, then each keyframe, then each run as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.bounded import Bounded
from bntui.audit.consistency import check_row
from bntui.audit.course import Course, Row, check_course
from bntui.audit.digests import Damage, check_digests
from bntui.audit.ends import check_checkpoint, check_events, check_parentage, check_weights
from bntui.audit.inputs import check_scaling, check_split
from bntui.audit.ledger import Ledger, Place
from bntui.audit.minibatches import check_batches, check_counts
from bntui.audit.network import parameter_names, stages_of, state_names
from bntui.audit.recompute import LOSS, recompute
from bntui.audit.samples import Samples
from bntui.audit.shift import check_shift
from bntui.audit.subject import EVIDENCE, Subject, Taken, known_kinds, unpack
from bntui.audit.tolerances import Precision
from bntui.audit.validation import (
    Answer,
    Answers,
    check_predictions,
    check_scores,
    check_validation,
    evaluating,
    exactly,
    forgetting,
)
from bntui.errors import RecordingError
from bntui.keyframe import Keyframe
from bntui.language import N_
from bntui.recording.codec import unpack_arrays
from bntui.recording.guard import damaged
from bntui.recording.reader import Reader
from bntui.recording.schema import SCALARS, open_read_only
from bntui.recording.tables import rows

Values = NDArray[Any]

PARAMETERS: Final = N_("parameters after the step")


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found."""

    path: Path
    title: str
    ledger: Ledger
    full: int
    """Keyframes that were recomputed in full."""
    consistent: int
    """Keyframes of which only the row is left, or can be understood."""
    damaged: int
    """Rows whose bytes are not those that were written."""

    @property
    def true(self) -> bool:
        """Nothing failed."""
        return not self.ledger.failures


def audit(path: Path) -> Report:
    """Check a recording, finished or growing.

    Raises:
        RecordingError: it is no recording, or so damaged that it cannot be read as one.
    """
    with damaged(path):
        return _Audit(path).report()


class _Audit:
    """One pass over one recording."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ledger = Ledger()
        self._full = self._consistent = 0
        self._courses: dict[int, Course] = {}
        """Runs that have been checked, by number: a fork's parent is one of them."""
        with np.errstate(all="ignore"):
            self._reader = Reader(path)
            self._db = open_read_only(path)
            try:
                self._run()
            finally:
                self._reader.close()
                self._db.close()

    def report(self) -> Report:
        damaged = len(self._damage.keyframes) + len(self._damage.evidence)
        return Report(self._path, self._reader.title, self._ledger, self._full, self._consistent, damaged)

    def _run(self) -> None:
        reader, ledger = self._reader, self._ledger
        self._damage: Damage = check_digests(self._db, ledger, tuple(run.name for run in reader.runs))
        data = None
        try:
            data = None if self._damage.data else reader.dataset
        except RecordingError as error:
            ledger.fail(EVIDENCE, Place(), "data", str(error), "+")
        orders: dict[tuple[int, int, int], tuple[str, Values]] = {}
        for run in reader.runs:
            try:
                samples = None if data is None else Samples.of(data, run, reader.task)
                subject = Subject(run, stages_of(run), samples, reader.task, Precision.of(run.device))
                self._one(subject, orders)
            except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
                # a stranger's file: a configuration or a table that cannot be understood is not true
                ledger.fail(EVIDENCE, Place(run.name), "run", f"{type(error).__name__}: {error}", "+")

    def _one(self, subject: Subject, orders: dict[tuple[int, int, int], tuple[str, Values]]) -> None:
        run, ledger = subject.run, self._ledger
        known = known_kinds(ledger, subject)
        if not subject.stages:
            ledger.note(N_("keyframes of format 1: it does not name the stages of the network"))
        if subject.samples is not None:
            check_scaling(ledger, subject)
            check_split(ledger, subject)
        rows = tuple(self._rows(run.index))
        events = self._reader.events(run.index)
        course = Course(
            subject, tuple(row for row in rows if not row.damaged), events, not any(row.damaged for row in rows)
        )
        sizes = self._sizes(subject)
        self._courses[run.index] = course
        check_course(ledger, course)
        if run.fork is not None and run.fork.run in self._courses:
            check_parentage(ledger, self._courses[run.fork.run], course)
        check_events(ledger, course)
        if sizes is not None:
            check_batches(ledger, course, sizes[0])
            check_counts(ledger, course, sizes[1])
        checkpoint = self._checkpoint(course)
        for row in course.rows:
            if row.frame is None:
                continue
            self._order(subject, row, orders)
            place = row.place(run.name)
            evidence = self._evidence(run.index, row) if known and subject.stages else None
            initial = row is course.rows[0] and row.number == 0
            check_row(ledger, place, subject, row.frame, full=evidence is not None, initial=initial)
            taken = None if evidence is None else unpack(ledger, place, subject, row.frame, evidence)
            if taken is None or evidence is None:
                self._consistent += 1
                continue
            after = self._following(course, row, checkpoint)
            if initial:
                after = {
                    name.removeprefix("before/"): values
                    for name, values in evidence.items()
                    if name.startswith("before/")
                }
                check_weights(ledger, course, row, after, "before")
            try:
                recompute(ledger, place, subject, row.frame, taken, after, initial=initial)
                self._after(place, subject, row.frame, taken, after, initial=initial)
                self._full += 1
            except (ValueError, LookupError) as error:
                # shapes that do not fit each other: what was recorded cannot have been computed
                ledger.fail(EVIDENCE, place, "evidence", str(error), "+")
                self._consistent += 1

    def _rows(self, run: int) -> Iterator[Row]:
        """A run's rows, oldest first; NULL is NaN in what is a number."""
        texts = ("reason", "weights_digest")
        query = f"SELECT id, layers, {', '.join(SCALARS)} FROM keyframe WHERE run = ? ORDER BY id"
        for number, row in enumerate(rows(self._db, query, (run,), of="keyframe")):
            scalars = {name: math.nan if row[name] is None and name not in texts else row[name] for name in SCALARS}
            damaged = row["id"] in self._damage.keyframes
            frame = None
            if row["layers"] is not None and not damaged:
                try:
                    frame = self._reader.keyframe(run, number)
                except RecordingError as error:
                    place = Place(self._reader.runs[run].name, row["step"])
                    self._ledger.fail(EVIDENCE, place, "keyframe", str(error), "+")
                    damaged = True
            yield Row(number, scalars, frame, damaged)

    def _evidence(self, run: int, row: Row) -> Mapping[str, Values] | None:
        try:
            return self._reader.evidence(run, row.number)
        except RecordingError:  # its digest has been reported
            return None

    def _sizes(self, subject: Subject) -> tuple[int, int] | None:
        if subject.samples is not None:
            return len(subject.samples.data.train), len(subject.samples.data.validation)
        meta = self._reader.meta
        if "train_samples" in meta and "validation_samples" in meta:
            return int(meta["train_samples"]), int(meta["validation_samples"])
        return None

    def _checkpoint(self, course: Course) -> tuple[int, Mapping[str, Values]] | None:
        run = course.subject.run.index
        if (run, "final") in self._damage.checkpoints:
            return None
        query = "SELECT step, block FROM checkpoint WHERE run = ? AND name = 'final'"
        found = next(rows(self._db, query, (run,), of="checkpoint"), None)
        if found is None:
            return None
        state = unpack_arrays(found["block"])
        check_checkpoint(self._ledger, course, found["step"], state)
        return found["step"], state

    def _following(
        self, course: Course, row: Row, checkpoint: tuple[int, Mapping[str, Values]] | None
    ) -> Mapping[str, Values] | None:
        """Parameters and buffers after a row's step, where they are recorded: what the next step began with."""
        step = row.scalars["step"]
        if checkpoint is not None and checkpoint[0] == step:
            return checkpoint[1]
        later = [other for other in course.rows if other.scalars["step"] == step + 1 and other.frame is not None]
        if not later:
            return None
        evidence = self._evidence(course.subject.run.index, later[0])
        if evidence is None:
            return None
        after = {name[7:]: values for name, values in evidence.items() if name.startswith("before/")}
        check_weights(self._ledger, course, row, after, "before the next step")
        return after

    def _order(self, subject: Subject, row: Row, orders: dict[tuple[int, int, int], tuple[str, Values]]) -> None:
        """Runs of one seed go through the samples in the same order."""
        run = subject.run
        assert row.frame is not None
        if run.fork is not None or row.number == 0:
            return
        data = run.config["data"]
        epoch = math.ceil(row.scalars["epoch"] - 1e-9)
        offset = (row.scalars["step"] - 1) % run.steps_per_epoch * data["batch_size"]
        key = (run.config["seed"], epoch, offset)
        name, other = orders.setdefault(key, (run.name, row.frame.batch_indices))
        both = min(len(other), len(row.frame.batch_indices))
        same = bool((other[:both] == row.frame.batch_indices[:both]).all())
        figure = "batch_indices"
        self._ledger.hold(N_("order of samples, the same in all runs"), row.place(run.name), figure, same, "-", name)

    def _after(
        self,
        place: Place,
        subject: Subject,
        frame: Keyframe,
        taken: Taken,
        recorded: Mapping[str, Values] | None,
        *,
        initial: bool,
    ) -> None:
        """What follows the step: the parameters, the shift of gradients, validation and predictions."""
        ledger, samples, unit = self._ledger, subject.samples, subject.precision.unit
        if samples is None:
            return
        after = taken.after
        if recorded is not None and not initial:
            for name in parameter_names(subject.stages):
                if name in recorded and name in taken.moved:
                    ours, layer = taken.moved[name], name.partition(".")[0]
                    # some are rounding and nothing else, as a bias before a mean is taken off
                    size = max(float(np.abs(v).max()) for n, v in taken.before.items() if n.startswith(f"{layer}."))
                    ledger.compare(
                        PARAMETERS, replace(place, layer=layer), name, recorded[name], ours.value, ours.error,
                        scale=size or None,
                    )  # fmt: skip
        if recorded is not None and set(state_names(subject.stages)) <= set(recorded):
            after = exactly(recorded, unit)
        if after is None:
            ledger.note(N_("validation: gradients, and so the step, are not determined"))
            return
        shift = subject.run.config["record"].get("shift") and not initial
        if shift and taken.x is not None and taken.target is not None:
            check_shift(
                ledger, place, frame, subject.stages, taken.x, taken.target, subject.task,
                (exactly(taken.before, unit), after), taken.gradients, taken.draws, subject.precision,
            )  # fmt: skip
        if initial:
            assert taken.target is not None
            step = Answers(Bounded.exact(taken.values[-1], unit))
            recorded_scores = frame.train_loss, frame.train_accuracy
            names = ("train_loss", "train_accuracy")
            check_scores(ledger, LOSS, place, names, recorded_scores, subject.task, step, taken.target)
        answer = self._answer(subject)
        if answer is not None:
            x, target = samples.validation
            check_validation(ledger, place, frame, subject.task, Answers.of(answer, x, after), target)
        points = samples.grid
        if points is not None and frame.predictions is not None:
            answers = Answers.of(evaluating(subject.stages, subject.precision), points, after).best
            check_predictions(ledger, place, frame.predictions, subject.task, answers)

    def _answer(self, subject: Subject) -> Answer | None:
        """How this run validates; None where that draws."""
        if subject.training.get("validation_mode", "evaluation") == "evaluation":
            return evaluating(subject.stages, subject.precision)
        if any(stage.kind in ("dropout", "noise", "input_noise") for stage in subject.stages):
            self._ledger.note(N_("validation in training mode: its masks and noise are not recorded"))
            return None
        size = subject.training.get("validation_batch") or subject.run.config["data"]["batch_size"]
        return forgetting(subject.stages, size, subject.precision)
