"""What is said to a trainer, and heard of it: the half of the laboratory's screen that commands.

A recording without a live trainer gets one when a fork is asked for; one that cannot be written is copied first.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message

from bntui.errors import BntuiError, RecordingError, TrainerError
from bntui.language import N_, _
from bntui.link import INTERACTIVE_PACE, OVER, PACES, Command, Status
from bntui.text import clean
from bntui.viewer import chrome, session
from bntui.viewer.feed import Feed, TrainerLink
from bntui.viewer.palette import SpokenScreen

if TYPE_CHECKING:
    from pathlib import Path

    from textual.timer import Timer

    from bntui.viewer.app import LabApp
    from bntui.viewer.client import IdleTrainer
    from bntui.viewer.fork_form import Origin
    from bntui.viewer.screens.fork import ForkRequest

FRAME: Final = 1 / 15
"""Seconds between two redraws for the trainer's news: the terminal's queue must not fill up."""
LAST_WORDS: Final = 3.0
"""Seconds that quitting waits for the trainer to save; it saves without being waited for, too."""
NO_TRAINER: Final = N_("This recording has no live trainer: f forks a run.")
RESUMES: Final = N_("This recording has no live trainer: space goes on where it was interrupted, f forks a run.")
ONLY_LOOKING: Final = N_("Comparing is for looking: bntui attach FILE commands a trainer.")
IS_OVER: Final = N_("Training is over: all is recorded.")
GONE: Final = N_("The trainer ended unexpectedly; what it recorded is saved. Space goes on from there.")
GOES_ON: Final = N_("Training goes on. Come back with: {command}")
ONE_AT_A_TIME: Final = N_("A fork is on its way: one at a time.")


class LiveScreen(SpokenScreen[None]):
    """A recording and its trainer; what is drawn of them, and where one looks, is another class's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "run", N_("Run or pause")),
        Binding("n", "train('epoch')", N_("Train one more epoch")),
        Binding("s", "train('step')", N_("Train one more mini-batch")),
        Binding("plus,equals_sign", "pace(1)", N_("Faster")),
        Binding("minus", "pace(-1)", N_("Slower")),
        Binding("f", "fork", N_("Fork: a new run from this keyframe")),
        Binding("d", "detach", N_("Detach: training goes on")),
        Binding("q", "app.quit", N_("Stop training and quit")),
    ]
    app: LabApp

    class News(Message):
        """The trainer said something."""

    def __init__(self, reader: session.Recording, trainer: TrainerLink | None) -> None:
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
        self._redraw_timer: Timer | None = None
        self._earliest = 0.0
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

    # --- the trainer's news ---

    def on_mount(self) -> None:
        if self._feed is not None:
            self._feed.start()

    def on_unmount(self) -> None:
        self._leaving = True
        if self._trainer is not None:
            self._trainer.close()
        self._reader.close()

    @property
    def training(self) -> bool:
        """The trainer is running."""
        return self.status is not None and self.status.state == "running"

    def _take_on(self, trainer: TrainerLink | None) -> None:
        self._trainer = trainer
        self._feed = Feed(trainer, lambda: self.post_message(self.News())) if trainer is not None else None

    def state_words(self) -> tuple[str, str]:
        """The trainer's state and its style."""
        if self._leaving:
            return _("⊘ stopping …"), "warn"
        if self._asked is not None:
            return _("◌ forking …"), "warn"
        if self._resuming:
            return _("◌ resuming …"), "warn"
        live = self._trainer is not None
        return chrome.state_text(self.status, self.gone, live=live, unfinished=self.unfinished)

    @on(News)
    def _news(self) -> None:
        wait = self._earliest - monotonic()
        if wait <= 0:
            self._update()
        elif self._redraw_timer is None:
            self._redraw_timer = self.set_timer(wait, self._update)

    def _update(self) -> None:
        self._redraw_timer = None
        if self._feed is None:  # the trainer that was started for a fork has ended already
            return
        began = monotonic()
        status, closed = self._feed.take()
        if status is not None:
            self._heard(status)
        if closed:
            self._hung_up()
        self._load()
        if closed and self._waking is None and self._asked is not None:
            self._asked_too_late()
        self._draw()
        if self.status is not None and self.status.state in OVER:
            self._reader.release()  # the trainer folds the journal in, once nobody holds the file
        # drawing never takes more than half of the time: keys come first
        self._earliest = began + max(FRAME, 2 * (monotonic() - began))

    def _heard(self, status: Status) -> None:
        first, self.status, self._pace = self.status is None, status, status.pace
        if status.state == "failed" and status.message:
            self._complain(TrainerError(status.message))
        if status.refused != self._refused_at:
            self._refused_at = status.refused
            if not first:  # at first it is one that somebody heard before
                self._refused(TrainerError(status.refusal))

    def _load(self) -> None:
        """Take in what was committed."""
        if self._closed_reader:
            return
        try:
            if self._reader.refresh():
                self.taken_in()
        except RecordingError as error:
            self._complain(error)

    def _hung_up(self) -> None:
        if self._trainer is not None:
            self._trainer.close()
            self._trainer = None
        self.gone = self.status is None or self.status.state in ("running", "paused")
        if self._leaving:
            self._leave()

    def _complain(self, error: Exception) -> None:
        text = clean(str(error))
        if text not in self._complaints:
            self._complaints.add(text)
            self.notify(text, severity="error", timeout=15, markup=False)

    # --- commands to the trainer ---

    def _command(self, command: Command, **arguments: object) -> bool:
        if self._trainer is None:
            self._say_once(self._why_not())
            return False
        try:
            self._trainer.send(command, **arguments)
        except TrainerError as error:
            self._hung_up()
            self._complain(error)
            self.redraw()
            return False
        return True

    def _why_not(self) -> str:
        """Why there is nobody to command."""
        if self.gone:
            return _(GONE)
        if session.compared(self._reader):
            return _(ONLY_LOOKING)
        if self.unfinished:
            return _(RESUMES)
        return _(IS_OVER) if self.status is not None and self.status.state in OVER else _(NO_TRAINER)

    def _say_once(self, sentence: str) -> None:
        """A notice, unless the same one is still on the screen: boxes must not pile up."""
        if not any(notice.message == sentence for notice in self.app._notifications):
            self.notify(sentence, markup=False)

    def action_run(self) -> None:
        if self._trainer is None and self.unfinished:
            self._resume()
        else:
            self._command("pause" if self.training else "run")

    def _resume(self) -> None:
        """Go on with what was interrupted, through a trainer that is started for it."""
        if not self._resuming and self._asked is None:
            self._resuming = True
            self._wake(None)
            self.redraw()

    def action_train(self, command: Command) -> None:
        if self._command(command):
            self.follow_head()  # who asks for a step wants to see it

    def action_pace(self, by: int) -> None:
        at = PACES.index(self._pace) if self._pace in PACES else len(PACES) - 1
        pace = PACES[min(max(at + by, 0), len(PACES) - 1)]
        if self._command("pace", epochs_per_second=pace):
            self._pace = pace
            if self.status is not None:
                self.status = replace(self.status, pace=pace)  # seen at once; the trainer says the same soon
                self.redraw()

    # --- forks ---

    def action_fork(self) -> None:
        if session.compared(self._reader):
            self._say_once(_(ONLY_LOOKING))
        elif self._asked is not None:
            self._say_once(_(ONE_AT_A_TIME))
        elif (found := self.fork_origin()) is not None:
            from bntui.viewer.screens.fork import ForkScreen  # with the scenario's schema, when it is asked for

            self.app.push_screen(ForkScreen(*found), self._fork)

    def _fork(self, request: ForkRequest | None) -> None:
        """Through the live trainer, or one that is started for it."""
        if request is None:
            return
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
        from bntui.viewer import app as apps
        from bntui.viewer.client import IdleTrainer

        path = self._reader.path

        def wake() -> tuple[session.Recording, TrainerLink | None]:
            here = _own(path)
            self._waking = IdleTrainer.start()
            fork = None if request is None else request.arguments()
            recording = self._waking.resume(here, fork=fork, start=True, pace=INTERACTIVE_PACE)
            return apps.open_recording(recording)

        self._reader.release()
        self.app.in_background(wake, self._woken, self._refused)

    def _woken(self, found: tuple[session.Recording, TrainerLink | None]) -> None:
        self._waking = None
        reader, trainer = found
        if self._leaving:
            reader.close()
            if trainer is not None:
                trainer.close()
            return
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

    # --- leaving ---

    def action_detach(self) -> None:
        if self._trainer is None and self._waking is None:
            self._say_once(self._why_not() + " " + _("q quits."))
        else:
            self._say_and_exit(_(GOES_ON).format(command=self._come_back()))

    def interrupted(self) -> None:
        """Ctrl+c copies or interrupts elsewhere: say what ends this screen."""
        self._say_once(_("d detaches, q stops and quits.") if self._trainer is not None else _("q quits."))

    def quit(self) -> None:
        """Stop the trainer, everything saved, and end the program; asked twice, without waiting for it."""
        if self._waking is not None:
            self._waking.discard()
        if self._trainer is None or self._leaving:
            self._leave()
        elif self._command("stop"):
            self._leaving = True
            self._draw()
            # a reader in the way of the trainer's last checkpoint would leave the recording in several files
            self._reader.close()
            self._closed_reader = True
            self.set_timer(LAST_WORDS, self._leave)
        else:
            self._leave()

    def _leave(self) -> None:
        self._say_and_exit(_("Recorded. Look again with: {command}").format(command=session.again(self._reader)))

    def _come_back(self) -> str:
        return f"bntui attach {shlex.quote(str(self._reader.path))}"

    def _say_and_exit(self, sentence: str) -> None:
        self.app.exit(message=Text(clean(sentence), no_wrap=True, overflow="ignore"))


def _own(path: Path) -> Path:
    """The recording, or a copy of it where it cannot be written on."""
    from bntui.recording.copy import copied, writable

    return path if writable(path) else copied(path)
