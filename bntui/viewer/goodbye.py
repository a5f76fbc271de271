"""Words the messages on leaving the laboratory, with the commands to return."""

from __future__ import annotations

import shlex
from typing import Final

from bntui.text.language import N_, _
from bntui.viewer.view_state import Recording

GOES_ON: Final = N_("Training continues. Reattach with: {command}")
STOPS_WITH: Final = N_("Stop it with: {command}")


def goes_on(reader: Recording) -> str:
    """The message that training continues without the screen."""
    return _(GOES_ON).format(command=_command("bntui attach", reader))


def stops(reader: Recording) -> str:
    """The message that says how to stop the training."""
    return _(STOPS_WITH).format(command=_command("bntui stop", reader))


def recorded(reader: Recording, *, unfinished: bool) -> list[str]:
    """The messages that say how to open a recording again, and how to resume it if it is ``unfinished``."""
    replay = "bntui compare" if reader.paths else "bntui replay"
    said = [_("Recorded. Open it again with: {command}").format(command=_command(replay, reader))]
    if unfinished:
        said.append(_("Go on with: {command}").format(command=_command("bntui resume", reader)))
    return said


def _command(command: str, reader: Recording) -> str:
    return " ".join([command, *(shlex.quote(str(path)) for path in reader.paths or [reader.path])])
