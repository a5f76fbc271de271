"""Tests that a trainer killed at any moment loses no committed keyframe and no accepted command, and that the resumed
run equals one that was never killed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bntui.audit.audit import audit
from bntui.link.client import Trainer
from bntui.recording.reader import Reader
from bntui.trainer.agenda import Agenda
from tests.same import compare
from tests.spread import ALL
from tests.test_session import DIGITS, TWO_RUNS, rows, train
from tests.waiting import until

KILLS, EPOCHS = (50, 160) if ALL else (12, 45)
FORKED = (KILLS // 3, 2 * KILLS // 3)
"""Before which kills a fork is asked for."""
AUDITED = range(9, KILLS, 10) if ALL else (KILLS // 2,)
"""After which kills the growing recording is audited, some seconds each; the finished one is audited always."""
OVERRIDES = [
    ("training.epochs", EPOCHS),
    ("network.dropout", 0.2),
    ("training.optimizer", "adam"),
    ("training.lr", 0.001),
    ("record.budget", 3.0),
]
TRAINERS = """
import os, sys
from pathlib import Path
from bntui.link import Status
from bntui.scenario.load import parse
from bntui.trainer.agenda import Agenda
from bntui.trainer.server import Server
from bntui.trainer.service import Service
from bntui.trainer.session import Session

def serve(path, text, overrides):
    session = Session.resume(path) if path.exists() else Session.begin(parse(text, file="x", overrides=overrides), path)
    agenda = Agenda.parse(session.writer.agenda) if session.writer.agenda else Agenda()
    server = Server(path, Status("paused", None, 0.0, session.writer.keyframes))
    Service(session, server, agenda).serve()
    server.close()

path, text, overrides = Path(sys.argv[1]), sys.argv[2], eval(sys.argv[3])
for line in sys.stdin:  # one trainer a line: forked here, where torch is imported already
    pid = os.fork()
    if not pid:
        try:
            serve(path, text, overrides)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
os._exit(0)  # taking PyTorch's modules apart takes seconds
"""


class Nursery:
    """Starts real trainers without importing torch each time."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._process = subprocess.Popen(
            [sys.executable, "-c", TRAINERS, str(path), text, repr(OVERRIDES)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    @contextmanager
    def trainer(self) -> Iterator[tuple[int, Trainer]]:
        """A live one, and its process; whoever asks sees to its end."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        pid = int(self._line())
        client = until(lambda: Trainer.connect(self.path), "the connection to a trainer")
        with closing(client):
            client.receive()
            yield pid, client
        self.code = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    made = Nursery(tmp_path / "killed.bntui", DIGITS + TWO_RUNS)
    yield made
    made.close()


def test_kills_lose_nothing(nursery: Nursery, tmp_path: Path) -> None:
    chance = random.Random(4)
    seen: dict[tuple[int, int], bytes] = {}
    forks = 0
    for kill in range(KILLS):
        with nursery.trainer() as (pid, client):
            asked = "fork" if kill in FORKED else chance.choice(("run", "epoch", "step"))
            if asked == "fork":
                client.send("fork", run=forks, step=6 * (forks + 1), changes=[["network.dropout", 0.5 - 0.1 * forks]])
                forks += 1
            else:
                client.send(asked)  # type: ignore[arg-type]
            while (status := client.receive()) is not None and not status.commands:
                pass  # once it is accepted, it must not be lost
            time.sleep(chance.random() * 0.08)
            os.kill(pid, signal.SIGKILL)
        assert nursery.code == -signal.SIGKILL
        after = {
            (run, step): digest for run, step, digest in rows(nursery.path, "SELECT run, step, digest FROM keyframe")
        }
        assert seen.items() <= after.items(), "a committed keyframe is gone"
        seen = after
        agenda = Agenda.parse(rows(nursery.path, "SELECT text FROM agenda")[0][0])
        with closing(Reader(nursery.path)) as reader:
            assert len(reader.runs) + len(agenda.forks) == 2 + forks
            least = min(reader.history(run.index).epoch[-1] for run in reader.runs)
            if asked == "epoch":
                assert agenda.epochs >= 1
                assert not agenda.running
            if asked == "run":
                assert agenda.running
            assert least <= EPOCHS
        if kill in AUDITED:
            assert audit(nursery.path).true
    with nursery.trainer() as (_pid, client):
        client.send("run")
        while client.receive() is not None:
            pass
    assert nursery.code == 0
    reference = train(tmp_path, DIGITS + TWO_RUNS, *OVERRIDES)
    with closing(Reader(nursery.path)) as reader, closing(reference):
        assert len(reader.runs) == 4
        for run in (0, 1):
            assert compare(reference, run, reader, run) == EPOCHS + 1
        interrupted = [event for event in reader.events(0) if event.kind == "resumed"]
        assert len(interrupted) >= KILLS // 2
        assert all(reader.events(run.index)[-1].kind in ("finished", "diverged") for run in reader.runs)
    assert audit(nursery.path).true
