"""What is on the screen while a trainer starts?"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static


class StartingScreen(Screen[None]):
    """One calm line until the first keyframe is recorded."""

    CSS = """
    StartingScreen { align: center middle; }
    StartingScreen Static { width: auto; color: $text-muted; }
    """

    def compose(self) -> ComposeResult:
        yield Static("Starting the trainer: data, networks, first keyframe …", markup=False)
