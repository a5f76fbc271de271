"""Keeps a trainer ready for the gallery, and has it start the chosen scenario."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bntui.errors import BntuiError
from bntui.link.training_packages import why_no_training
from bntui.scenario.pace import PacingOptions
from bntui.viewer import opening

if TYPE_CHECKING:
    from bntui.link.client import IdleTrainer
    from bntui.viewer.feed import TrainerLink
    from bntui.viewer.snapshot import ViewedRecording
    from bntui.viewer.terminal.line import PacedApp


class Choosing(Protocol):
    """The part of the gallery's screen that this module needs."""

    @property
    def app(self) -> PacedApp[Any]: ...
    def opened(self, found: tuple[ViewedRecording, TrainerLink | None]) -> None:
        """Show a recording."""
        ...

    def refused(self, chosen: Path, error: BntuiError) -> None:
        """Say why the chosen file cannot be opened."""
        ...

    def failed(self, error: BntuiError) -> None:
        """Say what else did not work."""
        ...


class GalleryTrainer:
    """A trainer that waits for the user's choice, and the one that starts what was chosen.

    Args:
        watching: how it trains.
    """

    def __init__(self, gallery: Choosing, watching: PacingOptions) -> None:
        self._gallery = gallery
        self._watching = watching
        self._idle: IdleTrainer | None = None
        self._opening: IdleTrainer | None = None
        """The trainer that is starting the chosen scenario."""
        self._starting = False
        self._waiting: Path | None = None
        """The chosen scenario, while it waits for a trainer."""

    @property
    def ready(self) -> bool:
        """True if a trainer waits for the user's choice."""
        return self._idle is not None

    @property
    def opening(self) -> bool:
        """True while the chosen scenario waits for a trainer, or one is starting it."""
        return self._opening is not None or self._waiting is not None

    def prepare(self) -> None:
        """Start a trainer that waits, unless there is one or none is wanted."""
        from bntui.link.client import IdleTrainer

        wanted = not (self._gallery.app.read_only or why_no_training())
        if self._idle is None and not self._starting and wanted:
            self._starting = True
            opening.in_background(self._gallery.app, IdleTrainer.start, self._started, self._not_started)

    def open(self, scenario: Path) -> None:
        """Open a scenario, as soon as there is a trainer."""
        if self._idle is None:
            self._waiting = scenario
            self.prepare()
        else:
            self._begin(scenario, self._idle)

    def done(self) -> None:
        """The trainer that was starting the scenario belongs to its recording, or has ended with what it refused."""
        self._opening = None

    def cancel(self) -> None:
        """End the trainer that is starting the chosen scenario."""
        trainer, self._opening, self._waiting = self._opening, None, None
        if trainer is not None:
            trainer.discard()

    def discard(self) -> None:
        """End any trainer that is starting or waiting."""
        self.cancel()
        if self._idle is not None:
            self._idle.discard()

    def _started(self, trainer: IdleTrainer) -> None:
        self._starting = False
        self._idle = trainer
        if self._waiting is not None:
            scenario, self._waiting = self._waiting, None
            self._begin(scenario, trainer)

    def _not_started(self, error: BntuiError) -> None:
        self._starting, self._waiting = False, None
        self._gallery.failed(error)

    def _begin(self, scenario: Path, trainer: IdleTrainer) -> None:
        self._opening, self._idle = trainer, None

        def opened(found: tuple[ViewedRecording, TrainerLink | None]) -> None:
            if self._opening is trainer:
                self._gallery.opened(found)
            else:  # cancelled in the meantime
                opening.drop(found)

        def refused(error: BntuiError) -> None:
            if self._opening is trainer:
                self._gallery.refused(scenario, error)

        opening.in_background(
            self._gallery.app,
            lambda: opening.open_recording(trainer.open(scenario, None, watching=self._watching)),
            opened,
            refused,
        )
