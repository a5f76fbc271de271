"""Describes what is recorded: everything about somebody's training loop that is known when it begins."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from numbers import Integral
from typing import Any, Literal

import numpy as np

from bntui import __version__
from bntui.errors import UsageError
from bntui.recording.forms import TASK, TOLD, WATCHED
from bntui.recording.history import LayerInfo, RunInfo
from bntui.recording.kinds import Maybe, Text, UnfitError, Whole, hold
from bntui.text.output import clean, unarmed


@dataclass(frozen=True, slots=True)
class LoopDescription:
    """What a loop tells of itself; what it does not know is left out.

    Raises:
        UsageError: a reader of the recording would refuse it.
    """

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

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "every"):
            value = getattr(self, name)
            if isinstance(value, Integral) and not isinstance(value, bool):  # also those of NumPy
                object.__setattr__(self, name, int(value))
        object.__setattr__(self, "title", unarmed(str(self.title)) or "recording")
        try:
            hold(Text(), self.title, "title")
            hold(TASK, self.task, "task")
            hold(Maybe(Whole(1)), self.steps_per_epoch, "steps_per_epoch")
            hold(Text(), self.device, "device")
            hold(TOLD, self._told(), self.by)
            json.dumps(self._told())
        except (UnfitError, TypeError) as error:
            raise UsageError(clean(str(error))) from error

    def info(self, layers: tuple[LayerInfo, ...]) -> RunInfo:
        """The run of a recording."""
        return RunInfo(0, self.title, {WATCHED: self._told()}, layers, self.steps_per_epoch or 1, self.device)

    def _told(self) -> dict[str, Any]:
        """What is known of the loop, as ``forms.TOLD`` declares it."""
        stopping = self.early_stopping
        known = {
            "by": self.by, "model": self.model, "optimizer": self.optimizer, "epochs": self.epochs,
            "batch_size": self.batch_size, "every": self.every,
            "early_stopping": dict(stopping) if isinstance(stopping, Mapping) else stopping,
        }  # fmt: skip
        return {key: value for key, value in known.items() if value is not None and value != ""}

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
            # plain words: a class derived from str, such as that of PyTorch's version, would have its library imported
            **{name: str(word) for name, word in self.meta.items()},
        }
