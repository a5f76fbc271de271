"""Defines ``bntui export``, which writes a recording in other formats; ``bntui/export/formats.py`` declares them."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from bntui.commands.base import Recording, command
from bntui.text.language import _
from bntui.text.output import clean, say


@command()
def export(
    recording: Recording,
    to: Annotated[
        Path,
        typer.Option(
            "--to", metavar="DIR|FILE", help="A file, whose suffix chooses the format, or a folder for several."
        ),
    ],
    named: Annotated[
        str | None,
        typer.Option("--as", metavar="FORMAT", help="Format in a folder: csv, parquet, jsonl, npz, or tensorboard."),
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option("--run", metavar="R", help="Name or number of a run; repeatable. Default: all.")
    ] = None,
    epochs: Annotated[
        str | None, typer.Option("--epochs", metavar="A..B", help="Epochs, or one epoch. Default: all.")
    ] = None,
    quantities: Annotated[
        list[str] | None,
        typer.Option("--quantities", metavar="NAMES", help="Figures, such as val_loss,input.*; repeatable."),
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="T", help="The table to write: curves, layers, or seeds.")
    ] = None,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Add parameters and stage values to .npz, where they are kept.")
    ] = False,
    panel: Annotated[
        str | None,
        typer.Option(
            "--panel", metavar="PANEL", help="What a picture shows: a panel, screen, or microscope. Default: screen."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size", metavar="WxH", help="Columns and rows of a picture. Default: 100x30; screen, microscope: 120x36."
        ),
    ] = None,
    theme: Annotated[
        str | None, typer.Option("--theme", metavar="THEME", help="Of a picture: dark, light, or projector.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option("--speed", metavar="X", help="Epochs per second of a replay. Default: 4 or more.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Write a recording as tables, arrays, or TensorBoard event files, or a picture or replay of it."""
    from bntui.commands.headless import starting
    from bntui.commands.progress_bar import bar
    from bntui.commands.show import find_run
    from bntui.drafts import drafts
    from bntui.errors import UsageError
    from bntui.export.formats import format_of, refuse_unused
    from bntui.export.request import EpochRange, Request
    from bntui.export.tables import TABLES
    from bntui.recording.recorded import recorded

    if table is not None and table not in TABLES:
        raise UsageError(_("--table {table}: allowed: {known}").format(table=table, known=", ".join(TABLES)))
    chosen = format_of(to, named)
    given = {"panel": panel, "size": size, "theme": theme, "speed": speed is not None}
    refuse_unused(chosen, {**given, "table": table, "evidence": evidence, "quantities": quantities})
    write = chosen.writer()
    span = EpochRange() if epochs is None else EpochRange.parse(epochs)
    # on SIGTERM, too, no half file is left
    with closing(recorded(recording)) as reader, starting(), reader.snapshot():
        request = Request(
            target=to,
            folder=to.is_dir() or not to.suffix,
            runs=tuple(find_run(reader, one) for one in run or ()),
            epochs=span,
            quantities=tuple(quantities or ()),
            table=table or "",
            evidence=evidence,
            panel=panel or "",
            size=size or "",
            theme=theme or "",
            speed=speed,
        )
        with drafts(force=force) as made, bar(_(chosen.counts)) as tell:
            if request.folder:
                made.folder(to)
            told = write(reader, request, made, tell)
    for sentence in told:
        say(clean(sentence), sys.stderr)
