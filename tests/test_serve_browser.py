"""Looks at a served recording in a real Chromium, driven through its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.test_serve import browser, until
from tests.test_session import DIGITS, train

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
pytest.importorskip("textual_serve", reason="the extra serve is not installed")

DRAWN = 20_000
"""Bytes of a picture of the screen at least; one of an empty page has a few thousand."""

Call = Callable[..., Awaitable[Any]]


class Page:
    """A page in a browser."""

    def __init__(self, call: Call, asked: list[str]) -> None:
        self._call = call
        self.asked = asked
        """Addresses that it has asked for."""

    async def picture(self) -> bytes:
        """What it shows, as a PNG."""
        return base64.b64decode((await self._call("Page.captureScreenshot"))["data"])

    async def changed(self, before: bytes) -> bytes:
        """What it shows once that is something else, and remains so."""
        last = before
        async with asyncio.timeout(30):
            while (now := await self.picture()) == before or now != last or len(now) < DRAWN:
                last = now
                await asyncio.sleep(0.3)
        return now

    async def click(self) -> None:
        """Click into it, after which keys go there."""
        for kind in ("mousePressed", "mouseReleased"):
            await self._call("Input.dispatchMouseEvent", type=kind, x=600, y=4, button="left", clickCount=1)

    async def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            await self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


@asynccontextmanager
async def chromium(address: str) -> AsyncIterator[Page]:
    """A page in a Chromium of its own."""
    import aiohttp

    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run",
                   f"--user-data-dir={folder}", "--window-size=1280,800", "about:blank")  # fmt: skip
        # it writes much of what is missing on this machine
        process = subprocess.Popen(
            [CHROMIUM, *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        place, asked, answers = Path(folder, "DevToolsActivePort"), [], {}
        try:
            await until(lambda: place.is_file() and place.read_text().count("\n") == 1)
            port, path = place.read_text().split()
            async with aiohttp.ClientSession() as session, session.ws_connect(
                f"ws://127.0.0.1:{port}{path}", max_msg_size=0
            ) as tools:  # fmt: skip
                number = 0
                tab: dict[str, str] = {}

                async def call(method: str, **parameters: Any) -> Any:
                    nonlocal number
                    number += 1
                    mine = number
                    await tools.send_json({"id": mine, "method": method, "params": parameters, **tab})
                    while mine not in answers:
                        told = (await tools.receive()).json()
                        if told.get("method") == "Network.requestWillBeSent":
                            asked.append(told["params"]["request"]["url"])
                        if "id" in told:
                            answers[told["id"]] = told
                    answer = answers.pop(mine)
                    assert "result" in answer, (method, answer)
                    return answer["result"]

                target = (await call("Target.createTarget", url="about:blank"))["targetId"]
                tab["sessionId"] = (await call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
                await call("Network.enable")
                await call("Page.navigate", url=address)
                there = f"location.href.startsWith({address!r}) && document.readyState == 'complete'"
                while not (await call("Runtime.evaluate", expression=there))["result"].get("value"):
                    await asyncio.sleep(0.1)
                yield Page(call, asked)
        finally:
            process.kill()
            process.wait()


async def test_a_recording_is_seen_and_walked_in_a_browser(tmp_path: Path) -> None:
    reader = train(tmp_path, DIGITS)
    reader.close()
    async with browser(reader.path) as (_session, site), chromium(site) as page:
        whole = await page.changed(b"")
        await page.click()
        earlier = await page.changed(whole) if await page.picture() != whole else whole
        await page.press("ArrowLeft", 37)
        earlier = await page.changed(earlier)
        await page.press("End", 35)
        assert await page.changed(earlier) != earlier
        assert page.asked
        assert [url for url in page.asked if not url.startswith((site, "data:"))] == []
