"""Reads from a recording what the microscope shows, and keeps what was read last."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, lru_cache

import numpy as np

from bntui.keyframe import IntArray
from bntui.recording.history import RunHistory
from bntui.viewer import view_state
from bntui.viewer.draw.extremes import unbounded
from bntui.viewer.draw.rows import Row
from bntui.viewer.microscope import state as states
from bntui.viewer.microscope.courses import Courses, courses
from bntui.viewer.microscope.draw import draw, empty, unread
from bntui.viewer.microscope.specimen import Slide, normalized_layers, slide
from bntui.viewer.microscope.state import Lens, Microscope
from bntui.viewer.snapshot import Source
from bntui.viewer.view import RunView
from bntui.viewer.view_state import ViewState


class Specimens:
    """The normalized layers of a recording."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.runs = tuple(run.index for run in source.runs if normalized_layers(run))
        """Numbers of the runs with a normalization."""
        self._slide = lru_cache(maxsize=16)(self._read_slide)
        self._courses = lru_cache(maxsize=8)(self._read_courses)

    def selecting(self, state: ViewState) -> ViewState:
        """The same state at a run with a normalization, if there is one."""
        if not self.runs or state.selected in self.runs:
            return state
        # prefer the pinned run, which is on the screen, too
        wanted = state.pinned if state.pinned in self.runs else self.runs[0]
        return view_state.select(state, len(self._source.runs), wanted - state.selected)

    def page(
        self, state: Microscope, history: RunHistory, cells: int, height: int, *, forks: bool
    ) -> tuple[Lens | None, tuple[Row, ...]]:
        """The whole screen, ``height`` rows of ``cells`` cells, and what it shows; None where there is nothing.

        Args:
            history: of the selected run.
            forks: a run of this recording can be forked.

        Raises:
            RecordingError: the keyframe or its evidence is damaged.
        """
        title = self._source.title
        if not self.runs:
            watched = all(info.watched for info in self._source.runs)
            run = self._seen(state, history) if forks else None
            return None, empty(title, run, cells, height, watched=watched)
        with unbounded():
            lens = self.lens(state, history)
            if lens is None:
                return None, unread(title, self._seen(state, history), cells, height)
            return lens, draw(lens, cells, height)

    def _seen(self, state: Microscope, history: RunHistory) -> RunView:
        """The run that is looked at, without its measures."""
        row = history.at(state.look.cursor) if len(history) else -1
        return RunView(self._source.runs[state.look.selected], history, (), row, None)

    def lens(self, state: Microscope, history: RunHistory) -> Lens | None:
        """Everything to draw; None before the first keyframe.  See :meth:`page`."""
        source, run = self._source, self._source.runs[state.look.selected]
        row = history.at(state.look.cursor)
        if row < 0:
            return None
        layers = normalized_layers(run)
        number = next((at for at in layers if run.layers[at].name == state.layer), layers[0])
        under = self._slide(run.index, row, number)
        if under.pool is None:
            self._slide.cache_clear()  # a running trainer may still write the evidence
        state = states.within(replace(state, layer=run.layers[number].name), under)
        return Lens(
            title=source.title,
            run=RunView(run, history, (), row, source.keyframe(run.index, row)),
            state=state,
            number=number,
            layers=layers,
            runs=len(self.runs),
            slide=under,
            specimen=under.specimen(state.time, state.chosen),
            courses=self._courses(run.index, number, history),
            nearest=self._nearest(run.index, history, row) if under.pool is None and run.stages else None,
            numbers=self._numbers,
        )

    @cached_property
    def _numbers(self) -> IntArray | None:
        data = self._source.dataset
        return None if data is None else data.numbers[data.train]

    def _read_slide(self, run: int, row: int, number: int) -> Slide:
        evidence = self._source.evidence(run, row)
        return slide(self._source.runs[run], number, self._source.keyframe(run, row), evidence)

    def _read_courses(self, run: int, number: int, history: RunHistory) -> Courses:
        return courses(self._source, run, history, number)

    def _nearest(self, run: int, history: RunHistory, row: int) -> float | None:
        """Epoch of the nearest keyframe that has evidence; None if there is none."""
        kept = self._source.evidence_rows(run)
        kept = kept[kept < len(history)]
        kept = kept[history.has_frame[kept]]
        return float(history.epoch[kept[np.argmin(np.abs(kept - row))]]) if len(kept) else None
