"""Tests what ``bntui serve`` shows to a browser, and what it does not let a visitor do."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bntui.commands.serve import command, is_local, same_site
from bntui.commands.served import app_of
from bntui.link import client
from bntui.link.requests import ForkRequest
from bntui.viewer import live, live_states
from bntui.viewer.live_events import (
    ChangePace,
    MayFork,
    MoreSeeds,
    NoteWritten,
    PlayPause,
    Quit,
    RequestFork,
    SayOnce,
    TrainAnew,
    TrainOne,
)
from bntui.viewer.looking import READ_ONLY
from bntui.viewer.screens import gallery_rows
from bntui.viewer.screens.gallery import GalleryScreen
from bntui.viewer.screens.lab import LabScreen
from tests.commands import bntui
from tests.test_session import DIGITS, train

if TYPE_CHECKING:
    import aiohttp


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reader = train(tmp_path_factory.mktemp("served"), DIGITS)
    reader.close()
    return reader.path


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **_named: object) -> None:
        raise AssertionError("a trainer was started")

    monkeypatch.setattr(client.IdleTrainer, "start", refuse)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("state", [live_states.Replay(), live_states.Live()])
def test_nothing_that_changes_a_recording_gets_through(state: live_states.State) -> None:
    facts = live_states.Facts("me", read_only=True, unfinished=True)
    request = ForkRequest(0, 0)
    for event in (
        PlayPause(), TrainOne("epoch"), TrainAnew(None), MoreSeeds(), ChangePace(1), NoteWritten(0, 0, "x"), MayFork(),
        RequestFork(request),
    ):  # fmt: skip
        assert live.after(state, event, facts) == (state, (SayOnce(READ_ONLY),)), event
    assert (
        live.after(live_states.Replay(), Quit(), facts)[1]
        == live.after(live_states.Replay(), Quit(), live_states.Facts("me"))[1]
    )


@pytest.mark.usefixtures("nothing_starts")
async def test_a_visitor_looks_and_changes_nothing(path: Path) -> None:
    before = sha256(path.read_bytes()).hexdigest()
    app = app_of(path, "light", read_only=True)
    async with app.run_test(size=(120, 36)) as pilot:
        screen = app.screen
        assert isinstance(screen, LabScreen)
        await pilot.press("left", "left")
        assert screen.view_state.cursor == 4
        for key in ("space", "n", "s", "f", "R", "b", "N", "plus"):
            app.clear_notifications()
            await pilot.press(key)
            await pilot.pause()
            assert [notice.message for notice in app._notifications] == [READ_ONLY], key
            assert app.screen is screen, key
    assert sha256(path.read_bytes()).hexdigest() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.usefixtures("nothing_starts")
async def test_the_recordings_of_a_folder_can_be_opened_but_not_deleted(path: Path) -> None:
    app = app_of(path.parent, "dark", read_only=True)
    async with app.run_test(size=(120, 36)) as pilot:
        screen = app.screen
        assert isinstance(screen, GalleryScreen)
        await until(lambda: screen.gallery.entries is not None)
        assert (screen.gallery.cards, [entry.path for entry in screen.gallery.entries or ()]) == ((), [path])
        await pilot.press("r", "d")
        await pilot.pause()
        assert screen.gallery.prompt is None
        drawn, _lines = gallery_rows.draw(screen.gallery, 120, 36)
        shown = "\n".join("".join(span.text for span in row) for row in drawn)
        assert "Recordings" in shown
        assert all(word not in shown for word in ("Scenarios", "other list", "rename", "delete"))
        assert {notice.message for notice in app._notifications} == {READ_ONLY}
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, LabScreen))
    assert path.is_file()


def test_only_pages_of_the_server_may_connect() -> None:
    assert same_site("http://127.0.0.1:8000", "127.0.0.1:8000", "127.0.0.1")
    assert same_site("http://[::1]:8000", "[::1]:8000", "::1")
    assert same_site("http://lab.example:80", "lab.example:80", "0.0.0.0")
    assert not same_site("http://evil.example", "127.0.0.1:8000", "127.0.0.1")
    assert not same_site("http://evil.example:8000", "evil.example:8000", "127.0.0.1")  # a name that was rebound
    assert not same_site(None, "127.0.0.1:8000", "127.0.0.1")
    assert [is_local(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_local(host) for host in ("0.0.0.0", "192.168.0.1", "::", "example.org")] == [False] * 4


def test_a_visitors_command_survives_the_shell(tmp_path: Path) -> None:
    target = tmp_path / "a b'; rm -rf $HOME #.bntui"
    words = shlex.split(command(target, allow_training=False, theme="light"))
    assert words == [
        "exec", sys.executable, "-m", "bntui.commands.served", "--theme=light", "--lang=en", "--", str(target.resolve())
    ]  # fmt: skip
    assert "--allow-training" in command(target, allow_training=True, theme=None)


def test_what_keeps_it_from_serving_is_said(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("textual_serve", reason="the extra serve is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = bntui("serve", path, "--port", port)
    sentence = f"cannot serve on 127.0.0.1:{port}: Address already in use; choose another one with --port"
    assert (done.returncode, sentence in done.stderr) == (2, True)
    # 192.0.2.0/24 is for documentation (RFC 5737): no machine has such an address
    foreign = bntui("serve", path, "--host", "192.0.2.1")
    assert (foreign.returncode, foreign.stderr.endswith("choose another one with --host\n")) == (2, True)
    empty = bntui("serve", tmp_path)
    assert (empty.returncode, "no recording in this folder" in empty.stderr) == (2, True)
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    missing = bntui("serve", path)
    assert (missing.returncode, "pip install 'bntui[serve]'" in missing.stderr) == (2, True)


@asynccontextmanager
async def browser(target: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session with a server of its own, and the server's address."""
    import aiohttp

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "bntui", "serve", str(target), "--port", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Serving {target} on http://127.0.0.1:{port} — ctrl+c ends it\n"
        site = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            await _connected(session, site)
            yield session, site
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        process.stdout.close()  # type: ignore[union-attr]


async def _shows(screen: aiohttp.ClientWebSocketResponse, *wanted: str) -> None:
    """Wait until texts have come to the screen."""
    shown = ""
    while not all(text in shown for text in wanted):
        message = await screen.receive()
        assert message.type == message.type.BINARY, message
        shown += message.data.decode()


async def test_a_browser_gets_the_screen(path: Path) -> None:
    pytest.importorskip("textual_serve", reason="the extra serve is not installed")
    import aiohttp

    async with browser(path) as (session, site):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await session.ws_connect(f"{site}/ws", headers={"Origin": "http://evil.example"})
        async with session.ws_connect(f"{site}/ws?width=120&height=36", headers={"Origin": site}) as screen:
            await _shows(screen, "Curves", "Layers")


async def test_what_no_browser_sends_harms_nobody(path: Path) -> None:
    """Sizes that no machine has memory for, and messages that are none; the screen of this visitor still answers."""
    pytest.importorskip("textual_serve", reason="the extra serve is not installed")
    hostile = [
        "no JSON", "[]", "{}", "null", "5", '["stdin"]', '["stdin", 5]', '["resize", {}]', '["nope"]', "[" * 100_000,
        '["resize", {"width": "x", "height": null}]', '["resize", {"width": 0, "height": 0}]',
        '["resize", {"width": -4, "height": 99999999}]', '["resize", {"width": 1e999, "height": 1}]',
        '["stdin", "\\ud800"]',
    ]  # fmt: skip
    async with (
        browser(path) as (session, site),
        session.ws_connect(f"{site}/ws?width=99999999&height=99999999", headers={"Origin": site}) as screen,
    ):
        for message in hostile:
            await screen.send_str(message)
        await screen.send_json(["resize", {"width": 120, "height": 36}])
        await _shows(screen, "Curves", "Layers")


async def test_what_is_no_request_is_answered_without_a_traceback(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("textual_serve", reason="the extra serve is not installed")
    async with browser(path) as (session, site):
        for sent in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(site.rpartition(":")[2]))
            writer.write(sent + b"\r\n\r\n")
            assert (await reader.readline()).split()[1] == b"400"
            writer.close()
        async with session.get(site) as page:
            assert page.status == 200
    assert capfd.readouterr().err == ""


async def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    visitors = pytest.importorskip("bntui.commands.visitors", reason="the extra serve is not installed")
    monkeypatch.setattr(visitors, "PATIENCE", 0.1)

    async def nothing(*_arguments: object) -> None:
        return

    visitor = visitors.Visitor(
        "exec sleep 1000", write_bytes=nothing, write_str=nothing, close=nothing,
        download_manager=visitors.DownloadManager(),
    )  # fmt: skip
    await visitor.start(80, 24)
    process = visitor._process
    await visitor.stop()
    assert await asyncio.wait_for(process.wait(), 10) == -signal.SIGKILL


async def test_a_browser_chooses_a_recording_of_a_folder(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("textual_serve", reason="the extra serve is not installed")
    for name in ("first", "second"):
        shutil.copy(path, tmp_path / f"{name}.bntui")
    async with (
        browser(tmp_path) as (session, site),
        session.ws_connect(f"{site}/ws?width=120&height=36", headers={"Origin": site}) as screen,
    ):
        await _shows(screen, "first", "second")
        await screen.send_json(["stdin", "\r"])
        await _shows(screen, "Curves", "Layers")


async def _connected(session: aiohttp.ClientSession, site: str) -> None:
    """Wait until the server answers: it says what it serves just before."""
    import aiohttp

    while True:
        try:
            async with session.get(site) as answer:
                assert answer.status == 200
                assert f"ws{site[4:]}/ws" in await answer.text()
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.02)
