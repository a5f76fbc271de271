"""Tests that a class name has one meaning in the program, and that functions take few parameters."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping

import pytest

from tests.sources import ROOT

MEANT = {
    # what users write in a loop, by the library or by what is recorded
    "BntuiCallback": {
        "watching/hugging_face.py", "watching/keras.py", "watching/lightning.py", "watching/skorch.py",
    },
    "Recorder": {"watching/pytorch/recorder.py", "watching/record.py"},
    "EarlyStopping": {"keyframe.py", "watching/stopping.py"},
    # the same thing, of which the audit has its own
    "Activation": {"audit/activations.py", "scenario/activations.py"},
    "Batch": {"audit/progress.py", "trainer/batches.py"},
    "Plateau": {"audit/stopping.py", "trainer/optim.py"},
    "Trouble": {"audit/trouble.py", "trainer/first_failure.py"},
    # the same thing in a scenario, and in a recording
    "TourStop": {"recording/tour.py", "scenario/tour.py"},
    # PyTorch's name: what a keyframe measures of it, and what an engine computes
    "BatchNorm": {"keyframe.py", "trainer/engine/normalizations.py"},
}  # fmt: skip
"""Class names that several modules define, and why."""

MOST_PARAMETERS = 6
MANY_PARAMETERS = {
    # the public functions, whose parameters are what users tell
    ("watching/pytorch/watch.py", "watch"), ("watching/record.py", "keyframe"),
}  # fmt: skip


def modules() -> Iterator[tuple[str, ast.Module]]:
    """All modules of the program, the audit's too."""
    for file in sorted(ROOT.rglob("*.py")):
        yield file.relative_to(ROOT).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def definitions() -> Mapping[str, set[str]]:
    """The modules that define each class name; private ones do not count."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, module in modules():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add(name)
    return found


def with_many_parameters() -> Iterator[tuple[str, str]]:
    """Functions with many parameters, except commands, whose options are their parameters."""
    for name, module in modules():
        for node in ast.walk(module):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = sum(one.arg not in ("self", "cls") for one in given)
            if count > MOST_PARAMETERS and "command()" not in map(ast.unparse, node.decorator_list):
                yield name, node.name


def test_a_class_name_is_defined_in_one_module() -> None:
    assert {name: where for name, where in definitions().items() if len(where) > 1} == MEANT


@pytest.mark.parametrize("name", ["View", "Keyframe", "AuditedRun"])
def test_definitions_are_found(name: str) -> None:
    assert len(definitions()[name]) == 1


def test_a_function_takes_few_parameters_or_an_object() -> None:
    found = set(with_many_parameters())
    assert ("watching/pytorch/watch.py", "watch") in found
    assert found <= MANY_PARAMETERS
