"""Defines ``bntui export``, which writes a recording in other formats; ``bntui/export/formats.py`` declares them."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from bntui.commands.base import Recording, command
from bntui.text.language import _
from bntui.text.output import say


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
        str | None, typer.Option("--table", metavar="T", help="The table to write: curves or layers.")
    ] = None,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Add parameters and stage values to .npz, where they are kept.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Write a recording as CSV, Parquet, JSON lines, NumPy arrays, or TensorBoard event files."""
    from bntui.commands.headless import starting
    from bntui.commands.progress_bar import bar
    from bntui.commands.show import find_run
    from bntui.errors import UsageError
    from bntui.export.drafts import drafts
    from bntui.export.formats import format_of
    from bntui.export.request import Request, Span
    from bntui.export.tables import TABLES
    from bntui.recording.recorded import recorded

    if table is not None and table not in TABLES:
        raise UsageError(_("--table {table}: allowed: {known}").format(table=table, known=", ".join(TABLES)))
    chosen = format_of(to, named)
    write = chosen.writer()
    span = Span() if epochs is None else Span.parse(epochs)
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
        )
        with drafts(force=force) as made, bar(_("rows written")) as tell:
            if request.folder:
                made.folder(to)
            told = write(reader, request, made, tell)
    for sentence in told:
        say(sentence, sys.stderr)
