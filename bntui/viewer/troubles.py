"""Where did it go wrong first?  The events that name a bad tensor or a gradient that died, and the panel to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bntui.insight.verdicts import VANISHING_BELOW
from bntui.language import _
from bntui.recording.history import Event, Unit
from bntui.viewer import epochs
from bntui.viewer.view import TROUBLES

BACKWARD: Final = ("weight gradient", "activation gradient")
"""Quantities of the way back, as they are recorded."""
DEAD_BELOW: Final = "1e−8"
"""Share of the last layer's gradient below which the trainer calls a layer's dead, as it is read."""


def troubles(events: Sequence[Sequence[Event]], unit: Unit) -> tuple[Event, ...]:
    """All of them in all runs, in the order of the axis of time."""
    found = [event for of_run in events for event in of_run if event.kind in TROUBLES]
    return tuple(sorted(found, key=lambda event: (epochs.of_event(event, unit), event.run, event.kind != "first_bad")))


def following(found: Sequence[Event], last: Event | None) -> Event | None:
    """The one after the one that was looked at last; after the last one the first; None where there is none."""
    if not found:
        return None
    return found[(found.index(last) + 1) % len(found)] if last in found else found[0]


def none() -> str:
    """That nothing of the kind happened, and how that goes together with gradients that are called vanishing."""
    words = _(
        "No value turned NaN or infinite here, and no gradient died (below {dead} of the last layer's). "
        "Vanishing, below {vanishing}, is marked by ◇ on the timeline."
    )
    return words.format(dead=DEAD_BELOW, vanishing=f"{VANISHING_BELOW:.0e}".replace("e-0", "e−"))


def panel(event: Event) -> str:
    """The panel in which it is seen."""
    backward = event.kind == "died" or event.arguments.get("quantity") in BACKWARD
    return "gradients" if backward else "layers"
