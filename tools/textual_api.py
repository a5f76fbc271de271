"""Checks that Textual's private API is used in one file only, and that the installed Textual has what that file needs.

python -m tools.textual_api

Prints what is wrong and exits 1, or prints the version of Textual that was checked.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import bntui
import bntui.viewer
from bntui.viewer.terminal import textual_private
from bntui.viewer.terminal.textual_private import NEEDED, Needed
from tools import takes_no_options

ROOT: Final = Path(bntui.__file__).parent
LIBRARIES: Final = ("textual", "rich")
PUBLIC: Final = ("_replace", "_asdict", "_make", "_fields")
"""Documented methods of named tuples."""
BY_NAME: Final = ("getattr", "setattr", "hasattr", "delattr")

Names = frozenset[str]


class Use(NamedTuple):
    """A private name of Textual in our source."""

    line: int
    name: str


# --- what is private ---


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def names_of(library_class: type) -> Names:
    """Private names that one class defines: those of the class, and those that its methods set on an instance."""
    return frozenset(filter(private, vars(library_class))) | _of_instances(library_class.__module__).get(
        library_class.__name__, frozenset()
    )


@lru_cache(None)
def _of_instances(module: str) -> dict[str, Names]:
    """Private names that the methods of a module's classes use of their instances."""
    source = inspect.getsource(importlib.import_module(module))
    return {
        node.name: frozenset(
            each.attr
            for each in ast.walk(node)
            if isinstance(each, ast.Attribute) and _of_instance(each) and private(each.attr)
        )
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
    }


def inherited(our_class: type) -> Names:
    """Private names that a class has from Textual or Rich."""
    return frozenset().union(*(names_of(base) for base in our_class.__mro__ if _of_library(base)))


def _of_library(found: type) -> bool:
    return found.__module__.split(".")[0] in LIBRARIES


def _of_instance(node: ast.Attribute) -> bool:
    """``self.name``, ``cls.name`` or ``super().name``."""
    if isinstance(node.value, ast.Name):
        return node.value.id in ("self", "cls")
    return isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "super"


# --- where it is used ---


def uses(source: str, classes: Mapping[str, Names], known: Names) -> list[Use]:
    """Private names of Textual or Rich in a module.

    Args:
        classes: what each class of the module has from Textual, by its name.
        known: what any class that we have to do with has from Textual.
    """
    nodes = list(ast.walk(ast.parse(source)))
    return sorted({*_imports(nodes), *_of_others(nodes, known), *_of_ourselves(nodes, classes)})


def _imports(nodes: Sequence[ast.AST]) -> Iterator[Use]:
    for node in nodes:
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            library, *rest = module.split(".")
            if library in LIBRARIES and any(map(private, rest)):
                yield Use(node.lineno, module)


def _of_others(nodes: Sequence[ast.AST], known: Names) -> Iterator[Use]:
    """``app._exit``, and ``getattr(app, "_exit")``."""
    imported = (alias for node in nodes if isinstance(node, ast.Import) for alias in node.names)
    modules = {(alias.asname or alias.name).split(".")[0] for alias in imported}
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in known and not _of_instance(node):
            if not (isinstance(node.value, ast.Name) and node.value.id in modules):
                yield Use(node.lineno, node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_NAME:
            for argument in node.args:
                if isinstance(argument, ast.Constant) and argument.value in known:
                    yield Use(node.lineno, str(argument.value))


def _of_ourselves(nodes: Sequence[ast.AST], classes: Mapping[str, Names]) -> Iterator[Use]:
    """What a subclass uses, overrides, or invents though Textual has the name already."""
    for ours in (node for node in nodes if isinstance(node, ast.ClassDef)):
        names = classes.get(ours.name, frozenset())
        if not names:
            continue
        for node in ast.walk(ours):
            if isinstance(node, ast.Attribute) and node.attr in names and _of_instance(node):
                yield Use(node.lineno, node.attr)
        for statement in ours.body:
            for name in _defined(statement):
                if name in names:
                    yield Use(statement.lineno, name)


def _defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


class Viewer(NamedTuple):
    """What the viewer's modules have from Textual."""

    classes: Mapping[str, Mapping[str, Names]]
    """By module and class."""
    known: Names


def viewer() -> Viewer:
    """Imports all of the viewer."""
    classes: dict[str, dict[str, Names]] = {}
    known: set[str] = set()
    for found in pkgutil.walk_packages(bntui.viewer.__path__, "bntui.viewer."):
        module = importlib.import_module(found.name)
        mine = classes.setdefault(found.name, {})
        for name, value in vars(module).items():
            if inspect.isclass(value):
                known |= inherited(value)
                if value.__module__ == found.name:
                    mine[name] = inherited(value)
    return Viewer(classes, frozenset(known))


def by_module() -> dict[str, list[Use]]:
    """Every use in bntui, by module."""
    found = viewer()
    out = {}
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join((ROOT.name, *path.relative_to(ROOT).with_suffix("").parts))
        out[module] = uses(path.read_text(encoding="utf-8"), found.classes.get(module, {}), found.known)
    return out


# --- whether Textual has it ---


def described(value: object) -> str:
    """A value as :class:`Needed` describes it."""
    if inspect.isclass(value):
        try:
            parameters = inspect.signature(value).parameters.values()
        except ValueError:  # of an exception, say
            return "class ()"
        return f"class ({', '.join(map(_parameter, parameters))})"
    if inspect.isroutine(value):
        return f"({', '.join(map(_parameter, inspect.signature(value).parameters.values()))})"
    return "None" if value is None else type(value).__name__


def _parameter(parameter: inspect.Parameter) -> str:
    return f"*{parameter.name}" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else parameter.name


async def missing(needed: Iterable[Needed]) -> list[str]:
    """What the installed Textual lacks of these, or has otherwise; to be awaited in a process that may lose signals."""
    from textual._xterm_parser import XTermParser
    from textual.app import App
    from textual.drivers.linux_driver import LinuxDriver
    from textual.screen import Screen

    app: App[Any] = App()
    fresh = {App: app, Screen: Screen(), LinuxDriver: LinuxDriver(app), XTermParser: XTermParser()}
    out = []
    for owner, name, what in needed:
        there = _resolved(owner)
        value = getattr(there, name, _ABSENT)
        if value is _ABSENT and inspect.isclass(there):
            value = getattr(fresh.get(there), name, _ABSENT)
        if value is _ABSENT:
            out.append(f"{owner} has no {name}")
        elif described(value) != what:
            out.append(f"{owner}.{name} is {described(value)}, not {what}")
    return out


_ABSENT: Final = object()


def _resolved(owner: str) -> Any:
    """A module, or a class in it."""
    module, _, name = owner.rpartition(".")
    if name[:1].isupper():
        return getattr(importlib.import_module(module), name)
    return importlib.import_module(owner)


def wrong() -> list[str]:
    """Everything that is wrong with the installed Textual, or with us."""
    here = textual_private.__name__
    found = by_module()
    out = [f"{module}:{use.line} uses {use.name}" for module, all_ in found.items() if module != here for use in all_]
    used, declared = {use.name.rpartition(".")[2] for use in found[here]}, {needed.name for needed in NEEDED}
    out += [f"{here}: {name} is not declared in NEEDED" for name in sorted(used - declared)]
    private_and_unused = {needed.name for needed in NEEDED if private(needed.name)} - used
    out += [f"{here}: {name} is declared in NEEDED and not used" for name in sorted(private_and_unused)]
    return out + asyncio.run(missing(NEEDED))


def main() -> int:
    problems = wrong()
    print("\n".join(problems) or f"textual {version('textual')}: nothing is missing")
    return 1 if problems else 0


if __name__ == "__main__":
    takes_no_options(__doc__)
    sys.exit(main())
