"""Reads a recording's network: the stages of a run, with everything needed to recompute them."""

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
"""Kinds of stages that begin a layer and hold its weight."""
DRAWN: Final = ("noise", "input_noise")
"""Kinds of stages whose output is random and therefore taken from the recording."""
GATES: Final = {"elman": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True, slots=True)
class RecordedStage:
    """One operation of the network."""

    at: int
    """Index of the stage: ``stage/{at}`` is its output."""
    kind: str
    number: int
    """Number of its layer."""
    info: LayerInfo
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """``stride``, ``padding``, ``pool``, ``eps``, ``momentum``, where they apply."""

    def name(self, parameter: str) -> str:
        """The full name of one of its parameters or buffers."""
        return f"{self.info.name}.{self.kind}.{parameter}"


def stages_of(run: RunInfo) -> tuple[RecordedStage, ...]:
    """The stages of a run's network, in the order of evidence; empty if the recording does not name them."""
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
    """Names of the trainable parameters, in the order of the network."""
    return [stage.name(name) for stage in stages for name, buffer in members(stage) if not buffer]


def state_names(stages: tuple[RecordedStage, ...]) -> list[str]:
    """Names of parameters and buffers in the order of PyTorch's modules, which is the digest's order."""
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
    """Reshape samples according to ``data.sequence``: an image by rows or pixels, features one by one."""
    if sequence == "none":
        return x
    if x.ndim == 2:
        return x[..., None]
    samples, channels, height, width = x.shape
    if sequence == "rows":
        return np.swapaxes(x, 1, 2).reshape(samples, height, channels * width)
    return np.moveaxis(x, 1, 3).reshape(samples, height * width, channels)
