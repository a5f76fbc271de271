"""Stands in for a recorder in the processes of a distributed training that record nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from bntui.watching.pytorch.told import figures_of
from bntui.watching.stopping import EarlyStopping, Stopper


class Silent:
    """Records nothing, in a process of a distributed training that is not the first."""

    def __init__(self, path: Path | None, rule: EarlyStopping | None = None) -> None:
        self.path = path
        self._stopper = Stopper(rule)

    @property
    def should_stop(self) -> bool:
        """True if the patience ran out with the last epoch, by the figures that this process told."""
        return self._stopper.should_stop

    def step(self, loss: Any = None, *, lr: Any = None) -> None:
        """Do nothing."""

    def epoch(self, **figures: Any) -> None:
        """Apply the rule of early stopping, as the process that records does."""
        self._stopper.see(figures_of(figures))

    def early_stopping(self, **state: Any) -> None:
        """Do nothing."""

    def close(self, error: BaseException | None = None) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *of: object) -> None:
        """Do nothing."""
