"""What does this panel show, and which keys are there?  A lesson page over the laboratory."""

from __future__ import annotations

from importlib import resources
from typing import ClassVar, Final

from rich.console import Group
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text
from rich.theme import Theme
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from bntui.viewer.narrow import NarrowCompositor
from bntui.viewer.theme import ACCENT

LIVE_KEYS: Final = (
    ("space", "run, pause"),
    ("n", "train one more epoch of every run"),
    ("s", "train one more mini-batch of every run"),
    ("+ −", "pace: epochs a second"),
)
KEYS: Final = (
    ("← →", "one keyframe back, forward"),
    ("shift+← shift+→", "ten keyframes back, forward"),
    ("home", "the first keyframe: before training"),
    ("end", "the last keyframe; follows the head while it trains"),
    ("1 to 9", "choose a panel"),
    ("m", "microscope: one unit of a normalization in four steps"),
    ("enter", "zoom the chosen panel, and back"),
    ("tab, shift+tab", "choose a run"),
    ("p", "pin another run beside it; after the last one none"),
    ("l", "logarithmic or linear axis"),
    ("?", "this page"),
    ("ctrl+p", "command palette"),
    ("esc", "back"),
)
LIVE_ENDS: Final = (("d", "detach: quit, training goes on"), ("q", "stop training, save and quit"))
LOOK: Final = Theme(
    {
        "markdown.h2": f"bold {ACCENT}",
        "markdown.code": "bold",
        "markdown.item.bullet": ACCENT,
        "markdown.item.number": ACCENT,
    }
)
"""Rich's own colours for Markdown are not those of this program."""
REPLAY_ENDS: Final = (("q", "quit"),)


def lesson(panel: str) -> str:
    """A panel's page, as Markdown."""
    return resources.files("bntui.lessons").joinpath("en", f"{panel}.md").read_text(encoding="utf-8")


def key_table(live: bool) -> Table:
    """The keys that do something now."""
    table = Table.grid(padding=(0, 2))
    for key, what in (*LIVE_KEYS, *KEYS, *LIVE_ENDS) if live else (*KEYS, *REPLAY_ENDS):
        table.add_row(Text(key, style="bold"), what)
    return table


class HelpScreen(ModalScreen[None]):
    """The lesson of one panel, and the keys.

    One Static of Rich's renderables: Textual's Markdown widget mounts its paragraphs one by one, and each time the
    whole screen is sent again.
    """

    CSS = """
    HelpScreen { align: center middle; background: transparent; }
    #page {
        width: 84; max-width: 96%; height: 90%;
        border: round $primary; background: $surface; padding: 1 2; scrollbar-size-vertical: 1;
        border-subtitle-color: $text-muted;
    }
    #page Static { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "Back", priority=True)]

    def __init__(self, panel: str, *, live: bool) -> None:
        super().__init__()
        self._compositor = NarrowCompositor()
        heading, _, text = lesson(panel).partition("\n")
        self._title = heading.removeprefix("# ")
        self._page = Group(Markdown(text, hyperlinks=False), Text("\nKeys\n", style=f"bold {ACCENT}"), key_table(live))

    def compose(self) -> ComposeResult:
        self.app.console.push_theme(LOOK)
        with VerticalScroll(id="page") as page:
            page.border_title = self._title
            page.border_subtitle = "↑↓ scroll   esc back"
            yield Static(self._page)

    def on_mount(self) -> None:
        self.query_one("#page").focus()

    def on_unmount(self) -> None:
        self.app.console.pop_theme()
