"""Reads a row of the table ``run``: name, configuration, layers and fork of a run."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bntui.recording.foreign_json import parsed
from bntui.recording.forms import AXES, FORK, LAYERS, RUN_CONFIG, VALUES
from bntui.recording.history import Fork, LayerInfo, RunInfo
from bntui.text.language import _
from bntui.text.output import clean, unarmed


def run_info(row: sqlite3.Row, labels: Mapping[str, str]) -> RunInfo:
    """The run in a row, with its name in the user's language if ``labels`` has it.

    Raises:
        ValueError: the row is damaged.
    """
    index = row["run"]
    return RunInfo(
        index=index,
        name=clean(row["name"]) or _("run {number}").format(number=index),
        config=parsed(row["config"], RUN_CONFIG, _place(index, "config"), cleaned=unarmed),
        layers=tuple(map(layer_of, parsed(row["layers"], LAYERS, _place(index, "layers")))),
        steps_per_epoch=row["steps_per_epoch"],
        device=clean(row["device"]),
        label=clean(labels.get(row["name"], "")),
        fork=fork_of(index, row["fork"]) if "fork" in row.keys() else None,  # noqa: SIM118 - a Row
    )


def labelled(info: RunInfo, before: Sequence[RunInfo]) -> RunInfo:
    """A fork with its label derived from the parent's label, as its name is from the parent's name."""
    if info.fork is None or info.label:
        return info
    parent = before[info.fork.run]
    return replace(info, label=fork_label(info.name, parent.name, parent.label))


def fork_label(name: str, parent: str, label: str) -> str:
    """The name of a fork in the user's language, made of its parent's ``label``; empty if the parent has none."""
    changed = name.removeprefix(parent)
    if not label or changed == name:
        return ""
    return label + (_(" · again") if changed == " · again" else changed)


def _place(run: int, column: str) -> str:
    return _("{column} of run {run}").format(column=column, run=run)


def layer_of(told: Mapping[str, Any]) -> LayerInfo:
    """A layer from its JSON.

    Raises:
        ValueError: its shape is not one of its kind.
    """
    layer = LayerInfo(
        **{
            **told,
            "shape": tuple(told["shape"]),
            "stages": tuple(told.get("stages", ())),
            "absent": tuple(told.get("absent", ())),
        }
    )
    axes = AXES.get(layer.kind, len(layer.shape))
    groups = layer.groups if layer.norm == "group" else 1
    # a recurrent layer has its features on the last axis, and normalizes all gates together: any number of groups fits
    grouped = layer.kind == "recurrent" or layer.shape[0] % groups == 0
    if len(layer.shape) != axes or math.prod(layer.shape) > VALUES or not grouped:
        sentence = _("layer {layer}: shape {shape} does not match kind {kind} with {groups} groups")
        shape = "×".join(map(str, layer.shape))
        raise ValueError(sentence.format(layer=layer.name, shape=shape, kind=layer.kind, groups=groups))
    return layer


def fork_of(index: int, text: str | None) -> Fork | None:
    """Where run ``index`` forks from another one, from the column ``fork``; None for the scenario's own runs.

    Raises:
        ValueError: the text is damaged.
    """
    if text is None:
        return None
    told = parsed(text, FORK, _place(index, "fork"))
    if told["run"] >= index:
        raise ValueError(_("run {run} is not a fork of run {parent}").format(run=index, parent=told["run"]))
    changes = tuple((str(path), before, after) for path, before, after in told["changes"])
    return Fork(told["run"], told["step"], told["epoch"], changes, tuple(told["kept"]), tuple(told["new"]))
