"""Makes names of files and folders of the names of runs, which may contain anything."""

from __future__ import annotations

from collections.abc import Iterable

from bntui.recording.history import RunInfo
from bntui.text.output import unarmed

_LONGEST = 100


def run_names(runs: Iterable[RunInfo]) -> dict[int, str]:
    """A name for each run, by its number: its own, without what leads out of a folder; no two are the same."""
    found: dict[int, str] = {}
    for info in runs:
        name = unarmed(info.name).replace("/", "_").replace("\\", "_").strip(" .")[:_LONGEST] or "run"
        taken = {other.casefold() for other in found.values()}
        found[info.index] = name if name.casefold() not in taken else f"{name} ({info.index})"
    return found
