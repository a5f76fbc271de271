"""Gives the courses and the bands of a run over its seeds, each computed once for what is recorded."""

from __future__ import annotations

import math

import numpy as np

from bntui.insight.seed_bands import Band, Difference, SeedCurve, Spread, apart_since, band, difference, spread_at
from bntui.keyframe import FloatArray, Foreign
from bntui.recording.history import SAME_EPOCH, RunHistory
from bntui.recording.kept import remembered
from bntui.recording.seeds import SeedCourse
from bntui.recording.sentences import EventKind, event_kind, traits
from bntui.viewer.draw.spans import Spans, spans_of
from bntui.viewer.view import RunView

Others = tuple[SeedCourse, ...]


def band_of(run: RunView, figure: str) -> Band | None:
    """The band of a figure over the seeds of a run, its own included; None without other seeds."""
    return _band(run.history, run.seeds, figure) if trained(run) else None


def trained(run: RunView) -> Others:
    """The other seeds that have epochs."""
    return tuple(course for course in run.seeds if course.figures.shape[1])


def places_of(run: RunView, found: Band) -> FloatArray:
    """Positions of a band's epochs on the axis of the run's history."""
    epochs = found.first + np.arange(len(found.count), dtype=np.float64)
    history = run.history
    if history.unit == "epoch" or not len(history):
        return epochs
    places: FloatArray = history.step[0] + (epochs - history.epoch[0]) * run.info.steps_per_epoch
    return places


def spread_of(run: RunView, figure: str) -> Spread | None:
    """The spread of a figure at the epoch of the keyframe that the run shows."""
    found = band_of(run, figure)
    if found is None or run.row < 0:
        return None
    return spread_at(found, math.floor(float(run.history.epoch[run.row]) + SAME_EPOCH))


def difference_of(one: RunView, other: RunView, figure: str, epoch: float) -> Difference | None:
    """The first run minus the second at an epoch, paired by seed; None where they have no two seeds in common."""
    at = math.floor(epoch + SAME_EPOCH)
    if not trained(one) or not trained(other):
        return None
    here, there = ({seed: course.at(at) for seed, course in _courses(run, figure).items()} for run in (one, other))
    return difference(here, there)


def apart_of(one: RunView, other: RunView, figure: str) -> int | None:
    """The epoch from which on the ranges of two runs over their seeds do not overlap; None where they do."""
    if not trained(one) or not trained(other):
        return None
    return _apart(one.history, one.seeds, other.history, other.seeds, figure)


@remembered
def _apart(history: RunHistory, others: Others, second: RunHistory, its: Others, figure: str) -> int | None:
    return apart_since(_band(history, others, figure), _band(second, its, figure))


def _courses(run: RunView, figure: str) -> dict[int, SeedCurve]:
    own = _own(run.history, figure)._replace(over=any(map(_whole, (event.kind for event in run.events))))
    return {run.info.config.get("seed", 0): own} | {course.seed: _of(course, figure) for course in trained(run)}


def _of(course: SeedCourse, figure: str) -> SeedCurve:
    return SeedCurve(
        course.first, course.figure(figure), course.end is not None and _whole(event_kind(course.end.kind))
    )


def _whole(kind: EventKind | Foreign) -> bool:
    """It ends a training whose last epoch counts from then on; one that diverged or failed has no figure after that."""
    return traits(kind).ends == "run" and not traits(kind).wrong


@remembered
def _own(history: RunHistory, figure: str) -> SeedCurve:
    """The figure at the ends of the run's own epochs."""
    ends = history.epoch_end | (history.step == (history.step[0] if len(history) else 0))
    ends &= np.abs(history.epoch - np.rint(history.epoch)) < SAME_EPOCH
    rows = np.flatnonzero(ends)
    first = int(np.rint(history.epoch[rows[0]])) if len(rows) else 0
    return SeedCurve(first, getattr(history, figure)[rows], over=False)


def median_spans(run: RunView, figure: str) -> Spans | None:
    """Spans of the band's median, so that few of its points need to be looked at."""
    return _spans(run.history, run.seeds, figure) if trained(run) else None


@remembered
def _spans(history: RunHistory, others: Others, figure: str) -> Spans:
    return spans_of(_band(history, others, figure).median, 0, positive=figure.endswith("loss"))


@remembered
def _band(history: RunHistory, others: Others, figure: str) -> Band:
    return band([_own(history, figure), *(_of(course, figure) for course in others if course.figures.shape[1])])
