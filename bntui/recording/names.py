"""Names new recordings, in the user's folder for them."""

from __future__ import annotations

import re
from pathlib import Path

from bntui.recording.draft import BESIDE


def recordings_folder() -> Path:
    """Where recordings go by default: ``recordings`` in the user's data folder."""
    from platformdirs import user_data_path  # costs a millisecond that --help need not pay

    return user_data_path("bntui") / "recordings"


def new_path(scenario: str, folder: Path | None = None, *, skip: int = 0) -> Path:
    """A name that overwrites nothing: the scenario's, with a number; ``skip`` leaves out so many that are held."""
    folder = recordings_folder() if folder is None else folder
    stem = re.sub(r"[^\w-]+", "-", scenario).strip("-") or "recording"
    # a journal that a deleted recording left behind would ruin a new one of its name
    pattern = re.compile(rf"{re.escape(stem)}-(\d+)\.bntui({'|'.join(BESIDE)})?")
    taken = [int(match[1]) for path in folder.glob(f"{stem}-*.bntui*") if (match := pattern.fullmatch(path.name))]
    return folder / f"{stem}-{max(taken, default=0) + 1 + skip:03d}.bntui"
