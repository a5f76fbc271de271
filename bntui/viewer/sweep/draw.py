"""Draws a sweep: a picture or the ranked list, and the trials of the chosen combination."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Final

from rich.cells import cell_len

from bntui.text.figures import count, number
from bntui.text.language import N_, _, ngettext
from bntui.text.table import Cell, Column, Line, layout
from bntui.text.widths import cut, longest, rjust, wrap
from bntui.viewer.draw.cells import BLOCKS, tick
from bntui.viewer.draw.rows import Row, Span, fit, styled
from bntui.viewer.keys import footer_of
from bntui.viewer.sweep.board import Board, BoardSelection, Combination, Try
from bntui.viewer.sweep.coordinates import coordinates
from bntui.viewer.sweep.keys import CONTROLS

FIGURE: Final = 7
"""Cells of a figure."""
_CELL: Final = FIGURE + 4
"""Cells of a column of the map: a mark, a block, a figure, and a space."""
_MOST_VALUE: Final = 16
"""Cells of a value that are never cut."""
_TALL: Final = 24
"""Rows of a screen from which the legend may have two."""
_DETAILS: Final = 6
"""Rows for the chosen combination, at least."""
EMPTY: Final = N_("No trial is done yet.")


def draw(board: Board, look: BoardSelection, width: int, height: int) -> tuple[Row, ...]:
    """The whole screen."""
    rows: list[Row] = [_header(board, width), *_legend(board, look, width, height)]
    room = height - len(rows) - 1
    if not board.ranked:
        rows.append((Span(f" {_(EMPTY)}", "muted"),))
    else:
        shown = max(room - _details(board, look), 3)
        drawn = _listing if look.listed or not board.pictured else _map if board.maps else coordinates
        rows += drawn(board, look, width, shown)
        rows.append((Span("─" * width, "frame"),))
        rows += _chosen(board, look, width, height - len(rows) - 1)
    rows = [*rows, *[()] * height][: height - 1]
    return tuple(fit(row, width) for row in (*rows, footer_of(CONTROLS, (board, look), width)))


def _details(board: Board, look: BoardSelection) -> int:
    one = look.chosen(board)
    return min(max(_DETAILS, 3 + len(one.tries) if one is not None else 0), 9)


def _header(board: Board, width: int) -> Row:
    failed = ngettext("{count} trial failed", "{count} trials failed", board.failed).format(count=count(board.failed))
    state = _("{done}/{total} trials").format(done=count(board.done), total=count(board.total))
    right = [Span(f"{failed} · ", "bad")] if board.failed else []
    right += [Span(state, "text" if board.done >= board.total else "accent"), Span(" ")]
    room = width - sum(cell_len(span.text) for span in right) - 2
    return (Span(" "), Span(cut(board.title, room), "title"), *_filled(board.title, room), *right)


def _filled(title: str, room: int) -> Row:
    return (Span(" " * max(room - cell_len(cut(title, room)) + 1, 1)),)


def _legend(board: Board, look: BoardSelection, width: int, height: int) -> list[Row]:
    """What ranks the combinations and what the marks mean: in two rows, where it is too long for one and both fit."""
    better = _("larger is better") if board.larger else _("smaller is better")
    words = _("mean of {goal} over seeds, {better}").format(goal=board.goal, better=better)
    if board.pictured and not board.maps and not look.listed:
        best = _("★ the best, ● the chosen")
        early = _("{best}; a line ends early if a seed failed, diverged, or was pruned")
        shorter = _("{best}; a line ends early where a seed has no goal")
        marks = [early.format(best=best), shorter.format(best=best), best]
    else:
        marks = [
            _("the fuller the block, the better; ★ the best, ! a seed failed, diverged, or was pruned"),
            _("★ the best, ! a seed failed, diverged, or was pruned"),
        ]
    room = width - 1
    if cell_len(f"{words}; {marks[0]}") > room and height >= _TALL:
        lines = [longest(room, words, board.goal), longest(room, *marks)]
    else:
        lines = [longest(room, *(f"{words}; {each}" for each in marks), words, board.goal)]
    return [(Span(f" {line}", "muted"),) for line in lines]


# --- the heat map ---


def _map(board: Board, look: BoardSelection, width: int, height: int) -> list[Row]:
    """Rows are the values of the first axis, columns those of the second."""
    (down, rows), (across, columns) = board.axes
    names = min(max(cell_len(down), *(cell_len(value) for value in rows)), width // 3)
    fitting = max((width - names - 3) // _CELL, 1)
    here = look.chosen(board)
    place = look.place or (here.place if here is not None else (rows[0], columns[0]))
    left = _first(columns.index(place[1]), len(columns), fitting)
    top = _first(rows.index(place[0]), len(rows), max(height - 2, 1))
    shown = columns[left : left + fitting]
    more = f" {left + 1}–{left + len(shown)}/{len(columns)}" if len(shown) < len(columns) else ""
    found: list[Row] = [
        (Span(" " * (names + 3)), Span(f"{across}{more}", "muted")),
        (
            Span(f" {rjust(cut(down, names), names)}  ", "muted"),
            *(Span(f"{rjust(cut(value, _CELL - 2), _CELL - 1)} ", "text") for value in shown),
        ),
    ]
    for y, value in enumerate(rows[top : top + max(height - 2, 1)], top - rows.index(place[0])):
        cells = [
            span._replace(click=f"move({x}, {y})")
            for x, column in enumerate(shown, left - columns.index(place[1]))
            for span in _cell(board, (value, column), place)
        ]
        found.append((Span(f" {rjust(cut(value, names), names)}  ", "text"), *cells))
    return found


def _cell(board: Board, place: tuple[str, str], chosen: tuple[str, ...]) -> Row:
    one = board.by_place.get(place)
    style, block = ("muted", "·") if one is None else shade(board, one)
    mark = " " if one is None else mark_of(board, one)
    figure = number(one.mean, FIGURE) if one is not None and one.finite else "–".rjust(FIGURE)
    body = f"{mark}{block} {figure}"
    return Span(body, "cursor" if place == chosen else style), Span(" ")


def shade(board: Board, one: Combination) -> tuple[str, str]:
    """The style and the block that say how good a combination is."""
    quality = board.quality(one)
    if math.isnan(quality):
        return "warn", " "
    block = BLOCKS[max(round(quality * 8), 1)]
    return ("good" if quality >= 0.75 else "text" if quality >= 0.25 else "muted"), block


def mark_of(board: Board, one: Combination) -> str:
    """The mark of the best combination, and of those with a seed that failed, diverged, or was pruned."""
    if not one.sound:
        return "!"
    return "★" if one.place == board.ranked[0].place else " "


def _first(at: int, size: int, room: int) -> int:
    """The first visible one of a list, so that the chosen one is in the middle where that is possible."""
    return max(min(at - room // 2, size - room), 0)


# --- the list ---


def _listing(board: Board, look: BoardSelection, width: int, height: int) -> list[Row]:
    """The combinations from the best on, each with its interval on a common axis."""
    here = look.chosen(board)
    at = next((number for number, one in enumerate(board.ranked) if one is here), 0)
    top = _first(at, len(board.ranked), max(height - 1, 1))
    shown = board.ranked[top : top + max(height - 1, 1)]
    columns = (
        Column(),
        Column(_("rank"), right=True, goes=2, gap=1),
        *(Column(name, least=least, cut=1) for name, least in _axis_columns(board)),
        Column(_("mean"), right=True),
        Column("± 95 %", right=True, goes=3),
        Column(_("seeds"), right=True, goes=1),
        Column(_ruler(board), least=12, grows=True, goes=4),
    )
    lines = [_line(board, one, top + number, chosen=one is here) for number, one in enumerate(shown)]
    form = layout(columns, lines, width - 1)
    table = [*form.heading("muted"), *(row for line in lines for row in form.row(line))]
    return [(Span(" "), *styled(row)) for row in table]


def _axis_columns(board: Board) -> Iterator[tuple[str, int]]:
    """The name of each axis, without its section where that is clear, and the cells of its values."""
    ends = [path.rpartition(".")[2] for path, _values in board.axes]
    for at, ((path, _values), end) in enumerate(zip(board.axes, ends, strict=True)):
        longest_value = max(cell_len(one.place[at]) for one in board.ranked)
        yield end if ends.count(end) == 1 else path, min(max(longest_value, 4), _MOST_VALUE)


def _line(board: Board, one: Combination, rank: int, *, chosen: bool) -> tuple[Cell, ...]:
    style, block = shade(board, one)
    mark = "▸" if chosen else mark_of(board, one)
    half = number(one.half, FIGURE) if math.isfinite(one.half) else "–"
    mean = number(one.mean, FIGURE) if one.finite else "–"
    seeds = f"{one.finite}/{len(one.tries)}"
    bold = f"bold {style}" if chosen and style in ("good", "text") else style
    return (
        ((f"{mark}{block}", "bold accent" if chosen else style),),
        ((str(rank + 1), style),),
        *(((value, bold),) for value in one.place),
        ((mean, bold),),
        ((half, style),),
        ((seeds, "warn" if not one.sound else style),),
        partial(_interval, board, one, style),
    )


def _ruler(board: Board) -> Cell:
    low, high = board.ends

    def drawn(cells: int) -> Line:
        if cells > 200 or not high > low:
            return (("", "muted"),)
        left, right = tick(float(f"{low:.3g}")), tick(float(f"{high:.3g}"))
        log = " (log)" if board.decades else ""
        return ((left + f"{right}{log}".rjust(max(cells - len(left), 0)), "muted"),)

    return drawn


def _interval(board: Board, one: Combination, style: str, cells: int) -> Line:
    """The 95 % interval as a line with the mean on it, and the seeds as dots; arrows where it leaves the axis."""
    if not one.finite or cells > 200:
        return (("", style),)
    line = [" "] * cells

    def at(goal: float) -> int:
        share = board.share(goal)
        return round(min(max(share, 0.0), 1.0) * (cells - 1)) if not math.isnan(share) else 0

    if math.isfinite(one.half):
        low, high = one.mean - one.half, one.mean + one.half
        first, last = at(low), at(high)
        line[first : last + 1] = "─" * (last - first + 1)
        line[first] = "◂" if board.share(low) < 0 else "├"
        line[last] = "▸" if board.share(high) > 1 else "┤"
    for each in one.tries:
        if math.isfinite(each.goal):
            line[at(each.goal)] = "∙"
    line[at(one.mean)] = "●"
    return (("".join(line), style),)


# --- the chosen combination ---


def _chosen(board: Board, look: BoardSelection, width: int, height: int) -> list[Row]:
    one = look.chosen(board)
    place = look.place or (one.place if one is not None else ())
    words = "  ".join(f"{path}={value}" for (path, _values), value in zip(board.axes, place, strict=False))
    rows: list[Row] = [(Span(" "), Span(cut(words, width - 2), "bold text"))]
    if one is None:
        return [*rows, (Span("  " + _("not trained yet"), "muted"),)]
    chosen = look.trial(board)
    if one.finite:
        told = {"mean": number(one.mean, FIGURE).strip(), "half": number(one.half, FIGURE).strip(), "count": one.finite}
        wordings = [
            _("mean {mean} ± {half} over {count} seeds (95 % interval)"), _("mean {mean} ± {half} over {count} seeds")
        ] if math.isfinite(one.half) else [_("{mean}, one seed")]  # fmt: skip
        rows.append((Span("  " + longest(width - 2, *(words.format(**told) for words in wordings)), "text"),))
    room = max(height - len(rows) - 1, 1)
    at = one.tries.index(chosen) if chosen is not None else 0
    top = _first(at, len(one.tries), room)
    for by, each in enumerate(one.tries[top : top + room], top - at):
        rows.append(tuple(span._replace(click=f"seed({by})") for span in _trial(each, chosen=each is chosen)))
    if chosen is not None and (left := height - len(rows)) > 0:
        lines = wrap(chosen.command, width - 3)
        kept = [*lines[: left - 1], cut(" ".join(lines[left - 1 :]), width - 3)] if len(lines) > left else lines
        rows += [(Span(f"  {line}", "muted"),) for line in kept]
    return rows


def _trial(one: Try, *, chosen: bool) -> Row:
    words = one.reason or number(one.goal, FIGURE).strip()
    style = "bad" if one.recording is None else "bold text" if chosen else "muted"
    label = _("seed {seed}").format(seed=one.seed)
    return (Span("  ▸ " if chosen else "    ", "bold accent"), Span(f"{label}  ", style), Span(words, style))
