"""Defines ``[study]``: with how many seeds the runs of a scenario are trained."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from bntui.keyframe import MOST_SEEDS
from bntui.scenario.fields import Table

_END: Final = 2**63

Seeds = Annotated[int, Field(ge=1, le=MOST_SEEDS)]


class Study(Table):
    """``[study]``: the same runs with other seeds."""

    seeds: Seeds = Field(
        1,
        description="Number of seeds with which every run is trained: its own, which is recorded in full, and the ones"
        " that follow it, whose curves are recorded as a band.",
    )


def other_seeds(seed: int, count: int) -> tuple[int, ...]:
    """The seeds that follow a run's own, so that there are ``count`` with it."""
    return tuple((seed + number) % _END for number in range(1, count))
