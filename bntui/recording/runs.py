"""What does a row of the table ``run`` say?  Layers, where the run was forked from, its scaling, its name."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bntui.language import _
from bntui.recording.codec import metadata_of, unpack_arrays
from bntui.recording.dataset import RecordedScaling
from bntui.recording.history import Fork, LayerInfo, RunInfo
from bntui.text import clean


def scaling_of(block: bytes) -> RecordedScaling:
    """A run's feature scaling."""
    fitted = unpack_arrays(block)
    return RecordedScaling(metadata_of(block)["kind"], fitted["offset"], fitted["factor"])


def run_info(row: sqlite3.Row, labels: Mapping[str, str]) -> RunInfo:
    """A run as it was written, with its name in the reader's language where ``labels`` has it.

    Raises:
        LookupError, TypeError, ValueError: the row is damaged.
    """
    layers = tuple(
        LayerInfo(
            **{
                **layer,
                "name": clean(layer["name"]),
                "shape": tuple(layer["shape"]),
                "stages": tuple(layer.get("stages", ())),
            }
        )
        for layer in json.loads(row["layers"])
    )
    return RunInfo(
        index=row["run"],
        name=clean(row["name"]),
        config=json.loads(row["config"]),
        layers=layers,
        steps_per_epoch=row["steps_per_epoch"],
        device=row["device"],
        label=clean(labels.get(row["name"], "")),
        fork=_fork(row["run"], row["fork"]) if "fork" in row.keys() else None,  # noqa: SIM118 - a Row
    )


def labelled(info: RunInfo, before: Sequence[RunInfo]) -> RunInfo:
    """A fork's name is made of its parent's: so is its label."""
    if info.fork is None or info.label:
        return info
    parent = before[info.fork.run]
    changed = info.name.removeprefix(parent.name)
    if not parent.label or changed == info.name:
        return info
    return replace(info, label=parent.label + (_(" · again") if changed == " · again" else changed))


def _fork(index: int, text: str | None) -> Fork | None:
    if text is None:
        return None
    told = json.loads(text)
    if not 0 <= told["run"] < index:
        raise ValueError(_("run {run} is no fork of run {parent}").format(run=index, parent=told["run"]))
    changes = tuple((clean(path), before, after) for path, before, after in told["changes"])
    names = {key: tuple(map(clean, told[key])) for key in ("kept", "new")}
    return Fork(told["run"], told["step"], told["epoch"], changes, **names)
