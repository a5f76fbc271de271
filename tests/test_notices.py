"""Tests that notices about one run are one notice, and which rows of a small screen they cover."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from bntui.recording.history import Event
from bntui.viewer.app import LabApp
from bntui.viewer.notices import Notices
from bntui.viewer.screens.lab import LabScreen
from tests.fakes import FakeReader, until
from tests.test_clicks import reader as reader

FIRST = "first infinite value at step 6: pre-activation of layer linear 4"
THEN = "the training loss became NaN at step 6"


def shown(pilot: Pilot[Any]) -> list[tuple[str, str, str]]:
    return [(notice.title, notice.message, notice.severity) for notice in pilot.app._notifications]


@pytest.mark.usefixtures("reader")
async def test_what_is_said_of_a_run_is_one_notice() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=(80, 24)) as pilot:
        notices = Notices(pilot.app.screen)
        notices.say_with(["it resumed"], "pl\x1bain", "information")
        await until(pilot, lambda: len(shown(pilot)) == 1)
        notices.say_with([FIRST, THEN], "plain", "error")
        notices.say_with(["it stopped early"], "batch norm", "information")
        await until(pilot, lambda: len(shown(pilot)) == 2)
        notices.say_with(["it ended"], "plain", "warning")
        await until(pilot, lambda: "it ended" in str(shown(pilot)))
        assert sorted(shown(pilot)) == [
            ("batch norm", "it stopped early", "information"),
            ("plain", f"it resumed · {FIRST} · {THEN} · it ended", "error"),
        ]


async def test_news_of_a_run_that_fails_cover_three_rows_of_a_small_screen(reader: FakeReader) -> None:
    async with LabApp(Path("a.bntui")).run_test(size=(80, 24), notifications=True) as pilot:
        lab = pilot.app.screen
        assert isinstance(lab, LabScreen)
        plain, norm = reader._views
        bad, end = Event(0, 6, 0.25, "first_bad", FIRST), Event(0, 6, 0.25, "diverged", THEN)
        stop = Event(1, 24, 1.0, "stopped_early", "it stopped early")
        reader._views = replace(plain, events=(bad, end)), replace(norm, events=(stop,))
        lab._news.report_additions()
        await until(pilot, lambda: len(shown(pilot)) == 2)
        assert shown(pilot)[0] == (plain.info.called, f"{FIRST} · {THEN}", "error")
        await until(pilot, lambda: [toast.region.height for toast in lab.query("Toast")] == [3, 2])
