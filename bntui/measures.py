"""The table of measures, read from the declarations of the dataclasses in :mod:`bntui.keyframe`.

A figure is declared once, as a field::

    gamma_gradient: Annotated[SingleArray, Kept("block", "affine", "C", since=2)]
    \"\"\"Gradient of the mini-batch's mean loss with respect to γ, ...\"\"\"

Name and type are the field's, the docstring is the definition, and :class:`Kept` says where a recording keeps it.  From
the table come the recording's columns and arrays, ``bntui show --json``, the names in the help, and docs/measures.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

Place = Literal["row", "layers", "block", "run", "group"]
"""Where a recording keeps a figure.

``row``: a column of the table ``keyframe``; ``layers``: a column of the table of per-layer scalars; ``block``: an array
of the safetensors block; ``run``: with the run, since it never changes; ``group``: each of its members says it.
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where and how a recording keeps a figure."""

    place: Place
    array: str = ""
    """Its array in the block; fields of the same array are stacked in the order of their declaration."""
    shape: str = ""
    """Lengths of its axes, such as ``T × C``; alternatives separated by ``or``; empty for a single value."""
    since: int = 1
    """The first format of recordings that has it; in older ones it is NaN or missing."""
    json: str = ""
    """Key path in ``bntui show --json`` where it is not the field's name."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One field of one of the keyframe's dataclasses."""

    owner: type
    field: str
    type: Any
    """Its type; of a group, the dataclass of its members."""
    kept: Kept
    many: bool = False
    """A group of which there are several, one after another: layers."""

    @property
    def key(self) -> str:
        """``Keyframe.val_loss``: how a panel names it."""
        return f"{self.owner.__name__}.{self.field}"

    @property
    def json(self) -> str:
        """Key path in the JSON object of its owner."""
        return self.kept.json or self.field


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table: a field, and where it is in a keyframe."""

    declared: Declared
    path: tuple[str, ...]
    """Fields that lead to it from the keyframe on: ``("layers", "input", "mean")``; ``layers`` stands for each one."""
    json: str
    """The same path as ``bntui show --json`` spells it."""
    name: str
    """How help calls it: as ``json``, without the layer, and without the quantity where each has one."""


@cache
def declarations(owner: type) -> tuple[Declared, ...]:
    """The fields of a dataclass in their order.

    Raises:
        TypeError: a field is no group of others and does not say where it is kept.
    """
    return tuple(_declared(owner, field, hint) for field, hint in get_type_hints(owner, include_extras=True).items())


def _declared(owner: type, field: str, hint: Any) -> Declared:
    kept = next((note for note in getattr(hint, "__metadata__", ()) if isinstance(note, Kept)), None)
    if kept is not None:
        return Declared(owner, field, get_args(hint)[0], kept)
    group = next((part for part in (hint, *get_args(hint)) if is_dataclass(part)), None)
    if group is None:
        raise TypeError(f"{owner.__name__}.{field} does not say where a recording keeps it: annotate it with Kept")
    return Declared(owner, field, group, Kept("group"), many=get_origin(hint) is tuple)


def table(
    owner: type, path: tuple[str, ...] = (), json: tuple[str, ...] = (), name: tuple[str, ...] = ()
) -> Iterator[Measure]:
    """A row for every field of a dataclass, each group followed by its members."""
    fields = declarations(owner)
    of_type = Counter(one.type for one in fields)
    for one in fields:
        here, key, called = (*path, one.field), (*json, one.json), (*name, one.json)
        yield Measure(one, here, ".".join(key), ".".join(called))
        if one.kept.place == "group":
            alone = not one.many and of_type[one.type] == 1
            yield from table(one.type, here, key, called if alone else ())
