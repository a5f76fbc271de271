"""Describes a trial of a sweep as a value that is sent to a worker, perhaps on another machine, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Order:
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
