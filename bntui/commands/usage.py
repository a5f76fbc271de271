"""Formats command-line help and errors in the user's language.

Typer's own help page counts characters instead of cells, and most of its words cannot be translated, so this module
formats the page itself.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from rich.cells import cell_len
from typer.core import TyperCommand, TyperGroup

from bntui.commands.preference import OPTION
from bntui.errors import UsageError
from bntui.text.language import LANGUAGES, N_, _
from bntui.text.library_messages import told
from bntui.text.widths import ljust, wrap

LANGUAGE_VALUES: Final = "|".join(LANGUAGES)
LANGUAGE_HELP: Final = N_("Language. Default: the configuration's, otherwise the locale's.")
WIDEST: Final = 100
"""Maximum width of a line in cells, for readability."""

REFUSALS: Final = (
    N_("Missing argument '{name}'."),
    N_("No such command '{name}'. Did you mean {names}?"),
    N_("No such command '{name}'."),
    N_("No such option: {name} (Possible options: {names})"),
    N_("No such option: {name} Did you mean {names}?"),
    N_("No such option: {name}"),
    N_("Option '{name}' requires an argument."),
    N_("Option '{name}' does not take a value."),
    N_("Got unexpected extra argument(s) ({words})"),
    N_("Invalid value for '{name}': "),
)
"""Typer's messages; of two with the same beginning, the longer one first."""
REASONS: Final = (
    N_("Input should be a valid integer, unable to parse string as an integer"),
    N_("Input should be a valid number, unable to parse string as a number"),
    N_("Input should be greater than or equal to {least}"),
)
"""Typer's messages about a value."""


class Command(TyperCommand):
    """A command whose help is formatted by :func:`page`."""

    def get_help(self, ctx: Any) -> str:
        return page(self, ctx)


class CommandGroup(TyperGroup):
    """The group of all commands, with help formatted by :func:`page`."""

    def get_help(self, ctx: Any) -> str:
        return page(self, ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments begin with.

        Raises:
            UsageError: they begin with a scenario, a recording or ``help``; it says the command that takes it.
        """
        instead = None if self.get_command(ctx, args[0]) else _meant(args[0])
        if instead is not None:
            sentence = _("'{name}' is no command; did you mean: {command}")
            raise UsageError(sentence.format(name=args[0], command=instead))
        return super().resolve_command(ctx, args)


def _meant(word: str) -> str | None:
    """The command that takes a word which somebody typed in the place of a command."""
    from bntui.link.library import find
    from bntui.recording.names import SUFFIX
    from bntui.scenario.gallery import builtin_names

    path = Path(word)
    if word == "help":
        return "bntui --help"
    if word in builtin_names() or (path.suffix == ".toml" and path.is_file()):
        return f"bntui run {shlex.quote(word)}"
    with suppress(UsageError, OSError, ValueError):
        found = find(word)
        if (found.suffix == SUFFIX and found.is_file()) or found.is_dir():
            return f"bntui replay {shlex.quote(word)}"
    return None


def page(command: Any, context: Any) -> str:
    """The help of a command: usage, description, arguments, options, and subcommands."""
    cells = min(shutil.get_terminal_size().columns, WIDEST)
    arguments = [(_name(param), param.help) for param in command.params if param.param_type_name == "argument"]
    options = [(_name(param), param.help) for param in command.params if param.param_type_name == "option"]
    if context.parent is not None:
        options.append((f"{OPTION} {LANGUAGE_VALUES}", LANGUAGE_HELP))
    options.append((", ".join(context.help_option_names), N_("Show this page.")))
    commands = [(name, inner.help) for name, inner in getattr(command, "commands", {}).items()]
    usage = [context.command_path, *(name for name, _help in arguments), _("[OPTIONS]")]
    if commands:
        usage[1:] = [_("[OPTIONS]"), _("COMMAND …")]
    lines = [f"{_('Usage:')} {' '.join(usage)}", "", *_indented(command.help, 2, cells)]
    for heading, rows in ((_("Arguments:"), arguments), (_("Options:"), options), (_("Commands:"), commands)):
        if rows:
            lines += ["", heading, *_table(rows, cells)]
    return "\n".join(lines)


def _name(param: Any) -> str:
    """A parameter as typed: ``SCENARIO``, ``-o, --output FILE``."""
    value = param.metavar or ""
    if param.param_type_name == "argument":
        return value if param.required else f"[{value}]"
    names = param.opts
    if param.secondary_opts and param.default is True:  # the name that turns it off says more
        names = param.secondary_opts
    elif param.secondary_opts and param.default is None:  # without either, something else decides
        names = [*param.opts, *param.secondary_opts]
    return f"{', '.join(names)} {value}".rstrip()


def _table(rows: Sequence[tuple[str, str | None]], cells: int) -> Iterator[str]:
    names = max(cell_len(name) for name, _help in rows)
    for name, text in rows:
        first, *rest = _indented(text, names + 4, cells)
        yield f"  {ljust(name, names)}  {first.lstrip()}"
        yield from rest


def _indented(text: str | None, indent: int, cells: int) -> list[str]:
    """Translate, wrap, and indent a text."""
    translated = _(text) if text else ""
    return [" " * indent + line for line in wrap(translated, cells - indent)]


def refused(message: str, command_path: str) -> UsageError:
    """A usage error with Typer's translated message and a pointer to the help."""
    more = _("see {command} --help").format(command=command_path)
    invalid = re.fullmatch(r"(Invalid value for '.*?': )(.*)", message, re.DOTALL)
    if invalid:  # another message follows
        return UsageError(f"{told(invalid[1], REFUSALS)}{told(invalid[2], REASONS)}\n{more}")
    return UsageError(f"{told(message, REFUSALS)}\n{more}")
