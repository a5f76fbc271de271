"""Declares the figures of runs that claims, tours and sweeps can name, and parses their names and comparisons.

A quantity is a figure of a run::

    FIGURE[LAYER] of RUN at PLACE       val_loss of plain, pre_norm.std[linear 3] of plain at start
    highest(FIGURE[LAYER]) of RUN       and lowest(...), mean(...): over all keyframes
    epochs_to(FIGURE >= NUMBER) of RUN  the first epoch at whose end this is true

A comparison is one of a quantity with another one, times a factor or plus a number, or with a number.
"""

from __future__ import annotations

import math
import operator as operators
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final, Literal, NamedTuple, get_args

from bntui.errors import did_you_mean
from bntui.keyframe import LAYER_COLUMNS
from bntui.text.language import _

Unit = Literal["share", "loss", "epochs", "steps", "rate", "ratio", "gradient", "norm", "value", "monitored", "widths"]
"""Figures are compared only with figures of the same unit."""
Over = Literal["highest", "lowest", "mean"]
"""What is taken over all keyframes of a run."""
OVER: Final = get_args(Over)
EPOCHS_TO: Final = "epochs_to"
OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "<=": operators.le, ">=": operators.ge, "<": operators.lt, ">": operators.gt,
}  # fmt: skip


class Figure(NamedTuple):
    """What is known about a figure."""

    unit: Unit
    decades: bool = False
    """Its seeds differ by factors, so it is averaged and compared as a logarithm."""
    upper: float | None = None
    """It is never larger."""
    lower: float | None = None
    """It is never smaller."""
    whole: bool = False
    """It is a figure of the whole run, which has no place."""


GRADIENT_RATIO: Final = "gradient_ratio"
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
    GRADIENT_RATIO: Figure("ratio", decades=True, lower=0.0),
    "diverged": Figure("share", upper=1.0, lower=0.0, whole=True),
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
    MOVEMENT: Figure("widths", lower=0.0, whole=True),
}
OF_LAYER: Final = {
    **{
        name: Figure("share", upper=1.0, lower=0.0) if name.endswith("_fraction") else Figure("value")
        for name in LAYER_COLUMNS
    },
    **_OF_LAYER,
}  # fmt: skip
"""Figures of a layer: the per-layer scalars of a keyframe, and ``movement``."""

Place = str | float
"""A place that a grammar names, or a number of epochs."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A figure of a run: one number per seed."""

    figure: str
    layer: str | None = None
    run: str | None = None
    """None in a scenario with a single run, and for the run of the stop of a tour."""
    place: Place | None = "end"
    """None for the place of the stop of a tour."""
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
        return self.layer is not None or self.figure == GRADIENT_RATIO

    @property
    def name(self) -> str:
        """The figure with its layer."""
        return self.figure + (f"[{self.layer}]" if self.layer else "")

    @property
    def column(self) -> str:
        """What it is called in a table with a row per run."""
        return str(replace(self, run=None))

    def __str__(self) -> str:
        written = self.name
        if self.over == EPOCHS_TO:
            written += f" {self.operator} {_exact(self.threshold)}"
        written = f"{self.over}({written})" if self.over else written
        written += f" of {self.run}" if self.run else ""
        return written if self.place in ("end", None) else f"{written} at {_spelled(self.place)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left < factor * right + plus``, or another of ``OPERATORS``; without ``right``, compared with ``plus``."""

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

    def holds(self, left: float, right: float = math.nan) -> bool:
        """Compare values of the quantities; a value that is not a number fulfils nothing."""
        limit = self.plus if self.right is None else self.factor * right + self.plus
        return bool(OPERATORS[self.operator](left, limit))


def _spelled(place: Place | None) -> str:
    return _exact(place) if isinstance(place, float) else str(place)


def _exact(number: float) -> str:
    """A number with all its digits: workers and caches are given quantities as text."""
    if number.is_integer() and abs(number) < _EXACT:
        return str(int(number))
    return repr(number)


# --- parsing ---

_EXACT: Final = 1e15
"""Whole numbers up to this one are written without an exponent, which an epoch cannot have."""
_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_OPERATOR: Final = "|".join(OPERATORS)
_COMPARISON: Final = re.compile(rf"(?P<left>(?:[^()<>]|\([^()]*\))+?)\s*(?P<operator>{_OPERATOR})\s*(?P<right>.+)")
_RIGHT: Final = re.compile(
    rf"(?:(?P<factor>{_NUMBER})\s*\*\s*)?(?P<of>.+?)(?:\s+(?P<sign>[-+])\s+(?P<plus>{_NUMBER}))?"
)


@dataclass(frozen=True, slots=True)
class Grammar:
    """What quantities can be named somewhere."""

    places: tuple[str, ...]
    """The places of a run apart from numbers of epochs."""
    place: Place | None
    """The place of a figure without one."""
    whole: bool
    """Figures of whole runs can be named, such as ``epochs_to(val_accuracy >= 0.9)``."""

    def figures(self, *, of_layer: bool) -> tuple[str, ...]:
        """The names of the figures."""
        return tuple(name for name, one in (OF_LAYER if of_layer else OF_RUN).items() if self.whole or not one.whole)

    def quantity(self, text: str) -> Quantity:
        """Parse a quantity.

        Raises:
            ValueError: it is not one, or names a figure that is not recorded.
        """
        found = _quantity(self.places).fullmatch(text.strip())
        if found is None or (found["over"] is None) != (found["closed"] is None) or (found["over"] and not self.whole):
            raise ValueError(self._not_a_figure(text))
        figure, layer, over = found["figure"], found["layer"], found["over"] or ""
        if over not in ("", *OVER, EPOCHS_TO):
            raise ValueError(_unknown(_("there is no {name!r}; there are {names}"), over, (*OVER, EPOCHS_TO)))
        known = self.figures(of_layer=layer is not None)
        if figure not in known:
            if figure in self.figures(of_layer=layer is None):
                sentence = _("{figure} is a figure of the run; leave out [{layer}]")
                sentence = sentence if layer else _("{figure} is a figure of a layer; write {figure}[LAYER]")
                raise ValueError(sentence.format(figure=figure, layer=layer))
            raise ValueError(_unknown(_("there is no figure {name!r}; the figures are {names}"), figure, known))
        if (over == EPOCHS_TO) != (found["operator"] is not None) or (over == EPOCHS_TO and layer):
            if not self.whole:
                raise ValueError(self._not_a_figure(text))
            sentence = _("{text!r}: write it as {example}")
            raise ValueError(sentence.format(text=text, example=_EXAMPLE))
        whole = (OF_LAYER if layer else OF_RUN)[figure].whole
        if found["place"] and (over or whole):
            raise ValueError(_("{text!r}: it is a figure of the whole run; leave out 'at'").format(text=text))
        if over and (whole or figure == GRADIENT_RATIO):
            raise ValueError(_("{figure} cannot be in {over}(...)").format(figure=figure, over=over))
        place = found["place"]
        at: Place | None = self.place if place is None else float(place) if place[0].isdigit() else place
        return Quantity(
            figure, layer, found["run"], at, over, found["operator"] or "", float(found["threshold"] or 0)
        )  # fmt: skip

    def comparison(self, text: str) -> Comparison:
        """Parse a comparison, such as ``gradient_ratio < 1e-3`` or ``val_loss of He < 0.5 * val_loss of plain``.

        Raises:
            ValueError: it is not one.
        """
        found = _COMPARISON.fullmatch(text.strip())
        if found is None:
            sentence = _("{text!r} is not a comparison; write FIGURE < NUMBER or FIGURE > FIGURE")
            raise ValueError(sentence.format(text=text))
        left, operator, right = self.quantity(found["left"]), found["operator"], found["right"].strip()
        if re.fullmatch(_NUMBER, right):
            return Comparison(left, operator, plus=float(right))
        parts = _RIGHT.fullmatch(right)
        assert parts is not None  # anything matches
        plus = float(parts["plus"] or 0) * (-1 if parts["sign"] == "-" else 1)
        return Comparison(left, operator, float(parts["factor"] or 1), self.quantity(parts["of"]), plus)

    def _not_a_figure(self, text: str) -> str:
        if not self.whole:
            return _("{text!r} is not a figure; write FIGURE[LAYER] of RUN at PLACE").format(text=text)
        sentence = _(
            "{text!r} is not a figure; write FIGURE of RUN, FIGURE[LAYER] of RUN at PLACE, or such as {example}"
        )
        return sentence.format(text=text, example=_EXAMPLE)


_EXAMPLE: Final = "epochs_to(val_accuracy >= 0.9) of RUN"


def _quantity(places: Sequence[str]) -> re.Pattern[str]:
    """Matches a quantity; :mod:`re` keeps what it compiled."""
    return re.compile(
        rf"(?:(?P<over>[a-z_]+)\(\s*)?(?P<figure>[A-Za-z_0-9.]+)(?:\[(?P<layer>[^\]]+)\])?"
        rf"(?:\s*(?P<operator>{_OPERATOR})\s*(?P<threshold>{_NUMBER}))?(?P<closed>\s*\))?"
        rf"(?: +of +(?P<run>.+?))?(?: +at +(?P<place>{'|'.join(places)}|\d+(?:\.\d+)?))?"
    )


def _unknown(sentence: str, name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, 1)
    written = sentence.format(name=name, names=", ".join(names))
    return f"{written} {did_you_mean(near[0])}" if near else written
