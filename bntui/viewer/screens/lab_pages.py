"""Opens pages on top of the laboratory: help, microscope, fork form and run tree.

Each page is imported when it is opened, because panels do not need Markdown, charts or the scenario's schema.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bntui.recording.history import RunInfo
from bntui.viewer import view_state
from bntui.viewer.marks import RUN_MARKS
from bntui.viewer.view_state import ViewState

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen

    from bntui.link.requests import ForkRequest
    from bntui.recording.seeds import SeedCourse
    from bntui.viewer.chooser import Choice, Chooser
    from bntui.viewer.fork.form import Origin
    from bntui.viewer.screens.lab_chooser import Standing
    from bntui.viewer.screens.lab_recording import LoadedRecording
    from bntui.viewer.terminal.line import PacedApp
    from bntui.viewer.view import View


class ForkFrom(NamedTuple):
    """The origin of a fork, and the title of its form."""

    origin: Origin
    title: str


def open_help(app: App[Any], panel: str, *, connected: bool) -> None:
    """Open the lesson of a panel and the keys."""
    from bntui.viewer.screens.help import HelpScreen, lab_keys

    _open(app, HelpScreen(panel, lab_keys(connected)))


def open_microscope(
    app: PacedApp[Any], loaded: LoadedRecording, state: ViewState, then: Callable[[ViewState | None], None]
) -> None:
    """Open the microscope at the cursor; ``then`` receives the view state at which it was left, in epochs."""
    from bntui.viewer.screens.microscope import MicroscopeScreen

    # the microscope's axes are in epochs
    recorded = view_state.recounted(loaded.snapshot, "epoch")
    look = view_state.count_by(state, loaded.snapshot, "epoch")
    forks = loaded.trains and not app.read_only
    _open(app, MicroscopeScreen(loaded.reader, recorded, look, forks=forks), then)


def open_fork_form(app: App[Any], found: ForkFrom, then: Callable[[ForkRequest | None], None]) -> None:
    """Open the form of a fork; ``then`` receives the request, or None."""
    from bntui.viewer.screens.fork import ForkScreen

    _open(app, ForkScreen(*found), then)


def open_note(app: App[Any], place: str, then: Callable[[str | None], None]) -> None:
    """A line to write a note in; ``then`` gets its text, or None."""
    from bntui.viewer.screens.note import NoteScreen

    _open(app, NoteScreen(place), then)


def open_seeds(
    app: App[Any], run: RunInfo, courses: Sequence[SeedCourse], then: Callable[[int | None], None], *, stops: bool
) -> None:
    """The seeds of a run; ``then`` gets the one to open, or None.  ``stops`` if that ends the training."""
    from bntui.viewer.screens.seeds import SeedsScreen

    _open(app, SeedsScreen(run, courses, stops=stops), then)


def open_chooser(app: App[Any], state: Chooser, standing: Standing, then: Callable[[Choice | None], None]) -> None:
    """Open the choice of panels for the main screen; ``then`` receives what it is left with."""
    from bntui.viewer.screens.lab_chooser import ChooserScreen

    _open(app, ChooserScreen(state, standing), then)


def open_runs(app: App[Any], view: View, then: Callable[[int | None], None]) -> None:
    """Open the tree of all runs; ``then`` receives the number of the chosen one, or None."""
    from bntui.viewer.screens.lab_runs import RunsScreen

    _open(app, RunsScreen(view), then)


def fork_from(loaded: LoadedRecording, run: RunInfo, cursor: float) -> ForkFrom | None:
    """The run's keyframe at the cursor, as the origin of a fork; None before its first keyframe.

    Raises:
        RecordingError: the samples are damaged.
        ScenarioError: the run's configuration is not valid in this version.
    """
    from bntui.scenario.fork import configuration
    from bntui.viewer.fork.form import Origin, data_facts

    history = loaded.snapshot.histories[run.index]
    row = history.at(cursor)
    if row < 0:
        return None
    configuration(run.config)
    # facts about data files come from the recording
    step, facts = int(history.step[row]), data_facts(loaded.reader, run)
    origin = Origin(run, step, float(history.epoch[row]), facts, _waited(loaded, run, row, step))
    return ForkFrom(origin, f"{RUN_MARKS[run.index % len(RUN_MARKS)]} {run.called}")


def _waited(loaded: LoadedRecording, run: RunInfo, row: int, step: int) -> int | None:
    """Number of epochs that early stopping had waited when it ended a run at this keyframe; None if it did not."""
    stopped = any(event.kind == "stopped_early" and event.step == step for event in loaded.snapshot.events[run.index])
    found = loaded.reader.keyframe(run.index, row).early_stopping if stopped else None
    return None if found is None else found.wait


def warm() -> None:
    """Import what the help needs, after the first paint."""
    from importlib import import_module

    import_module("bntui.viewer.screens.help")


def _open(app: App[Any], page: Screen[Any], then: Callable[[Any], None] | None = None) -> None:
    app.clear_notifications()  # they would cover the page
    app.push_screen(page, then)
