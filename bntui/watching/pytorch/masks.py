"""Finds the dropout mask that a step drew, without drawing from the generators that the loop uses.

The state of the generator is kept before the dropout, and the mask is drawn again from it: by a generator of its own on
the CPU, whose values are those of ``F.dropout``.  The mask is believed only if it explains every value of the output.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MOST_KEPT = 2**20
"""Bits of a mask that a keyframe keeps at most."""


@dataclass(frozen=True, slots=True)
class DropoutDraw:
    """What is known before a dropout."""

    name: str
    """Such as ``dropout2d``."""
    p: float
    entered: Tensor
    """What enters it; a copy, if it is changed in place."""
    state: Tensor


def before(name: str, p: float, entered: Tensor, *, in_place: bool) -> DropoutDraw:
    """Keep what is needed to draw the mask again."""
    state = torch.get_rng_state() if entered.device.type == "cpu" else _generator_state(entered.device)
    entered = entered.detach()
    return DropoutDraw(name, p, entered.clone() if in_place else entered, state)


def after(drawing: DropoutDraw, output: Tensor) -> Tensor | None:
    """The mask, true where a unit was kept, in the shape of the output or with 1 for its pixels; None if unknown."""
    shape = _drawn_shape(drawing)
    if drawing.p in (0.0, 1.0):
        return torch.full(shape, drawing.p == 0.0, device=output.device)
    if output.device.type == "cpu":
        generator = torch.Generator()
        generator.set_state(drawing.state)
        like = torch.empty_like(drawing.entered) if shape == tuple(output.shape) else drawing.entered.new_empty(shape)
        mask = like.bernoulli_(1 - drawing.p, generator=generator).bool()
    else:
        with torch.random.fork_rng([output.device.index or 0], device_type=output.device.type):
            _set_generator_state(output.device, drawing.state)
            again = getattr(functional, drawing.name)(torch.ones_like(drawing.entered), drawing.p, True)
        mask = again != 0
    explained = (output.detach() != 0) == (mask & (drawing.entered != 0))
    # values next to 0 may become 0 when they are scaled
    if not bool(explained.all()):
        return None
    return mask


def of_samples(mask: Tensor, samples: int) -> Tensor:
    """The mask of the first samples, sample by unit."""
    flat = mask.flatten(1) if mask.ndim > 1 else mask.reshape(-1, 1)
    return flat[: max(1, min(samples, MOST_KEPT // max(flat.shape[1], 1)))]


def _drawn_shape(drawing: DropoutDraw) -> tuple[int, ...]:
    """Dropout of channels draws one number for all pixels of a channel."""
    shape = tuple(drawing.entered.shape)
    if drawing.name == "dropout":
        return shape
    return (*shape[:2], *(1 for _ in shape[2:]))


def _generator_state(device: torch.device) -> Tensor:
    module = getattr(torch, device.type)
    state: Tensor = module.get_rng_state(device)
    return state


def _set_generator_state(device: torch.device, state: Tensor) -> None:
    getattr(torch, device.type).set_rng_state(state, device)
