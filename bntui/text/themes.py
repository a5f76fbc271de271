"""Names the themes of the screen, for the command line, the configuration file and the viewer."""

from __future__ import annotations

from typing import Final

THEMES: Final = ("dark", "light", "terminal", "projector")
"""``terminal`` uses the terminal's own 16 colors, ``projector`` has heavier strokes for a lecture hall."""
