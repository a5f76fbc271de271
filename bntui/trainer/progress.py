"""Holds the state of a run apart from tensors, as one value that can be stored and restored."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from bntui.patience import Patience
from bntui.trainer.optim import Plateau
from bntui.trainer.score import Sums


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a run apart from tensors.

    Together with the parameters, buffers and optimizer averages, the next step depends on nothing else.  There is no
    generator state, because every draw is derived from the seed, the layer and the step.
    """

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Whole epochs done."""
    offset: int = 0
    """Samples of the current epoch that were used so far, in its order."""
    wall: float = 0.0
    """Seconds spent on training and measuring."""
    plateau: Plateau = field(default_factory=Plateau)
    patience: Patience = field(default_factory=Patience)
    best_loss: float = math.inf
    """Smallest validation loss at the end of an epoch; used without early stopping."""
    best_step: int = 0
    """Step whose weights early stopping would restore; 0 if there is none yet."""
    sums: Sums = field(default_factory=Sums)
    """Sums of the current epoch."""

    def text(self) -> str:
        """The state as JSON, without loss of precision."""
        parts = {name: fields_of(getattr(self, name)) for name in ("plateau", "patience", "sums")}
        return json.dumps({**fields_of(self), **parts})

    @classmethod
    def parse(cls, text: str) -> Progress:
        """The inverse of :meth:`text`."""
        told: dict[str, Any] = json.loads(text)
        sums: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in told.pop("sums").items()
        }
        plateau, patience = Plateau(**told.pop("plateau")), Patience(**told.pop("patience"))
        return cls(**told, plateau=plateau, patience=patience, sums=Sums(**sums))


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass with slots by name; ``asdict`` copies each deeply, which takes ten times as long."""
    return {name: getattr(value, name) for name in value.__slots__}
