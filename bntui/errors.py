"""What can go wrong: one small tree, each error with the exit code it ends the program with.

BntuiError                1   anything that is said to a user as a sentence
├── UsageError            2   a command line that asks for something impossible
│   └── NameTakenError    2   a recording of that name exists, and nothing is ever overwritten
├── ScenarioError         2   a scenario file that is not valid; carries every problem found
├── DataError             2   a data file that is missing, damaged or of the wrong shape
├── DeviceError           2   a device that is not there
├── RecordingError        2   a file that is not a recording, is newer, damaged, or being written
├── StorageError          1   a full disk, a read-only folder
└── TrainerError          1   the trainer process failed or cannot be reached
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bntui.text.language import _


class BntuiError(Exception):
    """Base of all errors that are shown to a user as a sentence, never as a traceback."""

    exit_code = 1


class UsageError(BntuiError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class NameTakenError(UsageError):
    """A file of that name exists, and nothing is ever overwritten."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a scenario: where it stands, what was found, what is allowed."""

    path: str
    """Key path, such as ``network.norm`` or ``run[1].set.training.lr``; empty for the file as a whole."""
    message: str
    """What is wrong and what is allowed, in one sentence."""
    file: str = ""
    line: int | None = None
    value: str | None = None
    """The offending value as it stands in the file, shortened; None where a key is missing."""
    nearest: str | None = None
    """The nearest allowed spelling, if one is near."""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        found = "" if self.value is None else f" = {self.value}"
        hint = "" if self.nearest is None else " " + did_you_mean(self.nearest)
        head = ": ".join(part for part in (place, f"{self.path}{found}") if part)
        return f"{head}: {self.message}{hint}" if head else f"{self.message}{hint}"


def did_you_mean(spelling: str) -> str:
    """A hint at the nearest spelling, in brackets."""
    return _("(did you mean {spelling!r}?)").format(spelling=spelling)


class ScenarioError(BntuiError):
    """A scenario that is not valid; ``problems`` holds all of them, in file order."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DataError(BntuiError):
    """A data file that cannot be used: says the file, and row and column where there is one."""

    exit_code = 2


class DeviceError(BntuiError):
    """A device was asked for that this machine does not have."""

    exit_code = 2


class RecordingError(BntuiError):
    """A file that is not a recording, comes from a newer version, or is damaged."""

    exit_code = 2


class StorageError(BntuiError):
    """A recording cannot be written on: full disk, read-only folder."""


class TrainerError(BntuiError):
    """The trainer process failed or cannot be reached."""
