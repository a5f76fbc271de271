"""Checks the values of every stage, and the figures read off them, against what entered the stage."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit import masks
from bntui.audit.activations import ACTIVATIONS
from bntui.audit.bounded import LARGEST, TINY, UNIT, Bounded
from bntui.audit.distributions import LIMIT, Share, check_distribution, check_unit
from bntui.audit.forward import FORWARD, within_range
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import DRAWN
from bntui.audit.normalize import standardized
from bntui.audit.recurrence import unroll
from bntui.audit.subject import Subject, Taken
from bntui.audit.tolerances import WIDE
from bntui.audit.validation import exactly
from bntui.keyframe import UNIT_STATISTICS, Keyframe, LayerMeasures
from bntui.recording.evidence import STAGE
from bntui.recording.history import LayerInfo
from bntui.text.language import N_

Values = NDArray[Any]

STAGES: Final = {
    "linear": N_("pre-activations"),
    "conv": N_("pre-activations"),
    "recurrent": N_("pre-activations"),
    "norm": N_("normalization, scale and shift"),
    "activation": N_("activations"),
    "pool": N_("max pooling"),
    "dropout": N_("dropout scaling"),
    "noise": N_("noise after normalization"),
    "flatten": N_("reshaping"),
    "last": N_("reshaping"),
    "rows": N_("reshaping"),
}
HIDDEN: Final = N_("hidden states of recurrent layers")
NORM: Final = N_("weight norms")
AFFINE: Final = N_("gamma, beta, and their gradients")
BATCH: Final = N_("batch mean and variance")
RUNNING: Final = N_("running statistics")
DEAD: Final = N_("dead and saturated fractions")


def check_stages(ledger: Ledger, place: Place, subject: Subject, taken: Taken) -> None:
    for stage in subject.stages:
        entered = taken.entered(stage)
        if stage.kind == "input_noise" or (stage.kind in DRAWN and stage.at not in taken.draws):
            continue
        if entered is None:
            ledger.note(N_("the first layer's output: the recording does not contain the data set"))
            continue
        here, unit = replace(place, layer=stage.info.name), subject.precision.unit
        x, y, state = Bounded.exact(entered, unit), taken.values[stage.at], exactly(taken.before, unit)
        recurrent = stage.kind == "activation" and stage.info.kind == "recurrent"
        with np.errstate(all="ignore"):
            if recurrent:  # starts from the recorded state before each time step
                if y.shape[:2] != x.shape[:2]:
                    ledger.compare(HIDDEN, here, STAGE.name(stage.at), y, x.value, 0)
                    continue
                ours = unroll(stage, x, state, recorded=Bounded.exact(y, unit)).states
            else:
                ours = FORWARD[stage.kind].forward(stage, x, state, taken.draws.get(stage.at), subject.precision)
            ours = within_range(ours)
        check = HIDDEN if recurrent else STAGES[stage.kind]
        ledger.compare(check, here, STAGE.name(stage.at), y, ours.value, ours.error)


def check_figures(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken) -> None:
    """Check figures computed directly from the values."""
    for number, layer in enumerate(frame.layers):
        here = replace(place, layer=layer.name)
        info = subject.run.layers[number]
        own = {stage.kind: stage for stage in subject.stages if stage.number == number}
        made = {kind: taken.values[stage.at] for kind, stage in own.items()}
        entered = taken.entered(own[info.kind])
        quantities = [("input", entered), ("pre_norm", made[info.kind]), ("output", made["activation"])]
        if "norm" in own:
            quantities.append(("normalized", made.get("noise", made["norm"])))
        for name, values in quantities:
            recorded = getattr(layer, name)
            if values is not None and recorded is not None:
                check_distribution(ledger, here, name, recorded, values)
        weight = taken.before[f"{info.name}.{info.kind}.weight"]
        size = float(np.sqrt((weight**2).sum()))
        ledger.compare(NORM, here, "weight_norm", layer.weight_norm, size, WIDE * size)
        _unit(ledger, here, subject, number, frame, taken.entered(own["activation"]))
        _shares(ledger, here, info, layer, made["activation"])
        if "dropout" in own and layer.dropout is not None:
            full = taken.draws[own["dropout"].at]
            masks.check_mask(ledger, here, layer.dropout, info.dropout, full.reshape(len(full), -1))
        ledger.hold(masks.BITS, here, "dropout", ("dropout" in own) == (layer.dropout is not None), "-", "+")


def _unit(ledger: Ledger, place: Place, subject: Subject, number: int, frame: Keyframe, entered: Values | None) -> None:
    if entered is None:
        return
    info, layer = subject.run.layers[number], frame.layers[number]
    recurrent = info.kind == "recurrent"
    units = info.shape[-1] if recurrent else info.shape[0]
    unit = subject.run.config["record"].get("unit", 0) % units
    values = entered[..., unit] if recurrent else entered[:, unit]
    p15, p50, p85 = (getattr(layer, name) for name in UNIT_STATISTICS)
    check_unit(ledger, place, (p15, p50, p85), values)


def _shares(ledger: Ledger, place: Place, info: LayerInfo, layer: LayerMeasures, output: Values) -> None:
    """Check which part of the units is dead, and which part of the outputs saturated."""
    dead, saturated = layer.dead_fraction, layer.saturated_fraction
    if info.activation == "relu":
        units = -1 if info.kind == "recurrent" else 1
        flat = np.moveaxis(output, units, 0).reshape(output.shape[units], -1)
        share = Share(int((flat == 0).all(1).sum()), 0, len(flat))
        ledger.hold(DEAD, place, "dead_fraction", share.fits(dead), dead, share.least)
    else:
        ledger.compare(DEAD, place, "dead_fraction", dead, math.nan, 0)
    ends = ACTIVATIONS[info.activation].saturates
    if ends is None:
        ledger.compare(DEAD, place, "saturated_fraction", saturated, math.nan, 0)
        return
    wide = output.astype(np.float64)
    margin = LIMIT * max(map(abs, ends))
    sure = int(((wide < ends[0] - margin) | (wide > ends[1] + margin)).sum())
    near = int(((np.abs(wide - ends[0]) <= margin) | (np.abs(wide - ends[1]) <= margin)).sum())
    share = Share(sure, near, wide.size)
    ledger.hold(DEAD, place, "saturated_fraction", share.fits(saturated), saturated, share.least)


def check_statistics(
    ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken, *, initial: bool
) -> None:
    """Check batch normalization: batch mean and variance, and the running statistics after the step."""
    unit, momentum = subject.precision.unit, subject.run.config["network"].get("norm_momentum", 0.1)
    for stage in subject.stages:
        recorded = frame.layers[stage.number].batch_norm
        if stage.kind != "norm" or stage.info.norm != "batch":
            continue
        here = replace(place, layer=stage.info.name)
        if not ledger.hold(BATCH, here, "batch_norm", recorded is not None, "-", "+") or recorded is None:
            continue
        entered = taken.entered(stage)
        assert entered is not None
        with np.errstate(all="ignore"):
            of = standardized(stage, Bounded.exact(entered, unit))
            shape = recorded.batch_mean.shape
            mean, var = of.mean.reshape(*shape), of.var.reshape(*shape)
            size = np.abs(entered.astype(np.float64)).max(of.axes).reshape(shape)
        # both are computed in float64 from recorded values and rounded once
        allowed = 2 * UNIT * np.abs(mean.value) + WIDE * size + TINY
        ledger.compare(BATCH, here, "batch_mean", recorded.batch_mean, mean.value, allowed)
        allowed = np.where(var.value > LARGEST, np.nan, 2 * UNIT * var.value + WIDE * size**2 + TINY)
        ledger.compare(BATCH, here, "batch_var", recorded.batch_var, var.value, allowed)
        ledger.compare(BATCH, here, "eps", recorded.eps, stage.options["eps"], 1e-15)
        for name, values in (("gamma", recorded.gamma), ("beta", recorded.beta)):
            before = taken.before[stage.name("weight" if name == "gamma" else "bias")]
            ledger.compare(AFFINE, here, name, values, before, 0)
        for name, new in (("running_mean", mean), ("running_var", var * (of.count / max(of.count - 1, 1)))):
            before = taken.before[stage.name(name)]
            with np.errstate(all="ignore"):
                ours = Bounded.exact(before, unit) if initial else running(before, new, momentum)
            ledger.compare(RUNNING, here, name, getattr(recorded, name), ours.value, ours.error)


def running(before: Values, new: Bounded, momentum: float) -> Bounded:
    """(1 - momentum) · before + momentum · new; momentum may be rounded before it is subtracted from 1."""
    value = (1 - momentum) * before + momentum * new.value
    lost = 4 * new.unit * ((1 - momentum) * np.abs(before) + momentum * new.reach)
    lost = lost + new.unit * momentum * np.abs(before)
    return new.function(value, momentum, lost)
