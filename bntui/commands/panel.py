"""Prints a panel, the whole screen or the microscope of a recording to a terminal or a file."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.color import ColorSystem

from bntui.commands import preference
from bntui.commands.show import find_run
from bntui.errors import UsageError
from bntui.export.scene import Scene, find_panel, parse_size
from bntui.pictures.ansi import ansi, colors_of
from bntui.recording.recorded import recorded
from bntui.text.language import _
from bntui.viewer.draw.theme import OWN, palette_of
from bntui.viewer.picture import line
from bntui.viewer.terminal.ground import dark_by_variable

WHEN: Final = ("always", "never", "auto")
TALLEST: Final = 30
"""Rows of a panel that fits the terminal."""


def check_color(wanted: str) -> str:
    """Check the value of ``--color``.

    Raises:
        UsageError: it is not one of ``WHEN``.
    """
    if wanted not in WHEN:
        raise UsageError(_("--color = {color!r}: choose {allowed}").format(color=wanted, allowed=", ".join(WHEN)))
    return wanted


@dataclass(frozen=True, slots=True)
class PanelOptions:
    """Which panel is printed, and how, as on the command line."""

    panel: str
    """Its name or key; or ``screen``, or ``microscope``."""
    run: str | None = None
    epoch: float | None = None
    size: str | None = None
    """Columns and rows, such as ``80x24``; by default, what fits the terminal."""
    color: str = "auto"
    """One of ``WHEN``."""
    theme: str | None = None
    """By default the configuration's, otherwise the terminal's own colors."""


def lines(recording: Path, options: PanelOptions) -> Iterator[str]:
    """The rows of a panel as text for stdout.

    Raises:
        UsageError: there is no such panel, run or keyframe, or an option is not valid.
        RecordingError: the file is not a recording, or a keyframe is damaged.
    """
    name, colors = find_panel(options.panel), colors_of(check_color(options.color), sys.stdout, os.environ)
    theme = options.theme or preference.configuration().get("theme", OWN)
    palette = palette_of(theme, dark=dark_by_variable(os.environ), few=colors is ColorSystem.STANDARD)
    size = parse_size(options.size) if options.size is not None else _terminal() if sys.stdout.isatty() else None
    with contextlib.closing(recorded(recording)) as reader:
        runs = () if options.run is None else (find_run(reader, options.run),)
        scene = Scene.of(reader, name, runs=runs, size=size, heavy=palette.heavy).at(options.epoch)
        plain = "NO_COLOR" in os.environ and options.color != "always"
        rows = replace(scene, colorless=plain or colors is None).rows()
    for row in rows:
        yield ansi(line(row, scene.size[0], palette, plain=plain), colors)


def _terminal() -> tuple[int, int]:
    """The terminal's width, and as many rows as leave its prompt visible."""
    columns, rows = shutil.get_terminal_size()
    return columns, min(rows - 2, TALLEST)
