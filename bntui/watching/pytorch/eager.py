"""Keeps ``torch.compile`` away: from measured steps, which run eagerly, and from the functions that look at them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])


def untraced(function: F) -> F:
    """A function that a compiler does not trace into, as it would where the loop compiles its optimizer's step.

    It is kept: give a function of a module or a class, not a method of an object.
    """
    if "torch._dynamo" not in sys.modules:  # nothing can be compiled yet, and importing it takes long
        return function
    hidden: F = _disabled(function)
    return hidden


@cache
def _disabled(function: Any) -> Any:
    """The function itself takes next to nothing, but PyTorch takes long to make it."""
    return torch.compiler.disable(function)  # type: ignore[no-untyped-call]


class Eager:
    """Makes all that is compiled run eagerly, from now on until :meth:`end`."""

    def __init__(self) -> None:
        # Any: what it keeps is no part of PyTorch's documented interface
        self._set: Any = torch.compiler.set_stance("force_eager")

    def end(self) -> None:
        """Give back the stance from before.

        If the loop, or another recorder, has set one of its own meanwhile, that stays; ours becomes the one from
        before, because it is what they restore at their end.
        """
        ours, before = self._set.stance, self._set.prev
        for field in fields(ours):
            setattr(ours, field.name, getattr(before, field.name))
        if sys.modules["torch._dynamo.eval_frame"]._stance is ours:
            self._set.__exit__(None, None, None)


def eager() -> Eager | None:
    """What makes all that is compiled run eagerly; None if nothing can be."""
    return Eager() if "torch._dynamo" in sys.modules else None
