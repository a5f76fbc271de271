"""Recomputes how far each layer's gradient moves when the layers before it are those after the step.

‖G - G'‖₂ of Santurkar et al., arXiv:1805.11604, definition 2.1, on the step's own mini-batch and masks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from bntui.audit.backward import ForwardPass, Gradients, backpropagate, loss_gradient, tight
from bntui.audit.bounded import Bounded
from bntui.audit.forward import train
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import DRAWN, parameter_names
from bntui.audit.recurrence import State
from bntui.audit.subject import Subject, Taken
from bntui.audit.tolerances import WIDE
from bntui.audit.validation import as_tried, exactly
from bntui.keyframe import Keyframe
from bntui.text.language import N_

SHIFT: Final = N_("gradient shift")


def check_shift(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, taken: Taken, after: State) -> None:
    """Check all layers of a keyframe with gradient shift; ``after`` are parameters and buffers after the step."""
    stages, states = subject.stages, (exactly(taken.before, subject.precision.unit), after)
    unknown = any(stage.kind in DRAWN and stage.at not in taken.draws for stage in stages)
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
            moved = _moved(subject, taken, states, number)
            each = [(moved[name] - taken.gradients[name]).length() for name in own]
            shift, lost = (math.hypot(*column) for column in zip(*each, strict=True))
        ledger.compare(SHIFT, here, "gradient_shift", layer.gradient_shift, shift, lost + WIDE * shift)


def _moved(subject: Subject, taken: Taken, states: tuple[State, State], number: int) -> Mapping[str, Bounded]:
    """The gradients after the layers before ``number`` are updated; ``states`` are those before and after the step."""
    before, after = states
    stages, precision = subject.stages, subject.precision
    earlier = {stage.name("") for stage in stages if stage.number < number}
    state = {name: (after if any(name.startswith(prefix) for prefix in earlier) else before)[name] for name in before}
    x, target = taken.x, taken.target
    assert x is not None
    assert target is not None

    def moved(tried: bool) -> Gradients:
        entering = Bounded.exact(x, precision.unit)
        if tried:
            entering = entering.tried()
        own = as_tried(state) if tried else state
        values = train(stages, entering, own, taken.draws, precision)
        d = loss_gradient(subject.task, values[-1], target)
        return backpropagate(ForwardPass(stages, entering, values, own, taken.draws, precision), d)

    return tight(moved).parameters
