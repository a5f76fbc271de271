"""Defines what a fuzzer reports."""

from __future__ import annotations

import random
import resource
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

LONGEST: Final = 10.0
"""Seconds that any call may take."""
LARGEST: Final = 1024
"""MiB of memory that any call may use."""
FOUND: Final = Path("build/fuzz")
"""Where inputs that broke something are kept."""


@dataclass(frozen=True, slots=True)
class Crash:
    """One input that broke a promise."""

    case: int
    """Its number: the same seed makes it again."""
    call: str
    """What was called with it."""
    message: str
    """What happened, in one line."""


@dataclass(slots=True)
class Outcome:
    """What happened to all inputs of one run."""

    tried: int = 0
    """Calls made."""
    accepted: int = 0
    """Inputs that were read in spite of their mutation."""
    refused: int = 0
    """Inputs that were refused with a sentence."""
    slowest: float = 0.0
    """Seconds of the slowest call."""
    memory: float = 0.0
    """Peak memory of the process that ran the calls, MiB."""
    crashes: list[Crash] = field(default_factory=list)

    def line(self, name: str) -> str:
        """The whole outcome in one line."""
        return (
            f"{name}: {self.tried} calls, {self.accepted} accepted, {self.refused} refused, "
            f"{len(self.crashes)} crashes, slowest {self.slowest:.2f} s, peak {self.memory:.0f} MiB"
        )


def dice(seed: int, case: int) -> random.Random:
    """The random numbers of one case: independent of all other cases."""
    return random.Random(f"{seed}/{case}")


def peak(pid: int | str = "self") -> float:
    """Peak memory of a process since it was loaded, MiB.

    ``ru_maxrss`` will not do: a process inherits it, through ``exec``, from the one that started it.
    """
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # of this process, in bytes on macOS
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
