"""Formats what other stopping rules would have done, as a table for people or as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from bntui.insight.jury import NO_WISHES, JuryResult, RuleOutcome, Wishes, judge
from bntui.recording.as_json import plain
from bntui.recording.reader import Reader
from bntui.text.figures import brief, whole
from bntui.text.language import _
from bntui.text.output import json_text
from bntui.text.table import Column, text_lines


def as_json(reader: Reader, runs: Sequence[int], wishes: Wishes = NO_WISHES) -> str:
    """All verdicts as a JSON object."""
    record = {"recording": str(reader.path), "runs": [_record(reader, run, wishes) for run in runs]}
    return json_text(plain(record))


def _record(reader: Reader, run: int, wishes: Wishes) -> dict[str, Any]:
    found = _judged(reader, run, wishes)
    return {
        "run": reader.runs[run].name,
        "epochs": found.checked.recorded,
        "epochs_judged": len(found.epochs),
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


def _judged(reader: Reader, run: int, wishes: Wishes) -> JuryResult:
    histories = [reader.history(info.index) for info in reader.runs]
    return judge(run, reader.runs, histories, reader.events(run), wishes)


def as_text(reader: Reader, runs: Sequence[int], wishes: Wishes = NO_WISHES, width: int | None = None) -> str:
    """A table for each run.

    Args:
        width: cells that a table may take; by default as many as it needs.
    """
    lines = [reader.title]
    for run in runs:
        info = reader.runs[run]
        lines += ["", info.called, *_lines(_judged(reader, run, wishes), width)]
    return "\n".join(lines)


def _lines(found: JuryResult, width: int | None) -> Iterator[str]:
    if not len(found.epochs):
        yield "  " + _("no epoch with a validation loss is recorded")
        if found.limits:
            yield f"  {found.limits}"
        return
    if found.best is None:
        yield "  " + found.never_finite
    else:
        best = _("lowest val_loss {loss:.6g} at epoch {epoch}, {epochs} epochs recorded")
        yield "  " + best.format(loss=found.lowest, epoch=found.best, epochs=found.checked.recorded)
    yield f"  {found.origin}"
    yield from (f"  {sentence}" for sentence in (found.gaps, found.span, found.otherwise, found.limits) if sentence)
    columns = (
        Column(_("rule")),
        Column(_("stops"), right=True),
        Column(_("because of"), right=True, goes=1),
        Column(_("best epoch"), right=True, goes=3),
        Column(_("loss given away"), right=True),
        Column(_("epochs saved"), right=True, goes=4),
        Column(_("parameters"), goes=2),
    )
    rows = [_row(verdict) for verdict in found.verdicts]
    yield from (f"  {line}" for line in text_lines(columns, rows, None if width is None else width - 2))


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
