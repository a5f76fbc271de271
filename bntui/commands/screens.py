"""Implements the commands that open the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bntui import __version__
from bntui.commands import complete
from bntui.commands.base import Recording, Theme, app, command, recording_argument
from bntui.commands.open_screen import need_terminal, open_screen
from bntui.commands.preference import OPTION, preferred
from bntui.commands.usage import LANGUAGE_HELP, LANGUAGE_VALUES
from bntui.text.language import _, use
from bntui.viewer.terminal.guard import guard


def _version(wanted: bool) -> None:
    if wanted:
        print(f"bntui {__version__}")
        raise typer.Exit


def _speak(asked: str | None) -> None:
    if asked is not None:
        use(preferred(asked))


@app.callback(invoke_without_command=True)
def gallery(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    language: Annotated[  # noqa: ARG001
        str | None,
        typer.Option(OPTION, metavar=LANGUAGE_VALUES, callback=_speak, is_eager=True, help=LANGUAGE_HELP),
    ] = None,
    theme: Theme = None,
) -> None:
    """A terminal laboratory for neural-network training. Without a command, it opens the gallery."""
    if context.invoked_subcommand is not None:
        context.default_map = {context.invoked_subcommand: {"theme": theme}}
    else:
        need_terminal(_("use bntui list to print scenarios and recordings as text"))
        open_screen(theme=theme)


def _recording_or_sweep(name: str) -> Path:
    """The recording that an argument names, or the folder of a sweep."""
    from bntui.link.library import find

    return folder if (folder := Path(name)).is_dir() else find(name)


@command()
def replay(
    recording: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A recording: its name, or the path of a .bntui file; or the folder of a sweep.",
            parser=_recording_or_sweep,
            autocompletion=complete.recordings,
        ),
    ],
    theme: Theme = None,
) -> None:
    """Open a recording or a sweep, finished or growing."""
    guard()
    if recording.is_dir():
        from bntui.commands.sweep_screen import reader_of

        read = reader_of(recording)
        read()  # reports a folder without a sweep before the screen opens
        need_terminal(_("use bntui sweep --resume DIR to print the best of a finished sweep as text"))
        open_screen(sweep=read, theme=theme)
        return
    from bntui.recording.recorded import opened

    opened(recording).close()  # reports a file that is not a recording before the screen opens
    need_terminal(_("use bntui show to print a keyframe as text"))
    open_screen(recording, theme=theme)


@command()
def compare(
    recordings: Annotated[list[Path], recording_argument("FILE FILE…", "Two or more recordings.")],
    theme: Theme = None,
) -> None:
    """Open recordings side by side with a shared cursor."""
    guard()
    from bntui.recording.joined import refuse_incomparable

    refuse_incomparable(recordings)  # before the screen opens
    need_terminal(_("use bntui show to print a keyframe as text"))
    open_screen(recordings, theme=theme)


@command()
def serve(
    recording: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR",
            help="A recording, a folder of recordings, or the folder of a sweep.",
            parser=_recording_or_sweep,
            autocompletion=complete.recordings,
        ),
    ],
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to serve on. Default: only this machine.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, metavar="N", help="Port to serve on. Default: 8000.")
    ] = 8000,
    allow_training: Annotated[
        bool, typer.Option("--allow-training", help="Let visitors train, fork, rename, and delete.")
    ] = False,
    theme: Theme = None,
) -> None:
    """Show the screen in a browser, read-only."""
    from bntui.commands.serve import serve as served

    served(recording, host, port, allow_training=allow_training, theme=theme)


@command()
def attach(recording: Recording, theme: Theme = None) -> None:
    """Reattach to a recording whose trainer is running."""
    guard()
    from bntui.link.live import is_live
    from bntui.link.registry import recorder
    from bntui.recording.recorded import opened

    opened(recording).close()
    if not is_live(recording) and recorder(recording) is None:
        from bntui.commands.again import no_trainer

        raise no_trainer(recording)
    replay(recording, theme)
