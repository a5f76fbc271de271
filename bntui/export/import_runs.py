"""Records what event files say into a new recording, a run for each of their folders."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePath
from typing import Final

from bntui.errors import DataError
from bntui.export.event_files import event_files, read_into
from bntui.export.imported import Imported, imported, left_over
from bntui.export.logged import Logged
from bntui.export.names import free_name
from bntui.link.lock import Hold
from bntui.recording import sentences
from bntui.recording.draft import name_taken
from bntui.recording.forms import WATCHED
from bntui.recording.history import SAME_EPOCH, Event, RunInfo
from bntui.recording.writer import Writer
from bntui.text.language import _
from bntui.text.library_messages import reason
from bntui.text.output import clean
from bntui.watching.subject import LoopDescription

PARTS: Final = ("train", "validation", "valid", "val", "eval", "test")
"""Folders that Keras and others make for the parts of one run; their tags get the name of the part."""
MOST_RUNS: Final = 100
LONGEST_NAME: Final = 500
"""Characters of a run's name; readers take twice as many."""
_TOGETHER: Final = 500
"""Rows in a transaction."""


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """What was imported of a run."""

    name: str
    steps: int
    layers: int
    unused: tuple[str, ...]
    every: int


def runs_in(place: Path) -> dict[str, list[tuple[Path, str]]]:
    """The event files of each run, with what is put before their tags.

    Raises:
        DataError: there are none, or too many runs, or one cannot be read.
    """
    try:
        if not place.exists():
            raise DataError(_("{path}: no such file or folder").format(path=place))
        found = event_files(place) if place.is_dir() else {".": [place]}
    except OSError as error:
        raise _unreadable(Path(error.filename or place), error) from error
    by_folder: dict[str, list[tuple[Path, str]]] = {}
    for folder, files in found.items():
        inner = PurePath(folder)
        part = _part(inner, found) if inner.parts else _part_beside_others(folder_of(place))
        run = str(inner.parent) if part and inner.parts else folder
        by_folder.setdefault(run, []).extend((file, f"{part}/" if part else "") for file in files)
    runs: dict[str, list[tuple[Path, str]]] = {}
    for run, together in by_folder.items():
        runs[free_name(_name(folder_of(place).name if run == "." else run), runs)] = together
    if not runs:
        raise DataError(_("{path}: no event files (their names contain tfevents)").format(path=place))
    if len(runs) > MOST_RUNS:
        sentence = _("{path}: {count} runs, and at most {most} can be imported at once; name one of the folders")
        raise DataError(sentence.format(path=place, count=len(runs), most=MOST_RUNS))
    return runs


def _name(folder: str) -> str:
    """The name of a run in a folder: its path, or the end of a long one."""
    name = clean(folder) or "run"
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(_("{path}: cannot be read: {reason}").format(path=path, reason=reason(error)))


def folder_of(place: Path) -> Path:
    """The folder that is imported, or that the imported file is in; its name may have dots, such as ``lr=0.1``."""
    found = place.resolve()
    return found if place.is_dir() else found.parent


def _part_beside_others(folder: Path) -> str:
    """The part of a run that the imported folder itself is: another part of it must be beside it."""
    with suppress(OSError):
        beside = [one for one in folder.parent.iterdir() if one != folder]
        if any("tfevents" in one.name and one.is_file() for one in beside):
            return _part(PurePath(folder.name), ["."])
        if any(one.name.lower() in PARTS and any(one.glob("*tfevents*")) for one in beside):
            return _part(PurePath(folder.name), [])
    return ""


def _part(folder: PurePath, all_folders: Collection[str]) -> str:
    """The part of the run above it that a folder has; empty if it is a run of its own."""
    name = folder.name.lower()
    if name in PARTS:
        return name
    # PyTorch's add_scalars("loss", {"train": …, "val": …}) makes the folders loss_train and loss_val
    of_tag, _underscore, part = name.rpartition("_")
    return part if of_tag and part in PARTS and str(folder.parent) in all_folders else ""


def read(files: list[tuple[Path, str]], tell: Callable[[], object] = lambda: None) -> Logged:
    """Read the event files of a run.

    Raises:
        DataError: one cannot be read.
    """
    logged = Logged()
    for path, prefix in files:
        try:
            read_into(logged, path, prefix)
        except OSError as error:
            raise _unreadable(path, error) from error
        tell()
    return logged


def record_runs(
    target: Path, title: str, runs: Mapping[str, Logged], steps_per_epoch: int | None, named: Mapping[str, str]
) -> tuple[list[ImportedRun], Counter[str]]:
    """Write a new recording; returns what was imported, then the runs without a step, and what was left out.

    Raises:
        DataError: there is neither a scalar nor a histogram that a recording has a place for.
        NameTakenError: the file exists.
        StorageError: it cannot be written.
    """
    left_out: Counter[str] = Counter()
    found: list[tuple[str, Imported]] = []
    without: list[ImportedRun] = []
    for name, logged in runs.items():
        left_out += logged.left_out
        one = imported(logged, len(found), steps_per_epoch, named)
        if one is not None:
            found.append((name, one))
        elif unused := left_over(logged):
            without.append(ImportedRun(name, 0, 0, unused, 1))
    if not found:
        tags = sorted({tag for logged in runs.values() for tag in (*logged.scalars, *logged.histograms)})
        if not tags:
            why = "; ".join(f"{_(reason)}: {count:,}" for reason, count in sorted(left_out.items()) if count)
            sentence = _("the event files have no scalar or histogram that can be read ({reasons})")
            raise DataError(sentence.format(reasons=why or _("they are empty")))
        seen = ", ".join(tags[:10])
        sentence = _("no tag is a figure that is recorded: {tags}; name one with --figure TAG=FIGURE")
        raise DataError(sentence.format(tags=seen))
    hold = Hold(target.absolute())
    try:
        if target.exists():
            raise name_taken(target)
        began = min((when for one in runs.values() for when in one.times.values() if math.isfinite(when)), default=0.0)
        writer = Writer.draft(target.absolute(), LoopDescription(title, "record", meta=_created(began)).metadata())
        try:
            for number, (name, one) in enumerate(found):
                config = {WATCHED: {"by": "import"}}
                writer.add_run(RunInfo(number, name, config, one.layers, steps_per_epoch or 1, "imported"), b"", 0.0)
                _write(writer, number, one)
            writer.publish(target.absolute())
        except BaseException:
            writer.discard()
            raise
        writer.close()
    finally:
        hold.release()
    told = [ImportedRun(name, len(one.steps), len(one.layers), one.unused, one.every) for name, one in found]
    return told + without, left_out


def _write(writer: Writer, run: int, one: Imported) -> None:
    for first in range(0, len(one.steps), _TOGETHER):
        with writer.together():
            for frame in islice(one.rows, min(_TOGETHER, len(one.steps) - first)):
                epoch = frame.epoch
                writer.commit(frame, epoch_end=epoch > 0 and abs(epoch - round(epoch)) < SAME_EPOCH)
    step = one.steps[-1]
    writer.add_events([Event.of(run, step, epoch, "finished", sentences.ENDED, step=step, epoch=epoch)])


def _created(began: float) -> dict[str, str]:
    try:
        return {"created": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")}
    except (ValueError, OverflowError, OSError):
        return {}
