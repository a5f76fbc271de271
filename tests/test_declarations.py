"""Tests that every fact is declared once: dependents follow the declaration, and there is no second list."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from bntui import activity
from bntui.audit import activations as audited_activations
from bntui.audit import events as audited
from bntui.audit import trouble as audited_trouble
from bntui.insight.verdicts import EXPLODING_ABOVE, STEP_EXPLODING_FROM, VANISHING_BELOW
from bntui.keyframe import HISTOGRAM_BINS, MASK_SAMPLES, Foreign, LayerKind
from bntui.lessons import lesson
from bntui.recording import histograms, sentences
from bntui.recording.history import Event
from bntui.recording.sentences import DEAD_BELOW, EVENT_KINDS, EventKind, EventTraits, is_over, traits
from bntui.scenario import activations
from bntui.scenario.activations import ACTIVATIONS, SATURATED_WITHIN, Activation, ActivationName, activation
from bntui.text import language
from bntui.viewer import family_rows, quantities, troubles
from bntui.viewer.draw.rows import text
from bntui.viewer.microscope import picture, words
from bntui.viewer.panels import (
    curves,
    data_picture,
    drift,
    stopping,
    timeline,
)
from bntui.viewer.view import RunView
from tests import factory
from tests.sources import ROOT, assigned, copies, listed, sources


def test_a_copy_would_be_found() -> None:
    assert listed(ast.parse("ENDS = ('finished', 'diverged')").body[0].value) == {"finished", "diverged"}  # type: ignore[attr-defined]
    assert copies(get_args(EventKind)) >= {"recording/sentences.py"}


# --- kinds of events ---


def test_kinds_of_events_are_listed_in_their_declaration_alone() -> None:
    assert copies(get_args(EventKind)) == {"recording/sentences.py"}


def test_every_kind_is_declared_and_has_sentences() -> None:
    assert set(EVENT_KINDS) == set(get_args(EventKind))
    assert all(one.sentences for one in EVENT_KINDS.values())
    spoken = [sentence for one in EVENT_KINDS.values() for sentence in one.sentences]
    assert len(set(spoken)) == len(spoken), "a sentence says which kind it belongs to"


def test_what_goes_wrong_is_told_aloud_and_seen() -> None:
    for one in EVENT_KINDS.values():
        assert not one.wrong or one.severity == "error"
        assert not one.trouble or (one.charted and one.severity in ("warning", "error"))
        assert not one.charted or (one.word and one.mark != "·")
        assert one.ends is None or one.word, "the page of all runs says in a word what ended one"


def test_the_audit_holds_the_same_kinds_to_end_a_run() -> None:
    assert {kind for kind, one in EVENT_KINDS.items() if one.ends == "run"} == set(audited.LAST)


def test_a_kind_from_the_future_ends_nothing_and_is_no_alarm() -> None:
    assert traits(Foreign("flew by")) == EventTraits()
    assert not is_over([Foreign("flew by"), "resumed", "interrupted", "died"])
    assert is_over(["interrupted", "resumed", "finished"])


def ended(kind: EventKind | Foreign) -> RunView:
    run = factory.run_view()
    return replace(run, events=(Event(0, 120, 5.0, kind, "a sentence of its own"),))


def drawn(run: RunView) -> dict[str, str]:
    """What each place shows of a run that something happened to."""
    view = factory.view(run)
    panels = {
        "curves": curves.draw(view, 80, 24), "timeline": timeline.draw(view, 80, 24),
        "stopping": stopping.draw(view, 80, 24), "family": family_rows.draw(view, 0, 0, 80, 24),
    }  # fmt: skip
    return {name: "\n".join(map(text, drawing.rows)) for name, drawing in panels.items()}


def test_every_place_follows_the_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind declared anew looks new wherever it is shown: on charts, in words, in verdicts."""
    quiet = drawn(ended("departed"))
    assert not any("⌘" in shown for shown in quiet.values())
    assert "not over" in quiet["family"]
    loud = EventTraits(ends="run", trouble=True, wrong=True, mark="⌘", charted=True, word="gradient died")
    monkeypatch.setattr(sentences, "EVENT_KINDS", {**EVENT_KINDS, "departed": loud})
    run = ended("departed")
    shown = drawn(run)
    assert all("⌘" in shown[name] for name in ("curves", "timeline", "stopping"))
    assert "gradient died" in shown["timeline"]
    assert "gradient died" in shown["family"]
    assert is_over(event.kind for event in run.events)
    assert troubles.troubles([run.events], "epoch") == run.events


# --- activation functions ---


def test_activations_are_listed_in_their_declaration_alone() -> None:
    # and by what PyTorch's functions are called, of which watched models use more
    assert copies(get_args(ActivationName)) == {"scenario/activations.py", "watching/pytorch/roles.py"}
    assert set(ACTIVATIONS) == set(get_args(ActivationName))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_what_pytorch_makes_of_it(name: ActivationName) -> None:
    """Its module, the ends of its range, and whether a unit below 0 gives 0 and passes nothing on."""
    one = ACTIVATIONS[name]
    function = getattr(torch.nn, one.module)()
    far = torch.tensor([-1e6, 1e6])
    if one.ends is not None:
        assert function(far).tolist() == pytest.approx(one.ends, abs=1e-5)
    else:
        assert float(function(far)[1]) == 1e6
    below = torch.tensor([-3.0, -0.5], requires_grad=True)
    given = function(below)
    given.sum().backward()
    assert below.grad is not None
    assert one.dies == (not given.any() and not below.grad.any())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_audit_counts_the_same_values_as_saturated(name: ActivationName) -> None:
    assert ACTIVATIONS[name].saturated_outside == audited_activations.ACTIVATIONS[name].saturates


def test_an_activation_declared_anew_is_measured_and_drawn_so(monkeypatch: pytest.MonkeyPatch) -> None:
    output = np.array([0.0, 0.5, 1.98, 1.99], np.float32)
    assert np.isnan(activity.saturated_fraction("gelu", output))
    assert np.isnan(activity.dead_fraction("gelu", output[:, None], axis=1))
    made = Activation("GELU", ends=(0.0, 2.0), dies=True)
    monkeypatch.setattr(activations, "ACTIVATIONS", {**ACTIVATIONS, "gelu": made})
    assert activity.saturated_fraction("gelu", output) == 0.5
    assert activity.dead_fraction("gelu", np.zeros((2, 2), np.float32), axis=1) == 1.0
    run = factory.run_view()
    layers = tuple(replace(info, activation="gelu") for info in run.info.layers)
    gelu = replace(run, info=replace(run.info, layers=layers))
    assert [(one.low, one.high) for one in quantities.shown_quantities((gelu,), (gelu,))][-1] == (0.0, 2.0)


def test_an_activation_from_the_future_has_no_ends() -> None:
    assert (activation("swish").ends, activation("swish").dies) == (None, False)


def test_layer_kinds_of_the_scenario_are_listed_once() -> None:
    """Recordings have a table of axes of their own: they know nothing of scenarios."""
    assert copies(get_args(LayerKind), least=3) == {"keyframe.py", "recording/forms.py"}


# --- limits ---


def power(value: float) -> str:
    """As lessons write it: 1e−8."""
    return f"1e{round(math.log10(value))}".replace("-", "−")


QUOTED = [
    ("gradients", (power(VANISHING_BELOW), power(EXPLODING_ABOVE), power(DEAD_BELOW))),
    ("layers", (f"{SATURATED_WITHIN:.0%}".replace("%", " %"), str(HISTOGRAM_BINS))),
    ("distributions", (str(HISTOGRAM_BINS), str(histograms.MOST), str(2 * histograms.MOST))),
    ("dropout", (str(MASK_SAMPLES),)),
    ("data", tuple(f"{100 * share:.0f} %" for share in data_picture.SURE)),
    ("stopping", (f"{100 * stopping.WARN_AT:.0f} %",)),
    ("microscope", (str(picture.MOST_DOTS), str(words.FEW))),
    ("drift", (f"×{drift.MOST_MOVES - 1}",)),
]


@pytest.mark.parametrize("spoken", language.LANGUAGES)
@pytest.mark.parametrize(("page", "figures"), QUOTED, ids=[page for page, _figures in QUOTED])
def test_lessons_quote_the_limits_that_hold(page: str, figures: tuple[str, ...], spoken: str) -> None:
    text = lesson(page, spoken)
    assert [figure for figure in figures if not re.search(rf"(?<![\w.]){re.escape(figure)}(?!\d)", text)] == []


def test_the_docs_quote_the_limits_that_hold() -> None:
    page = (ROOT.parent / "docs" / "measures.md").read_text("utf-8").replace("-", "−")
    for limit in (power(VANISHING_BELOW), power(EXPLODING_ABOVE), power(DEAD_BELOW), f"{100 * SATURATED_WITHIN:.0f} %"):
        assert re.search(rf"(?<![\w.]){re.escape(limit)}(?!\d)", page), limit


@pytest.mark.parametrize(
    ("spoken", "words"), [("en", "update/weight is {} or more"), ("ko", "갱신/가중치가 {} 이상이면")]
)
def test_the_lesson_quotes_the_size_from_which_steps_explode(spoken: str, words: str) -> None:
    said = words.format(f"{STEP_EXPLODING_FROM:g}")
    assert said in re.sub(r"\s+", " ", lesson("gradients", spoken))


LIMITS = {
    "DEAD_BELOW",
    "VANISHING_BELOW",
    "EXPLODING_ABOVE",
    "STEP_EXPLODING_FROM",
    "SATURATED_WITHIN",
    "HISTOGRAM_BINS",
    "MASK_SAMPLES",
}


def test_a_limit_has_its_value_in_one_place() -> None:
    """Each name is assigned once, and no other module has DEAD_BELOW's value; an optimizer's ε only looks like it."""
    assigning = [(name, word) for name, module in sources() for word in assigned(module) & LIMITS]
    assert sorted(word for _name, word in assigning) == sorted(LIMITS)
    tiny = {
        name
        for name, module in sources()
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value == DEAD_BELOW
    }
    assert tiny == {"recording/sentences.py", "trainer/optim.py"}


def test_the_audit_holds_a_gradient_dead_below_the_same_share() -> None:
    assert audited_trouble.DEAD_BELOW == DEAD_BELOW
