"""Defines how viewer and trainer communicate: one JSON object per line, over a Unix socket.

The viewer sends commands; the trainer sends its status after every change of state, and about 20 times a second while
it commits keyframes.  Measurements are
never sent: they are read from the recording.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from bntui.link import wire
from bntui.link.numbers import finite, natural, pace
from bntui.link.wire import FrameError
from bntui.text.language import _

Command = Literal["epoch", "step", "run", "pause", "pace", "fork", "note", "seeds", "stop"]
"""``epoch`` and ``step`` train one more epoch or mini-batch of every run and pause; ``pace`` has the argument
``epochs_per_second`` (null: unthrottled); ``fork`` has ``run`` (its number), ``step`` (of one of its keyframes), and
``changes`` (pairs of key path and value), and while all are paused it trains the fork alone, to where its parent
stands; ``seeds`` has their number, and trains every run with that many, its own included; ``stop`` saves everything and
ends after the current step.  Accepted commands are kept in the recording until they are done."""

State = Literal["paused", "running", "finished", "stopped", "failed"]

PACES: Final[tuple[float | None, ...]] = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, None)
"""Paces in epochs per second that + and − step through; None is unthrottled."""


OVER: Final[tuple[State, ...]] = ("finished", "stopped", "failed")
"""States after which a trainer no longer records."""

LONGEST_MESSAGE: Final = 20_000
"""Maximum length of a status text in characters."""

WORDS: Final = ("message", "refusal", "recording", "owner")
"""Text fields of a status."""


class TurnedAwayError(FrameError):
    """The trainer refused this client; the message gives the reason."""

    def line(self) -> bytes:
        """As a frame."""
        return json.dumps({"turned_away": _printable(str(self))}).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Status:
    """The trainer's state: the only thing on the screen that is not in the recording."""

    state: State
    pace: float | None
    """Requested epochs per second; None is unthrottled."""
    rate: float
    """Measured epochs per second of all runs together, over about the last second; 0 when paused."""
    keyframes: int
    """Keyframes committed so far, over all runs."""
    message: str = ""
    """The error, if the state is ``failed``; otherwise what happened to a worker process, and training continues."""
    refusal: str = ""
    """Why the last refused request was refused; empty if none was."""
    refused: int = 0
    """Value of ``commands`` at that refusal; only if it grew since a client's request does it concern that request."""
    commands: int = 0
    """Commands accepted from all clients since the trainer started; each is kept in the recording until it is done."""
    clients: int = 0
    """Number of open connections, including the receiver's."""
    recording: str = ""
    """Current path of the recording, which may be renamed during training."""
    owner: str = ""
    """Name of the process that started the training, see ``client.ME``; quitting stops the training only there."""
    seeds: int = 0
    """Trainings of runs with other seeds that have not ended."""

    def line(self) -> bytes:
        """As a frame."""
        words = {name: _printable(getattr(self, name)) for name in WORDS}
        return json.dumps(asdict(self) | words).encode() + b"\n"

    @staticmethod
    def parse(line: bytes) -> Status:
        """Parse a status; ignores fields added by a newer trainer, uses defaults for those missing in an older one.

        Raises:
            TurnedAwayError: the frame is a refusal instead.
            FrameError: the frame is not a status.
        """
        told = wire.parse(line)
        if isinstance(told.get("turned_away"), str):
            raise TurnedAwayError(told["turned_away"])
        try:
            state, words = told["state"], [told.get(name, "") for name in WORDS]
            if state not in get_args(State) or not all(isinstance(word, str) for word in words):
                raise FrameError(_("a frame is not a status"))
            message, refusal, recording, owner = words
            return Status(
                state,
                pace(told["pace"]),
                finite("rate", told["rate"]),
                natural("keyframes", told["keyframes"]),
                message,
                refusal,
                **{name: natural(name, told.get(name, 0)) for name in ("refused", "commands", "clients", "seeds")},
                recording=recording,
                owner=owner,
            )
        except (LookupError, TypeError) as error:
            raise FrameError(_("a frame is not a status")) from error


def _printable(words: str) -> str:
    return wire.UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", words[:LONGEST_MESSAGE])


def command_line(command: Command, **arguments: Any) -> bytes:
    """A command as a frame."""
    return json.dumps({"command": command, **arguments}).encode() + b"\n"
