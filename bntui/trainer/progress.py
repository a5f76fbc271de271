"""Holds all state of a run that is not a tensor, as one value that can be stored and restored."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from bntui.trainer.early_stopping import Patience
from bntui.trainer.optim import Plateau
from bntui.trainer.score import Sums


@dataclass(frozen=True, slots=True)
class Progress:
    """With parameters, buffers and the optimizer's averages this is everything that the next step depends on.

    There is no generator's state in it: every draw is derived from the seed, the layer and the step.
    """

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Whole epochs done."""
    offset: int = 0
    """Samples of the epoch under way that were learned from, in its order."""
    wall: float = 0.0
    """Seconds of training and measuring."""
    plateau: Plateau = field(default_factory=Plateau)
    patience: Patience = field(default_factory=Patience)
    best_loss: float = math.inf
    """Smallest validation loss at an epoch's end, where there is no early stopping."""
    best_step: int = 0
    """Step whose weights early stopping is to restore; 0 where there are none yet."""
    sums: Sums = field(default_factory=Sums)
    """Of the epoch under way."""

    def text(self) -> str:
        """As JSON, exact to the last bit."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Progress:
        """What :meth:`text` gave."""
        told: dict[str, Any] = json.loads(text)
        sums: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in told.pop("sums").items()
        }
        plateau, patience = Plateau(**told.pop("plateau")), Patience(**told.pop("patience"))
        return cls(**told, plateau=plateau, patience=patience, sums=Sums(**sums))
