"""How does a recording begin: its name, held against all others, and what is noted of the scenario and this machine?"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

import bntui
from bntui.errors import NameTakenError, RecordingError
from bntui.language import _
from bntui.recording.library import new_path
from bntui.recording.reading import KEY
from bntui.recording.writer import Writer
from bntui.scenario.load import Scenario
from bntui.trainer.bench import Bench
from bntui.trainer.lock import Hold


def created(scenario: Scenario, recording: Path | None, meta: Mapping[str, str]) -> tuple[Writer, Hold]:
    """The recording, held; under a new name of the user's folder where none is given."""
    if recording is not None:
        return _held(recording, meta)
    while True:
        try:
            return _held(new_path(scenario.path.stem if scenario.path else "recording"), meta)
        except (NameTakenError, RecordingError):  # a trainer that was started at the same moment was first
            time.sleep(0.01)


def _held(path: Path, meta: Mapping[str, str]) -> tuple[Writer, Hold]:
    held = Hold(path)
    writer = None
    try:
        new = not path.exists()
        writer = Writer.create(path, meta)
        if new:
            held.hold_file()
    except BaseException:
        if writer is not None:
            writer.abandon()
        held.release()
        raise
    return writer, held


def circumstances(device: torch.device, meta: Mapping[str, str] | None) -> str:
    """What the bits of a step depend on beside the recording: here, or where the recording was made."""
    here = _machine(device) if meta is None else meta
    threads = _("{threads} threads").format(threads=here["threads"]) if here["threads"] != "1" else ""
    words = (f"torch {here['torch']}", here["device_name"] if device.type == "cuda" else here["device"],
             here["cpu_capability"], threads)  # fmt: skip
    return ", ".join(word for word in words if word)


def _machine(device: torch.device) -> dict[str, str]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "torch": torch.__version__,
        "device": str(device),
        "device_name": name,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
    }


def meta_of(scenario: Scenario, bench: Bench, overrides: Collection[tuple[str, object]]) -> dict[str, str]:
    """What is fixed when a recording begins, so that it can be understood and repeated elsewhere."""
    return {
        "title": scenario.title,
        "task": bench.data.task,
        "scenario": scenario.text,
        "scenario_file": str(scenario.path or ""),
        "description": scenario.description,
        "look_for": json.dumps(scenario.look_for),
        "translation": json.dumps(scenario.translation, ensure_ascii=False),
        "overrides": json.dumps([[path, value] for path, value in overrides]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "bntui": bntui.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **_machine(bench.device),
        "cores": str(os.cpu_count()),
        "train_samples": str(len(bench.train)),
        "validation_samples": str(len(bench.validation)),
        **({} if bench.data.reading is None else {KEY: bench.data.reading.as_json()}),
    }
