"""How viewer and trainer talk: one JSON object a line, over a Unix socket.

The viewer sends commands, the trainer answers every commit and every change of state with its status.  What was
measured never travels here: it is read from the recording.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from bntui.link import wire
from bntui.link.requests import finite, natural, pace
from bntui.link.wire import FrameError
from bntui.text.language import _

Command = Literal["epoch", "step", "run", "pause", "pace", "fork", "stop"]
"""``epoch`` and ``step`` train one more epoch or mini-batch of every run and pause; ``pace`` carries
``epochs_per_second`` (null: unthrottled); ``fork`` carries ``run`` (its number), ``step`` (of one of its keyframes) and
``changes`` (pairs of key path and value), and trains on; ``stop`` ends after the step under way, everything saved.
What was taken in is kept in the recording until it is done."""

State = Literal["paused", "running", "finished", "stopped", "failed"]

PACES: Final[tuple[float | None, ...]] = (1, 2, 5, 10, 20, 50, 100, None)
"""Epochs a second that + and − walk through; None is unthrottled."""


OVER: Final[tuple[State, ...]] = ("finished", "stopped", "failed")
"""States after which a trainer records nothing more."""

LONGEST_MESSAGE: Final = 20_000
"""Characters of a status' sentences."""

WORDS: Final = ("message", "refusal", "recording", "owner")
"""Fields of a status that are texts."""

INTERACTIVE_PACE: Final = 10.0
"""Epochs a second at which the screen starts: fast enough to see a network learn, slow enough to watch."""


class TurnedAwayError(FrameError):
    """The trainer does not serve this client; the message says why."""

    def line(self) -> bytes:
        """As a frame."""
        return json.dumps({"turned_away": _printable(str(self))}).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Status:
    """The trainer's own state: the one thing on the screen that is not in the recording."""

    state: State
    pace: float | None
    """Asked-for epochs a second; None is unthrottled."""
    rate: float
    """Measured epochs a second of all runs together, over the last second or so; 0 when paused."""
    keyframes: int
    """Keyframes committed so far, all runs."""
    message: str = ""
    """What went wrong, when the state is ``failed``."""
    refusal: str = ""
    """Why the last request that was refused cannot be fulfilled; empty if none was."""
    refused: int = 0
    """Number of commands taken in when that was refused: greater than when one asked, or it is an older refusal."""
    commands: int = 0
    """Commands taken in since the trainer began, of all clients: each is kept in the recording until it is done."""
    clients: int = 0
    """Open connections, that of the reader included."""
    recording: str = ""
    """Path of the recording now: it may be renamed while it is trained."""
    owner: str = ""
    """Name of the process that started the training, see ``client.ME``: only there does quitting stop it."""

    def line(self) -> bytes:
        """As a frame."""
        words = {name: _printable(getattr(self, name)) for name in WORDS}
        return json.dumps(asdict(self) | words).encode() + b"\n"

    @staticmethod
    def parse(line: bytes) -> Status:
        """The status in a frame; what a newer trainer adds is ignored, what an older one lacks has its default.

        Raises:
            TurnedAwayError: it says why there will be none.
            FrameError: it is not a status.
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
                **{name: natural(name, told.get(name, 0)) for name in ("refused", "commands", "clients")},
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
