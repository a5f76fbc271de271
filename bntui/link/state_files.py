"""Writes small files into the user's state folder, each completely or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bntui import drafts

LARGEST: Final = 100_000
"""Maximum size of a file in bytes."""


def state_folder() -> Path:
    """The user's state folder."""
    from platformdirs import user_state_path

    return user_state_path("bntui")


def put(path: Path, text: str) -> None:
    """Replace a file by this ASCII text; only the user may read it.

    Raises:
        OSError: it could not be written; what was there before is kept.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    drafts.put(path, text.encode("ascii"), private=True)
