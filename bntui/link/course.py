"""Remembers in the state folder which scenarios' guided tours were walked to the end."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from bntui.files import read_regular
from bntui.link import state_files


def walked() -> frozenset[str]:
    """English titles of the scenarios whose tours were walked; none if the file is missing or damaged."""
    try:
        told = json.loads(read_regular(_file(), state_files.LARGEST))
    except (OSError, ValueError, RecursionError):
        return frozenset()
    titles = told.get("walked") if isinstance(told, dict) else None
    return frozenset(title for title in titles if isinstance(title, str)) if isinstance(titles, list) else frozenset()


def note(title: str) -> None:
    """Note that the tour of the scenario with this English title was walked; nothing fails if that is impossible."""
    before = walked()
    text = json.dumps({"walked": sorted(before | {title})})
    if title not in before and len(text) <= state_files.LARGEST:
        with contextlib.suppress(OSError):
            state_files.put(_file(), text)


def _file() -> Path:
    return state_files.state_folder() / "course.json"
