"""Opens pages on top of the laboratory, such as help, microscope and fork form, and passes on what they are left with.

Each page is imported when it is opened, because panels do not need Markdown, charts or the scenario's schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from bntui.errors import RecordingError, ScenarioError
from bntui.recording.history import RunInfo
from bntui.text import figures
from bntui.text.language import _
from bntui.text.output import clean
from bntui.viewer import live_events as happening
from bntui.viewer import live_states, view_state
from bntui.viewer.chooser import Choice, Chooser
from bntui.viewer.looking import READ_ONLY
from bntui.viewer.marks import RUN_MARKS
from bntui.viewer.panels import PANELS
from bntui.viewer.snapshot import contents, recounted
from bntui.viewer.view_state import ViewState

if TYPE_CHECKING:
    from textual.screen import Screen

    from bntui.viewer.fork.form import ForkOrigin
    from bntui.viewer.notices import Notices
    from bntui.viewer.screens.lab_chooser import Standing
    from bntui.viewer.screens.lab_recording import LoadedRecording
    from bntui.viewer.screens.lab_trainer import TrainerControl
    from bntui.viewer.terminal.line import PacedApp
    from bntui.viewer.view import View


class ForkFrom(NamedTuple):
    """The origin of a fork, and the title of its form."""

    origin: ForkOrigin
    title: str


class Below(Protocol):
    """The part of the laboratory's screen that this module needs."""

    loaded: LoadedRecording
    trainer: TrainerControl
    notices: Notices
    view_state: ViewState

    @property
    def app(self) -> PacedApp[Any]: ...
    def facts(self) -> live_states.Facts:
        """Facts about the recording for the state machine."""
        ...


class LabPages:
    """The pages over a laboratory."""

    def __init__(self, lab: Below) -> None:
        self._lab = lab

    def help(self) -> None:
        """Open the lesson of the focused panel, and the keys."""
        from bntui.viewer.screens.help import HelpScreen, lab_keys

        self._open(HelpScreen(self._lab.view_state.focused, lab_keys(self._lab.trainer.connected)))

    def microscope(self, then: Callable[[ViewState], None]) -> None:
        """Open the microscope at the cursor; ``then`` receives the view state at which it was left, in epochs."""
        from bntui.viewer.screens.microscope import MicroscopeScreen

        loaded = self._lab.loaded
        # the microscope's axes are in epochs
        recorded = recounted(loaded.snapshot, "epoch")
        look = view_state.count_by(self._lab.view_state, loaded.snapshot, "epoch")
        forks = loaded.trains and not self._lab.app.read_only
        self._open(MicroscopeScreen(loaded.reader, recorded, look, forks=forks), then)

    def chooser(self, standing: Standing, then: Callable[[Choice], None]) -> None:
        """Open the choice of panels for the main screen; ``then`` receives what it is left with."""
        from bntui.viewer.screens.lab_chooser import ChooserScreen

        state = self._lab.view_state
        at = [panel.name for panel in PANELS].index(state.focused)
        chosen = Chooser(state.panels, at, contents(self._lab.loaded.snapshot))
        self._open(ChooserScreen(chosen, standing), then)

    def runs(self, view: View, then: Callable[[int], None]) -> None:
        """Open the tree of all runs; ``then`` receives the number of the chosen one."""
        from bntui.viewer.screens.lab_runs import RunsScreen

        self._open(RunsScreen(view), then)

    def seeds(self) -> None:
        """Open the seeds of the selected run's band; the chosen one is trained again in a new recording."""
        lab, number = self._lab, self._lab.view_state.selected
        courses = lab.loaded.snapshot.seeds[number]
        if not courses:
            none = _("This run has no other seeds; b trains some.")
            lab.notices.say_once(_(lab.facts().looking) or none)
            return
        from bntui.viewer.screens.seeds import SeedsScreen

        stops = live_states.would_stop(lab.trainer.state, lab.facts())
        page = SeedsScreen(lab.loaded.reader.runs[number], courses, stops=stops)
        self._open(page, lambda seed: lab.trainer.happened(happening.TrainAnew(seed)))

    def note(self) -> None:
        """Open a line for a note at the keyframe that the selected run shows."""
        lab, number = self._lab, self._lab.view_state.selected
        run, history = lab.loaded.reader.runs[number], lab.loaded.snapshot.histories[number]
        row = history.at(lab.view_state.cursor)
        if lab.app.read_only:
            lab.notices.say_once(_(READ_ONLY))
            return
        if lab.loaded.compared or row < 0:
            nothing = _("There is no keyframe to note here yet.")
            lab.notices.say_once(_(live_states.ONLY_LOOKING) if lab.loaded.compared else nothing)
            return
        from bntui.viewer.screens.note import NoteScreen

        step = int(history.step[row])
        place = f"{run.called}, {_('epoch')} {figures.epoch(history.epoch[row])}"

        self._open(NoteScreen(place), lambda text: lab.trainer.happened(happening.NoteWritten(run.index, step, text)))

    def fork_form(self) -> None:
        """Open the form of a fork at the cursor."""
        lab, run = self._lab, self._lab.loaded.reader.runs[self._lab.view_state.selected]
        try:
            found = fork_from(lab.loaded, run, lab.view_state.cursor)
        except (RecordingError, ScenarioError) as error:
            lab.notices.error(str(error))
            return
        if found is None:
            name = clean(run.called)
            lab.notices.say_once(_("There is no keyframe of {run} here to fork from.").format(run=name))
            return
        from bntui.viewer.screens.fork import ForkScreen

        self._open(ForkScreen(*found), lambda request: lab.trainer.happened(happening.RequestFork(request)))

    def _open(self, page: Screen[Any], then: Callable[[Any], object] | None = None) -> None:
        """Open a page; ``then`` receives its result, if it has one."""

        def left(result: object) -> None:
            if result is not None and then is not None:
                then(result)

        self._lab.app.clear_notifications()  # they would cover the page
        self._lab.app.push_screen(page, left)


def fork_from(loaded: LoadedRecording, run: RunInfo, cursor: float) -> ForkFrom | None:
    """The run's keyframe at the cursor, as the origin of a fork; None before its first keyframe.

    Raises:
        RecordingError: the samples are damaged.
        ScenarioError: the run's configuration is not valid in this version.
    """
    from bntui.scenario.fork import configuration
    from bntui.viewer.fork.form import ForkOrigin, data_facts, last_sound

    history = loaded.snapshot.histories[run.index]
    row = history.at(cursor)
    if row < 0:
        return None
    configuration(run.config)
    # facts about data files come from the recording
    step, facts = int(history.step[row]), data_facts(loaded.reader, run)
    sound = last_sound(history, row)
    origin = ForkOrigin(
        run, step, float(history.epoch[row]), facts, _waited(loaded, run, row, step), diverged=sound != row,
        sound=None if sound is None else float(history.epoch[sound]),
    )  # fmt: skip
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
