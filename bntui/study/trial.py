"""Describes a trial, the training of one run with one seed, as a value that can be sent to another process."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import bntui
from bntui.errors import TrainerError
from bntui.keyframe import FloatArray
from bntui.recording.seeds import SeedEnd
from bntui.scenario.checks import sample_count
from bntui.scenario.schema import RunConfig
from bntui.scenario.sources import kind_of
from bntui.text.language import _

_TRAINS: Final = ("torch", "numpy", "scikit-learn")
"""Libraries whose version may change a figure."""
_TYPICAL_SAMPLES: Final = 2000
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Stem:
    """A run from which a fork starts."""

    config: RunConfig
    step: int
    """The fork, or the next stem, starts after this step."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run to train: its resolved configuration with its seed, its data, and what to read from it."""

    config: RunConfig
    folder: Path
    """Paths of data files are relative to it."""
    quantities: tuple[str, ...] = ()
    """Quantities of claims, without the run."""

    @property
    def cost(self) -> float:
        """A rough measure of its time, to begin the longest trials first."""
        config = self.config
        samples = sample_count(config.data) or config.data.samples or _TYPICAL_SAMPLES
        layers = len(config.network.layer or config.network.hidden or ()) + 1
        steps = math.ceil(samples / config.data.batch_size) * config.training.epochs
        return steps * layers

    def key(self) -> str:
        """A checksum of all that its figures depend on: configuration, data files, and versions.

        Raises:
            OSError: a data file cannot be read.
        """
        found = {
            "run": self.config.model_dump(mode="json"),
            "data": data_digests(self.config, self.folder),
            "bntui": bntui.__version__,
            **library_versions(),
        }
        return hashlib.blake2b(json.dumps(found, sort_keys=True).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trial gave."""

    figures: Mapping[str, float]
    """By quantity; NaN where the run does not have it, infinite for what it never reached."""
    seconds: float = 0.0
    """Processor time.  Of seeds that were trained at once, the first to end has the time until then."""
    failure: str = ""
    """Why it could not be trained; empty if it was."""


@dataclass(frozen=True, slots=True)
class SeedsJob:
    """A run to train with several seeds in one process, together where that is faster."""

    configs: tuple[RunConfig, ...]
    """The resolved configuration with each seed."""
    folder: Path
    """Paths of data files are relative to it."""
    stems: tuple[Stem, ...] = ()
    """Of a fork, which is trained with one seed: its ancestors with that seed, the scenario's own run first."""
    quantities: tuple[str, ...] = ()
    """What to read from each seed once it is trained; without any, its epochs are reported."""
    checksum: bytes = b""
    """The digest that the samples of a data file must have; empty if they may have any."""

    @property
    def threads(self) -> int:
        """The most threads that a step takes."""
        return max(config.training.threads for config in (*self.configs, *(stem.config for stem in self.stems)))


@dataclass(frozen=True, slots=True)
class Epochs:
    """Successive epochs of one of several seeds."""

    number: int
    """Which of the configurations it is, from 0."""
    first: int
    """Number of the first epoch; 0 is the initial state."""
    figures: FloatArray
    """Shape ``(len(recording.seeds.FIGURES), epochs)``."""
    end: SeedEnd | None = None
    """If given, these are the last ones."""


@dataclass(frozen=True, slots=True)
class Read:
    """What one of several seeds gave, where quantities were asked for."""

    number: int
    """Which of the configurations it is, from 0."""
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Over:
    """The end of a job; all that it reported came before."""

    seconds: float = 0.0
    """Processor time."""
    failure: str = ""
    """Why the seeds that have not ended could not be trained; empty if all have ended."""


def library_versions() -> dict[str, str]:
    """The libraries whose version may change a figure."""
    return {name: version(name) for name in _TRAINS}


def data_digests(config: RunConfig, folder: Path) -> list[str]:
    """Checksums of the data files of a run that are there."""
    return [digest for path in data_files(config, folder) if (digest := file_digest(path))]


def data_changed(config: RunConfig, folder: Path) -> Path | None:
    """A data file of a run that is another one than when this process first looked; None if none is."""
    return next((path for path in data_files(config, folder) if current_digest(path) != file_digest(path)), None)


def data_files(config: RunConfig, folder: Path) -> Iterator[Path]:
    """The data files of a run, of an IDX file also that of its labels; none of built-in data."""
    data = config.data
    if kind_of(data.source) == "built-in":
        return
    for name in dict.fromkeys((data.source, data.labels or data.source.replace("images-idx3", "labels-idx1"))):
        yield folder / Path(name).expanduser()


def current_digest(path: Path) -> str:
    """The checksum of a file as it is now, computed again only when the file has changed; empty if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return _digest_of(path, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(16)
def _digest_of(path: Path, _inode: int, _size: int, _changed: int) -> str:
    return _digest(path)


def contents_to_send(name: str, digest: str) -> bytes:
    """The contents of a data file.

    Raises:
        TrainerError: it is gone, or has other contents than when the sweep was started.
    """
    try:
        contents = Path(name).read_bytes()
    except OSError:
        contents = b""
    if hashlib.blake2b(contents, digest_size=16).hexdigest() != digest:
        raise TrainerError(other_data(name))
    return contents


def other_data(path: str | Path) -> str:
    """Says that a data file is not the one that the sweep was started with."""
    sentence = _("{path} is not on this machine, or has other contents than when the sweep was started")
    return sentence.format(path=path)


@cache
def file_digest(path: Path) -> str:
    """The checksum of a file when this process first asked for it; empty if there is none."""
    return _digest(path)


def _digest(path: Path) -> str:
    state = hashlib.blake2b(digest_size=16)
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            state.update(block)
    return state.hexdigest()
