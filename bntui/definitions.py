"""Reads the definition of each recorded figure from the docstrings of :mod:`bntui.keyframe`.

They are parsed from the source file, which every installed package contains, because Python discards docstrings of
fields.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from bntui.keyframe import MEASURES


@dataclass(frozen=True, slots=True)
class Definition:
    """A field of one of the keyframe's dataclasses."""

    owner: str
    """Name of the dataclass."""
    field: str
    name: str
    """Its name in ``bntui show --json``, without the layer and the quantity; see :class:`bntui.measures.Measure`."""
    text: str
    """In English, one paragraph of Markdown, as it is translated.  Empty if the field has no docstring."""

    @property
    def key(self) -> str:
        """``Keyframe.val_loss``, as panels refer to it."""
        return f"{self.owner}.{self.field}"


@lru_cache(maxsize=1)
def definitions() -> Mapping[str, Definition]:
    """All fields of the keyframe's dataclasses by key, in source order."""
    called = {one.declared.key: one.name for one in MEASURES}
    source = resources.files("bntui").joinpath("keyframe.py").read_text(encoding="utf-8")
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    found = ((node.name, field, text) for node in classes for field, text in _fields(node))
    every = (Definition(owner, field, called[f"{owner}.{field}"], text) for owner, field, text in found)
    return {one.key: one for one in every}


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Names and docstrings of a class's fields; a field's docstring is the string that follows it."""
    for at, line in enumerate(node.body):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            after = node.body[at + 1] if at + 1 < len(node.body) else None
            value = after.value if isinstance(after, ast.Expr) else None
            text = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
            yield line.target.id, " ".join(text.replace("``", "`").split())
