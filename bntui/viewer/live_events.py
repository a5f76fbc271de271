"""Declares the events and effects of the state machine in ``live.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bntui.link import Command, Status
from bntui.link.requests import ForkRequest

# --- events ---


@dataclass(frozen=True, slots=True)
class Heard:
    """The trainer said how it is."""

    status: Status


@dataclass(frozen=True, slots=True)
class HungUp:
    """The connection is gone; all that was committed before has been loaded."""


@dataclass(frozen=True, slots=True)
class SendFailed:
    """A command did not reach the trainer."""

    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """Run, pause, or go on where training was interrupted."""


@dataclass(frozen=True, slots=True)
class Train:
    """One more epoch or mini-batch."""

    command: Literal["epoch", "step"]


@dataclass(frozen=True, slots=True)
class TrainAnew:
    """Train the scenario from the start, in a new recording."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Faster (1) or slower (-1)."""

    by: int


@dataclass(frozen=True, slots=True)
class MayFork:
    """The fork form is asked for."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork is asked for."""

    request: ForkRequest


@dataclass(frozen=True, slots=True)
class Appeared:
    """A new run was recorded: a fork of ``parent`` at this step, and epoch."""

    run: int
    parent: int
    step: int
    epoch: float


@dataclass(frozen=True, slots=True)
class Started:
    """What was started is there: the recording was opened again, with its trainer if that is still live."""

    live: bool


@dataclass(frozen=True, slots=True)
class NotStarted:
    """No trainer could be started, or it refused what it was started for."""

    why: str


@dataclass(frozen=True, slots=True)
class Detach:
    """Leave; training goes on."""


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave, and end a training that was started here."""


Event = (
    Heard | HungUp | SendFailed | Run | Train | TrainAnew | Pace | MayFork | Fork | Appeared | Started | NotStarted
    | Detach | Quit
)  # fmt: skip

# --- effects ---


@dataclass(frozen=True, slots=True)
class Send:
    """Send a command; where that fails, what follows is not carried out: :class:`SendFailed` happens."""

    command: Command
    arguments: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Start a trainer on the recording, or on a copy that can be written; it begins with the fork, or goes on."""

    fork: ForkRequest | None


@dataclass(frozen=True, slots=True)
class Complain:
    """Say what went wrong: once, or each time with a title."""

    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class SayOnce:
    """A notice, unless the same one is on the screen."""

    text: str


@dataclass(frozen=True, slots=True)
class Unsay:
    """Take a notice away that is true no more."""

    text: str


@dataclass(frozen=True, slots=True)
class FollowFile:
    """The recording has this path now."""

    path: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Say that a run began that was not asked for here."""

    run: int
    epoch: float


@dataclass(frozen=True, slots=True)
class Lead:
    """Look at the fork that was asked for, beside its parent."""

    run: int
    parent: int


@dataclass(frozen=True, slots=True)
class Leave:
    """End the program, saying how to come back to what is recorded, or to the training that goes on."""

    goes_on: bool = False
    stoppable: bool = False
    """Say how to stop the training, too."""


Plain = Literal[
    "clear notices", "redraw", "release", "close reader", "hang up", "discard", "follow head", "open form", "train anew"
]  # fmt: skip
"""Effects without arguments: ``release`` the file to the trainer, ``hang up`` on it, ``discard`` one that starts,
``train anew`` in a new recording, which a new screen shows."""


@dataclass(frozen=True, slots=True)
class LeaveAfter:
    """Leave after so many seconds, whatever the trainer does."""

    seconds: float


Effect = Send | Start | Complain | SayOnce | Unsay | FollowFile | Announce | Lead | Leave | LeaveAfter | Plain
Effects = tuple[Effect, ...]
