"""Reads the histograms of many keyframes of a run at once, for charts over time."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

import numpy as np

from bntui.keyframe import HISTOGRAM_BINS, QUANTITIES, CountArray, IntArray
from bntui.recording.arrays import array, within
from bntui.recording.codec import row_digest, unpack_arrays
from bntui.recording.history import RunHistory
from bntui.recording.schema import SCALARS
from bntui.recording.tables import rows as rows_of

MOST: Final = 128
"""Keyframes to read from a run; from a longer run, every second, fourth, … keyframe is read, and the newest."""


@dataclass(frozen=True, slots=True, eq=False)
class Histograms:
    """Counts of some keyframes of one run, oldest first; compared by identity, like histories."""

    rows: IntArray
    """Rows of these keyframes in the run's history, shape ``(K,)``."""
    counts: CountArray
    """Shape ``(K, layers, len(QUANTITIES), HISTOGRAM_BINS)``: equal bins from that keyframe's ``min`` to its ``max``.

    0 where a layer does not have the quantity, or the keyframe is damaged; opening that keyframe reports the damage.
    """


def sampled(history: RunHistory) -> IntArray:
    """Rows of at most ``MOST`` keyframes, and of the newest.

    As a run grows, the selection is extended until it is full; then every second row is dropped.
    """
    frames = np.flatnonzero(history.has_frame)
    stride = 1 << max((len(frames) - 1) // MOST, 0).bit_length()
    rows: IntArray = np.union1d(frames[::stride], frames[-1:])
    return rows


def read(database: sqlite3.Connection, history: RunHistory, layers: int, before: Histograms | None) -> Histograms:
    """Histograms of the sampled keyframes; those in ``before`` are not read again."""
    rows = sampled(history)
    if before is not None and np.array_equal(before.rows, rows):
        return before
    counts = np.zeros((len(rows), layers, len(QUANTITIES), HISTOGRAM_BINS), np.int32)
    missing = dict(zip(history.ids[rows].tolist(), range(len(rows)), strict=True))
    if before is not None:
        _kept, here, there = np.intersect1d(rows, before.rows, return_indices=True)
        counts[here] = before.counts[there]
        for place in here.tolist():
            del missing[int(history.ids[rows[place]])]
    marks = ", ".join("?" * len(missing))
    wanted = f"SELECT keyframe.*, block FROM keyframe JOIN measures USING (id) WHERE id IN ({marks})"
    for row in rows_of(database, wanted, tuple(missing), of="keyframe", joined="measures"):
        if row_digest([row[name] for name in SCALARS], row["layers"], row["block"]) == row["digest"]:
            found = array(unpack_arrays(row["block"]), "counts", "ui", counts.shape[1:])
            within("counts", found, 0, 2**31)
            counts[missing[row["id"]]] = found
    return Histograms(rows, counts)
