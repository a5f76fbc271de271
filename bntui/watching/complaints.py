"""Warns of mistakes in what a loop tells its recorder: of each kind once, and at the end of how many there were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bntui.text.language import _
from bntui.text.output import clean
from bntui.watching.trouble import warn


class Complaints:
    """The mistakes of one loop."""

    def __init__(self) -> None:
        self._count: dict[str, int] = {}

    def add(self, kind: str, sentence: str) -> None:
        """Warn of a mistake, the first time."""
        self._count[kind] = self._count.get(kind, 0) + 1
        if self._count[kind] == 1:
            warn(sentence)

    @contextmanager
    def mistakes(self, what: str) -> Iterator[None]:
        """Warn of a mistake instead of raising it."""
        try:
            yield
        except Exception as error:
            self.add(what, _("{what} not recorded: {reason}").format(what=what, reason=clean(str(error))))

    def sum_up(self) -> None:
        """Say how many there were, if it was not said of each."""
        skipped = sum(self._count.values())
        if skipped > len(self._count):
            warn(_("{count} calls of the recorder could not be recorded").format(count=skipped))
