"""Formats what the audit found, as tables for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bntui.audit.audit import Report
from bntui.audit.ledger import CheckTally, Failure, Place
from bntui.audit.tolerances import TABLE, UNIT_IS
from bntui.text.language import _, ngettext
from bntui.text.output import clean, json_text
from bntui.text.table import Column, text_lines
from bntui.text.widths import cut, wrap

SHOWN: Final = 40
"""Failures that are written out; the rest are counted."""
WIDEST: Final = 48
"""Cells of a value in a failure's line."""


def where(place: Place, labels: Mapping[str, str]) -> str:
    """A place as people say it, with the run's name in their language."""
    parts = [labels.get(place.run, place.run)]
    if place.epoch is not None:
        parts.append(_("epoch {epoch:g}").format(epoch=place.epoch))
    elif place.step is not None:
        parts.append(_("step {step}").format(step=place.step))
    return ", ".join(part for part in (*parts, place.layer) if part)


def as_text(report: Report, width: int | None = None) -> str:
    """The table, what could not be checked, failures, the verdict.

    Args:
        width: cells that tables may take; by default as many as they need.
    """
    return "\n".join(_lines(report, width))


def _lines(report: Report, width: int | None) -> Iterator[str]:
    yield f"{report.title} · {report.path}"
    yield ""
    columns = (
        Column(_("checked"), least=24, cut=1, wraps=True),
        Column(_("figures"), right=True),
        Column(_("largest relative error"), right=True),
        Column(_("tolerance"), right=True, goes=3),
        Column(_("where"), goes=2),
    )
    yield from text_lines(
        columns, [_row(name, line, report.labels) for name, line in report.ledger.lines.items()], width
    )
    inner = None if width is None else width - 2
    beyond = sum(line.undetermined for line in report.ledger.lines.values())
    mere = sum(line.rounding for line in report.ledger.lines.values())
    yield from _conditions(report, inner)
    if report.ledger.notes or beyond or mere:
        yield ""
        yield _("Not checked:")
        if beyond:
            text = ngettext(
                "{count} figure at or near float32 overflow: any value may be recorded",
                "{count} figures at or near float32 overflow: any value may be recorded",
                beyond,
            )
            yield "  " + text.format(count=f"{beyond:,}")
        if mere:
            text = ngettext(
                "{count} figure is smaller than its tolerance: pure rounding, no digit is determined",
                "{count} figures are smaller than their tolerance: pure rounding, no digit is determined",
                mere,
            )
            yield "  " + text.format(count=f"{mere:,}")
        for reason, count in report.ledger.notes.items():
            yield f"  {_(reason)} ({count}×)"
    if report.ledger.failures:
        yield ""
        yield _("Outside their tolerance:")
        yield from _failures(report.ledger.failures, report.labels, inner)
    yield ""
    yield verdict(report)


def _conditions(report: Report, width: int | None) -> Iterator[str]:
    """Figures that rounding may have moved by more than a hundredth: how ill-conditioned the worst of them is."""
    ill = {name: line for name, line in report.ledger.lines.items() if line.ill}
    if not ill:
        return
    yield ""
    yield _("Ill-conditioned (rounding can change them by more than 1 %; the condition is its magnification):")
    columns = (
        Column(_("checked"), least=24, cut=1, wraps=True),
        Column(_("figures"), right=True),
        Column(_("condition"), right=True),
        Column(_("where"), goes=2),
    )
    rows = [
        (_(name), f"{line.ill:,}", f"{line.condition:.1e}", where(line.ill_place, report.labels))
        for name, line in ill.items()
    ]
    yield from (f"  {row}" for row in text_lines(columns, rows, width))


def _row(name: str, line: CheckTally, labels: Mapping[str, str]) -> tuple[str, ...]:
    figures = f"{line.figures:,}"
    if line.failed:
        return _(name), figures, _("{count} failed").format(count=f"{line.failed:,}"), "", ""
    error = "0" if not line.error else f"{line.error:.1e}"
    tolerance = f"{line.tolerance:.1e}" if line.error else ""
    return _(name), figures, error, tolerance, where(line.place, labels) if line.error else ""


def _failures(failures: Sequence[Failure], labels: Mapping[str, str], width: int | None) -> Iterator[str]:
    """Nothing of a failure is left out or cut: all words go on in further lines."""
    words = Column(least=12, wraps=True)
    columns = (
        replace(words, heading=_("run"), cut=3),
        Column(_("step"), right=True),
        Column(_("layer")),
        replace(words, heading=_("figure"), cut=2),
        replace(words, heading=_("as recorded"), cut=0),
        replace(words, heading=_("recomputed"), cut=1),
    )
    rows: list[Sequence[str]] = []
    for failure in failures[:SHOWN]:
        place = failure.place
        step = "" if place.step is None else str(place.step)
        figure = failure.figure
        if failure.more:
            figure += " " + _("(and {count} more)").format(count=failure.more)
        values = (_short(failure.recorded), _short(failure.recomputed))
        rows.append((labels.get(place.run, place.run), step, place.layer, clean(figure), *values))
    yield from (f"  {line}" for line in text_lines(columns, rows, width))
    rest = len(failures) - SHOWN
    if rest > 0:
        yield "  " + ngettext("and {count} more line", "and {count} more lines", rest).format(count=rest)


def _short(value: str) -> str:
    return cut(clean(_(value)), WIDEST)


def verdict(report: Report) -> str:
    """The last line: true or not, and of how much."""
    full = ngettext("{count} keyframe recomputed in full", "{count} keyframes recomputed in full", report.full)
    rest = ngettext("{count} checked for consistency only", "{count} checked for consistency only", report.consistent)
    parts = [full.format(count=report.full), rest.format(count=report.consistent)]
    if report.damaged:
        bad = ngettext("{count} damaged row left out", "{count} damaged rows left out", report.damaged)
        parts.append(bad.format(count=report.damaged))
    counts = ", ".join(parts)
    if report.true and report.watched:
        sentence = _("no contradiction found; nothing could be recomputed without the loop's code and data; {counts}")
        return sentence.format(counts=counts)
    if report.true:
        return _("true: every figure within its tolerance; {counts}").format(counts=counts)
    failed = sum(line.failed for line in report.ledger.lines.values())
    if report.watched:
        sentence = ngettext(
            "{count} figure contradicts another; {counts}", "{count} figures contradict others; {counts}", failed
        )
        return sentence.format(count=f"{failed:,}", counts=counts)
    sentence = ngettext("not true: {count} figure fails; {counts}", "not true: {count} figures fail; {counts}", failed)
    return sentence.format(count=f"{failed:,}", counts=counts)


def as_json(report: Report) -> str:
    """The same as one JSON object; names are English whatever the language."""
    ledger = report.ledger
    record = {
        "recording": str(report.path),
        "title": report.title,
        "true": None if report.true and report.watched else report.true,
        "keyframes": {"full": report.full, "consistency": report.consistent, "damaged": report.damaged},
        "checks": [_check(name, line) for name, line in ledger.lines.items()],
        "failures": [
            {
                "check": failure.check, **_place(failure.place), "figure": failure.figure,
                "recorded": failure.recorded, "recomputed": failure.recomputed, "more": failure.more,
            }
            for failure in ledger.failures
        ],
        "not_checked": [{"reason": reason, "times": count} for reason, count in ledger.notes.items()],
    }  # fmt: skip
    return json_text(record)


def _check(name: str, line: CheckTally) -> dict[str, Any]:
    return {
        "name": name, "figures": line.figures, "undetermined": line.undetermined,
        "rounding": line.rounding, "failed": line.failed,
        "largest_relative_error": _number(line.error), "tolerance": _number(line.tolerance),
        "largest_share_of_tolerance": _number(line.share), "ill_conditioned": line.ill,
        "condition": _number(line.condition), **_place(line.place),
    }  # fmt: skip


def _place(place: Place) -> dict[str, Any]:
    epoch = None if place.epoch is None else _number(place.epoch)
    return {"run": place.run or None, "step": place.step, "epoch": epoch, "layer": place.layer or None}


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity"


def tolerances(width: int) -> str:
    """The table of tolerances with its reasons, for the command's help."""
    lines = [_("Tolerances:")]
    for rule in TABLE:
        lines.append(f"  {_(rule.subject)}: {rule.size}")
        lines += [f"      {line}" for line in wrap(_(rule.reason), width - 6)]
    lines += [f"  {line}" for line in wrap(_(UNIT_IS), width - 2)]
    return "\n".join(lines)
