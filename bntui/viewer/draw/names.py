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
LEAST_WORD: Final = 3
"""Characters that are left of a word that is cut."""


def room_for(names: Iterable[str], width: int) -> int:
    """The cells that names need, whole or shortened, in a panel of this width."""
    return _room(tuple(dict.fromkeys(names)), max(width // 3 if width >= ROOMY else width // 6, 3))


def shortened(names: Iterable[str], cells: int) -> Mapping[str, str]:
    """Names in exactly ``cells`` cells each.

    Of a dotted name that is too long, parts are abbreviated or left out from the left (``e.l.12.fc2``, ``…12.fc2``),
    and its last word is cut at the end only.  A form that could stand for two of the names is avoided.
    """
    return _shortened(tuple(dict.fromkeys(names)), cells)


@lru_cache(maxsize=64)
def _room(names: tuple[str, ...], most: int) -> int:
    return max((cell_len(short.rstrip()) for short in _shortened(names, most).values()), default=1)


@lru_cache(maxsize=64)
def _shortened(names: tuple[str, ...], cells: int) -> Mapping[str, str]:
    fitting = {name: [form for form in _forms(name, cells) if cell_len(form) <= cells] for name in names}
    times = Counter(form for forms in fitting.values() for form in set(forms))
    found = {}
    for name, forms in fitting.items():
        form = next((form for form in forms if times[form] == 1), forms[0] if forms else short(name, cells))
        found[name] = set_cell_size(form, cells)
    return found


def _forms(name: str, cells: int) -> Iterator[str]:
    """Forms of a name, the most readable one first."""
    yield name
    parts = name.split(".")
    if len(parts) == 1:
        yield short(name, cells)
        return
    word = max((at for at, part in enumerate(parts) if not part.isdecimal()), default=len(parts) - 1)
    head, tail = [_initials(part) for part in parts[:word]], parts[word:]
    for number in range(1, word + 1):
        yield ".".join([*head[:number], *parts[number:]])
    for number in range(1, word + 1):
        yield "…" + ".".join([*head[number:], *tail])
    left = cells - sum(cell_len(part) + 1 for part in (*head, *tail[1:])) - 1
    if left >= LEAST_WORD:
        yield ".".join([*head, set_cell_size(tail[0], left) + "…", *tail[1:]])
    initials = [*head, _initials(tail[0]), *tail[1:]]
    yield ".".join(initials)
    yield "".join(initials)
    yield short(name, cells)


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
