"""Describes a trial of a sweep as a value that is sent to a worker, perhaps on another machine, and what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """What a pruner needs to know of a trial."""

    number: int
    """Among the trials with the same seed, in the order in which they were begun."""
    values: tuple[float, ...] = ()
    """The goal's figure at the end of each epoch; none if it has no value there."""
    rungs: Mapping[str, float] = field(default_factory=dict)
    """What Optuna's successive halving noted of it."""
    pruned: bool = False
    """It was ended."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """How a trial may be ended early."""

    pruner: str
    """A name of ``pruning.PRUNERS``."""
    figure: str
    """The goal's figure; empty if it has no value in every epoch."""
    larger: bool
    """Larger values of it are better."""
    number: int
    """Of this trial; see :class:`TrialProgress`."""
    known: tuple[TrialProgress, ...] = ()
    """Earlier trials with the same seed."""


@dataclass(frozen=True, slots=True)
class TrialOrder:
    """A trial to train."""

    number: int
    text: str
    """A scenario with the trial's run alone."""
    file: str
    """The scenario file where the sweep was started; data files are relative to its folder."""
    quantities: tuple[str, ...]
    """What to read from the trained run."""
    data: Mapping[str, str]
    """Paths of its data files there, each with its checksum."""
    versions: Mapping[str, str]
    """A worker with others refuses."""
    language: str = "en"
    """Of its messages."""
    pruning: Pruning | None = None
    """None if it is trained to its end."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a worker made of an order."""

    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    """Processor time."""
    recording: bytes = b""
    worker: str = ""
    """The name of its machine and process."""
    failure: str = ""
    """Why the run could not be trained; empty if it was."""
    refusal: str = ""
    """Why this worker must not train it; another one may."""
    course: TrialProgress | None = None
    """If trials may be ended early: what later ones need to know of this one."""


Trained = tuple[TrialOrder, Delivery]


class TrialCrew(Protocol):
    """Workers."""

    def deliveries(self, orders: Iterable[TrialOrder]) -> Iterator[Trained]:
        """Train orders, and yield each once, as it is done.  Orders are drawn when there is a worker for them."""

    def close(self) -> None:
        """End what is still being trained, and the workers that were started here."""
