"""Groups layers into blocks by the parts of their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache


def block_of(name: str) -> str:
    """The block of a layer: ``layer1.0`` of ``layer1.0.conv1``, ``encoder.layers.3`` of ``encoder.layers.3.norm.1``.

    It ends with the first number that is not the end of the name; without one, it is all but the last part.  A name
    without dots is a block of its own.
    """
    parts = name.split(".")
    numbered = (at for at, part in enumerate(parts[:-1], 1) if re.fullmatch(r"(.*_)?\d+", part))
    return ".".join(parts[: next(numbered, max(len(parts) - 1, 1))])


@lru_cache(maxsize=64)
def blocks(names: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """The layers of each block, in the order of their first layers.  A single layer is a block under its own name."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(block_of(name), []).append(name)
    return {block if len(own) > 1 else own[0]: tuple(own) for block, own in found.items()}


def foldable(names: Sequence[str]) -> bool:
    """Whether any block has several layers."""
    return len(blocks(tuple(names))) < len(names)


def one_of_each(names: Sequence[str], worst: Sequence[str], chosen: str = "") -> list[str]:
    """One layer of each block: the chosen one, else the first one in ``worst``, which are sorted, the worst first."""
    place = {name: at for at, name in reversed(list(enumerate(worst)))}

    def rank(name: str) -> tuple[bool, int]:
        return name != chosen, place.get(name, len(worst))

    return [min(own, key=rank) for own in blocks(tuple(names)).values()]
