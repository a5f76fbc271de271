"""Draws a panel, the whole screen or the microscope of a recording, as the screen would, at any keyframe."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

import numpy as np

from bntui.errors import UsageError, did_you_mean
from bntui.keyframe import FloatArray
from bntui.recording.history import RunInfo
from bntui.text import figures
from bntui.text.language import N_, _
from bntui.viewer import chrome, live_states, parts, tour, view_state
from bntui.viewer.arrangement import Arrangement
from bntui.viewer.draw.rows import Row
from bntui.viewer.layout import SMALLEST
from bntui.viewer.microscope.reading import Specimens
from bntui.viewer.microscope.state import Microscope
from bntui.viewer.panels import BY_NAME, PANELS, read_by
from bntui.viewer.picture import sheet
from bntui.viewer.snapshot import Snapshot, ViewedRecording, ending, free_panels, take_snapshot
from bntui.viewer.view import SAME
from bntui.viewer.view_state import ViewState

SCREEN: Final = "screen"
MICROSCOPE: Final = "microscope"
WHOLE: Final = {SCREEN: N_("Screen"), MICROSCOPE: N_("Microscope")}
"""What fills a screen, and its label."""
SMALLEST_PANEL: Final = (20, 6)
LARGEST: Final = (400, 200)
SIZE: Final = {SCREEN: (120, 36), MICROSCOPE: (120, 36)}
"""Columns and rows of a picture, if no size was asked for."""
USUAL_SIZE: Final = (100, 30)


def find_panel(asked: str) -> str:
    """The name of what is to be drawn, given by name, key or label.

    Raises:
        UsageError: there is no such panel; lists all.
    """
    wanted = asked.strip().casefold()
    known = {name: {name, label, _(label)} for name, label in WHOLE.items()}
    known |= {panel.name: {panel.name, panel.key, panel.label, _(panel.label), _(panel.short)} for panel in PANELS}
    for name, spellings in known.items():
        if wanted in {spelling.casefold() for spelling in spellings}:
            return name
    names = [*(f"{panel.name} ({panel.key})" for panel in PANELS), *WHOLE]
    spelled = {spelling.casefold(): spelling for name in known for spelling in (*known[name], name)}
    near = [spelled[one] for one in get_close_matches(wanted, spelled, n=1)]
    sentence = _("there is no panel {panel!r}; choose one of: {names}").format(panel=asked, names=", ".join(names))
    raise UsageError(f"{sentence} {did_you_mean(near[0])}" if near else sentence)


def parse_size(asked: str) -> tuple[int, int]:
    """Columns and rows from a size like ``100x30``.

    Raises:
        UsageError: it is not a size.
    """
    columns, by, rows = asked.casefold().replace("×", "x").partition("x")
    if not (by and columns.strip().isdecimal() and rows.strip().isdecimal()):
        raise UsageError(_("--size = {size!r}: give columns and rows, such as 100x30").format(size=asked))
    return int(columns), int(rows)


def _fitting(panel: str, size: tuple[int, int]) -> tuple[int, int]:
    """Check a size.

    Raises:
        UsageError: it is too small or too large.
    """
    least = SMALLEST if panel in WHOLE else SMALLEST_PANEL
    if not (least[0] <= size[0] <= LARGEST[0] and least[1] <= size[1] <= LARGEST[1]):
        sentence = _("--size = {size}: {panel} takes from {least} to {most} columns and rows")
        sizes = ("x".join(map(str, one)) for one in (size, least, LARGEST))
        raise UsageError(sentence.format(panel=panel, **dict(zip(("size", "least", "most"), sizes, strict=True))))
    return size


def _looking_at(reader: ViewedRecording, runs: Sequence[int]) -> ViewState:
    """How the recording opens, or with these runs side by side."""
    state = view_state.opening(reader)
    if not runs:
        return state
    selected, pinned, third = (*runs, None, None)[:3]
    assert selected is not None
    return replace(state, selected=selected, pinned=pinned, third=third)


@dataclass(frozen=True)
class Scene:
    """What is drawn of a recording."""

    reader: ViewedRecording
    panel: str
    size: tuple[int, int]
    recorded: Snapshot
    state: ViewState
    specimens: Specimens
    heavy: bool = False
    colorless: bool = False

    @classmethod
    def of(
        cls,
        reader: ViewedRecording,
        panel: str,
        *,
        runs: Sequence[int] = (),
        size: tuple[int, int] | None = None,
        heavy: bool = False,
    ) -> Scene:
        """A scene at the newest keyframe.

        Args:
            panel: as :func:`find_panel` gives it.
            runs: numbers of up to three runs to show side by side; by default those with which the recording opens.
            heavy: in thick lines, for a lecture hall.

        Raises:
            UsageError: the size is too small or too large.
        """
        size = _fitting(panel, size or SIZE.get(panel, USUAL_SIZE))
        recorded = take_snapshot(reader)
        state = view_state.grown(_looking_at(reader, runs), recorded.stops)
        specimens = Specimens(reader)
        if panel == MICROSCOPE:
            state = specimens.selecting(state)
        elif panel in BY_NAME:
            state = replace(state, focused=panel)
        return cls(reader, panel, size, recorded, state, specimens, heavy)

    @property
    def stops(self) -> FloatArray:
        """Epochs at which any run has a keyframe."""
        return self.recorded.stops

    def at(self, epoch: float | None) -> Scene:
        """The same at the last keyframe at or before an epoch; by default, as the recording opens.

        Raises:
            UsageError: there is none.
        """
        if epoch is None:
            return self
        before = int(np.searchsorted(self.stops, epoch + SAME, side="right")) - 1
        if before < 0:
            sentence = _("{path} has no keyframe at or before epoch {epoch:g}")
            raise UsageError(sentence.format(path=self.reader.path, epoch=epoch))
        cursor, last = float(self.stops[before]), before == len(self.stops) - 1
        return replace(self, state=replace(self.state, cursor=cursor, following=last))

    @property
    def title(self) -> str:
        """Says what is shown, for those who cannot see it."""
        label = _(WHOLE[self.panel] if self.panel in WHOLE else BY_NAME[self.panel].label)
        place = f"{_('epoch')} {figures.epoch(self.state.cursor)}"
        return " · ".join((self.reader.title, label, *(run.called for run in self._runs), place))

    @property
    def _runs(self) -> tuple[RunInfo, ...]:
        numbers = (self.state.selected, self.state.pinned, self.state.third)[: 1 if self.panel == MICROSCOPE else 3]
        return tuple(self.reader.runs[number] for number in numbers if number is not None)

    def rows(self) -> tuple[Row, ...]:
        """Exactly as many rows and cells as the size says.

        Raises:
            RecordingError: a keyframe is damaged.
        """
        width, height = self.size
        if self.panel == MICROSCOPE:
            history = self.recorded.histories[self.state.selected]
            _lens, rows = self.specimens.page(Microscope(self.state), history, width, height, forks=True)
            return rows
        if self.panel in BY_NAME:
            return parts.rows(self.panel, self._shown(several=True, reads=(self.panel,)), width, height)
        free = free_panels(self.recorded)
        room = Arrangement(self.size, self.recorded, free, few=self.heavy).layout(self.state)
        shown = self._shown(several=room.several, reads=room.regions)
        drawn = ((region, parts.rows(part, shown, *region.size)) for part, region in room.regions.items())
        return sheet(drawn, width, height)

    def _shown(self, *, several: bool, reads: Collection[str]) -> parts.ScreenContent:
        wanted = read_by(reads)
        view = view_state.build_view(
            self.recorded,
            self.state,
            dataset="dataset" in wanted,
            histograms="histograms" in wanted,
            heavy=self.heavy,
            colorless=self.colorless,
        )
        ended = ending(self.recorded)
        watched = all(run.watched for run in self.reader.runs)
        return parts.ScreenContent(
            view=view,
            state=self.state,
            facts=self.reader.meta,
            words=chrome.state_words(live_states.Replay(), ended),
            live=False,
            running=False,
            several=several,
            from_gallery=False,
            forks=not watched,
            resumes=ended == "interrupted" and not watched,
            tours=bool(self.reader.tour),
            said=tour.most_lines(self.size[1]),
        )
