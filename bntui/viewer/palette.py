"""Translates Textual's own texts: the command palette and the list of keys.

Descriptions of bindings are class attributes, so they are marked there and translated when they are listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Final

from textual.app import SystemCommand
from textual.binding import ActiveBinding, Binding, BindingType
from textual.command import CommandPalette
from textual.screen import Screen, ScreenResultType

from bntui.text.language import N_, _
from bntui.viewer.goodbye import QUITS_BELOW
from bntui.viewer.notices import Notices
from bntui.viewer.overlay import INTERRUPT

SCREENSHOT: Final = "Screenshot"
"""Title of a command of Textual's."""
SEARCH: Final = N_("Search for commands…")
TEXTUALS: Final = (
    N_("Theme"),
    N_("Change the current theme"),
    N_("Quit"),
    N_("Quit the application as soon as possible"),
    N_("Quit the app and return to the command prompt."),
    N_("Keys"),
    N_("Hide the keys and widget help panel"),
    N_("Show help for the focused widget and a summary of available keys"),
    N_("Minimize"),
    N_("Minimize the widget and restore to normal size"),
    N_("Maximize"),
    N_("Maximize the focused widget"),
    N_("palette"),
    N_("Open the command palette"),
    N_("Focus Next"),
    N_("Focus Previous"),
    N_("Copy selected text"),
)
"""Titles and help of commands, descriptions and tooltips of keys in Textual 8.2, marked for translation."""


def commands(of_textual: Iterable[SystemCommand]) -> Iterable[SystemCommand]:
    """Textual's commands in the current language, but its screenshot, which needs a folder for downloads."""
    kept = (command for command in of_textual if command.title != SCREENSHOT)
    return (command._replace(title=_(command.title), help=_(command.help)) for command in kept)


def of_keys(screen: Screen[Any]) -> Iterable[SystemCommand]:
    """Commands for the keys of a screen, named by what they do, in the current language."""
    offered = set()
    for active in screen.active_bindings.values():
        binding = active.binding
        own = active.node is screen and not binding.action.startswith(("app.", "screen.")) and binding.description
        if not own or binding.action in offered:
            continue
        offered.add(binding.action)
        key = screen.app.get_key_display(binding)
        yield SystemCommand(binding.description, key, partial(screen.run_action, binding.action))


class SpokenScreen(Screen[ScreenResultType]):
    """A screen whose keys are listed in the current language."""

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        return {
            key: active._replace(binding=_said(active.binding), tooltip=_(active.tooltip))
            for key, active in super().active_bindings.items()
        }


class SpokenPalette(CommandPalette):
    """The command palette, which says what ctrl+c does not do."""

    BINDINGS: ClassVar[list[BindingType]] = [INTERRUPT]

    def action_interrupt(self) -> None:
        Notices(self).say_once(_(QUITS_BELOW))


def _said(binding: Binding) -> Binding:
    return replace(binding, description=_(binding.description), tooltip=_(binding.tooltip))
