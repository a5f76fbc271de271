"""Defines ``bntui import``, which records what the event files of other programs say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bntui.commands.base import command
from bntui.text.language import _, ngettext
from bntui.text.output import clean, say

MOST_NAMED = 20
"""Tags that are named as left out."""


@command("import")
def import_(
    place: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with event files, or one of them.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="File to record to.")] = None,
    steps_per_epoch: Annotated[
        int | None,
        typer.Option("--steps-per-epoch", metavar="N", min=1, help="Default: each step is an epoch."),
    ] = None,
    figures: Annotated[
        list[str] | None,
        typer.Option("--figure", metavar="TAG=FIGURE", help="What a scalar is, such as Loss=val_loss; repeatable."),
    ] = None,
) -> None:
    """Record the scalars and histograms of TensorBoard's event files, to compare an old run with a new one."""
    from difflib import get_close_matches

    from bntui.commands.headless import starting
    from bntui.commands.progress_bar import bar
    from bntui.errors import UsageError, did_you_mean
    from bntui.export.import_runs import folder_of, read, record_runs, runs_in
    from bntui.export.imported import FIGURES
    from bntui.recording.draft import name_taken
    from bntui.recording.names import SUFFIX, new_path

    named = {}
    for one in figures or ():
        tag, _equals, figure = one.rpartition("=")
        if not tag or figure not in FIGURES:
            sentence = _("--figure {given}: write TAG=FIGURE, where FIGURE is one of {known}")
            raise UsageError(sentence.format(given=one, known=", ".join(FIGURES)))
        named[tag] = figure
    if output is not None and output.exists():
        raise name_taken(output)
    if output is not None and (output.suffix != SUFFIX or not output.parent.is_dir()):
        sentence = _("{path}: no folder {folder}; create it first")
        if output.suffix != SUFFIX:
            sentence = _("{path}: the name of a recording ends with .bntui")
        raise UsageError(sentence.format(path=output, folder=output.parent))
    found = runs_in(place)
    title = clean(folder_of(place).name)
    with starting(), bar(_("files read")) as tell:
        total, done = sum(map(len, found.values())), 0

        def one_more() -> None:
            nonlocal done
            done += 1
            tell(done, total)

        runs = {name: read(files, one_more) for name, files in found.items()}
        tags = list(dict.fromkeys(tag for logged in runs.values() for tag in logged.scalars))
        for tag in named.keys() - tags:
            sentence, close = _("--figure {tag}: no run has a scalar of this name"), get_close_matches(tag, tags, n=1)
            raise UsageError(" ".join([sentence.format(tag=tag), *map(did_you_mean, close)]))
        target = output or new_path(title)
        told, left_out = record_runs(target, title, runs, steps_per_epoch, named)
    for run in told:
        steps = ngettext("{count} step", "{count} steps", run.steps).format(count=f"{run.steps:,}")
        layers = ngettext("{count} layer", "{count} layers", run.layers).format(count=f"{run.layers:,}")
        if run.steps:
            say(f"{run.name}: {steps}, {layers}", sys.stderr)
        if run.every > 1:
            sentence = _("{run}: one of every {every} steps is imported, and all of figures that were logged rarely")
            say(sentence.format(run=run.name, every=run.every), sys.stderr)
        if run.unused:
            more = ", …" if len(run.unused) > MOST_NAMED else ""
            sentence = _("{run}: left out, because a recording has no place for them: {tags}")
            say(sentence.format(run=run.name, tags=", ".join(run.unused[:MOST_NAMED]) + more), sys.stderr)
    for why, count in sorted(left_out.items()):
        if count:
            say(f"{_(why)}: {count:,}", sys.stderr)
    say(target)
