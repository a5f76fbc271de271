"""Keeps the losses that a loop tells until its course takes them: on their device, and until it is known which step has
each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from torch import Tensor

from bntui.watching.pytorch.held import numbers

MOST_LOSSES: Final = 4096
"""Losses that wait on the device at most."""


class ToldLosses:
    """The losses of steps that no keyframe has.

    Args:
        tell: takes them.
    """

    def __init__(self, tell: Callable[[Sequence[float]], None]) -> None:
        self._tell = tell
        self.waiting: list[Tensor | float] = []
        """Those of steps that are done."""
        self._early: tuple[Tensor | float, int] | None = None
        """One that was told between the forward pass and the optimizer's step, and the number of that pass."""

    def keep(self, loss: Tensor | float) -> None:
        """Keep that of a step that is done."""
        self.waiting.append(loss)
        if len(self.waiting) > MOST_LOSSES:
            self.tell()

    def keep_early(self, loss: Tensor | float, passes: int) -> None:
        """Keep one that was told before the optimizer's step, after so many passes."""
        self.keep_skipped()
        self._early = loss, passes

    def of_step(self, passes: int) -> Tensor | float | None:
        """What was told before a step of so many passes; None if nothing was.

        What was told before another pass belongs to a step that a gradient scaler skipped.
        """
        if self._early is not None and self._early[1] == passes:
            (loss, _passes), self._early = self._early, None
            return loss
        self.keep_skipped()
        return None

    def keep_skipped(self) -> None:
        """Keep what was told before a step that was not done."""
        early, self._early = self._early, None
        if early is not None:
            self.keep(early[0])

    def tell(self) -> None:
        """Fetch all that wait from their device, and tell them."""
        waiting, self.waiting = self.waiting, []
        if waiting:
            self._tell(numbers(waiting))
