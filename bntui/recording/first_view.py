"""Reads what a scenario wants the screen to show first: its table ``[view]``, as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bntui.recording.foreign_json import parsed
from bntui.recording.forms import FIRST_VIEW

KEY = "view"
"""Key of the metadata; recordings made before the table existed have none."""


@dataclass(frozen=True, slots=True)
class FirstView:
    """What is shown when a recording opens; see ``scenario.view``.  Names that do not exist are ignored."""

    selected: str | None = None
    pinned: str | None = None
    panels: tuple[str, ...] = ()
    cursor: float | None = None
    """An epoch; None is the newest keyframe."""
    pace: float | Literal["max"] | None = None
    """Epochs per second; None where it is not said."""

    @classmethod
    def of(cls, meta: Mapping[str, str]) -> FirstView:
        """What a recording's metadata say.

        Raises:
            ValueError: they are not valid.
        """
        told = parsed(meta.get(KEY, "{}"), FIRST_VIEW, KEY)
        cursor = told.get("cursor", "newest")
        return cls(
            told.get("selected"),
            told.get("pinned"),
            tuple(told.get("panels", ())),
            None if cursor == "newest" else float(cursor),
            told.get("pace"),
        )
