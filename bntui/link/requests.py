"""Parses requests to a trainer; the only module that decides which frames are valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from bntui.keyframe import MOST_SEEDS
from bntui.link import wire
from bntui.link.numbers import natural, pace
from bntui.link.wire import FrameError
from bntui.recording.sentences import LONGEST_NOTE
from bntui.text.language import _
from bntui.text.output import clean

MOST_CHANGES: Final = 100
"""Maximum number of settings that a fork may change."""
LONGEST_PATH: Final = 200
"""Maximum length of a key path in characters."""

LONGEST_FORK: Final = 20_000
"""Maximum size of a fork request in bytes; pending ones are stored in the recording, in one text."""

Plain = Literal["epoch", "step", "run", "pause", "stop"]
"""Commands without arguments."""
PLAIN: Final[tuple[Plain, ...]] = get_args(Plain)


@dataclass(frozen=True, slots=True)
class PlainCommand:
    """A command without arguments."""

    command: Plain


@dataclass(frozen=True, slots=True)
class Pace:
    """Limit training to this many epochs per second; None is unthrottled."""

    epochs_per_second: float | None


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """A request for a fork."""

    run: int
    """Number of the parent."""
    step: int
    """Step of one of its keyframes."""
    changes: tuple[tuple[str, Any], ...] = ()
    """Key paths and values, as in JSON."""

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> ForkRequest:
        """Parse the arguments of a command.

        Raises:
            FrameError: the arguments do not describe a fork.
        """
        if not {"run", "step"} <= set(told) <= {"run", "step", "changes"}:
            raise FrameError(_("fork takes the arguments run, step, and changes"))
        changes = told.get("changes", [])
        if not isinstance(changes, list) or len(changes) > MOST_CHANGES:
            raise FrameError(_("changes must be a list of at most {count} settings").format(count=MOST_CHANGES))
        return cls(natural("run", told["run"]), natural("step", told["step"]), tuple(map(_change, changes)))

    def arguments(self) -> dict[str, Any]:
        """The arguments of the command."""
        return {"run": self.run, "step": self.step, "changes": [list(change) for change in self.changes]}


@dataclass(frozen=True, slots=True)
class Note:
    """A remark at a keyframe."""

    run: int
    step: int
    """Step of one of its keyframes."""
    text: str


@dataclass(frozen=True, slots=True)
class SeedRequest:
    """Train every run with so many seeds, its own included."""

    seeds: int


Request = PlainCommand | Pace | ForkRequest | Note | SeedRequest
STOP: Final = PlainCommand("stop")


def parse(line: bytes) -> Request:
    """Parse a request.

    Raises:
        FrameError: the frame is not a request; the message gives the reason.
    """
    told = wire.parse(line)
    command = told.pop("command", None)
    if command == "fork":
        if len(line) > LONGEST_FORK:
            raise FrameError(_("a fork request is longer than {limit} bytes").format(limit=LONGEST_FORK))
        return ForkRequest.parse(told)
    if command == "pace":
        if set(told) != {"epochs_per_second"}:
            raise FrameError(_("pace takes the argument epochs_per_second"))
        return Pace(pace(told["epochs_per_second"]))
    if command == "note":
        if set(told) != {"run", "step", "text"}:
            raise FrameError(_("note takes the arguments run, step, and text"))
        return Note(natural("run", told["run"]), natural("step", told["step"]), note_text(told["text"]))
    if command == "seeds":
        if set(told) != {"seeds"}:
            raise FrameError(_("seeds takes the argument seeds"))
        return SeedRequest(seeds(told["seeds"]))
    for plain in PLAIN:
        if command == plain:
            if told:
                raise FrameError(_("{command} takes no arguments").format(command=command))
            return PlainCommand(plain)
    known = ", ".join((*PLAIN, "pace", "fork", "note", "seeds"))
    raise FrameError(_("unknown command; the commands are {commands}").format(commands=known))


def seeds(value: object) -> int:
    """Validate a number of seeds.

    Raises:
        FrameError: it is not one.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_SEEDS:
        raise FrameError(_("seeds must be a whole number from 1 to {most}").format(most=MOST_SEEDS))
    return value


def note_text(value: object) -> str:
    """Validate the text of a note: one line.

    Raises:
        FrameError: it is empty, too long, or has control characters.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NOTE or clean(value) != value:
        sentence = _("a note must be one line of at most {limit} characters")
        raise FrameError(sentence.format(limit=LONGEST_NOTE))
    return value.strip()


def _change(told: object) -> tuple[str, Any]:
    match told:
        case [str() as path, value] if 0 < len(path) <= LONGEST_PATH:
            return path, value
    raise FrameError(_("a change must be a pair of a key path and a value"))
