"""Checks that a run's settings, layers, and samples agree."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

from bntui.audit.blocks import Said, Shape, blocks_of, layers_of
from bntui.audit.ledger import Ledger, Place
from bntui.audit.subject import Subject
from bntui.recording.history import RunInfo
from bntui.text.language import N_
from bntui.text.output import clean

SETTINGS: Final = N_("settings match layers, samples, and device")
DEVICE: Final = re.compile(r"cpu|mps(:\d+)?|cuda:\d+")
"""Names of the devices on which a run may have been trained."""

SHARED: Final = (
    "seed", "device", "deterministic", "data.source", "data.labels", "data.target", "data.task", "data.samples",
    "data.noise", "data.factor", "data.sequence", "data.validation",
)  # fmt: skip
"""Settings shared by all runs of a recording."""
BUILT_IN: Final[dict[str, tuple[Shape, str, int | None]]] = {
    "digits": ((1, 8, 8), "classification", 1797),
    "breast_cancer": ((30,), "classification", 569),
    "wine": ((13,), "classification", 178),
    "iris": ((4,), "classification", 150),
    "moons": ((2,), "classification", None),
    "circles": ((2,), "classification", None),
    "spirals": ((2,), "classification", None),
    "xor": ((2,), "classification", None),
    "blobs": ((2,), "classification", None),
    "line": ((1,), "regression", None),
    "sine": ((1,), "regression", None),
}
"""Shape of one sample, task, and number of samples; None if the samples are generated."""


def check_configuration(ledger: Ledger, subject: Subject, meta: Said, sizes: tuple[int, int] | None) -> None:
    """Check everything about a run that follows from its settings."""
    _layers(ledger, subject)
    _sizes(ledger, subject, sizes)
    _device(ledger, subject.run, meta)
    _data(ledger, subject)


def _layers(ledger: Ledger, subject: Subject) -> None:
    run, samples = subject.run, subject.samples
    place = Place(run.name)
    names = [*(block.name for block in blocks_of(run.config)), "output"]
    recorded = [layer.name for layer in run.layers]
    if not ledger.hold(SETTINGS, place, "network, layers", recorded == names, recorded, names) or samples is None:
        return
    shape = tuple(samples.scaled(samples.data.x[:1]).shape[1:])
    outputs = len(samples.data.classes) if subject.task == "classification" else samples.data.y.shape[1]
    figures = ["kind", "shape", "norm", "activation", "dropout", "parameters"]
    if subject.stages:  # since format 2
        figures += ["stages", "cell", "per_step", "groups"]
    for theirs, ours in zip(run.layers, layers_of(run.config, shape, outputs), strict=True):
        here = Place(run.name, layer=theirs.name)
        for figure in figures:
            told, due = getattr(theirs, figure), getattr(ours, figure)
            ledger.hold(SETTINGS, here, figure, told == due, told, due)


def _sizes(ledger: Ledger, subject: Subject, sizes: tuple[int, int] | None) -> None:
    if sizes is None:
        return
    run, data = subject.run, subject.run.config["data"]
    batches = sizes[0] / data["batch_size"]
    due = math.floor(batches) if data.get("last_batch", "keep") == "drop" else math.ceil(batches)
    ledger.hold(SETTINGS, Place(run.name), "steps_per_epoch", run.steps_per_epoch == due, run.steps_per_epoch, due)


def _device(ledger: Ledger, run: RunInfo, meta: Said) -> None:
    """Check the device against the requested one; a fork may have been trained on any machine, with any device."""
    asked, place = run.config.get("device", "auto"), Place(run.name)
    ledger.hold(SETTINGS, place, "device", bool(DEVICE.fullmatch(run.device)), run.device, "cpu, cuda:N, mps")
    if run.fork is not None:
        return
    due = "cuda:0" if asked == "cuda" else asked
    fits = run.device == due if asked != "auto" else run.device == "cpu" or run.device.startswith(("cuda:", "mps"))
    ledger.hold(SETTINGS, place, "device", fits, run.device, due)
    if "device" in meta:
        ledger.hold(SETTINGS, place, "device", run.device == meta["device"], run.device, meta["device"])


def _data(ledger: Ledger, subject: Subject) -> None:
    data, samples, place = subject.run.config["data"], subject.samples, Place(subject.run.name)
    task = data.get("task", "auto")
    shape, due, there = BUILT_IN.get(data["source"], (None, None if task == "auto" else task, None))
    ledger.hold(SETTINGS, place, "data.task", due in (None, subject.task), subject.task, due)
    monitor = (subject.run.early_stopping or {}).get("monitor", "loss")
    other = ("accuracy", "val_accuracy") if subject.task == "regression" else ("r2", "val_r2")
    ledger.hold(SETTINGS, place, "early_stopping.monitor", monitor not in other, monitor, subject.task)
    if samples is None:
        return
    source, name = data["source"], samples.data.name
    named = (clean(source), clean(PurePosixPath(source).name), clean(PureWindowsPath(source).name))
    ledger.hold(SETTINGS, place, "data.source", name in named, name, named[0])
    count, asked = len(samples.data.x), data.get("samples")
    if shape is None:
        ledger.hold(SETTINGS, place, "data.samples", asked is None or count <= asked, count, asked)
        return
    ledger.hold(SETTINGS, place, "x", samples.data.x.shape[1:] == shape, samples.data.x.shape[1:], shape)
    number = asked or there
    ledger.hold(SETTINGS, place, "data.samples", number is None or count == number, count, number)


def check_shared(ledger: Ledger, runs: Sequence[RunInfo]) -> None:
    """Check that all runs share their samples, split, seed, and device."""
    for run in runs[1:]:
        for path in SHARED:
            ours, theirs = (value_at(other.config, path) for other in (runs[0], run))
            ledger.hold(SETTINGS, Place(run.name), path, ours == theirs, theirs, ours)


def value_at(config: Said, path: str) -> Any:
    """The value at a key path of a configuration; None if it is absent."""
    value: Any = config
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
