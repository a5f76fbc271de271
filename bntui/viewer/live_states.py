"""Defines the states of the laboratory and its trainer, and what each of them says about the training.

A recording is a :class:`Replay` while nobody trains it, :class:`Live` while a trainer is connected, :class:`Starting`
while one is being started for a fork or to resume, :class:`Renewing` while one is being started that trains the
scenario anew, and :class:`Leaving` once its trainer was told to stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bntui.link import OVER, Status
from bntui.link.requests import ForkRequest
from bntui.text.language import N_

ONLY_WATCHED: Final = N_("A recorded training loop: only its own script can train on, or train it again.")
ONLY_LOOKING: Final = N_(
    "A comparison is read-only: to train, fork, or write notes, open one recording with bntui replay FILE."
)


@dataclass(frozen=True, slots=True)
class Replay:
    """No trainer is connected."""

    last: Status | None = None
    """Last status of the trainer, if there was one."""
    gone: bool = False
    """The trainer ended without reporting that it is done."""


@dataclass(frozen=True, slots=True)
class Live:
    """A trainer is connected."""

    status: Status | None = None
    """None until the first status arrives."""
    asked: ForkRequest | None = None
    """A fork that was requested and has not appeared yet."""
    sent: int = 0
    """Number of commands that the trainer will have received after the last one sent from here."""
    paced: int = 0
    """The same for the last command that changed the pace; a status with fewer commands has an outdated pace."""
    asked_at: int = 0
    """Number of commands that the trainer had received when the fork was requested."""
    ordered: int = 0
    """The same as ``sent`` for the last run or pause; a status with fewer commands does not know of it."""
    pauses: bool = False
    """That command was a pause."""


@dataclass(frozen=True, slots=True)
class Starting:
    """A trainer is being started."""

    fork: ForkRequest | None
    """The fork that the trainer creates first; None if it resumes the recording."""
    then: ForkRequest | None = None
    """A fork requested in the meantime, to be sent when the trainer is connected."""
    last: Status | None = None
    seeds: int | None = None
    """Number of seeds with which it trains every run."""


@dataclass(frozen=True, slots=True)
class Renewing:
    """A trainer is being started that trains the scenario anew; another screen will show its recording."""

    last: Status | None = None


@dataclass(frozen=True, slots=True)
class Leaving:
    """The program ends when the trainer has saved."""

    last: Status | None = None


State = Replay | Live | Starting | Renewing | Leaving


@dataclass(frozen=True, slots=True)
class Facts:
    """What transitions depend on besides the state."""

    me: str
    """Name of this process, as in ``Status.owner``."""
    compared: bool = False
    """Several recordings are compared."""
    unfinished: bool = False
    """A run can be resumed."""
    seeds: int = 1
    """Number of seeds with which every run is to be trained."""
    seeds_left: bool = False
    """Some of them have not ended."""
    read_only: bool = False
    """The screen is shown to others, who may look only."""
    untrainable: str = ""
    """Why no trainer can be started here; empty if one can."""
    watched: bool = False
    """A loop of the user's own was recorded, and its code is not here."""

    @property
    def looking(self) -> str:
        """Why nothing can be trained, marked for translation; empty if something can."""
        return ONLY_LOOKING if self.compared else ONLY_WATCHED if self.watched else ""


def begun(live: bool) -> State:
    """The state in which a recording opens."""
    return Live() if live else Replay()


def status_of(state: State) -> Status | None:
    """The last status of the trainer."""
    return state.status if isinstance(state, Live) else state.last


def over(state: State) -> bool:
    """True if the trainer has reported that it is done; it then needs the file to be closed for its last checkpoint."""
    status = status_of(state)
    return status is not None and status.state in OVER


def training(state: State) -> bool:
    """True if the trainer is running."""
    return isinstance(state, Live) and state.status is not None and state.status.state == "running"


def waits(state: State) -> bool:
    """True if a trainer is connected that trains nothing until it is told to."""
    if not isinstance(state, Live) or state.status is None:
        return False
    return state.pauses if state.status.commands < state.ordered else state.status.state == "paused"


def asked_of(state: State) -> ForkRequest | None:
    """The fork that was requested and has not appeared yet."""
    if isinstance(state, Live):
        return state.asked
    return (state.fork or state.then) if isinstance(state, Starting) else None


def would_stop(state: State, facts: Facts) -> bool:
    """True if training again, in another recording, ends what is trained now."""
    return isinstance(state, Live) and not over(state) and stops_with_us(state, facts)


def stops_with_us(state: State, facts: Facts) -> bool:
    """True if training ends with this screen, because it was started here and has no other clients."""
    status = status_of(state)
    return status is not None and status.owner == facts.me and status.clients <= 1
