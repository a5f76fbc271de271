"""The trainer's end of the pipe to a worker."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from bntui.text.endings import how_ended
from bntui.trainer.cores.messages import Answer, Done, Idle, NotFound, Order, Ready, Recall, Together
from bntui.trainer.cores.template import Template

MOST_HELD: Final = 64_000_000
"""Bytes of evidence from a worker that wait to be written; beyond it, the worker waits."""


class Link:
    """A worker process."""

    def __init__(self, template: Template) -> None:
        """Fork it.

        Raises:
            OSError: there is no process to be had.
        """
        self._template = template
        self.pid, self.pipe = template.worker()
        self.ready = False
        """It has loaded the samples."""
        self.quiet = False
        """It has left its runs."""
        self.held = 0
        """Bytes of evidence that it has sent and that are not written yet."""

    @property
    def full(self) -> bool:
        """No more is to be received from it, unless somebody waits for it."""
        return self.held > MOST_HELD

    def tell(self, order: Order) -> None:
        """Send an order; if the worker has died, that is noticed when its answer is received."""
        self.quiet = self.quiet and not isinstance(order, Recall)
        with suppress(OSError):
            self.pipe.send(order)

    def answer(self) -> Together | Done | NotFound | None:
        """Receive what a run has to say; None for what concerns the worker itself.

        Raises:
            EOFError: the worker has died.
        """
        try:
            told: Answer = self.pipe.recv()
        except OSError as error:
            raise EOFError from error
        if isinstance(told, Ready | Idle):
            self.ready = self.ready or isinstance(told, Ready)
            self.quiet = isinstance(told, Idle)
            return None
        if isinstance(told, Together):
            self.held += told.size
        return told

    def why_dead(self) -> str:
        """How the process ended, once its pipe is closed."""
        self.pipe.close()
        return how_ended(self._template.exit_code(self.pid))

    def close(self) -> None:
        """End the process."""
        self.pipe.close()
