"""Declares the events and effects of the state machine in ``live.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bntui.link import Command, Status
from bntui.link.requests import ForkRequest

# --- events ---


@dataclass(frozen=True, slots=True)
class Heard:
    """The trainer sent a status."""

    status: Status


@dataclass(frozen=True, slots=True)
class HungUp:
    """The connection was closed; everything committed before has been loaded."""


@dataclass(frozen=True, slots=True)
class SendFailed:
    """A command could not be sent to the trainer."""

    why: str


@dataclass(frozen=True, slots=True)
class PlayPause:
    """The user asked to run, pause or resume."""


@dataclass(frozen=True, slots=True)
class TrainOne:
    """The user asked for one more epoch or mini-batch."""

    command: Literal["epoch", "step"]


@dataclass(frozen=True, slots=True)
class TrainAnew:
    """Train the scenario from the start, in a new recording."""

    seed: int | None = None
    """With another seed; None as it was trained."""


@dataclass(frozen=True, slots=True)
class MoreSeeds:
    """The user asked for more seeds behind the curves."""


@dataclass(frozen=True, slots=True)
class ChangePace:
    """The user asked for a faster (1) or slower (-1) pace."""

    by: int


@dataclass(frozen=True, slots=True)
class MayFork:
    """The user asked for the fork form."""


@dataclass(frozen=True, slots=True)
class NoteWritten:
    """A note was written at a keyframe."""

    run: int
    step: int
    text: str


@dataclass(frozen=True, slots=True)
class RequestFork:
    """The user requested a fork."""

    request: ForkRequest


@dataclass(frozen=True, slots=True)
class Appeared:
    """A new run was recorded: a fork of ``parent`` at the given step and epoch."""

    run: int
    parent: int
    step: int
    epoch: float


@dataclass(frozen=True, slots=True)
class Started:
    """The recording was opened again after starting a trainer, which is connected if it is still live."""

    live: bool


@dataclass(frozen=True, slots=True)
class NotStarted:
    """No trainer could be started, or it refused its job."""

    why: str


@dataclass(frozen=True, slots=True)
class Detach:
    """The user asked to leave while training continues."""


@dataclass(frozen=True, slots=True)
class Quit:
    """The user asked to leave, and to stop a training that was started here."""


Event = (
    Heard | HungUp | SendFailed | PlayPause | TrainOne | TrainAnew | MoreSeeds | ChangePace | MayFork | NoteWritten
    | RequestFork | Appeared | Started | NotStarted | Detach | Quit
)  # fmt: skip

# --- effects ---


@dataclass(frozen=True, slots=True)
class Send:
    """Send a command; if that fails, report :class:`SendFailed` and skip the effects that follow."""

    command: Command
    arguments: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Start a trainer on the recording, or on a writable copy, to create the fork, to train seeds, or to resume."""

    fork: ForkRequest | None
    seeds: int | None = None


@dataclass(frozen=True, slots=True)
class Anew:
    """Train the scenario with another seed in a new recording, which a new screen shows."""

    seed: int


@dataclass(frozen=True, slots=True)
class AddNote:
    """Write a note into the file of a recording that nobody trains, or into a copy that can be written."""

    note: NoteWritten


@dataclass(frozen=True, slots=True)
class Complain:
    """Show an error: only once if it has no title, otherwise each time."""

    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class SayOnce:
    """Show a notice, unless the same one is on the screen."""

    text: str


@dataclass(frozen=True, slots=True)
class Unsay:
    """Remove a notice that no longer applies."""

    text: str


@dataclass(frozen=True, slots=True)
class FollowFile:
    """Continue reading the recording at this path."""

    path: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Show a notice that a run began that was not requested here."""

    run: int
    epoch: float


@dataclass(frozen=True, slots=True)
class Lead:
    """Select the requested fork, and show it beside its parent."""

    run: int
    parent: int


@dataclass(frozen=True, slots=True)
class Leave:
    """End the program with a message that says how to return to the recording or to the training."""

    goes_on: bool = False
    """Training continues."""
    stoppable: bool = False
    """Also say how to stop the training."""


Plain = Literal[
    "clear notices", "redraw", "release", "close reader", "hang up", "discard", "follow head", "open form", "train anew"
]  # fmt: skip
"""Effects without arguments: ``release`` the file to the trainer, ``hang up`` on it, ``discard`` one that starts,
``train anew`` in a new recording, which a new screen shows."""


@dataclass(frozen=True, slots=True)
class LeaveAfter:
    """Leave after a number of seconds, whatever the trainer does."""

    seconds: float


Effect = (
    Send
    | Start
    | Anew
    | AddNote
    | Complain
    | SayOnce
    | Unsay
    | FollowFile
    | Announce
    | Lead
    | Leave
    | LeaveAfter
    | Plain
)
Effects = tuple[Effect, ...]
