"""Joins pictures into an animated GIF or an MP4, with ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from bntui.errors import BntuiError, UsageError
from bntui.text.endings import how_ended
from bntui.text.language import N_, _
from bntui.text.output import shortened

PROGRAM: Final = "ffmpeg"
LONGEST: Final = 300
"""Characters of its complaints that are repeated."""
FILTERS: Final = {
    "gif": "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none",
    "mp4": "pad=ceil(iw/2)*2:ceil(ih/2)*2,format=yuv420p",
}
_LACKING: Final = {
    ".gif": N_(
        "{suffix} needs ffmpeg, which is not installed; install it with your system's packages (apt install ffmpeg,"
        " brew install ffmpeg), or write a .cast and convert it with: agg FILE.cast FILE.gif"
    ),
    ".mp4": N_(
        "{suffix} needs ffmpeg, which is not installed; install it with your system's packages (apt install ffmpeg,"
        " brew install ffmpeg), or write a .cast and play it with: asciinema play FILE.cast"
    ),
}


def need_program(suffix: str) -> str:
    """The path of ffmpeg.

    Raises:
        UsageError: it is not installed.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise UsageError(_(_LACKING[suffix]).format(suffix=suffix))
    return found


def video(frames: Sequence[tuple[bytes, float]], kind: Literal["gif", "mp4"], target: Path) -> None:
    """Write PNG pictures of one size, each of which stands for some seconds, as one moving picture.

    Raises:
        UsageError: ffmpeg is not installed.
        BntuiError: it failed.
        OSError: the file, or one for ffmpeg, cannot be written.
    """
    program = need_program(f".{kind}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = ["ffconcat version 1.0"]
        for number, (png, seconds) in enumerate(frames):
            (folder / f"{number}.png").write_bytes(png)
            script += [f"file {number}.png", f"duration {seconds:.3f}"]
        script.append(f"file {len(frames) - 1}.png")  # the last duration counts only with a file after it
        (folder / "frames").write_text("\n".join(script), encoding="ascii")
        made = folder / "made"
        done = subprocess.run(
            [
                program, "-v", "error", "-nostdin", "-y", "-f", "concat", "-i", "frames", "-vf", FILTERS[kind],
                # without -xerror, a file without its end is no error
                "-xerror", "-f", kind, made.name,
            ],
            cwd=folder, capture_output=True, check=False, text=True, errors="replace",
        )  # fmt: skip
        if done.returncode:
            why = done.stderr.strip() or how_ended(done.returncode)
            raise BntuiError(_("ffmpeg failed: {reason}").format(reason=shortened(why, LONGEST)))
        target.write_bytes(made.read_bytes())
