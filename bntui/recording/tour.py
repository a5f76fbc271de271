"""Reads the stops of a recording's guided tour, in the user's language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bntui.recording.first_view import FirstView
from bntui.recording.foreign_json import parsed
from bntui.recording.forms import TOUR

KEY = "tour"
"""Key of the metadata; recordings made before tours existed have none."""


@dataclass(frozen=True, slots=True)
class TourStop:
    """One stop; see ``scenario.tour``.  Names that do not exist are said where the stop is shown."""

    question: str
    answer: str
    panel: str
    at: float | str = "end"
    """An epoch, or the name of a place."""
    run: str | None = None
    """None is the first run."""
    layer: str | None = None
    holds: str | None = None


def tour_of(meta: Mapping[str, str], translated: Mapping[str, Any]) -> tuple[TourStop, ...]:
    """The stops in a recording's metadata, with their translated texts if there are as many.

    Raises:
        ValueError: they are not valid.
    """
    stops = parsed(meta.get(KEY, "[]"), TOUR, KEY)
    texts = translated.get(KEY, [])
    said = texts if len(texts) == len(stops) else [{}] * len(stops)
    default = {"run": FirstView.of(meta).selected}
    return tuple(TourStop(**(default | stop | text)) for stop, text in zip(stops, said, strict=True))
