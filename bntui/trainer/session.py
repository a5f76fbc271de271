"""A scenario being trained: its runs side by side, epoch by epoch, into one recording."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

import bntui
from bntui.errors import ScenarioError
from bntui.recording.codec import pack_arrays
from bntui.recording.history import Event
from bntui.recording.writer import Writer
from bntui.scenario.checks import batch_norm_problem, split_problem
from bntui.scenario.load import NamedRun, Scenario
from bntui.trainer.data import Dataset, Scaling, fit_scaling, load_data, split_indices
from bntui.trainer.device import resolve_device
from bntui.trainer.run import Run, Samples

EMBEDDED_DATA = 64_000_000
"""Data sets up to so many bytes lie in the recording; of larger ones the checksum and the path."""


class Session:
    """Loads the data, builds the runs, and trains them in turn.

    Raises:
        ScenarioError, DataError, DeviceError: before anything is recorded.
        StorageError: the recording cannot be written.
    """

    def __init__(self, scenario: Scenario, recording: Path, overrides: Sequence[tuple[str, object]] = ()) -> None:
        torch.set_num_threads(1)  # small networks: a second thread costs more than it computes
        first = scenario.runs[0].config
        folder = scenario.path.parent if scenario.path else Path.cwd()
        data = load_data(first.data, folder, first.seed)
        train, validation = split_indices(data, first.data.validation, first.seed)
        _check_batches(scenario.runs, data, len(train))
        device = resolve_device(first.device)
        scalings = [fit_scaling(run.config.data.scaling, data.x[train]) for run in scenario.runs]
        self.runs = tuple(
            Run(index, run.name, run.config, _samples(data, train, validation, scaling, device), device)
            for index, (run, scaling) in enumerate(zip(scenario.runs, scalings, strict=True))
        )
        sizes = {"train_samples": str(len(train)), "validation_samples": str(len(validation))}
        self.writer = Writer(recording, _meta(scenario, data, device, overrides) | sizes)
        self._add_data(data, train, validation)
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
        """Every run to the end of its epoch under way."""
        for run in self.runs:
            if not run.over:
                run.train_epoch(self.writer, interrupted)

    def step(self) -> None:
        """One more mini-batch of every run, measured."""
        for run in self.runs:
            if not run.over:
                run.train_step(self.writer)

    def interrupt(self) -> None:
        """Note where a user stopped the runs that were not over."""
        self.writer.add_events(
            [
                Event(run.info.index, run.step, run.epoch, "interrupted", f"stopped by hand at epoch {run.epoch:g}")
                for run in self.runs
                if not run.over
            ]
        )

    def _add_data(self, data: Dataset, train: np.ndarray, validation: np.ndarray) -> None:
        checksum = hashlib.blake2b(data.x.tobytes() + data.y.tobytes(), digest_size=16).digest()
        block = None
        if data.x.nbytes + data.y.nbytes <= EMBEDDED_DATA:
            arrays = {"x": data.x, "y": data.y, "train": train, "validation": validation}
            names = {"classes": json.dumps(data.classes), "features": json.dumps(data.features)}
            block = pack_arrays(arrays, names)
        self.writer.add_data("data", block, data.name, checksum)


def _samples(
    data: Dataset,
    train: np.ndarray,
    validation: np.ndarray,
    scaling: Scaling,
    device: torch.device,
) -> Samples:
    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    outputs = len(data.classes) if data.task == "classification" else data.y.shape[1]
    return Samples(
        tensor(scaling.apply(data.x[train])),
        tensor(data.y[train]),
        tensor(scaling.apply(data.x[validation])),
        tensor(data.y[validation]),
        data.task,
        outputs,
    )


def _check_batches(runs: Sequence[NamedRun], data: Dataset, training_samples: int) -> None:
    """What can only be known with the data: an epoch without a batch, a batch of one under batch normalization."""
    count, image = len(data.x), data.x.shape[2:] or None
    found = [
        split_problem(run.config, count) or batch_norm_problem(run.config, training_samples, image) for run in runs
    ]
    problems = [problem for problem in found if problem is not None]
    if problems:
        raise ScenarioError(problems)


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
