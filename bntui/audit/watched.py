"""Checks a recorded training loop of somebody's own, as far as that needs neither its code nor its data.

Without a scenario nothing can be recomputed: rows are checked against themselves and each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np

from bntui.audit.consistency import SHAPE, check_imported, check_sampled, check_values
from bntui.audit.course import ORDER, Row
from bntui.audit.ledger import Ledger, Place
from bntui.audit.standing import MONITORS
from bntui.audit.stopping import Waiting
from bntui.keyframe import QUANTITIES, Distribution, Keyframe, LayerMeasures
from bntui.recording.forms import APPLIED_BY, RECORDER, WATCHED
from bntui.recording.history import RunInfo
from bntui.text.language import N_

Check = Callable[..., object]
"""Checks the figures of one quantity."""

PATIENCE: Final = N_("early stopping as reported")
APPLIED: Final = N_("early stopping as the recorder applied it")
UNKNOWN: Final = N_("what the loop computed: its code and its data are not in the recording")
SAMPLED: Final = N_("percentiles of more than 65,536 values: they are those of a sample")
EXACT: Final = 65_536
"""Of more values, ``bntui.watch`` takes the percentiles of a sample."""
REBINNED: Final = N_("histograms: they were divided into other bins when they were imported")
SLACK: Final = 1e-5
"""Relative rounding that is allowed in figures of a device that adds in single precision."""
NORMS: Final = ("weight_norm", "weight_gradient_norm", "activation_gradient_norm", "update_ratio", "gradient_shift")
SHARES: Final = ("dead_fraction", "saturated_fraction")


def check_watched(ledger: Ledger, run: RunInfo, rows: Sequence[Row], task: str) -> None:
    """Check the rows of a watched run."""
    ledger.note(UNKNOWN)
    by = run.config[WATCHED].get("by")
    check: Check = {"import": check_imported, "watch": _watched}.get(by, partial(check_values, size=None))
    if by == "import":
        ledger.note(REBINNED)
    for row in rows:
        place = row.place(run.name)
        _scores(ledger, place, row, task)
        if row.frame is not None:
            _layers(ledger, place, row.frame, check)
    _rule(ledger, run, rows)
    for before, row in pairwise(rows):
        _order(ledger, row.place(run.name), before, row)


def _rule(ledger: Ledger, run: RunInfo, rows: Sequence[Row]) -> None:
    """Apply the rule of early stopping again, where the recorder applied it, as far as every epoch has its figure.

    An epoch may lack it because the loop did not tell it, or its row because the disk was full.
    """
    rule = run.early_stopping
    if rule is None or rule.get(APPLIED_BY) != RECORDER:
        return
    state = Waiting()
    for epoch, row in enumerate((row for row in rows if row.scalars["epoch_end"]), 1):
        scalars, place = row.scalars, row.place(run.name)
        value = float(scalars[MONITORS[rule["monitor"]]])
        if row.damaged or round(scalars["epoch"]) != epoch or math.isnan(value):
            return
        state.see(rule, epoch, value)
        for name in ("wait", "best_epoch"):
            ours = getattr(state, name)
            ledger.hold(APPLIED, place, name, scalars[name] == ours, scalars[name], ours)
        ledger.compare(APPLIED, place, "best", scalars["best"], state.best, 0)
        ledger.hold(APPLIED, place, "stopped", state.stopped or not scalars["stopped"], scalars["stopped"], 0)


def _order(ledger: Ledger, place: Place, before: Row, row: Row) -> None:
    """Steps ascend, and epochs and time do not descend; the patience counter restarts only with another best."""
    old, new = before.scalars, row.scalars
    ledger.hold(ORDER, place, "step", new["step"] > old["step"], new["step"], f"> {old['step']}")
    for name in ("epoch", "wall_time"):
        ledger.hold(ORDER, place, name, not new[name] < old[name], new[name], f">= {old[name]}")
    same = new["best_epoch"] == old["best_epoch"]
    fits = not same or not new["wait"] < old["wait"] or new["wait"] == 0
    ledger.hold(PATIENCE, place, "wait", fits, new["wait"], f">= {old['wait']}")
    ledger.hold(PATIENCE, place, "best_epoch", not new["best_epoch"] < old["best_epoch"], new["best_epoch"],
                f">= {old['best_epoch']}")  # fmt: skip


def _scores(ledger: Ledger, place: Place, row: Row, task: str) -> None:
    scalars = row.scalars
    ends, whole = bool(scalars["epoch_end"]), abs(scalars["epoch"] - round(scalars["epoch"])) < 1e-9
    ledger.hold(ORDER, place, "epoch_end", whole or not ends, scalars["epoch_end"], 0)
    ledger.hold(PATIENCE, place, "best_epoch", scalars["best_epoch"] <= math.ceil(scalars["epoch"]),
                scalars["best_epoch"], f"<= {scalars['epoch']}")  # fmt: skip
    scale = scalars["gradient_scale"]
    ledger.hold(SHAPE, place, "gradient_scale", math.isnan(scale) or scale > 0, scale, "> 0")
    for name in ("train_accuracy", "val_accuracy") if task == "classification" else ():
        value = scalars[name]
        ledger.hold(SHAPE, place, name, math.isnan(value) or 0 <= value <= 1, value, "0 … 1")


def _layers(ledger: Ledger, place: Place, frame: Keyframe, check: Check) -> None:
    for layer in frame.layers:
        here = replace(place, layer=layer.name)
        for name in QUANTITIES:
            recorded: Distribution | None = getattr(layer, name)
            if recorded is not None and not recorded.empty:
                check(ledger, here, name, recorded, relative=SLACK)
        _figures(ledger, here, layer)


def _watched(ledger: Ledger, place: Place, name: str, of: Distribution, relative: float) -> None:
    """The figures of a quantity of ``bntui.watch``."""
    if int(of.counts.sum(dtype=np.int64)) > EXACT:
        ledger.note(SAMPLED)
        check_sampled(ledger, place, name, of, None, relative)
    else:
        check_values(ledger, place, name, of, None, relative)


def _figures(ledger: Ledger, place: Place, layer: LayerMeasures) -> None:
    for name in NORMS:
        value = getattr(layer, name)
        ledger.hold(SHAPE, place, name, not value < 0, value, ">= 0")
    shares = {name: getattr(layer, name) for name in SHARES}
    if layer.dropout is not None:
        shares["kept_fraction"] = layer.dropout.kept_fraction
    for name, value in shares.items():
        ledger.hold(SHAPE, place, name, math.isnan(value) or 0 <= value <= 1, value, "0 … 1")
    if layer.batch_norm is not None:
        for name in ("batch_var", "running_var"):
            values = getattr(layer.batch_norm, name)
            ledger.hold(SHAPE, place, name, not bool((values < 0).any()), float(values.min(initial=0)), ">= 0")
