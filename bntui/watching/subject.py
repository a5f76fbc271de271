"""Describes what is recorded: everything about somebody's training loop that is known when it begins."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from bntui import __version__
from bntui.recording.forms import WATCHED
from bntui.recording.history import LayerInfo, RunInfo


@dataclass(frozen=True, slots=True)
class Subject:
    """What a loop tells of itself; what it does not know is left out."""

    title: str
    """What the screen calls it: the class of the model, or the stem of the file."""
    by: Literal["watch", "record"]
    """The function that records it."""
    task: Literal["classification", "regression"] = "classification"
    """Whether ``accuracy`` is the share of right answers or R²."""
    model: str = ""
    """Class of the model."""
    optimizer: str = ""
    device: str = "cpu"
    epochs: int | None = None
    """Number of epochs that are planned."""
    steps_per_epoch: int | None = None
    batch_size: int | None = None
    every: int | Literal["epoch"] | None = None
    """Steps between two keyframes."""
    early_stopping: Mapping[str, Any] | None = None
    """``monitor`` and ``patience``, and what else ``forms.TOLD`` allows."""
    budget: float = 0.0
    """Bytes for evidence."""
    meta: Mapping[str, str] = field(default_factory=dict)
    """Versions and hardware that determine the exact bits of a step."""

    def info(self, layers: tuple[LayerInfo, ...]) -> RunInfo:
        """The run of a recording."""
        known = {
            "by": self.by, "model": self.model, "optimizer": self.optimizer, "epochs": self.epochs,
            "batch_size": self.batch_size, "every": self.every,
            "early_stopping": None if self.early_stopping is None else dict(self.early_stopping),
        }  # fmt: skip
        told = {key: value for key, value in known.items() if value not in (None, "")}
        return RunInfo(0, self.title, {WATCHED: told}, layers, self.steps_per_epoch or 1, self.device)

    def metadata(self) -> dict[str, str]:
        """The recording's metadata."""
        return {
            "title": self.title,
            "task": self.task,
            "scenario": "",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "bntui": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cores": str(os.cpu_count()),
            **self.meta,
        }
