"""Finds the processes of a session: those that a command started, and theirs."""

from __future__ import annotations

from pathlib import Path

from tests.waiting import until


def group(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, session = status.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            found.append(int(status.parent.name))
    return found


def gone(leader: int) -> None:
    """Wait for the end of all processes of a session."""
    until(lambda: not group(leader), "the end of all its processes")
