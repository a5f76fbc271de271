"""Words the messages on leaving the laboratory, with the commands to return."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from bntui.text import figures
from bntui.text.language import N_, _

if TYPE_CHECKING:
    from bntui.viewer.snapshot import ViewedRecording

GOES_ON: Final = N_("Training continues. Reattach with: {command}")
WAITS: Final = N_("Paused at epoch {epoch}: nothing is trained until you press space. Reattach with: {command}")
GOES_ON_HERE: Final = N_("{name} continues training: open it again under Recordings.")
WAITS_HERE: Final = N_(
    "{name} is paused at epoch {epoch}: to train on, open it again under Recordings and press space."
)
QUITS: Final = N_("q quits.")
QUITS_BELOW: Final = N_("esc goes back, then q quits.")
"""On pages where q means something else."""
STOPS_WITH: Final = N_("Stop it with: {command}")


def goes_on(reader: ViewedRecording, *, paused: bool, stoppable: bool) -> list[str]:
    """The messages that training continues without the screen, or that its trainer waits, and how to stop it."""
    said = WAITS if paused else GOES_ON
    told = [_(said).format(epoch=_epoch(reader), command=_command("bntui attach", reader))]
    if stoppable:
        told.append(_(STOPS_WITH).format(command=_command("bntui stop", reader)))
    return told


def goes_on_here(reader: ViewedRecording, *, paused: bool) -> str:
    """The same in the gallery, which lists the recording."""
    return _(WAITS_HERE if paused else GOES_ON_HERE).format(epoch=_epoch(reader), name=reader.path.stem)


def recorded(reader: ViewedRecording, *, unfinished: bool) -> list[str]:
    """The messages that say how to open a recording again, and how to resume it if it is ``unfinished``."""
    replay = "bntui compare" if reader.paths else "bntui replay"
    said = [_("Recorded. Open it again with: {command}").format(command=_command(replay, reader))]
    if unfinished:
        said.append(_("Go on with: {command}").format(command=_command("bntui resume", reader)))
    return said


def _epoch(reader: ViewedRecording) -> str:
    """The newest epoch of the runs that are not over."""
    from bntui.recording.sentences import is_over  # it imports what keyframes are, after the first paint

    left = [run.index for run in reader.runs if not is_over(event.kind for event in reader.events(run.index))]
    return figures.epoch(max((reader.history(run).epoch[-1] for run in left), default=0.0))


def _command(command: str, reader: ViewedRecording) -> str:
    return " ".join([command, *(shlex.quote(str(path)) for path in reader.paths or [reader.path])])
