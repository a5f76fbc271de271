"""Chooses names for new recordings in the user's folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bntui.recording.draft import BESIDE

SUFFIX: Final = ".bntui"


def recordings_folder() -> Path:
    """The default folder for recordings: ``recordings`` in the user's data folder."""
    from platformdirs import user_data_path  # takes a millisecond, which --help should not spend

    return user_data_path("bntui") / "recordings"


def new_path(scenario: str, folder: Path | None = None, *, refused: Iterable[Path] = ()) -> Path:
    """An unused name made of the scenario's name and the next number, and none of those that were refused."""
    folder = recordings_folder() if folder is None else folder
    stem = re.sub(r"[^\w-]+", "-", scenario).strip("-") or "recording"
    # the journal of a deleted recording would corrupt a new recording with the same name
    pattern = re.compile(rf"{re.escape(stem)}-(\d+){re.escape(SUFFIX)}({'|'.join(BESIDE)})?")
    used = (*folder.glob(f"{stem}-*{SUFFIX}*"), *refused)
    taken = [int(match[1]) for path in used if (match := pattern.fullmatch(path.name))]
    return folder / f"{stem}-{max(taken, default=0) + 1:03d}{SUFFIX}"
