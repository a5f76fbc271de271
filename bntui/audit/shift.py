"""Recomputes how far each layer's gradient moves when the preceding layers are updated.

‖G - G'‖₂ of Santurkar et al., arXiv:1805.11604, definition 2.1, on the step's own mini-batch and masks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.backward import Gradients, backpropagate, loss_gradient, tight
from bntui.audit.bounded import Bounded
from bntui.audit.forward import Draws, train
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import DRAWN, RecordedStage, parameter_names
from bntui.audit.recurrence import State
from bntui.audit.tolerances import WIDE, Precision
from bntui.audit.validation import as_tried
from bntui.keyframe import Keyframe
from bntui.text.language import N_

Values = NDArray[Any]

SHIFT: Final = N_("gradient shift")


def check_shift(
    ledger: Ledger,
    place: Place,
    frame: Keyframe,
    stages: Sequence[RecordedStage],
    x: Values,
    target: Values,
    task: str,
    states: tuple[State, State],
    gradients: Mapping[str, Bounded],
    draws: Draws,
    precision: Precision,
) -> None:
    """Check all layers of a keyframe with gradient shift; ``states`` are those before and after the step."""
    unknown = any(stage.kind in DRAWN and stage.at not in draws for stage in stages)
    for number, layer in enumerate(frame.layers):
        here = Place(place.run, place.step, place.epoch, layer.name)
        if number == 0:
            ledger.compare(SHIFT, here, "gradient_shift", layer.gradient_shift, 0.0, 0)
            continue
        if unknown:
            ledger.note(N_("gradient shift with random noise: the noise scale is not recorded"))
            continue
        own = parameter_names(tuple(s for s in stages if s.number == number))
        with np.errstate(all="ignore"):
            moved = _moved(stages, number, x, target, task, states, draws, precision)
            each = [(moved[name] - gradients[name]).length() for name in own]
            shift, lost = (math.hypot(*column) for column in zip(*each, strict=True))
        ledger.compare(SHIFT, here, "gradient_shift", layer.gradient_shift, shift, lost + WIDE * shift)


def _moved(
    stages: Sequence[RecordedStage],
    number: int,
    x: Values,
    target: Values,
    task: str,
    states: tuple[State, State],
    draws: Draws,
    precision: Precision,
) -> Mapping[str, Bounded]:
    """The gradients after the layers before ``number`` are updated."""
    before, after = states
    earlier = {stage.name("") for stage in stages if stage.number < number}
    state = {name: (after if any(name.startswith(prefix) for prefix in earlier) else before)[name] for name in before}

    def moved(tried: bool) -> Gradients:
        entering = Bounded.exact(x, precision.unit)
        if tried:
            entering = entering.tried()
        own = as_tried(state) if tried else state
        values = train(stages, entering, own, draws, precision)
        d = loss_gradient(task, values[-1], target)
        return backpropagate(stages, entering, values, own, draws, d, precision)

    return tight(moved).parameters
