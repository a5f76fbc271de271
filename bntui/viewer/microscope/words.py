"""Words the names and the diagnoses in the microscope."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from bntui.keyframe import IntArray
from bntui.text.figures import MINUS, count, number, percent
from bntui.text.language import N_, _, ngettext
from bntui.viewer.draw.extremes import root
from bntui.viewer.gates import GATES, LETTERS
from bntui.viewer.microscope.specimen import Slide, Specimen

FEW: Final = 8
"""Number of values below which a batch is called small; a convention of this program."""
DOMINANT: Final = 0.1
"""Share of ε in σ² + ε above which there is a warning; a convention of this program."""
KINDS: Final = {
    "batch": N_("batch normalization"),
    "layer": N_("layer normalization"),
    "group": N_("group normalization"),
}


class Diagnosis(NamedTuple):
    """A sentence, and its style: ``bad``, ``warn`` or ``good``."""

    sentence: str
    style: str

    @property
    def mark(self) -> str:
        return {"bad": "✗", "warn": "⚠", "good": "✓"}[self.style]


def figure(value: float) -> str:
    """A value in 6 cells, the first of which is for the sign."""
    return number(value, 6)


def size(value: float) -> str:
    """A magnitude, without the cell for the sign if it fits."""
    return figure(abs(value)).removeprefix(" ")


def added(value: float) -> str:
    """A value as the second term of a sum: ``+ 0.412`` or ``− 0.412``."""
    return f"{MINUS if value < 0 else '+'} {size(value)}"


def variance(value: float) -> str:
    """A variance in 6 cells, or more where it is large."""
    return number(value, 6, 4)


def set_name(slide: Slide, chosen: int) -> str:
    """The name of a set, counted from 1: ``unit 17``, ``channel 3``, ``sample 5, group 2``."""
    if slide.kind == "layer":
        return _("sample {number}").format(number=chosen + 1)
    if slide.kind == "group":
        sample, group = divmod(chosen, slide.info.groups)
        return _("sample {sample}, group {group}").format(sample=sample + 1, group=group + 1)
    if slide.info.kind == "conv":
        return _("channel {number}").format(number=chosen + 1)
    gates = GATES.get(slide.info.cell)
    if gates is not None:
        gate, unit = divmod(chosen, slide.info.shape[-1])
        return _("{gate}, unit {number}").format(gate=_(gates[gate]), number=unit + 1)
    return _("unit {number}").format(number=chosen + 1)


def short_name(slide: Slide, chosen: int) -> str:
    """The same for a table, below its :func:`heading`: ``17``, ``5·2`` for a sample's group, ``f·17`` for a gate's."""
    if slide.kind == "group":
        sample, group = divmod(chosen, slide.info.groups)
        return f"{sample + 1}·{group + 1}"
    letters = LETTERS.get(slide.info.cell) if slide.kind == "batch" else None
    if letters is not None:
        gate, unit = divmod(chosen, slide.info.shape[-1])
        return f"{letters[gate]}·{unit + 1}"
    return str(chosen + 1)


def heading(slide: Slide) -> str:
    """What :func:`short_name` gives: a number, or the letters of the gates and a number."""
    letters = LETTERS.get(slide.info.cell) if slide.kind == "batch" else None
    return "#" if letters is None else f"{letters}·#"


def gate_names(slide: Slide) -> str:
    """What the letters mean: ``i input gate, f forget gate, …``; empty without gates."""
    letters = LETTERS.get(slide.info.cell) if slide.kind == "batch" else None
    if letters is None:
        return ""
    return ", ".join(f"{letter} {_(name)}" for letter, name in zip(letters, GATES[slide.info.cell], strict=True))


def of_what(slide: Slide) -> str:
    """The number of values in a set, and what they are."""
    values = ngettext("{count} value", "{count} values", slide.count).format(count=count(slide.count))
    if not slide.count:
        return ""
    if slide.kind == "layer":
        return _("{values}: all features of one sample").format(values=values)
    if slide.kind == "group":
        return _("{values}: one group's features of one sample").format(values=values)
    samples, each = len(slide.batch), math.prod(slide.position)
    if slide.info.kind == "conv":
        return _("{values}: {each} pixels of {samples} samples").format(values=values, each=each, samples=samples)
    if slide.info.kind == "recurrent" and slide.position:
        return _("{values}: {each} time steps of {samples} samples").format(values=values, each=each, samples=samples)
    return _("{values}: one of every sample of the mini-batch").format(values=values)


def value_name(slide: Slide, chosen: int, marked: int) -> str:
    """The name of a value in a set, counted from 1: ``sample 13``, ``sample 13, pixel 2, 7``, ``feature 4``."""
    each = math.prod(slide.position)
    place = [int(at) + 1 for at in np.unravel_index(marked % each, slide.position or (1,))]
    if slide.kind == "batch":
        sample = _("sample {number}").format(number=marked // each + 1)
        if slide.info.kind == "conv":
            return _("{sample}, pixel {row}, {column}").format(sample=sample, row=place[0], column=place[1])
        if slide.position:
            return _("{sample}, time step {step}").format(sample=sample, step=place[0])
        return sample
    first = place[0] + (chosen % slide.info.groups * slide.position[0] if slide.kind == "group" else 0)
    if len(place) == 3:
        return _("channel {number}, pixel {row}, {column}").format(number=first, row=place[1], column=place[2])
    return _("feature {number}").format(number=first)


def sample_row(slide: Slide, chosen: int, marked: int, numbers: IntArray | None) -> str:
    """What the sample of the marked value is called; without ``numbers``, its place in the training part from 1."""
    sample = marked // math.prod(slide.position) if slide.kind == "batch" else chosen // slide.info.groups
    place = int(slide.batch[sample])
    if numbers is None or place >= len(numbers):
        return _("(number {number} of the training part)").format(number=count(place + 1))
    return _("(row {row})").format(row=count(int(numbers[place])))


def verdicts(specimen: Specimen) -> tuple[Diagnosis, ...]:
    """What is wrong with a set, with figures; or one sentence that nothing is, and none if its values are unknown."""
    found: list[Diagnosis] = []
    if specimen.x is not None and not np.isfinite(specimen.x).all():
        lost = int((~np.isfinite(specimen.x)).sum())
        words = _("{lost} of {count} values are not finite: mean and variance are not, and so is nothing after them.")
        found.append(Diagnosis(words.format(lost=count(lost), count=count(specimen.count)), "bad"))
    elif math.isnan(specimen.var):
        return ()
    elif specimen.var == 0:
        words = _("Variance 0: x̂ is 0, y is β; backward, gradients grow by γ/√ε = {factor} γ. All values are equal.")
        found.append(Diagnosis(words.format(factor=number(1 / root(specimen.eps), 6, 0).strip()), "bad"))
    elif specimen.eps_share > DOMINANT:
        words = _("ε rules: it is {share} of σ² + ε, and x̂ has a standard deviation of {spread} instead of 1.")
        words = words.format(share=percent(specimen.eps_share).strip(), spread=size(specimen.spread))
        found.append(Diagnosis(words, "warn"))
    if 0 < specimen.count < FEW:
        found.append(_few(specimen))
    if not found and specimen.count:
        sure = _("{count} values: their mean is known to ± {error} of σ.")
        words = sure if specimen.kind == "batch" else _("{count} values.")
        error = percent(1 / math.sqrt(specimen.count)).strip()
        found.append(Diagnosis(words.format(count=count(specimen.count), error=error), "good"))
    return tuple(found)


def _few(specimen: Specimen) -> Diagnosis:
    m = specimen.count
    if specimen.kind != "batch":
        words = _("Only {count} values are normalized together: x̂ says little more than which lie above their mean.")
        return Diagnosis(words.format(count=m), "warn")
    if m == 1:
        return Diagnosis(_("A batch of one value is its own mean: x̂ is 0 whatever it is."), "bad")
    words = _(
        "Small batch, {count} values: from one to the next their mean is off by {mean} of σ, their variance by "
        "{variance}."
    )
    mean, spread = percent(1 / math.sqrt(m)).strip(), percent(math.sqrt(2 / (m - 1))).strip()
    return Diagnosis(words.format(count=m, mean=mean, variance=spread), "warn")
