"""Says which steps of a loop are measured, and what is minded in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Plan:
    """Which steps are measured, and how."""

    every: int | Literal["epoch"]
    steps_per_epoch: int | None
    averaged: bool
    """Gradients are averaged between processes."""
    compiled: bool
    """The model that the loop calls is a compiled one, which minds global hooks."""
    quiet: bool

    def due(self, step: int, began: int, length: int | None) -> bool:
        """True if a step is to be measured.

        Args:
            step: its number, from 1.
            began: steps done before this epoch.
            length: steps in an epoch, where known.
        """
        if step == 1:
            return True
        return step - began == length if self.every == "epoch" else step % self.every == 0
