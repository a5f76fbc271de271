"""Draws the gallery with pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len

from bntui.files import in_bytes
from bntui.scenario.measured import findings
from bntui.text.language import _, spoken
from bntui.text.output import clean
from bntui.text.widths import cut, ending, ljust, longest
from bntui.viewer.draw.rows import Drawing, Row, Span, fit, framed, join
from bntui.viewer.gallery_keys import ANSWERS, CONTROLS, Here
from bntui.viewer.keys import footer_of, hints_of
from bntui.viewer.screens.gallery_lists import (
    TRAINED,
    WALKED,
    draw_lists,
    epochs,
    in_units,
    runs_within,
    short,
    when,
    wrapped,
)
from bntui.viewer.screens.gallery_preview import draw_preview
from bntui.viewer.screens.gallery_prompt import Prompt
from bntui.viewer.screens.gallery_state import BESIDE, Gallery, Lists

if TYPE_CHECKING:
    from bntui.link.library import ListedRecording
    from bntui.scenario.gallery import Card

VERDICTS: Final = {"holds": ("✓", "good"), "does not hold": ("✗", "bad"), "undecided": ("?", "warn")}
"""Signs and styles, those of the panel of claims."""
CARET: Final = "▏"
LOW: Final = 22
"""Rows of the page from which a preview is below its words."""
SIDEWAYS: Final = 64
"""Cells of a lower page from which it is beside them."""
SHORTEST: Final = 6
"""Rows of a preview beside words."""
TALLEST: Final = 14
"""Rows of a preview below words."""


def scrolled(gallery: Gallery, by: int, width: int, height: int, rows: int = 0) -> Gallery:
    """Scroll the page about the chosen item by ``by`` times so many rows, or screenfuls, within its length."""
    page = _areas(gallery, *_page_size(gallery, width, height))
    room = max(page.tall, 1)
    most = max(len(_about(gallery, page.wide)[1]) - room, 0)
    return replace(gallery, scroll=min(max(gallery.scroll + by * (rows or room), 0), most))


def on_page(gallery: Gallery, x: int, y: int, width: int, height: int) -> bool:
    """Whether a cell belongs to the page about the chosen item."""
    tall = _page_size(gallery, width, height)[1]
    return x >= gallery.list_width(width) if width >= BESIDE else height - 2 - tall <= y < height - 2


def _page_size(gallery: Gallery, width: int, height: int) -> tuple[int, int]:
    """Width and height of the page including its border: beside the lists, or below them."""
    body = height - 4
    if width >= BESIDE:
        return width - gallery.list_width(width) - 1, body
    return width - 2, min(12, max(0, body - 9))


class _Areas(NamedTuple):
    """What the words on the page take, and the preview below them, or beside them on a low page."""

    wide: int
    tall: int
    preview: tuple[int, int]
    """Width and height; no height without a preview."""


def _areas(gallery: Gallery, width: int, height: int) -> _Areas:
    """How a page of this size is divided."""
    inner, room = width - 4, height - 2
    if gallery.readable and room >= LOW:
        below = min(room // 3, TALLEST)
        return _Areas(inner, room - below - 1, (inner, below))
    if gallery.readable and inner >= SIDEWAYS and room >= SHORTEST:
        beside = inner // 2 - 1
        return _Areas(inner - beside - 2, room, (beside, room))
    return _Areas(inner, room, (0, 0))


def draw(gallery: Gallery, width: int, height: int) -> tuple[tuple[Row, ...], dict[int, tuple[Lists, int]]]:
    """The whole screen, and the item that each line of the lists shows, by row."""
    beside = width >= BESIDE
    lists = gallery.list_width(width)
    body = height - 4
    wide, tall = _page_size(gallery, width, height)
    below = 0 if beside else tall
    column, lines = draw_lists(gallery, lists - 2, body - below)
    rows: list[Row] = [_head(gallery, width), ()]
    if beside:
        page = _page(gallery, wide, tall)
        rows += [(Span(" "), *fit(left, lists - 1), *right) for left, right in zip(column, page, strict=True)]
    else:
        rows += [(Span(" "), *row) for row in column]
        rows += [(Span(" "), *row) for row in (_page(gallery, wide, tall) if below >= 4 else [()] * below)]
    rows += [(), _foot(gallery, width)]
    return tuple(fit(row, width) for row in rows[:height]), {y + 2: item for y, item in lines.items()}


def _head(gallery: Gallery, width: int) -> Row:
    if gallery.query and gallery.prompt is None:
        words = _("only what contains: {words}").format(words=clean(gallery.query))
        return fit((Span(" bntui", "bold accent"), Span(f"   {cut(words, width - 9)}", "accent")), width)
    what = _("a laboratory for neural-network training")
    return fit((Span(" bntui", "bold accent"), Span(f"   {cut(what, width - 9)}", "muted")), width)


def _foot(gallery: Gallery, width: int) -> Row:
    if gallery.busy:
        return fit((Span(f" {gallery.busy}", "bold accent"),), width)
    if gallery.prompt is not None:
        return _prompt(gallery.prompt, width)
    changeable = gallery.entry is not None and not gallery.read_only
    here = Here(recording=changeable, searched=bool(gallery.query), scenarios=bool(gallery.cards))
    return footer_of(CONTROLS, here, width)


def _prompt(prompt: Prompt, width: int) -> Row:
    """What is asked, what has been typed, and the keys that answer; the end of what is typed is always seen."""
    keys = hints_of(ANSWERS[prompt.asks], None, width)
    room = max(width - sum(cell_len(span.text) for span in keys) - 3, 0)
    if prompt.asks == "delete" and prompt.path is not None:
        return fit((Span(f" {_question(prompt.path.stem, prompt.size, room)}  ", "bold warn"), *keys), width)
    asked = ("/" if prompt.asks == "search" else _("New name:")) + " "
    typed = f"{ending(clean(prompt.text), room - cell_len(asked + CARET))}{CARET}"
    return fit((Span(f" {asked}", "bold accent"), Span(f"{typed}  ", "text"), *keys), width)


def _question(name: str, size: int, room: int) -> str:
    """Asks whether to delete a recording; where there is no room, only its name is cut."""
    ask = _("Delete {name} ({size})?")
    frame = cell_len(ask.format(name="", size=in_bytes(size)))
    asked = ask.format(name=short(name, room - frame), size=in_bytes(size))
    return longest(room, f"{asked} {_('This cannot be undone.')}", asked)


def _page(gallery: Gallery, width: int, height: int) -> list[Row]:
    """The page about the chosen item, in a border."""
    inner, page = width - 4, _areas(gallery, width, height)
    title, rows = _about(gallery, page.wide)
    more = len(rows) - page.tall
    key = "" if more <= 0 else "pgdn ↓" if gallery.scroll < more else "pgup ↑"
    rows = rows[gallery.scroll :][: page.tall]
    rows += [()] * (page.tall - len(rows))
    drawn = draw_preview(gallery, *page.preview)
    if page.wide < inner:
        rows = [join(fit(row, page.wide), (Span("  "),), right) for row, right in zip(rows, drawn, strict=True)]
    elif drawn:
        rows += [(), *drawn]
    padded = tuple((Span(" "), *fit(row, inner), Span(" ")) for row in rows)
    click = f"scroll({1 if gallery.scroll < more else -1})"
    return list(framed(Drawing(title, padded), width, focused=False, key=key, click=click))


def _about(gallery: Gallery, width: int) -> tuple[str, list[Row]]:
    """Title and all rows of the page, before scrolling."""
    if gallery.card is not None:
        return _("Scenario"), _about_card(gallery, gallery.card, width)
    if gallery.entry is not None:
        return _("Recording"), _about_entry(gallery.entry, gallery.refusals, width)
    return _("Nothing chosen"), []


def _about_card(gallery: Gallery, card: Card, width: int) -> list[Row]:
    done: list[Span] = []
    if card.original in gallery.trained:
        done += [Span(f"{TRAINED} ", "good"), Span(f"{_('trained to its end')}   ", "muted")]
    if card.original in gallery.walked:
        done += [Span(f"{WALKED} ", "accent"), Span(_("tour walked to its end"), "muted")]
    rows = [*wrapped(card.title, width, "bold"), (Span(f"bntui run {card.name}", "muted"),)]
    rows += [tuple(done), ()] if done else [()]
    problem = card.problem or gallery.refusals.get(card.path)
    if problem:
        more = _("{command} says more").format(command=f"bntui check {card.name}")
        rows += [*wrapped(problem, width, "bad"), (Span(more, "muted"),), ()]
    if card.problem is not None:
        return rows
    rows += [*runs_within(card.runs, width), ()]
    if card.description:
        rows += [*wrapped(card.description, width, "text"), ()]
    if card.look_for:
        rows.append((Span(_("What to look for"), "bold accent"),))
        for hint in card.look_for:
            rows += wrapped(hint, width - 2, "text", "  ", "· ")
        rows.append(())
    if card.claims:
        rows += [*_claims(card, width), ()]
    if card.reference:
        rows += wrapped(card.reference, width, "muted")
    return rows


def _claims(card: Card, width: int) -> list[Row]:
    """What the scenario claims, with the verdict and the figures that were last measured."""
    known = findings(card.path).claims
    rows: list[Row] = [(Span(_("What it claims"), "bold accent"),)]
    for claim in card.claims:
        found = known.get(claim.holds)
        if found is None:
            rows += wrapped(claim.text, width - 2, "text", "  ", "· ")
            continue
        sign, style = VERDICTS.get(found.verdict, ("·", "accent"))
        rows += wrapped(claim.text, width - 2, "text", "  ", f"{sign} ", f"bold {style}")
        rows += wrapped(found.said.get(spoken(), ""), width - 4, "muted", "    ", "  ")
    seeds = max((found.seeds for found in known.values()), default=0)
    if seeds:
        legend = _("✓ holds, ✗ does not hold, ? undecided over {seeds} seeds; ± 95 % interval. Repeat it: {command}")
        rows += wrapped(legend.format(seeds=seeds, command=f"bntui verify {card.name}"), width, "muted")
    return rows


def _about_entry(entry: ListedRecording, refusals: Mapping[Path, str], width: int) -> list[Row]:
    rows = [*wrapped(entry.title, width, "bold"), *wrapped(str(entry.path), width, "muted"), ()]
    problem = entry.problem or refusals.get(entry.path)
    if problem:
        rows += [*wrapped(problem, width, "bad"), ()]
    if entry.problem is not None:
        return rows
    facts = ((_("recorded"), epochs(entry)), (_("last written"), when(entry)), (_("size"), in_units(entry.size)))
    rows += [
        *runs_within(entry.runs, width),
        (),
        *((Span(ljust(name, 14), "muted"), Span(value, "text")) for name, value in facts),
        (),
    ]
    state, look = _("Opening it replays what was recorded."), "muted"
    if entry.paused:
        state, look = _("Its trainer is paused: open it and press space to train on."), "warn"
    elif entry.live and entry.watched:
        state, look = _("Its training loop is running: opening it follows it."), "good"
    elif entry.live:
        state, look = _("Its trainer is live: opening it attaches."), "good"
    elif entry.host:
        state, look = _("A trainer on {host} is live: opening it only replays.").format(host=entry.host), "good"
    elif not entry.ended and not entry.watched:
        state, look = _("It is unfinished: open it to see what was recorded, and press space to resume it."), "warn"
    return [*rows, *wrapped(state, width, look)]
