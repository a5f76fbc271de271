"""Declares what a trainer and its workers tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bntui.recording.history import Event
from bntui.recording.packed import PackedEvidence, PackedKeyframe
from bntui.recording.sentences import EventKind
from bntui.trainer.cores.carried import Carried
from bntui.trainer.progress import Progress

# --- to a worker ---


@dataclass(frozen=True, slots=True)
class Load:
    """Load the samples of a recording, and answer :class:`Ready`, or :class:`NotFound`."""

    recording: str


@dataclass(frozen=True, slots=True)
class Hand:
    """Take over a run; answer :class:`NotFound` if that is impossible."""

    recording: str
    run: int
    carried: Carried
    number: int
    """Number of its next keyframe with evidence."""
    keeps: bool
    """Evidence is kept at all."""


@dataclass(frozen=True, slots=True)
class TrainEpoch:
    """Train a run to the end of its epoch, and answer :class:`Done` after what there is to record."""

    recording: str
    run: int
    stride: int
    """Evidence of keyframes whose number is a multiple of it is due."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Stop after the current step, forget all runs, and answer :class:`Idle`."""


Order = Load | Hand | TrainEpoch | Recall

# --- from a worker ---


@dataclass(frozen=True, slots=True)
class Commit:
    """A keyframe; see :meth:`bntui.recording.writer.Writer.commit`."""

    frame: PackedKeyframe
    epoch_end: bool
    best: bool
    measured: bool
    """It has evidence, even if that is not sent, because it is not due."""
    evidence: PackedEvidence | None
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The weights that a run ends with; see :meth:`bntui.recording.writer.Writer.checkpoint`."""

    name: str
    step: int
    block: bytes
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Together:
    """What is recorded in one transaction."""

    run: int
    records: tuple[Commit | Checkpoint, ...]

    @property
    def size(self) -> int:
        """Bytes of the evidence, which is most of it."""
        return sum(len(one.evidence.block) for one in self.records if isinstance(one, Commit) and one.evidence)


@dataclass(frozen=True, slots=True)
class Done:
    """An epoch of a run is over, or the worker was to leave it."""

    run: int
    progress: Progress
    seconds: float
    """What it took."""
    over: bool
    told: frozenset[EventKind]
    since: int
    recorded: int
    state: bytes | None
    """As in :class:`Carried`; None if the last evidence that was sent is that state."""
    best: bytes | None
    """As in :class:`Carried`; None if it is as before."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The samples are loaded."""


@dataclass(frozen=True, slots=True)
class Idle:
    """The worker has no runs."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """The recording is not where an order says, because it was renamed since: the order is not obeyed."""

    run: int | None
    """The run that was not taken over; None if the samples were not loaded."""


Answer = Together | Done | Ready | Idle | NotFound
