"""Asks for the text of a note, in one line at the bottom of the laboratory."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from bntui.recording.sentences import LONGEST_NOTE
from bntui.text.language import N_, _
from bntui.text.output import clean
from bntui.viewer.overlay import Overlay
from bntui.viewer.palette import SpokenScreen


class NoteInput(Input):
    """The line of a note; of a pasted text that is too long, it takes the beginning."""

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()  # Textual's would take all of it or nothing
        start, end = sorted(self.selection)
        room = LONGEST_NOTE - len(self.value) + end - start
        self.replace(event.text[:room], start, end)


class NoteScreen(SpokenScreen[str | None], Overlay[str | None]):
    """One line over the last rows; enter keeps the note, escape leaves without one."""

    CSS = """
    NoteScreen { align: center bottom; overflow: hidden; }
    NoteScreen Input { width: 100%; border: round $primary; background: $surface; margin-bottom: 3; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", N_("Leave without a note"))]

    def __init__(self, place: str) -> None:
        """``place`` says where the note will stand."""
        super().__init__()
        self._place = clean(place)

    def compose(self) -> ComposeResult:
        line = NoteInput(max_length=LONGEST_NOTE, placeholder=_("a note …   enter keeps it, esc leaves"))
        line.border_title = _("Note ── {place}").format(place=self._place)
        yield line

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        full = len(message.value) >= LONGEST_NOTE
        message.input.border_subtitle = _("a note has at most {count} characters").format(count=LONGEST_NOTE) * full

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        self.dismiss(clean(message.value).strip() or None)

    def action_leave(self) -> None:
        self.dismiss(None)
