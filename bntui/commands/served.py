"""The process behind a browser: ``python -m bntui.commands.served FILE``, started by ``bntui serve``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bntui.commands.serve import is_sweep
from bntui.errors import BntuiError
from bntui.text.language import use
from bntui.text.output import say
from bntui.viewer.app import LabApp


def main() -> None:
    parser = argparse.ArgumentParser(prog="bntui.commands.served")
    parser.add_argument("target", type=Path)
    parser.add_argument("--allow-training", action="store_true")
    parser.add_argument("--theme", default="dark")
    parser.add_argument("--lang", default="en")
    asked = parser.parse_args()
    use(asked.lang)
    error = app_of(asked.target, asked.theme, read_only=not asked.allow_training).run()
    if isinstance(error, BntuiError):
        say(error, sys.stderr)
        sys.exit(error.exit_code)


def app_of(target: Path, theme: str, *, read_only: bool) -> LabApp:
    """The screen of a recording, of a sweep, or of the recordings in a folder."""
    if target.is_dir() and is_sweep(target):
        from bntui.commands.sweep_screen import reader_of

        app = LabApp(sweep=reader_of(target), theme=theme)
    else:
        app = LabApp(target, theme=theme)
    app.read_only = read_only
    return app


if __name__ == "__main__":
    main()
