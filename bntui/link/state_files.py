"""Writes small files into the user's state folder, each completely or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

DRAFT: Final = ".note-"
"""How the temporary name of a file begins."""
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
    descriptor, draft = tempfile.mkstemp(prefix=DRAFT, dir=path.parent)  # with mode 0600
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    os.replace(draft, path)
