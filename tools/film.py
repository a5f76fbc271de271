"""Joins screens into one SVG that plays like a film, without scripts.

What stands unchanged from frame to frame is stored once: a mark lives for an interval of frames, and all marks of the
same interval are one group, which a CSS animation shows and hides.  Where animation is not supported or not wanted, the
last frame stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate, groupby

from bntui.pictures.picture import Picture
from bntui.pictures.shapes import HEIGHT, WIDTH
from bntui.pictures.svg import MARGIN, Mark, drawn, head, marks
from bntui.viewer.draw.theme import DARK

CAPTION = 34
"""Height of the line below the screen in pixels."""
Lifetime = tuple[int, int]
"""The first frame in which something is visible, and the first in which it is not."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture, how long it stands, and the line below it: the key that was pressed, and what it does."""

    picture: Picture
    seconds: float
    key: str
    caption: str


def film(frames: Sequence[Frame]) -> str:
    """The frames as one animated picture, repeated without end."""
    starts = [*accumulate((frame.seconds for frame in frames), initial=0.0)]
    cuts = [f"{100 * start / starts[-1]:.3f}".rstrip("0").rstrip(".") + "%" for start in starts]
    screens, captions = _lifetimes(frames), [*_captions(frames)]
    always = (0, len(frames))
    names = {life: f"k{number}" for number, life in enumerate(sorted({*screens, *dict(captions)} - {always}))}
    style = (
        f"[class^=k]{{animation:{starts[-1]:g}s step-end infinite}}\n"
        + "".join(_shown(name, life, cuts) for life, name in names.items())
        + "@media(prefers-reduced-motion:reduce){[class^=k]{animation:none}}"
    )

    def living(shapes: str, life: Lifetime) -> str:
        if not shapes or life == always:
            return shapes
        hidden = "" if life[1] == len(frames) else ' visibility="hidden"'
        return f'<g class="{names[life]}"{hidden}>{shapes}</g>'

    picture = frames[0].picture
    below = len(picture.lines) * HEIGHT + MARGIN
    out = [
        head(picture, below=CAPTION, style=style),
        f'<rect x="-{MARGIN}" y="{below + 4}" width="{picture.columns * WIDTH + 2 * MARGIN}" '
        f'height="{CAPTION - 4}" rx="8" fill="{DARK.surface}"/>',
    ]
    for ground in (True, False):  # what lies behind text is drawn first
        for life, found in screens.items():
            out.append(living(drawn(mark for mark in found if (mark.kind == "ground") is ground), life))
    for life, (key, caption) in captions:
        first = f'<tspan fill="{DARK.accent}" font-weight="bold">{escape(key)}</tspan>'
        then = f'<tspan dx="{2 * WIDTH}">{escape(caption)}</tspan>'
        out.append(living(f'<text x="{WIDTH}" y="{below + 24}" fill="{DARK.text}">{first}{then}</text>', life))
    return "\n".join([*filter(None, out), "</svg>\n"])


def _lifetimes(frames: Sequence[Frame]) -> dict[Lifetime, list[Mark]]:
    """The marks of all frames, by the frames in which they stand."""
    seen: defaultdict[Mark, list[int]] = defaultdict(list)
    for number, frame in enumerate(frames):
        for mark in marks(frame.picture):
            seen[mark].append(number)
    lives: defaultdict[Lifetime, list[Mark]] = defaultdict(list)
    for mark, numbers in seen.items():
        for life in _intervals(numbers):
            lives[life].append(mark)
    return lives


def _captions(frames: Sequence[Frame]) -> Iterator[tuple[Lifetime, tuple[str, str]]]:
    lines = [(frame.key, frame.caption) for frame in frames]
    for line in dict.fromkeys(lines):
        yield from ((life, line) for life in _intervals(n for n, other in enumerate(lines) if other == line))


def _intervals(numbers: Iterable[int]) -> Iterator[Lifetime]:
    """Ascending numbers as intervals: the first number of each, and the one after its last."""
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in group]
        yield members[0], members[-1] + 1


def _shown(name: str, life: Lifetime, cuts: Sequence[str]) -> str:
    """The animation of what lives in one interval."""
    begin, end = life
    off = [cut for cut, hides in (("0%", begin > 0), (cuts[end], end < len(cuts) - 1)) if hides]
    return (
        f".{name}{{animation-name:{name}}}"
        f"@keyframes {name}{{{cuts[begin]}{{visibility:visible}}{','.join(off)}{{visibility:hidden}}}}\n"
    )
