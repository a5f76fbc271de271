"""Tests how pictures are written: each file is read back by something else than what wrote it."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import unicodedata
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyte
import pytest
from PIL import Image
from rich.color import ColorSystem

from bntui.drafts import save_somewhere
from bntui.errors import BntuiError, StorageError, UsageError
from bntui.pictures import video
from bntui.pictures.ansi import ansi, colors_of
from bntui.pictures.cast import HOLD, cast
from bntui.pictures.html import html
from bntui.pictures.picture import Picture
from bntui.pictures.shapes import HEIGHT, WIDTH, shapes
from bntui.pictures.svg import svg
from bntui.viewer.draw.rows import Row, Span
from bntui.viewer.draw.theme import DARK, LIGHT, palette_of
from bntui.viewer.picture import picture
from tests.terminal import Terminal

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert("&\'")</script>\x1b[31m\x07\u202e]]>\ud800'
CLEANED = '<script>alert("&\'")</script>[31m]]>'
ROWS: tuple[Row, ...] = (
    (Span("╭─ "), Span("배치 정규화", "bold run1"), Span(" ──╮", "frame")),
    (Span(HOSTILE, "warn"), Span(" x̂ᵢ = γ·x", "muted")),
    (Span("⣿⠁▁█▌", "run0"), Span("  0.5 ", "cursor"), Span("│", "frame")),
)
CELLS = 60
TEXTS = ["╭─ 배치 정규화 ──╮", f"{CLEANED} x̂ᵢ = γ·x", "⣿⠁▁█▌  0.5 │"]


def made(theme: str = "dark", rows: tuple[Row, ...] = ROWS) -> Picture:
    return picture(f"title {HOSTILE}", rows, CELLS, palette_of(theme))


# --- shapes ---


def points(path: str) -> list[tuple[float, float]]:
    """The corners of a path in a cell, read with relative commands only."""
    x = y = 0.0
    found = []
    for letter, numbers in re.findall(r"([mhvlqz])([^mhvlqz]*)", path):
        values = [float(one) for one in re.findall(r"-?[\d.]+", numbers)]
        if letter in "ml":
            x, y = x + values[0], y + values[1]
        elif letter == "h":
            x += values[0]
        elif letter == "v":
            y += values[0]
        elif letter == "q":
            x, y = x + values[2], y + values[3]
        found.append((x, y))
    return found


def test_every_braille_character_has_the_dots_of_its_name() -> None:
    places = {
        (column, row): number
        for number, (column, row) in enumerate(((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)), 1)
    }
    for code in range(0x2801, 0x2900):
        (shape,) = shapes(chr(code))
        assert shape.ink == "dot"
        dots = {places[int(x // (WIDTH / 2)), int(y // (HEIGHT / 4))] for x, y in points(shape.path)}
        assert {int(digit) for digit in unicodedata.name(chr(code)).rpartition("-")[2]} == dots


EIGHTHS = {"ONE EIGHTH": 1, "ONE QUARTER": 2, "THREE EIGHTHS": 3, "HALF": 4, "FIVE EIGHTHS": 5, "THREE QUARTERS": 6,
           "SEVEN EIGHTHS": 7}  # fmt: skip


def test_every_block_is_as_large_as_its_name_says() -> None:
    for code in (*range(0x2580, 0x2591), 0x2594, 0x2595):
        name = unicodedata.name(chr(code))
        (shape,) = shapes(chr(code))
        xs, ys = zip(*points(shape.path), strict=True)
        share = next((parts for words, parts in EIGHTHS.items() if words in name), 8) / 8
        wide, tall = (max(xs) - min(xs)) / WIDTH, (max(ys) - min(ys)) / HEIGHT
        assert shape.ink == "fill"
        assert wide * tall == pytest.approx(share), name
        for side, edge in (
            ("LEFT", min(xs)),
            ("UPPER", min(ys)),
            ("RIGHT", max(xs) - WIDTH),
            ("LOWER", max(ys) - HEIGHT),
        ):
            assert side not in name or edge == pytest.approx(0), name
    for code in range(0x2596, 0x25A0):
        name = unicodedata.name(chr(code))
        corners = {points(shape.path)[0] for shape in shapes(chr(code))}
        wanted = {
            (x, y)
            for words, (x, y) in {
                "UPPER LEFT": (0.0, 0.0), "UPPER RIGHT": (4.0, 0.0), "LOWER LEFT": (0.0, 8.5), "LOWER RIGHT": (4.0, 8.5)
            }.items()
            if words in name
        }  # fmt: skip
        assert corners == wanted, name


ARMS = {
    "─": "LR", "━": "LR", "│": "UD", "┃": "UD", "┌": "RD", "┐": "LD", "└": "UR", "┘": "LU", "├": "URD", "┤": "ULD",
    "┬": "LRD", "┴": "LUR", "┼": "LURD", "╭": "RD", "╮": "LD", "╯": "LU", "╰": "UR", "╴": "L", "╵": "U", "╶": "R",
    "╷": "D", "╸": "L", "╹": "U", "╺": "R", "╻": "D", "╼": "LR", "╽": "UD", "╾": "LR", "╿": "UD", "═": "LR", "║": "UD",
    "╋": "LURD", "┝": "URD", "╱": "", "╌": "", "╎": "",
}  # fmt: skip


def test_lines_reach_the_edges_of_their_cell() -> None:
    for char, arms in ARMS.items():
        found = set()
        for shape in shapes(char):
            for x, y in points(shape.path):
                on_axis = char in "═║" or x == WIDTH / 2 or y == HEIGHT / 2
                found |= {
                    edge
                    for edge, there in (("L", x == 0), ("R", x == WIDTH), ("U", y == 0), ("D", y == HEIGHT))
                    if there and on_axis
                }
        assert found == set(arms), char
    assert [shape.ink for shape in shapes("╼")] == ["light", "heavy"]
    assert points(shapes("───")[0].path)[-1] == (3 * WIDTH, HEIGHT / 2)
    assert not shapes("a")
    assert not shapes("●")


# --- SVG ---


def words(root: ElementTree.Element) -> list[str]:
    """The text of each row, each word at its cell."""
    rows = [[" "] * CELLS for _ in ROWS]
    for element in root.iter(f"{SVG}text"):
        row = rows[int(float(element.get("y", "0")) // HEIGHT)]
        spans = list(element)
        for part in spans or [element]:
            cell = int(part.get("x", "")) // WIDTH
            clusters = re.findall("[^\u0300-\u036f][\u0300-\u036f]*", part.text or "")
            for at, cluster in enumerate(clusters):
                row[cell + at] = cluster
            if spans:  # two cells
                row[cell + 1] = ""
    return ["".join(row).rstrip() for row in rows]


@pytest.mark.parametrize(("theme", "palette"), [("dark", DARK), ("light", LIGHT)])
def test_an_svg_has_every_word_at_its_cell(theme: str, palette: object) -> None:
    drawn = svg(made(theme))
    root = ElementTree.fromstring(drawn)
    blank = {ord(char): " " for char in "╭─╮⣿⠁▁█▌│"}
    assert words(root) == [text.translate(blank).rstrip() for text in TEXTS]
    assert root.findtext(f"{SVG}title") == f"title {CLEANED}"
    assert {element.tag for element in root.iter()} <= {
        f"{SVG}{name}" for name in ("svg", "title", "style", "rect", "path", "g", "text", "tspan")
    }
    assert root.find(f"{SVG}rect").get("fill") == palette.ground  # type: ignore[union-attr, attr-defined]
    assert re.search(r'stroke="#[0-9a-f]{6}"', drawn)


def test_the_dots_of_an_svg_are_those_of_its_braille() -> None:
    root = ElementTree.fromstring(svg(picture("", ((Span(" ⣿⠁"),),), 3, DARK)))
    (path,) = [one for one in root.iter(f"{SVG}path") if one.get("class") == "d"]
    assert (path.get("d") or "").count("h0") == 9


# --- HTML ---


class Page(HTMLParser):
    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self._inside = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = self._inside or tag == "pre"
        assert not any(name.startswith("on") or name in ("src", "href") for name, _value in attrs)

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.text += data


def test_the_text_of_a_page_is_the_picture() -> None:
    page = Page(html(made()))
    assert [line.rstrip() for line in page.text.splitlines()] == TEXTS
    assert set(page.tags) == {"html", "head", "meta", "title", "style", "body", "pre", "span"}


# --- terminals ---


def screen(data: str, rows: int = 3) -> pyte.Screen:
    shown = pyte.Screen(CELLS, rows)
    pyte.Stream(shown).feed(data)
    return shown


def texts(shown: pyte.Screen) -> list[str]:
    return [
        "".join(line[x].data for x in range(CELLS)).rstrip() for line in (shown.buffer[y] for y in range(shown.lines))
    ]


def test_a_terminal_shows_the_colors_of_the_styles() -> None:
    lines = made().lines
    shown = screen("\r\n".join(ansi(line, ColorSystem.TRUECOLOR) for line in lines))
    assert texts(shown) == TEXTS
    assert shown.buffer[0][3].fg == DARK.colors["run1"].removeprefix("#")
    assert shown.buffer[0][3].bg == DARK.ground.removeprefix("#")
    assert shown.buffer[0][3].bold
    assert [ansi(line, None) for line in lines] == TEXTS


def test_colors_follow_the_wish_the_stream_and_the_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    pipe, terminal = io.StringIO(), Terminal()
    true = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    assert colors_of("auto", pipe, true) is None
    assert colors_of("never", terminal, true) is None
    assert colors_of("auto", terminal, true) is ColorSystem.TRUECOLOR
    assert colors_of("always", pipe, true) is ColorSystem.TRUECOLOR
    assert colors_of("auto", terminal, {"TERM": "xterm-256color"}) is ColorSystem.EIGHT_BIT
    assert colors_of("auto", terminal, {"TERM": "dumb"}) is None
    assert colors_of("always", pipe, {"TERM": "dumb"}) is ColorSystem.EIGHT_BIT


def test_a_replayed_recording_shows_each_picture_at_its_time() -> None:
    frames = [made(), made(rows=(*ROWS[:2], (Span("changed", "good"),))), made(rows=(ROWS[2], *ROWS[1:]))]
    header, *events = (json.loads(line) for line in cast(zip((0.0, 0.5, 1.25), frames, strict=True)))
    assert (header["version"], header["width"], header["height"]) == (2, CELLS, 3)
    shown = pyte.Screen(CELLS, 3)
    stream = pyte.Stream(shown)
    wanted = ((0.0, TEXTS[2]), (0.5, "changed"), (1.25, TEXTS[2]))
    for (at, kind, data), (second, third) in zip(events[:3], wanted, strict=True):
        stream.feed(data)
        assert (at, kind) == (second, "o")
        assert texts(shown)[1:] == [TEXTS[1], third]
    assert texts(shown)[0] == TEXTS[2]
    assert events[3:] == [[1.25 + HOLD, "o", ""]]
    assert len(events[1][2]) < len(events[0][2]) / 2  # what did not change is not written again


def test_asciinema_plays_it(tmp_path: Path) -> None:
    pytest.importorskip("asciinema")
    frames = [made(), made(rows=(*ROWS[:2], (Span("changed", "good"),)))]
    (tmp_path / "x.cast").write_text("".join(cast(zip((0.0, 0.01), frames, strict=True))), encoding="utf-8")
    with Terminal([sys.executable, "-m", "asciinema", "play", str(tmp_path / "x.cast")], CELLS, 3) as terminal:
        terminal.until("changed")
        assert texts(terminal._screen) == [*TEXTS[:2], "changed"]
        assert terminal.exit_code() == 0


# --- PNG, PDF, GIF, and MP4 ---


def test_png_and_pdf_have_the_size_of_the_svg() -> None:
    pytest.importorskip("typst", reason="the extra pictures is not installed")
    from bntui.pictures.raster import raster

    drawn = svg(made("light"))
    wide, tall = CELLS * WIDTH + 16, 3 * HEIGHT + 16
    png = Image.open(io.BytesIO(raster(drawn, "title", "png", 2))).convert("RGB")
    assert png.size == (2 * wide, 2 * tall)
    assert png.getpixel((wide, 4)) == tuple(bytes.fromhex(LIGHT.ground[1:]))
    full = 2 * (8 + 3 * WIDTH + 4), 2 * (8 + 2 * HEIGHT + 8)  # in the full block
    assert png.getpixel(full) == tuple(bytes.fromhex(LIGHT.colors["run0"][1:]))
    pdf = raster(drawn, "title", "pdf")
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    plain = pdf + b"".join(zlib.decompress(one) for one in streams if one[:1] == b"\x78")
    (box,) = re.findall(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", plain)
    assert [float(one) for one in box] == pytest.approx([wide * 0.75, tall * 0.75], abs=0.01)


def test_what_is_missing_for_a_video_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"\.gif needs ffmpeg, which is not installed; .* agg FILE\.cast FILE\.gif"):
        video.video([], "gif", tmp_path / "x.gif")
    with pytest.raises(UsageError, match=r"\.mp4 needs ffmpeg, .*, or .* asciinema play FILE\.cast") as refused:
        video.video([], "mp4", tmp_path / "x.mp4")
    assert "gif" not in str(refused.value)


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("echo frames: broken >&2; exit 3", "ffmpeg failed: frames: broken"),
        ("exit 3", "ffmpeg failed: its process ended with code 3"),
        ("kill -XFSZ $$", "ffmpeg failed: its process was killed by SIGXFSZ"),
    ],
)
def test_it_is_said_why_ffmpeg_failed(does: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(BntuiError, match=f"^{said}$"):
        video.video([(b"", 1.0)], "mp4", tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_video_without_its_end_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ffmpeg itself takes a full disk at the end of a file, where an MP4 says what is in it, for success."""
    chance = np.random.default_rng(0)
    frames = []
    for _number in range(2):
        file = io.BytesIO()
        Image.fromarray(chance.integers(0, 256, (64, 64, 3), np.uint8)).save(file, "png")
        frames.append((file.getvalue(), 0.5))
    video.video(frames, "mp4", tmp_path / "whole")
    size = (tmp_path / "whole").stat().st_size
    ran = subprocess.run

    def limited(words: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        def limit() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (size - 100, size - 100))

        return ran(words, **more, preexec_fn=limit)

    monkeypatch.setattr(subprocess, "run", limited)
    with pytest.raises(BntuiError, match=r"ffmpeg failed: .*File too large"):
        video.video(frames, "mp4", tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    monkeypatch.undo()
    full = Path("/dev/full")  # Linux
    if full.exists():
        with pytest.raises(OSError, match="No space left") as refused:
            video.video(frames, "mp4", full)
        assert refused.value.filename in (None, str(full)), "the target is meant, not a file of ffmpeg's"


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_gif_has_the_frames_and_their_times(tmp_path: Path) -> None:
    frames = []
    for color in ("#ff0000", "#00ff00"):
        file = io.BytesIO()
        Image.new("RGB", (32, 16), color).save(file, "png")
        frames.append((file.getvalue(), 0.5))
    video.video(frames, "gif", tmp_path / "x.part")
    with Image.open(tmp_path / "x.part") as moving:
        assert moving.size == (32, 16)
        shown = []
        for number in range(moving.n_frames):  # type: ignore[attr-defined]
            moving.seek(number)
            shown.append((moving.convert("RGB").getpixel((4, 4)), moving.info["duration"]))
    assert [color for color, _duration in shown[:2]] == [(255, 0, 0), (0, 255, 0)]
    assert shown[0][1] == pytest.approx(500, abs=40)


# --- saving ---


def test_a_file_is_saved_whole_and_never_over_another(tmp_path: Path) -> None:
    assert save_somewhere([tmp_path], "a", ".svg", b"one") == tmp_path / "a.svg"
    assert save_somewhere([tmp_path], "a", ".svg", b"two") == tmp_path / "a-2.svg"
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"a.svg": b"one", "a-2.svg": b"two"}
    assert (tmp_path / "a.svg").stat().st_mode & 0o444 == 0o444


def test_a_picture_goes_to_the_first_folder_that_takes_it(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    assert save_somewhere([blocked, tmp_path / "none", tmp_path], "a", ".svg", b"") == tmp_path / "a.svg"
    with pytest.raises(StorageError, match="Not a directory"):
        save_somewhere([blocked, tmp_path / "none"], "a", ".svg", b"")
