"""Opens the pages of the laboratory over it: help, microscope, fork form and run tree.

Each page is imported when it is opened: Markdown, charts and the scenario's schema are not needed to draw panels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from bntui.recording.history import RunInfo
from bntui.viewer import view_state
from bntui.viewer.marks import RUN_MARKS
from bntui.viewer.view_state import ViewState

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen

    from bntui.link.requests import ForkRequest
    from bntui.viewer.fork.form import Origin
    from bntui.viewer.screens.lab_recording import LoadedRecording
    from bntui.viewer.view import View


class ForkFrom(NamedTuple):
    """Where a fork would start, and what its form is titled."""

    origin: Origin
    title: str


def open_help(app: App[Any], panel: str, *, connected: bool) -> None:
    """The lesson of a panel, and the keys."""
    from bntui.viewer.screens.help import HelpScreen, lab_keys

    _open(app, HelpScreen(panel, lab_keys(connected)))


def open_microscope(
    app: App[Any], loaded: LoadedRecording, state: ViewState, then: Callable[[ViewState | None], None]
) -> None:
    """The values of a layer at the cursor; ``then`` gets where it was left, counted in epochs."""
    from bntui.viewer.screens.microscope import MicroscopeScreen

    # its axes are those of one run, in epochs
    recorded = view_state.recounted(loaded.snapshot, "epoch")
    _open(app, MicroscopeScreen(loaded.reader, recorded, view_state.count_by(state, loaded.snapshot, "epoch")), then)


def open_fork_form(app: App[Any], found: ForkFrom, then: Callable[[ForkRequest | None], None]) -> None:
    """The form of a fork; ``then`` gets the request, or None."""
    from bntui.viewer.screens.fork import ForkScreen

    _open(app, ForkScreen(*found), then)


def open_runs(app: App[Any], view: View, then: Callable[[int | None], None]) -> None:
    """The tree of all runs; ``then`` gets the chosen one, or None."""
    from bntui.viewer.screens.lab_runs import RunsScreen

    _open(app, RunsScreen(view), then)


def fork_from(loaded: LoadedRecording, run: RunInfo, cursor: float) -> ForkFrom | None:
    """The run's keyframe at the cursor; None before its first one.

    Raises:
        RecordingError: the data's facts cannot be read.
        ScenarioError: the run's configuration is not one of this version.
    """
    from bntui.scenario.fork import configuration
    from bntui.viewer.fork.form import Origin, data_facts

    history = loaded.snapshot.histories[run.index]
    row = history.at(cursor)
    if row < 0:
        return None
    configuration(run.config)
    # what the name of the data does not tell comes from the recording
    origin = Origin(run, int(history.step[row]), float(history.epoch[row]), data_facts(loaded.reader, run))
    return ForkFrom(origin, f"{RUN_MARKS[run.index % len(RUN_MARKS)]} {run.label or run.name}")


def warm() -> None:
    """Import what the help needs, while the first picture is being looked at."""
    from importlib import import_module

    import_module("bntui.viewer.screens.help")


def _open(app: App[Any], page: Screen[Any], then: Callable[[Any], None] | None = None) -> None:
    app.clear_notifications()  # they would cover it
    app.push_screen(page, then)
