"""Opens recordings for the screen, and runs blocking work in the background."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from bntui.errors import BntuiError
from bntui.viewer.terminal.textual_private import exiting

if TYPE_CHECKING:
    from textual.app import App

    from bntui.viewer.feed import TrainerLink
    from bntui.viewer.snapshot import ViewedRecording

Outcome = TypeVar("Outcome")


class Beginning(NamedTuple):
    """A training that starts behind the screen."""

    begin: Callable[[], Path]
    """Starts it and gives its recording; it may block and runs in a thread."""
    cancel: Callable[[], None] | None = None
    """Ends what is being started."""
    name: str = ""
    """Of what is started, for the user."""


def open_recording(
    path: Path | Sequence[Path], trainer: TrainerLink | None = None
) -> tuple[ViewedRecording, TrainerLink | None]:
    """Open a recording and connect to its trainer if one is live, or open several recordings for comparison.

    Raises:
        UsageError: the recordings cannot be compared.
        RecordingError: the file is not a recording, is from a newer version, or is damaged.
    """
    from bntui.link.client import Trainer
    from bntui.recording.recorded import recorded

    if not isinstance(path, Path):
        from bntui.recording.joined import Joined

        return Joined(path), None
    reader = recorded(path)
    return reader, trainer if trainer is not None else Trainer.connect(path)


def look_at(path: Path | Sequence[Path]) -> tuple[ViewedRecording, None]:
    """Open a recording without its trainer, for a read-only screen; raises the same errors."""
    from bntui.recording.joined import Joined
    from bntui.recording.recorded import recorded

    return recorded(path) if isinstance(path, Path) else Joined(path), None


def drop(found: tuple[ViewedRecording, TrainerLink | None]) -> None:
    """Close a recording and a connection that are no longer needed."""
    reader, trainer = found
    reader.close()
    if trainer is not None:
        trainer.close()


def warm() -> None:
    """Import what the laboratory needs, while another screen is displayed."""
    from importlib import import_module

    from bntui.viewer.panels import PANELS

    for name in (
        "bntui.viewer.draw.plotting",  # which the first chart imports
        "bntui.viewer.screens.lab",
        "bntui.recording.reader",
        *(f"bntui.viewer.panels.{panel.name}" for panel in PANELS),
    ):
        import_module(name)


def in_background(
    app: App[Any],
    work: Callable[[], Outcome],
    done: Callable[[Outcome], object],
    failed: Callable[[BntuiError], object],
) -> None:
    """Run blocking work in a thread, and pass its outcome or error to a callback in the app's loop.

    Any other exception ends the app, as one in a handler does; in the thread, nobody would see it.

    The thread is a daemon instead of a Textual worker, because Textual waits for workers, and quitting must not wait
    for a trainer.
    """

    def run() -> None:
        then: Callable[[Any], object]
        outcome: Any
        try:
            then, outcome = done, work()
        except BntuiError as error:
            then, outcome = failed, error
        except Exception as error:
            if exiting(app):  # cancelled: its resources have been closed
                return
            then, outcome = _raise, error
        with contextlib.suppress(RuntimeError):  # the program has ended
            app.call_later(then, outcome)

    threading.Thread(target=run, daemon=True).start()


def _raise(error: Exception) -> NoReturn:
    raise error
