"""Sends mutated frames to a real trainer, which must answer each of them, continue training, and stop cleanly."""

from __future__ import annotations

import json
import random
import socket
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from bntui.errors import BntuiError
from bntui.link import Status, requests
from bntui.link.address import runtime_folder, socket_path
from bntui.link.client import IdleTrainer, Trainer
from bntui.link.requests import STOP
from bntui.link.wire import LONGEST_FRAME, FrameError
from bntui.recording.reader import Reader
from bntui.scenario.pace import PacingOptions
from tests.fuzz.outcome import LARGEST, LONGEST, Crash, Outcome, dice, peak

SCENARIO: Final = """
title = "Under fire"
[data]
source = "moons"
batch_size = 100
[network]
hidden = [4]
[training]
epochs = 1000000
lr = 0.1
[record]
every = 100
budget = 0
"""
BASES: Final[tuple[dict[str, Any], ...]] = (
    {"command": "epoch"},
    {"command": "step"},
    {"command": "run"},
    {"command": "pause"},
    {"command": "pace", "epochs_per_second": 50},
    {"command": "pace", "epochs_per_second": None},
    {"command": "fork", "run": 0, "step": 7, "changes": [["training.lr", 0.01], ["network.hidden", [4, 4]]]},
)
NASTY: Final = (
    "null", "true", "false", "0", "-1", "-0", "1e-320", "5e-324", "1e308", "1e400", "-1e400", "NaN", "Infinity",
    "-Infinity", "9223372036854775807", "9223372036854775808", "1" + "0" * 400, "9" * 5000, "0.1", '""', '"fast"',
    '"\\u0000"', '"\\ud800"', '"\\u001b[2J"', '"' + "a" * 3000 + '"', "[]", "{}", "[[]]", '[["training.lr"]]',
    '[["training.lr", 1, 2]]', '[[1, 2]]', '{"training.lr": 1}', "[null]", '[["", 1]]', '[["training.lr", {"a": []}]]',
    '[["..", 1]]', '[["training", null]]', '[["seed", 9e99]]', '[["network.hidden", [1000000000000]]]', '"stop "',
    '["stop"]', '{"command": "stop"}', "[" * 100 + "]" * 100,
)  # fmt: skip
"""JSON, or nearly, that stands in the place of a value."""
BYTES: Final = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\r",
    b"\x1b[2J",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\\",
    b",",
)


def payload(chance: random.Random) -> bytes:
    """One or more frames, mostly wrong; never a valid request to stop."""
    kind = chance.random()
    if kind < 0.02:
        deep = chance.choice([9, 100, 5000, 100_000])
        made = b"[" * deep + b"]" * chance.choice([0, deep])
    elif kind < 0.025:
        made = chance.choice([b"x", b"[", b'{"a":', b" "]) * (LONGEST_FRAME + chance.choice([-10, 0, 1, 100_000]))
    elif kind < 0.1:
        made = chance.randbytes(chance.randrange(1, 200))
    elif kind < 0.15:
        made = json.dumps(chance.choice(BASES)).encode()
    elif kind < 0.6:
        made = _with_nasty_values(chance)
    else:
        made = _flipped(chance, json.dumps(chance.choice(BASES)).encode())
    frames = [frame for frame in made.split(b"\n") if not _stops(frame)] or [b""]
    return b"\n".join(frames) + b"\n"


def _with_nasty_values(chance: random.Random) -> bytes:
    frame = {key: json.dumps(value) for key, value in chance.choice(BASES).items()}
    for _ in range(chance.randrange(1, 3)):
        key = chance.choice([*frame, "command", "epochs_per_second", "run", "step", "changes", "extra"])
        if chance.random() < 0.2:
            frame.pop(key, None)
        else:
            frame[key] = chance.choice(NASTY)
    return ("{" + ", ".join(f'"{key}": {value}' for key, value in frame.items()) + "}").encode()


def _flipped(chance: random.Random, frame: bytes) -> bytes:
    made = bytearray(frame)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(4):
            case 0:
                made[at:at] = chance.choice(BYTES)
            case 1:
                del made[at : at + chance.randrange(1, 8)]
            case 2:
                made[at : at + 1] = chance.randbytes(1)
            case _:
                made[at:at] = made[: chance.randrange(1, 20)]
    return bytes(made)


def _stops(frame: bytes) -> bool:
    with suppress(FrameError):
        return requests.parse(frame) == STOP
    return False


def run(count: int, seed: int) -> Outcome:
    """Send so many payloads; then the trainer must still answer, train, and stop."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder, "tiny.toml")
        scenario.write_text(SCENARIO, encoding="utf-8")
        idle = IdleTrainer.start()
        recording = idle.open(scenario, Path(folder, "fuzzed.bntui"), watching=PacingOptions(50))
        target = Target(recording, outcome)
        try:
            for case in range(count):
                target.try_(case, dice(seed, case))
                if case % 500 == 499 and not outcome.crashes:
                    _look_at(outcome, case, idle.pid)
                if outcome.crashes:
                    break
            if not outcome.crashes:
                target.end(count)
                code = idle._process.wait(timeout=60)
                if code:
                    outcome.crashes.append(Crash(count, "exit", f"exit code {code}"))
                log = runtime_folder() / idle._log.name
                if log.exists() and "Traceback" in log.read_text(encoding="utf-8"):
                    outcome.crashes.append(Crash(count, "log", log.read_text(encoding="utf-8")[-2000:]))
        finally:
            target.close()
            if idle._process.poll() is None:
                idle._process.kill()
                idle._process.wait()
    return outcome


class Target:
    """A live trainer under fire."""

    def __init__(self, recording: Path, outcome: Outcome) -> None:
        self._recording = recording
        self._outcome = outcome
        self._client: Trainer | None = None
        self._status: Status | None = None

    def try_(self, case: int, chance: random.Random) -> None:
        """Send the frames of one case, and wait until all of them were obeyed or refused."""
        outcome = self._outcome
        outcome.tried += 1
        began = time.monotonic()
        try:
            if chance.random() < 0.05:
                self._cut_short(chance)
            else:
                self._answered(payload(chance))
        except (BntuiError, OSError, AssertionError) as error:
            outcome.crashes.append(Crash(case, "send", f"{type(error).__name__}: {error}"))
        outcome.slowest = max(outcome.slowest, time.monotonic() - began)
        if outcome.slowest > LONGEST and not outcome.crashes:
            outcome.crashes.append(Crash(case, "send", f"took {outcome.slowest:.1f} s"))

    def _connected(self) -> tuple[Trainer, Status]:
        if self._client is None or self._status is None:
            self._client = Trainer.connect(self._recording)
            assert self._client is not None, "nobody listens"
            self._status = self._client.receive(timeout=LONGEST)
            assert self._status is not None, "hung up"
        return self._client, self._status

    def _answered(self, made: bytes) -> None:
        client, before = self._connected()
        frames = made.split(b"\n")[:-1]
        wrong = False
        for frame in frames:
            try:
                requests.parse(frame)
                self._outcome.accepted += 1
            except FrameError:
                wrong = True
                self._outcome.refused += 1
        client._connection.sendall(made)
        status = before
        while status.commands < before.commands + len(frames):
            told = client.receive(timeout=LONGEST)
            assert told is not None, "hung up"
            status = told
        assert status.commands == before.commands + len(frames), "counted otherwise"
        assert status.state in ("running", "paused"), status
        if wrong:
            assert status.refused > before.commands, "refused without a word"
            assert status.refusal, "refused without a reason"
        self._status = status

    def _cut_short(self, chance: random.Random) -> None:
        """A client that never reads and leaves in the middle of a frame."""
        self.close()
        with socket.socket(socket.AF_UNIX) as wild:
            wild.connect(str(socket_path(self._recording)))
            wild.sendall(payload(chance)[: chance.randrange(1, 60)].replace(b"\n", b" "))

    def end(self, case: int) -> None:
        """It trains when it is asked to, and stops when it is asked to."""
        try:
            client, status = self._connected()
            client.send("pace", epochs_per_second=None)
            client.send("run")
            target = status.keyframes + 5
            while status.keyframes < target:
                told = client.receive(timeout=60)
                assert told is not None, "hung up"
                status = told
            client.send("stop")
            while (told := client.receive(timeout=60)) is not None:
                status = told
            assert status.state == "stopped", status
            with closing(Reader(self._recording)) as reader:
                assert len(reader.history(0)) >= 5
        except (BntuiError, OSError, AssertionError) as error:
            self._outcome.crashes.append(Crash(case, "end", f"{type(error).__name__}: {error}"))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._status = None


def _look_at(outcome: Outcome, case: int, pid: int) -> None:
    """Peak memory of the trainer."""
    with suppress(OSError):
        outcome.memory = max(outcome.memory, peak(pid))
    if outcome.memory > LARGEST:
        outcome.crashes.append(Crash(case, "memory", f"{outcome.memory:.0f} MiB"))
