"""Holds the laboratory's connection to its trainer, and carries out what ``live.py`` decides about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from textual.app import App

from bntui.errors import BntuiError, TrainerError
from bntui.link import INTERACTIVE_PACE
from bntui.link.requests import ForkRequest
from bntui.viewer import live, opening
from bntui.viewer.feed import Feed, TrainerLink
from bntui.viewer.live_events import Effect, Event, NotStarted, Send, SendFailed, Start, Started

if TYPE_CHECKING:
    from pathlib import Path

    from bntui.link.client import IdleTrainer
    from bntui.viewer.view_state import Recording


class Laboratory(Protocol):
    """The screen, as far as the trainer has to do with it."""

    reader: Recording

    @property
    def app(self) -> App[Any]: ...
    def facts(self) -> live.Facts:
        """What transitions depend on."""
        ...

    def carry_out(self, effect: Effect) -> None:
        """Do what has nothing to do with the connection."""
        ...

    def adopt(self, reader: Recording) -> None:
        """Show this recording instead: the same one opened again, or a copy of it."""
        ...


class TrainerControl:
    """The state of a laboratory and its trainer, and the connection between them.

    Args:
        tell: called from another thread when the trainer has said something.
    """

    def __init__(self, lab: Laboratory, trainer: TrainerLink | None, tell: Callable[[], object]) -> None:
        self.state = live.begun(trainer is not None)
        self.feed: Feed | None = None
        self._lab = lab
        self._tell = tell
        self._link: TrainerLink | None = None
        self._starting: IdleTrainer | None = None
        self._connect(trainer)

    @property
    def connected(self) -> bool:
        """A trainer hears what is said."""
        return self._link is not None

    def start(self) -> None:
        """Listen to the trainer."""
        if self.feed is not None:
            self.feed.start()

    def close(self) -> None:
        """Hang up; training goes on."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def happened(self, event: Event) -> None:
        """Something happened: the state changes, and what follows from it is carried out."""
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
            case Start(fork):
                self._start(fork)
            case "hang up":
                self.close()
            case "discard":
                if self._starting is not None:
                    self._starting.discard()
            case _:
                self._lab.carry_out(effect)
        return True

    def _connect(self, trainer: TrainerLink | None) -> None:
        self.close()
        self._link = trainer
        self.feed = Feed(trainer, self._tell) if trainer is not None else None

    def _start(self, fork: ForkRequest | None) -> None:
        from bntui.link.client import IdleTrainer

        path = self._lab.reader.path

        def start() -> tuple[Recording, TrainerLink | None]:
            here = _own(path)
            self._starting = IdleTrainer.start()
            arguments = None if fork is None else fork.arguments()
            return opening.open_recording(
                self._starting.resume(here, fork=arguments, start=True, pace=INTERACTIVE_PACE)
            )

        opening.in_background(self._lab.app, start, self._started, self._not_started)

    def _started(self, found: tuple[Recording, TrainerLink | None]) -> None:
        self._starting = None
        if not isinstance(self.state, live.Starting):
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
    """The recording, or a copy of it where it cannot be written on."""
    from bntui.recording.copy import copied, writable

    return path if writable(path) else copied(path)
