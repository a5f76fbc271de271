"""Prints a panel, the whole screen or the microscope of a recording to a terminal or a file."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
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


def lines(
    recording: Path, panel: str, run: str | None, epoch: float | None, size: str | None, color: str, theme: str | None
) -> Iterator[str]:
    """The rows of a panel as text for stdout.

    Args:
        theme: by default the configuration's, otherwise the terminal's own colors.

    Raises:
        UsageError: there is no such panel, run or keyframe, or an option is not valid.
        RecordingError: the file is not a recording, or a keyframe is damaged.
    """
    name, colors = find_panel(panel), colors_of(check_color(color), sys.stdout, os.environ)
    theme = theme or preference.configuration().get("theme", OWN)
    palette = palette_of(theme, dark=dark_by_variable(os.environ), few=colors is ColorSystem.STANDARD)
    wanted = parse_size(size) if size is not None else _terminal() if sys.stdout.isatty() else None
    with contextlib.closing(recorded(recording)) as reader:
        runs = () if run is None else (find_run(reader, run),)
        scene = Scene.of(reader, name, runs=runs, size=wanted, heavy=palette.heavy).at(epoch)
        rows = scene.rows()
    plain = "NO_COLOR" in os.environ and color != "always"
    for row in rows:
        yield ansi(line(row, scene.size[0], palette, plain=plain), colors)


def _terminal() -> tuple[int, int]:
    """The terminal's width, and as many rows as leave its prompt visible."""
    columns, rows = shutil.get_terminal_size()
    return columns, min(rows - 2, TALLEST)
