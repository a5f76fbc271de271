"""Audits a recording: first its digests, then each keyframe, then each run as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.bounded import SIGNS, Bounded
from bntui.audit.configuration import SETTINGS, check_configuration, check_shared
from bntui.audit.consistency import check_row
from bntui.audit.course import AuditedRun, Row, check_course
from bntui.audit.digests import check_digests
from bntui.audit.ends import check_absent, check_checkpoint, check_kept, check_weights
from bntui.audit.events import check_events
from bntui.audit.forks import begins, check_begun, check_fork, check_inheritance, check_parentage, check_tracked
from bntui.audit.initial import check_initial
from bntui.audit.inputs import check_scaling, check_split
from bntui.audit.ledger import Ledger, Margin, Place
from bntui.audit.meta import check_grid, check_meta, check_stray, check_tables
from bntui.audit.minibatches import SampleOrders, check_batches, check_counts
from bntui.audit.network import parameter_names, stages_of, state_names
from bntui.audit.progress import STATE, Batch, check_averages, check_progress
from bntui.audit.readable import Readable
from bntui.audit.recompute import LOSS, recompute_initial, recompute_step
from bntui.audit.samples import ScaledSamples
from bntui.audit.seeds import check_seeds
from bntui.audit.shift import check_shift
from bntui.audit.standing import BatchSizes, Standing, departures, follow
from bntui.audit.subject import EVIDENCE, Subject, Taken, known_kinds, unpack
from bntui.audit.tolerances import Precision
from bntui.audit.validation import (
    Answers,
    Scores,
    answering,
    check_predictions,
    check_scores,
    check_validation,
    evaluating,
    exactly,
)
from bntui.audit.watched import check_watched
from bntui.errors import RecordingError
from bntui.keyframe import Keyframe
from bntui.recording.dataset import RecordedData
from bntui.recording.forms import WATCHED
from bntui.recording.guard import damaged
from bntui.recording.recorded import recorded
from bntui.text.language import N_

Values = NDArray[Any]

PARAMETERS: Final = N_("parameters after the step")


@dataclass(frozen=True, slots=True)
class Report:
    """The result of an audit."""

    path: Path
    title: str
    ledger: Ledger
    full: int
    """Keyframes that were recomputed in full."""
    consistent: int
    """Keyframes checked from their rows alone: their evidence was thinned out or cannot be parsed."""
    damaged: int
    """Rows that do not match their digests."""
    labels: Mapping[str, str]
    """Names of the runs in the user's language, for text that people read."""
    watched: bool = False
    """A training loop of somebody's own was recorded: nothing could be recomputed."""

    @property
    def true(self) -> bool:
        """True if no check failed."""
        return not self.ledger.failures


def audit(path: Path) -> Report:
    """Audit a recording, finished or growing.

    Raises:
        RecordingError: the file is not a recording, is too damaged to be read, or contains nothing to check.
    """
    with damaged(path):
        return _Audit(path).report()


class _Audit:
    """One pass over one recording."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ledger = Ledger()
        self._full = self._consistent = 0
        self._courses: dict[int, AuditedRun] = {}
        """Runs checked so far, by number; a fork looks up its parent here."""
        SIGNS.begin()  # an audit gives the same tolerances each time
        with np.errstate(all="ignore"):
            self._reader = recorded(path)
            try:
                with self._reader.snapshot() as self._db:  # one consistent state, even while it grows or is thinned
                    self._run()
            finally:
                self._reader.close()

    def report(self) -> Report:
        damaged = len(self._damage.keyframes) + len(self._damage.evidence)
        labels = {run.name: run.called for run in self._reader.runs}
        return Report(
            self._path, self._reader.title, self._ledger, self._full, self._consistent, damaged, labels, self._watched
        )

    def _run(self) -> None:
        reader, ledger = self._reader, self._ledger
        self._damage = check_digests(self._db, ledger, tuple(run.name for run in reader.runs))
        self._readable = Readable(reader, self._db, self._damage, ledger)
        self._watched = any(run.watched for run in reader.runs)
        if self._watched:
            self._loops()
            return
        data = None
        try:
            data = None if self._damage.data else reader.dataset
        except RecordingError as error:
            ledger.fail(EVIDENCE, Place(), "data", str(error), "+")
        orders = SampleOrders(ledger)
        self._whole(data)
        for run in reader.runs:
            try:
                samples = None if data is None else ScaledSamples.of(data, run, reader.task)
                sizes = self._readable.sizes(samples)
                pace = None if sizes is None else BatchSizes.of(run.config, sizes[0], run.steps_per_epoch)
                subject = Subject(run, stages_of(run), samples, reader.task, Precision.of(run.device), pace)
                self._one(subject, sizes, orders)
            except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
                # untrusted file: a configuration or table that cannot be parsed is a failure
                ledger.fail(EVIDENCE, Place(run.name), "run", f"{type(error).__name__}: {error}", "+")

    def _loops(self) -> None:
        """Check recorded loops of somebody's own; runs with a scenario beside them are none of bntui's."""
        reader, ledger = self._reader, self._ledger
        check_stray(ledger, self._db, reader.runs)
        for run in reader.runs:
            ledger.hold(SETTINGS, Place(run.name), "run", run.watched, "-", WATCHED)
            rows = [row for row in self._readable.rows(run.index) if not row.damaged]
            check_watched(ledger, run, rows, reader.task)
            self._consistent += sum(row.frame is not None for row in rows)

    def _whole(self, data: RecordedData | None) -> None:
        """Check what does not belong to a single run."""
        reader, ledger = self._reader, self._ledger
        try:
            check_meta(ledger, reader.meta, reader.runs, data)
            check_tables(ledger, self._db, reader.runs, reader.meta)
            check_stray(ledger, self._db, reader.runs)
            check_shared(ledger, reader.runs)
            check_seeds(ledger, self._db, reader.runs, reader.meta)
            if data is not None:
                check_grid(ledger, data, reader.task, reader.runs)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            ledger.fail(EVIDENCE, Place(), "meta", f"{type(error).__name__}: {error}", "+")

    def _one(self, subject: Subject, sizes: tuple[int, int] | None, orders: SampleOrders) -> None:
        run, ledger = subject.run, self._ledger
        known = known_kinds(ledger, subject)
        if not subject.stages:
            ledger.note(N_("keyframes of format 1, which does not name the network's stages"))
        if subject.samples is not None:
            check_scaling(ledger, subject)
            check_split(ledger, subject)
        check_configuration(ledger, subject, self._reader.meta, sizes)
        course = self._course(subject)
        parent = None if run.fork is None else self._courses.get(run.fork.run)
        self._courses[run.index] = course
        check_course(ledger, course)
        if parent is not None:
            check_parentage(ledger, parent, course)
            check_fork(ledger, parent, course, self._reader.runs)
        check_events(ledger, course, self._reader.meta)
        if sizes is not None:
            check_batches(ledger, course, sizes[0])
            check_counts(ledger, course, sizes[1])
        checkpoint = self._checkpoint(course)
        told = run.fork is not None
        """Whether evidence holds the trainer's state: always in a fork, in other runs since format 3."""
        for row in course.rows:
            if row.frame is None:
                continue
            orders.check(course, row)
            place = row.place(run.name)
            evidence = self._readable.evidence(run.index, row) if known and subject.stages else None
            initial = row is course.rows[0] and row.number == 0
            check_row(ledger, place, subject, row.frame, full=evidence is not None, initial=initial)
            taken = None if evidence is None else unpack(ledger, place, subject, row.frame, evidence)
            after = self._following(course, row, checkpoint)
            if taken is None or evidence is None:
                if after is not None:
                    check_kept(ledger, course, row, after, answering(ledger, subject))
                self._consistent += 1
                continue
            if parent is not None and not row.number:
                check_inheritance(ledger, parent, course, evidence, self._readable.onward(parent, row.scalars["step"]))
            text = self._readable.progress(run.index, row)
            ledger.hold(STATE, place, "progress", text is not None or not told, "-", "+")
            told = told or text is not None
            check_progress(ledger, course, row, Batch.of(row, taken, subject.task), text)
            check_averages(ledger, course, row, taken)
            check_tracked(ledger, self._courses, course, row, taken.before)
            check_begun(ledger, self._courses, course, row, evidence)
            if initial:
                after = evidence.before
                check_weights(ledger, course, row, after, "before")
                if run.fork is None:
                    check_initial(ledger, place, subject, after)
            try:
                if initial:
                    recompute_initial(ledger, place, subject, row.frame, taken)
                else:
                    recompute_step(ledger, place, subject, row.frame, taken, after)
                self._after(place, subject, row.frame, taken, after, initial=initial)
                self._full += 1
            except (ValueError, LookupError, AssertionError) as error:
                # shapes that do not match: the recorded values cannot have been computed
                ledger.fail(EVIDENCE, place, "evidence", str(error), "+")
                self._consistent += 1

    def _course(self, subject: Subject) -> AuditedRun:
        """A run's rows and events, with its standing at each row."""
        run = subject.run
        rows = tuple(self._readable.rows(run.index))
        events = self._reader.events(run.index)
        left = tuple(row for row in rows if not row.damaged)
        course = AuditedRun(subject, left, events, len(left) == len(rows))
        start: Standing | None = Standing()
        if run.fork is not None:
            parent = self._courses.get(run.fork.run)
            start = None if parent is None else begins(parent, run, subject.pace)
        if subject.pace is None or start is None or not rows or not course.whole:
            return course
        scalars = [row.scalars for row in rows]
        passages = follow(run.config, subject.pace, scalars, start, departures(events))
        return replace(course, passages=tuple(passages))

    def _checkpoint(self, course: AuditedRun) -> tuple[int, Mapping[str, Values]] | None:
        run = course.subject.run.index
        if self._readable.lost(run):
            return None
        found = self._readable.final(run)
        if found is None:
            check_absent(self._ledger, course)
            return None
        check_checkpoint(self._ledger, course, *found, answering(self._ledger, course.subject))
        return None if course.found_again(found[0]) else found

    def _following(
        self, course: AuditedRun, row: Row, checkpoint: tuple[int, Mapping[str, Values]] | None
    ) -> Mapping[str, Values] | None:
        """Parameters and buffers after a row's step, if recorded: the state in which the next step began."""
        step = row.scalars["step"]
        if course.departed(step):
            return None
        if checkpoint is not None and checkpoint[0] == step:
            return checkpoint[1]
        later = [other for other in course.rows if other.scalars["step"] == step + 1 and other.frame is not None]
        if not later:
            return None
        evidence = self._readable.evidence(course.subject.run.index, later[0])
        if evidence is None:
            return None
        check_weights(self._ledger, course, row, evidence.before, "before the next step")
        return evidence.before

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
        """Check what follows the step: parameters, gradient shift, validation, and predictions."""
        ledger, samples, unit = self._ledger, subject.samples, subject.precision.unit
        if samples is None:
            return
        after = taken.after
        if recorded is not None and not initial:
            for name in parameter_names(subject.stages):
                if name in recorded and name in taken.moved:
                    ours, layer = taken.moved[name], name.partition(".")[0]
                    # some are nothing but rounding, such as a bias before mean subtraction
                    size = max(float(np.abs(v).max()) for n, v in taken.before.items() if n.startswith(f"{layer}."))
                    here, margin = replace(place, layer=layer), Margin(ours.error, size)
                    ledger.compare(PARAMETERS, here, name, recorded[name], ours.value, margin)
        if recorded is not None and set(state_names(subject.stages)) <= set(recorded):
            after = exactly(recorded, unit)
        if after is None:
            ledger.note(N_("validation: the gradients, and therefore the step, are undetermined"))
            return
        shift = subject.run.config["record"].get("shift") and not initial
        if shift and taken.x is not None and taken.target is not None:
            check_shift(ledger, place, subject, frame, taken, after)
        if initial:
            assert taken.target is not None
            step = Answers(Bounded.exact(taken.values[-1], unit))
            scores = Scores(LOSS, ("train_loss", "train_accuracy"), (frame.train_loss, frame.train_accuracy))
            check_scores(ledger, place, scores, subject.task, step, taken.target)
        answer = answering(ledger, subject)
        if answer is not None:
            x, target = samples.validation
            check_validation(ledger, place, frame, subject.task, Answers.of(answer, x, after), target)
        points = samples.grid
        if points is not None and frame.predictions is not None:
            answers = Answers.of(evaluating(subject.stages, subject.precision), points, after).best
            check_predictions(ledger, place, frame.predictions, subject.task, answers)
