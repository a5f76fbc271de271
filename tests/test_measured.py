"""Tests what is stored of the measured claims of the built-in scenarios, and how the gallery shows it."""

from __future__ import annotations

import json
import math
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bntui.insight.claim_words import explained
from bntui.insight.claims import judged
from bntui.scenario.gallery import Card, scenarios
from bntui.scenario.load import load
from bntui.scenario.measured import FOLDER, SEEDS, Findings, findings, path_of, placeholders, quoted
from bntui.text.language import LANGUAGES, use
from bntui.viewer.draw.rows import text
from bntui.viewer.panels.claims import LOOKS
from bntui.viewer.screens.gallery_rows import draw
from bntui.viewer.screens.gallery_state import Gallery
from tools.measure_claims import content, quotes

CARDS = [card for card in scenarios() if card.claims]
PAGE = (Path(__file__).parent.parent / "docs" / "effects.md").read_text(encoding="utf-8")


def stored(card: Card) -> Any:
    return json.loads(path_of(card.path).read_text(encoding="utf-8"))


def test_every_claim_was_measured_and_nothing_else() -> None:
    folder = CARDS[0].path.parent / FOLDER
    assert {path.stem for path in folder.iterdir()} == {card.name for card in CARDS}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_what_was_measured_belongs_to_the_scenario_as_it_is_and_says_what_its_figures_give(card: Card) -> None:
    scenario, found = load(card.path), stored(card)
    assert found["content"] == content(scenario), "measure it again: python -m tools.measure_claims"
    assert [one["holds"] for one in found["claims"]] == [claim.holds for claim in scenario.claims]
    for claim, one in zip(scenario.claims, found["claims"], strict=True):
        compared = claim.comparison
        seeds = {
            int(seed): {str(used): runs[used.run][used.column] for used in compared.quantities}
            for seed, runs in found["figures"].items()
        }
        assert one["verdict"] == judged(compared, seeds).verdict
        for language in LANGUAGES:
            use(language)
            labels = {} if language == "en" else scenario.translation[language]["runs"]
            assert one["said"][language] == explained(compared, seeds, labels)
        use("en")
        assert f"** {claim.text}\n  {one['said']['en']}" in PAGE.replace(":**", "**")


def test_a_verdict_is_that_of_the_paired_t_test() -> None:
    counted = 0
    for card in CARDS:
        for claim, one in zip(load(card.path).claims, stored(card)["claims"], strict=True):
            compared = claim.comparison
            if compared.right is None or compared.plus or compared.factor != 1 or compared.left.known.decades:
                continue
            left, right = (
                np.array([runs[used.run][used.column] for runs in stored(card)["figures"].values()])
                for used in compared.quantities
            )
            if not np.isfinite([left, right]).all() or np.ptp(left - right) == 0:
                continue
            side = "greater" if compared.operator[0] == ">" else "less"
            tested = stats.ttest_rel(left, right, alternative=side).pvalue
            expected = "holds" if tested < 0.025 else "does not hold" if tested > 0.975 else "undecided"
            assert one["verdict"] == expected, claim.text
            counted += 1
    assert counted > 10


def texts(document: dict[str, Any]) -> str:
    """The description of a scenario and what to look for, as they are written."""
    return "\n".join([document.get("description", ""), *document.get("look_for", ())])


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_quote_the_means_of_the_measured_figures(language: str) -> None:
    use(language)
    checked = 0
    for card in CARDS:
        document, found = tomllib.loads(card.path.read_text(encoding="utf-8")), stored(card)
        written = texts(document if language == "en" else document["translation"][language])
        shown = next(one for one in scenarios() if one.path == card.path)
        assert "{" not in shown.description + "".join(shown.look_for)
        for name in placeholders(written):
            said = found["quotes"][name]
            assert said in shown.description
            column, _of, run = name.partition(" of ")
            if name == SEEDS:
                assert said == str(len(found["figures"]))
                continue
            mean = np.mean([runs[run][column] for runs in found["figures"].values()])
            number, percent = said.removesuffix(" %"), said.endswith(" %")
            decimals = len(number.partition(".")[2])
            assert number == f"{mean * (100 if percent else 1):.{decimals}f}"
            assert percent == column.startswith("val_accuracy")
            checked += 1
    assert checked > 20


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_no_measured_figure_is_written_in_a_text(card: Card) -> None:
    """A number with a decimal point or a percent sign is a setting, or what a claim compares with."""
    document = tomllib.loads(card.path.read_text(encoding="utf-8"))
    settings = {float(one) for one in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?", str(set_of(document)))}
    settings |= {100 * one for one in settings} | {0.0, 100.0}
    for language in LANGUAGES:
        own = document if language == "en" else document["translation"][language]
        claims = [one["text"] for one in document["claim"]] if language == "en" else own["claim"]
        written = re.sub(r"\{[^}]*\}|arXiv:\S+", "", "\n".join([texts(own), *claims]))
        for number in re.findall(r"(\d+\.\d+|\d+(?= ?%))", written):
            assert float(number) in settings, (number, written)


def set_of(document: dict[str, Any]) -> list[Any]:
    """What a scenario sets and compares, and how its runs are called."""
    keys = ("data", "network", "training", "record", "run", "seed")
    return [*(document.get(key) for key in keys), *(claim["holds"] for claim in document["claim"])]


def test_a_figure_that_was_not_measured_stays_a_placeholder(tmp_path: Path) -> None:
    assert quoted("{val_loss of a} {x}", tmp_path / "x.toml") == "{val_loss of a} {x}"
    scenario = load(CARDS[0].path)
    figures = {seed: {run.name: {"val_loss": 1.0 if seed else math.nan} for run in scenario.runs} for seed in (0, 1)}
    for name in ("val_loss of min-max", "train_loss of min-max"):
        with pytest.raises(ValueError, match=name):
            quotes(replace(scenario, description=f"{{{name}}}", look_for=(), translation={}), figures)


def test_what_was_never_measured_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for number, written in enumerate(("", "[]", "{}", '{"seeds": 1, "claims": [1]}')):
        other = path.with_stem(f"x{number}")
        path_of(other).parent.mkdir(exist_ok=True)
        path_of(other).write_text(written)
        assert findings(other) == Findings()
    assert findings(path) == Findings()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_gallery_shows_claims_with_their_verdicts_and_figures(language: str) -> None:
    use(language)
    cards = scenarios()
    at = next(number for number, card in enumerate(cards) if card.name == "batch-normalization")
    rows, _lines = draw(Gallery(cards=cards, positions={"scenarios": at}), 160, 90)
    page = "\n".join(map(text, rows))
    found = findings(cards[at].path).claims
    for sentence, holds in ((claim.text, claim.holds) for claim in cards[at].claims):
        mark = {"holds": "✓", "does not hold": "✗", "undecided": "?"}[found[holds].verdict]
        assert f"{mark} {sentence[:20]}" in page
        assert found[holds].said[language][:20] in page
    assert "bntui verify batch-normalization" in page
    signs = {(span.text[0], span.style) for row in rows for span in row if span.text in ("✓ ", "✗ ", "? ")}
    assert signs
    assert signs <= {(look.sign, f"bold {look.style.removeprefix('bold ')}") for look in LOOKS.values()}
