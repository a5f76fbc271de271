"""Provides what all runs of a recording share: the samples, their split and the device."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from bntui.errors import DataError, RecordingError
from bntui.keyframe import FloatArray, IntArray, SingleArray
from bntui.recording.codec import digest, pack_arrays
from bntui.recording.opened import Recording
from bntui.recording.writer import Writer
from bntui.scenario.checks import DataFacts
from bntui.scenario.schema import RunConfig
from bntui.text.language import _
from bntui.text.output import storable
from bntui.trainer.data.dataset import Dataset, Scaling, Task, as_sequence, load_data, split_indices
from bntui.trainer.device import prepare
from bntui.trainer.grid import grid_axes, grid_points
from bntui.trainer.samples import DeviceSamples

EMBEDDED_DATA = 64_000_000
"""Data sets of up to this many bytes are stored in the recording; for larger ones, only their checksum and path."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The samples of a recording, with their split and device."""

    data: Dataset
    train: IntArray
    validation: IntArray
    axes: tuple[SingleArray | FloatArray, ...]
    """Axes of the grid of predictions, in raw units; empty without a grid."""
    device: torch.device
    _scaled: dict[bytes, DeviceSamples] = field(default_factory=dict)
    """Scaled samples by scaling and shape, shared by runs with equal scaling."""

    @property
    def facts(self) -> DataFacts:
        """The properties of the data that a configuration must match."""
        outputs = len(self.data.classes) if self.data.task == "classification" else self.data.y.shape[1]
        return DataFacts(len(self.data), self.data.task, self.data.x.shape[1:], outputs)

    def samples(self, config: RunConfig, scaling: Scaling) -> DeviceSamples:
        """A run's samples on the device, scaled, and in the shape that ``data.sequence`` asks for."""
        sequence = config.data.sequence
        key = hashlib.blake2b(scaling.offset.tobytes() + scaling.factor.tobytes() + sequence.encode()).digest()
        if key not in self._scaled:
            self._scaled[key] = self._on_device(scaling, sequence)
        return self._scaled[key]

    def _on_device(self, scaling: Scaling, sequence: str) -> DeviceSamples:
        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

        def inputs(rows: IntArray) -> torch.Tensor:
            return tensor(as_sequence(scaling.apply(self.data.x[rows]), sequence))

        points = grid_points(self.axes, scaling, sequence)
        return DeviceSamples(
            inputs(self.train),
            tensor(self.data.y[self.train]),
            inputs(self.validation),
            tensor(self.data.y[self.validation]),
            self.data.task,
            len(self.data.classes) if self.data.task == "classification" else self.data.y.shape[1],
            None if points is None else points.to(self.device),
        )

    def record(self, writer: Writer) -> None:
        """Store the samples with their split; if they are too large, only their checksum."""
        block, source = None, storable(self.data.name)
        if self.data.x.nbytes + self.data.y.nbytes <= EMBEDDED_DATA:
            arrays = {"x": self.data.x, "y": self.data.y, "train": self.train, "validation": self.validation}
            if self.data.lines is not None:
                arrays["lines"] = self.data.lines
            names = {"classes": json.dumps(self.data.classes), "features": json.dumps(self.data.features)}
            block = pack_arrays(arrays, names)
        writer.add_data("data", block, source, checksum(self.data) if block is None else digest(block))
        if self.axes:
            block = pack_arrays({f"x{number}": axis for number, axis in enumerate(self.axes, 1)})
            writer.add_data("grid", block, source, digest(block))


def checksum(data: Dataset) -> bytes:
    """BLAKE2b digest of inputs and targets, 16 bytes, which identifies a data set."""
    return hashlib.blake2b(data.x.tobytes() + data.y.tobytes(), digest_size=16).digest()


def from_scenario(config: RunConfig, folder: Path) -> Bench:
    """Load the data of a scenario.

    Args:
        config: configuration of the first run.
        folder: data files are relative to it.

    Raises:
        DataError: the data is missing or damaged.
        DeviceError: the device is not available.
    """
    data = load_data(config.data, folder, config.seed)
    train, validation = split_indices(data, config.data.validation, config.seed)
    return Bench(data, train, validation, grid_axes(data), prepare(config.device, config.deterministic))


def from_recording(reader: Recording, config: RunConfig) -> Bench:
    """Load the data of a recording: the stored samples, or else those of its data file.

    Raises:
        RecordingError: the stored samples are damaged.
        DataError: the data file is missing or has changed.
        DeviceError: no device is available.
    """
    device = prepare(reader.runs[0].device, config.deterministic, fall_back=True)
    recorded = reader.dataset
    if recorded is not None:
        task: Task = "classification" if reader.task == "classification" else "regression"
        data = Dataset(recorded.name, recorded.x, recorded.y, task, recorded.classes, recorded.features)
        if not reader.data_fits(checksum(data)):
            raise RecordingError(_("{path}: the data is damaged: its digest does not match").format(path=reader.path))
        return Bench(data, recorded.train, recorded.validation, recorded.grid, device)
    folder = Path(reader.meta["scenario_file"] or ".").parent
    data = load_data(config.data, folder, config.seed)
    if not reader.data_fits(checksum(data)):
        sentence = _("{source} is not the data that {recording} was made from: the checksums differ")
        raise DataError(sentence.format(source=config.data.source, recording=reader.path))
    return Bench(data, *split_indices(data, config.data.validation, config.seed), grid_axes(data), device)
