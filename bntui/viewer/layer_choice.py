"""Moves the choice of a layer, and folds layers into blocks, with pure transitions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal

from bntui.recording.history import Event, RunInfo
from bntui.text.language import _
from bntui.viewer import worst
from bntui.viewer.blocks import foldable
from bntui.viewer.panels import BY_NAME, PANELS, Panel
from bntui.viewer.view import View
from bntui.viewer.view_state import ViewState
from bntui.viewer.worst import CriterionName


def folds(view: View) -> bool:
    """Whether the layers of any run that is shown form blocks."""
    return any(foldable([info.name for info in run.info.layers]) for run in view.shown)


def fold(state: ViewState, view: View) -> tuple[ViewState, str]:
    """Show one row for each block, or for each layer again, and what to say; the chosen layer stays."""
    if state.folded or folds(view):
        return replace(state, folded=not state.folded), ""
    return state, _("Layers fold by the dots in their names, as in encoder.3.fc1; these have no common parts.")


def choose(
    state: ViewState, layer: str, criterion: CriterionName | Literal[""] = "", trouble: Event | None = None
) -> ViewState:
    """Choose a layer, around which panels show their layers; none if empty.

    Args:
        criterion: what the layer was found by.
        trouble: or what went wrong in it.
    """
    return replace(state, layer=layer, criterion=criterion, trouble=trouble)


def step(state: ViewState, names: Sequence[str], by: int) -> ViewState:
    """Choose the layer that is ``by`` further; between the last and the first one is none.

    Args:
        names: the layers that have rows.
    """
    order = ["", *names]
    at = order.index(state.layer) if state.layer in order else 0
    return choose(state, order[(at + by) % len(order)])


def judging(focused: str, there: Collection[str]) -> Panel:
    """The focused panel if it judges layers, else the first one on the screen that does, else the first of all."""
    candidates = (BY_NAME[focused], *(BY_NAME[name] for name in there if name in BY_NAME), *PANELS)
    return next(panel for panel in candidates if panel.worst)


def rows(view: View, panel: Panel) -> list[str]:
    """The layers of the selected run that have a row in a panel."""
    run = view.runs[view.selected]
    return worst.listed(view, [run], [info.name for info in run.info.layers], panel.worst)


def to_trouble(state: ViewState, run: RunInfo, event: Event) -> tuple[ViewState, str]:
    """Choose the layer in which something went wrong.

    Also returns what to say in a notice.  The legend of the timeline says why the layer was chosen, but where a stop
    of a guided tour takes its place.
    """
    layer = str(event.arguments.get("layer", ""))
    there = layer in [info.name for info in run.layers]  # recordings of format 1 do not say
    chosen = choose(state, layer, trouble=event) if there else choose(state, "")
    return chosen, "" if there and state.tour is None else f"{run.called}: {event.text}"


def to_worst(state: ViewState, view: View, panel: Panel) -> tuple[ViewState, str]:
    """Choose the worst layer by a panel's criterion, or the next worst after the chosen one.

    Also returns what to say in a notice, see :func:`to_trouble`.
    """
    run = view.runs[view.selected]
    other = worst.beside(view)
    found = worst.worst(run, panel.worst, other) if run.frame is not None and panel.worst else []
    if not found or not panel.worst:
        return state, _("No layer can be judged by what this panel shows here.")
    at = (found.index(state.layer) + 1) % len(found) if state.layer in found else 0
    chosen = choose(state, found[at], panel.worst)
    if state.tour is None:
        return chosen, ""
    said = worst.verdict(replace(view, layer=chosen.layer, criterion=chosen.criterion))
    return chosen, f"{chosen.layer}: {said[0]}"
