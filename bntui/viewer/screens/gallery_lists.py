"""Draws the gallery's lists of scenarios and recordings as rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size

from bntui.text.language import _
from bntui.text.output import clean
from bntui.text.widths import cut, rjust, wrap
from bntui.viewer.draw.rows import Row, Span, fit
from bntui.viewer.draw.rows import width as cells
from bntui.viewer.marks import RUN_MARKS
from bntui.viewer.screens.gallery_state import Gallery, Lists

if TYPE_CHECKING:
    from bntui.link.library import ListedRecording
    from bntui.scenario.gallery import Card

CURSOR: Final = "❯ "
EPOCHS: Final = 10
"""Cells of a recording's epochs."""
SIZE: Final = 8
SHORTEST_TITLE: Final = 8
"""Cells that a title needs beside a recording's name."""
LONGEST_NAME: Final = 32
"""Cells of a recording's name for which others give up their facts."""
LONGEST_HOST: Final = 12
GAP: Final = " " * 3
"""Between two runs."""
CHAPTERED: Final = 8
"""Rows of scenarios from which chapters have a row each; in fewer, the list's heading names the chosen one's."""
TRAINED: Final = "✓"
"""Marks a scenario of which a recording has ended."""
WALKED: Final = "»"
"""Marks a scenario whose tour was walked to its end."""


def draw_lists(gallery: Gallery, width: int, height: int) -> tuple[list[Row], dict[int, tuple[Lists, int]]]:
    """Both lists, one above the other, in exactly ``height`` rows; without any scenario, the recordings alone."""
    cards, entries = gallery.found_cards, gallery.found_entries
    recorded = max(1, len(entries))
    # three rows are taken by the headings and the gap between the lists
    for_cards = max(1, height - 3 - min(recorded, max(2, height // 3)))
    chapters = for_cards >= CHAPTERED
    current = "" if chapters or not cards else cards[gallery.place("scenarios")].chapter
    listed = _seen(gallery, width, for_cards, chapters=chapters)
    places = [place for _row, place in listed if place is not None]
    seen = range(min(places, default=0), max(places, default=-1) + 1)
    rows: list[Row] = [_heading(gallery, "scenarios", seen, width, current)] if gallery.cards else []
    lines: dict[int, tuple[Lists, int]] = {}
    for row, place in listed:
        if place is not None:
            lines[len(rows)] = ("scenarios", place)
        rows.append(row)
    if gallery.cards and not cards:
        rows += wrapped(_("No scenario contains these words."), width - 2, "muted", "  ")
    seen = _window(len(entries), gallery.place("recordings"), max(1, height - len(rows) - 2))
    rows += [*([()] if rows else []), _heading(gallery, "recordings", seen, width)]
    if entries:
        stem = min(max(cell_len(clean(entry.path.stem)) for entry in entries), LONGEST_NAME)
        for at in seen:
            chosen = gallery.active == "recordings" and at == gallery.position
            lines[len(rows)] = ("recordings", at)
            rows.append(_entry(entries[at], chosen, width, stem))
    elif gallery.entries is not None:
        none_yet = _("None yet: every scenario you open is recorded and can be replayed from here.")
        none = _("No recording contains these words.") if gallery.entries else none_yet
        rows += wrapped(none, width - 2, "muted", "  ")
    rows = rows[:height]
    return [*rows, *([()] * (height - len(rows)))], lines


def _seen(gallery: Gallery, width: int, room: int, *, chapters: bool) -> list[tuple[Row, int | None]]:
    """The rows of scenarios that are seen, each with the scenario's place; the heading of a chapter has none.

    Where the first one is in the middle of a chapter, the heading takes its row.
    """
    listed = _scenarios(gallery, width, 2, chapters=chapters)
    if len(listed) > room:
        listed = _scenarios(gallery, width, 1, chapters=chapters)
    places = [place for _row, place in listed]
    chosen = places.index(gallery.place("scenarios")) if listed else 0
    seen = [listed[at] for at in _window(len(listed), chosen, room)]
    if chapters and len(seen) > 1 and seen[0][1] is not None and seen[1][1] is not None:
        seen[0] = _chapter(gallery.found_cards[seen[0][1]], width), None
    return seen


def _scenarios(gallery: Gallery, width: int, tall: int, *, chapters: bool) -> list[tuple[Row, int | None]]:
    """All scenarios in ``tall`` rows each, after the headings of their chapters."""
    listed: list[tuple[Row, int | None]] = []
    cards, trained = gallery.found_cards, gallery.trained
    for at, card in enumerate(cards):
        if chapters and (at == 0 or card.chapter != cards[at - 1].chapter):
            listed.append((_chapter(card, width), None))
        chosen = gallery.active == "scenarios" and at == gallery.position
        marks = (
            Span(TRAINED if card.original in trained else " ", "good"),
            Span(WALKED if card.original in gallery.walked else " ", "accent"),
            Span(" "),
        )
        listed += [(row, at) for row in _card(card, chosen, marks, width)[:tall]]
    return listed


def _chapter(card: Card, width: int) -> Row:
    return (Span("  "), Span(short(card.chapter, width - 2), "bold muted"))


def _heading(gallery: Gallery, which: Lists, seen: range, width: int, chapter: str = "") -> Row:
    """Name of a list, how many items it has, which one is chosen, its chapter, whether it goes on, and the size of
    recordings.
    """
    name = _("Scenarios") if which == "scenarios" else _("Recordings")
    active, count = which == gallery.active, gallery.size(which)
    facts = [f"{gallery.place(which) + 1}/{count}" if active and count else f"{count}"]
    if chapter:
        facts.append(chapter)
    if which == "recordings":
        facts.append(in_units(sum(entry.size for entry in gallery.found_entries)))
    known = which == "scenarios" or gallery.entries is not None
    more = ("↑" if seen.start > 0 else "") + ("↓" if seen.stop < count else "")
    room = width - cell_len(name) - len(f"  {more}") - 2
    told = Span(f"  {cut(' · '.join(facts), room)}", "muted") if known else Span("")
    return fit((Span(name, "bold accent" if active else "bold muted"), told, Span(f"  {more}", "key")), width)


def _window(count: int, chosen: int, room: int) -> range:
    """Which items are seen, the chosen one among them and near the middle."""
    first = min(max(chosen - room // 2, 0), max(count - room, 0))
    return range(first, min(first + room, count))


def _card(card: Card, chosen: bool, marks: Row, width: int) -> list[Row]:
    before: Row = (Span(CURSOR if chosen else "  ", "accent"), *marks)
    look, room = "bold" if chosen else "text", width - 5
    if card.problem is not None:
        bad = Span("  " + _("cannot be read"), "bad")
        return [(*before, Span(short(card.title, room - cell_len(bad.text)), look), bad), (Span(" " * 7),)]
    return [(*before, Span(short(card.title, room), look)), (Span(" " * 7), *_runs(card.runs, width - 7))]


def _runs(names: Sequence[str], width: int) -> Row:
    """Marks and names of runs in one row; dots stand for those that do not fit."""
    row: Row = ()
    for at, name in enumerate(names):
        run = _run(at, name)
        last = at == len(names) - 1
        if cells((*row, *run)) + (-len(GAP) if last else 1) > width:
            return (*row, Span("…", "muted"))
        row += run
    return row


def runs_within(names: Sequence[str], width: int) -> list[Row]:
    """Marks and names of runs in as many rows as they need."""
    rows: list[Row] = [()]
    for at, name in enumerate(names):
        run = _run(at, name)
        if rows[-1] and cells(rows[-1]) + cells(run) - len(GAP) > width:
            rows.append(())
        rows[-1] += run
    return rows


def _run(at: int, name: str) -> Row:
    number = at % len(RUN_MARKS)
    return (Span(f"{RUN_MARKS[number]} ", f"run{number}"), Span(f"{clean(name)}{GAP}", "muted"))


def _entry(entry: ListedRecording, chosen: bool, width: int, stem: int) -> Row:
    """A recording in one row; ``stem`` are the cells that the names of all of them take."""
    mark = Span(CURSOR if chosen else "  ", "accent")
    look = "bold" if chosen else "text"
    if entry.problem is not None:
        bad = Span("  " + _("cannot be opened"), "bad")
        return (mark, Span(fit_text(clean(entry.path.name), width - 2 - cell_len(bad.text)), look), bad)
    live, own = _life(entry), cell_len(clean(entry.path.stem))
    left = width - 2 - cell_len(live.text)
    facts = _facts(entry, min(left - own, width - 2 - stem))
    room = left - cell_len(facts)
    title = room - stem - 2
    name = stem if title >= SHORTEST_TITLE else room
    return (
        mark,
        live,
        Span(fit_text(entry.path.stem, name), look),
        Span(f"  {fit_text(entry.title, title)}" if name < room else "", "muted"),
        Span(facts, "muted"),
    )


def _facts(entry: ListedRecording, cells: int) -> str:
    """Epochs, date, and size of a recording; the first ones are left out where its name needs their cells."""
    facts = [f" {rjust(epochs(entry), EPOCHS)}", f"  {when(entry)}", f"  {in_units(entry.size):>{SIZE}}"]
    while facts and sum(map(cell_len, facts)) > cells:
        facts.pop(0)
    return "".join(facts)


def life_mark(entry: ListedRecording) -> Span:
    """A mark where it is being trained, another one where its trainer waits, none where it has no trainer."""
    if entry.paused:
        return Span("❚❚ ", "warn")
    return Span("● " if entry.growing else "", "good")


def _life(entry: ListedRecording) -> Span:
    """The mark with what it means: another host's name, or what the trainer does."""
    found = life_mark(entry)
    if not found.text:
        return found
    means = short(entry.host, LONGEST_HOST) if entry.host else _("paused") if entry.paused else _("live")
    return found._replace(text=f"{found.text}{means} ")


def fit_text(text: str, cells: int) -> str:
    """Text in exactly so many cells, an ellipsis where it was cut."""
    return set_cell_size(short(text, cells), max(cells, 0))


def short(text: str, cells: int) -> str:
    return cut(clean(text), cells)


def epochs(entry: ListedRecording) -> str:
    one, several = _("{epochs} epoch"), _("{epochs} epochs")
    return (one if entry.epochs == 1 else several).format(epochs=f"{entry.epochs:.4g}")


def when(entry: ListedRecording) -> str:
    return f"{entry.when:%Y-%m-%d %H:%M}"


def in_units(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def wrapped(text: str, width: int, look: str, indent: str = "", bullet: str = "", mark: str = "accent") -> list[Row]:
    """Paragraphs as rows (parted by blank lines, not by line breaks); ``bullet`` stands before the first.

    Args:
        mark: style of the bullet.
    """
    paragraphs = [clean(" ".join(part.split())) for part in re.split(r"\n\s*\n", text)]
    lines = [line for part in paragraphs for line in wrap(part, max(width, 8))]
    return [(Span(bullet if at == 0 and bullet else indent, mark), Span(line, look)) for at, line in enumerate(lines)]
