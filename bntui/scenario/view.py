"""Defines ``[view]``: what the screen shows when a scenario or a recording of it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from bntui.scenario.fields import Line, Panel, Table
from bntui.scenario.pace import FASTEST, SLOWEST

MAX_PANELS: Final = 16
NO_RUN: Final = "none"
"""What ``pinned`` says to pin no run."""


Pace = Annotated[float, Field(ge=SLOWEST, le=FASTEST)] | Literal["max"]


class ViewTable(Table):
    """``[view]``: what the screen shows first."""

    selected: Line | None = Field(None, description="Name of the selected run. Default: the first run.")
    pinned: Line | None = Field(
        None, description="Name of the run pinned beside it, or none. Default: the first other run."
    )
    panels: tuple[Panel, ...] = Field(
        (),
        max_length=MAX_PANELS,
        description="Panels for the main screen, the most important first; it is focused, and alone on a small screen."
        " Others fill the remaining room.",
    )
    cursor: Annotated[float, Field(ge=0)] | Literal["newest"] = Field(
        "newest", description="Where the cursor starts: newest (follows training), or an epoch."
    )
    pace: Pace | None = Field(
        None,
        description="Epochs per second while training is watched, or max. Default: the longest run takes 30 seconds.",
    )
    paused: bool = Field(False, description="Wait for a key before training.")

    def as_json(self) -> Mapping[str, Any]:
        """What was set, as recorded."""
        return self.model_dump(mode="json", exclude_unset=True)
