"""Keeps what a sweep has done: a file of JSON lines in its folder, appended to and synchronized trial by trial.

The first line says what is swept, and with which versions.  A line that was cut off, by a power failure or a kill, is
removed when the sweep is resumed: that trial is trained again.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from bntui import drafts
from bntui.errors import RecordingError, StorageError, UsageError
from bntui.files import read_regular
from bntui.scenario.merge import frozen
from bntui.study.axes import Settings
from bntui.study.order import TrialProgress
from bntui.text.language import _
from bntui.text.library_messages import reason
from bntui.text.output import clean, shortened

NAME: Final = "journal.jsonl"
FORMAT: Final = 1
_MOST_BYTES: Final = 1_000_000_000
MOST_TRIALS: Final = 100_000
"""Of a sweep."""
_LARGEST: Final = 1e150
"""Beyond any finite figure of float32, and its square is still finite."""
_DEEPEST: Final = 30
_LONGEST: Final = 4_000
"""Characters of a reason."""
State = Literal["done", "failed", "pruned"]
_WORDS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One trial that was carried out."""

    settings: Settings
    seed: int
    state: State
    reason: str = ""
    """Why it failed."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """By quantity; NaN and infinite where the run does not have or never reached it."""
    seconds: float = 0.0
    """Processor time."""
    file: str = ""
    """Its recording, in the folder of the sweep."""
    digest: str = ""
    """BLAKE2b checksum of that file."""
    worker: str = ""
    """The process that trained it."""
    course: TrialProgress | None = None
    """If trials may be pruned: what pruners need to know of it."""

    @property
    def epochs(self) -> int | None:
        """The epochs after which it was pruned; None if it was not."""
        return int(self.figures["epoch"]) if self.state == "pruned" else None

    @property
    def diverged(self) -> bool:
        """Its loss became NaN or infinite."""
        return self.figures.get("diverged") == 1

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from the other trials."""
        return key_of(self.settings, self.seed)


def key_of(settings: Settings, seed: int) -> tuple[str, int]:
    """What tells a trial from the others."""
    return json.dumps(settings, sort_keys=True), seed


class Journal:
    """The journal of a sweep that this process writes; no other one can until it is closed."""

    def __init__(self, folder: Path, head: Mapping[str, Any]) -> None:
        """Begin the journal of a folder, or go on with it if it has the same head.

        Raises:
            UsageError: another process writes it, or it is that of another sweep or other versions.
            RecordingError: it is damaged.
            StorageError: it cannot be written.
        """
        self.path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            self._lock()
            self.entries = self._begin(head)
            self._failed = {entry.key for entry in self.entries if entry.state == "failed"}
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            sentence = _("{folder}: another process is training this sweep; watch it with: bntui replay {folder}")
            raise UsageError(sentence.format(folder=self.path.parent)) from error

    def _begin(self, head: Mapping[str, Any]) -> list[JournalEntry]:
        try:
            text = read_regular(self.path, _MOST_BYTES)
        except OSError as error:
            raise _unreadable(self.path.parent, error) from error
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            os.ftruncate(self._file, len(whole))
        os.lseek(self._file, 0, os.SEEK_END)
        if not whole:
            self._write({"sweep": FORMAT, **head})
            drafts.sync_folder(self.path.parent)
            return []
        before, entries = _parsed(whole, self.path)
        if differing := differences(before, head):
            raise UsageError("\n".join((_another(self.path.parent), *differing)))
        return entries

    def add(self, entry: JournalEntry) -> None:
        """Append an entry, and return when it is on the disk; it replaces one of the same trial, which failed."""
        self._write(_told(entry))
        if entry.key in self._failed:
            self.entries.remove(next(before for before in self.entries if before.key == entry.key))
        if entry.state == "failed":
            self._failed.add(entry.key)
        self.entries.append(entry)

    def keep(self, name: str, recording: bytes) -> None:
        """Write a recording into the folder, in place of one whose entry was lost.

        Raises:
            StorageError: it cannot be written.
        """
        path = self.path.parent / name
        try:
            drafts.put(path, recording, durable=True)
        except OSError as error:
            raise _unwritable(path, error) from error

    def _write(self, line: Mapping[str, Any]) -> None:
        # what a file name has beside UTF-8 becomes an escape of JSON
        rest = json.dumps(line, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the file, which releases its lock."""
        os.close(self._file)


def read(folder: Path) -> tuple[dict[str, Any], list[JournalEntry]]:
    """The head and the entries of a folder's journal, which may be growing.

    Raises:
        UsageError: the folder has none.
        RecordingError: it is damaged, or written by a newer version.
    """
    path = folder / NAME
    try:
        text = read_regular(path, _MOST_BYTES)
    except OSError as error:
        raise _unreadable(folder, error) from error
    return _parsed(text[: text.rfind(b"\n") + 1], path)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two heads, each as a sentence."""
    found = []
    for part in dict.fromkeys((*before, *now)):
        if part == "sweep" or before.get(part) == now.get(part):
            continue
        one, other = before.get(part), now.get(part)
        if isinstance(one, dict) and isinstance(other, dict):
            found += differences(one, other)
        elif part == "text":
            found.append("  " + _("the scenario file has changed"))
        else:
            found.append(f"  {part}: " + _("{before} there, {now} here").format(before=_brief(one), now=_brief(other)))
    return found


def _another(folder: Path) -> str:
    sentence = _("{folder} has another sweep, or one by other versions; choose another folder with -o:")
    return sentence.format(folder=folder)


def _brief(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _parsed(text: bytes, path: Path) -> tuple[dict[str, Any], list[JournalEntry]]:
    lines = text.decode("utf-8", "replace").split("\n")[:-1]  # splitlines() also splits at U+2028, which JSON contains
    if not lines:
        raise RecordingError(_("{path} is empty: no trial was begun").format(path=path))
    head = _object(lines[0], path, 1)
    if not isinstance(head.get("sweep"), int) or not isinstance(head.get("plan"), dict):
        raise RecordingError(_("{path} is not the journal of a sweep").format(path=path))
    if head["sweep"] > FORMAT:
        raise RecordingError(_("{path} comes from a newer version of bntui").format(path=path))
    found: dict[tuple[str, int], JournalEntry] = {}
    for number, line in enumerate(lines[1:], 2):
        entry = _entry(_object(line, path, number), path, number)
        if entry.key not in found or found[entry.key].state == "failed":  # which may have been tried again
            found[entry.key] = entry
    return head, list(found.values())


def _object(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or _deeper(told, _DEEPEST):
        raise _damaged(path, number)
    return told


def _deeper(value: object, levels: int) -> bool:
    """Whether something is nested more deeply than settings ever are; recursion could not follow it everywhere."""
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(one, levels - 1) for one in inside)


def _entry(told: Mapping[str, Any], path: Path, number: int) -> JournalEntry:
    try:
        settings = tuple((str(key), frozen(value)) for key, value in told["settings"])
        figures = {str(name): _WORDS.get(value, value) for name, value in told["figures"].items()}
        why, file, digest, worker = (str(told[name]) for name in ("reason", "file", "digest", "worker"))
        seed, measured = told["seed"], {name: float(value) for name, value in figures.items()}
        if told["state"] not in get_args(State) or type(seed) is not int or seed < 0:
            raise ValueError
        if Path(file).name != file or file == ".." or clean(file) != file:
            raise ValueError
        if any(_LARGEST < abs(value) < math.inf for value in measured.values()):
            raise ValueError
        seconds = float(told["seconds"])
        course = None if told.get("course") is None else _course(told["course"])
        if told["state"] == "pruned" and not 1 <= measured["epoch"] < _LARGEST:
            raise ValueError
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise _damaged(path, number) from error
    why = shortened(why, _LONGEST)
    return JournalEntry(settings, seed, told["state"], why, measured, seconds, file, digest, worker, course)


def _course(told: Mapping[str, Any]) -> TrialProgress:
    number, rungs = told["number"], {str(key): float(value) for key, value in told["rungs"].items()}
    if type(number) is not int or not 0 <= number < MOST_TRIALS or type(told["pruned"]) is not bool:
        raise ValueError
    return TrialProgress(
        number, tuple(float(_WORDS.get(value, value)) for value in told["values"]), rungs, told["pruned"]
    )


def _told(entry: JournalEntry) -> dict[str, Any]:
    course = entry.course
    known = {} if course is None else {"course": {**asdict(course), "values": list(map(_number, course.values))}}
    return {
        "settings": [list(one) for one in entry.settings],
        "seed": entry.seed,
        "state": entry.state,
        "reason": entry.reason,
        "figures": {name: _number(value) for name, value in entry.figures.items()},
        "seconds": entry.seconds,
        "file": entry.file,
        "digest": entry.digest,
        "worker": entry.worker,
        **known,
    }


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _damaged(path: Path, number: int) -> RecordingError:
    return RecordingError(_("{path}:{line}: damaged: not a trial of a sweep").format(path=path, line=number))


def _unreadable(folder: Path, error: OSError) -> UsageError:
    sentence = _("{folder} is not the folder of a sweep: {file}: {reason}")
    return UsageError(sentence.format(folder=folder, file=NAME, reason=reason(error)))


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(_("{path}: cannot be written: {reason}").format(path=path, reason=reason(error)))


def keys(entries: Iterable[JournalEntry]) -> frozenset[tuple[str, int]]:
    """What is done already."""
    return frozenset(entry.key for entry in entries)
