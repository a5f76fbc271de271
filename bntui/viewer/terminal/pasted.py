"""Separates pasted text from keys, and makes one line of it.

Terminals mark pasted text (bracketed paste).  Textual's parser looks for keys in it: an escape in the text swallows
what follows, or types it as keys, and pieces of the text change places.  Everything that bntui asks for is one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from textual import events

from bntui.text.output import clean

BEGIN: Final = "\x1b[200~"
END: Final = "\x1b[201~"
MOST: Final = 4096
"""Characters of a pasted text that are kept; more than any answer may have."""


def one_line(text: str) -> str:
    """Pasted text as one line: white space in it becomes single spaces, and control characters are removed."""
    return " ".join(clean(" ".join(text.split())).split())


class PasteSplitter:
    """Splits what a terminal sends into typed and pasted text; a paste may arrive in many pieces."""

    def __init__(self) -> None:
        self._pasting = False
        self._kept = ""
        self._tail = ""
        """The last characters of a piece, which may be the beginning of the end."""

    def split(self, data: str) -> Iterator[str | events.Paste]:
        """What was typed, and what was pasted once its end is there."""
        while data:
            if not self._pasting:
                typed, begin, data = data.partition(BEGIN)
                if typed:
                    yield typed
                self._pasting = bool(begin)
                continue
            text, end, data = (self._tail + data).partition(END)
            self._tail = "" if end else text[1 - len(END) :]
            self._kept = (self._kept + text.removesuffix(self._tail))[:MOST]
            if end:
                yield events.Paste(self._kept)
                self._pasting, self._kept = False, ""
