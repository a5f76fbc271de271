"""Lists the user's recordings and whether they are being trained, reading headers only."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bntui.errors import RecordingError
from bntui.link.live import is_live
from bntui.recording.foreign_json import parsed
from bntui.recording.forms import TRANSLATION
from bntui.recording.guard import damaged
from bntui.recording.kinds import AMOUNT, hold
from bntui.recording.names import recordings_folder
from bntui.recording.recorded import nothing_recorded
from bntui.recording.schema import open_read_only
from bntui.recording.tables import MOST_RUNS, rows
from bntui.text.language import spoken
from bntui.text.output import clean


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording as listed in the gallery."""

    path: Path
    title: str
    """In the language in use, if the scenario has it."""
    runs: tuple[str, ...]
    """Names of the runs, likewise."""
    epochs: float
    """Recorded epochs of the longest run."""
    when: datetime
    """Time of the last write."""
    size: int
    """Size in bytes, including the journal."""
    live: bool
    """True if a trainer is writing it now."""
    problem: str | None
    """Why it cannot be opened; None if it can."""


def entry(path: Path) -> Entry:
    """Title, runs, and length of a recording; a damaged or foreign file has a ``problem``.

    Raises:
        OSError: it was removed after it was listed.
    """
    journal = path.with_name(path.name + "-wal")
    stats = [path.lstat() if path.is_symlink() and not path.exists() else path.stat()]
    if journal.exists():
        stats.append(journal.stat())
    when = _time(max(stat.st_mtime for stat in stats))
    size = sum(stat.st_size for stat in stats)
    try:
        title, runs, epochs = _heading(path)
    except RecordingError as error:
        live = path.exists() and is_live(path)  # a circular link has no path to listen at
        return Entry(path, path.stem, (), 0.0, when, size, live, str(error))
    return Entry(path, title, runs, epochs, when, size, is_live(path), None)


def _heading(path: Path) -> tuple[str, tuple[str, ...], float]:
    """Title, names of the runs, and epochs of the longest run.

    Raises:
        RecordingError: the file is not a recording, or is damaged.
    """
    with damaged(path), closing(open_read_only(path)) as database:
        query = "SELECT key, value FROM meta WHERE key IN ('title', 'translation')"
        meta = {row["key"]: row["value"] for row in rows(database, query, of="meta")}
        translated = parsed(meta.get("translation", "{}"), TRANSLATION, "translation").get(spoken(), {})
        labels: Mapping[str, str] = translated.get("runs", {})
        query = f"SELECT name FROM run ORDER BY run LIMIT {MOST_RUNS}"
        names = [row["name"] for row in rows(database, query, of="run")]
        epochs = database.execute("SELECT max(epoch) FROM keyframe").fetchone()[0]
        if epochs is None:
            raise nothing_recorded(path)
        hold(AMOUNT, epochs, "epoch")
        title = clean(translated.get("title") or meta["title"])
        return title, tuple(clean(labels.get(name, name)) for name in names), epochs


def _time(seconds: float) -> datetime:
    """A modification time; files may claim any."""
    try:
        return datetime.fromtimestamp(seconds).astimezone()
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0).astimezone()


def recordings(folder: Path | None = None) -> tuple[Entry, ...]:
    """All recordings in a folder (default: the user's), newest first."""
    folder = recordings_folder() if folder is None else folder
    entries = []
    for path in folder.glob("*.bntui"):
        try:
            entries.append(entry(path))
        except OSError:  # removed after it was listed
            continue
    return tuple(sorted(entries, key=lambda found: found.when, reverse=True))
