"""The user's recordings: where new ones go, and what there is.  Reads headers only, with sqlite3 alone."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bntui.errors import BntuiError, RecordingError
from bntui.language import spoken
from bntui.link import socket_path
from bntui.recording.schema import open_read_only
from bntui.text import clean


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording as the gallery lists it."""

    path: Path
    title: str
    """In the language in use, as far as the scenario has it."""
    runs: tuple[str, ...]
    """Names of the runs, likewise."""
    epochs: float
    """Epochs recorded, of the run that went furthest."""
    when: datetime
    """When it was last written."""
    size: int
    """Bytes, journal included."""
    live: bool
    """A trainer is writing it now."""
    problem: str | None
    """Why it cannot be opened, if it cannot."""


def recordings_folder() -> Path:
    """Where recordings go by default: ``recordings`` in the user's data folder."""
    from platformdirs import user_data_path  # costs a millisecond that --help need not pay

    return user_data_path("bntui") / "recordings"


def new_path(scenario: str, folder: Path | None = None) -> Path:
    """A name that overwrites nothing: the scenario's, with a number."""
    folder = recordings_folder() if folder is None else folder
    stem = re.sub(r"[^\w-]+", "-", scenario).strip("-") or "recording"
    pattern = re.compile(rf"{re.escape(stem)}-(\d+)\.bntui")
    taken = [int(match[1]) for path in folder.glob(f"{stem}-*.bntui") if (match := pattern.fullmatch(path.name))]
    return folder / f"{stem}-{max(taken, default=0) + 1:03d}.bntui"


def entry(path: Path) -> Entry:
    """Title, runs and length of one recording; a damaged one says its problem."""
    journal = path.with_name(path.name + "-wal")
    stats = [file.stat() for file in (path, journal) if file.exists()]
    when = datetime.fromtimestamp(max(stat.st_mtime for stat in stats)).astimezone()
    size = sum(stat.st_size for stat in stats)
    live = is_live(path)
    try:
        connection = open_read_only(path)
        try:
            meta = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('title', 'translation')"))
            translated = json.loads(meta.get("translation", "{}")).get(spoken(), {})
            title = str(translated.get("title") or meta["title"])
            labels = translated.get("runs", {})
            runs = tuple(
                str(labels.get(name, name)) for (name,) in connection.execute("SELECT name FROM run ORDER BY run")
            )
            epochs = connection.execute("SELECT max(epoch) FROM keyframe").fetchone()[0] or 0.0
        finally:
            connection.close()
    except (RecordingError, sqlite3.DatabaseError, LookupError, TypeError, AttributeError, ValueError) as error:
        return Entry(path, path.stem, (), 0.0, when, size, live, str(error))
    return Entry(path, clean(title), tuple(map(clean, runs)), epochs, when, size, live, None)


def is_live(path: Path) -> bool:
    """A trainer answers on the recording's socket."""
    import socket

    try:
        where = socket_path(path)
    except BntuiError:  # no folder for sockets: nobody can listen in it
        return False
    if not where.exists():
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(where))
        except OSError:
            return False
    return True


def recordings(folder: Path | None = None) -> tuple[Entry, ...]:
    """All recordings of a folder (default: the user's), newest first."""
    folder = recordings_folder() if folder is None else folder
    entries = []
    for path in folder.glob("*.bntui"):
        try:
            entries.append(entry(path))
        except OSError:  # removed since it was listed
            continue
    return tuple(sorted(entries, key=lambda found: found.when, reverse=True))
