"""Tests that the film shows each frame, and nothing else, at its time: read back from the SVG alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from unicodedata import combining, east_asian_width
from xml.etree import ElementTree

import pytest
from rich.segment import Segment
from rich.style import Style

from bntui.pictures import picture as pictures
from bntui.viewer.draw.theme import DARK
from tools.film import Frame, film

SVG = "{http://www.w3.org/2000/svg}"
DOCS = Path(__file__).parents[1] / "docs"
FILMS = tuple(sorted(DOCS.glob("film-*.svg")))
LARGEST = 500_000
"""Bytes of a film in the README."""
BRAILLE = {(0, 0): 1, (0, 1): 2, (0, 2): 4, (1, 0): 8, (1, 1): 16, (1, 2): 32, (0, 3): 64, (1, 3): 128}
BOX = re.compile(r"M([\d.]+) ([\d.]+)(?:m([\d.]+) ([\d.]+))?h([\d.]+)v([\d.]+)h-[\d.]+z")
STEP = re.compile(r"([Mm])(-?[\d.]+) (-?[\d.]+)(h0)?")


@dataclass
class Picture:
    """What one moment shows: characters by row and cell, filled boxes, and lines below the screen."""

    height: int
    cells: dict[tuple[int, int], str] = field(default_factory=dict)
    boxes: dict[tuple[int, int], float] = field(default_factory=dict)
    """The height of the box in each cell, in eighths of the cell."""
    strokes: set[tuple[int, int]] = field(default_factory=set)
    """Where lines begin."""
    below: list[str] = field(default_factory=list)

    def rows(self) -> list[str]:
        lines = [[" "] * 200 for _ in range(self.height)]
        for (row, cell), char in self.cells.items():
            lines[row][cell] = char
        return ["".join(line).rstrip() for line in lines]

    def put(self, row: int, cell: int, char: str) -> None:
        assert (row, cell) not in self.cells, f"two characters in row {row}, cell {cell}"
        self.cells[row, cell] = char


@dataclass
class Film:
    """The SVG, read by itself."""

    root: ElementTree.Element
    seconds: float
    switches: dict[str, list[tuple[float, bool]]]
    """When each group is shown and hidden, in percent of the film."""
    height: int

    @classmethod
    def read(cls, source: str) -> Film:
        root = ElementTree.fromstring(source)
        style = root.findtext(f"{SVG}style") or ""
        (seconds,) = re.findall(r"\[class\^=k\]\{animation:([\d.]+)s step-end infinite\}", style)
        switches: dict[str, list[tuple[float, bool]]] = {}
        for name, body in re.findall(r"@keyframes (\w+)\{((?:[^{}]+\{[^{}]*\})+)\}", style):
            assert f".{name}{{animation-name:{name}}}" in style
            found = [
                (float(cut.rstrip("%")), how == "visible")
                for cuts, how in re.findall(r"([^{}]+)\{visibility:(visible|hidden)\}", body)
                for cut in cuts.split(",")
            ]
            switches[name] = sorted(found)
            assert switches[name][0][0] == 0, "nothing says how it begins"
            assert len(dict(found)) == len(found), "two values at one moment"
        tall = float((root.get("viewBox") or "").split()[3])
        return cls(root, float(seconds), switches, int(tall - 16 - 34) // 17)

    def shown(self, element: ElementTree.Element, percent: float | None) -> bool:
        """Whether a group is visible; without a time, as where nothing is animated."""
        name = element.get("class", "")
        if not name.startswith("k") or percent is None:
            return element.get("visibility") != "hidden"
        return [visible for cut, visible in self.switches[name] if cut <= percent][-1]

    def at(self, seconds: float | None) -> Picture:
        picture = Picture(self.height)
        percent = None if seconds is None else 100 * seconds / self.seconds
        dots: defaultdict[tuple[int, int], int] = defaultdict(int)
        for element in self._visible(self.root, percent):
            if element.tag == f"{SVG}text":
                self._write(picture, element)
            elif element.get("class") == "d":
                y = x = 0.0
                for kind, right, down, dot in STEP.findall(element.get("d") or ""):
                    x, y = (x if kind == "m" else 0) + float(right), (y if kind == "m" else 0) + float(down)
                    if not dot:
                        continue
                    place, row, cell = (int(x % 8 // 4), int(y % 17 // 4.25)), int(y // 17), int(x // 8)
                    assert not dots[row, cell] & BRAILLE[place], "a dot is drawn twice"
                    dots[row, cell] |= BRAILLE[place]
            elif element.get("class") in ("l", "h"):
                corners = re.findall(r"M(\d+) (\d+)", element.get("d") or "")
                picture.strokes |= {(int(top) // 17, int(left) // 8) for left, top in corners}
            elif element.tag == f"{SVG}path":
                assert BOX.sub("", element.get("d") or "") == ""
                for left, top, _right, _down, wide, tall in BOX.findall(element.get("d") or ""):
                    for cell in range(int(float(left)) // 8, int(float(left) + float(wide)) // 8):
                        assert (int(float(top) // 17), cell) not in picture.boxes
                        picture.boxes[int(float(top) // 17), cell] = 8 * float(tall) / 17
        for (row, cell), bits in dots.items():
            picture.put(row, cell, chr(0x2800 + bits))
        return picture

    def _visible(self, parent: ElementTree.Element, percent: float | None) -> Iterator[ElementTree.Element]:
        for element in parent:
            if element.tag == f"{SVG}g" and not self.shown(element, percent):
                continue
            yield element
            if element.tag == f"{SVG}g":
                yield from self._visible(element, percent)

    def _write(self, picture: Picture, element: ElementTree.Element) -> None:
        text = "".join(element.itertext())
        places = [part.get("x") for part in element.iter() if part.get("x") is not None]
        row, cell = (int(element.get("y") or 0) - 13) // 17, int(places[0] or 0) // 8
        if row >= self.height:
            picture.below.append("|".join(element.itertext()))
            return
        began = cell
        for char in text:
            if combining(char):
                picture.cells[row, cell - 1] += char
                continue
            picture.put(row, cell, char)
            cell += 1
            if east_asian_width(char) in "WF":
                picture.put(row, cell, "")
                cell += 1
        if element.get("class") == "w":
            assert places == [str(8 * at) for at in range(began, cell, 2)]
        elif len(text) > 1:
            assert int(element.get("textLength") or 0) == 8 * (cell - began)


def line(*parts: tuple[str, str]) -> pictures.Line:
    return tuple(Segment(text, Style.parse(style)) for text, style in parts)


def screen(word: str, dots: str, chosen: str) -> pictures.Picture:
    """Three rows of 24 cells."""
    lines = [
        line((" ╭──── ", "#5d616c"), (f"{word:<10}", "bold #7aa2f7"), (" 한글 é<&", "")),
        line((f"│{dots:<9}│", "#5fd7ff"), (f" ▁▄█▀ {dots:<7}", "#ffaf00")),
        line((f"{chosen:<8}", "reverse #7aa2f7"), ("the same always ", "#d5d9e3")),
    ]
    return pictures.Picture("", lines, 24, DARK.text, DARK.ground)


def words(line: pictures.Line) -> str:
    return "".join(segment.text for segment in line)


FRAMES = (
    Frame(screen("gallery", "⠁", "one"), 1.5, "bntui", "the gallery"),
    Frame(screen("training", "⠁⠉⣿", "one"), 0.4, "space", "train"),
    Frame(screen("training", "⠁⠉⣿⡇", "two"), 0.3, "space", "train"),
    Frame(screen("gallery", "⠁", "two"), 0.7, "esc", "back & <forth>"),
    Frame(screen("training", "⠁⠉⣿⡇", "one"), 2.0, "space", "train"),
)


def test_each_frame_is_shown_at_its_time_and_nothing_else() -> None:
    made = Film.read(film(FRAMES))
    starts = [*accumulate((frame.seconds for frame in FRAMES), initial=0.0)]
    assert made.seconds == pytest.approx(starts[-1])
    assert made.height == 3
    for frame, start, end in zip(FRAMES, starts, starts[1:], strict=False):
        for moment in (start + 0.001, (start + end) / 2, end - 0.001):
            _shows(made.at(moment), frame)


def test_the_last_frame_stands_where_nothing_is_animated() -> None:
    source = film(FRAMES)
    _shows(Film.read(source).at(None), FRAMES[-1])
    assert "@media(prefers-reduced-motion:reduce){[class^=k]{animation:none}}" in source


def test_what_stays_is_stored_once() -> None:
    source = film(FRAMES)
    assert [source.count(f">{word}<") for word in ("same", "always", "gallery", "training", "two")] == [1, 1, 2, 2, 1]
    assert len(film([FRAMES[0]] * 9)) < len(film([FRAMES[0]])) + 200


def _shows(picture: Picture, frame: Frame) -> None:
    blocks = {(row, cell): "▁▄█▀".find(char) for row, cell, char in _characters(frame)}
    without = [re.sub("[▁▄█▀╭─│]", " ", words(line)).rstrip() for line in frame.picture.lines]
    assert picture.rows() == without
    lines = [words(line) for line in frame.picture.lines]
    assert picture.strokes == {
        (row, found.start()) for row, one in enumerate(lines) for found in re.finditer("╭|│|─+", one)
    }
    heights = {place: (1, 4, 8, 4)[number] for place, number in blocks.items() if number >= 0}
    reversed_cells = {(2, cell): 8 for cell in range(8)}
    assert picture.boxes == pytest.approx(heights | reversed_cells)
    assert picture.below == [f"{frame.key}|{frame.caption}"]


def _characters(frame: Frame) -> Iterator[tuple[int, int, str]]:
    """The cells of the rows without wide characters."""
    for row, line in enumerate(frame.picture.lines):
        if row:
            yield from ((row, cell, char) for cell, char in enumerate(words(line)))


# --- the films of the README ---


@pytest.mark.parametrize("path", FILMS, ids=lambda path: path.stem)
def test_the_committed_film_is_whole(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.encode()) < LARGEST
    assert "<script" not in source
    made = Film.read(source)
    assert 25 <= made.seconds <= 45
    assert made.height == 36
    assert {element.get("class", "") for element in made.root.iter(f"{SVG}g")} - {"", "b", "u"} == set(made.switches)
    cuts = sorted({0.0, 100.0} | {cut for switches in made.switches.values() for cut, _ in switches})
    lasts = [(end - start) * made.seconds / 100 for start, end in pairwise(cuts)]
    assert min(lasts) > 0.35, "too short to be read"
    pictures = [made.at((start + end) / 200 * made.seconds) for start, end in pairwise(cuts)]
    assert 25 <= len(pictures) <= 60
    assert [len(picture.below) for picture in pictures] == [1] * len(pictures)
    for picture in pictures:
        assert sum(map(bool, picture.rows())) > 20
    assert made.at(None) == pictures[-1]
    assert "60/60" in pictures[-1].rows()[0]
    keys = [key for key, _ in groupby(picture.below[0].partition("|")[0] for picture in pictures)]
    assert " ".join(keys) == "bntui ↓ enter space shift+← t . t shift+→ f ↓ → enter space bntui"


def test_there_is_a_film() -> None:
    assert [path.stem for path in FILMS] == ["film-en", "film-ko"]
