"""Does everything that a keyframe says follow from its evidence?  Stage by stage, from recorded inputs."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit import backward, masks, optimizers
from bntui.audit.activations import ACTIVATIONS
from bntui.audit.backward import BACKWARD, Gradients, backpropagate, in_single, loss_gradient, multiplies_narrow
from bntui.audit.distributions import LIMIT, check_distribution, check_unit, share_within
from bntui.audit.forward import FORWARD
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import DRAWN, ENTRIES, Stage, parameter_names
from bntui.audit.normalize import NORMS, standardized
from bntui.audit.recurrence import CELLS, unroll
from bntui.audit.samples import Samples
from bntui.audit.tolerances import LARGEST, SAFETY, UNIT, WIDE, Precision
from bntui.audit.validation import After
from bntui.keyframe import UNIT_STATISTICS, Keyframe
from bntui.language import N_
from bntui.recording.history import RunInfo

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
    "flatten": N_("arrangement"),
    "last": N_("arrangement"),
    "rows": N_("arrangement"),
}
HIDDEN: Final = N_("hidden states of recurrences")
LOSS: Final = N_("loss of the mini-batch")
NORM: Final = N_("norms of weights")
GRADIENTS: Final = N_("gradient norms")
AFFINE: Final = N_("gamma, beta and their gradients")
ACTIVATION_GRADIENTS: Final = N_("gradient norms of activations")
BATCH: Final = N_("batch mean and variance")
RUNNING: Final = N_("running statistics")
RATIO: Final = N_("update ratios")
DEAD: Final = N_("dead and saturated fractions")
EVIDENCE: Final = N_("completeness of evidence")
KINDS: Final = N_("kinds of stages, activations, norms, cells, optimizers")
STATE: Final = N_("state of the optimizer")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is fixed about the run whose keyframes are recomputed."""

    run: RunInfo
    stages: tuple[Stage, ...]
    samples: Samples | None
    """None: the data set is not in the recording."""
    task: str
    precision: Precision

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
    gradients: dict[str, Values] = field(default_factory=dict)
    slack: dict[str, Values] = field(default_factory=dict)
    after: After | None = None
    """None where the gradients are not determined."""

    def entered(self, stage: Stage) -> Values | None:
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


def unpack(
    ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, arrays: Mapping[str, Values]
) -> Taken | None:
    """Evidence in its parts; None, and a failure, where something is missing or has the wrong shape."""
    names = [f"stage/{stage.at}" for stage in subject.stages]
    names += [f"before/{name}" for name in parameter_names(subject.stages)]
    dropped = [stage for stage in subject.stages if stage.kind == "dropout"]
    names += [f"mask/{stage.info.name}" for stage in dropped]
    missing = [name for name in names if name not in arrays]
    if not ledger.hold(EVIDENCE, place, ", ".join(missing) or "evidence", not missing, "-", "+"):
        return None
    batch = None if subject.samples is None else subject.samples.batch(frame.batch_indices)
    x, target = (None, None) if batch is None else batch
    taken = Taken(
        x,
        target,
        [arrays[f"stage/{stage.at}"] for stage in subject.stages],
        {name[7:]: arrays[name].astype(np.float64) for name in arrays if name.startswith("before/")},
        {},
        {},
        {name[9:]: arrays[name] for name in arrays if name.startswith("gradient/")},
    )
    for name, values in arrays.items():
        if name.startswith("optimizer/"):
            parameter, _slash, kind = name.removeprefix("optimizer/").rpartition("/")
            taken.optimizer.setdefault(parameter, {})[kind] = values.astype(np.float64)
    for stage in subject.stages:
        drawn = arrays.get(f"noise/{stage.info.name}")
        if stage.kind == "noise" and drawn is not None:
            taken.draws[stage.at] = drawn
        elif stage.kind == "input_noise":
            taken.draws[stage.at] = taken.values[stage.at]
            if x is not None and x.shape == taken.values[stage.at].shape:
                deviation = subject.run.config["data"].get("input_noise", 0.0)
                masks.check_noise(ledger, place, taken.values[stage.at] - x, deviation)
    for stage in dropped:
        entered = taken.entered(stage)
        shape = np.shape(entered if entered is not None else taken.values[stage.at])
        bits = np.unpackbits(arrays[f"mask/{stage.info.name}"])[: math.prod(shape)]
        if not ledger.hold(EVIDENCE, place, "mask", bits.size == math.prod(shape), bits.size, math.prod(shape)):
            return None
        taken.draws[stage.at] = bits.reshape(shape).astype(bool)
    return taken


def recompute(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken, *, initial: bool) -> None:
    """All of a keyframe but what follows the step; gradients and the state after it are left in ``taken``."""
    _forward(ledger, place, subject, taken)
    _figures(ledger, place, subject, frame, taken)
    _batch_statistics(ledger, place, subject, frame, taken, initial=initial)
    if taken.target is None:
        ledger.note(N_("loss, gradients and what follows: the data set is not in the recording"))
        return
    _loss(ledger, place, subject, frame, taken)
    _gradients(ledger, place, subject, frame, taken)
    _step(ledger, place, subject, frame, taken, initial=initial)


def _forward(ledger: Ledger, place: Place, subject: Subject, taken: Taken) -> None:
    for stage in subject.stages:
        entered = taken.entered(stage)
        if stage.kind == "input_noise" or (stage.kind in DRAWN and stage.at not in taken.draws):
            continue
        if entered is None:
            ledger.note(N_("what the first layer makes of its inputs: the data set is not in the recording"))
            continue
        here = replace(place, layer=stage.info.name)
        rule, x, y = FORWARD[stage.kind], entered.astype(np.float64), taken.values[stage.at].astype(np.float64)
        recurrent = stage.kind == "activation" and stage.info.kind == "recurrent"
        with np.errstate(all="ignore"):
            if recurrent:  # from the recorded state before each time step
                if y.shape[:2] != x.shape[:2]:
                    ledger.compare(HIDDEN, here, f"stage/{stage.at}", y, x, 0)
                    continue
                unrolled = unroll(stage, x, taken.before, recorded=y)
                ours, slack = unrolled.states, unrolled.slack(subject.precision)
            else:
                ours = rule.forward(stage, x, taken.before, taken.draws.get(stage.at))
                slack = np.zeros(())
                if ours.shape == y.shape:
                    slack = rule.slack(stage, x, ours, taken.before, subject.precision)
            # float32 overflows where float64 does not, and then anything may follow
            slack = np.where(np.abs(ours) + slack > LARGEST / 4, np.nan, slack)
        ledger.compare(HIDDEN if recurrent else STAGES[stage.kind], here, f"stage/{stage.at}", y, ours, slack)


def _figures(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken) -> None:
    """What is read off the values themselves."""
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
        _shares(
            ledger,
            here,
            info.activation,
            info.kind == "recurrent",
            layer.dead_fraction,
            layer.saturated_fraction,
            made["activation"],
        )
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


def _shares(
    ledger: Ledger, place: Place, activation: str, recurrent: bool, dead: float, saturated: float, output: Values
) -> None:
    if activation == "relu":
        flat = np.moveaxis(output, -1 if recurrent else 1, 0).reshape(output.shape[-1 if recurrent else 1], -1)
        gone = int((flat == 0).all(1).sum())
        share_within(ledger, DEAD, place, "dead_fraction", dead, gone, 0, len(flat))
    else:
        ledger.compare(DEAD, place, "dead_fraction", dead, math.nan, 0)
    ends = ACTIVATIONS[activation].saturates
    if ends is None:
        ledger.compare(DEAD, place, "saturated_fraction", saturated, math.nan, 0)
        return
    wide = output.astype(np.float64)
    margin = LIMIT * max(map(abs, ends))
    sure = int(((wide < ends[0] - margin) | (wide > ends[1] + margin)).sum())
    near = int(((np.abs(wide - ends[0]) <= margin) | (np.abs(wide - ends[1]) <= margin)).sum())
    share_within(ledger, DEAD, place, "saturated_fraction", saturated, sure, near, wide.size)


def _batch_statistics(
    ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken, *, initial: bool
) -> None:
    """Batch normalization: what it took off the mini-batch, and its running statistics after the step."""
    unit, momentum = 16 * subject.precision.unit, subject.run.config["network"].get("norm_momentum", 0.1)
    for stage in subject.stages:
        recorded = frame.layers[stage.number].batch_norm
        if stage.kind != "norm" or stage.info.norm != "batch":
            continue
        here = replace(place, layer=stage.info.name)
        if not ledger.hold(BATCH, here, "batch_norm", recorded is not None, "-", "+") or recorded is None:
            continue
        entered = taken.entered(stage)
        assert entered is not None
        wide = entered.astype(np.float64)
        with np.errstate(all="ignore"):
            of = standardized(stage, wide)
            count = wide.size // of.mean.size
            shape = recorded.batch_mean.shape
            mean, var = of.mean.reshape(shape), of.var.reshape(shape)
            lost = unit * np.abs(wide).max(of.axes).reshape(shape)
            of_var = unit * var + lost * lost + 2 * lost * np.sqrt(var)
        # these two are taken in float64 from recorded values, and rounded once
        ledger.compare(
            BATCH, here, "batch_mean", recorded.batch_mean, mean, 2 * UNIT * np.abs(mean) + WIDE * lost / unit
        )
        ledger.compare(BATCH, here, "batch_var", recorded.batch_var, var, 2 * UNIT * var + WIDE * (lost / unit) ** 2)
        ledger.compare(BATCH, here, "eps", recorded.eps, stage.options["eps"], 1e-15)
        for name, values in (("gamma", recorded.gamma), ("beta", recorded.beta)):
            before = taken.before[stage.name("weight" if name == "gamma" else "bias")]
            ledger.compare(AFFINE, here, name, values, before, 0)
        for name, new, off in (
            ("running_mean", mean, lost),
            ("running_var", var * count / max(count - 1, 1), of_var),
        ):
            before = taken.before[stage.name(name)]
            ours = before if initial else (1 - momentum) * before + momentum * new
            with np.errstate(all="ignore"):
                allowed = 0 if initial else 8 * UNIT * (np.abs(before) + np.abs(ours)) + 2 * momentum * off
            ledger.compare(RUNNING, here, name, getattr(recorded, name), ours, allowed)


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
    ledger.compare(LOSS, place, "batch_loss", frame.batch_loss, loss, allowed)


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
            ratio = _norm(state[weight] - taken.before[weight]) / size if size else math.nan
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
