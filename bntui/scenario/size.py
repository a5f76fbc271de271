"""Estimates a network's memory before any is allocated, and refuses networks that are too large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from bntui.files import in_bytes
from bntui.scenario.complaints import Complaint
from bntui.scenario.schema import RunConfig
from bntui.scenario.structure import Placed, Shape, as_sequence
from bntui.text.language import _

LIMIT: Final = 4_000_000_000
"""Maximum memory of all runs of a scenario together, in bytes."""
_COPIES: Final = 16
"""Bytes per parameter: value, gradient, and two running averages of the optimizer, in float32."""
_ACTIVATION: Final = 12
"""Bytes per activation: before and after the activation function, and its gradient."""
_GATES: Final = {"elman": 1, "gru": 3, "lstm": 4}


def memory_of(
    config: RunConfig, layers: Sequence[Placed], shape: Shape | None, samples: int | None, outputs: int | None
) -> tuple[int, int]:
    """Memory of a network in training in bytes, and the index of the layer that needs most of it.

    Args:
        config: the run's configuration.
        layers: its placed hidden layers.
        shape: of a sample; unknown sides count as 1, which gives a lower bound.
        samples: number of samples, if known.
        outputs: units of the output layer, if known.
    """
    before = _known(as_sequence(shape, config.data.sequence) or (1,))
    batch = min(config.data.batch_size, samples) if samples is not None else 1
    needs = []
    for layer in layers:
        after = _known(layer.after)
        values = math.prod(_known(layer.entered)) + math.prod(after)
        values *= _GATES.get(layer.block.cell, 1)
        needs.append(_COPIES * _parameters(layer, before) + _ACTIVATION * batch * values)
        before = after
    last = _COPIES * (math.prod(before) + 1) * (outputs or 1)
    return sum(needs) + last, max(range(len(needs)), key=needs.__getitem__, default=0)


def too_large(
    config: RunConfig, layers: Sequence[Placed], shape: Shape | None, samples: int | None, outputs: int | None
) -> Complaint | None:
    """Why a network cannot be trained, if it needs more than ``LIMIT``."""
    needed, largest = memory_of(config, layers, shape, samples, outputs)
    if needed <= LIMIT:
        return None
    message = _(
        "the network needs {needed} of memory for its parameters and one mini-batch; the limit for a scenario"
        " is {limit}"
    ).format(needed=in_bytes(needed), limit=in_bytes(LIMIT))
    path = layers[largest].path if layers else ("network",)
    return Complaint((path, ("network", "hidden"), ("network",), ("data", "batch_size")), message)


def _known(shape: Shape) -> tuple[int, ...]:
    return tuple(1 if side is None else side for side in shape)


def _parameters(layer: Placed, before: tuple[int, ...]) -> int:
    block = layer.block
    if block.type == "conv":
        return block.units * (before[0] * block.kernel**2 + 1)
    if block.type == "recurrent":
        return _GATES.get(block.cell, 1) * block.units * (before[-1] + block.units + 2)
    entered = before[-1] if len(before) == 2 else math.prod(before)  # of a sequence, its last step
    return block.units * (entered + 1)
