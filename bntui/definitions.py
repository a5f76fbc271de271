"""What does each recorded figure mean?  The docstrings of :mod:`bntui.keyframe`, where definitions stand once.

Read from the source itself, which lies in every installed package: the program keeps no docstring of a field.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

PREFIXES: Final = {"BatchNorm": "batch_norm.", "DropoutMask": "dropout.", "EarlyStopping": "early_stopping."}
"""Where ``bntui show --json`` puts the figures of a class, other than at its top or in each layer and quantity."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One field of one of the keyframe's dataclasses."""

    owner: str
    """Name of the dataclass."""
    field: str
    text: str
    """In English, Markdown, one paragraph: what is translated.  Empty where the field has no docstring."""

    @property
    def key(self) -> str:
        """``Keyframe.val_loss``: how a panel names it."""
        return f"{self.owner}.{self.field}"

    @property
    def name(self) -> str:
        """As ``bntui show --json`` spells it, without the layer and the quantity."""
        return PREFIXES.get(self.owner, "") + self.field


@lru_cache(maxsize=1)
def definitions() -> Mapping[str, Definition]:
    """Every field of every dataclass of the keyframe, by key, in the order of the source."""
    source = resources.files("bntui").joinpath("keyframe.py").read_text(encoding="utf-8")
    found = (one for node in ast.parse(source).body if isinstance(node, ast.ClassDef) for one in _fields(node))
    return {one.key: one for one in found}


def _fields(node: ast.ClassDef) -> list[Definition]:
    """A field's docstring is the string that stands after it."""
    found = []
    for at, line in enumerate(node.body):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            after = node.body[at + 1] if at + 1 < len(node.body) else None
            value = after.value if isinstance(after, ast.Expr) else None
            text = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
            found.append(Definition(node.name, line.target.id, " ".join(text.replace("``", "`").split())))
    return found
