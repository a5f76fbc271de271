"""Shortens layers' names to a column's width so that they stay distinguishable and their last word readable."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from rich.cells import cell_len, set_cell_size

ROOMY: Final = 44
"""Cells of a panel from which names may take a third of it; a narrower one gives them a sixth."""
CUTS: Final = (4, 3)
"""Letters that are left of a word that is cut and can still be read, the most first."""


def room_for(names: Iterable[str], width: int) -> int:
    """The cells that names need, whole or shortened, in a panel of this width."""
    return _room(tuple(dict.fromkeys(names)), max(width // 3 if width >= ROOMY else width // 6, 3))


def shortened(names: Iterable[str], cells: int) -> Mapping[str, str]:
    """Names in exactly ``cells`` cells each.

    Of a dotted name that is too long, the words are left out that all dotted names start with; then words are cut,
    those before the last one first, or left out (``3.linear1``, ``enc.lay.3.fc2``, ``0.att…query``).  Initials
    (``l1.0.c1``) are the last choice.  A form that could stand for two of the names is avoided.
    """
    return _shortened(tuple(dict.fromkeys(names)), cells)


@lru_cache(maxsize=64)
def _room(names: tuple[str, ...], most: int) -> int:
    return max((cell_len(short.rstrip()) for short in _shortened(names, most).values()), default=1)


@lru_cache(maxsize=64)
def _shortened(names: tuple[str, ...], cells: int) -> Mapping[str, str]:
    shared = {numbered: _shared(names, numbered=numbered) for numbered in (False, True)}
    fitting = {
        name: [form.rstrip() for form in _forms(name, cells, shared[_is_numbered(name)]) if cell_len(form) <= cells]
        for name in names
    }
    times = Counter(form for forms in fitting.values() for form in set(forms))
    chosen = {name: name for name in names if cell_len(name) <= cells}
    for name, forms in fitting.items():
        if name not in chosen and (form := next((form for form in forms if times[form] == 1), None)) is not None:
            chosen[name] = form
    used = set(chosen.values())
    for name, forms in fitting.items():
        if name not in chosen:
            free = (form for form in (*forms, *_ends(name, cells)) if form not in used)
            chosen[name] = next(free, forms[0] if forms else short(name, cells))
            used.add(chosen[name])
    return {name: set_cell_size(chosen[name], cells) for name in names}


def _ends(name: str, cells: int) -> Iterator[str]:
    """Forms of the letters at both ends of a name, where no other form is free."""
    for end in range(1, len(name)):
        for start in range(min(cells, len(name) - end) + 1):
            if cell_len(form := f"{name[:start]}…{name[-end:]}") <= cells:
                yield form


def _parts(name: str) -> list[str]:
    """The parts of a dotted name; a number at its end stays with its word: ``downsample.0``."""
    parts = name.split(".")
    if len(parts) > 1 and parts[-1].isdecimal() and not parts[-2].isdecimal():
        parts[-2:] = [".".join(parts[-2:])]
    return parts


def _is_numbered(name: str) -> bool:
    return any(part.isdecimal() for part in _parts(name)[:-1])


def _shared(names: tuple[str, ...], *, numbered: bool) -> int:
    """The number of words that all dotted names with, or without, a number in them start with."""
    dotted = [_parts(name) for name in names if "." in name and _is_numbered(name) is numbered]
    if len(dotted) < 2:
        return 0
    alike = 0
    for parts in zip(*(parts[:-1] for parts in dotted), strict=False):
        if len(set(parts)) > 1 or parts[0].isdecimal():
            break
        alike += 1
    return alike


def _forms(name: str, cells: int, shared: int) -> Iterator[str]:
    """Forms of a name, the most readable one first."""
    yield name
    parts = _parts(name)
    if len(parts) == 1:
        if "." in name:
            yield from (_cut(name, letters) for letters in (8, 6, *CUTS))
        yield short(name, cells)
        return
    own = parts[shared:]
    yield ".".join(own)
    numbered = next((own[at:] for at, part in enumerate(own[:-1]) if part.isdecimal()), own)
    for rest in (own, numbered):
        mark = "" if rest is own else "…"
        for letters in (64, *CUTS):
            yield mark + ".".join([*(_cut(part, letters) for part in rest[:-1]), rest[-1]])
        yield from _without_middle(rest)
    for last in (64, 8, 6, *CUTS, 2, 1):
        for letters in (2, 1):
            yield ".".join([*(_cut(part, letters) for part in own[:-1]), _cut(own[-1], last)])
    for word in (own, parts):
        yield "".join(_initials(part) for part in word)
    yield short(name, cells)


def _without_middle(parts: list[str]) -> Iterator[str]:
    """Forms that leave out words between two numbers or ends, never a number: ``0.att…query``."""
    if len(parts) < 3 or any(part.isdecimal() for part in parts[1:-2]):
        return
    first, last = parts[0], parts[-1]
    if len(parts) > 3:
        yield f"{first}…{parts[-2]}.{last}"
    if not parts[-2].isdecimal():
        yield from (f"{first}.{_cut(parts[1], letters)}…{last}" for letters in CUTS if len(parts) > 3)
        yield f"{first}…{last}"
        yield from (f"{first}…{_cut(last, letters)}" for letters in CUTS)


def _cut(part: str, letters: int) -> str:
    """The first letters of a part, with its last number: ``layer1`` as ``lay1``."""
    if part.isdecimal() or len(part) <= letters:
        return part
    found = re.fullmatch(r"(.*?\D)(\.?\d*)", part)
    word, number = (found[1], found[2]) if found else (part, "")
    return word[:letters].rstrip("_") + number or part


def _initials(part: str) -> str:
    """The initials of a part's words, with their numbers: ``layer1`` as ``l1``, ``encoder_layer_0`` as ``el0``."""
    if part.isdecimal():
        return part
    words = [word for word in part.split("_") if word]
    return "".join(word if word.isdecimal() else word[0] + re.sub(r".*\D", "", word[1:]) for word in words) or part


def short(name: str, cells: int) -> str:
    """A name in exactly ``cells`` cells, whatever other names there are.

    One that is too long keeps its number (``linear 12`` as ``lin12``), one with dots its end (``…12.fc2``, ``12…fc2``).
    """
    if cell_len(name) > cells > 1 and "." in name:
        parts = name.split(".")
        number = next((part for part in reversed(parts[:-1]) if part.isdecimal()), "")
        ends = (f"…{'.'.join(parts[first:])}" for first in range(1, len(parts)))
        fitting = next((end for end in ends if cell_len(end) <= cells), f"…{parts[-1]}")
        tells = not number or f"…{number}." in fitting or f".{number}." in fitting
        return set_cell_size(fitting if tells else f"{number}…{parts[-1]}", cells)
    if cell_len(name) > cells and (numbered := re.fullmatch(r"(.*\D)(\d+)", name)):
        head, number = numbered[1].rstrip(), numbered[2]
        if len(number) < cells:
            return set_cell_size(set_cell_size(head, min(cells - len(number), 3)).rstrip() + number, cells)
    return set_cell_size(name, cells)
