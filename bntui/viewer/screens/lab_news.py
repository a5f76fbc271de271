"""Loads what a trainer commits, and draws it at a rate that leaves time for keys."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from bntui.errors import RecordingError
from bntui.recording.sentences import traits
from bntui.text.language import _
from bntui.viewer import live_events as happening
from bntui.viewer import live_states, view_state
from bntui.viewer.feed import Tempo
from bntui.viewer.notices import worst

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel
    from textual.timer import Timer

    from bntui.viewer.notices import Notices
    from bntui.viewer.screens.lab_recording import LoadedRecording
    from bntui.viewer.screens.lab_trainer import TrainerControl
    from bntui.viewer.terminal.line import PacedApp
    from bntui.viewer.view_state import ViewState


class NewsScreen(Protocol):
    """The part of the laboratory's screen that this module needs."""

    loaded: LoadedRecording
    trainer: TrainerControl
    notices: Notices
    view_state: ViewState

    @property
    def app(self) -> PacedApp[Any]: ...
    def set_timer(self, delay: float, callback: Callable[[], None]) -> Timer: ...
    def draw(self) -> None:
        """Draw now."""
        ...


class LabNews:
    """Brings commits to the screen, when a trainer reports them or the file has grown."""

    def __init__(self, lab: NewsScreen) -> None:
        self._lab = lab
        self._tempo = Tempo()
        self._greeted = False
        """The status with which the trainer greets was drawn."""
        self._timer: Timer | None = None
        """Calls :meth:`_update` at the earliest time of the next drawing."""

    def arrived(self) -> None:
        """Load and draw after a status from the trainer, now or as soon as the tempo allows."""
        wait = self._tempo.wait(monotonic())
        if not wait:
            self._update()
        elif self._timer is None:
            self._timer = self._lab.set_timer(wait, self._update)

    def look(self) -> None:
        """Check recordings that have no connection to what writes them: compared ones, and those of other loops."""
        before = self._lab.loaded.snapshot
        self._load(alone=True)
        if self._lab.loaded.snapshot is not before:
            self._lab.draw()
        if self._lab.loaded.watched:
            self._lab.loaded.reader.release()  # so that the loop can close its file

    def report_additions(self) -> None:
        """Take a snapshot of what was loaded, and report new runs and events."""
        lab = self._lab
        new = lab.loaded.look(lab.view_state.unit)
        for run in new.runs:
            if run.fork is not None:
                lab.trainer.happened(happening.Appeared(run.index, run.fork.run, run.fork.step, run.fork.epoch))
        lab.view_state = view_state.grown(lab.view_state, lab.loaded.snapshot.stops, lab.loaded.snapshot.histories)
        told: dict[str, list[tuple[str, SeverityLevel]]] = {}
        for run, event in new.events:
            if severity := traits(event.kind).severity:
                told.setdefault(run.called, []).append((event.text, severity))
        for name, said in told.items():
            lab.notices.say_with([text for text, _ in said], name, worst(severity for _, severity in said))
        for reason in new.failures:
            lab.notices.say_once(_("Seeds were not trained (B lists them): {reason}").format(reason=reason), "warning")

    def _update(self) -> None:
        self._timer = None
        lab, feed = self._lab, self._lab.trainer.feed
        if feed is None:  # the trainer that was started for a fork has already ended
            return
        began = monotonic()
        status, hung_up = feed.fetch()
        if status is not None:
            lab.trainer.happened(happening.Heard(status))
        before = lab.loaded.snapshot
        self._load(alone=hung_up)
        if hung_up:
            if feed.error is not None:
                lab.notices.error(str(feed.error))
            lab.trainer.happened(happening.HungUp())
        lab.draw()
        if live_states.over(lab.trainer.state):
            lab.loaded.reader.release()  # last, because reading opens the file again
        if self._greeted or lab.loaded.snapshot is not before:  # the first epoch does not wait for the greeting's sake
            self._tempo = self._tempo.drawn(began, monotonic(), slow=lab.app.sender.pending)
        self._greeted = True

    def _load(self, *, alone: bool) -> None:
        """Load what was committed.

        Args:
            alone: no trainer is connected that could report a renamed file.
        """
        loaded = self._lab.loaded
        try:
            if loaded.refresh():
                self.report_additions()
        except RecordingError as error:
            if alone or loaded.reader.path.exists():  # otherwise it was renamed, and the trainer reports the new path
                self._lab.notices.error(str(error))
