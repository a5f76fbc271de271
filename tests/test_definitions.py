"""Tests that definitions are complete in the keyframe's docstrings, quoted by the help, and not repeated elsewhere."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from rich.console import Console

from bntui import keyframe
from bntui.definitions import definitions
from bntui.lessons import lesson, names
from bntui.text import language
from bntui.text.language import _
from bntui.viewer import microscope
from bntui.viewer import panels as panels_package
from bntui.viewer.panels import PANELS
from bntui.viewer.screens.help import MICROSCOPE, HelpScreen, quoted
from tests.korean import korean
from tools.translate import collected

CLASSES = [
    value
    for value in vars(keyframe).values()
    if isinstance(value, type) and is_dataclass(value) and value.__module__ == keyframe.__name__
]
FIELDS = [f"{owner.__name__}.{field.name}" for owner in CLASSES for field in fields(owner)]
PAGES = {**{panel.name: panel.definitions for panel in PANELS}, "microscope": MICROSCOPE}
"""Every page of help that is about figures of a keyframe, and the definitions that it names."""


def test_every_field_of_a_keyframe_has_its_definition() -> None:
    found = definitions()
    assert list(found) == FIELDS
    assert [key for key, one in found.items() if len(one.text.split()) < 4] == []
    assert [
        key for key, one in found.items() if not one.text.endswith(".") or re.search("``|:[a-z]+:`", one.text)
    ] == []


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (["mean", "std", "p15", "p50", "p85", "min", "max", "counts"], "over the mini-batch and all features"),
        (["batch_mean", "batch_var", "running_mean", "running_var", "gamma", "beta"], "per feature or channel"),
        (["std", "batch_var", "running_var"], r"\(ddof = [01]"),
        (["std"], "Population standard deviation"),
        (["batch_var"], "Biased"),
        (["running_var"], "unbiased"),
        (["running_mean", "running_var"], "evaluation mode"),
        (["train_loss", "train_accuracy", "batch_loss"], "training mode.*before the update"),
        (["val_loss", "val_accuracy", "values"], "after the update"),
        (["val_loss", "values"], "evaluation mode"),
        (["gamma", "beta"], "before its update"),
        (["weight_norm"], "as the step found it"),
        (["weight_gradient_norm", "gamma_gradient", "beta_gradient"], "before .*clipping"),
        (["weight_gradient_norm", "activation_gradient_norm", "gamma_gradient"], "mini-batch's mean loss"),
        (["weight_norm", "weight_gradient_norm", "update_ratio"], "without the bias"),
        (["p15", "p50", "p85", "unit_p15"], "linear interpolation"),
    ],
)
def test_definitions_say_over_what_when_and_in_which_mode(figures: list[str], said: str) -> None:
    by_field = {one.field: one.text for one in definitions().values()}
    assert [name for name in figures if not re.search(said, by_field[name])] == []


def test_names_are_those_of_show() -> None:
    found = definitions()
    assert found["EarlyStopping.wait"].name == "early_stopping.wait"
    assert found["BatchNorm.batch_var"].name == "batch_norm.batch_var"
    assert found["DropoutMask.p"].name == "dropout.p"
    assert found["Keyframe.val_loss"].name == "val_loss"
    assert found["Keyframe.batch_indices"].name == "batch.indices"
    assert found["Predictions.values"].name == "predictions.values"
    assert found["Distribution.mean"].name == "mean"
    assert found["LayerMeasures.pre_norm"].name == "pre_norm"


# --- what is quoted where ---


@pytest.mark.parametrize("page", PAGES)
def test_every_page_names_the_definitions_that_it_quotes(page: str) -> None:
    assert PAGES[page], "a panel draws figures: name their definitions"
    assert len(set(PAGES[page])) == len(PAGES[page])
    assert set(PAGES[page]) <= set(FIELDS)


def source(page: str) -> str:
    """The modules that draw it."""
    folder = Path(next(iter((microscope if page == "microscope" else panels_package).__path__)))
    files = folder.glob("*.py" if page == "microscope" else f"{page}*.py")
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


OWN = {one.field for one in definitions().values() if "_" in one.field} - {"batch_norm", "early_stopping"}
"""Fields whose names mean nothing else in the program's source, so that to read one is to draw it."""


@pytest.mark.parametrize("page", PAGES)
def test_a_page_quotes_every_figure_that_its_panel_reads(page: str) -> None:
    read = {field for field in OWN if re.search(rf"\b{field}\b", source(page))}
    if "UNIT_STATISTICS" in source(page):
        read |= set(keyframe.UNIT_STATISTICS)
    assert read - {key.partition(".")[2] for key in PAGES[page]} == set()


def rendered(screen: HelpScreen) -> str:
    console = Console(width=2000, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(screen._page)
    return captured.get()


@pytest.mark.parametrize("spoken", language.LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_the_help_quotes_them_in_the_readers_language(page: str, spoken: str) -> None:
    language.use(spoken)
    shown = " ".join(rendered(HelpScreen(page, [])).split())
    for key in PAGES[page]:
        one = definitions()[key]
        said = _(one.text)
        assert korean(said) == (spoken == "ko")
        assert f"{one.name}: {plain(said)}" in shown


def plain(text: str) -> str:
    """Markdown as it is read: without its marks."""
    return " ".join(re.sub(r"`([^`]*)`|\*([^*]+)\*", r"\1\2", text).split())


def test_a_page_without_figures_quotes_nothing() -> None:
    assert quoted("gallery") == ""


# --- they stand once ---


def clauses(text: str) -> list[str]:
    """Sentences and clauses long enough to be known again."""
    return [words for part in re.split(r"[.;:](?:\s|$)", text) if len((words := bare(part)).split()) >= 5]


def bare(text: str) -> str:
    return " ".join(re.sub(r"[*`,()]", "", text).casefold().split())


@pytest.mark.parametrize("spoken", language.LANGUAGES)
def test_no_lesson_repeats_a_definition(spoken: str) -> None:
    language.use(spoken)
    pages = {name: bare(lesson(name)) for name in names()}
    repeated = [
        (name, one.key, clause)
        for one in definitions().values()
        for clause in clauses(_(one.text))
        for name, page in pages.items()
        if clause in page
    ]
    assert repeated == []


def test_a_repeated_definition_would_be_found() -> None:
    one = definitions()["Keyframe.val_loss"]
    page = bare(f"- *Validation loss*: {one.text}\n- And more.")
    assert any(clause in page for clause in clauses(one.text))


def test_definitions_are_collected_for_translation() -> None:
    ids = {message.id for message in collected()}
    assert {one.text for one in definitions().values()} <= ids
