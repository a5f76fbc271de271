"""Sorts the layers of a run from the worst on, by what each panel shows, and says why in a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Concatenate, Final, Literal, ParamSpec, TypeVar

import numpy as np

from bntui.recording.history import Event
from bntui.recording.sentences import traits
from bntui.text.figures import count, magnitude, percent
from bntui.text.language import N_, _
from bntui.viewer import blocks
from bntui.viewer.compared import farthest, written
from bntui.viewer.moves import columns_of, movements
from bntui.viewer.view import CriterionName as CriterionName
from bntui.viewer.view import RunView, View

P = ParamSpec("P")
S = TypeVar("S")
Wordings = tuple[str, ...]
"""Ways to say the same, the longest first."""
LARGEST: Final = 1e300
"""Stands for what is not finite, which is worse than anything else."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """What makes a layer bad in a panel."""

    badness: Callable[[RunView, RunView | None], list[float]]
    """Of each layer of a run that stands beside another one; NaN for one that is not judged."""
    why: Callable[[RunView, RunView | None, int], Wordings]
    """What is said about a layer, given by number, without its name."""
    folded: str
    """What the row of a block shows, marked for translation."""
    troubles: bool = True
    """Layers in which something went wrong are the worst."""


def _values(run: RunView) -> list[float]:
    """The dead or saturated share; below any of these, a deviation of 0, and how far others are from the median."""
    layers = run.frame.layers if run.frame is not None else ()
    fractions = [one.saturated_fraction if math.isnan(one.dead_fraction) else one.dead_fraction for one in layers]
    far = _decades([one.pre_norm.std for one in layers])
    found = []
    for one, fraction, decades in zip(layers, fractions, far, strict=True):
        finite = one.pre_norm.empty or math.isfinite(one.pre_norm.std)
        share = 1e4 + fraction if fraction > 0 else 1e3 if one.pre_norm.std == 0 else decades
        found.append(share if finite else LARGEST)
    return found


def _why_values(run: RunView, at: int) -> Wordings:
    assert run.frame is not None
    layer = run.frame.layers[at]
    deviation = layer.pre_norm.std
    if not math.isfinite(deviation):
        return (_("values are not finite"),)
    if layer.dead_fraction > 0:
        return (_("{share} of the units are dead").format(share=_share(layer.dead_fraction)),)
    if layer.saturated_fraction > 0:
        return (_("{share} of the values are saturated").format(share=_share(layer.saturated_fraction)),)
    return _compared(_("standard deviation"), deviation, [one.pre_norm.std for one in run.frame.layers])


def _gradients(run: RunView) -> list[float]:
    """How far a norm is from the layers' median, in decades."""
    norms, layers = _norms(run), run.frame.layers if run.frame is not None else ()
    unknown = [
        "weight_gradient_norm" in info.absent or layer.uncalled
        for info, layer in zip(run.info.layers, layers, strict=False)
    ]
    return [
        math.nan if dash else LARGEST if not norm > 0 or norm == math.inf else decades
        for norm, decades, dash in zip(norms, _decades(norms), unknown, strict=True)
    ]


def _why_gradients(run: RunView, at: int) -> Wordings:
    norms = _norms(run)
    if not math.isfinite(norms[at]):
        return (_("the gradient is not finite"),)
    if norms[at] == 0:
        return (_("the gradient is exactly 0"),)
    return _compared("|∂L/∂W|", norms[at], norms)


def _norms(run: RunView) -> list[float]:
    return [layer.weight_gradient_norm for layer in run.frame.layers] if run.frame is not None else []


def _masks(run: RunView) -> list[float]:
    """How far the kept share is from the expected one."""
    masks = [layer.dropout for layer in run.frame.layers] if run.frame is not None else []
    return [math.nan if mask is None else abs(mask.kept_fraction - (1 - mask.p)) for mask in masks]


def _why_masks(run: RunView, at: int) -> Wordings:
    assert run.frame is not None
    layer = run.frame.layers[at]
    assert layer.dropout is not None
    kept, expected = _share(layer.dropout.kept_fraction), _share(1 - layer.dropout.p)
    return (_("{kept} of the values kept, {expected} expected").format(kept=kept, expected=expected),)


def _moves(run: RunView) -> list[float]:
    """How far the median moves from keyframe to keyframe, in widths of its band."""
    return list(movements(run.history, tuple(columns_of(run.info, info) for info in run.info.layers)))


def _why_moves(run: RunView, at: int) -> Wordings:
    return (_("moves by {times} × its spread per keyframe").format(times=magnitude(_moves(run)[at]).strip()),)


def _differences(run: RunView, other: RunView | None) -> list[float]:
    """How far the figure is from the other run's that differs most."""
    if run.frame is None or other is None or other.frame is None:
        return [math.nan] * len(run.info.layers)
    found = farthest(run.frame, other.frame)
    return [min(found[info.name].apart, LARGEST) or math.nan for info in run.info.layers]


def _why_differences(run: RunView, other: RunView | None, at: int) -> Wordings:
    assert run.frame is not None
    assert other is not None
    assert other.frame is not None
    name = run.info.layers[at].name
    figure = farthest(run.frame, other.frame)[name].figure
    one, another = (written(value, figure.kind).strip() for value in (figure.one, figure.other))
    words = _("{figure} is {one} in {run} and {another} in {other}")
    named = words.format(
        figure=figure.name, one=one, another=another, run=f"{run.mark} {run.name}", other=f"{other.mark} {other.name}"
    )
    return named, words.format(figure=figure.name, one=one, another=another, run=run.mark, other=other.mark)


def _alone(judge: Callable[Concatenate[RunView, P], S]) -> Callable[Concatenate[RunView, RunView | None, P], S]:
    """What judges a run whatever stands beside it."""

    def judged(run: RunView, _other: RunView | None, /, *args: P.args, **kwargs: P.kwargs) -> S:
        return judge(run, *args, **kwargs)

    return judged


CRITERIA: Final[dict[CriterionName, Criterion]] = {
    "values": Criterion(
        _alone(_values), _alone(_why_values), N_("each block's layer with most dead or saturated units")
    ),
    "gradients": Criterion(_alone(_gradients), _alone(_why_gradients), N_("smallest and largest of each block")),
    "masks": Criterion(_alone(_masks), _alone(_why_masks), N_("each block's mask farthest from what is expected")),
    "moves": Criterion(_alone(_moves), _alone(_why_moves), N_("each block's layer that moves most")),
    "differences": Criterion(_differences, _why_differences, N_("largest difference in each block"), troubles=False),
}
FOLDED: Final = N_("worst of each block")
"""A shorter wording for all of them."""


def ranked(run: RunView, criterion: CriterionName, other: RunView | None = None) -> list[int]:
    """Numbers of the layers that a criterion judges, the worst first; of equal ones, the first in the network.

    Args:
        other: the run that stands beside it.
    """
    found = CRITERIA[criterion].badness(run, other)
    return sorted((at for at, value in enumerate(found) if not math.isnan(value)), key=lambda at: -found[at])


def worst(run: RunView, criterion: CriterionName, other: RunView | None = None) -> list[str]:
    """The layers of a run's events of trouble in their order, then the others that a criterion judges."""
    names = [info.name for info in run.info.layers]
    first = _troubled(run) if CRITERIA[criterion].troubles else ()
    return list(dict.fromkeys((*first, *(names[at] for at in ranked(run, criterion, other)))))


def why(run: RunView, criterion: CriterionName, layer: str, other: RunView | None = None) -> Wordings:
    """Why a layer is among the worst: the event of trouble, or the figure that the criterion judges."""
    event = _troubled(run).get(layer)
    if event is not None and CRITERIA[criterion].troubles:
        return _happened(event)
    names = [info.name for info in run.info.layers]
    return CRITERIA[criterion].why(run, other, names.index(layer))


def _happened(event: Event) -> Wordings:
    short = _("{event} at step {step}").format(event=_(traits(event.kind).word), step=count(event.step))
    return event.text.rstrip("."), short


def verdict(view: View) -> Wordings:
    """What went wrong in the chosen layer of the selected run if it was found by that, else its rank among the worst
    and why; none if it is not judged."""
    run, other = view.runs[view.selected], beside(view)
    if view.trouble is not None:
        return _happened(view.trouble) if view.trouble.run == run.info.index else ()
    found = worst(run, view.criterion, other) if view.criterion and run.frame is not None else []
    if not view.criterion or view.layer not in found:
        return ()
    said = why(run, view.criterion, view.layer, other)
    rank = _("{number} of {count}, worst first: {why}")
    at = found.index(view.layer) + 1
    return *(rank.format(number=at, count=len(found), why=words) for words in said), *said


def beside(view: View) -> RunView | None:
    """The run that is shown beside the selected one."""
    return view.shown[1] if len(view.shown) > 1 else None


def _troubled(run: RunView) -> dict[str, Event]:
    """The first event of trouble of each layer, in their order."""
    names = {info.name for info in run.info.layers}
    found: dict[str, Event] = {}
    for event in sorted(run.events, key=lambda event: event.step):
        layer = str(event.arguments.get("layer", ""))
        if traits(event.kind).trouble and layer in names:
            found.setdefault(layer, event)
    return found


def listed(
    view: View, runs: Sequence[RunView], names: Sequence[str], criterion: CriterionName | Literal[""]
) -> list[str]:
    """The layers that have a row: all of these, or one of each block, the worst by a criterion."""
    if not (view.folded and criterion):
        return list(names)
    order = [run.info.layers[at].name for run in runs for at in ranked(run, criterion, beside(view))]
    return blocks.one_of_each(names, order, view.layer)


def _share(fraction: float) -> str:
    return percent(fraction).strip()


def _compared(figure: str, value: float, values: Sequence[float]) -> Wordings:
    times = magnitude(value / _median(values)).strip()
    long, short = _("{figure} {value}, {times} × the median of the layers"), _("{figure} {times} × the median")
    of = {"figure": figure, "value": magnitude(value).strip(), "times": times}
    return long.format(**of), short.format(**of)


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if 0 < value < math.inf]
    return float(np.median(known)) if known else math.nan


def _decades(values: Sequence[float]) -> list[float]:
    """How many decades each value is from the median of all; NaN for one without a logarithm."""
    middle = _median(values)
    return [abs(math.log10(value / middle)) if 0 < value < math.inf else math.nan for value in values]
