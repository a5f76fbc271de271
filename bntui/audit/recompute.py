"""Does everything that a keyframe says follow from its evidence?  Stage by stage, then loss, gradients and the step."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit import backward, optimizers
from bntui.audit.backward import Gradients, backpropagate, in_single, loss_gradient, multiplies_narrow
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import parameter_names
from bntui.audit.normalize import standardized
from bntui.audit.recurrence import unroll
from bntui.audit.subject import EVIDENCE, Subject, Taken
from bntui.audit.tolerances import LARGEST, SAFETY, UNIT, WIDE
from bntui.audit.validation import After
from bntui.audit.values import AFFINE, check_figures, check_stages, check_statistics
from bntui.keyframe import Keyframe
from bntui.language import N_

Values = NDArray[Any]

LOSS: Final = N_("loss of the mini-batch")
GRADIENTS: Final = N_("gradient norms")
ACTIVATION_GRADIENTS: Final = N_("gradient norms of activations")
RATIO: Final = N_("update ratios")


def recompute(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken, *, initial: bool) -> None:
    """All of a keyframe but what follows the step; gradients and the state after it are left in ``taken``."""
    check_stages(ledger, place, subject, taken)
    check_figures(ledger, place, subject, frame, taken)
    check_statistics(ledger, place, subject, frame, taken, initial=initial)
    if taken.target is None:
        ledger.note(N_("loss, gradients and what follows: the data set is not in the recording"))
        return
    _loss(ledger, place, subject, frame, taken)
    _gradients(ledger, place, subject, frame, taken)
    _step(ledger, place, subject, frame, taken, initial=initial)


def _loss(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken) -> None:
    assert taken.target is not None
    output = taken.values[-1].astype(np.float64)
    loss_of = backward.cross_entropy if subject.task == "classification" else backward.squared_error
    with np.errstate(all="ignore"):
        loss = float(loss_of(output, taken.target).mean())
        size = float(np.abs(output).max(1).mean()) if subject.task == "classification" else 0.0
        allowed = 16 * subject.precision.unit * (abs(loss) + size)
        if abs(loss) > LARGEST / 4:
            allowed = math.nan
    ledger.compare(LOSS, place, "batch_loss", frame.batch_loss, loss, allowed, scale=abs(loss) + size)


def _gradients(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken) -> None:
    assert taken.target is not None
    found: list[Gradients] = []
    wide = [values.astype(np.float64) for values in taken.values]
    x = None if taken.x is None else taken.x.astype(np.float64)
    with np.errstate(all="ignore"):
        d = loss_gradient(subject.task, wide[-1], taken.target)
        found.append(backpropagate(subject.stages, x, wide, taken.before, taken.draws, d))
        single = in_single(taken.before)
        d = loss_gradient(subject.task, taken.values[-1], taken.target)
        found.append(
            backpropagate(
                subject.stages, taken.x, taken.values, single, taken.draws, d,
                narrow=multiplies_narrow(subject.precision),
            )
        )  # fmt: skip
        exact, twin = found
        for name, term in exact.terms.items():
            taken.gradients[name] = term.gradient
            taken.slack[name] = backward.slack(term, twin.terms[name], subject.precision)
    for name, recorded in taken.recorded.items():
        if name in taken.gradients:
            here = replace(place, layer=name.partition(".")[0])
            ledger.compare(AFFINE, here, f"gradient/{name}", recorded, taken.gradients[name], taken.slack[name])
    for number, layer in enumerate(frame.layers):
        here = replace(place, layer=layer.name)
        info = subject.run.layers[number]
        at = next(stage.at for stage in subject.stages if stage.number == number and stage.kind == "activation")
        ours, theirs = exact.values[at], twin.values[at]
        if ours is None or theirs is None:
            ledger.note(N_("gradients before drawn noise: its scale is not recorded"))
        else:
            with np.errstate(all="ignore"):
                size = _norm(ours)
                allowed = SAFETY * _norm(ours - theirs) + 16 * subject.precision.unit * size + 1e-37
            ledger.compare(
                ACTIVATION_GRADIENTS, here, "activation_gradient_norm", layer.activation_gradient_norm, size, allowed
            )
        weight = f"{info.name}.{info.kind}.weight"
        if weight in taken.gradients:
            with np.errstate(all="ignore"):
                size, allowed = _norm(taken.gradients[weight]), _norm(taken.slack[weight])
            ledger.compare(GRADIENTS, here, "weight_gradient_norm", layer.weight_gradient_norm, size, allowed)
        if layer.batch_norm is not None and f"{info.name}.norm.weight" in taken.gradients:
            for name, parameter in (("gamma_gradient", "weight"), ("beta_gradient", "bias")):
                of = f"{info.name}.norm.{parameter}"
                recorded = getattr(layer.batch_norm, name)
                ledger.compare(AFFINE, here, name, recorded, taken.gradients[of], taken.slack[of])


def _norm(values: Values) -> float:
    return float(np.sqrt((values.astype(np.float64) ** 2).sum()))


def _step(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken, *, initial: bool) -> None:
    """Where the step brings parameters and buffers, and how far each may be off."""
    weights = [f"{info.name}.{info.kind}.weight" for info in subject.run.layers]
    if initial:
        for layer in frame.layers:
            ledger.compare(RATIO, replace(place, layer=layer.name), "update_ratio", layer.update_ratio, math.nan, 0)
        taken.after = After(taken.before, {name: np.abs(values) * UNIT for name, values in taken.before.items()})
        return
    training, state, slack = subject.training, dict(taken.before), {}
    names = parameter_names(subject.stages)
    whole = all(name in taken.gradients for name in names)
    if not whole and training.get("clip_norm") is not None:
        ledger.note(N_("the step: clipping takes the norm of all gradients, and some are not determined"))
        return
    with np.errstate(all="ignore"):
        clipped, factor = optimizers.clipped(training, taken.gradients)
        total = math.hypot(*(_norm(g) for g in taken.gradients.values()))
        loose = factor * math.hypot(*(_norm(taken.slack[name]) for name in taken.gradients)) / total if total else 0.0
        rule = optimizers.OPTIMIZERS[training["optimizer"]]
        for name, gradient in clipped.items():
            before, memory = taken.before[name], taken.optimizer.get(name, {})
            if training["optimizer"] != "sgd" and "step" not in memory:
                ledger.hold(EVIDENCE, place, f"optimizer/{name}", False, "-", "+")
                return
            state[name], _memory = rule(training, before, gradient, memory, frame.lr)
            near = factor * taken.slack[name] + (loose * np.abs(taken.gradients[name]) if factor < 1 else 0)
            ends = [rule(training, before, gradient + side * near, memory, frame.lr)[0] for side in (-1, 1)]
            far = np.max([np.abs(end - state[name]) for end in ends], 0)
            moved = np.abs(state[name] - before)
            slack[name] = far + 2 * subject.precision.unit * np.abs(before) + 16 * subject.precision.unit * moved
        for number, layer in enumerate(frame.layers):
            here, weight = replace(place, layer=layer.name), weights[number]
            if weight not in slack:
                continue
            size = _norm(taken.before[weight])
            # a step smaller than the last digit of a weight does not move it
            kept = state[weight].astype(np.float32).astype(np.float64)
            ratio = _norm(kept - taken.before[weight]) / size if size else math.nan
            allowed = _norm(slack[weight]) / size + WIDE * ratio if size else 0.0
            ledger.compare(RATIO, here, "update_ratio", layer.update_ratio, ratio, allowed)
    if whole:
        _buffers(subject, taken, state, slack)
        taken.after = After(state, slack)


def _buffers(subject: Subject, taken: Taken, state: dict[str, Values], slack: dict[str, Values]) -> None:
    """Running statistics after the step, those within recurrences too."""
    unit, momentum = 16 * subject.precision.unit, subject.run.config["network"].get("norm_momentum", 0.1)

    def move(prefix: str, mean: Values, var: Values, count: int, lost: Values | float) -> None:
        for name, new in (("running_mean", mean), ("running_var", var * count / max(count - 1, 1))):
            before = taken.before[prefix + name]
            state[prefix + name] = (1 - momentum) * before + momentum * new.reshape(before.shape)
            off = lost if name == "running_mean" else lost * lost + 2 * lost * np.sqrt(var) + unit * var
            slack[prefix + name] = unit * np.abs(state[prefix + name]) + momentum * np.asarray(off)

    for stage in subject.stages:
        if stage.info.norm != "batch":
            continue
        entered = taken.entered(stage)
        if entered is None:
            continue
        wide = entered.astype(np.float64)
        with np.errstate(all="ignore"):
            if stage.kind == "norm":
                of = standardized(stage, wide)
                shape = taken.before[stage.name("running_mean")].shape
                lost = unit * np.abs(wide).max(of.axes).reshape(shape)
                move(stage.name(""), of.mean.reshape(shape), of.var.reshape(shape), wide.size // of.mean.size, lost)
            elif stage.kind == "activation" and stage.info.per_step:
                recorded = taken.values[stage.at].astype(np.float64)
                unrolled = unroll(stage, wide, taken.before, recorded=recorded)
                for prefix, (mean, var) in unrolled.statistics.items():
                    lost = unit * (np.abs(mean) + np.sqrt(var) * 4 + 1)
                    move(stage.name(f"{prefix}."), mean, var, len(wide), lost)
    for name, values in taken.before.items():
        if name.endswith("num_batches_tracked"):
            state[name] = values + 1
        slack.setdefault(name, np.zeros_like(values))
