"""Which network does a recording speak of: its stages with what they need, read from the run and its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.keyframe import FloatArray
from bntui.recording.history import LayerInfo, RunInfo

Values = NDArray[Any]
State = Mapping[str, Values]

ENTRIES: Final = ("linear", "conv", "recurrent")
"""Stages that begin a layer: they have its weight."""
DRAWN: Final = ("noise", "input_noise")
"""Stages whose output is recorded as it was drawn: an input of the audit."""
GATES: Final = {"elman": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True, slots=True)
class RecordedStage:
    """One operation of the network."""

    at: int
    """Its place: ``stage/{at}`` is its output."""
    kind: str
    number: int
    """Its layer's."""
    info: LayerInfo
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """``stride``, ``padding``, ``pool``, ``eps``, ``momentum``, where they say something."""

    def name(self, parameter: str) -> str:
        """The full name of one of its parameters or buffers."""
        return f"{self.info.name}.{self.kind}.{parameter}"


def stages_of(run: RunInfo) -> tuple[RecordedStage, ...]:
    """The stages of a run's network, in the order of evidence; empty where a recording does not name them."""
    network = run.config["network"]
    tables = network.get("layer") or ()
    common = {"eps": network.get("norm_eps", 1e-5), "momentum": network.get("norm_momentum", 0.1)}
    stages = []
    for at, (number, kind) in enumerate(run.stages):
        table = tables[number] if number < len(tables) else {}
        own = {key: table[key] for key in ("stride", "padding", "pool", "kernel") if key in table}
        stages.append(RecordedStage(at, kind, number, run.layers[number], common | own))
    return tuple(stages)


def parameter_names(stages: tuple[RecordedStage, ...]) -> list[str]:
    """Trainable parameters, in the order in which the network has them."""
    return [stage.name(name) for stage in stages for name, buffer in members(stage) if not buffer]


def state_names(stages: tuple[RecordedStage, ...]) -> list[str]:
    """Parameters and buffers, in the order in which PyTorch's modules have them: the digest's order."""
    return [stage.name(name) for stage in stages for name, _buffer in members(stage)]


def members(stage: RecordedStage) -> list[tuple[str, bool]]:
    """Parameters and buffers (True) of a stage's module, in PyTorch's order."""
    if stage.kind in ENTRIES:
        return [("weight", False), ("bias", False)]
    if stage.kind == "norm":
        return _norm_members("", stage.info, shift=True, counts=not stage.info.per_step)
    if stage.kind == "activation" and stage.info.kind == "recurrent":
        own = [("weight_hh", False)]
        if stage.info.cell == "gru":
            own.append(("bias", False))
        if stage.info.per_step:
            own += _norm_members("norm.", stage.info, shift=False, counts=False)
            if stage.info.cell == "lstm":
                own += _norm_members("norm_cell.", stage.info, shift=True, counts=False)
        return own
    return []


def _norm_members(prefix: str, info: LayerInfo, *, shift: bool, counts: bool) -> list[tuple[str, bool]]:
    names = [("weight", False), *([("bias", False)] if shift else [])]
    if info.norm == "batch":
        names += [("running_mean", True), ("running_var", True)]
        names += [("num_batches_tracked", True)] if counts else []
    return [(f"{prefix}{name}", buffer) for name, buffer in names]


def as_sequence(x: FloatArray, sequence: str) -> FloatArray:
    """Samples in the shape that ``data.sequence`` asks for: rows or pixels of images, features one by one."""
    if sequence == "none":
        return x
    if x.ndim == 2:
        return x[..., None]
    samples, channels, height, width = x.shape
    if sequence == "rows":
        return np.swapaxes(x, 1, 2).reshape(samples, height, channels * width)
    return np.moveaxis(x, 1, 3).reshape(samples, height * width, channels)
