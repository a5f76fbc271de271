"""Counts a loop's steps and epochs, and says at which position a step is and whether the next one is measured."""

from __future__ import annotations

import math
from typing import Final

from bntui.recording.history import SAME_EPOCH
from bntui.watching.pytorch.plan import Plan

_MUCH_LONGER: Final = 1.5
"""Steps of an epoch over those that were told: so many are no mistake in the length."""


class LoopProgress:
    """Where a loop has got to.

    Args:
        plan: which steps are measured, and how many an epoch has, if that is told.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.steps = 0
        """Optimizer steps done."""
        self.epochs = 0
        """Epochs done."""
        self._epoch_began = 0
        """Steps done when this epoch began."""
        self.length = plan.steps_per_epoch
        """Steps of an epoch, as told, or those of the last one; None before one has ended."""

    @property
    def in_epoch(self) -> int:
        """Steps of this epoch done."""
        return self.steps - self._epoch_began

    @property
    def due(self) -> bool:
        """True if the next step is to be measured: the first, and those that the plan asks for."""
        if self.steps == 0:
            return True
        if self._plan.every == "epoch":
            return self.length is not None and (self.in_epoch + 1) % self.length == 0
        return (self.steps + 1) % self._plan.every == 0

    @property
    def position(self) -> float:
        """Epochs done; of an epoch whose length is not known, only the order of its steps is.

        An epoch that is longer than expected stays at its end.  If it is much longer, and the loop has told a length
        but no epoch, then it tells none: the length alone says how many are done.
        """
        done = self.in_epoch
        if self.length is None:
            unit = self._plan.every if isinstance(self._plan.every, int) else 1
            return self.epochs + done / (done + unit)
        share = done / self.length
        tells_none = self._plan.steps_per_epoch and not self.epochs and share >= _MUCH_LONGER
        return self.epochs + (share if tells_none else min(share, 1.0))

    def end_epoch(self) -> None:
        """An epoch has ended."""
        self.epochs = max(self.epochs + 1, math.ceil(self.position - SAME_EPOCH))
        self.length = self._plan.steps_per_epoch or self.in_epoch or None
        self._epoch_began = self.steps
