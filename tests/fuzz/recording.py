"""Fuzzes recordings: mutates them and runs every command and page that reads one."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from tests.fuzz.outcome import LONGEST, Crash, Outcome
from tests.fuzz.recording_seeds import ROOT, made

CALLS: Final = 6
PATIENCE: Final = 5 * CALLS * LONGEST
"""Seconds after which a worker hangs: in C, where no signal reaches Python, or waits, which takes no processor time."""
TALK: Final = 1000
"""Cases after which a line about them is printed."""


class _Worker:
    """A process that makes cases; started anew when one ended it."""

    def __init__(self, seeds: Path, seed: int) -> None:
        self._command = [sys.executable, "-m", "tests.fuzz.recording_worker", str(seeds), str(seed)]
        self._process: subprocess.Popen[str] | None = None

    def answer(self, case: int) -> dict[str, object] | str:
        """What a case came to; a sentence where it ended the worker."""
        if self._process is None:
            environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        watch = threading.Timer(PATIENCE, process.kill)
        watch.start()
        try:
            process.stdin.write(f"{case}\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watch.cancel()
        if line:
            told: dict[str, object] = json.loads(line)
            return told
        code = process.wait()
        self._close(process.stdin, process.stdout)
        self._process = None
        return f"the process ended with {code}"

    def _close(self, *pipes: IO[str]) -> None:
        for pipe in pipes:
            try:
                pipe.close()
            except BrokenPipeError:
                continue

    def end(self) -> None:
        """Let the process end."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


def run(count: int, seed: int, workers: int | None = None, *, seeds: Path | None = None) -> Outcome:
    """Try ``count`` mutated recordings, six calls each.

    Args:
        seeds: a folder with the recordings to mutate; by default they are made.
    """
    outcome = Outcome()
    number = workers or int(os.environ.get("FUZZ_WORKERS", "0")) or min(os.cpu_count() or 1, count)
    cases: Iterator[int] = iter(range(int(os.environ.get("FUZZ_FIRST", "0")), count))
    lock = threading.Lock()
    results: queue.Queue[tuple[int, dict[str, object] | str]] = queue.Queue()

    with tempfile.TemporaryDirectory() as folder:
        if seeds is None:
            made(Path(folder))

        def work() -> None:
            worker = _Worker(seeds or Path(folder), seed)
            while True:
                with lock:
                    case = next(cases, None)
                if case is None:
                    break
                results.put((case, worker.answer(case)))
            worker.end()
            results.put((-1, ""))

        threads = [threading.Thread(target=work, daemon=True) for _ in range(number)]
        for thread in threads:
            thread.start()
        ended = done = 0
        while ended < number:
            case, told = results.get()
            if case < 0:
                ended += 1
                continue
            known = len(outcome.crashes)
            _note(outcome, case, told)
            for crash in outcome.crashes[known:]:  # at once: a long run may be ended before its end
                print(f"case {crash.case} of seed {seed}, {crash.call}: {crash.message}", file=sys.stderr, flush=True)
            done += 1
            if done % TALK == 0:
                print(outcome.line("recording"), file=sys.stderr, flush=True)
        for thread in threads:
            thread.join()
    return outcome


def _note(outcome: Outcome, case: int, told: dict[str, object] | str) -> None:
    if isinstance(told, str):
        outcome.tried += 1
        outcome.crashes.append(Crash(case, "worker", told))
        return
    outcome.tried += int(str(told["calls"]))
    outcome.accepted += bool(told["accepted"])
    outcome.refused += not told["accepted"]
    outcome.slowest = max(outcome.slowest, float(str(told["slowest"])))
    outcome.memory = max(outcome.memory, float(str(told["memory"])))
    crashes = told["crashes"]
    assert isinstance(crashes, list)
    outcome.crashes += [Crash(case, str(call), str(message)) for call, message in crashes]
