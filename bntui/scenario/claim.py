"""Defines ``[[claim]]``: what a scenario asserts about its runs, in words and as a comparison of figures."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from bntui.scenario.claim_expression import comparison
from bntui.scenario.fields import Line, Table, refusal
from bntui.scenario.figures import Comparison


def _comparison(text: str) -> str:
    try:
        comparison(text)
    except ValueError as error:
        raise refusal(str(error)) from None
    return text


class Claim(Table):
    """``[[claim]]``: a sentence about the runs that ``bntui verify`` tests over many seeds."""

    text: Line = Field(description="What is claimed, in one sentence.")
    holds: Annotated[Line, AfterValidator(_comparison)] = Field(
        description="The same as a comparison of figures, such as val_accuracy of batch norm > val_accuracy of plain."
    )

    @property
    def comparison(self) -> Comparison:
        """What :attr:`holds` says."""
        return comparison(self.holds)
