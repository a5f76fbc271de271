"""Tests that what is printed and saved of a recording is what the screen shows."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bntui.errors import UsageError
from bntui.export.scene import MICROSCOPE, SCREEN, Scene, find_panel, parse_size
from bntui.pictures.svg import svg
from bntui.recording.reader import Reader
from bntui.text.language import use
from bntui.viewer import parts
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import Row, text, width
from bntui.viewer.draw.theme import DARK
from bntui.viewer.panels import PANELS
from bntui.viewer.picture import picture, sheet
from bntui.viewer.widgets import RowsWidget
from tests.commands import bntui
from tests.test_session import DIGITS, TWO_RUNS, train

SIZE = (120, 36)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = DIGITS.replace('"Digits"', "'<Digits> & \"co\"'") + TWO_RUNS
    reader = train(tmp_path_factory.mktemp("scene"), text)
    reader.close()
    return reader.path


@pytest.fixture
def reader(path: Path) -> Iterator[Reader]:
    opened = Reader(path)
    yield opened
    opened.close()


def texts(rows: Sequence[Row]) -> list[str]:
    return [text(row) for row in rows]


def on_screen(app: LabApp) -> tuple[Row, ...]:
    shown = [widget for widget in app.screen.query(RowsWidget) if widget.display]
    return sheet(((widget.region, widget.rows) for widget in shown), *app.size)


async def test_a_scene_is_what_the_screen_shows(path: Path, reader: Reader) -> None:
    app = LabApp(path, theme="dark")
    async with app.run_test(size=SIZE) as pilot:
        for epoch in (6.0, 3.0):
            scene = Scene.of(reader, SCREEN, size=SIZE).at(epoch)
            assert on_screen(app) == scene.rows()
            await pilot.press("left", "left", "left")
            await pilot.pause()
        await pilot.press("right", "right", "right", "m")
        await pilot.pause()
        assert on_screen(app) == Scene.of(reader, MICROSCOPE, size=SIZE).at(3.0).rows()


@pytest.mark.parametrize("panel", [panel.name for panel in PANELS])
def test_a_panel_is_drawn_as_a_part_of_the_screen(panel: str, reader: Reader) -> None:
    scene = Scene.of(reader, panel, runs=(1,), size=(70, 18)).at(4.9)
    assert scene.state.cursor == 4.0
    shown = scene._shown(several=True, reads=[panel])
    assert shown.view.shown == (shown.view.runs[1],)
    assert scene.rows() == parts.rows(panel, shown, 70, 18)
    assert {width(row) for row in scene.rows()} == {70}


def test_panels_are_found_by_every_name_that_a_user_sees() -> None:
    for panel in PANELS:
        assert {find_panel(name) for name in (panel.name, panel.key, panel.label, panel.label.upper())} == {panel.name}
    use("ko")
    assert find_panel("층") == "layers"
    use("en")
    with pytest.raises(UsageError, match=r"no panel 'layrs'; .*curves \(1\), layers \(2\), .*microscope .*'layers'"):
        find_panel("layrs")
    with pytest.raises(UsageError, match=re.escape("(did you mean 'Early stopping'?)")):
        find_panel("early stoping")


@pytest.mark.parametrize("size", ["", "5", "x", "100x", "-1x5", "1e3x5", "100x30x2"])
def test_a_size_has_columns_and_rows(size: str) -> None:
    with pytest.raises(UsageError, match="such as 100x30"):
        parse_size(size)


def test_show_prints_the_panel_that_the_screen_shows(path: Path, reader: Reader) -> None:
    done = bntui("show", path, "--panel", "gradients", "--epoch", 2, "--size", "80x16")
    wanted = [line.rstrip() for line in texts(Scene.of(reader, "gradients", size=(80, 16)).at(2).rows())]
    assert (done.returncode, done.stdout.splitlines()) == (0, wanted)
    options = ("--panel", "3", "--color", "always", "--theme", "light")
    painted = bntui("show", path, *options, TERM="xterm", COLORTERM="truecolor")
    assert "38;2;1;86;176" in painted.stdout  # the color of the first run in the light theme
    assert "\x1b" not in bntui("show", path, "--panel", "screen").stdout


def test_curves_have_marks_along_them_where_no_color_tells_them_apart(path: Path) -> None:
    painted = bntui("show", path, "--panel", "curves", "--color", "always", TERM="xterm", COLORTERM="truecolor").stdout
    words, plain = re.sub(r"\x1b\[[\d;]*m", "", painted), bntui("show", path, "--panel", "curves").stdout
    for mark in "●▲":
        assert plain.count(mark) > words.count(mark)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--panel", "nope"], "there is no panel 'nope'; choose one of: curves (1)"),
        (["--panel", "layers", "--size", "9"], "--size = '9': give columns and rows, such as 100x30"),
        (["--panel", "screen", "--size", "30x9"], "--size = 30x9: screen takes from 40x12 to 400x200"),
        (["--panel", "layers", "--epoch", "-1"], "has no keyframe at or before epoch -1"),
        (["--panel", "layers", "--run", "none"], "has no run 'none'"),
        (["--panel", "layers", "--color", "blue"], "--color = 'blue': choose always, never, auto"),
        (["--panel", "layers", "--json"], "leave out --json"),
        (["--size", "80x20"], "--size needs --panel"),
    ],
)
def test_what_is_wrong_is_said(path: Path, options: list[str], sentence: str) -> None:
    done = bntui("show", path, *options)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_printing_a_panel_opens_no_app(path: Path) -> None:
    script = """
import sys
from bntui.cli import app
app(["show", sys.argv[1], "--panel", "curves"], standalone_mode=False)
print(sorted({"torch", "sklearn", "textual.app", "textual.widget", "textual.screen"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_export_writes_a_picture_whole_or_not_at_all(path: Path, reader: Reader, tmp_path: Path) -> None:
    slide = tmp_path / "slide.svg"
    options = ("export", path, "--to", slide, "--panel", "layers", "--epochs", 2)
    done = bntui(*options)
    scene = Scene.of(reader, "layers").at(2)
    wanted = svg(picture(scene.title, scene.rows(), 100, DARK))
    assert (done.returncode, slide.read_text(encoding="utf-8")) == (0, wanted)
    title = ElementTree.fromstring(wanted).findtext("{http://www.w3.org/2000/svg}title")
    assert title == '<Digits> & "co" · Layers · plain · batch norm · epoch 2'
    again = bntui(*options, "--theme", "light")
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert slide.read_text(encoding="utf-8") == wanted
    assert bntui(*options, "--theme", "light", "--force").returncode == 0
    assert slide.read_text(encoding="utf-8") != wanted
    assert [file.name for file in tmp_path.iterdir()] == ["slide.svg"]


async def test_ctrl_s_saves_what_is_shown(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = LabApp(path, theme="light")
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("left", "ctrl+s", "ctrl+s")
        await pilot.pause()
        rows = on_screen(app)
        assert [notice.message for notice in app._notifications] == [
            f"Picture saved: {tmp_path / f'{path.stem}-epoch-5{end}.svg'}" for end in ("", "-2")
        ]
        wanted = svg(picture('<Digits> & "co" · epoch-5', rows, SIZE[0], app.palette))
        assert (tmp_path / f"{path.stem}-epoch-5.svg").read_text(encoding="utf-8") == wanted
        await pilot.press("m", "ctrl+s")
        await pilot.pause()
        assert (tmp_path / f"{path.stem}-microscope-epoch-5.svg").is_file()
        monkeypatch.setattr("bntui.viewer.screens.photograph._folders", lambda _recording: (path, path))
        await pilot.press("ctrl+s")
        await pilot.pause()
        (notice,) = [one for one in app._notifications if one.severity == "error"]
        assert "cannot be written: Not a directory" in notice.message
