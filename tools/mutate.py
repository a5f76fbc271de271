"""Mutation testing: changes one thing in a module at a time and reports the changes that its tests do not detect.

    python -m tools.mutate bntui/insight/drift.py

Each mutant runs in a forked process against its module's tests.  ``docs/mutation.md`` explains the survivors.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.machinery
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

TESTS: Final = {
    "bntui/insight/drift.py": "test_drift",
    "bntui/insight/jury.py": "test_jury test_jury_gaps",
    "bntui/insight/stopping_rules.py": "test_stopping_rules",
    "bntui/insight/verdicts.py": "test_verdicts test_kept",
    "bntui/recording/thinning.py": "test_thinning",
    "bntui/scenario/fork_plan.py": "test_fork_plan",
    "bntui/scenario/state_shapes.py": "test_fork_plan",
    "bntui/viewer/live.py": "test_live",
    "bntui/viewer/live_states.py": "test_live",
    "bntui/viewer/screens/lab_recording.py": "test_lab_recording test_seeds_screen",
    "bntui/viewer/snapshot.py": "test_view_state",
    "bntui/viewer/view_state.py": "test_view_state",
}
"""The tests of each module."""
PRELOADED: Final = (
    "hypothesis.extra.numpy", "pydantic", "pytest", "safetensors.numpy", "sklearn.datasets", "textual.app",
    "torch._dynamo", "typer",
)  # fmt: skip
LIMIT: Final = 60  # seconds for the tests of one mutant
_SWAPS: Final[dict[type, type]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
}  # fmt: skip
_REMOVED: Final = (ast.Assign, ast.AugAssign, ast.Expr, ast.Raise, ast.If, ast.For, ast.While)


class Mutant(NamedTuple):
    line: int
    what: str
    apply: Callable[[], None]


def mutants(tree: ast.Module) -> Iterator[Mutant]:
    for node in _code(tree):
        if isinstance(node, ast.Compare):
            for at, operator in enumerate(node.ops):
                yield _mutant(node, operator, lambda new, node=node, at=at: node.ops.__setitem__(at, new))  # type: ignore[misc]
        elif isinstance(node, ast.BoolOp | ast.BinOp | ast.AugAssign) and type(node.op) in _SWAPS:
            yield _mutant(node, node.op, lambda new, node=node: setattr(node, "op", new))  # type: ignore[misc]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield Mutant(node.lineno, "not removed", lambda node=node: setattr(node, "op", ast.UAdd()))  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
            new = not node.value if isinstance(node.value, bool) else node.value + 1
            yield Mutant(node.lineno, f"{node.value} -> {new}", lambda n=node, v=new: setattr(n, "value", v))  # type: ignore[misc]
        elif isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
            yield Mutant(node.lineno, "return None", lambda node=node: setattr(node, "value", None))  # type: ignore[misc]
        if isinstance(node, ast.FunctionDef | ast.If | ast.For | ast.While | ast.With):
            for body in (node.body, getattr(node, "orelse", [])):
                for at, statement in enumerate(body):
                    text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
                    if isinstance(statement, _REMOVED) and not text:
                        change: Any = lambda body=body, at=at: body.__setitem__(at, ast.Pass())  # noqa: E731
                        yield Mutant(statement.lineno, f"removed: {ast.unparse(statement).splitlines()[0]}", change)


def _mutant(node: ast.expr | ast.stmt, operator: ast.AST, put: Callable[[Any], None]) -> Mutant:
    new = _SWAPS[type(operator)]()
    return Mutant(node.lineno, f"{type(operator).__name__} -> {type(new).__name__}", lambda: put(new))


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that are executed, excluding annotations, decorators, and docstrings."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            yield from _code(child) if isinstance(child, ast.AST) else ()


def survives(path: str, number: int | None, tests: list[str]) -> bool:
    """True if the tests pass with a mutant (None: with the unchanged module); a mutant that times out is killed."""
    child = os.fork()
    if child == 0:
        signal.alarm(LIMIT)
        try:
            for stream in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), stream)
            os._exit(_tested(path, number, tests))
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _tested(path: str, number: int | None, tests: list[str]) -> int:
    original = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: Any, name: str) -> Any:
        if number is None or Path(self.path) != Path(path).resolve():
            return original(self, name)
        tree = ast.parse(Path(path).read_text())
        list(mutants(tree))[number].apply()
        return compile(ast.fix_missing_locations(tree), path, "exec")

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[assignment,method-assign]
    import pytest

    quiet = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*quiet, *tests]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Reports which changes of a module its tests miss.")
    parser.add_argument("modules", nargs="*", default=list(TESTS))
    parser.add_argument("--sample", type=int, default=0, help="number of mutants to test per module; 0: all")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    for name in PRELOADED:
        importlib.import_module(name)
    hypothesis = importlib.import_module("hypothesis")
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]  # counterexamples need not be shrunk
    hypothesis.settings.register_profile("mutants", phases=phases, database=None, derandomize=True)
    hypothesis.settings.load_profile("mutants")
    killed = total = 0
    for path in options.modules:
        tests = [f"tests/{name}.py" for name in TESTS[path].split()]
        if not survives(path, None, tests):
            sys.exit(f"{path}: its tests fail without a mutant")
        found = list(mutants(ast.parse(Path(path).read_text())))
        chosen = sorted(random.Random(0).sample(range(len(found)), min(options.sample or 10**9, len(found))))
        with ThreadPoolExecutor(options.jobs) as pool:
            alive = list(pool.map(lambda number: survives(path, number, tests), chosen))  # noqa: B023
        for number in (number for number, lives in zip(chosen, alive, strict=True) if lives):
            print(f"{path}:{found[number].line}: {found[number].what}")
        killed, total = killed + alive.count(False), total + len(chosen)
        print(f"{path}: {alive.count(False)} of {len(chosen)} killed", flush=True)
    print(f"all: {killed} of {total} killed, {killed / max(total, 1):.1%}")


if __name__ == "__main__":
    main()
