"""How far does each layer's gradient move when the layers before it are those after the step?

‖G - G'‖₂ of Santurkar et al., arXiv:1805.11604, definition 2.1, on the step's own mini-batch and masks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.backward import Gradients, backpropagate, loss_gradient
from bntui.audit.forward import Draws, train
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import DRAWN, Stage, parameter_names
from bntui.audit.recurrence import Term
from bntui.audit.tolerances import SAFETY
from bntui.audit.validation import After
from bntui.keyframe import Keyframe
from bntui.language import N_

Values = NDArray[Any]

SHIFT: Final = N_("gradient shift")
KINKED: Final = ("relu", "leaky_relu")
NEAR: Final = 1e-6
"""Relative: values so near the kink may be on either side of it."""
KINK: Final = 0.05
"""What one sample's unit may make up of a gradient."""


def check_shift(
    ledger: Ledger,
    place: Place,
    frame: Keyframe,
    stages: Sequence[Stage],
    x: Values,
    target: Values,
    task: str,
    before: Mapping[str, Values],
    after: After,
    gradients: Mapping[str, Values],
    slack: Mapping[str, Values],
    draws: Draws,
) -> None:
    """All layers of a keyframe that has the figure."""
    unknown = any(stage.kind in DRAWN and stage.at not in draws for stage in stages)
    for number, layer in enumerate(frame.layers):
        here = Place(place.run, place.step, place.epoch, layer.name)
        if number == 0:
            ledger.compare(SHIFT, here, "gradient_shift", layer.gradient_shift, 0.0, 0)
            continue
        if unknown:
            ledger.note(N_("gradient shift beside drawn noise: its scale is not recorded"))
            continue
        own = parameter_names(tuple(s for s in stages if s.number == number))
        exact, kinked = _moved(stages, number, x.astype(np.float64), target, task, before, after.state, draws)
        shift = math.hypot(*(_norm(exact[name].gradient - gradients[name]) for name in own))
        lost = math.hypot(*(_norm(slack[name]) for name in own))
        far = 0.0
        single = {name: values.astype(np.float32) for name, values in before.items()}
        for moved in after.moved(frame.step):
            other, _kinked = _moved(stages, number, x.astype(np.float32), target, task, single, moved, draws)
            far = max(far, math.hypot(*(_norm(other[name].gradient - exact[name].gradient) for name in own)))
        allowed = SAFETY * far + lost
        if kinked:  # a value so near a kink may go the other way, and with it a sample's share of the gradient
            allowed += KINK * (shift + math.hypot(*(_norm(gradients[name]) for name in own)))
        ledger.compare(SHIFT, here, "gradient_shift", layer.gradient_shift, shift, allowed)


def _moved(
    stages: Sequence[Stage],
    number: int,
    x: Values,
    target: Values,
    task: str,
    before: Mapping[str, Values],
    after: Mapping[str, Values],
    draws: Draws,
) -> tuple[dict[str, Term], bool]:
    """The layer's gradients once the earlier layers are updated; is a value within rounding of a ReLU's kink?"""
    earlier = {stage.name("") for stage in stages if stage.number < number}
    state = {
        name: (after if any(name.startswith(prefix) for prefix in earlier) else before)[name].astype(x.dtype)
        for name in before
    }
    with np.errstate(all="ignore"):
        values = train(stages, x, state, draws)
        d = loss_gradient(task, values[-1], target)
        found: Gradients = backpropagate(stages, x, values, state, draws, d)
    near = False
    for place, stage in enumerate(stages):
        if place and stage.kind == "activation" and stage.info.activation in KINKED:
            entered = np.abs(values[place - 1])
            near = near or bool(entered.min() < NEAR * entered.max())
    return found.terms, near


def _norm(values: Values) -> float:
    return float(np.sqrt((values.astype(np.float64) ** 2).sum()))
