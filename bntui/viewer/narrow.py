"""Why does a changed cell in the middle of a panel not send the panel's row up to it?

Textual's partial update crops a changed region at its right end only: each row is sent from the left edge of its
widget (``ChopsUpdate.render_segments``, Textual 8.2).  At 160x48 that is 10 kB a key press instead of 3.
These two classes crop at both ends.  They lean on Textual's compositor, which is not public: the tests
that measure what is sent say so when it changes, and without them the screen is the same, only slower.
"""

from __future__ import annotations

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, Compositor


class NarrowUpdate(ChopsUpdate):
    """Spans of cells, each sent from its first cell to its last."""

    def render_segments(self, console: Console) -> str:
        out: list[str] = []
        for y, first, last in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                start, stop = max(x, first), min(end, last)
                if strip is None or start >= stop:
                    continue
                if (start, stop) != (x, end):
                    strip = strip.crop(start - x, stop - x)
                out += (Control.move_to(start, y).segment.text, strip.render(console))
        return "".join(out)


class NarrowCompositor(Compositor):
    """A compositor whose partial updates are narrow."""

    def render_partial_update(self) -> ChopsUpdate | None:
        update = super().render_partial_update()
        return None if update is None else NarrowUpdate(update.chops, update.spans, update.chop_ends)
