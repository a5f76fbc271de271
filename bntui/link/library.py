"""Lists the user's recordings, finds them by name, and tells whether they are being trained, reading headers only."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

from bntui.errors import RecordingError, StorageError, UsageError, did_you_mean
from bntui.keyframe import Foreign
from bntui.link.client import state_of
from bntui.link.live import is_live
from bntui.link.registry import recorder, trainers
from bntui.recording.foreign_json import parsed
from bntui.recording.forms import RUN_CONFIG, TRANSLATION, WATCHED
from bntui.recording.guard import damaged
from bntui.recording.kinds import AMOUNT, hold
from bntui.recording.names import SUFFIX, recordings_folder
from bntui.recording.recorded import nothing_recorded
from bntui.recording.schema import open_read_only
from bntui.recording.sentences import EventKind, event_kind, outcome
from bntui.recording.tables import MOST_RUNS, rows
from bntui.text.language import _, spoken
from bntui.text.library_messages import reason
from bntui.text.output import clean
from bntui.text.search import mentions

NEAREST: Final = 3
"""Names that an error suggests at most."""


@dataclass(frozen=True, slots=True)
class ListedRecording:
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
    """True if a trainer is writing it now, or waits until it is told to."""
    problem: str | None
    """Why it cannot be opened; None if it can."""
    host: str = ""
    """Name of another host on which it is being trained; empty if there is none."""
    original: str = ""
    """Title of its scenario in English; empty if it cannot be opened."""
    ending: EventKind | Foreign | None = None
    """How its training ended, ``interrupted`` if it can be resumed; None if it cannot be opened."""
    planned: int = 0
    """Epochs that the longest run was to train."""
    watched: bool = False
    """A training loop of the user's own was recorded; nothing resumes it."""
    paused: bool = False
    """Its trainer waits: nothing is trained until somebody tells it to."""
    seeds: int = 1
    """Number of seeds with which its runs are recorded, their own included."""

    @property
    def ended(self) -> bool:
        """All runs are over, so that nothing is left to train."""
        return self.ending not in (None, "interrupted")

    @property
    def state(self) -> str:
        """What became of it, as a program reads it: ``training``, ``interrupted``, what ended it, or nothing."""
        return "training" if self.growing and not self.ended else str(self.ending or "")

    @property
    def growing(self) -> bool:
        """It is being trained, here or on another host."""
        return self.live or bool(self.host)

    def matches(self, query: str) -> bool:
        """True if its file name, title, and runs contain all words of a query."""
        return mentions(query, self.path.stem, self.title, *self.runs)


def entry(path: Path) -> ListedRecording:
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
        found = _heading(path)
    except RecordingError as error:
        live = path.exists() and is_live(path)  # a circular link has no path to listen at
        return ListedRecording(path, path.stem, (), 0.0, when, size, live, str(error))
    state = state_of(path)
    live = state is not None or (found.watched and recorder(path) is not None)
    return ListedRecording(
        path, found.title, found.runs, found.epochs, when, size, live, None, original=found.original,
        ending=found.ending, planned=found.planned, watched=found.watched, paused=state == "paused",
        seeds=found.seeds,
    )  # fmt: skip


class _Heading(NamedTuple):
    """What a recording tells of itself in an :class:`ListedRecording`."""

    title: str
    runs: tuple[str, ...]
    epochs: float
    original: str
    ending: EventKind | Foreign
    planned: int
    watched: bool
    seeds: int


def _heading(path: Path) -> _Heading:
    """What the list says about a recording.

    Raises:
        RecordingError: the file is not a recording, or is damaged.
    """
    with damaged(path), closing(open_read_only(path)) as database:
        query = "SELECT key, value FROM meta WHERE key IN ('title', 'translation')"
        meta = {row["key"]: row["value"] for row in rows(database, query, of="meta")}
        translated = parsed(meta.get("translation", "{}"), TRANSLATION, "translation").get(spoken(), {})
        labels: Mapping[str, str] = translated.get("runs", {})
        query = f"SELECT run, name, config FROM run ORDER BY run LIMIT {MOST_RUNS}"
        names, planned, watched = {}, [0], False
        for row in rows(database, query, of="run"):
            names[row["run"]] = row["name"]
            config = parsed(row["config"], RUN_CONFIG, "config")
            watched = WATCHED in config
            planned.append(_planned(config))
        if labels and not labels.keys() >= set(names.values()):
            labels = {**labels, **_fork_labels(database, names, labels)}
        epochs = database.execute("SELECT max(epoch) FROM keyframe").fetchone()[0]
        if epochs is None:
            raise nothing_recorded(path)
        hold(AMOUNT, epochs, "epoch")
        happened = rows(database, "SELECT DISTINCT run, kind FROM event", of="event")
        kinds: dict[int, list[EventKind | Foreign]] = {run: [] for run in names}
        for row in happened:
            kinds.setdefault(row["run"], []).append(event_kind(clean(row["kind"])))
        return _Heading(
            title=clean(translated.get("title") or meta["title"]),
            runs=tuple(clean(labels.get(name, name)) for name in names.values()),
            epochs=epochs,
            original=meta["title"],
            ending=outcome(kinds[run] for run in names),
            planned=max(planned),
            watched=watched,
            seeds=1 + _other_seeds(database),
        )


def _planned(config: Mapping[str, Any]) -> int:
    """Epochs that a run was to train; 0 if that is not known of a watched one."""
    return config[WATCHED].get("epochs") or 0 if WATCHED in config else int(config["training"]["epochs"])


def _other_seeds(database: sqlite3.Connection) -> int:
    """Number of other seeds of which epochs are recorded; 0 in formats without them."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'seed'").fetchone():
        return 0
    return int(database.execute("SELECT count(DISTINCT seed) FROM seed WHERE length(block) > 0").fetchone()[0])


def _fork_labels(
    database: sqlite3.Connection, names: Mapping[int, str], labels: Mapping[str, str]
) -> Mapping[str, str]:
    """Names of forks in the language in use, by name."""
    from bntui.recording.runs import fork_label, fork_of  # imports NumPy, which other recordings do not need

    found = dict(labels)
    for row in rows(database, f"SELECT * FROM run ORDER BY run LIMIT {MOST_RUNS}", of="run"):
        fork = fork_of(row["run"], row["fork"]) if "fork" in row.keys() else None  # noqa: SIM118 - a Row
        parent = "" if fork is None else names.get(fork.run, "")
        if parent and row["name"] not in labels:
            found[row["name"]] = fork_label(row["name"], parent, found.get(parent, "")) or row["name"]
    return found


def _time(seconds: float) -> datetime:
    """A modification time; files may claim any."""
    try:
        return datetime.fromtimestamp(seconds).astimezone()
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0).astimezone()


def recordings(folder: Path | None = None) -> tuple[ListedRecording, ...]:
    """All recordings in a folder, newest first; by default the user's, and those being trained wherever they are."""
    paths = known() if folder is None else dict.fromkeys(folder.glob(f"*{SUFFIX}"), "")
    entries = []
    for path, host in paths.items():
        try:
            entries.append(replace(entry(path), host=host))
        except OSError:  # removed after it was listed
            continue
    return tuple(sorted(entries, key=lambda found: found.when, reverse=True))


def known() -> dict[Path, str]:
    """Paths of the recordings in the user's folder and of those being trained, each with the other host that does."""
    paths = dict.fromkeys(recordings_folder().glob(f"*{SUFFIX}"), "")
    listed = {_real(path): path for path in paths}
    for note in trainers():
        path = listed.setdefault(_real(note.recording), note.recording)
        paths[path] = "" if note.here else note.host
    return paths


def refuse_unreadable() -> None:
    """Report that the user's folder of recordings cannot be listed, which is not that it is empty.

    Raises:
        StorageError: the file system refuses.
    """
    folder = recordings_folder()
    try:
        with suppress(FileNotFoundError):
            os.scandir(folder).close()
    except OSError as error:
        raise StorageError(_("{path}: cannot be read: {reason}").format(path=folder, reason=reason(error))) from error


def find(name: str) -> Path:
    """The recording that a command names: a path, or the name of a known one or of one in the current folder.

    The suffix may be left out.

    Raises:
        UsageError: the name is unknown, or several recordings have it.
    """
    here = Path(f"{name}{SUFFIX}")
    if os.path.lexists(name) or os.sep in name:
        return here if os.path.lexists(here) and not os.path.lexists(name) else Path(name)
    paths = known()
    found = [path for path in paths if path.name in (name, here.name)]
    if os.path.lexists(here) and _real(here) not in map(_real, found):
        found.append(here)
    if len(found) == 1:
        return found[0]
    if found:
        sentence = _("{name}: several recordings have this name; give the path of one: {paths}")
        raise UsageError(sentence.format(name=name, paths=", ".join(map(str, found))))
    near = nearest(name.removesuffix(SUFFIX), sorted({path.stem for path in paths}))
    sentence = _("{path}: no such recording").format(path=name)
    raise UsageError(f"{sentence} {did_you_mean(*near)}" if near else sentence)


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """The closest of some names: those that begin with it first."""
    longer = [other for other in names if name and other.startswith(name)]
    close = get_close_matches(name, names, n=NEAREST)
    return list(dict.fromkeys([*longer, *close]))[:NEAREST]


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a circular link
        return path.absolute()
