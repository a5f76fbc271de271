"""Holds what was asked of a trainer and is not done yet, as goals: repeating one does no harm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from bntui.errors import RecordingError
from bntui.link import wire
from bntui.link.requests import ForkRequest, natural, pace
from bntui.text.language import _

MOST_FORKS: Final = 16
"""Forks that wait to be made."""
DEEPEST: Final = wire.DEEPEST + 2
"""Nesting of an agenda: its forks are in a list of their own."""


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
    address: str = ""
    """Where the trainer listens: other logins have other folders for sockets; see ``bntui.link.live``."""

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
            told = wire.parse(text.encode(errors="replace"), deepest=DEEPEST) if text else {}
            steps = {int(run): natural("steps", step) for run, step in told.pop("steps", {}).items()}
            forks = tuple(map(ForkRequest.parse, told.pop("forks", ())))
            epochs, speed = natural("epochs", told.pop("epochs", 0)), pace(told.pop("pace", None))
            running = told.pop("running", False)
            address = told.pop("address", "")
            if told or not isinstance(running, bool) or not isinstance(address, str) or len(forks) > MOST_FORKS:
                raise ValueError(", ".join(told) or "running, forks")
            return cls(running, speed, epochs, steps, forks, address)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            sentence = _("the trainer's pending requests are damaged: {reason}")
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

    @property
    def full(self) -> bool:
        """No more forks can wait."""
        return len(self.forks) >= MOST_FORKS

    def with_fork(self, fork: ForkRequest) -> Agenda:
        """A fork is made, and all train on."""
        return replace(self, running=True, forks=(*self.forks, fork))

    def after_first_fork(self) -> Agenda:
        """The first of the forks is made, or cannot be."""
        return replace(self, forks=self.forks[1:])
