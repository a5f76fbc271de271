"""Opens a recording, and reads what is fixed about it, its events, and single rows.

Opening takes the same time however many keyframes there are.  :class:`bntui.recording.reader.Reader` adds the histories
of the runs, which are read as a whole.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from bntui.errors import RecordingError
from bntui.keyframe import EarlyStopping, Keyframe, SingleArray
from bntui.recording import seeds
from bntui.recording.arrays import layer_tables, within
from bntui.recording.codec import digest, fields_digest, row_digest, row_figures, unpack_arrays, unpack_keyframe
from bntui.recording.connected import Connected
from bntui.recording.dataset import RecordedData, RecordedScaling, check_predictions, data_of, grid_of, scaling_of
from bntui.recording.evidence import Evidence, TrainerState, check_evidence, evidence_block, progress_of
from bntui.recording.first_view import FirstView
from bntui.recording.foreign_json import parsed
from bntui.recording.forms import ARGUMENTS, PROGRESS, TASK, TRANSLATION
from bntui.recording.guard import Guarded
from bntui.recording.history import SAME_EPOCH, Event, RunInfo
from bntui.recording.kinds import hold
from bntui.recording.runs import labelled, run_info
from bntui.recording.schema import RUN, SCALARS
from bntui.recording.sentences import event_kind
from bntui.recording.tables import MOST_EVENTS, one, rows
from bntui.recording.tour import tour_of
from bntui.text.language import _, spoken
from bntui.text.output import clean


class RowPlace(NamedTuple):
    """Where a row of a run is."""

    id: int
    step: int
    epoch: float
    wall_time: float
    epoch_end: bool


class Recording(Connected):
    """A recording opened for reading: what is fixed about it, its runs, their events, and single rows.

    Raises:
        RecordingError: the file is not a recording, is from a newer version, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._damage():
            found = tuple(rows(self._db, "SELECT key, value FROM meta", of="meta"))
            meta: dict[str, str] = {row["key"]: row["value"] for row in found}
            translated = parsed(meta.get("translation", "{}"), TRANSLATION, "translation").get(spoken(), {})
            self.title: str = clean(translated.get("title") or meta["title"])
            hold(TASK, meta["task"], "task")
            self.task: str = meta["task"]
            self.scenario_text: str = meta["scenario"]
            self.meta: Mapping[str, str] = meta
            self.first_view = FirstView.of(meta)
            self.tour = tour_of(meta, translated)
            self._labels: Mapping[str, str] = translated.get("runs", {})
        self.runs: tuple[RunInfo, ...] = ()
        """In the order of their numbers; :meth:`refresh` adds forks."""
        self._attested: dict[int, bytes] = {}
        """Digest of each run's row, where a run may be amended."""
        self._events: list[Event] = []
        self._last_event = 0
        """Id of the last event that was loaded."""
        self._frame = lru_cache(maxsize=64)(self._read_frame)
        try:
            self.refresh()
        except RecordingError:
            self.close()
            raise

    def refresh(self) -> bool:
        """Load what was committed since the last call; True if there is anything new."""
        before = len(self.runs), self._last_event
        with self._damage(), self._at_one_moment():
            self._read_runs()
            amended = self._read_amended()
            new = self._read_keyframes() or amended
            for row in rows(self._db, "SELECT * FROM event WHERE id > ? ORDER BY id", (self._last_event,), of="event"):
                self._events.append(self._event(row))
                self._last_event = row["id"]
        return new or (len(self.runs), self._last_event) != before

    def _read_runs(self) -> None:
        wanted = "SELECT * FROM run WHERE run >= ? ORDER BY run"
        for row in rows(self._db, wanted, (len(self.runs),), of="run"):
            if row["run"] != len(self.runs):
                sentence = _("run {run} is missing, but there is a run {later}")
                raise ValueError(sentence.format(run=len(self.runs), later=row["run"]))
            info = run_info(row, self._labels)
            self.runs += (labelled(info, self.runs),)
            self.__dict__.pop("dataset", None)  # it contains the scaling of each run

    def _read_amended(self) -> bool:
        """Read the rows of watched runs again whose loops have told more of themselves; True if there are any."""
        if not any(run.watched for run in self.runs):
            return False
        now = {row["run"]: row["digest"] for row in rows(self._db, "SELECT run, digest FROM run", of="run")}
        before, self._attested = self._attested, now
        changed = {number for number, digest in now.items() if before.get(number, digest) != digest}
        for number in changed & set(range(len(self.runs))):
            info = run_info(one(self._db, "SELECT * FROM run WHERE run = ?", (number,), of="run"), self._labels)
            known = self.runs[number]
            if not info.watched or [layer.name for layer in info.layers] != [layer.name for layer in known.layers]:
                raise ValueError(_("run {run} has become another one").format(run=number))
            self.runs = (*self.runs[:number], info, *self.runs[number + 1 :])
        return bool(changed)

    def _read_keyframes(self) -> bool:
        """Load the keyframes' scalars that are new, in a reader that keeps them; True if there are any."""
        return False

    @property
    def event_count(self) -> int:
        """Events of all runs."""
        return len(self._events)

    def events(self, run: int) -> tuple[Event, ...]:
        """What happened to a run, oldest first."""
        return tuple(event for event in self._events if event.run == run)

    def place(self, run: int, step: float = math.inf) -> RowPlace | None:
        """Where the row of a step is, or the last row of a run; None if the run has no such row."""
        return self._row(run, "step >= 0") if step == math.inf else self._row(run, "step = ?", step)

    def first(self, run: int) -> RowPlace | None:
        """Where the first row of a run is; None before its first keyframe."""
        return self._row(run, "step >= 0", order="ASC")

    def frame_at(self, run: int, epoch: float) -> RowPlace | None:
        """Where the last keyframe of a run at or before an epoch is; None if there is none."""
        return self._row(run, "epoch <= ? AND layers IS NOT NULL", epoch + SAME_EPOCH)

    def _row(self, run: int, condition: str, *parameters: float, order: str = "DESC") -> RowPlace | None:
        """The last row of a run for which an SQL condition is true, or the first one."""
        wanted = f"SELECT id, step, epoch, wall_time, epoch_end FROM keyframe WHERE run = ? AND {condition}"
        with self._damage():
            found = rows(self._db, f"{wanted} ORDER BY step {order} LIMIT 1", (run, *parameters), of="keyframe")
            row = next(found, None)
            if row is None:
                return None
            wall_time = math.nan if row["wall_time"] is None else row["wall_time"]
            return RowPlace(row["id"], row["step"], row["epoch"], wall_time, bool(row["epoch_end"]))

    def frame(self, run: int, place: RowPlace) -> Keyframe:
        """The keyframe of a row; its digest is checked.

        Raises:
            RecordingError: the row has only an epoch's scalars, or its digest does not match.
        """
        return self._frame(run, place.id)

    def nearest_state(self, run: int, step: int) -> TrainerState | None:
        """The state of a run before its last keyframe up to a step that has evidence; None if there is none.

        Raises:
            RecordingError: its digest does not match.
        """
        with self._damage():
            wanted = (
                "SELECT keyframe.id FROM keyframe CROSS JOIN evidence USING (id)"
                " WHERE run = ? AND step <= ? ORDER BY step DESC"
            )
            found = (self._state(run, row["id"]) for row in rows(self._db, wanted, (run, step), of="keyframe"))
            return next((state for state in found if state is not None), None)

    def _state(self, run: int, row: int) -> TrainerState | None:
        """The state before the step of the row with this id; see :meth:`bntui.recording.reader.Reader.state`."""
        block = self._evidence_block(row)
        if block is None:
            return None
        evidence = self._evidence_in(block, run)
        with self._damage():
            progress = progress_of(block)
            if progress is not None:
                parsed(progress, PROGRESS, "progress")
        return None if progress is None else TrainerState(evidence, progress)

    def _evidence_in(self, block: bytes, run: int) -> Evidence:
        with self._damage():
            evidence = Evidence.of({clean(name): values for name, values in unpack_arrays(block).items()})
            check_evidence(evidence, self.runs[run].layers, self.runs[run].stages)
            return evidence

    def _evidence_block(self, row: int) -> bytes | None:
        """The evidence of the row with this id, its digest checked; None if it was thinned out."""
        with self._damage():
            return evidence_block(self._db, self.path, row)

    def weights(self, run: int, after: int = -1) -> dict[int, str]:
        """Digest of the parameters and buffers after each recorded step of a run later than ``after``, by step."""
        with self._damage():
            wanted = "SELECT step, weights_digest FROM keyframe WHERE run = ? AND step > ?"
            return {row["step"]: row["weights_digest"] for row in rows(self._db, wanted, (run, after), of="keyframe")}

    @property
    def seeds_left(self) -> int:
        """Number of trainings with other seeds that were asked for and have not ended."""
        with self._damage(), self._at_one_moment():
            return len(self.runs) * (seeds.asked(self._db) - 1) - len(seeds.ended(self._db))

    def seed_courses(self) -> seeds.SeedCourses:
        """What is recorded of all runs with other seeds."""
        with self._damage(), self._at_one_moment():
            found = seeds.SeedCourses()
            found.read(self._db, len(self.runs))
            return found

    def has_checkpoint(self, run: int, name: str) -> bool:
        """True if the run has a checkpoint with that name."""
        with self._damage():
            found = self._db.execute("SELECT 1 FROM checkpoint WHERE run = ? AND name = ?", (run, name)).fetchone()
        return found is not None

    def verify_runs(self) -> None:
        """Check the row of each run against its digest, if the format has one.

        Raises:
            RecordingError: a digest does not match.
        """
        with self._damage():
            for row in rows(self._db, "SELECT * FROM run", of="run"):
                if "digest" in row.keys() and fields_digest(*(row[name] for name in RUN)) != row["digest"]:  # noqa: SIM118
                    sentence = _("{path}: the run {run!r} is damaged: its digest does not match")
                    raise RecordingError(sentence.format(path=self.path, run=clean(row["name"])))

    def data_fits(self, checksum: bytes) -> bool:
        """True if the samples match their digest.

        Args:
            checksum: BLAKE2b digest of the current bytes of inputs and targets, which is the digest in formats before
                3, and in recordings without their samples.
        """
        with self._damage():
            row = one(self._db, "SELECT block, digest FROM data WHERE name = 'data'", of="data")
            return row["digest"] in (checksum, b"" if row["block"] is None else digest(row["block"]))

    def scaling(self, run: int) -> RecordedScaling:
        """A run's feature scaling."""
        with self._damage():
            row = one(self._db, "SELECT scaling FROM run WHERE run = ?", (run,), of="run")
            return scaling_of(row["scaling"])

    @cached_property
    def dataset(self) -> RecordedData | None:
        """The samples; None if they were too large to be stored.

        Raises:
            RecordingError: the samples are damaged.
        """
        with self._damage():
            row = next(rows(self._db, "SELECT block, source FROM data WHERE name = 'data'", of="data"), None)
            if row is None or row["block"] is None:
                return None
            scalings = rows(self._db, "SELECT scaling FROM run ORDER BY run", of="run")
            return data_of(row, self.task, [scaling_of(row["scaling"]) for row in scalings], self.grid)

    @property
    def data_checksum(self) -> bytes:
        """BLAKE2b digest of inputs and targets, 16 bytes."""
        if (data := self.dataset) is not None:
            return hashlib.blake2b(data.x.tobytes() + data.y.tobytes(), digest_size=16).digest()
        with self._damage():
            row = one(self._db, "SELECT digest FROM data WHERE name = 'data'", of="data")
            return bytes(row["digest"])

    @cached_property
    def grid(self) -> tuple[SingleArray, ...]:
        """The axes of the grid of predictions, in raw units; empty without a grid."""
        row = next(rows(self._db, "SELECT block FROM data WHERE name = 'grid'", of="data"), None)
        return () if row is None or row["block"] is None else grid_of(row["block"])

    def _read_frame(self, run: int, row_id: int) -> Keyframe:
        with self._damage():
            wanted = "SELECT keyframe.*, block FROM keyframe LEFT JOIN measures USING (id) WHERE id = ?"
            row = one(self._db, wanted, (row_id,), of="keyframe", joined="measures")
            place = {"path": self.path, "run": self.runs[run].called, "step": row["step"]}
            if row_digest([row[name] for name in SCALARS], row["layers"], row["block"]) != row["digest"]:
                sentence = _("{path}: the keyframe of run {run!r} at step {step} is damaged: its digest does not match")
                raise RecordingError(sentence.format(**place))
            if row["block"] is None:
                sentence = _("{path}: the keyframe of run {run!r} at step {step} contains only the epoch's scalars")
                raise RecordingError(sentence.format(**place))
            info = self.runs[run]
            stopping = None
            if info.early_stopping is not None:
                stopping = EarlyStopping(
                    monitor=clean(info.early_stopping["monitor"]),
                    patience=info.early_stopping["patience"],
                    **row_figures(row, EarlyStopping),
                )
            (table,) = layer_tables([row["layers"]], len(info.layers))
            frame = unpack_keyframe(row_figures(row, Keyframe), table, row["block"], info.layers, stopping)
            self._fits_data(frame)
            return frame

    def _fits_data(self, frame: Keyframe) -> None:
        """Raises ValueError where predictions are none of the grid, or name a class that there is not."""
        if frame.predictions is None:
            return
        check_predictions(frame.predictions, self.grid)
        try:
            data = self.dataset
        except RecordingError:  # said where the samples are looked at; no panel shows predictions without them
            return
        if frame.predictions.classes is not None and data is not None:
            within("predicted_classes", frame.predictions.classes, 0, len(data.classes))

    def _event(self, row: sqlite3.Row) -> Event:
        if row["run"] >= len(self.runs) or len(self._events) >= MOST_EVENTS:
            sentence = _("event {id} belongs to none of the {count} runs, or there are too many events")
            raise ValueError(sentence.format(id=row["id"], count=len(self.runs)))
        if row["id"] <= self._last_event:
            raise ValueError(_("the ids of the table {table} do not ascend").format(table="event"))
        told = parsed(row["arguments"], ARGUMENTS, "arguments") if "arguments" in row.keys() else {}  # noqa: SIM118
        kind = event_kind(clean(row["kind"]))
        return Event(row["run"], row["step"], row["epoch"], kind, clean(row["message"]), told)

    @contextmanager
    def snapshot(self) -> Iterator[Guarded]:
        """A consistent snapshot: everything read inside, with this reader or its connection, has the same state.

        The trainer keeps recording and thinning, but cannot checkpoint its WAL until the snapshot ends.
        """
        with self._at_one_moment():
            self.refresh()
            yield self._db
