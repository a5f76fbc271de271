"""Runs cases of the recording fuzzer: reads one case number per line and writes one line of JSON about its calls.

    python -m tests.fuzz.recording_worker SEEDS SEED

It has a limit of its own for memory: a case that asks for too much fails alone.  One that hangs in C or aborts ends
the worker, and the fuzzer starts another.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import typer.main

import bntui.scenario.gallery
from tests.fuzz.outcome import LARGEST, LONGEST, dice, peak
from tests.fuzz.recording_calls import calls
from tests.fuzz.recording_mutations import EVIL_TEXT, mutate

NAMES = ("x.bntui", "x.bntui", "x.bntui", f"x{EVIL_TEXT[:-1]}\udcff.bntui".replace("\x00", ""))


class TooSlowError(BaseException):
    """A call took more processor time than any may."""


def _late(_signal: int, _frame: FrameType | None) -> None:
    raise TooSlowError


def one(case: int, seed: int, seeds: dict[str, bytes], folder: Path) -> dict[str, Any]:
    """Make a case and all its calls."""
    random = dice(seed, case)
    name = random.choice(sorted(seeds))
    path = folder / random.choice(NAMES)
    path.write_bytes(seeds[name])
    what = f"{name}: {mutate(path, random)}"
    answer: dict[str, Any] = {"case": case, "calls": 0, "accepted": False, "slowest": 0.0, "crashes": []}
    for call, make in calls(path, random):
        begun = time.process_time()  # a busy machine may let a call wait for long
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        try:
            accepted = make()
            answer["accepted"] |= accepted and call == "view"
        except (Exception, TooSlowError) as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}:{last.lineno}"
            answer["crashes"].append([call, f"{what}: {type(error).__name__} at {place}: {error}"[:300]])
        signal.setitimer(signal.ITIMER_PROF, 0)
        answer["calls"] += 1
        answer["slowest"] = max(answer["slowest"], time.process_time() - begun)
    answer["memory"] = peak()
    return answer


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def main() -> None:
    seeds = {path.stem: path.read_bytes() for path in sorted(Path(sys.argv[1]).glob("*.bntui"))}
    used = (
        int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if sys.platform == "linux" else 0
    )
    limit = used + LARGEST * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _late)
    answers = sys.stdout
    # what has nothing to do with recordings is made once: the tree of commands, the built-in scenarios
    typer.main.get_command = lru_cache(typer.main.get_command)
    bntui.scenario.gallery.scenarios = lru_cache(bntui.scenario.gallery.scenarios)
    with tempfile.TemporaryDirectory() as home, np.errstate(all="ignore"):
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            os.environ[name] = str(Path(home) / name)
        folder = Path(home) / "XDG_DATA_HOME" / "bntui" / "recordings"
        folder.mkdir(parents=True)
        (Path(home) / "XDG_RUNTIME_DIR").mkdir(mode=0o700)
        for line in sys.stdin:
            answer = one(int(line), int(sys.argv[2]), seeds, folder)
            _clear(folder)
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
