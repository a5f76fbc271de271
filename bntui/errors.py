"""Defines the error tree, with the exit code of each error.

BntuiError                1   any error reported to the user as a sentence
├── UsageError            2   an invalid command line
│   └── NameTakenError    2   the file exists, and nothing is ever overwritten
├── ScenarioError         2   an invalid scenario file; holds every problem found
├── DataError             2   a data file that is missing, damaged, or of the wrong shape
├── DeviceError           2   a device that is not available
├── RecordingError        2   a file that is not a recording, is newer, damaged, or being written
├── StorageError          1   a full disk, a read-only folder
└── TrainerError          1   the trainer process failed or cannot be reached
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bntui.text.language import _


class BntuiError(Exception):
    """Base of all errors reported to the user as a sentence, never as a traceback."""

    exit_code = 1


class UsageError(BntuiError):
    """The command line is invalid."""

    exit_code = 2


class NameTakenError(UsageError):
    """The file exists, and nothing is ever overwritten."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem in a scenario: its place, the value found, what is allowed."""

    path: str
    """Key path, such as ``network.norm`` or ``run[1].set.training.lr``; empty for the file as a whole."""
    message: str
    """What is wrong and what is allowed, in one sentence."""
    file: str = ""
    line: int | None = None
    value: str | None = None
    """The offending value as written in the file, shortened; None if a key is missing."""
    nearest: str | None = None
    """The closest allowed spelling, if any is close."""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        found = "" if self.value is None else f" = {self.value}"
        hint = "" if self.nearest is None else " " + did_you_mean(self.nearest)
        head = ": ".join(part for part in (place, f"{self.path}{found}") if part)
        return f"{head}: {self.message}{hint}" if head else f"{self.message}{hint}"


def did_you_mean(spelling: str, *others: str) -> str:
    """A hint at the closest spelling or spellings, in parentheses."""
    if others:
        return _("(did you mean one of these: {spellings}?)").format(spellings=", ".join((spelling, *others)))
    return _("(did you mean {spelling!r}?)").format(spelling=spelling)


class ScenarioError(BntuiError):
    """The scenario is not valid; ``problems`` holds all problems in file order."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DataError(BntuiError):
    """A data file cannot be used; the message names the file, and the row and column if known."""

    exit_code = 2


class DeviceError(BntuiError):
    """The requested device is not available on this machine."""

    exit_code = 2


class RecordingError(BntuiError):
    """The file is not a recording, comes from a newer version, or is damaged."""

    exit_code = 2


class StorageError(BntuiError):
    """A recording cannot be written: the disk is full, or the folder is read-only."""


class TrainerError(BntuiError):
    """The trainer process failed or cannot be reached."""
