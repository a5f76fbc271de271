"""Finds the events that say where a run first failed, and the panel that shows it."""

from __future__ import annotations

from collections.abc import Sequence

from bntui.insight.verdicts import BAD, measured, verdict_changes
from bntui.recording.history import Event, RunHistory, RunInfo, Unit
from bntui.recording.sentences import BACKWARD, DEAD_BELOW, traits
from bntui.text.language import _
from bntui.viewer import epochs
from bntui.viewer.panels import PANELS


def troubles(events: Sequence[Sequence[Event]], unit: Unit) -> tuple[Event, ...]:
    """The events of trouble in all runs, in the order of their positions."""
    found = [event for of_run in events for event in of_run if traits(event.kind).trouble]
    return tuple(sorted(found, key=lambda event: (epochs.of_event(event, unit), event.run, event.kind != "first_bad")))


def following(found: Sequence[Event], last: Event | None) -> Event | None:
    """The event after ``last``, wrapping around; the first one if ``last`` is not among them; None without events."""
    if not found:
        return None
    return found[(found.index(last) + 1) % len(found)] if last in found else found[0]


def none(histories: Sequence[RunHistory], runs: Sequence[RunInfo]) -> str:
    """The message that there is no such event, and that the timeline marks vanishing or exploding gradients if any."""
    words = _(
        "No NaN, no infinite value and no dead gradient is recorded (dead: exactly 0, or below {dead} of the last "
        "layer's)."
    ).format(dead=f"{DEAD_BELOW:.0e}".replace("e-0", "e−"))
    every = zip(histories, runs, strict=True)
    changes = [verdict for history, run in every for _place, verdict in verdict_changes(history, measured(run.layers))]
    if not set(changes) & set(BAD):
        return words
    return f"{words} " + _("◇ on the timeline marks where gradients vanish or explode.")


def panel(event: Event) -> str:
    """Name of the panel that shows an event."""
    backward = event.kind == "died" or event.arguments.get("quantity") in BACKWARD
    return next(panel.name for panel in PANELS if panel.shows == ("backward" if backward else "forward"))
