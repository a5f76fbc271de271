"""Draws the page of all runs: a table of runs and their forks, with details of the chosen one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Final

from rich.cells import cell_len

from bntui.insight.seed_bands import spread_at
from bntui.recording.forked import begins, changed, parent_of
from bntui.recording.sentences import EventTraits, traits
from bntui.text import figures
from bntui.text.language import N_, _
from bntui.text.table import Cell, Column, Line, layout
from bntui.text.widths import wrap
from bntui.viewer.draw.rows import Drawing, Row, Span, fit, styled
from bntui.viewer.family import Twig, own_name, tree
from bntui.viewer.family_keys import CONTROLS
from bntui.viewer.fork.words import SAME_AGAIN, carried_words
from bntui.viewer.keys import footer_of
from bntui.viewer.monitor import monitor_of, watched
from bntui.viewer.panels.curves_bands import FIGURE
from bntui.viewer.seed_bands import apart_of, band_of, trained
from bntui.viewer.view import RunView, View

TITLE: Final = N_("Runs ── each one above its forks")
OPEN: Final = N_("not over")
NAME: Final = 18
"""Minimum width of a name in cells, before columns are left out."""


def order(view: View) -> tuple[Twig, ...]:
    """All runs in the order of the page."""
    return tree([run.info for run in view.runs])


def scrolled(twigs: int, at: int, top: int, height: int) -> int:
    """The first visible run, after scrolling as little as necessary to show the chosen one.

    Args:
        twigs: number of runs.
        at: place of the chosen one.
        top: the first visible run so far.
    """
    room = _room(height)
    return max(min(max(top, at - room + 1), at, max(twigs - room, 0)), 0)


def _room(height: int) -> int:
    """Number of visible runs; the rest of the height is for the details of the chosen one."""
    return max(height - 12, 3)


def draw(view: View, at: int, top: int, width: int, height: int) -> Drawing:
    """The tree with one row per run, then the details of the chosen one, in ``height`` rows.

    Args:
        at: place of the chosen run in the tree.
        top: the first visible run.
    """
    twigs = order(view)
    lines = [_line(view, twig, chosen=number == at) for number, twig in enumerate(twigs)]
    form = layout(_columns(view), lines, width)
    shown = twigs[top : top + _room(height)]
    table = [*form.heading("muted"), *(row for line in lines[top : top + len(shown)] for row in form.row(line))]
    rows = [styled(row) for row in table]
    place = f" {top + len(shown)}/{len(twigs)} ─" if len(shown) < len(twigs) else ""
    rows.append((Span("─" * (width - len(place)) + place, "frame"),))
    rows += _told(view, view.runs[twigs[at].run], width)
    rows = rows[: height - 1]
    rows += [()] * (height - 1 - len(rows))
    rows.append(footer_of(CONTROLS, None, width))
    return Drawing(_(TITLE), tuple(fit(row, width) for row in rows))


def at_row(y: int, top: int, twigs: int, height: int) -> int | None:
    """Place in the tree of the run in row ``y`` of the page; None if there is none."""
    number = top + y - 1
    return number if 0 < y <= _room(height) and number < twigs else None


def _columns(view: View) -> tuple[Column, ...]:
    """Marker, name, start, epochs, best value of the monitor, epoch of the best value, and how the run ended."""
    monitors = {monitor_of(run) for run in view.runs}
    seeds = (Column(_("seeds"), right=True, goes=5),) if _seeded(view) else ()
    return (
        Column(),
        Column(_("run"), least=NAME, cut=0, grows=True, gap=1),
        Column(_("begins"), right=True, goes=4),
        Column(_("epochs"), right=True, goes=3),
        Column(_("best loss") if monitors == {"val_loss"} else _("best"), right=True, goes=2),
        Column(_("epoch"), right=True, goes=1),
        *seeds,
        Column(goes=6),
    )


def _line(view: View, twig: Twig, *, chosen: bool) -> tuple[Cell, ...]:
    run = view.runs[twig.run]
    best = watched(run, len(run.history) - 1)
    value, when = "–", "–"
    if best.best is not None:
        value, when = figures.number(best.values[best.best], 9).strip(), figures.epoch(best.epochs[best.best])
    done = float(run.history.epoch[-1]) if len(run.history) else 0.0
    fork = run.info.fork
    begins = "" if fork is None else figures.epoch(fork.epoch)
    seeds = (str(1 + len(trained(run))) if run.seeds else "",) if _seeded(view) else ()
    facts = (begins, f"{figures.epoch(done)}/{run.info.epochs}", value, when, *seeds)
    return (
        (("▸" if chosen else " ", "bold accent"),),
        partial(_name, run, twig.branch, f"bold {run.style}" if chosen else run.style),
        *(((words, "text"),) for words in facts),
        (_ending(run),),
    )


def _seeded(view: View) -> bool:
    return any(run.seeds for run in view.runs)


def _name(run: RunView, branch: str, style: str, room: int) -> Line:
    """A run's name with its branch; if there is no room, a fork's name without its parent's."""
    whole = f"{run.mark} {run.name}"
    fits = cell_len(branch) + cell_len(whole) <= room
    return (branch, "muted"), (whole if fits else f"{run.mark} {own_name(run)}", style)


def _ending(run: RunView) -> tuple[str, str]:
    """What ended a run or its last session, in a word, and its style."""
    told = (traits(e.kind) for e in reversed(run.events) if traits(e.kind).ends or e.kind == "resumed")
    kind = next(told, EventTraits())
    if kind.ends == "run":
        return _(kind.word), "bad" if kind.wrong else "text"
    return _(kind.word if kind.ends else OPEN), "muted"


def _over_seeds(view: View, run: RunView) -> Iterator[str]:
    """The range of the last validation loss over the seeds, and from where on it is apart from other runs' ranges."""
    spread = None if (found := band_of(run, FIGURE)) is None else spread_at(found, found.first + len(found.count) - 1)
    if spread is None or spread.seeds < 2:
        return
    low, high = (figures.number(value, 6).strip() for value in (spread.low, spread.high))
    said = _("over {count} seeds {low}…{high}").format(count=spread.seeds, low=low, high=high)
    others = ((other, apart_of(run, other, FIGURE)) for other in view.runs if other is not run and trained(other))
    apart = [
        _("apart from {run} from epoch {epoch} on").format(run=f"{other.mark} {other.name}", epoch=since)
        for other, since in others
        if since is not None
    ]
    yield "; ".join([said, *apart])


def _told(view: View, run: RunView, width: int) -> list[Row]:
    """The details of a run: its parent, its changes, what it kept, and its events."""
    rows: list[Row] = [(Span(f"{run.mark} {run.name}", f"bold {run.style}"),)]
    sentences: list[tuple[str, str]] = []
    fork, above = run.info.fork, parent_of(run.info)
    if fork is not None and above is not None:
        other = view.runs[above]
        sentences.append((begins(fork, f"{other.mark} {other.name}"), "text"))
        sentences.append((changed(fork) or _(SAME_AGAIN), "text"))
        sentences.append((carried_words(fork.kept, fork.new, 2 * width - 20), "text"))
    sentences += [
        (
            _("epoch {epoch}").format(epoch=figures.epoch(event.epoch)) + f": {event.text}",
            "bad" if traits(event.kind).wrong else "muted",
        )
        for event in run.events
    ]
    if len(run.history) and math.isfinite(last := float(run.history.val_loss[-1])):
        sentences.insert(0, (_("validation loss {loss} now").format(loss=figures.number(last, 9).strip()), "text"))
    sentences[1:1] = [(words, "text") for words in _over_seeds(view, run)]
    return [*rows, *((Span("  " + line, style),) for text, style in sentences for line in wrap(text, width - 2))]
