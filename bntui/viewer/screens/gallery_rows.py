"""Draws the gallery with pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size

from bntui.text.language import _
from bntui.text.output import clean
from bntui.text.widths import cut, ljust, rjust, wrap
from bntui.viewer.draw.rows import Drawing, Row, Span, fit
from bntui.viewer.gallery_keys import CONTROLS
from bntui.viewer.keys import footer_of
from bntui.viewer.marks import RUN_MARKS
from bntui.viewer.screens.gallery_state import BESIDE, Gallery, Lists
from bntui.viewer.widgets import framed

if TYPE_CHECKING:
    from bntui.link.library import Entry
    from bntui.scenario.gallery import Card

CURSOR: Final = "❯ "
WHEN: Final = 16
EPOCHS: Final = 10
FACTS: Final = EPOCHS + 2 + WHEN + 2 + 8
"""Width in cells of a recording's epochs, date and size."""


def scrolled(gallery: Gallery, by: int, width: int, height: int) -> Gallery:
    """Scroll the page about the chosen item by ``by`` screenfuls, within its length."""
    wide, tall = _page_size(gallery, width, height)
    room = max(tall - 2, 1)
    most = max(len(_about(gallery, wide - 4)[1]) - room, 0)
    return replace(gallery, scroll=min(max(gallery.scroll + by * room, 0), most))


def _page_size(gallery: Gallery, width: int, height: int) -> tuple[int, int]:
    """Width and height of the page including its border: beside the lists, or below them."""
    body = height - 4
    if width >= BESIDE:
        return width - gallery.list_width(width) - 1, body
    return width - 2, min(12, max(0, body - 9))


def draw(gallery: Gallery, width: int, height: int) -> tuple[tuple[Row, ...], dict[int, tuple[Lists, int]]]:
    """The whole screen, and the item that each line of the lists shows, by row."""
    beside = width >= BESIDE
    lists = gallery.list_width(width)
    body = height - 4
    wide, tall = _page_size(gallery, width, height)
    below = 0 if beside else tall
    column, lines = _lists(gallery, lists - 2, body - below)
    rows: list[Row] = [_head(width), ()]
    if beside:
        page = _page(gallery, wide, tall)
        rows += [(Span(" "), *fit(left, lists - 1), *right) for left, right in zip(column, page, strict=True)]
    else:
        rows += [(Span(" "), *row) for row in column]
        rows += [(Span(" "), *row) for row in (_page(gallery, wide, tall) if below >= 4 else [()] * below)]
    rows += [(), _foot(gallery, width)]
    return tuple(fit(row, width) for row in rows[:height]), {y + 2: item for y, item in lines.items()}


def _head(width: int) -> Row:
    what = _("a laboratory for neural-network training")
    return fit((Span(" bntui", "bold accent"), Span(f"   {what}", "muted")), width)


def _foot(gallery: Gallery, width: int) -> Row:
    if gallery.busy:
        return fit((Span(f" {gallery.busy}", "bold accent"),), width)
    return footer_of(CONTROLS, None, width)


def _lists(gallery: Gallery, width: int, height: int) -> tuple[list[Row], dict[int, tuple[Lists, int]]]:
    """Both lists, one above the other, in exactly ``height`` rows."""
    # the headings and the gap between the lists need three rows
    tall = 2 if 2 * len(gallery.cards) + 3 + 4 <= height else 1
    recorded = max(1, len(gallery.entries or ()))
    for_cards = min(len(gallery.cards) * tall, max(tall, height - 3 - min(recorded, max(2, height // 3))))
    for_cards -= for_cards % tall
    rows: list[Row] = [_heading(_("Scenarios"), gallery.active == "scenarios")]
    lines: dict[int, tuple[Lists, int]] = {}
    for at in _window(len(gallery.cards), gallery.positions.get("scenarios", 0), for_cards // tall):
        chosen = gallery.active == "scenarios" and at == gallery.position
        for row in _card(gallery.cards[at], chosen, width)[:tall]:
            lines[len(rows)] = ("scenarios", at)
            rows.append(row)
    rows += [(), _heading(_("Recordings"), gallery.active == "recordings")]
    if gallery.entries:
        room = max(1, height - len(rows))
        for at in _window(len(gallery.entries), gallery.positions.get("recordings", 0), room):
            chosen = gallery.active == "recordings" and at == gallery.position
            lines[len(rows)] = ("recordings", at)
            rows.append(_entry(gallery.entries[at], chosen, width))
    elif gallery.entries is not None:
        rows += _wrapped(
            _("None yet: every scenario you open is recorded and can be replayed from here."),
            width - 2,
            "muted",
            "  ",
        )
    rows = rows[:height]
    return [*rows, *([()] * (height - len(rows)))], lines


def _heading(name: str, active: bool) -> Row:
    return (Span(name, "bold accent" if active else "bold muted"),)


def _window(count: int, chosen: int, room: int) -> range:
    """The visible items, with the chosen one near the middle."""
    first = min(max(chosen - room // 2, 0), max(count - room, 0))
    return range(first, min(first + room, count))


def _card(card: Card, chosen: bool, width: int) -> list[Row]:
    mark = Span(CURSOR if chosen else "  ", "accent")
    look = "bold" if chosen else "text"
    title: Row = (mark, Span(_short(card.title, width - 2), look))
    if card.problem is not None:
        bad = Span("  " + _("cannot be read"), "bad")
        return [(mark, Span(_short(card.title, width - 2 - cell_len(bad.text)), look), bad), (Span("    "),)]
    return [title, (Span("    "), *_runs(card.runs))]


def _runs(names: Sequence[str]) -> Row:
    spans: list[Span] = []
    for at, name in enumerate(names):
        spans += [
            Span(f"{RUN_MARKS[at % len(RUN_MARKS)]} ", f"run{at % len(RUN_MARKS)}"),
            Span(f"{clean(name)}   ", "muted"),
        ]
    return tuple(spans)


def _entry(entry: Entry, chosen: bool, width: int) -> Row:
    mark = Span(CURSOR if chosen else "  ", "accent")
    look = "bold" if chosen else "text"
    if entry.problem is not None:
        bad = Span("  " + _("cannot be opened"), "bad")
        return (mark, Span(fit_text(clean(entry.path.name), width - 2 - cell_len(bad.text)), look), bad)
    live = Span(_("● live") + " ", "good") if entry.live else Span("")
    names = width - 2 - FACTS - cell_len(live.text)
    if names < 16:
        return (mark, live, Span(_short(entry.title, width - 2 - cell_len(live.text)), look))
    return (
        mark,
        live,
        Span(fit_text(entry.title, names), look),
        Span(f"{rjust(_epochs(entry), EPOCHS)}  {_when(entry)}  {_size(entry):>8}", "muted"),
    )


def fit_text(text: str, cells: int) -> str:
    """Text in exactly ``cells`` cells, with an ellipsis if it is shortened."""
    return set_cell_size(_short(text, cells), max(cells, 0))


def _short(text: str, cells: int) -> str:
    return cut(clean(text), cells)


def _epochs(entry: Entry) -> str:
    one, several = _("{epochs} epoch"), _("{epochs} epochs")
    return (one if entry.epochs == 1 else several).format(epochs=f"{entry.epochs:.4g}")


def _when(entry: Entry) -> str:
    return f"{entry.when:%Y-%m-%d %H:%M}"


def _size(entry: Entry) -> str:
    size = float(entry.size)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _page(gallery: Gallery, width: int, height: int) -> list[Row]:
    """The page about the chosen item, in a border."""
    inner, room = width - 4, height - 2
    title, rows = _about(gallery, inner)
    more = len(rows) - room
    key = "" if more <= 0 else "pgdn ↓" if gallery.scroll < more else "pgup ↑"
    rows = rows[gallery.scroll :][:room]
    rows += [()] * (room - len(rows))
    padded = tuple((Span(" "), *fit(row, inner), Span(" ")) for row in rows)
    return list(framed(Drawing(title, padded), width, focused=False, key=key))


def _about(gallery: Gallery, width: int) -> tuple[str, list[Row]]:
    """Title and all rows of the page, before scrolling."""
    if gallery.card is not None:
        return _("Scenario"), _about_card(gallery.card, gallery.refusals, width)
    if gallery.entry is not None:
        return _("Recording"), _about_entry(gallery.entry, gallery.refusals, width)
    return _("Nothing chosen"), []


def _about_card(card: Card, refusals: Mapping[Path, str], width: int) -> list[Row]:
    rows = [*_wrapped(card.title, width, "bold"), (Span(f"bntui run {card.name}", "muted"),), ()]
    problem = card.problem or refusals.get(card.path)
    if problem:
        more = _("{command} says more").format(command=f"bntui check {card.name}")
        rows += [*_wrapped(problem, width, "bad"), (Span(more, "muted"),), ()]
    if card.problem is not None:
        return rows
    rows += [_runs(card.runs), ()]
    if card.description:
        rows += [*_wrapped(card.description, width, "text"), ()]
    if card.look_for:
        rows.append((Span(_("What to look for"), "bold accent"),))
        for hint in card.look_for:
            rows += _wrapped(hint, width - 2, "text", "  ", "· ")
        rows.append(())
    if card.reference:
        rows += _wrapped(card.reference, width, "muted")
    return rows


def _about_entry(entry: Entry, refusals: Mapping[Path, str], width: int) -> list[Row]:
    rows = [*_wrapped(entry.title, width, "bold"), *_wrapped(str(entry.path), width, "muted"), ()]
    problem = entry.problem or refusals.get(entry.path)
    if problem:
        rows += [*_wrapped(problem, width, "bad"), ()]
    if entry.problem is not None:
        return rows
    facts = ((_("recorded"), _epochs(entry)), (_("last written"), _when(entry)), (_("size"), _size(entry)))
    rows += [
        _runs(entry.runs),
        (),
        *((Span(ljust(name, 14), "muted"), Span(value, "text")) for name, value in facts),
        (),
    ]
    live, replay = _("Its trainer is live: opening it attaches."), _("Opening it replays what was recorded.")
    state = live if entry.live else replay
    return [*rows, *_wrapped(state, width, "good" if entry.live else "muted")]


def _wrapped(text: str, width: int, look: str, indent: str = "", bullet: str = "") -> list[Row]:
    """Paragraphs, which are separated by blank lines, as wrapped rows; ``bullet`` precedes the first row."""
    paragraphs = [clean(" ".join(part.split())) for part in re.split(r"\n\s*\n", text)]
    lines = [line for part in paragraphs for line in wrap(part, max(width, 8))]
    return [
        (Span(bullet if at == 0 and bullet else indent, "accent"), Span(line, look)) for at, line in enumerate(lines)
    ]
