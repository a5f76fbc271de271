"""Keeps the scalars of a run's keyframes in memory, exactly as a recording holds them, for runs that need no file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bntui.keyframe import FloatArray, IntArray, Keyframe
from bntui.recording.arrays import layer_tables
from bntui.recording.codec import layer_table, scalars_of
from bntui.recording.columns import RunColumns
from bntui.recording.history import Event, RunHistory, RunInfo
from bntui.recording.schema import SCALARS


class MemoryWriter:
    """Takes what a run records, in place of a :class:`Writer`; keeps neither arrays nor evidence nor weights."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._layers: list[bytes | None] = []
        self._events: list[Event] = []

    @contextmanager
    def together(self) -> Iterator[None]:
        """A transaction of a :class:`Writer`."""
        yield

    def commit(self, frame: Keyframe, *, epoch_end: bool, events: Sequence[Event] = (), **_evidence: object) -> None:
        """Add a keyframe's scalars and its events."""
        self._rows.append(scalars_of(frame, epoch_end))
        self._layers.append(layer_table(frame.layers).tobytes() if frame.layers else None)
        self._events += events

    def checkpoint(
        self, run: int, name: str, step: int, block: bytes, events: Sequence[Event] = ()  # noqa: ARG002
    ) -> None:  # fmt: skip
        """Add the events; the weights are not kept."""
        self._events += events

    def rows(self, after: int) -> Iterator[dict[str, Any]]:
        """The scalars of the keyframes from number ``after`` on; what is not a number is None."""
        for row in self._rows[after:]:
            yield dict(zip(SCALARS, row, strict=True))

    @property
    def events(self) -> tuple[Event, ...]:
        """All events, in the order recorded."""
        return tuple(self._events)

    def history(self, info: RunInfo) -> RunHistory:
        """The history that a reader of the recording would give, numbered as if the run were alone in it."""
        layers = len(info.layers)

        def load(ids: IntArray) -> FloatArray:
            return layer_tables([self._layers[number - 1] for number in ids.tolist()], layers)

        columns = RunColumns(layers, load)
        named = dict(zip(SCALARS, zip(*self._rows, strict=True), strict=True))
        columns.extend({**named, "id": range(1, len(self._rows) + 1), "layers": self._layers})
        return columns.snapshot()
