"""Holds what the microscope displays, with pure transitions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from bntui.keyframe import IntArray
from bntui.viewer.microscope.courses import Courses
from bntui.viewer.microscope.specimen import FIGURES, Slide, Specimen
from bntui.viewer.view import RunView
from bntui.viewer.view_state import ViewState

STEPS: Final = 4
SORTS: Final = ("unit", *FIGURES)
"""Sort keys of the list: the number, smallest first, or a figure, largest first."""


@dataclass(frozen=True, slots=True)
class Microscope:
    """What the user has chosen to look at, without any recorded data."""

    look: ViewState
    """Run and keyframe, as in the laboratory."""
    layer: str = ""
    """Name of the normalized layer; if a run has no such layer, its first normalized layer is shown."""
    chosen: int = 0
    """Number of the set: unit, channel, sample, or group of a sample."""
    time: int = 0
    """Time step, if each is normalized separately."""
    marked: int = 0
    """Number of the marked value in the set."""
    playing: int = 0
    """Step that is being played, from 1; 0 shows all steps."""
    listing: bool = False
    sort: str = "unit"
    reverse: bool = False


@dataclass(frozen=True)
class Lens:
    """Everything that the microscope's screen is drawn from."""

    title: str
    run: RunView
    state: Microscope
    number: int
    """Number of the layer in its run."""
    layers: tuple[int, ...]
    """Numbers of all layers with a normalization."""
    runs: int
    """Number of runs with a normalization."""
    slide: Slide
    specimen: Specimen
    courses: Courses
    nearest: float | None
    """Where this keyframe's values were not kept: the epoch of the nearest with them, if there is one."""
    numbers: IntArray | None = None
    """What the samples of the training part are called; None where the recording does not have them."""


def within(state: Microscope, slide: Slide) -> Microscope:
    """The state with its numbers clamped to the slide: layers differ in size, and the last mini-batch is smaller."""

    def clamped(number: int, size: int) -> int:
        return min(max(number, 0), max(size - 1, 0))

    return replace(
        state,
        chosen=clamped(state.chosen, slide.sets),
        time=clamped(state.time, slide.steps),
        marked=clamped(state.marked, slide.count),
    )


def order(slide: Slide, state: Microscope) -> list[int]:
    """Numbers of all sets in the order of the list; NaN comes last."""
    numbers = np.arange(slide.sets)
    figure = slide.figures(state.time).get(state.sort)
    if figure is None:
        return numbers[::-1].tolist() if state.reverse else numbers.tolist()
    keys = figure if state.reverse else -figure
    sorted_numbers: list[int] = numbers[np.argsort(np.where(np.isnan(keys), np.inf, keys), kind="stable")].tolist()
    return sorted_numbers


def moved(state: Microscope, slide: Slide, by: int) -> Microscope:
    """Move ``by`` sets further, in the order of the list while it is open."""
    if not slide.sets:
        return state
    numbers = order(slide, state) if state.listing else list(range(slide.sets))
    at = numbers.index(state.chosen) + by
    return replace(state, chosen=numbers[min(max(at, 0), len(numbers) - 1)])


def sorted_next(state: Microscope, slide: Slide, by: int) -> Microscope:
    """Sort by the next figure that this normalization has, largest first."""
    known = [name for name in SORTS if name == "unit" or name in slide.figures(state.time)]
    at = known.index(state.sort) if state.sort in known else 0
    return replace(state, sort=known[(at + by) % len(known)], reverse=False)


def played(state: Microscope) -> Microscope:
    """Play the next step; after the last one, show all steps."""
    return replace(state, playing=(state.playing + 1) % (STEPS + 1))
