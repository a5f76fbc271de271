"""Writes pictures of a recording, and replays of it as moving ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bntui.drafts import Drafts
from bntui.errors import UsageError
from bntui.export.request import EpochRange, Request, Tell
from bntui.export.scene import SCREEN, Scene, find_panel, parse_size
from bntui.files import in_bytes
from bntui.pictures.cast import HOLD, cast
from bntui.pictures.html import html
from bntui.pictures.picture import Picture
from bntui.pictures.raster import raster
from bntui.pictures.svg import svg
from bntui.pictures.video import need_program, video
from bntui.recording.reader import Reader
from bntui.text.language import _
from bntui.viewer.draw.theme import Palette, palette_of
from bntui.viewer.picture import picture
from bntui.viewer.view import SAME

THEMES: Final = ("dark", "light", "projector")
"""Those that paint a background."""
MOST_RUNS: Final = 3
"""Runs that a picture shows side by side."""
SPEED: Final = 4.0
"""Epochs per second of a replay."""
LONGEST: Final = 30.0
"""Seconds of a replay whose speed was not asked for."""
APART: Final = 1 / 25
"""Least seconds between two frames of a replay."""
VIDEO_SCALE: Final = 1.5


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A request for pictures, checked."""

    scene: Scene
    palette: Palette
    epochs: EpochRange
    speed: float | None

    def still(self) -> Picture:
        """The last keyframe in the epochs that were asked for."""
        last = self.epochs.last
        return self._picture(self.scene.at(last if math.isfinite(last) else None))

    def frames(self) -> Sequence[tuple[float, float]]:
        """When the frames of the replay appear, and the epoch of each."""
        stops = self.scene.stops
        stops = stops[(stops >= self.epochs.first - SAME) & (stops <= self.epochs.last + SAME)]
        if not len(stops):
            raise UsageError(_("{path}: nothing is recorded in these epochs").format(path=self.scene.reader.path))
        first, last = float(stops[0]), float(stops[-1])
        speed = self.speed or max(SPEED, (last - first) / LONGEST)
        found: list[tuple[float, float]] = []
        for stop in stops.tolist():
            at = (stop - first) / speed
            if found and at - found[-1][0] < APART and stop != last:
                continue
            found.append((at, stop))
        return found

    def replay(self, tell: Tell) -> Iterator[tuple[float, Picture]]:
        """The frames of the replay."""
        frames = self.frames()
        for number, (at, epoch) in enumerate(frames):
            yield at, self._picture(self.scene.at(epoch))
            tell(number + 1, len(frames))

    def _picture(self, scene: Scene) -> Picture:
        return picture(scene.title, scene.rows(), scene.size[0], self.palette)


def _wanted(reader: Reader, request: Request) -> _Wanted:
    theme = request.theme or THEMES[0]
    if theme not in THEMES:
        raise UsageError(
            _("--theme {theme}: a picture has one of: {names}").format(theme=theme, names=", ".join(THEMES))
        )
    if request.speed is not None and not (math.isfinite(request.speed) and request.speed > 0):
        raise UsageError(_("--speed {speed:g}: give epochs per second, more than 0").format(speed=request.speed))
    if len(request.runs) > MOST_RUNS:
        raise UsageError(_("--run: a picture shows at most {count} runs").format(count=MOST_RUNS))
    size = parse_size(request.size) if request.size else None
    palette = palette_of(theme)
    panel = find_panel(request.panel or SCREEN)
    scene = Scene.of(reader, panel, runs=request.runs, size=size, heavy=palette.heavy)
    return _Wanted(scene, palette, request.epochs, request.speed)


def write_svg(reader: Reader, request: Request, drafts: Drafts, _tell: Tell) -> list[str]:
    """Write a picture as SVG."""
    still = _wanted(reader, request).still()
    return _written(request.target, drafts, svg(still).encode(), still)


def write_html(reader: Reader, request: Request, drafts: Drafts, _tell: Tell) -> list[str]:
    """Write a picture as a web page."""
    still = _wanted(reader, request).still()
    return _written(request.target, drafts, html(still).encode(), still)


def write_png(reader: Reader, request: Request, drafts: Drafts, _tell: Tell) -> list[str]:
    """Write a picture as PNG, two pixels for each of the SVG's."""
    still = _wanted(reader, request).still()
    return _written(request.target, drafts, raster(svg(still), still.title, "png"), still)


def write_pdf(reader: Reader, request: Request, drafts: Drafts, _tell: Tell) -> list[str]:
    """Write a picture as a page of PDF, with its fonts."""
    still = _wanted(reader, request).still()
    return _written(request.target, drafts, raster(svg(still), still.title, "pdf"), still)


def write_cast(reader: Reader, request: Request, drafts: Drafts, tell: Tell) -> list[str]:
    """Write a replay as a recording of a terminal."""
    wanted = _wanted(reader, request)
    with drafts.new(request.target).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(cast(wanted.replay(tell)))
    return _replayed(request.target, wanted)


def write_gif(reader: Reader, request: Request, drafts: Drafts, tell: Tell) -> list[str]:
    """Write a replay as an animated GIF."""
    return _video(reader, request, drafts, tell, "gif")


def write_mp4(reader: Reader, request: Request, drafts: Drafts, tell: Tell) -> list[str]:
    """Write a replay as a video."""
    return _video(reader, request, drafts, tell, "mp4")


def _video(
    reader: Reader, request: Request, drafts: Drafts, tell: Tell, kind: Literal["gif", "mp4"]
) -> list[str]:  # fmt: skip
    need_program(f".{kind}")
    wanted, draft = _wanted(reader, request), drafts.new(request.target)
    times = [at for at, _epoch in wanted.frames()]
    standing = [after - at for at, after in zip(times, [*times[1:], times[-1] + HOLD], strict=True)]
    pictures = (one for _at, one in wanted.replay(tell))
    frames = [
        (raster(svg(one), one.title, "png", VIDEO_SCALE), seconds)
        for one, seconds in zip(pictures, standing, strict=True)
    ]
    video(frames, kind, draft)
    return _replayed(request.target, wanted)


def _written(path: Path, drafts: Drafts, content: bytes, still: Picture) -> list[str]:
    drafts.new(path).write_bytes(content)
    said = _("{path}: {title}, {columns}x{rows} cells, {size}")
    size = in_bytes(len(content))
    return [said.format(path=path, title=still.title, columns=still.columns, rows=len(still.lines), size=size)]


def _replayed(path: Path, wanted: _Wanted) -> list[str]:
    frames = wanted.frames()
    said = _("{path}: epochs {first:g} to {last:g}, {count} frames, {seconds:.1f} seconds")
    first, last, seconds = frames[0][1], frames[-1][1], frames[-1][0] + HOLD
    return [said.format(path=path, first=first, last=last, count=len(frames), seconds=seconds)]
