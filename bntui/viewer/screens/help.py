"""Shows the lesson of a panel and all keys on a page on top of the laboratory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.console import Group, RenderableType
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text
from rich.theme import Theme
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from bntui.definitions import definitions
from bntui.lessons import lesson
from bntui.text.language import N_, _
from bntui.viewer.draw.rows import text as words_of
from bntui.viewer.draw.theme import Palette
from bntui.viewer.keys import Control, bindings_of, footer_of, help_of
from bntui.viewer.lab_keys import EVERYTHING, useful
from bntui.viewer.overlay import Overlay
from bntui.viewer.panels import BY_NAME

if TYPE_CHECKING:
    from bntui.viewer.terminal.line import PacedApp

MICROSCOPE: Final = (
    "LayerMeasures.pre_norm", "LayerMeasures.normalized", "BatchNorm.batch_mean", "BatchNorm.batch_var",
    "BatchNorm.running_mean", "BatchNorm.running_var", "BatchNorm.gamma", "BatchNorm.beta", "BatchNorm.eps",
    "BatchNorm.gamma_gradient", "BatchNorm.beta_gradient", "Keyframe.batch_indices",
)  # fmt: skip
"""Keys of the definitions quoted on the microscope's page; panels declare their own."""
CONTROLS: Final[tuple[Control[None], ...]] = (
    Control(("↑", "↓"), footer=N_("scroll"), rank=3),
    Control(
        ("tab",),
        bindings=(Binding("tab,shift+tab", "turn", N_("Keys or explanation"), priority=True),),
        footer=N_("keys, explanation"),
        rank=2,
    ),
    Control(
        ("esc",),
        bindings=(Binding("escape,q,question_mark,enter", "dismiss", N_("Back"), priority=True),),
        footer=N_("back"),
        rank=1,
    ),
)
"""The keys of the page itself; those that scroll are Textual's."""


WIDEST: Final = 84
MOST_OF_WIDTH: Final = 96
"""Maximum width of the page, in cells and in percent of the screen."""


def look(palette: Palette) -> Theme:
    """Rich's own colors for Markdown are not those of this program."""
    accent = palette.accent
    return Theme(
        {
            "markdown.h2": f"bold {accent}",
            "markdown.code": "bold",
            "markdown.item.bullet": accent,
            "markdown.item.number": accent,
            "help.heading": f"bold {accent}",
        }
    )


def lab_keys(live: bool) -> tuple[tuple[str, str], ...]:
    """The laboratory's keys with their descriptions in the current language; ``live`` includes those for a trainer."""
    here = replace(EVERYTHING, live=live)
    return help_of(useful(here), here)


def key_table(keys: Sequence[tuple[str, str]]) -> Table:
    """A table of keys and what they do."""
    table = Table.grid(padding=(0, 2))
    for key, what in keys:
        table.add_row(Text(key, style="bold"), what)
    return table


def quoted(page: str) -> str:
    """The definitions of the figures that a panel or the microscope draws, as a Markdown list in the current language.

    Empty for other pages.
    """
    panel = BY_NAME.get(page)
    keys = panel.definitions if panel is not None else MICROSCOPE if page == "microscope" else ()
    known = definitions()
    return "\n".join(f"- `{known[key].name}`: {_(known[key].text)}" for key in keys)


def _heading(words: str) -> Text:
    return Text(f"\n{words}\n", style="help.heading")


def _keys_within(width: int) -> str:
    """The keys of the page, as many as its edge has room for on a screen of so many cells."""
    room = min(WIDEST, width * MOST_OF_WIDTH // 100) - len("╰─ ") - len(" ─╯")
    return words_of(footer_of(CONTROLS, None, room + 1)).strip()


class HelpScreen(Overlay[None]):
    """The keys of a screen, its lesson or that of one panel, and the definitions of its figures.

    The page is two Statics with Rich's renderables, because Textual's Markdown widget mounts its paragraphs one by one,
    each of which would send the whole screen again.
    """

    CSS = f"""
    HelpScreen {{ align: center middle; }}
    #page {{
        width: {WIDEST}; max-width: {MOST_OF_WIDTH}%; height: 90%;
        border: round $primary; background: $surface; padding: 1 2; scrollbar-size-vertical: 1;
        border-subtitle-color: $text-muted;
    }}
    #page Static {{ background: $surface; padding-right: 1; }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(CONTROLS)]
    app: PacedApp[Any]

    def __init__(self, panel: str, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        heading, text = lesson(panel).split("\n", 1)
        self._title = heading.removeprefix("# ")
        self._keys = Group(Text(f"{_('Keys')}\n", style="help.heading"), key_table(keys), "")
        parts: list[RenderableType] = [Markdown(text, hyperlinks=False)]
        if meanings := quoted(panel):
            names = _(
                "The screen shows what the recording contains; `bntui show --json` lists the figures by these names."
            )
            parts += [_heading(_("Definitions")), Markdown(f"{names}\n\n{meanings}", hyperlinks=False)]
        self._page = Group(*parts)

    def compose(self) -> ComposeResult:
        self.app.console.push_theme(look(self.app.palette))
        with VerticalScroll(id="page") as page:
            page.border_title = self._title
            page.border_subtitle = _keys_within(self.app.size.width)
            yield Static(self._keys, id="keys")
            yield Static(self._page, id="text")

    def on_resize(self, event: events.Resize) -> None:
        self.query_one("#page").border_subtitle = _keys_within(event.size.width)

    def on_mount(self) -> None:
        self.query_one("#page").focus()
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._recolor())

    def _recolor(self) -> None:
        self.app.console.pop_theme()
        self.app.console.push_theme(look(self.app.palette))
        self.query_one("#keys", Static).update(self._keys)
        self.query_one("#text", Static).update(self._page)

    def action_turn(self) -> None:
        """Scroll to the explanation, or from there to the keys."""
        page, text = self.query_one("#page"), self.query_one("#text")
        below = page.scroll_y < min(text.virtual_region.y, page.max_scroll_y)
        page.scroll_to(y=text.virtual_region.y if below else 0, animate=False)

    def on_click(self, event: events.Click) -> None:
        """Close the page by a click beside it, or on the keys in its lower edge."""
        page = self.query_one("#page").region
        if not page.contains(event.screen_x, event.screen_y) or event.screen_y == page.bottom - 1:
            self.dismiss()

    def on_unmount(self) -> None:
        self.app.console.pop_theme()
