"""What is said to a trainer, and heard of it: the half of the laboratory's screen that commands."""

from __future__ import annotations

import shlex
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType

from bntui.errors import RecordingError, TrainerError
from bntui.link import OVER, PACES, Command, Status
from bntui.link.client import ME
from bntui.recording.recorded import moved_to
from bntui.text.language import N_, _
from bntui.text.output import clean
from bntui.viewer import chrome, view_state
from bntui.viewer.feed import TrainerLink
from bntui.viewer.screens.lab_waking import TrainerScreen

if TYPE_CHECKING:
    from textual.timer import Timer

FRAME: Final = 1 / 15
"""Seconds between two redraws for the trainer's news."""
SLOW_FRAME: Final = 0.2
"""The same where the line to the terminal has not carried the last one yet."""
LAST_WORDS: Final = 3.0
"""Seconds that quitting waits for the trainer to save; it saves without being waited for, too."""
NO_TRAINER: Final = N_("This recording has no live trainer: f forks a run.")
RESUMES: Final = N_("This recording has no live trainer: space goes on where it was interrupted, f forks a run.")
ONLY_LOOKING: Final = N_("Comparing is for looking: bntui replay FILE opens one recording, and f forks its runs there.")
IS_OVER: Final = N_("Training is over: all is recorded.")
GONE: Final = N_("The trainer ended unexpectedly; what it recorded is saved. Space goes on from there.")
GOES_ON: Final = N_("Training goes on. Come back with: {command}")
STOPS_WITH: Final = N_("Stop it with: {command}")
MOVED: Final = N_("The recording was renamed: {path}")
ONE_AT_A_TIME: Final = N_("A fork is on its way: one at a time.")


class LiveScreen(TrainerScreen):
    """A recording and its trainer; what is drawn of them, and where one looks, is another class's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "run", N_("Run or pause")),
        Binding("n", "train('epoch')", N_("Train one more epoch")),
        Binding("s", "train('step')", N_("Train one more mini-batch")),
        Binding("plus,equals_sign", "pace(1)", N_("Faster")),
        Binding("minus", "pace(-1)", N_("Slower")),
        Binding("f", "fork", N_("Fork: a new run from this keyframe")),
        Binding("d", "detach", N_("Detach: training goes on")),
        Binding("q", "app.quit", N_("Quit; stops the training that was started here")),
    ]

    def __init__(self, reader: view_state.Recording, trainer: TrainerLink | None) -> None:
        super().__init__(reader, trainer)
        self._redraw_timer: Timer | None = None
        self._earliest = 0.0
        self._commands = self._paced_at = 0
        """Commands that the trainer will have taken in with the last one, and with the last pace, sent from here."""

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

    @on(TrainerScreen.News)
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
            if self._feed.error is not None:
                self._complain(self._feed.error)
            self._hung_up()
        self._load()
        if closed and self._waking is None and self._asked is not None:
            self._asked_too_late()
        self._draw()
        if self.status is not None and self.status.state in OVER:
            self._reader.release()  # the trainer folds the journal in, once nobody holds the file
        # drawing never takes more than half of the time: keys come first
        self._earliest = began + max(SLOW_FRAME if self.app.sender.pending else FRAME, 2 * (monotonic() - began))

    def _heard(self, status: Status) -> None:
        first = self.status is None
        if status.commands < self._paced_at:  # it was said before the trainer heard the last "faster"
            status = replace(status, pace=self._pace)
        self.status, self._pace = status, status.pace
        if moved_to(self._reader, status.recording):
            self.notify(clean(_(MOVED).format(path=status.recording)), markup=False)
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
            if (
                self._trainer is None or self._reader.path.exists()
            ):  # else it is being renamed: the trainer says to what
                self._complain(error)

    def _hung_up(self) -> None:
        if self._trainer is not None:
            self._trainer.close()
            self._trainer = None
        self._commands = self._paced_at = 0  # the next trainer counts from the beginning
        self.gone = self.status is None or self.status.state in ("running", "paused")
        if self._leaving:
            self._leave()

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
        self._commands = max(self._commands, 0 if self.status is None else self.status.commands) + 1
        self.app.clear_notifications()  # what they say is of before
        return True

    def _why_not(self) -> str:
        """Why there is nobody to command."""
        if self.gone:
            return _(GONE)
        if view_state.compared(self._reader):
            return _(ONLY_LOOKING)
        if self.unfinished:
            return _(RESUMES)
        return _(IS_OVER) if self.status is not None and self.status.state in OVER else _(NO_TRAINER)

    def action_run(self) -> None:
        if self._trainer is None and self.unfinished:
            self._resume()
        else:
            self._command("pause" if self.training else "run")

    def action_train(self, command: Command) -> None:
        if self._command(command):
            self.follow_head()  # who asks for a step wants to see it

    def action_pace(self, by: int) -> None:
        at = PACES.index(self._pace) if self._pace in PACES else len(PACES) - 1
        pace = PACES[min(max(at + by, 0), len(PACES) - 1)]
        if self._command("pace", epochs_per_second=pace):
            self._pace, self._paced_at = pace, self._commands
            if self.status is not None:
                self.status = replace(self.status, pace=pace)  # seen at once; the trainer says the same soon
                self.redraw()

    # --- forks ---

    def action_fork(self) -> None:
        if view_state.compared(self._reader):
            self._say_once(_(ONLY_LOOKING))
        elif self._asked is not None:
            self._say_once(_(ONE_AT_A_TIME))
        elif (found := self.fork_origin()) is not None:
            from bntui.viewer.screens.fork import ForkScreen  # with the scenario's schema, when it is asked for

            self.app.clear_notifications()
            self.app.push_screen(ForkScreen(*found), self._fork)

    # --- leaving ---

    def action_detach(self) -> None:
        if self._trainer is None and self._waking is None:
            self._say_once(self._why_not() + " " + _("q quits."))
        else:
            self._say_and_exit(_(GOES_ON).format(command=self._come_back()))

    def interrupted(self) -> None:
        """Ctrl+c copies or interrupts elsewhere: say what ends this screen."""
        if self._trainer is None:
            self._say_once(_("q quits."))
        else:
            stops = _("d detaches, q stops and quits.")
            self._say_once(stops if self._stops_with_us() else _("q leaves; training goes on."))

    def _stops_with_us(self) -> bool:
        """Training ends with this screen: it was started here, and nobody else is looking."""
        return self.status is not None and self.status.owner == ME and self.status.clients <= 1

    def quit(self) -> None:
        """End the program, and a training that was started here: everything is saved.

        Another's training goes on, and one that others look at.  Asked twice, it does not wait for the trainer.
        """
        if self._waking is not None:
            self._waking.discard()
        if self._trainer is None or self._leaving:
            self._leave()
        elif not self._stops_with_us() and not (self.status is not None and self.status.state in OVER):
            goes_on = _(GOES_ON).format(command=self._come_back())
            self._say_and_exit(goes_on, _(STOPS_WITH).format(command=self._with_file("bntui stop")))
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
        said = [_("Recorded. Look again with: {command}").format(command=view_state.again(self._reader))]
        if self.unfinished and not (self.status is not None and self.status.state == "finished"):
            said.append(_("Go on with: {command}").format(command=self._with_file("bntui resume")))
        self._say_and_exit(*said)

    def _come_back(self) -> str:
        return self._with_file("bntui attach")

    def _with_file(self, command: str) -> str:
        return f"{command} {shlex.quote(str(self._reader.path))}"

    def _say_and_exit(self, *sentences: str) -> None:
        self.app.exit(message=Text("\n".join(map(clean, sentences)), no_wrap=True, overflow="ignore"))
