"""Tests the whole program in a real pseudo-terminal: train, step back, detach, attach, stop, replay."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bntui.link.address import runtime_folder
from bntui.link.live import is_live
from bntui.recording.reader import Reader
from tests.commands import bntui
from tests.terminal import Terminal
from tests.test_session import DIGITS, TWO_RUNS, train

BNTUI = [sys.executable, "-m", "bntui"]
LONG = DIGITS.replace("epochs = 6", "epochs = 5000") + TWO_RUNS


def position(screen: str) -> float:
    found = re.search(r"epoch\s+([\d.]+)/", screen)
    return float(found[1]) if found else float("nan")


def test_train_walk_detach_attach_stop_and_replay(tmp_path: Path) -> None:
    scenario, recording = tmp_path / "digits.toml", tmp_path / "x.bntui"
    scenario.write_text(LONG, encoding="utf-8")
    with Terminal([*BNTUI, "run", str(scenario), "-o", str(recording)]) as live:
        live.until("Gradients")
        live.until("running")
        live.press("space")
        live.until("paused")
        live.settle()
        live.emulate()
        stood = position(live.text)
        live.press("n")
        live.until(f"epoch {stood + 1:g}/")
        live.press("s")
        live.until(lambda screen: position(screen) > stood + 1)
        live.press("left")
        live.press("left")
        live.until(lambda screen: position(screen) < stood + 1.01)
        live.press("end")
        live.until(lambda screen: position(screen) > stood + 1)
        live.press("d")
        assert live.exit_code() == 0
        assert "bntui attach" in live.text
    assert is_live(recording)

    with Terminal([*BNTUI, "attach", str(recording)], 120, 36) as again:
        again.until("paused")
        again.press("space")
        again.until("running")
        again.press("q")  # who came later only leaves
        assert again.exit_code() == 0
    assert is_live(recording)
    assert bntui("stop", recording).returncode == 0
    assert not is_live(recording)
    assert not Path(f"{recording}-wal").exists()
    reader = Reader(recording)
    assert reader.events(0)[-1].kind == "interrupted"
    last = len(reader.history(0)) - 1
    loss = reader.keyframe(0, last).val_loss

    with Terminal([*BNTUI, "replay", str(recording)], 80, 24) as replay:
        replay.until(f"{loss:.3f}")  # the number on the screen is the number in the file
        replay.press("home")
        replay.until("epoch 0/")
        replay.press("n")
        replay.until("no live trainer")
        replay.press("q")
        assert replay.exit_code() == 0


def test_the_gallery_trains_a_scenario() -> None:
    with Terminal(BNTUI, 120, 36) as terminal:
        terminal.until("Scenarios")
        terminal.until("Batch normalization in a sigmoid network")
        terminal.press("enter")
        terminal.until("Gradients")
        terminal.press("q")
        assert terminal.exit_code() == 0


def test_a_wrong_scenario_leaves_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    scenario = tmp_path / "wrong.toml"
    scenario.write_text(DIGITS.replace("sigmoid", "sigmiod"), encoding="utf-8")
    with Terminal([*BNTUI, "run", str(scenario)]) as terminal:
        assert terminal.exit_code() == 2
        assert "did you mean 'sigmoid'?" in " ".join(terminal.text.split())
        assert "Traceback" not in terminal.text


def test_an_error_of_our_own_leaves_a_sentence_and_a_log(tmp_path: Path) -> None:
    recording = train(tmp_path, DIGITS).path
    script = (
        "import sys; from bntui.viewer import view_state; from bntui.__main__ import main\n"
        "def fail(*_, **_named): raise ValueError('a mistake of ours')\n"
        "view_state.build_view = fail; main()"
    )
    with Terminal([sys.executable, "-c", script, "replay", str(recording)]) as terminal:
        assert terminal.exit_code() == 1
        assert "Traceback" not in terminal.text
        assert "the screen failed, the recording did not" in terminal.text
    assert "a mistake of ours" in (runtime_folder() / "screen.log").read_text(encoding="utf-8")
