"""What was asked of a trainer and is not yet done: goals, not counts, so that taking them up again is no harm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bntui.errors import RecordingError
from bntui.language import _


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """A fork that was asked for."""

    run: int
    """Number of the parent."""
    step: int
    """Of one of its keyframes."""
    changes: tuple[tuple[str, Any], ...] = ()
    """Key paths and values, as JSON has them."""

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> ForkRequest:
        """From a command; raises LookupError, TypeError or ValueError where it is none."""
        changes = tuple((str(path), value) for path, value in told.get("changes", ()))
        return cls(int(told["run"]), int(told["step"]), changes)


@dataclass(frozen=True, slots=True)
class Agenda:
    """The trainer's state that a user has a say in; kept in the recording."""

    running: bool = False
    pace: float | None = None
    """Epochs a second; None is unthrottled."""
    epochs: int = 0
    """Every run is to come to the end of this epoch, even while paused."""
    steps: Mapping[int, int] = field(default_factory=dict)
    """Step that each run is to come to."""
    forks: tuple[ForkRequest, ...] = ()

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Agenda:
        """What :meth:`text` gave; an empty one from an empty text.

        Raises:
            RecordingError: it is damaged.
        """
        try:
            told = json.loads(text) if text else {}
            steps = {int(run): int(step) for run, step in told.pop("steps", {}).items()}
            forks = tuple(map(ForkRequest.parse, told.pop("forks", ())))
            return cls(**told, steps=steps, forks=forks)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            sentence = _("what was asked of the trainer last is damaged: {reason}")
            raise RecordingError(sentence.format(reason=error)) from error

    def paused(self) -> Agenda:
        """Nothing more is to be trained; forks that were asked for are still made."""
        return replace(self, running=False, epochs=0, steps={})

    def one_more_epoch(self, done: float) -> Agenda:
        """Every run is to train one epoch more than was asked for; ``done`` is what the furthest behind has done."""
        return replace(self, running=False, epochs=max(self.epochs, int(done)) + 1)

    def one_more_step(self, steps: Mapping[int, int]) -> Agenda:
        """Every run is to take one step more than was asked for; ``steps`` are those that each has taken."""
        return replace(
            self, running=False, steps={run: max(self.steps.get(run, 0), done) + 1 for run, done in steps.items()}
        )

    def with_fork(self, fork: ForkRequest) -> Agenda:
        """A fork is made, and all train on."""
        return replace(self, running=True, forks=(*self.forks, fork))

    def after_first_fork(self) -> Agenda:
        """The first of the forks is made, or cannot be."""
        return replace(self, forks=self.forks[1:])
