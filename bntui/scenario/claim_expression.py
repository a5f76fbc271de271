"""Parses what a claim compares, such as ``val_accuracy of batch norm > val_accuracy of plain + 0.02``.

A quantity is a figure of a run::

    FIGURE[LAYER] of RUN at PLACE       val_loss of plain, pre_norm.std[linear 3] of plain at start
    highest(FIGURE[LAYER]) of RUN       and lowest(...), mean(...): over all keyframes
    epochs_to(FIGURE >= NUMBER) of RUN  the first epoch at whose end this is true

A place is start, end (the default), best (epoch), kept (the weights that the run ends with), or a number of epochs.  A
claim compares a quantity with another one, times a factor or plus a number, or with a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple, get_args

from bntui.errors import did_you_mean
from bntui.keyframe import LAYER_COLUMNS
from bntui.scenario.figure_reference import OPERATOR
from bntui.text.language import _

Unit = Literal["share", "loss", "epochs", "steps", "rate", "ratio", "gradient", "norm", "value", "monitored", "widths"]
"""Figures are compared only with figures of the same unit."""
Over = Literal["highest", "lowest", "mean"]
"""What is taken over all keyframes of a run."""
OVER: Final = get_args(Over)
EPOCHS_TO: Final = "epochs_to"
PLACES: Final = ("start", "end", "best", "kept")


class Figure(NamedTuple):
    """What is known about a figure of a claim."""

    unit: Unit
    decades: bool = False
    """Its seeds differ by factors, so it is averaged and compared as a logarithm."""
    upper: float | None = None
    """It is never larger."""
    lower: float | None = None
    """It is never smaller."""


OF_RUN: Final = {
    "val_accuracy": Figure("share", upper=1.0),
    "train_accuracy": Figure("share", upper=1.0),
    "val_loss": Figure("loss", lower=0.0),
    "train_loss": Figure("loss", lower=0.0),
    "gap": Figure("loss"),
    "epoch": Figure("epochs", lower=0.0),
    "best_epoch": Figure("epochs", lower=0.0),
    "wait": Figure("epochs", lower=0.0),
    "best": Figure("monitored"),
    "step": Figure("steps", lower=0.0),
    "lr": Figure("rate", decades=True, lower=0.0),
    "gradient_ratio": Figure("ratio", decades=True, lower=0.0),
    "diverged": Figure("share", upper=1.0, lower=0.0),
}
"""Figures of a run.  ``gap`` is the validation loss minus the training loss, ``gradient_ratio`` the norm of the first
layer's weight gradient divided by the last layer's, ``diverged`` 1 where the loss became NaN or infinite, else 0."""
MOVEMENT: Final = "movement"
"""How far the typical unit's input moves between keyframes: the mean absolute change of its median, in mean widths of
its 15-85 percentile band."""
_OF_LAYER: Final[dict[str, Figure]] = {
    "weight_gradient_norm": Figure("gradient", decades=True, lower=0.0),
    "activation_gradient_norm": Figure("gradient", decades=True, lower=0.0),
    "gradient_shift": Figure("gradient", decades=True, lower=0.0),
    "update_ratio": Figure("ratio", decades=True, lower=0.0),
    "weight_norm": Figure("norm", lower=0.0),
    MOVEMENT: Figure("widths", lower=0.0),
}
OF_LAYER: Final = {
    **{
        name: Figure("share", upper=1.0, lower=0.0) if name.endswith("_fraction") else Figure("value")
        for name in LAYER_COLUMNS
    },
    **_OF_LAYER,
}  # fmt: skip
"""Figures of a layer: the per-layer scalars of a keyframe, and ``movement``."""

_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_QUANTITY: Final = re.compile(
    rf"(?:(?P<over>[a-z_]+)\(\s*)?(?P<figure>[A-Za-z_0-9.]+)(?:\[(?P<layer>[^\]]+)\])?"
    rf"(?:\s*(?P<operator>{OPERATOR})\s*(?P<threshold>{_NUMBER}))?(?P<closed>\s*\))?"
    rf"(?: +of +(?P<run>.+?))?(?: +at +(?P<place>{'|'.join(PLACES)}|\d+(?:\.\d+)?))?"
)
_COMPARISON: Final = re.compile(rf"(?P<left>(?:[^()<>]|\([^()]*\))+?)\s*(?P<operator>{OPERATOR})\s*(?P<right>.+)")
_RIGHT: Final = re.compile(
    rf"(?:(?P<factor>{_NUMBER})\s*\*\s*)?(?P<of>.+?)(?:\s+(?P<sign>[-+])\s+(?P<plus>{_NUMBER}))?"
)

Place = str | float
"""One of ``PLACES``, or a number of epochs."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A figure of a run that a claim names: one number per seed."""

    figure: str
    layer: str | None = None
    run: str | None = None
    """None in a scenario with a single run."""
    place: Place = "end"
    over: str = ""
    """``highest``, ``lowest``, ``mean`` or ``epochs_to``; empty for the figure at its place."""
    operator: str = ""
    threshold: float = 0.0
    """``epochs_to``: what is to be reached."""

    @property
    def known(self) -> Figure:
        """What is known about its values."""
        if self.over == EPOCHS_TO:
            return Figure("epochs", lower=0.0)
        return (OF_LAYER if self.layer else OF_RUN)[self.figure]

    @property
    def of_layers(self) -> bool:
        """It is read from keyframes, not from the scalars of an epoch."""
        return self.layer is not None or self.figure == "gradient_ratio"

    @property
    def column(self) -> str:
        """What it is called in a table with a row per run."""
        return str(replace(self, run=None))

    def __str__(self) -> str:
        written = self.figure + (f"[{self.layer}]" if self.layer else "")
        if self.over == EPOCHS_TO:
            written += f" {self.operator} {self.threshold:g}"
        written = f"{self.over}({written})" if self.over else written
        written += f" of {self.run}" if self.run else ""
        return written if self.place == "end" else f"{written} at {_spelled(self.place)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left < factor * right + plus``, or with another operator; without ``right``, compared with ``plus``."""

    left: Quantity
    operator: str
    factor: float = 1.0
    right: Quantity | None = None
    plus: float = 0.0

    @property
    def quantities(self) -> Iterator[Quantity]:
        """What it compares."""
        yield self.left
        if self.right is not None:
            yield self.right


def _spelled(place: Place) -> str:
    return place if isinstance(place, str) else f"{place:g}"


def quantity(text: str) -> Quantity:
    """Parse a quantity.

    Raises:
        ValueError: it is not one, or names a figure that is not recorded.
    """
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or (found["over"] is None) != (found["closed"] is None):
        sentence = _(
            "{text!r} is not a figure; write FIGURE of RUN, FIGURE[LAYER] of RUN at PLACE, or such as {example}"
        )
        raise ValueError(sentence.format(text=text, example="epochs_to(val_accuracy >= 0.9) of RUN"))
    figure, layer, over = found["figure"], found["layer"], found["over"] or ""
    if over not in ("", *OVER, EPOCHS_TO):
        raise ValueError(_unknown(_("there is no {name!r}; there are {names}"), over, (*OVER, EPOCHS_TO)))
    known = OF_LAYER if layer else OF_RUN
    if figure not in known:
        if figure in (OF_RUN if layer else OF_LAYER):
            sentence = _("{figure} is a figure of the run; leave out [{layer}]")
            sentence = sentence if layer else _("{figure} is a figure of a layer; write {figure}[LAYER]")
            raise ValueError(sentence.format(figure=figure, layer=layer))
        raise ValueError(_unknown(_("there is no figure {name!r}; the figures are {names}"), figure, tuple(known)))
    if (over == EPOCHS_TO) != (found["operator"] is not None) or (over == EPOCHS_TO and layer):
        sentence = _("{text!r}: write it as {example}")
        raise ValueError(sentence.format(text=text, example="epochs_to(val_accuracy >= 0.9) of RUN"))
    if found["place"] and (over or figure in (MOVEMENT, "diverged")):
        raise ValueError(_("{text!r}: it is a figure of the whole run; leave out 'at'").format(text=text))
    if over and figure in (MOVEMENT, "diverged", "gradient_ratio"):
        raise ValueError(_("{figure} cannot be in {over}(...)").format(figure=figure, over=over))
    place = found["place"] or "end"
    at: Place = float(place) if place[0].isdigit() else place
    return Quantity(
        figure, layer, found["run"], at, over, found["operator"] or "", float(found["threshold"] or 0)
    )  # fmt: skip


def comparison(text: str) -> Comparison:
    """Parse what a claim asserts.

    Raises:
        ValueError: it is not a comparison, or one that is impossible or always true.
    """
    found = _COMPARISON.fullmatch(text.strip())
    if found is None:
        raise ValueError(_("{text!r} is not a comparison; write FIGURE of RUN > FIGURE of RUN").format(text=text))
    left, operator, right = quantity(found["left"]), found["operator"], found["right"].strip()
    if re.fullmatch(_NUMBER, right):
        compared = Comparison(left, operator, plus=float(right))
    else:
        parts = _RIGHT.fullmatch(right)
        assert parts is not None  # anything matches
        plus = float((parts["sign"] or "") + (parts["plus"] or "0"))
        compared = Comparison(left, operator, float(parts["factor"] or 1), quantity(parts["of"]), plus)
    _refuse_impossible(compared)
    return compared


def _refuse_impossible(compared: Comparison) -> None:
    left, right, limit = compared.left, compared.right, compared.plus
    known = left.known
    if right is None:
        above = known.upper is not None and limit > known.upper
        below = known.lower is not None and (limit < known.lower or (limit == 0 and compared.operator in ("<", ">=")))
        if above and known.unit == "share":
            sentence = _("{figure} is a share from 0 to 1, never above {limit:g}; write 90 % as 0.9")
            raise ValueError(sentence.format(figure=left.figure, limit=limit))
        if below:
            sentence = _("{figure} is never below 0; compared with {limit:g} it says nothing")
            raise ValueError(sentence.format(figure=left.column, limit=limit))
        return
    if left == right:
        raise ValueError(_("{figure} is compared with itself").format(figure=left))
    if right.known.unit != known.unit:
        sentence = _("{left} and {right} cannot be compared: they have different units")
        raise ValueError(sentence.format(left=left.column, right=right.column))
    if known.decades and (compared.plus or compared.factor <= 0):
        sentence = _("{figure} is compared by factors; write 0.1 * {other} instead of adding or subtracting")
        raise ValueError(sentence.format(figure=left.column, other=right))


def _unknown(sentence: str, name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, 1)
    written = sentence.format(name=name, names=", ".join(names))
    return f"{written} {did_you_mean(near[0])}" if near else written
