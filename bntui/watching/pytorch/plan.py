"""Says how often a loop is measured, and what is minded in its measured steps."""

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
