"""Who trains a recording, and who is started for it: for a fork, or to go on with what was interrupted.

A recording without a live trainer gets one when it is needed; one that cannot be written is copied first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from bntui.errors import BntuiError
from bntui.link import INTERACTIVE_PACE, OVER, Command, Status
from bntui.text.language import _
from bntui.text.output import clean
from bntui.viewer import view_state
from bntui.viewer.feed import Feed, TrainerLink
from bntui.viewer.palette import SpokenScreen

if TYPE_CHECKING:
    from pathlib import Path

    from bntui.link.client import IdleTrainer
    from bntui.viewer.app import LabApp
    from bntui.viewer.fork.form import Origin
    from bntui.viewer.screens.fork import ForkRequest


class TrainerScreen(SpokenScreen[None]):
    """A recording and its trainer, or one that is being started; what is said to it is another class's."""

    app: LabApp

    class News(Message):
        """The trainer said something."""

    def __init__(self, reader: view_state.Recording, trainer: TrainerLink | None) -> None:
        super().__init__()
        self.status: Status | None = None
        self.gone = False
        self._reader = reader
        self._trainer: TrainerLink | None = None
        self._feed: Feed | None = None
        self._pace: float | None = None
        self._asked: ForkRequest | None = None
        """A fork that has not appeared yet."""
        self._resuming = False
        self._waking: IdleTrainer | None = None
        """A trainer that is being started for one of them."""
        self._refused_at = self._asked_at = 0
        """Commands that the trainer had taken in when it refused last, and when the fork was asked for."""
        self._complaints: set[str] = set()
        self._leaving = False
        self._closed_reader = False
        self._take_on(trainer)

    # --- what the other half does ---

    def redraw(self) -> None:
        """Draw once, soon."""
        raise NotImplementedError

    def _draw(self) -> None:
        raise NotImplementedError

    def taken_in(self) -> None:
        """The reader has loaded more, or is another one."""
        raise NotImplementedError

    def fork_origin(self) -> tuple[Origin, str] | None:
        """The keyframe under the cursor, and its run's name with the mark; None where there is none."""
        raise NotImplementedError

    def follow_head(self) -> None:
        """Look at the newest keyframe."""
        raise NotImplementedError

    @property
    def unfinished(self) -> bool:
        """A trainer could go on with a run."""
        raise NotImplementedError

    def _command(self, command: Command, **arguments: object) -> bool:
        raise NotImplementedError

    # --- notices ---

    def _complain(self, error: Exception) -> None:
        text = clean(str(error))
        if text not in self._complaints:
            self._complaints.add(text)
            self.notify(text, severity="error", timeout=15, markup=False)

    def _say_once(self, sentence: str) -> None:
        """A notice, unless the same one is still on the screen: boxes must not pile up."""
        if not any(notice.message == sentence for notice in self.app._notifications):
            self.notify(sentence, markup=False)

    def _unsay(self, sentence: str) -> None:
        """Take a notice away that is true no more."""
        for notice in list(self.app._notifications):
            if notice.message == sentence:
                self.app._unnotify(notice)

    # --- a trainer for it ---

    def _take_on(self, trainer: TrainerLink | None) -> None:
        self._trainer = trainer
        self._feed = Feed(trainer, lambda: self.post_message(self.News())) if trainer is not None else None

    def _resume(self) -> None:
        """Go on with what was interrupted, through a trainer that is started for it."""
        if not self._resuming and self._asked is None:
            self._resuming = True
            self.app.clear_notifications()  # they say why nothing is trained
            self._wake(None)
            self.redraw()

    def _fork(self, request: ForkRequest | None) -> None:
        """Through the live trainer, or one that is started for it."""
        if request is None:
            return
        self.app.clear_notifications()
        self._asked = request
        self._asked_at = 0 if self.status is None else self.status.commands
        over = self.status is not None and self.status.state in OVER
        if self._trainer is None or over or not self._command("fork", **request.arguments()):
            self._wake(request)
        self.redraw()

    def _asked_too_late(self) -> None:
        """The trainer was about to end when a fork was asked for: another one makes it, unless it was taken in."""
        if self.status is None or self.status.commands <= self._asked_at:
            assert self._asked is not None
            self._wake(self._asked)
        else:
            self._asked = None

    def _wake(self, request: ForkRequest | None) -> None:
        """Start a trainer on this recording, or on a copy of it, that begins with the fork or goes on."""
        from bntui.link.client import IdleTrainer
        from bntui.viewer import app as apps

        path = self._reader.path

        def wake() -> tuple[view_state.Recording, TrainerLink | None]:
            here = _own(path)
            self._waking = IdleTrainer.start()
            fork = None if request is None else request.arguments()
            recording = self._waking.resume(here, fork=fork, start=True, pace=INTERACTIVE_PACE)
            return apps.open_recording(recording)

        self._reader.release()
        self.app.in_background(wake, self._woken, self._refused)

    def _woken(self, found: tuple[view_state.Recording, TrainerLink | None]) -> None:
        self._waking = None
        reader, trainer = found
        if self._leaving:
            reader.close()
            if trainer is not None:
                trainer.close()
            return
        self.app.clear_notifications()
        if reader.path.resolve() != self._reader.path.resolve():
            sentence = _("{path} cannot be written on: training goes on in a copy, {copy}")
            self.notify(clean(sentence.format(path=self._reader.path, copy=reader.path)), timeout=15, markup=False)
        self._reader.close()
        self._reader = reader
        self.status, self.gone = None, False
        self._refused_at = 0
        self._take_on(trainer)
        if self._feed is not None:
            self._feed.start()
        self.taken_in()
        self._asked, self._resuming = None, False
        self.redraw()

    def _refused(self, error: BntuiError) -> None:
        """A fork or resume that cannot be: said each time."""
        title = _("Not resumed") if self._resuming else _("No fork")
        self._asked = self._waking = None
        self._resuming = False
        self.notify(clean(str(error)), title=title, severity="error", timeout=15, markup=False)
        self.redraw()


def _own(path: Path) -> Path:
    """The recording, or a copy of it where it cannot be written on."""
    from bntui.recording.copy import copied, writable

    return path if writable(path) else copied(path)
