"""What does this panel show, and which keys are there?  A lesson page over the laboratory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.console import Group, RenderableType
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text
from rich.theme import Theme
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from bntui.definitions import definitions
from bntui.lessons import lesson
from bntui.text.language import N_, _
from bntui.viewer.draw.theme import ACCENT
from bntui.viewer.overlay import Overlay
from bntui.viewer.panels import BY_NAME

MICROSCOPE: Final = (
    "LayerMeasures.pre_norm", "LayerMeasures.normalized", "BatchNorm.batch_mean", "BatchNorm.batch_var",
    "BatchNorm.running_mean", "BatchNorm.running_var", "BatchNorm.gamma", "BatchNorm.beta", "BatchNorm.eps",
    "BatchNorm.gamma_gradient", "BatchNorm.beta_gradient", "Keyframe.batch_indices",
)  # fmt: skip
"""Keys of the definitions of what the microscope draws; panels name theirs themselves."""
LIVE_KEYS: Final = (
    ("space", N_("run, pause")),
    ("n", N_("train one more epoch of every run")),
    ("s", N_("train one more mini-batch of every run")),
    ("+ −", N_("pace: epochs a second")),
)
KEYS: Final = (
    ("← →", N_("one keyframe back, forward")),
    ("shift+← shift+→", N_("ten keyframes back, forward")),
    ("home", N_("the first keyframe: before training")),
    ("end", N_("the last keyframe; follows the head while it trains")),
    (N_("0 to 9"), N_("choose a panel")),
    ("[ ]", N_("data: walk through the features; comparison: through the layers")),
    ("c", N_("compare the selected run with the pinned one, figure by figure")),
    ("m", N_("microscope: one unit of a normalization in four steps")),
    ("enter", N_("zoom the chosen panel, and back")),
    ("tab, shift+tab", N_("choose a run")),
    ("r", N_("all runs and their forks, as a tree")),
    ("f", N_("fork: a new run from this keyframe, with something changed")),
    ("!", N_("to the next value that turned NaN or infinite first, or gradient that died")),
    ("p", N_("pin another run beside it; after the last one none")),
    ("x", N_("the cursor counts in epochs or in optimizer steps")),
    ("l", N_("logarithmic or linear axis")),
    ("?", N_("this page")),
    ("ctrl+p", N_("command palette")),
    ("ctrl+z", N_("suspend; `fg` in the shell comes back")),
    ("esc", N_("back")),
)
LIVE_ENDS: Final = (("d", N_("detach: quit, training goes on")), ("q", N_("stop training, save and quit")))
LOOK: Final = Theme(
    {
        "markdown.h2": f"bold {ACCENT}",
        "markdown.code": "bold",
        "markdown.item.bullet": ACCENT,
        "markdown.item.number": ACCENT,
    }
)
"""Rich's own colours for Markdown are not those of this program."""
REPLAY_ENDS: Final = (("q", N_("quit")),)


def lab_keys(live: bool) -> tuple[tuple[str, str], ...]:
    """The keys that do something in the laboratory now, in the reader's language."""
    keys = (*LIVE_KEYS, *KEYS, *LIVE_ENDS) if live else (*KEYS, *REPLAY_ENDS)
    return tuple((_(key), _(what)) for key, what in keys)


def key_table(keys: Sequence[tuple[str, str]]) -> Table:
    """What each key does."""
    table = Table.grid(padding=(0, 2))
    for key, what in keys:
        table.add_row(Text(key, style="bold"), what)
    return table


def quoted(page: str) -> str:
    """The definitions of what a panel or the microscope draws, in the reader's language: a list in Markdown.

    Empty for a page that draws nothing that is recorded.
    """
    panel = BY_NAME.get(page)
    keys = panel.quotes if panel is not None else MICROSCOPE if page == "microscope" else ()
    known = definitions()
    return "\n".join(f"- `{known[key].name}`: {_(known[key].text)}" for key in keys)


def _heading(words: str) -> Text:
    return Text(f"\n{words}\n", style=f"bold {ACCENT}")


class HelpScreen(Overlay[None]):
    """The lesson of one panel, the definitions of what it draws, and the keys.

    One Static of Rich's renderables: Textual's Markdown widget mounts its paragraphs one by one, and each time the
    whole screen is sent again.
    """

    CSS = """
    HelpScreen { align: center middle; }
    #page {
        width: 84; max-width: 96%; height: 90%;
        border: round $primary; background: $surface; padding: 1 2; scrollbar-size-vertical: 1;
        border-subtitle-color: $text-muted;
    }
    #page Static { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", N_("Back"), priority=True)
    ]

    def __init__(self, panel: str, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        heading, text = lesson(panel).split("\n", 1)
        self._title = heading.removeprefix("# ")
        parts: list[RenderableType] = [Markdown(text, hyperlinks=False)]
        if meanings := quoted(panel):
            names = _("What is drawn is what the recording holds; `bntui show --json` has the figures by these names.")
            parts += [_heading(_("Definitions")), Markdown(f"{names}\n\n{meanings}", hyperlinks=False)]
        self._page = Group(*parts, _heading(_("Keys")), key_table(keys))

    def compose(self) -> ComposeResult:
        self.app.console.push_theme(LOOK)
        with VerticalScroll(id="page") as page:
            page.border_title = self._title
            page.border_subtitle = _("↑↓ scroll   esc back")
            yield Static(self._page)

    def on_mount(self) -> None:
        self.query_one("#page").focus()

    def on_unmount(self) -> None:
        self.app.console.pop_theme()
