"""Says in sentences where a fork begins and what it changes."""

from __future__ import annotations

from typing import Any

from bntui.recording.history import Fork, RunInfo
from bntui.text import figures
from bntui.text.language import _


def parent_of(run: RunInfo) -> int | None:
    """Number of a fork's parent; None for other runs, and for an untrusted file that names a later run."""
    return run.fork.run if run.fork is not None and 0 <= run.fork.run < run.index else None


def begins(fork: Fork, parent: str) -> str:
    """Where a fork begins, in the language in use.

    Args:
        parent: name of the run that it is a fork of.
    """
    place = {"step": figures.count(fork.step), "epoch": figures.epoch(fork.epoch)}
    return _("begins after step {step} of {run}, epoch {epoch}").format(run=parent, **place)


def changed(fork: Fork) -> str:
    """What a fork changes, in the language in use; empty if nothing."""
    words = ", ".join(f"{path} {value_text(old)} → {value_text(new)}" for path, old, new in fork.changes)
    return _("changed: {changes}").format(changes=words) if words else ""


def value_text(value: Any) -> str:
    """The value of a setting as short text."""
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else "{…}" if isinstance(value, dict) else str(value)
