"""Draws the form of a fork: settings, errors, and what the fork would keep."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rich.cells import cell_len, set_cell_size

from bntui.text.figures import epoch
from bntui.text.language import N_, _, ngettext
from bntui.text.widths import cut, ending, ljust, wrap
from bntui.viewer.draw.rows import Drawing, Row, Span, fit
from bntui.viewer.fork.check import ForkCheck
from bntui.viewer.fork.form import ForkForm, Item, heading
from bntui.viewer.fork.keys import CONTROLS, ESSENTIAL
from bntui.viewer.fork.kinds import kind_of
from bntui.viewer.fork.words import SAME_AGAIN, THE_RULE, carried_words
from bntui.viewer.keys import footer_of

NEW_AVERAGES: Final = N_("The optimizer's averages are reset.")
NEW_PATIENCE: Final = N_("Early stopping is reset.")
PROPOSED: Final = N_("The parent's {parent} epochs end here, so {epochs} are suggested; type any number.")
DIVERGES: Final = N_("The loss is not finite here: the fork would diverge at once.")
MAY_DIVERGE: Final = N_("The loss is not finite here: what the fork keeps may make it diverge at once.")
SOUND: Final = N_("The last keyframe with a finite one is at epoch {epoch}; the same samples follow it.")
FIRST: Final = N_("First, {setting}: type another value, or del for the parent's.")
FIRST_OWN: Final = N_("First, {setting}: type another value than the parent's.")
MARKER, CHANGED, WRONG = "▸", "*", "✗"
FOOT: Final = 8
"""Rows below the list: a rule, two of description, two of choices or an error, two of what is kept, and the footer."""
LABEL: Final = 34
"""Maximum cells of a key path."""
VALUE: Final = 12
"""Minimum cells of an error beside a value."""


def lines(form: ForkForm) -> list[int | str]:
    """The rows of the list: names of tables for headings, and indices of settings."""
    found: list[int | str] = []
    group: str | None = None
    for number, item in enumerate(form.items):
        if item.group != group:
            group = item.group
            found.append(group)
        found.append(number)
    return found


def seen(form: ForkForm, height: int) -> ForkForm:
    """Scroll as little as necessary to show the current setting, and the heading if it is directly above."""
    room = max(height - FOOT, 1)
    listed = lines(form)
    place = listed.index(form.at)
    first = place - 1 if isinstance(listed[max(place - 1, 0)], str) else place
    top = min(max(form.top, place - room + 1), first, max(len(listed) - room, 0)) if room > 1 else place
    return replace(form, top=max(top, 0))


def draw(form: ForkForm, verdict: ForkCheck, title: str, width: int, height: int) -> Drawing:
    """The form, exactly ``height`` rows of ``width`` cells; scroll it with :func:`seen` for that height first."""
    room = max(height - FOOT, 1)
    listed = lines(form)
    shown = listed[form.top : form.top + room]
    label = min(max(cell_len(item.label) for item in form.items), LABEL, max(width // 2 - 4, 8))
    rows: list[Row] = []
    for line in shown:
        if isinstance(line, str):
            rows.append((Span(f"  {heading(line)}", "title"),))
        else:
            rows.append(_setting(form, verdict, line, label, width))
    rows += [()] * (room - len(rows))
    rows += _foot(form, verdict, width, f"{form.at + 1}/{len(form.items)}" if len(listed) > room else "")
    return Drawing(title, tuple(fit(row, width) for row in rows[:height]))


def at(form: ForkForm, y: int, height: int) -> int | None:
    """Index of the setting in row ``y`` of the page; None if there is none."""
    listed = lines(form)
    here = form.top + y
    line = listed[here] if 0 <= y < height - FOOT and here < len(listed) else None
    return line if isinstance(line, int) else None


def _setting(form: ForkForm, verdict: ForkCheck, number: int, label: int, width: int) -> Row:
    item = form.items[number]
    here, touched = number == form.at, form.touched(item)
    error = verdict.errors.get(item.setting.path, "")
    mark = Span(f"{WRONG} ", "bold bad") if error else Span(f"{CHANGED} " if touched else "  ", "bold accent")
    name = item.label
    if cell_len(name) > label:
        name = "…" + name[-(label - 1) :]
    row = [
        Span(f"{MARKER} " if here else "  ", "bold accent"),
        mark,
        Span(ljust(name, label) + "  ", "bold" if here else "text"),
    ]
    row += _value(form, item, width - sum(cell_len(span.text) for span in row), here=here)
    left = width - sum(cell_len(span.text) for span in row) - 2
    before = _("was {value}").format(value=item.written)
    if touched and cell_len(before) <= left:
        row.append(Span("  " + before, "muted"))
        left -= cell_len(before) + 2
    if error and left >= VALUE:
        row.append(Span("  " + (error if cell_len(error) <= left else set_cell_size(error, left - 1) + "…"), "bad"))
    return tuple(row)


def _value(form: ForkForm, item: Item, cells: int, *, here: bool) -> list[Span]:
    """A value in so many cells; of a long one that is typed, the end."""
    text = form.text(item)
    style = "bold accent" if form.touched(item) else "text"
    if not here:
        return [Span(cut(text, cells), style)]
    if text in item.choices:
        return [Span("◂ ", "key", "turn(-1)"), Span(text, f"bold {style}"), Span(" ▸", "key", "turn(1)")]
    return [Span(ending(text, cells - 1), style), Span("▏", "key")]


def _foot(form: ForkForm, verdict: ForkCheck, width: int, place: str) -> list[Row]:
    """The rows below the list: description of the setting, its choices or its error, what is kept, and the footer."""
    item = form.item
    tail = f" {place} ─" if place else ""
    rule = Span("─" * max(width - len(tail), 0) + tail, "frame")
    error = verdict.errors.get(item.setting.path, "")
    middle: list[Row]
    if error:
        middle = [(Span(line, "bad"),) for line in _lines(f"{WRONG} {error}", width)]
    elif form.proposes:
        words = _(PROPOSED).format(parent=item.written, epochs=form.proposed)
        middle = [(Span(line, "accent"),) for line in _lines(words, width)]
    elif item.choices:
        middle = [_choices(form, item, width), ()]
    else:
        middle = [(Span(_asked(item), "muted"),), ()]
    return [
        (rule,),
        *((Span(line, "text"),) for line in _lines(item.setting.description, width)),
        *middle,
        *_outlook(form, verdict, width),
        footer_of(CONTROLS, None, width, ESSENTIAL),
    ]


def _asked(item: Item) -> str:
    """A hint at what may be typed."""
    kind = kind_of(item.setting.path)
    said = _("type a number") if kind.numeric else _("type a value")
    words = [word for word in kind.words if word != "none"]
    if words:
        said = _("type a number or {words}").format(words=", ".join(words))
    return _("{typed}; none leaves it out").format(typed=said) if "none" in kind.words else said


def _lines(sentence: str, width: int) -> list[str]:
    """A sentence in exactly two lines, with an ellipsis if it is too long."""
    found = wrap(sentence, width)
    if len(found) > 2:
        found[1] = set_cell_size(found[1], min(cell_len(found[1]), width - 1)).rstrip() + "…"
    return [*found[:2], ""][:2]


def _choices(form: ForkForm, item: Item, width: int) -> Row:
    """The choices that fit, with the current one marked."""
    row: list[Span] = []
    left = width
    text = form.text(item)
    now = item.choices.index(text) if text in item.choices else 0
    for number, choice in enumerate(item.choices):
        here = choice == text
        words = f"[{choice}]" if here else f" {choice} "
        if cell_len(words) > left:
            break
        row.append(Span(words, "bold accent" if here else "muted", f"turn({number - now})"))
        left -= cell_len(words)
    return tuple(row)


def _outlook(form: ForkForm, verdict: ForkCheck, width: int) -> list[Row]:
    """What the fork would keep, or the number of errors, in two rows."""
    if not verdict.valid:
        wrong = len(verdict.errors) + len(verdict.others)
        words = ngettext(
            "{count} problem: the fork cannot start yet.", "{count} problems: the fork cannot start yet.", wrong
        )
        asked = _(FIRST if form.touched(form.item) else FIRST_OWN).format(setting=form.item.setting.path)
        first = [asked] if form.halted and verdict.errors else []
        sentence = " ".join((f"{WRONG} {words.format(count=wrong)}", *first, *verdict.others))
        return [(Span(line, "bad"),) for line in _lines(sentence, width)]
    plan, origin = verdict.plan, form.origin
    if origin.diverged and plan is not None:
        sure = not plan.structural  # new parameters may outweigh those that are kept
        told = [
            _(DIVERGES if sure else MAY_DIVERGE),
            *([] if origin.sound is None else [_(SOUND).format(epoch=epoch(origin.sound))]),
        ]
        return [(Span(line, "bad"),) for line in _lines(" ".join(told), width)]
    if not verdict.differences:
        return [(Span(line, "good"),) for line in _lines(_(SAME_AGAIN), width)]
    found = kept(verdict, width)
    return [(Span(line, "good"),) for line in _lines(found, width)]


def kept(verdict: ForkCheck, width: int) -> str:
    """What a fork keeps of its parent, in the most detailed wording that fits in two lines."""
    plan, state = verdict.plan, verdict.state
    assert plan is not None, "only a valid fork keeps anything"
    rest = ([] if plan.same_optimizer else [_(NEW_AVERAGES)]) + ([] if plan.patience else [_(NEW_PATIENCE)])
    if plan.structural and state is None:
        return " ".join((_(THE_RULE), *rest))
    room = 2 * width - 20 - sum(cell_len(sentence) + 1 for sentence in rest)
    kept, new = (state.kept, state.new) if state is not None else ((), ())
    return " ".join((carried_words(kept, new, room), *rest))
