"""Chooses how much of a long list of cases is tried: a spread of it, or all with ``BNTUI_ALL=1``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")
ALL: Final = "BNTUI_ALL" in os.environ


def spread(cases: Sequence[T], every: int) -> Sequence[T]:
    """Every so many of the cases, beginning with the first; all of them with ``BNTUI_ALL=1``."""
    return cases if ALL else cases[::every]
