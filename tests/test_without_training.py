"""Tests bntui as ``pip install bntui`` leaves it: without torch, scikit-learn, and joblib."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bntui.errors import UsageError
from bntui.link import training_packages
from bntui.link.client import IdleTrainer
from bntui.link.requests import ForkRequest
from bntui.viewer.live import after
from bntui.viewer.live_events import Complain, Event, MayFork, MoreSeeds, PlayPause, RequestFork, TrainAnew
from bntui.viewer.live_states import Facts, Live, Replay, State
from tests.test_session import DIGITS, train

WITHOUT = """
import sys
for name in ("torch", "sklearn", "joblib", "scipy", "threadpoolctl"):
    sys.modules[name] = None  # importing it raises ImportError, and find_spec finds nothing
import asyncio, contextlib, io, json
from pathlib import Path
from bntui.cli import obey
from bntui.errors import BntuiError
from bntui.viewer.app import LabApp

def said(*arguments):
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            obey(list(map(str, arguments)))
    except BntuiError as error:
        return error.exit_code, str(error)
    except SystemExit as end:
        return end.code or 0, out.getvalue()

async def looked(shown, keys):
    app = LabApp(recording=shown)
    async with app.run_test(size=(160, 48)) as pilot:
        for key in keys:
            await pilot.press(key)
        return [notice.message for notice in app._notifications]

file = Path(sys.argv[1])
found = {name: said(name, file) for name in ("show", "audit", "stops")}
found |= {name: said(name) for name in ("list", "schema", "--help")}
found["check"] = said("check", "batch-normalization")
found["run"] = said("run", "batch-normalization", "--headless")
found["doctor"] = said("doctor", "--json")
notices = asyncio.run(looked(file, ["left", "2", "enter", "3", "6", "escape", "f"]))
asyncio.run(looked([file, file.with_name("copy.bntui")], ["c"]))
print(json.dumps([found, notices]))
"""


def test_everything_but_training_works_without_them(tmp_path: Path) -> None:
    recording = train(tmp_path, DIGITS).path
    recording.with_name("copy.bntui").write_bytes(recording.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(recording)], capture_output=True, text=True, check=True
    )  # fmt: skip
    found: dict[str, tuple[int, str]]
    found, notices = json.loads(done.stdout.splitlines()[-1])
    read_only = ("show", "audit", "stops", "list", "schema", "--help", "check")
    assert {name: code for name, (code, _said) in found.items()} == dict.fromkeys(read_only, 0) | {
        "run": 2,
        "doctor": 1,
    }
    lacking = (
        "Training needs torch, scikit-learn, joblib: not installed. bntui doctor prints the commands that install it."
    )
    assert notices == [lacking]
    for command in (f"{sys.executable} -m pip install 'bntui[train]'", "pipx install", "uv tool install", "whl/cpu"):
        assert command in found["run"][1]
        assert command in found["doctor"][1]
    findings: list[dict[str, Any]] = json.loads(found["doctor"][1])
    assert [one["value"] for one in findings if one["name"] == "training"] == ["without torch, scikit-learn, joblib"]


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_packages, "missing", lambda: ("torch",))


@pytest.mark.usefixtures("lacking")
def test_no_trainer_is_started_that_would_die_of_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_: pytest.fail("a process was started"))
    with pytest.raises(UsageError, match=r"training needs torch: not installed") as raised:
        IdleTrainer.start()
    assert raised.value.exit_code == 2


WHY = "Training needs torch."
UNTRAINABLE = Facts("me", unfinished=True, untrainable=WHY)
REQUEST = ForkRequest(0, 6, ())


@pytest.mark.parametrize("event", [PlayPause(), MayFork(), RequestFork(REQUEST), TrainAnew(), MoreSeeds()])
def test_the_screen_says_why_instead_of_starting_one(event: Event) -> None:
    assert after(Replay(), event, UNTRAINABLE) == (Replay(), (Complain(WHY, "No trainer"),))


def test_a_live_trainer_is_asked_even_where_none_can_be_started() -> None:
    state: State = Live()
    assert after(state, MayFork(), UNTRAINABLE) == (state, ("open form",))
