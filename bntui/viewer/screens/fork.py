"""Shows the form of a fork on top of the laboratory."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.geometry import Region

from bntui.link.requests import ForkRequest
from bntui.text.figures import count, epoch
from bntui.text.language import _
from bntui.text.output import clean
from bntui.viewer.draw.rows import framed
from bntui.viewer.drawn_screen import DrawnScreen
from bntui.viewer.fork import form as forms
from bntui.viewer.fork import form_rows
from bntui.viewer.fork.check import ForkCheck, judge
from bntui.viewer.fork.form import ForkForm, ForkOrigin
from bntui.viewer.fork.keys import CONTROLS
from bntui.viewer.keys import bindings_of, help_of
from bntui.viewer.overlay import Overlay
from bntui.viewer.widgets import RowsWidget

WIDEST, TALLEST = 100, 40
"""Maximum size of the page."""


class ForkScreen(DrawnScreen[ForkRequest | None], Overlay[ForkRequest | None]):
    """A form with all settings of a run; its result is the request for a fork, or None."""

    CSS = "ForkScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(CONTROLS)]

    def __init__(self, origin: ForkOrigin, name: str) -> None:
        """``name`` is the parent's name with its mark."""
        super().__init__()
        self.form = forms.opened(origin)
        self.verdict: ForkCheck = judge(self.form)
        place = _("epoch {epoch}").format(epoch=epoch(origin.epoch))
        step = _("step {step}").format(step=count(origin.step))
        self._title = _("Fork ── from {run} at {place}").format(run=clean(name), place=f"{place}, {step}")
        self._canvas = RowsWidget("fork")

    def _room(self) -> Region:
        """The region of the page: centered, or all of a small screen."""
        width, height = self.app.size
        cells, rows = min(width, WIDEST), min(height, TALLEST)
        return Region((width - cells) // 2, (height - rows) // 2, cells, rows)

    def change(self, form: ForkForm) -> None:
        """Show another state of the form, and validate it if the text has changed."""
        if form.typed != self.form.typed:
            self.verdict = judge(form)
        self.form = form
        self._draw()

    def _draw(self) -> None:
        region = self._room()
        self.form = form_rows.seen(self.form, region.height - 2)
        self._canvas.place(region)
        drawing = form_rows.draw(self.form, self.verdict, self._title, region.width - 2, region.height - 2)
        self._canvas.show(framed(drawing, region.width, focused=True), region.width)

    def action_move(self, by: int) -> None:
        self.change(forms.move(self.form, by))

    def action_turn(self, by: int) -> None:
        self.change(forms.turn(self.form, by))

    def action_erase(self) -> None:
        self.change(forms.erase(self.form))

    def action_restore(self) -> None:
        self.change(forms.restore(self.form))

    def on_key(self, event: events.Key) -> None:
        if event.character == "?":  # no value contains it; a binding would be handled after printable keys
            event.stop()
            self.action_explain()
        elif event.is_printable and event.character is not None:
            event.stop()
            self.change(forms.enter(self.form, event.character))

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self.change(forms.enter(self.form, event.text))

    @on(RowsWidget.Clicked)
    def _clicked(self, message: RowsWidget.Clicked) -> None:
        number = form_rows.at(self.form, message.y - 1, self._room().height - 2)
        if number is not None:
            self.change(forms.move(self.form, number - self.form.at))

    @on(RowsWidget.Wheeled)
    def _wheeled(self, message: RowsWidget.Wheeled) -> None:
        self.action_move(message.by)

    def action_start(self) -> None:
        if self.verdict.valid:
            origin = self.form.origin
            self.dismiss(ForkRequest(origin.run.index, origin.step, tuple(self.verdict.changes)))
            return
        self.change(forms.halt(self.form, self.verdict.errors))

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_explain(self) -> None:
        from bntui.viewer.screens.help import HelpScreen  # imports Markdown, which drawing does not need

        self.app.clear_notifications()
        self.app.push_screen(HelpScreen("fork", help_of(CONTROLS, None)))
