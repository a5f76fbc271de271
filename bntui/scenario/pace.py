"""Decides how fast training runs while it is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SLOWEST: Final = 1e-3
FASTEST: Final = 1e6
"""Limits of a pace in epochs per second."""
WATCHED_SECONDS: Final = 30.0
"""How long the longest run takes on the screen unless something else is asked for."""
SLOWEST_WATCHED: Final = 0.5
"""Epochs per second below which one would wait for news rather than watch, however few epochs there are."""

AskedPace = float | Literal["max"] | None
"""Epochs per second, ``max``, or None for the default."""


@dataclass(frozen=True, slots=True)
class PacingOptions:
    """What the user asked for, on the command line or in the configuration, about training on the screen."""

    pace: AskedPace = None
    """Overrides the scenario's."""
    paused: bool | None = None
    """Wait for a key before training; None: as the scenario says."""

    def pace_of(self, epochs: int, scenario: AskedPace) -> float | None:
        """The pace in epochs per second; None is unthrottled.

        Args:
            epochs: of the longest run.
            scenario: what the scenario says.
        """
        asked = scenario if self.pace is None else self.pace
        if asked is None:
            return min(max(epochs / WATCHED_SECONDS, SLOWEST_WATCHED), FASTEST)
        return None if asked == "max" else float(asked)


NOTHING_ASKED: Final = PacingOptions()
