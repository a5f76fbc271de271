"""Describes what is audited: a run with what is fixed about it, and one of its steps as evidence tells it."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit import masks, optimizers
from bntui.audit.activations import ACTIVATIONS
from bntui.audit.backward import BACKWARD
from bntui.audit.bounded import Bounded
from bntui.audit.forward import FORWARD
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import ENTRIES, RecordedStage, parameter_names
from bntui.audit.normalize import NORMS
from bntui.audit.recurrence import CELLS, State
from bntui.audit.samples import ScaledSamples
from bntui.audit.standing import BatchSizes
from bntui.audit.tolerances import Precision
from bntui.keyframe import Keyframe
from bntui.recording.evidence import BEFORE, MASK, STAGE, Evidence
from bntui.recording.history import RunInfo
from bntui.text.language import N_

Values = NDArray[Any]

EVIDENCE: Final = N_("completeness of evidence")
KINDS: Final = N_("kinds that the audit knows")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is fixed about the run whose keyframes are recomputed."""

    run: RunInfo
    stages: tuple[RecordedStage, ...]
    samples: ScaledSamples | None
    """None: the data set is not in the recording."""
    task: str
    precision: Precision
    pace: BatchSizes | None = None
    """How the run goes through its samples; None where their number is not recorded."""

    @property
    def training(self) -> Mapping[str, Any]:
        """The configuration's training table."""
        training: Mapping[str, Any] = self.run.config["training"]
        return training


@dataclass(slots=True)
class Taken:
    """What a step's evidence says, unpacked, and what was recomputed from it."""

    x: Values | None
    """The mini-batch as it entered the network, float32."""
    target: Values | None
    values: list[Values]
    """Every stage's output, float32."""
    before: dict[str, Values]
    """Parameters and buffers, float64."""
    optimizer: dict[str, dict[str, Values]]
    draws: dict[int, Values]
    """By a stage's place: what dropout kept, scale and shift of noise where they are recorded."""
    recorded: dict[str, Values]
    """Gradients that are recorded: those of normalizations' parameters."""
    gradients: dict[str, Bounded] = field(default_factory=dict)
    moved: dict[str, Bounded] = field(default_factory=dict)
    """Parameters after the step, those whose gradient is determined."""
    after: State | None = None
    """All parameters and buffers after it; None where some gradient is not determined."""

    def entered(self, stage: RecordedStage) -> Values | None:
        """What entered a stage."""
        return self.values[stage.at - 1] if stage.at else self.x


def known_kinds(ledger: Ledger, subject: Subject) -> bool:
    """Everything that the run is made of has its audit: what is unknown is a failure, never passed over."""
    training = subject.training["optimizer"]
    asked: list[tuple[str, str, Container[str]]] = [("training.optimizer", training, optimizers.OPTIMIZERS)]
    asked += [(f"{stage.info.name}, stage", stage.kind, FORWARD.keys() & BACKWARD.keys()) for stage in subject.stages]
    for info in subject.run.layers:
        asked.append((f"{info.name}, kind", info.kind, ENTRIES))
        asked.append((f"{info.name}, activation", info.activation, ACTIVATIONS))
        asked.append((f"{info.name}, norm", info.norm, {"none", *NORMS}))
        if info.kind == "recurrent":
            asked.append((f"{info.name}, cell", info.cell, CELLS))
    place = Place(subject.run.name)
    fits = [ledger.hold(KINDS, place, figure, kind in known, kind, "?") for figure, kind, known in asked]
    return all(fits)


def unpack(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, evidence: Evidence) -> Taken | None:
    """Evidence in its parts; None, and a failure, where something is missing or has the wrong shape."""
    dropped = [stage for stage in subject.stages if stage.kind == "dropout"]
    missing = [STAGE.name(stage.at) for stage in subject.stages if stage.at not in evidence.stages]
    missing += [BEFORE.name(name) for name in parameter_names(subject.stages) if name not in evidence.before]
    missing += [MASK.name(stage.info.name) for stage in dropped if stage.info.name not in evidence.masks]
    if not ledger.hold(EVIDENCE, place, ", ".join(missing) or "evidence", not missing, "-", "+"):
        return None
    batch = None if subject.samples is None else subject.samples.batch(frame.batch_indices)
    x, target = (None, None) if batch is None else batch
    taken = Taken(
        x,
        target,
        [evidence.stages[stage.at] for stage in subject.stages],
        {name: values.astype(np.float64) for name, values in evidence.before.items()},
        {},
        {},
        dict(evidence.gradients),
    )
    for (parameter, kind), values in evidence.optimizer.items():
        taken.optimizer.setdefault(parameter, {})[kind] = values.astype(np.float64)
    for stage in subject.stages:
        drawn = evidence.noise.get(stage.info.name)
        if stage.kind == "noise" and drawn is not None:
            taken.draws[stage.at] = drawn
        elif stage.kind == "input_noise":
            taken.draws[stage.at] = taken.values[stage.at]
            if x is not None and x.shape == taken.values[stage.at].shape:
                deviation = subject.run.config["data"].get("input_noise", 0.0)
                masks.check_noise(ledger, place, x, taken.values[stage.at], deviation)
    for stage in dropped:
        entered = taken.entered(stage)
        shape = np.shape(entered if entered is not None else taken.values[stage.at])
        bits = np.unpackbits(evidence.masks[stage.info.name])[: math.prod(shape)]
        if not ledger.hold(EVIDENCE, place, "mask", bits.size == math.prod(shape), bits.size, math.prod(shape)):
            return None
        taken.draws[stage.at] = bits.reshape(shape).astype(bool)
    return taken
