"""Finds the scenario that a command names."""

from __future__ import annotations

from pathlib import Path

from bntui.errors import UsageError
from bntui.recording.names import SUFFIX
from bntui.scenario.gallery import find
from bntui.text.language import _


def scenario_file(name: str) -> Path:
    """The file with this path, or the built-in scenario with this name.

    Raises:
        UsageError: there is none, or it is a recording.
    """
    path = find(name)
    if path.suffix == SUFFIX and path.is_file():
        sentence = _("{path}: is a recording, not a scenario; open it with bntui replay, check it with bntui audit")
        raise UsageError(sentence.format(path=path))
    return path
