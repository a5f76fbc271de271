"""Holds the pending requests to a trainer as goals, so that repeating a request is harmless."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from bntui.errors import RecordingError
from bntui.link import wire
from bntui.link.numbers import finite, natural, pace
from bntui.link.requests import ForkRequest, seeds
from bntui.text.language import _

MOST_FORKS: Final = 16
"""Maximum number of pending forks."""
DEEPEST: Final = wire.DEEPEST + 2
"""Maximum nesting depth of an agenda, whose list of forks adds two levels to that of a request."""


@dataclass(frozen=True, slots=True)
class Agenda:
    """The part of the trainer's state that users control; kept in the recording."""

    running: bool = False
    pace: float | None = None
    """Epochs per second; None if unthrottled."""
    epochs: int = 0
    """Number of epochs that every run must complete, even while paused."""
    steps: Mapping[int, int] = field(default_factory=dict)
    """Number of steps that each run must complete, by run."""
    alone: Mapping[int, float] = field(default_factory=dict)
    """Number of epochs that each of these forks must complete while the other runs stay paused, by run."""
    forks: tuple[ForkRequest, ...] = ()
    seeds: int = 1
    """Number of seeds with which every run is to be trained, its own included."""
    address: str = ""
    """Path of the trainer's socket, because other logins use other socket folders; see ``bntui.link.live``."""

    def text(self) -> str:
        """The agenda as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Agenda:
        """The inverse of :meth:`text`; an empty text gives an empty agenda.

        Raises:
            RecordingError: the text is damaged.
        """
        try:
            told = wire.parse(text.encode(errors="replace"), deepest=DEEPEST) if text else {}
            steps = {int(run): natural("steps", step) for run, step in told.pop("steps", {}).items()}
            alone = {int(run): finite("alone", epoch) for run, epoch in told.pop("alone", {}).items()}
            forks = tuple(map(ForkRequest.parse, told.pop("forks", ())))
            epochs, speed = natural("epochs", told.pop("epochs", 0)), pace(told.pop("pace", None))
            wanted = seeds(told.pop("seeds", 1))
            running = told.pop("running", False)
            address = told.pop("address", "")
            if told or not isinstance(running, bool) or not isinstance(address, str) or len(forks) > MOST_FORKS:
                raise ValueError(", ".join(told) or "running, forks")
            return cls(running, speed, epochs, steps, alone, forks, wanted, address)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            sentence = _("the trainer's pending requests are damaged: {reason}")
            raise RecordingError(sentence.format(reason=error)) from error

    def paused(self) -> Agenda:
        """The agenda after a pause: no training, but pending forks are still created."""
        return replace(self, running=False, epochs=0, steps={}, alone={})

    def one_more_epoch(self, done: float) -> Agenda:
        """The agenda with one more epoch for every run; ``done`` is the number of epochs of the slowest run."""
        return replace(self, running=False, epochs=max(self.epochs, int(done)) + 1, alone={})

    def one_more_step(self, steps: Mapping[int, int]) -> Agenda:
        """The agenda with one more step for every run; ``steps`` has the steps that each run has completed."""
        goals = {run: max(self.steps.get(run, 0), done) + 1 for run, done in steps.items()}
        return replace(self, running=False, steps=goals, alone={})

    @property
    def full(self) -> bool:
        """True if no more forks can be added."""
        return len(self.forks) >= MOST_FORKS

    def with_fork(self, fork: ForkRequest) -> Agenda:
        """The agenda with one more fork."""
        return replace(self, forks=(*self.forks, fork))

    def after_first_fork(self) -> Agenda:
        """The agenda after its first fork was created or refused."""
        return replace(self, forks=self.forks[1:])

    def with_fork_alone(self, run: int, epoch: float) -> Agenda:
        """The agenda after a fork was created: it trains to this epoch, unless all runs train anyway."""
        return self if self.running else replace(self, alone={**self.alone, run: epoch})
