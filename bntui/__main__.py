"""Starts the gallery or the command line, and reports every error as a sentence with an exit code."""

from __future__ import annotations

import gc
import sys
from typing import Final

from bntui.commands.complete import asked
from bntui.commands.ended import COMMANDS, Terminated, end_on_sigterm
from bntui.commands.preference import OPTION, by_locale, extract_language, known, preferred
from bntui.errors import BntuiError, UsageError
from bntui.text.characters import never_fail, speaks
from bntui.text.language import _, spoken, use
from bntui.text.library_messages import reason
from bntui.text.output import lost_output, open_closed, say

RARELY: Final = 50_000
"""New objects before a garbage collection, which otherwise takes a tenth of the time to first paint."""
CLOSED: Final = 141
"""Exit code if the reader of the output has closed it, as in ``bntui list | head -1``: a shell's for SIGPIPE."""

WITHOUT_SCREEN: Final = {"--headless", "--detach", "--json"}
"""Options of ``bntui run`` that open no screen."""


def main() -> None:
    """Run ``bntui``; raises SystemExit with the exit code of the error that ended it."""
    gc.set_threshold(RARELY)
    open_closed()
    never_fail(sys.stdout, sys.stderr)
    code: str | int | None = None
    failed: OSError | None = None
    try:
        _obey()
    except SystemExit as end:
        code = end.code
    except OSError as error:
        failed = error
    lost = lost_output(failed)
    if failed is not None and lost is None:
        if failed.filename is None:
            raise failed
        say(f"bntui: {failed.filename}: {reason(failed)}", sys.stderr)  # what no command has a sentence of its own for
        code = 1
    if isinstance(lost, BrokenPipeError):
        code = code or CLOSED
    elif lost is not None:
        say(f"bntui: {_('cannot write to stdout: {reason}').format(reason=reason(lost))}", sys.stderr)
        code = code or 1
    sys.exit(code)


def _obey() -> None:
    """Run the command line, or open the gallery; raises SystemExit, or an OSError if stdout cannot be written."""
    misconfigured, told = "", ""
    try:
        use(by_locale())  # the language of the errors that follow
        arguments, language = extract_language(sys.argv[1:])
        completing = asked()
        if language is not None:
            use(known(language, OPTION))
        elif not completing:  # a mistake in the configuration is no answer to the tab key
            try:
                use(preferred())
            except UsageError as error:  # only what opens the screen needs the other preferences, and reads them
                misconfigured = str(error)
        if COMMANDS & set(arguments[:1]):
            end_on_sigterm()
        if not speaks(spoken(), sys.stdout.encoding):
            use("en")
        if arguments or completing:
            if arguments[:1] == ["run"] and len(arguments) > 1 and not completing and "--help" not in arguments:
                _start_trainer(headless=bool(WITHOUT_SCREEN & set(arguments)))
            from bntui.cli import obey

            obey(arguments)
        else:
            from bntui.commands.open_screen import need_terminal, open_screen

            # importing the command line would add a fifth to the time to first paint
            need_terminal(_("use bntui list to print scenarios and recordings as text"))
            _start_trainer(gently=True)  # the first paint comes first
            open_screen()
    except KeyboardInterrupt:
        sys.exit(130)
    except Terminated:
        say(f"bntui: {_('stopped by SIGTERM')}", sys.stderr)
        raise
    except RuntimeError as error:  # up to Python 3.11, one made of what interrupts the definition of a class
        if isinstance(error.__cause__, KeyboardInterrupt):
            sys.exit(130)
        if not isinstance(error.__cause__, Terminated):
            raise
        say(f"bntui: {_('stopped by SIGTERM')}", sys.stderr)
        raise error.__cause__ from None
    except BntuiError as error:
        told = str(error)
        say(f"bntui: {told}", sys.stderr)
        sys.exit(error.exit_code)
    finally:
        if "bntui.link.spawn" in sys.modules:
            from bntui.link.spawn import discard_ahead

            discard_ahead()
        if misconfigured and told != misconfigured:
            say(f"bntui: {misconfigured}", sys.stderr)


def _start_trainer(*, headless: bool = False, gently: bool = False) -> None:
    """Start the trainer that will be needed, so that it imports torch while this process imports the rest."""
    if not headless:
        from bntui.viewer.terminal.guard import guard

        guard()  # the trainer is a child of the viewer, not of its guard
    from bntui.link.spawn import spawn_ahead

    spawn_ahead(gently=gently)


if __name__ == "__main__":
    main()
