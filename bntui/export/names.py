"""Makes names of files and folders of the names of runs, which may contain anything."""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import chain, count

from bntui.recording.history import RunInfo
from bntui.text.output import unarmed

_LONGEST = 100
"""Bytes in UTF-8; systems allow 255."""


def run_names(runs: Iterable[RunInfo]) -> dict[int, str]:
    """A name for each run, by its number: its own, without what leads out of a folder; no two are the same."""
    found: dict[int, str] = {}
    for info in runs:
        name = unarmed(info.name).replace("/", "_").replace("\\", "_").strip(" .")
        name = name.encode()[:_LONGEST].decode(errors="ignore") or "run"
        taken = {other.casefold() for other in found.values()}
        numbered = (f"{name} ({number})" for number in count(info.index))
        found[info.index] = next(one for one in chain([name], numbered) if one.casefold() not in taken)
    return found


def free_name(name: str, taken: Container[str]) -> str:
    """The name, or if it is taken, the name with the first number that makes it another."""
    numbered = (f"{name} ({number})" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)
