"""Holds what the event files of a folder say, and counts what could not be used."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.export import restarts
from bntui.text.language import N_

MOST_TAGS: Final = 5_000

CUT: Final = N_("records cut off at the end of a file, which may still be written")
DAMAGED: Final = N_("files whose rest is damaged")
CHECKSUMS: Final = N_("records with a wrong checksum")
LONG: Final = N_("records that are too long")
MALFORMED: Final = N_("records that are not events")
STEPS: Final = N_("events with a step that is not possible")
ALIKE: Final = N_("values with a tag that, shortened and cleaned, is the same as another")
TAGS: Final = N_("tags beyond the limit")
EVENTS: Final = N_("events beyond the limit")
OTHERS: Final = N_("values of other kinds, such as images and texts")
TWICE: Final = N_("values that a later one of the same step replaces")
RESUMED: Final = N_("values of steps that a resumed job went back to, which TensorBoard leaves out, too")
BACK: Final = N_("times that the steps of a tag go back; steps that are not logged again keep their first value")

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram as an event file has it."""

    edges: Doubles
    """Ascending, one more than there are buckets."""
    counts: Doubles
    mean: float = math.nan
    """NaN where the file does not say it."""
    std: float = math.nan


@dataclass(slots=True)
class Logged:
    """What the event files of a folder say."""

    scalars: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    """Values by tag and step."""
    histograms: dict[str, dict[int, Buckets]] = field(default_factory=lambda: defaultdict(dict))
    times: dict[int, float] = field(default_factory=dict)
    """Seconds since 1970, by step."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What could not be used, and how often."""
    events: int = 0
    plugins: dict[str, str] = field(default_factory=dict)
    """What shows a tag; only its first value says so."""
    digests: dict[str, bytes] = field(default_factory=dict)
    """By tag; empty for those that neither :func:`clean` nor :func:`shortened` changed."""
    others: dict[str, None] = field(default_factory=dict)
    """Tags with values that are neither scalars nor histograms."""
    last: dict[str, int] = field(default_factory=dict)
    """The step of the newest value, by tag."""
    prefixes: dict[str, str] = field(default_factory=dict)
    """What was put before a tag."""
    restarts: int = 0
    histograms_kept: int = 0
    """Number of histograms of all tags."""

    def owns(self, tag: str, prefix: str, raw: bytes) -> bool:
        """False if another tag has become this one before."""
        same = prefix.encode() + raw == tag.encode()
        digest = b"" if same else hashlib.blake2b(raw, digest_size=16).digest()
        if tag not in self.digests and len(self.digests) >= MOST_TAGS:
            return True  # such tags are left out later
        return self.digests.setdefault(tag, digest) == digest

    def resume(self, step: int, prefix: str) -> None:
        """Forget what the tags of a folder said of a step, and of later ones: a resumed job writes them again."""
        self.restarts += 1
        if self.restarts > restarts.MOST:
            return
        known: tuple[dict[str, dict[int, Any]], ...] = (self.scalars, self.histograms)
        tags = [tag for tag, of in self.prefixes.items() if of == prefix]
        self.left_out[RESUMED] += restarts.forget((one[tag] for one in known for tag in tags if tag in one), step)
        self.histograms_kept = sum(map(len, self.histograms.values()))
        for tag in tags:
            self.last.pop(tag, None)
        if len(set(self.prefixes.values())) == 1:
            restarts.forget([self.times], step)

    def keep(self, known: dict[str, dict[int, Any]], tag: str, step: int, value: float | Buckets, prefix: str) -> None:
        """Add a value."""
        if step in known[tag]:
            self.left_out[TWICE] += 1
            self.times.pop(step, None)  # the value that counts has a time of its own
        elif isinstance(value, Buckets):
            self.histograms_kept += 1
        if step < self.last.get(tag, 0):
            self.left_out[BACK] += 1
        self.prefixes.setdefault(tag, prefix)
        self.last[tag], known[tag][step] = step, value
