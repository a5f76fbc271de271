"""Creates a recording: chooses its name, and stores facts about the scenario and this machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

import bntui
from bntui.errors import NameTakenError
from bntui.link.lock import Hold
from bntui.recording.first_view import KEY as FIRST_VIEW
from bntui.recording.opened import Recording
from bntui.recording.origin import scenario_origin
from bntui.recording.reading import KEY
from bntui.recording.tour import KEY as TOUR
from bntui.recording.writer import Writer
from bntui.scenario.load import Scenario, parse
from bntui.scenario.tour import as_json
from bntui.text.language import _
from bntui.text.output import storable
from bntui.trainer.bench import Bench


def created(scenario: Scenario, recording: Path | None, meta: Mapping[str, str]) -> tuple[Writer, Hold]:
    """Create a draft of a recording, and lock its future name.

    Args:
        recording: the name; by default a new one in the user's folder.
    """
    held = Hold(recording) if recording is not None else Hold.new(_title(scenario))
    try:
        return Writer.draft(held.recording, meta), held
    except BaseException:
        held.release()
        raise


def publish(writer: Writer, held: Hold, scenario: Scenario, *, chosen: bool) -> Hold:
    """Give a draft its final name, or another one if that is in use by now.

    Args:
        chosen: the user has chosen the name, so no other one is tried.

    Returns:
        The lock on the recording.

    Raises:
        NameTakenError: the chosen name is in use.
        StorageError: the disk is full, or the file system refuses.
    """
    while True:
        try:
            writer.publish(held.recording)
            held.hold_file(locked=True)
            return held
        except NameTakenError:  # by a program that ignores the lock
            if chosen:
                raise
            held.release()
            held = Hold.new(_title(scenario))


def folder_of(scenario: Scenario) -> Path:
    """The folder to which a scenario's data files are relative."""
    return scenario.path.parent if scenario.path else Path.cwd()


def scenario_of(reader: Recording) -> Scenario:
    """The scenario of a recording, with the overrides from the command line.

    Raises:
        ScenarioError: the scenario is not valid.
        RecordingError: the recording does not contain it.
    """
    origin = scenario_origin(reader.path, reader.meta)
    return parse(origin.text, file=str(origin.path or ""), path=origin.path, overrides=origin.overrides)


def _title(scenario: Scenario) -> str:
    return scenario.path.stem if scenario.path else "recording"


def circumstances(device: torch.device, meta: Mapping[str, str] | None) -> str:
    """Versions and hardware that determine the exact bits of a step, in words.

    Args:
        meta: metadata of a recording, to describe the machine that created it; None describes this machine.
    """
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
    """A recording's metadata: everything needed to understand it, and to repeat it on another machine."""
    return {
        "title": scenario.title,
        "task": bench.data.task,
        "scenario": scenario.text,
        "scenario_file": storable(str(scenario.path or "")),
        "description": scenario.description,
        "look_for": json.dumps(scenario.look_for),
        **({FIRST_VIEW: json.dumps(view)} if (view := scenario.view.as_json()) else {}),
        **({TOUR: json.dumps(as_json(scenario.tour), ensure_ascii=False)} if scenario.tour else {}),
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
