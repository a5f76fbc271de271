"""Reads the rows, evidence and last weights of a recording's runs, as far as they are not damaged."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from bntui.audit.course import AuditedRun, Row
from bntui.audit.digests import Damage
from bntui.audit.ledger import Ledger, Place
from bntui.audit.samples import ScaledSamples
from bntui.audit.subject import EVIDENCE
from bntui.errors import RecordingError
from bntui.recording.codec import unpack_arrays
from bntui.recording.evidence import Evidence
from bntui.recording.schema import SCALARS
from bntui.recording.tables import rows

if TYPE_CHECKING:
    from bntui.recording.reader import Reader

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Readable:
    """What can be read of a recording."""

    reader: Reader
    db: sqlite3.Connection
    damage: Damage
    ledger: Ledger
    """Is told of keyframes that match their digests and cannot be read."""

    def rows(self, run: int) -> Iterator[Row]:
        """A run's rows, oldest first; NULL in a numeric column becomes NaN."""
        texts = ("reason", "weights_digest")
        query = f"SELECT id, layers, {', '.join(SCALARS)} FROM keyframe WHERE run = ? ORDER BY id"
        for number, row in enumerate(rows(self.db, query, (run,), of="keyframe")):
            scalars = {name: math.nan if row[name] is None and name not in texts else row[name] for name in SCALARS}
            damaged = row["id"] in self.damage.keyframes
            frame = None
            if row["layers"] is not None and not damaged:
                try:
                    frame = self.reader.keyframe(run, number)
                except RecordingError as error:
                    place = Place(self.reader.runs[run].name, row["step"])
                    self.ledger.fail(EVIDENCE, place, "keyframe", str(error), "+")
                    damaged = True
            yield Row(number, scalars, frame, damaged)

    def evidence(self, run: int, row: Row) -> Evidence | None:
        """The evidence of a row."""
        try:
            return self.reader.evidence(run, row.number)
        except RecordingError:  # already reported by the digest check
            return None

    def progress(self, run: int, row: Row) -> str | None:
        """The trainer's state in a row's evidence."""
        kept = self.reader.state(run, row.number)
        return None if kept is None else kept.progress

    def lost(self, run: int) -> bool:
        """True if the run's last weights are damaged."""
        return (run, "final") in self.damage.checkpoints

    def final(self, run: int, step: int | None = None) -> tuple[int, Mapping[str, Values]] | None:
        """The step and the weights with which a run ended; with ``step``, only if it ended there."""
        if self.lost(run):
            return None
        query, values = "SELECT step, block FROM checkpoint WHERE run = ? AND name = 'final'", [run]
        if step is not None:
            query, values = f"{query} AND step = ?", [run, step]
        found = next(rows(self.db, query, tuple(values), of="checkpoint"), None)
        return None if found is None else (found["step"], unpack_arrays(found["block"]))

    def onward(self, course: AuditedRun, step: int) -> Evidence | None:
        """Recorded arrays of a run after a step: the evidence of the next step or of the run's beginning, or the
        weights kept at the end.
        """
        later, run = course.at(step + 1), course.subject.run.index
        if course.departed(step):
            return None
        evidence = None if later is None or later.frame is None else self.evidence(run, later)
        if evidence is None and course.rows:
            begun = course.rows[0]
            if begun.number == 0 and begun.scalars["step"] == step and begun.frame is not None:
                evidence = self.evidence(run, begun)
        final = self.final(run, step) if evidence is None else None
        return evidence if final is None else Evidence(before=final[1])

    def sizes(self, samples: ScaledSamples | None) -> tuple[int, int] | None:
        """Numbers of training and validation samples: those of the data, or as the recording tells them."""
        if samples is not None:
            return len(samples.data.train), len(samples.data.validation)
        meta = self.reader.meta
        if "train_samples" in meta and "validation_samples" in meta:
            return int(meta["train_samples"]), int(meta["validation_samples"])
        return None
