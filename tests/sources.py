"""Searches the program's source for second copies of declared facts."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

import bntui

ROOT = Path(bntui.__file__).parent
OWN_COPIES = "audit/"
"""The audit shares nothing with what it audits."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(ROOT.rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        if not name.startswith(OWN_COPIES):
            yield name, ast.parse(file.read_text(encoding="utf-8"))


def copies(words: Collection[str], least: int = 2) -> set[str]:
    """Modules that list at least so many of these words: in a tuple, list, set, or as the keys of a table."""
    return {name for name, module in sources() for node in ast.walk(module) if len(listed(node) & set(words)) >= least}


def listed(node: ast.AST) -> set[str]:
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
    parts = [key for key in node.keys if key is not None] if isinstance(node, ast.Dict) else parts
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def assigned(module: ast.Module) -> set[str]:
    return {
        node.target.id for node in module.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
