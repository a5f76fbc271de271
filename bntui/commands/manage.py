"""Defines the commands that list and manage recordings: list, rename, delete, and clean."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bntui.commands.ask import Yes, confirm
from bntui.commands.base import Json, Recording, Recordings, command
from bntui.files import in_bytes
from bntui.recording.sentences import ending_word
from bntui.text import figures, output
from bntui.text.language import _, ngettext, use
from bntui.text.output import json_text, say
from bntui.text.table import Column, text_lines

if TYPE_CHECKING:
    from bntui.link.leftovers import Leftover
    from bntui.link.library import ListedRecording
    from bntui.scenario.gallery import Card

DAY = 24 * 3600.0


@command("list")
def list_(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD…", help="Only what contains all these words.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Only recordings that are being trained.")] = False,
    as_json: Json = False,
) -> None:
    """List scenarios and recordings, with their sizes."""
    from bntui.link.library import recordings, refuse_unreadable
    from bntui.scenario.gallery import scenarios

    refuse_unreadable()
    if as_json:
        use("en")  # what programs read is bound to no language
    query = " ".join(words or ())
    cards = [] if live else [card for card in scenarios() if card.matches(query)]
    entries = [entry for entry in recordings() if entry.matches(query) and (entry.live or entry.host or not live)]
    if as_json:
        say(json_text({"scenarios": [_card(card) for card in cards], "recordings": [_entry(one) for one in entries]}))
        return
    if not live:
        print(_("Scenarios") if cards else _("No scenario contains these words"))
        known = [(card.name, f"{card.problem or card.title}  ({_named(card.runs)})") for card in cards]
        for line in text_lines([Column(), Column()], known):
            say(f"  {line}")
    print(_heading(entries, live=live, chosen=bool(query)))
    rows = [
        (output.clean(str(one.path)), f"{one.when:%Y-%m-%d %H:%M}", in_bytes(one.size), _described(one))
        for one in entries
    ]
    for line in text_lines([Column(), Column(), Column(right=True), Column()], rows):
        say(f"  {line}")


def _named(runs: Sequence[str]) -> str:
    """Names of runs, in quotes where they contain what separates them."""
    return " | ".join(f"'{name}'" if re.search(r"[|;]|^'|'$", name) else name for name in runs)


def _heading(entries: list[ListedRecording], *, live: bool, chosen: bool) -> str:
    if entries:
        return f"{_('Recordings')}  {len(entries)} · {in_bytes(sum(entry.size for entry in entries))}"
    if live and not chosen:
        return _("Nothing is being trained")
    return _("No such recordings") if chosen else _("No recordings yet: bntui run SCENARIO makes one")


def _card(card: Card) -> dict[str, Any]:
    return {"name": card.name, "path": str(card.path), "title": card.title, "runs": card.runs}


def _entry(entry: ListedRecording) -> dict[str, Any]:
    when = entry.when.isoformat(timespec="seconds")
    return {
        "path": str(entry.path), "title": entry.title, "runs": entry.runs, "epochs": entry.epochs,
        "planned": entry.planned, "state": entry.state, "when": when, "size": entry.size, "live": entry.live,
        "paused": entry.paused, "host": entry.host, "problem": entry.problem, "seeds": entry.seeds,
    }  # fmt: skip


def _described(entry: ListedRecording) -> str:
    """What a recording holds, or why it cannot be opened."""
    epochs = ngettext("{epochs} epoch", "{epochs} epochs", math.ceil(entry.epochs))
    epochs = epochs.format(epochs=figures.epoch(entry.epochs))
    if entry.ending is not None and entry.ending != "finished":
        of = _("{epochs} of {planned} epochs").format(epochs=figures.epoch(entry.epochs), planned=f"{entry.planned:,}")
        of = of if entry.planned else epochs
        epochs = of if entry.growing else f"{of}, {ending_word(entry.ending)}"
    if entry.seeds > 1:
        epochs += "; " + ngettext("{count} seed", "{count} seeds", entry.seeds).format(count=entry.seeds)
    what = entry.problem or f"{entry.title}  ({_named(entry.runs)}; {epochs})"
    if entry.host:
        return f"● {_('live on {host}').format(host=entry.host)}  {what}"
    if entry.paused:
        return f"❚❚ {_('paused')}  {what}"
    return f"● {_('live')}  {what}" if entry.live else what


@command()
def rename(
    recording: Recording,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its new name, without a folder.")],
) -> None:
    """Rename a recording in its folder; its trainer follows."""
    from bntui.link.manage import rename as renamed

    say(renamed(recording, name))


@command()
def delete(recordings: Recordings, yes: Yes = False) -> None:
    """Delete recordings that are not being trained; asks once."""
    from bntui.link.manage import deletable, question

    # a file that is given by two paths is asked about once; a link is not its target
    given = {path.parent.resolve() / path.name: path for path in reversed(recordings)}
    entries = [deletable(path) for path in reversed(given.values())]
    if len(entries) > 1:
        _print(entries)
    confirm(question([entry.path.name for entry in entries], sum(entry.size for entry in entries)), yes=yes)
    _delete(entries)


@command()
def clean(
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than", min=0, metavar="DAYS", help="Also recordings last written more than so many days ago."
        ),
    ] = None,
    yes: Yes = False,
) -> None:
    """Delete what killed processes left behind; lists it and asks once."""
    from bntui.link.leftovers import leftovers
    from bntui.link.manage import question

    left, entries = leftovers(), [] if older_than is None else _older_than(older_than * DAY)
    if not left and not entries:
        say(_("nothing to delete"), sys.stderr)
        return
    files: list[Leftover | ListedRecording] = [*left, *entries]
    _print(files)
    confirm(question([one.path.name for one in files], sum(one.size for one in files)), yes=yes)
    for one in left:
        if not one.remove():
            say(_("kept, because it is in use: {path}").format(path=one.path), sys.stderr)
    _delete(entries)


def _older_than(seconds: float) -> list[ListedRecording]:
    """Recordings that can be opened, are not being trained, and were last written so long ago."""
    from bntui.link.library import recordings, refuse_unreadable

    refuse_unreadable()
    latest = time.time() - seconds
    unused = (one for one in recordings() if one.problem is None and not one.live and not one.host)
    return [one for one in unused if one.when.timestamp() < latest]


def _print(files: Sequence[Leftover | ListedRecording]) -> None:
    """The files that are to be deleted, with their size and what they are."""
    rows = [(output.clean(str(one.path)), in_bytes(one.size), one.title) for one in files]
    for line in text_lines([Column(), Column(right=True), Column()], rows):
        say(line)


def _delete(entries: Sequence[ListedRecording]) -> None:
    from bntui.link.manage import delete as deleted

    for entry in entries:
        deleted(entry.path)
        say(_("deleted: {path}").format(path=entry.path), sys.stderr)
