"""The front door: the gallery at once, or the command line; every error is a sentence and an exit code."""

from __future__ import annotations

import sys

from bntui.commands.preference import by_locale, preferred, taken
from bntui.errors import BntuiError
from bntui.text.characters import never_fail, speaks
from bntui.text.language import _, spoken, use
from bntui.text.output import say


def main() -> None:
    """Run ``bntui``; raises SystemExit with the exit code of the error that ended it."""
    never_fail(sys.stdout, sys.stderr)
    try:
        use(by_locale())  # in which what follows is refused
        arguments, asked = taken(sys.argv[1:])
        use(preferred(asked))
        if not speaks(spoken(), sys.stdout.encoding):
            use("en")
        if arguments:
            from bntui.cli import obey

            obey(arguments)
        else:
            from bntui.commands.open_screen import need_terminal, open_screen

            # the command line's own imports would cost a fifth of the time to the first paint
            need_terminal(_("bntui list lists scenarios and recordings as text"))
            open_screen()
    except KeyboardInterrupt:
        sys.exit(130)
    except BntuiError as error:
        say(f"bntui: {error}", sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
