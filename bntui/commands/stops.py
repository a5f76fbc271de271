"""What would other stopping rules have done: the jury's verdicts as a table for people, or as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len

from bntui.commands.show import plain
from bntui.insight.jury import NO_WISHES, Judgement, RuleOutcome, Wishes, judge
from bntui.recording.reader import Reader
from bntui.text.figures import brief, whole
from bntui.text.language import _
from bntui.text.output import json_text
from bntui.text.widths import ljust, rjust


def as_json(reader: Reader, runs: Sequence[int], wishes: Wishes = NO_WISHES) -> str:
    """All verdicts as a JSON object."""
    record = {"recording": str(reader.path), "runs": [_record(reader, run, wishes) for run in runs]}
    return json_text(plain(record))


def _record(reader: Reader, run: int, wishes: Wishes) -> dict[str, Any]:
    found = _judged(reader, run, wishes)
    return {
        "run": reader.runs[run].name,
        "epochs": len(found.epochs),
        "planned": found.planned,
        "forked_at": found.forked,
        "patience_counted_anew": found.afresh,
        "ended": found.ended or None,
        "best_epoch": found.best,
        "best_val_loss": found.lowest,
        "patience_from": found.sources[0],
        "min_delta_from": found.sources[1],
        "rules": [
            {
                "rule": verdict.juror.name,
                "parameters": verdict.juror.parameters,
                "stops": verdict.stop,
                "because": verdict.because or None,
                "best_epoch": verdict.best,
                "loss_given_away": verdict.given_away,
                "epochs_saved": verdict.saved,
            }
            for verdict in found.verdicts
        ],
    }


def _judged(reader: Reader, run: int, wishes: Wishes) -> Judgement:
    histories = [reader.history(info.index) for info in reader.runs]
    return judge(run, reader.runs, histories, reader.events(run), wishes)


def as_text(reader: Reader, runs: Sequence[int], wishes: Wishes = NO_WISHES) -> str:
    """A table for each run."""
    lines = [reader.title]
    for run in runs:
        info = reader.runs[run]
        lines += ["", info.label or info.name, *_lines(_judged(reader, run, wishes))]
    return "\n".join(lines)


def _lines(found: Judgement) -> Iterator[str]:
    if not len(found.epochs):
        yield "  " + _("no epoch with a validation loss is recorded")
        if found.limits:
            yield f"  {found.limits}"
        return
    if found.best is None:
        yield "  " + found.never_finite
    else:
        best = _("lowest val_loss {loss:.6g} at epoch {epoch}, {epochs} epochs recorded")
        yield "  " + best.format(loss=found.lowest, epoch=found.best, epochs=len(found.epochs))
    yield f"  {found.origin}"
    yield from (f"  {sentence}" for sentence in (found.span, found.otherwise, found.limits) if sentence)
    heads = (
        _("rule"),
        _("stops"),
        _("because of"),
        _("best epoch"),
        _("loss given away"),
        _("epochs saved"),
        _("parameters"),
    )
    rows = [heads, *(_row(verdict) for verdict in found.verdicts)]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(heads))]
    for row in rows:
        name, *figures, settings = row
        cells = [rjust(words, width) for words, width in zip(figures, widths[1:-1], strict=True)]
        yield "  " + "  ".join([ljust(name, widths[0]), *cells, settings])


def _row(verdict: RuleOutcome) -> tuple[str, ...]:
    away = "—" if math.isnan(verdict.given_away) else brief(verdict.given_away, 6)
    return (
        _(verdict.juror.name),
        _("never") if verdict.stop is None else whole(verdict.stop),
        verdict.because or "—",
        "—" if verdict.best is None else whole(verdict.best),
        away,
        whole(verdict.saved),
        verdict.juror.wording,
    )
