"""Compares values by identity, as keys of what is kept of them: a recorded figure never changes."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Identical(Generic[T]):
    """A value that equals only itself; as long as this is a key, no other value can have its identity."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identical) and self.value is other.value
