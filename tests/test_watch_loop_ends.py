"""How a loop ends whose recorder has a second process: killed, interrupted, or without closing it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bntui.link.lock import Hold
from tests.second_process import ending, runs, steps, until
from tests.terminal import Terminal

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core")

SCRIPT = """
import os, signal, sys, time
import torch, bntui
from torch import nn

torch.set_num_threads(1)
model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
recorder = bntui.watch(model, optimizer, sys.argv[1], every=1, quiet=True)
print("writer", recorder._course._writer._process.pid, flush=True)


def train(steps):
    for _ in range(steps):
        loss = model(torch.randn(8, 6)).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
"""
ENDINGS = {
    "killed": "train(50)\nos.kill(os.getpid(), signal.SIGKILL)",
    "exits at once": "train(50)\nos._exit(3)",
    "killed before the second process has begun": "train(1)\nos.kill(os.getpid(), signal.SIGKILL)",
    "leaves a process behind": """
train(50)
if not os.fork():
    os.close(1)
    time.sleep(20)
os.kill(os.getpid(), signal.SIGKILL)
""",
}


def script(folder: Path, after: str) -> list[str]:
    (folder / "loop.py").write_text(SCRIPT + after, encoding="utf-8")
    return [sys.executable, str(folder / "loop.py"), str(folder / "run.bntui")]


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script elsewhere finds bntui."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("how", ENDINGS)
def test_if_the_loop_is_killed_what_it_handed_over_is_written(how: str, tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(script(tmp_path, ENDINGS[how]), stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode in (3, -signal.SIGKILL)
    writer = int(done.stdout.split()[1])
    until(lambda: not runs(writer), 15)
    assert time.monotonic() - began < 19  # not when the process that it left ends
    path = tmp_path / "run.bntui"
    # the last row is handed over with the next step
    assert steps(path) == ([] if "begun" in how else list(range(1, 50)))
    assert path.exists() == ("begun" not in how)
    assert {file.name for file in tmp_path.iterdir()} <= {"loop.py", "run.bntui"}
    Hold(path).release()


@pytest.mark.usefixtures("importable")
def test_ctrl_c_in_a_terminal_ends_the_loop_and_not_the_second_process(tmp_path: Path) -> None:
    after = """
try:
    with recorder:
        train(20)
        print("trained", flush=True)
        while True:
            train(1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    with Terminal(script(tmp_path, after), controlling=True) as terminal:
        terminal.until("trained")
        os.write(terminal._master, b"\x03")
        terminal.until("interrupted")
        terminal.process.wait(30)
        writer = int(terminal.transcript.split()[1])
    path = tmp_path / "run.bntui"
    found = steps(path)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= 20
    assert ending(path) == ["interrupted"]
    assert not runs(writer)
    assert not path.with_name("run.bntui-wal").exists()


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize(
    "after", ["train(5)", "train(5)\nraise KeyError('mine')", "recorder.step = lambda loss: None\ntrain(5)"]
)
def test_a_loop_that_does_not_close_its_recorder_is_recorded_to_its_end(after: str, tmp_path: Path) -> None:
    done = subprocess.run(script(tmp_path, after), capture_output=True, text=True, check=False)
    assert done.returncode == ("raise" in after)
    assert steps(tmp_path / "run.bntui") == list(range(1, 6))
    assert ending(tmp_path / "run.bntui") == ["interrupted" if "raise" in after else "finished"]
    assert not runs(int(done.stdout.split()[1]))
