"""Searches the program's source for second copies of declared facts."""

from __future__ import annotations

import ast
from collections.abc import Collection
from functools import cache
from pathlib import Path

import bntui

ROOT = Path(bntui.__file__).parent
OWN_COPIES = "audit/"
"""The audit shares nothing with what it audits."""


@cache
def sources() -> tuple[tuple[str, ast.Module], ...]:
    files = {file.relative_to(ROOT).as_posix(): file for file in sorted(ROOT.rglob("*.py"))}
    return tuple(
        (name, ast.parse(file.read_text(encoding="utf-8")))
        for name, file in files.items()
        if not name.startswith(OWN_COPIES)
    )


@cache
def _lists() -> tuple[tuple[str, frozenset[str]], ...]:
    """Modules, and the words of each list in them."""
    lists = ((name, frozenset(listed(node))) for name, module in sources() for node in ast.walk(module))
    return tuple((name, words) for name, words in lists if words)


def copies(words: Collection[str], least: int = 2) -> set[str]:
    """Modules that list at least so many of these words: in a tuple, list, set, or as the keys of a table."""
    return {name for name, found in _lists() if len(found & set(words)) >= least}


def listed(node: ast.AST) -> set[str]:
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
    parts = [key for key in node.keys if key is not None] if isinstance(node, ast.Dict) else parts
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def assigned(module: ast.Module) -> set[str]:
    return {
        node.target.id for node in module.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
