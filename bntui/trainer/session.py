"""A scenario being trained: its runs side by side, epoch by epoch, into one recording."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

import bntui
from bntui.errors import NameTakenError, RecordingError, ScenarioError
from bntui.keyframe import SingleArray
from bntui.recording.codec import pack_arrays
from bntui.recording.history import Event
from bntui.recording.library import new_path
from bntui.recording.sentences import INTERRUPTED
from bntui.recording.writer import Writer
from bntui.scenario.checks import Facts, problems
from bntui.scenario.load import NamedRun, Scenario
from bntui.trainer.data import Dataset, Scaling, as_sequence, fit_scaling, load_data, split_indices
from bntui.trainer.device import resolve_device
from bntui.trainer.grid import grid_axes, grid_points
from bntui.trainer.lock import hold
from bntui.trainer.run import Run, Samples

EMBEDDED_DATA = 64_000_000
"""Data sets up to so many bytes lie in the recording; of larger ones the checksum and the path."""


class Session:
    """Loads the data, builds the runs, and trains them in turn.

    Raises:
        ScenarioError, DataError, DeviceError: before anything is recorded.
        StorageError: the recording cannot be written.
    """

    def __init__(
        self, scenario: Scenario, recording: Path | None, overrides: Sequence[tuple[str, object]] = ()
    ) -> None:
        torch.set_num_threads(1)  # small networks: a second thread costs more than it computes
        first = scenario.runs[0].config
        folder = scenario.path.parent if scenario.path else Path.cwd()
        data = load_data(first.data, folder, first.seed)
        train, validation = split_indices(data, first.data.validation, first.seed)
        _check(scenario.runs, data)
        device = resolve_device(first.device)
        axes, parts = grid_axes(data), (train, validation)
        scalings = [fit_scaling(run.config.data.scaling, data.x[train]) for run in scenario.runs]
        self.runs = tuple(
            Run(index, run.name, run.config, _samples(data, parts, scaling, axes, first.data.sequence, device), device)
            for index, (run, scaling) in enumerate(zip(scenario.runs, scalings, strict=True))
        )
        sizes = {"train_samples": str(len(train)), "validation_samples": str(len(validation))}
        self.writer = _create(scenario, recording, _meta(scenario, data, device, overrides) | sizes)
        self._add_data(data, train, validation, axes)
        for run, scaling in zip(self.runs, scalings, strict=True):
            budget = run.config.record.budget * 1e6 / len(self.runs)
            block = pack_arrays({"offset": scaling.offset, "factor": scaling.factor}, {"kind": scaling.kind})
            self.writer.add_run(run.info, block, budget)
        for run in self.runs:
            run.begin(self.writer)

    @property
    def over(self) -> bool:
        """All runs are finished, stopped early or diverged."""
        return all(run.over for run in self.runs)

    def epoch(self, interrupted: Callable[[], bool]) -> None:
        """Every run to the end of the epoch under way: that of the run that is furthest behind."""
        active = [run for run in self.runs if not run.over]
        target = min(math.floor(run.epoch) for run in active) + 1
        for run in active:
            if run.epoch < target:
                run.train_epoch(self.writer, interrupted)
            if interrupted():
                return

    def step(self) -> None:
        """One more mini-batch of every run, measured."""
        for run in self.runs:
            if not run.over:
                run.train_step(self.writer)

    def interrupt(self) -> None:
        """Note where a user stopped the runs that were not over."""
        self.writer.add_events(
            [
                Event.of(run.info.index, run.step, run.epoch, "interrupted", INTERRUPTED, epoch=run.epoch)
                for run in self.runs
                if not run.over
            ]
        )

    def _add_data(
        self, data: Dataset, train: np.ndarray, validation: np.ndarray, axes: tuple[SingleArray, ...]
    ) -> None:
        checksum = hashlib.blake2b(data.x.tobytes() + data.y.tobytes(), digest_size=16).digest()
        block = None
        if data.x.nbytes + data.y.nbytes <= EMBEDDED_DATA:
            arrays = {"x": data.x, "y": data.y, "train": train, "validation": validation}
            names = {"classes": json.dumps(data.classes), "features": json.dumps(data.features)}
            block = pack_arrays(arrays, names)
        self.writer.add_data("data", block, data.name, checksum)
        if axes:
            block = pack_arrays({f"x{number}": axis for number, axis in enumerate(axes, 1)})
            self.writer.add_data("grid", block, data.name, hashlib.blake2b(block, digest_size=16).digest())


def _create(scenario: Scenario, recording: Path | None, meta: Mapping[str, str]) -> Writer:
    """The recording, held until this process ends; under a new name of the user's folder where none is given."""
    if recording is not None:
        return _held(recording, meta)
    while True:
        try:
            return _held(new_path(scenario.path.stem if scenario.path else "recording"), meta)
        except (NameTakenError, RecordingError):  # a trainer that was started at the same moment was first
            time.sleep(0.01)


def _held(path: Path, meta: Mapping[str, str]) -> Writer:
    lock = hold(path)
    try:
        return Writer.create(path, meta)
    except BaseException:
        os.close(lock)
        raise


def _samples(
    data: Dataset,
    parts: tuple[np.ndarray, np.ndarray],
    scaling: Scaling,
    axes: tuple[SingleArray, ...],
    sequence: str,
    device: torch.device,
) -> Samples:
    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    def inputs(rows: np.ndarray) -> torch.Tensor:
        return tensor(as_sequence(scaling.apply(data.x[rows]), sequence))

    train, validation = parts
    outputs = len(data.classes) if data.task == "classification" else data.y.shape[1]
    points = grid_points(axes, scaling, sequence)
    return Samples(
        inputs(train),
        tensor(data.y[train]),
        inputs(validation),
        tensor(data.y[validation]),
        data.task,
        outputs,
        None if points is None else points.to(device),
    )


def _check(runs: Sequence[NamedRun], data: Dataset) -> None:
    """What a file's name did not tell: whether networks, batches and monitors fit the data."""
    facts = Facts(len(data.x), data.task, data.x.shape[1:])
    found = dict.fromkeys(problem for run in runs for problem in problems(run.config, facts))
    if found:
        raise ScenarioError(tuple(found))


def _meta(
    scenario: Scenario, data: Dataset, device: torch.device, overrides: Sequence[tuple[str, object]]
) -> dict[str, str]:
    """What is fixed when a recording begins, so that it can be understood and repeated elsewhere."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "title": scenario.title,
        "task": data.task,
        "scenario": scenario.text,
        "scenario_file": str(scenario.path or ""),
        "description": scenario.description,
        "look_for": json.dumps(scenario.look_for),
        "translation": json.dumps(scenario.translation, ensure_ascii=False),
        "overrides": json.dumps([[path, value] for path, value in overrides]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "bntui": bntui.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": str(device),
        "device_name": name,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "cores": str(os.cpu_count()),
    }
