"""A keyframe for people and programs: as text, or as JSON with the names that the documentation promises."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from bntui.errors import UsageError
from bntui.keyframe import QUANTITIES, STATISTICS, Distribution, Keyframe, LayerMeasures
from bntui.recording.reader import Reader

LAYER_FIGURES = (
    "weight_norm", "weight_gradient_norm", "activation_gradient_norm", "update_ratio", "dead_fraction",
    "saturated_fraction",
)  # fmt: skip


def plain(value: Any) -> Any:
    """A value that JSON can carry: non-finite numbers are the strings NaN, Infinity, -Infinity."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def find_run(reader: Reader, run: str | None) -> int:
    """Number of a run that is given by name or number (from 0); the first without one."""
    if run is None:
        return 0
    names = [info.name for info in reader.runs]
    if run in names:
        return names.index(run)
    if run.isdecimal() and int(run) < len(names):
        return int(run)
    raise UsageError(f"{reader.path} has no run {run!r}; its runs are {', '.join(map(repr, names))}")


def find_keyframe(reader: Reader, run: int, epoch: float | None) -> Keyframe:
    """The last keyframe of a run, or its last one at or before an epoch."""
    row = reader.history(run).at(math.inf if epoch is None else epoch)
    if row < 0:
        raise UsageError(f"{reader.path} has no keyframe of run {reader.runs[run].name!r} at or before epoch {epoch}")
    return reader.keyframe(run, row)


def as_json(reader: Reader, frame: Keyframe) -> str:
    """One keyframe as a JSON object."""
    early = frame.early_stopping
    record = {
        "run": reader.runs[frame.run].name,
        "epoch": frame.epoch,
        "step": frame.step,
        "lr": frame.lr,
        "batch_loss": frame.batch_loss,
        "train_loss": frame.train_loss,
        "val_loss": frame.val_loss,
        "train_accuracy": frame.train_accuracy,
        "val_accuracy": frame.val_accuracy,
        "wall_time": frame.wall_time,
        "weights_digest": frame.weights_digest,
        "batch": {"indices": frame.batch_indices},
        "layers": [_layer(layer) for layer in frame.layers],
        "early_stopping": early and {field.name: getattr(early, field.name) for field in fields(early)},
    }
    return json.dumps(plain(record), ensure_ascii=False, allow_nan=False)


def _layer(layer: LayerMeasures) -> dict[str, Any]:
    record: dict[str, Any] = {"name": layer.name, "kind": layer.kind}
    for quantity in QUANTITIES:
        values: Distribution | None = getattr(layer, quantity)
        record[quantity] = values and {name: getattr(values, name) for name in STATISTICS}
    record |= {name: getattr(layer, name) for name in LAYER_FIGURES}
    norm, dropout = layer.batch_norm, layer.dropout
    record["batch_norm"] = norm and {field.name: getattr(norm, field.name) for field in fields(norm)}
    record["dropout"] = dropout and {"p": dropout.p, "kept_fraction": dropout.kept_fraction}
    return record


def as_text(reader: Reader, frame: Keyframe) -> str:
    """One keyframe as an aligned text."""
    return "\n".join(_lines(reader, frame))


def _lines(reader: Reader, frame: Keyframe) -> Iterator[str]:
    score = "accuracy" if reader.task == "classification" else "R²"
    others = [info.name for info in reader.runs if info.index != frame.run]
    yield f"{reader.title} · {reader.runs[frame.run].name}"
    if others:
        yield f"other runs, by --run: {', '.join(others)}"
    for event in reader.events(frame.run):
        if event.epoch <= frame.epoch:
            yield f"epoch {event.epoch:g}: {event.message}"
    batch = len(frame.batch_indices)
    yield f"epoch {frame.epoch:g}   step {frame.step}   learning rate {frame.lr:g}   batch of {batch}"
    yield f"training     loss {frame.train_loss:.6g}   {score} {frame.train_accuracy:.4f}   (the epoch so far)"
    yield f"validation   loss {frame.val_loss:.6g}   {score} {frame.val_accuracy:.4f}"
    early = frame.early_stopping
    if early is not None:
        state = early.reason if early.stopped else f"wait {early.wait}/{early.patience}"
        yield f"early stopping   {early.monitor} best {early.best:.6f} at epoch {early.best_epoch}   {state}"
    width = max(len(layer.name) for layer in frame.layers)
    yield ""
    heads = ("before norm", "after norm", "after activation")
    yield f"{'layer':{width}}  {'  '.join(f'{head:>18}' for head in heads)}  {'|∂L/∂W|':>9}  {'|Δw|/|w|':>9}"
    for layer in frame.layers:
        values = (layer.pre_norm, layer.normalized, layer.output)
        columns = "  ".join(f"{'—' if v is None else f'{v.mean:8.3f} ± {v.std:7.3f}':>18}" for v in values)
        yield f"{layer.name:{width}}  {columns}  {layer.weight_gradient_norm:9.2e}  {layer.update_ratio:9.2e}"
    for layer in frame.layers:
        if layer.dropout is not None:
            expected = 1 - layer.dropout.p
            yield f"dropout in {layer.name}: kept {layer.dropout.kept_fraction:.1%}, expected {expected:.1%}"
