"""Holds the state of the laboratory and its trainer, and carries out the effects that ``live.py`` decides on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from textual.app import App

from bntui.errors import BntuiError, TrainerError
from bntui.link.requests import ForkRequest
from bntui.recording.recorded import moved_to, recorded
from bntui.scenario.pace import PacingOptions
from bntui.text import figures
from bntui.text.language import N_, _
from bntui.viewer import live, live_states, opening, view_state
from bntui.viewer.feed import Feed, TrainerLink
from bntui.viewer.live_events import (
    AddNote,
    Anew,
    Announce,
    Complain,
    Effect,
    Event,
    FollowFile,
    Lead,
    Leave,
    LeaveAfter,
    NoteWritten,
    NotStarted,
    SayOnce,
    Send,
    SendFailed,
    Start,
    Started,
    Unsay,
)  # fmt: skip

if TYPE_CHECKING:
    from pathlib import Path

    from textual.timer import Timer

    from bntui.link.client import IdleTrainer
    from bntui.viewer.notices import Notices
    from bntui.viewer.screens.lab_recording import LoadedRecording
    from bntui.viewer.snapshot import ViewedRecording
    from bntui.viewer.view_state import ViewState

MOVED: Final = N_("The recording was renamed: {path}")


class Laboratory(Protocol):
    """The part of the laboratory's screen that this module needs."""

    loaded: LoadedRecording
    notices: Notices
    view_state: ViewState

    @property
    def app(self) -> App[Any]: ...
    def set_timer(self, delay: float, callback: Callable[[], None]) -> Timer: ...
    def facts(self) -> live_states.Facts:
        """Facts about the recording for the state machine."""
        ...

    def adopt(self, reader: ViewedRecording) -> None:
        """Replace the recording by a newly opened one: the same file, or a copy of it."""
        ...

    def noted(self) -> None:
        """Load a note that was written, and show it."""
        ...

    def give_way(self, reader: ViewedRecording, trainer: TrainerLink | None) -> None:
        """Let another laboratory show this new recording."""
        ...

    def draw(self) -> None:
        """Draw now."""
        ...

    def redraw(self) -> None:
        """Schedule a drawing."""
        ...

    def action_end(self) -> None:
        """Move the cursor to the newest keyframe."""
        ...

    def open_form(self) -> None:
        """Open the form of a fork."""
        ...

    def leave(self, *, goes_on: bool = False, stoppable: bool = False) -> None:
        """End the program with a message that says how to return."""
        ...


class TrainerControl:
    """The state of a laboratory and its trainer, and the connection between them.

    Args:
        tell: called from another thread when the trainer has said something.
        watching: how trainers that are started here train.
    """

    def __init__(
        self, lab: Laboratory, trainer: TrainerLink | None, tell: Callable[[], object], watching: PacingOptions
    ) -> None:
        self.state = live_states.begun(trainer is not None)
        self.feed: Feed | None = None
        self._lab = lab
        self._tell = tell
        self._watching = watching
        self._link: TrainerLink | None = None
        self._starting: IdleTrainer | None = None
        self._connect(trainer)

    @property
    def connected(self) -> bool:
        """True if a trainer is connected."""
        return self._link is not None

    def start(self) -> None:
        """Start to listen to the trainer."""
        if self.feed is not None:
            self.feed.start()

    def close(self) -> None:
        """Close the connection; training continues."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def happened(self, event: Event) -> None:
        """Change the state according to an event, and carry out the effects."""
        self.state, effects = live.after(self.state, event, self._lab.facts())
        for effect in effects:
            if not self._carry_out(effect):
                break

    def _carry_out(self, effect: Effect) -> bool:
        match effect:
            case Send(command, arguments):
                try:
                    if self._link is None:
                        return False
                    self._link.send(command, **dict(arguments))
                except TrainerError as error:
                    self.happened(SendFailed(str(error)))
                    return False
            case Start(fork, seeds):
                self._start(fork, seeds)
            case Anew(seed):
                self._train_anew(seed)
            case "train anew":
                self._train_anew()
            case AddNote(note):
                self._add_note(note)
            case "hang up":
                self.close()
            case "discard":
                if self._starting is not None:
                    self._starting.discard()
            case _:
                self._show(effect)
        return True

    def _show(self, effect: Effect) -> None:
        """Carry out an effect that does not involve the connection."""
        lab, loaded, notices = self._lab, self._lab.loaded, self._lab.notices
        match effect:
            case Complain(text, title):
                notices.error(text, title)
            case SayOnce(text):
                notices.say_once(text)
            case Unsay(text):
                notices.unsay(text)
            case "clear notices":
                lab.app.clear_notifications()  # they are outdated
            case Announce(run, epoch):
                sentence = _("a new run begins at epoch {epoch}").format(epoch=figures.epoch(epoch))
                begun = loaded.reader.runs[run]
                notices.say(sentence, begun.called)
            case Lead(run, parent):
                lab.view_state = view_state.lead(lab.view_state, run, parent)
            case "follow head":
                lab.action_end()  # a user who asks for a step wants to see it
            case FollowFile(path):
                if moved_to(loaded.reader, path):
                    notices.say(_(MOVED).format(path=path))
            case "release":
                loaded.reader.release()
            case "close reader":
                lab.draw()  # for the last time
                loaded.close()
            case "redraw":
                lab.redraw()
            case "open form":
                lab.open_form()
            case Leave(goes_on, stoppable):
                lab.leave(goes_on=goes_on, stoppable=stoppable)
            case LeaveAfter(seconds):
                lab.set_timer(seconds, lab.leave)

    def _connect(self, trainer: TrainerLink | None) -> None:
        self.close()
        self._link = trainer
        self.feed = Feed(trainer, self._tell) if trainer is not None else None

    def _start(self, fork: ForkRequest | None, seeds: int | None) -> None:
        from bntui.link.client import IdleTrainer

        path = self._lab.loaded.reader.path

        def start() -> tuple[ViewedRecording, TrainerLink | None]:
            here = _own(path)
            self._starting = IdleTrainer.start()
            arguments = None if fork is None else fork.arguments()
            return opening.open_recording(
                self._starting.resume(here, fork=arguments, watching=self._watching, seeds=seeds)
            )

        opening.in_background(self._lab.app, start, self._started, self._not_started)

    def _add_note(self, note: NoteWritten) -> None:
        from bntui.link.notes import add_note

        path, lab = self._lab.loaded.reader.path, self._lab
        lab.loaded.reader.release()

        def write() -> ViewedRecording | None:
            here = _own(path)
            add_note(here, note.run, note.step, note.text)
            return None if here == path else recorded(here)

        def written(copy: ViewedRecording | None) -> None:
            if lab.loaded.closed:  # the screen was left meanwhile
                if copy is not None:
                    copy.close()
                return
            if copy is not None:
                lab.adopt(copy)
            lab.noted()

        opening.in_background(lab.app, write, written, lambda error: lab.notices.error(str(error), _("Not noted")))

    def _train_anew(self, seed: int | None = None) -> None:
        from bntui.link.client import IdleTrainer
        from bntui.recording.origin import scenario_origin

        path, meta = self._lab.loaded.reader.path, self._lab.loaded.reader.meta

        def start() -> tuple[ViewedRecording, TrainerLink | None]:
            origin = scenario_origin(path, meta)
            other = () if seed is None else (("seed", seed),)
            self._starting = IdleTrainer.start()
            return opening.open_recording(
                self._starting.open(
                    origin.path or path.with_suffix(""),
                    None,
                    (*origin.overrides, *other),
                    text=origin.text,
                    watching=self._watching,
                    seeds=None if seed is None else 1,
                )
            )

        opening.in_background(self._lab.app, start, self._renewed, self._not_started)

    def _renewed(self, found: tuple[ViewedRecording, TrainerLink | None]) -> None:
        self._starting = None
        if isinstance(self.state, live_states.Renewing):
            self._lab.give_way(*found)
        else:
            opening.drop(found)

    def _started(self, found: tuple[ViewedRecording, TrainerLink | None]) -> None:
        self._starting = None
        if not isinstance(self.state, live_states.Starting):
            opening.drop(found)
            return
        reader, trainer = found
        self._connect(trainer)
        self.start()
        self._lab.adopt(reader)
        self.happened(Started(trainer is not None))

    def _not_started(self, error: BntuiError) -> None:
        self._starting = None
        self.happened(NotStarted(str(error)))


def _own(path: Path) -> Path:
    """The path of the recording, or of a new copy if it is not writable."""
    from bntui.recording.copy import copied, writable

    return path if writable(path) else copied(path)
