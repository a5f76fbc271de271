"""The table of measures, read from the declarations of the dataclasses in :mod:`bntui.keyframe`.

A figure is declared once, as a field::

    gamma_gradient: Annotated[SingleArray, Kept("block", "affine", "C", since=2)]
    "Gradient of the mini-batch's mean loss with respect to γ, ..."

The field gives its name and type, its docstring is the definition (see :mod:`bntui.definitions`), and :class:`Kept`
says where a recording keeps it.  The columns and arrays of a recording, ``bntui show --json``, the names in the help
and the list in docs/measures.md are derived from this table.
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
of the safetensors block; ``run``: with the run, because it never changes; ``group``: its members are kept one by one.
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where and how a recording keeps a figure."""

    place: Place
    array: str = ""
    """Name of its array in the block; fields that share an array are stacked in declaration order."""
    shape: str = ""
    """Lengths of the axes, such as ``T × C``; alternatives are separated by ``or``; empty for a single value."""
    since: int = 1
    """The recording format that introduced it; it is NaN or missing in older recordings."""
    json: str = ""
    """Key path in ``bntui show --json``, if it differs from the field's name."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One field of one of the keyframe's dataclasses."""

    owner: type
    field: str
    type: Any
    """Its type; for a group, the dataclass of its members."""
    kept: Kept
    many: bool = False
    """A tuple of groups, such as the layers."""

    @property
    def key(self) -> str:
        """``Keyframe.val_loss``: how a panel names it."""
        return f"{self.owner.__name__}.{self.field}"

    @property
    def json(self) -> str:
        """Key path in the JSON object of its owner."""
        return self.kept.json or self.field

    @property
    def axes(self) -> frozenset[int]:
        """How many axes its array may have."""
        return frozenset(len(shape.split(" × ")) for shape in self.kept.shape.split(" or ") if shape)


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table: a field, and where it is in a keyframe."""

    declared: Declared
    path: tuple[str, ...]
    """Fields from the keyframe down to it, such as ``("layers", "input", "mean")``; ``layers`` means every layer."""
    json: str
    """The same path in ``bntui show --json``."""
    name: str
    """Its name in the help: ``json`` without the layer, and without the quantity for figures of every quantity."""


@cache
def declarations(owner: type) -> tuple[Declared, ...]:
    """The fields of a dataclass, in declaration order.

    Raises:
        TypeError: a field is not a group and has no :class:`Kept`.
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
    """One row per field of a dataclass; a group is followed by its members."""
    fields = declarations(owner)
    of_type = Counter(one.type for one in fields)
    for one in fields:
        here, key, called = (*path, one.field), (*json, one.json), (*name, one.json)
        yield Measure(one, here, ".".join(key), ".".join(called))
        if one.kept.place == "group":
            alone = not one.many and of_type[one.type] == 1
            yield from table(one.type, here, key, called if alone else ())
