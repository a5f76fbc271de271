"""Checks that the initial weights could have been drawn as the settings say: limits of uniform distributions, zeros,
and the initial γ and β.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.blocks import DescribedLayer, blocks_of
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import GATES
from bntui.audit.subject import Subject
from bntui.text.language import N_

Values = NDArray[Any]

INITIAL: Final = N_("initial weights")
ROOM: Final = 1 + 1e-6
"""Allows for limits rounded to float32."""


def check_initial(ledger: Ledger, place: Place, subject: Subject, state: Mapping[str, Values]) -> None:
    """Check the initial state of a run that is not a fork.

    Args:
        state: parameters and buffers by name.
    """
    network = subject.run.config["network"]
    blocks = {block.name: block for block in blocks_of(subject.run.config)}
    for info in subject.run.layers:
        here = Place(place.run, place.step, place.epoch, info.name)
        block = blocks.get(info.name)
        init = network["init"] if block is None else block.init
        weight, bias = (state.get(f"{info.name}.{info.kind}.{name}") for name in ("weight", "bias"))
        if weight is None or bias is None:
            continue
        _within(ledger, here, f"{info.name}.{info.kind}.weight", weight, _limit(init, weight, info.kind, block))
        limit = _limit(init, weight, info.kind, block) if init == "default" else 0.0
        _within(ledger, here, f"{info.name}.{info.kind}.bias", bias, limit)
        for name, values in state.items():
            if name.startswith(f"{info.name}.") and "norm" in name.removeprefix(f"{info.name}."):
                due = {"weight": network.get("norm_gamma", 1.0), "bias": 0.0}.get(name.rpartition(".")[2])
                if due is not None:
                    ours = np.full(values.shape, np.float32(due), np.float64)
                    ledger.compare(INITIAL, here, name, values, ours, 0)


def _limit(init: str, weight: Values, kind: str, block: DescribedLayer | None) -> float:
    """The largest possible magnitude of a weight; infinite for a normal distribution."""
    name, _colon, number = init.partition(":")
    inputs = weight[0].size
    outputs = weight.shape[0] * math.prod(weight.shape[2:])
    if block is not None and kind == "recurrent":
        outputs //= GATES[block.cell]
        if name == "default":
            return 1 / math.sqrt(block.units)
    return {
        "default": 1 / math.sqrt(inputs),
        "zeros": 0.0,
        "xavier": math.sqrt(6 / (inputs + outputs)),
        "he": math.sqrt(6 / inputs),
        "orthogonal": 1.0,
        "uniform": float(number or 0),
    }.get(name, math.inf)


def _within(ledger: Ledger, place: Place, name: str, values: Values, limit: float) -> None:
    largest = float(np.abs(values).max(initial=0))
    ledger.hold(INITIAL, place, name, largest <= limit * ROOM, largest, f"<= {limit}")
