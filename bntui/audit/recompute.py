"""Checks that a keyframe follows from its evidence: stage by stage, then loss, gradients and the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit import optimizers
from bntui.audit.backward import ForwardPass, backpropagate, loss_gradient, tight
from bntui.audit.bounded import LARGEST, Bounded, euclidean
from bntui.audit.ledger import Ledger, Margin, Place
from bntui.audit.network import parameter_names
from bntui.audit.normalize import standardized
from bntui.audit.recurrence import unroll
from bntui.audit.subject import EVIDENCE, Subject, Taken
from bntui.audit.tolerances import WIDE
from bntui.audit.validation import exactly, loss_of, mean_loss
from bntui.audit.values import AFFINE, check_figures, check_stages, check_statistics, running
from bntui.keyframe import Keyframe
from bntui.recording.evidence import GRADIENT
from bntui.text.language import N_

Values = NDArray[Any]

LOSS: Final = N_("mini-batch loss")
GRADIENTS: Final = N_("gradient norms")
ACTIVATION_GRADIENTS: Final = N_("activation gradient norms")
RATIO: Final = N_("update ratios")


def recompute_initial(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken) -> None:
    """Check the keyframe of an initial state, in which nothing was updated; leave gradients in ``taken``."""
    if _passes(ledger, place, subject, frame, taken, initial=True):
        _at_rest(ledger, place, subject, frame, taken)


def recompute_step(
    ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken, after: Mapping[str, Values] | None
) -> None:
    """Check a keyframe up to its step; leave gradients and the state after the step in ``taken``.

    Args:
        after: parameters and buffers after the step, if recorded.
    """
    if _passes(ledger, place, subject, frame, taken, initial=False):
        _step(ledger, place, subject, frame, taken)
        _ratios(ledger, place, subject, frame, taken, after)


def _passes(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken, *, initial: bool) -> bool:
    """Check the forward and the backward pass; False if the backward pass cannot be recomputed."""
    check_stages(ledger, place, subject, taken)
    check_figures(ledger, place, subject, frame, taken)
    check_statistics(ledger, place, subject, frame, taken, initial=initial)
    if taken.target is None:
        ledger.note(N_("loss, gradients, and everything after them: the recording does not contain the data set"))
        return False
    _loss(ledger, place, subject, frame, taken)
    _gradients(ledger, place, subject, frame, taken)
    return True


def _loss(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken) -> None:
    assert taken.target is not None
    output = Bounded.exact(taken.values[-1], subject.precision.unit)
    classes = subject.task == "classification"
    with np.errstate(all="ignore"):
        mean = mean_loss(loss_of(subject.task, output, taken.target))
        loss, allowed = float(mean.value), float(mean.error)
        size = abs(loss) + (float(np.abs(output.value).max(1).mean()) if classes else 0.0)
        if not (abs(loss) + allowed) * taken.target.size <= LARGEST:  # float32 sums before it divides
            allowed = math.nan
    ledger.compare(LOSS, place, "batch_loss", frame.batch_loss, loss, Margin(allowed, size))


def _gradients(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken) -> None:
    assert taken.target is not None
    unit = subject.precision.unit
    values = [Bounded.exact(each, unit) for each in taken.values]
    x = None if taken.x is None else Bounded.exact(taken.x, unit)
    with np.errstate(all="ignore"):
        d, state = loss_gradient(subject.task, values[-1], taken.target), exactly(taken.before, unit)
        forward = ForwardPass(subject.stages, x, values, state, taken.draws, subject.precision)
        found = tight(lambda tried: backpropagate(forward, d.tried() if tried else d))
    taken.gradients |= found.parameters
    for name, recorded in taken.recorded.items():
        if name in taken.gradients:
            here, ours = replace(place, layer=name.partition(".")[0]), taken.gradients[name]
            ledger.compare(AFFINE, here, GRADIENT.name(name), recorded, ours.value, ours.error)
    for number, layer in enumerate(frame.layers):
        here = replace(place, layer=layer.name)
        info = subject.run.layers[number]
        at = next(stage.at for stage in subject.stages if stage.number == number and stage.kind == "activation")
        own = found.values[at]
        if own is None:
            ledger.note(N_("gradients before random noise: the noise scale is not recorded"))
        else:
            size, lost = own.length()
            theirs = layer.activation_gradient_norm
            ledger.compare(ACTIVATION_GRADIENTS, here, "activation_gradient_norm", theirs, size, lost + WIDE * size)
        weight = f"{info.name}.{info.kind}.weight"
        if weight in taken.gradients:
            size, lost = taken.gradients[weight].length()
            theirs = layer.weight_gradient_norm
            ledger.compare(GRADIENTS, here, "weight_gradient_norm", theirs, size, lost + WIDE * size)
        if layer.batch_norm is not None and f"{info.name}.norm.weight" in taken.gradients:
            for name, parameter in (("gamma_gradient", "weight"), ("beta_gradient", "bias")):
                ours = taken.gradients[f"{info.name}.norm.{parameter}"]
                ledger.compare(AFFINE, here, name, getattr(layer.batch_norm, name), ours.value, ours.error)


def _at_rest(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken) -> None:
    """Check the initial state: nothing was updated."""
    for layer in frame.layers:
        ledger.compare(RATIO, replace(place, layer=layer.name), "update_ratio", layer.update_ratio, math.nan, 0)
    taken.after = exactly(taken.before, subject.precision.unit)


def _step(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken) -> None:
    """Compute parameters and buffers after the step."""
    training, names = subject.training, parameter_names(subject.stages)
    whole = all(name in taken.gradients for name in names)
    if not whole and training.get("clip_norm") is not None:
        ledger.note(N_("the step: clipping needs the norm of all gradients, but some are undetermined"))
        return
    rule = optimizers.OPTIMIZERS[training["optimizer"]]
    with np.errstate(all="ignore"):
        for name, gradient in optimizers.clipped(training, taken.gradients).items():
            before, memory = taken.before[name], taken.optimizer.get(name, {})
            if training["optimizer"] != "sgd" and "step" not in memory:
                ledger.hold(EVIDENCE, place, f"optimizer/{name}", False, "-", "+")
                return
            taken.moved[name], _memory = rule(training, before, gradient.reshape(*before.shape), memory, frame.lr)
        if whole:
            taken.after = exactly(taken.before, subject.precision.unit) | taken.moved | _buffers(subject, taken)


def _ratios(
    ledger: Ledger,
    place: Place,
    subject: Subject,
    frame: Keyframe,
    taken: Taken,
    after: Mapping[str, Values] | None,
) -> None:
    """Check the update ratio of each weight, from recorded weights if available, otherwise from recomputed ones."""
    for info, layer in zip(subject.run.layers, frame.layers, strict=True):
        here, weight = replace(place, layer=layer.name), f"{info.name}.{info.kind}.weight"
        before = taken.before[weight]
        size, lost = euclidean(before), 0.0
        if after is not None and weight in after:
            way = after[weight].astype(np.float64) - before
        elif weight in taken.moved:
            way, lost = taken.moved[weight].value - before, taken.moved[weight].length()[1]
        else:
            continue
        with np.errstate(all="ignore"):
            ratio = euclidean(way) / size if size else math.nan
            # the trainer computes the difference in float32
            allowed = (lost + 2 * subject.precision.unit * (euclidean(way) + lost)) / size if size else 0.0
        ledger.compare(RATIO, here, "update_ratio", layer.update_ratio, ratio, allowed + WIDE * ratio)


def _buffers(subject: Subject, taken: Taken) -> dict[str, Bounded]:
    """Running statistics after the step, including those within recurrences."""
    unit, momentum = subject.precision.unit, subject.run.config["network"].get("norm_momentum", 0.1)
    found = {}

    def move(prefix: str, mean: Bounded, var: Bounded, count: int) -> None:
        for name, new in (("running_mean", mean), ("running_var", var * (count / max(count - 1, 1)))):
            before = taken.before[prefix + name]
            found[prefix + name] = running(before, new.reshape(*before.shape), momentum)

    for stage in subject.stages:
        entered = taken.entered(stage)
        if stage.info.norm != "batch" or entered is None:
            continue
        x = Bounded.exact(entered, unit)
        if stage.kind == "norm":
            of = standardized(stage, x)
            move(stage.name(""), of.mean, of.var, of.count)
        elif stage.kind == "activation" and stage.info.per_step:
            recorded = Bounded.exact(taken.values[stage.at], unit)
            unrolled = unroll(stage, x, exactly(taken.before, unit), recorded=recorded)
            for prefix, (mean, var) in unrolled.statistics.items():
                move(stage.name(f"{prefix}."), mean, var, len(entered))
    for name, values in taken.before.items():
        if name.endswith("num_batches_tracked"):
            found[name] = Bounded.exact(values + 1, unit)
    return found
