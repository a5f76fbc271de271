"""Shortens layers' names to a column's width so that they stay distinguishable and look alike."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import takewhile
from typing import Final, NamedTuple

from rich.cells import cell_len, set_cell_size

ROOMY: Final = 44
"""Cells of a panel in which names may take a third."""
LEFT: Final = 28
"""Cells that names leave to the figures of a narrower panel, in which they take a sixth at least."""
WHOLE: Final = 1000
"""Letters of a word that is not cut."""


class Rule(NamedTuple):
    """How a name is shortened."""

    last: int
    """Letters of its last word."""
    ends: int
    """Words at its end that are never left out."""
    letters: int
    """Letters of the other words."""


RULES: Final = tuple(
    Rule(last, ends, letters)
    for last in (WHOLE, 8, 6, 5, 4, 3, 2, 1)
    for ends in (WHOLE, 2, 1)
    for letters in (WHOLE, 4, 3, *((2, 1) if last < 6 else ()))
)  # fmt: skip
"""From the one with the most readable names on."""


def room_for(names: Iterable[str], width: int) -> int:
    """The cells that names need, whole or shortened, in a panel of this width."""
    return _room(tuple(dict.fromkeys(names)), max(min(width // 3, max(width - LEFT, width // 6)), 3))


def shortened(names: Iterable[str], cells: int) -> Mapping[str, str]:
    """Names in exactly ``cells`` cells each, no two alike if there is room.

    If some are too long, all lose the words that they start with in common.  If they still are, one rule shortens all:
    it cuts words, the last one last (``3.att.sel.query``), or leaves out those in the middle that have no number
    (``3…query``).  Names of blocks, which have a number before their last word, have a rule of their own.
    """
    return _shortened(tuple(dict.fromkeys(names)), cells)


@lru_cache(maxsize=64)
def _room(names: tuple[str, ...], most: int) -> int:
    return max((cell_len(short.rstrip()) for short in _shortened(names, most).values()), default=1)


@lru_cache(maxsize=64)
def _shortened(names: tuple[str, ...], cells: int) -> Mapping[str, str]:
    chosen: dict[str, str] = {}
    for of_block in (True, False):
        group = [name for name in names if any(map(_has_number, _parts(name)[:-1])) is of_block]
        chosen |= _alike(group, cells, set(chosen.values()))
    return {name: set_cell_size(chosen[name], cells) for name in names}


def _alike(names: Sequence[str], cells: int, used: Collection[str]) -> dict[str, str]:
    """Names shortened by the first rule whose forms fit and are distinct, or each in a way of its own."""
    for forms in _forms(names):
        fitting = list(takewhile(lambda form: cell_len(form) <= cells, forms))
        if len(fitting) == len(names) and len({*fitting, *used}) == len(names) + len(used):
            return dict(zip(names, fitting, strict=True))
    found: dict[str, str] = {}
    for name in names:
        free = (form for form in _ends(name, cells) if form not in used and form not in found.values())
        found[name] = next(free, name)
    return found


def _forms(names: Sequence[str]) -> Iterator[Iterable[str]]:
    """All names in ever shorter forms."""
    yield names
    every = [_parts(name) for name in names]
    common = _common([parts for parts in every if len(parts) > 1])
    own = [parts[common:] if len(parts) > 1 else parts for parts in every]
    for rule in RULES:
        yield map(partial(_by, rule), own)
    yield ("".join(map(_initials, parts)) for parts in own)


def _parts(name: str) -> list[str]:
    """The parts of a dotted name; a number at its end stays with its word: ``downsample.0``."""
    parts = name.split(".")
    if len(parts) > 1 and parts[-1].isdecimal() and not parts[-2].isdecimal():
        parts[-2:] = [".".join(parts[-2:])]
    return parts


def _has_number(part: str) -> bool:
    return re.search(r"\d", part) is not None


def _common(names: Sequence[Sequence[str]]) -> int:
    """The number of words before a number that all names, if there are several, start with."""
    alike = 0
    for parts in zip(*(parts[:-1] for parts in names), strict=False) if len(names) > 1 else ():
        if len(set(parts)) > 1 or _has_number(parts[0]):
            break
        alike += 1
    return alike


def _by(rule: Rule, parts: Sequence[str]) -> str:
    """A name of these parts shortened by a rule."""
    out = []
    for at, part in enumerate(parts[:-1]):
        kept = at == 0 or at >= len(parts) - rule.ends or _has_number(part)
        out.append(_cut(part, rule.letters) if kept else "…")
    return re.sub(r"\.?(?:…\.)+", "…", ".".join([*out, _cut(parts[-1], rule.last)]))


def _cut(part: str, letters: int) -> str:
    """The first letters of a part, with its last number: ``layer1`` as ``lay1``."""
    if part.isdecimal() or len(part) <= letters:
        return part
    found = re.fullmatch(r"(.*?\D)(\.?\d*)", part)
    word, number = (found[1], found[2]) if found else (part, "")
    return word[:letters].rstrip("_ ") + number or part


def _initials(part: str) -> str:
    """The initials of a part's words, with their numbers: ``layer1`` as ``l1``, ``encoder_layer_0`` as ``el0``."""
    if part.isdecimal():
        return part
    words = [word for word in part.split("_") if word]
    return "".join(word if word.isdecimal() else word[0] + re.sub(r".*\D", "", word[1:]) for word in words) or part


def _ends(name: str, cells: int) -> Iterator[str]:
    """Forms of the letters at both ends of a name, the longest and most balanced ones first."""
    for end in sorted(range(1, cells), key=lambda end: abs(2 * end - cells)):
        for start in range(cells - 1 - end, -1, -1):
            if cell_len(form := f"{name[:start]}…{name[-end:]}") <= cells:
                yield form
