"""Defines ``[[tour]]``: stops that ask a question about a place in a recording, and show the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, Field

from bntui.scenario.fields import Line, Panel, Table, refusal
from bntui.scenario.figure_reference import comparison, references
from bntui.scenario.figures import Quantity

MAX_STOPS: Final = 20
T = TypeVar("T")


def _parsed(parse: Callable[[str], object]) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            parse(text)
        except ValueError as error:
            raise refusal(str(error)) from None
        return text

    return check


Text = Annotated[Line, AfterValidator(_parsed(lambda text: list(references(text))))]


class TourStop(Table):
    """``[[tour]]``: one stop of a guided tour."""

    question: Line = Field(description="The question, one short line.")
    answer: Text = Field(
        description="The answer, one short line; {FIGURE[LAYER] of RUN at PLACE} is replaced by the recorded figure."
    )
    at: Annotated[float, Field(ge=0)] | Literal["start", "end", "best", "first bad"] = Field(
        "end", description="Where to look: an epoch, or start, end, best (epoch), first bad (value) of the run."
    )
    run: Line | None = Field(None, description="Name of the selected run. Default: the one of [view].")
    panel: Panel = Field(description="The panel that shows the answer.")
    layer: Line | None = Field(None, description="The layer whose row is highlighted. Default: the run's rows.")
    holds: Annotated[Line, AfterValidator(_parsed(comparison))] | None = Field(
        None,
        description="A comparison of recorded figures, such as gradient_ratio < 1e-3. Where it is false, the stop says"
        " that this recording shows it differently.",
    )

    def references(self) -> Iterator[Quantity]:
        """Every figure that the answer and the comparison refer to."""
        yield from (one for _text, one in references(self.answer))
        if self.holds is not None:
            yield from comparison(self.holds).quantities


class TranslatedStop(Table):
    """``[[translation.ko.tour]]``: the texts of the stop with the same number."""

    question: Line = Field(description="The question, one short line.")
    answer: Text = Field(description="The answer, with the same figures in braces.")


def as_json(tour: tuple[TourStop, ...]) -> list[Mapping[str, object]]:
    """What was set, as recorded."""
    return [stop.model_dump(mode="json", exclude_unset=True) for stop in tour]
