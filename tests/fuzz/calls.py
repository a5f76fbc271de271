"""Runs one call of a fuzzer and checks that it ends with a sentence or a result, within its limits."""

from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from bntui.errors import BntuiError
from tests.fuzz.outcome import LARGEST, LONGEST, Crash, Outcome, peak

LONGEST_MESSAGE: Final = 60_000
"""Characters of all that is said of one input."""
LONGEST_SENTENCE: Final = 4000


class TooSlowError(Exception):
    """A call took longer than ``LONGEST`` seconds."""


def attempt(outcome: Outcome, case: int, name: str, call: Callable[[], Any]) -> Any:
    """The result of a call; None where it was refused, or broke the promise, which is noted."""
    outcome.tried += 1
    before, start, result = peak(), time.perf_counter(), None
    try:
        with _limited(), warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning would be written over the screen
            result = call()
        outcome.accepted += 1
    except BntuiError as error:
        outcome.refused += 1
        if complaint := unfit(str(error)):
            outcome.crashes.append(Crash(case, name, complaint))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome.crashes.append(Crash(case, name, f"{type(error).__name__}: {str(error)[:200]!r}"))
    outcome.slowest = max(outcome.slowest, time.perf_counter() - start)
    outcome.memory = peak()
    if outcome.memory - before > LARGEST:
        outcome.crashes.append(Crash(case, name, f"took {outcome.memory - before:.0f} MiB"))
    return result


def unfit(message: str) -> str:
    """What is wrong with a message to the user; empty if nothing is."""
    lines = message.split("\n")
    if not message.strip():
        return "says nothing"
    if not all(line.isprintable() for line in lines):
        return f"control characters in {message[:200]!r}"
    if len(message) > LONGEST_MESSAGE or max(map(len, lines)) > LONGEST_SENTENCE:
        return f"a message of {len(message)} characters, its longest line {max(map(len, lines))}"
    return ""


@contextmanager
def _limited() -> Iterator[None]:
    def late(_number: int, _frame: FrameType | None) -> None:
        raise TooSlowError(f"longer than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
