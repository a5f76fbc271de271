"""Tests that the numbers in the sentence of a claim are those of its comparison, in both languages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bntui.scenario.claim_expression import comparison
from bntui.scenario.claim_numbers import near, sentences, stated, unfounded
from bntui.scenario.gallery import Card, scenarios
from bntui.scenario.load import Scenario, load
from tests.commands import bntui

CARDS = [card for card in scenarios() if card.claims]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("It reaches 90 % in less than a tenth of the epochs.", [0.9, 0.1]),
        ("It reaches 92.5% of the samples.", [0.925]),
        ("It is less than one point behind, and not five points.", [0.01, 0.05]),
        ("At thirty times the rate; after one epoch; with eight samples.", [30, 1, 8]),
        ("It moves one and a half times as far.", [1.5]),
        ("It more than doubles the loss, or takes twice as long.", [2, 2]),
        ("It stays below 10, then exceeds 1,000, and an epsilon of 1e-5 is 0.003.", [10, 1000, 1e-5, 0.003]),
        ("A third of the epochs, or a hundredth.", [1 / 3, 0.01]),
        ("A third run learns better than one of 3, whichever one it is.", [3]),
        ("The layer linear_4 and v2 of conv1d.", []),
        ("10분의 1도 안 되는 에포크로 90 %에 이릅니다.", [0.1, 0.9]),
        ("학습률을 1/10로 낮추면 5 %포인트 넘게 뒤집니다.", [0.1, 0.05]),
        ("학습률이 30배여도 두 배를 넘고 1.5배 넘게, 절반이 됩니다.", [30, 2, 1.5, 0.5]),
        ("샘플이 여덟 개면, 두 개로 줄면, 한 에포크 뒤에 1,000을 넘습니다.", [8, 2, 1, 1000]),
        ("두 손실의 차이를 한 스텝이 좁힙니다.", []),
    ],
)
def test_the_numbers_of_a_sentence(sentence: str, expected: list[float]) -> None:
    assert [one.value for one in stated(sentence)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sentence", "holds", "wrong"),
    [
        ("It is less than two points behind.", "val_accuracy of a > val_accuracy of b - 0.02", []),
        ("It is less than three points behind.", "val_accuracy of a > val_accuracy of b - 0.02", ["three points"]),
        ("It reaches 90 % sooner.", "epochs_to(val_accuracy >= 0.9) of a < epochs_to(val_accuracy >= 0.9) of b", []),
        ("It reaches 95 % sooner.", "epochs_to(val_accuracy >= 0.9) of a < epochs_to(val_accuracy >= 0.9) of b",
         ["95 %"]),
        ("It needs a third of the epochs.", "best_epoch of a < 0.333 * best_epoch of b", []),
        ("It needs a quarter of the epochs.", "best_epoch of a < 0.333 * best_epoch of b", ["a quarter"]),
        ("It is ten times smaller.", "val_loss of a < 0.1 * val_loss of b", []),
        ("After one epoch, it is below 0.5.", "val_loss of a at 1 < 0.5", []),
        ("After three epochs, it is below 0.5.", "val_loss of a at 1 < 0.5", ["three epochs"]),
        ("A patience of 3 stops sooner than one of 10.", "epoch of patience 3 < epoch of patience 10", []),
        ("A patience of 3 stops sooner than one of 20.", "epoch of patience 3 < epoch of patience 10", ["20"]),
        ("Layer 4 moves further.", "movement[linear 4] of a > movement[linear 3] of b", []),
        ("Layer 5 moves further.", "movement[linear 4] of a > movement[linear 3] of b", ["5"]),
        ("At thirty times the rate it diverges.", "diverged of plain ×30 >= 1", []),
        ("It learns better.", "val_loss of a < 0.5 * val_loss of b", []),
        ("It is 1 or 0 times as large.", "val_loss of a < val_loss of b", ["1", "0 times"]),
    ],
)  # fmt: skip
def test_a_number_that_the_comparison_does_not_have_is_found(sentence: str, holds: str, wrong: list[str]) -> None:
    assert unfounded(sentence, comparison(holds), {}) == wrong


def test_a_number_in_the_translated_name_of_a_run_counts_in_that_language_alone() -> None:
    compared = comparison("diverged of slow <= 0")
    assert unfounded("학습률을 1/10로 낮추면 발산하지 않습니다.", compared, {"slow": "학습률 1/10"}) == []
    assert unfounded("학습률을 1/10로 낮추면 발산하지 않습니다.", compared, {}) == ["1/10"]


def every(scenario: Scenario) -> list[tuple[str, int, str, Any]]:
    runs = {language: texts["runs"] for language, texts in scenario.translation.items()}
    return list(sentences([claim.text for claim in scenario.claims], scenario.said, runs))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_number_in_a_built_in_claim_is_in_its_comparison(card: Card) -> None:
    scenario = load(card.path)
    found = every(scenario)
    assert len(found) == 2 * len(scenario.claims)
    for key, number, text, names in found:
        assert unfounded(text, scenario.claims[number].comparison, names) == [], (key, text)


def test_a_built_in_claim_whose_comparison_is_changed_is_found_in_both_languages() -> None:
    """Whoever changes 0.9, 0.1 or 0.02 must change the sentences, too."""
    found: dict[str, int] = {"claim": 0, "translation": 0}
    for card in CARDS:
        scenario = load(card.path)
        for key, number, text, names in every(scenario):
            holds = scenario.claims[number].holds
            told = [one.value for one in stated(text)]
            for old in re.findall(r"(?<=>= )0\.9|0\.\d+(?= \*)|(?<=[-+] )0\.\d+", holds):
                if old == "0.9" or any(near(value, [float(old)]) for value in told):
                    changed = comparison(holds.replace(old, f"{float(old) * 0.7:.4g}"))
                    in_names = [one.value for used in changed.quantities for one in stated(used.run or "")]
                    if near(float(old), in_names):
                        continue
                    assert unfounded(text, changed, names), (text, changed)
                    found[key.partition(".")[0].partition("[")[0]] += 1
    assert min(found.values()) > 10


SCENARIO = """
title = "t"
data.source = "iris"
training.epochs = 2
network.hidden = [4]
[[claim]]
text = "It reaches {number} %."
holds = "val_accuracy > 0.9"
[translation.ko]
title = "제목"
claim = ["정확도가 {korean} %를 넘습니다."]
"""


@pytest.mark.parametrize(("number", "korean"), [("90", "90"), ("95", "90"), ("90", "80"), ("95", "80")])
def test_check_names_the_numbers_that_a_comparison_does_not_have(tmp_path: Path, number: str, korean: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(SCENARIO.replace("{number}", number).replace("{korean}", korean), encoding="utf-8")
    done = bntui("check", str(path))
    assert done.returncode == 0
    lines = [line.strip() for line in done.stdout.splitlines() if "comparison" in line]
    expected = []
    if number != "90":
        expected.append(f"claim[0].text: says {number} %, which its comparison does not")
    if korean != "90":
        expected.append(f"translation.ko.claim[0]: says {korean} %, which its comparison does not")
    assert lines == expected


MEASURED = ("epochs", "epoch", "에포크", "times", "배", "points", "point", "%포인트", "%", "percent")
"""Units of figures that are measured; a number of samples or units is a setting."""
FACTS = {
    "vanishing-gradients": {0.25},  # the largest derivative of a sigmoid
    "remedies": {10.0},  # a learning rate a tenth as large
    "zero-variance": {316.0},  # 1 / sqrt(1e-5)
    "early-stopping": {1.5},  # 150 points in a plane
    "initialization-in-depth": {30_000.0, 1 / 30_000, 2.0, 0.5},  # sqrt(2) to the power of 30; ReLU halves the variance
}
"""What follows from mathematics, and no training changes."""


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_no_measured_figure_is_written_in_a_text_as_a_whole_number(card: Card) -> None:
    """A number of epochs, a multiple, or points: a setting, or what a claim compares with; else a placeholder."""
    document, scenario = tomllib.loads(card.path.read_text(encoding="utf-8")), load(card.path)
    own = [document.get(key) for key in ("data", "network", "training", "record", "run", "seed", "view")]
    own += [[claim.holds for claim in scenario.claims], [stop.get("at") for stop in document.get("tour", ())]]
    known = {float(one) for one in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?", str(own))}
    known |= {one.value for run in scenario.runs for one in stated(run.name.replace("×", " "))}
    known |= FACTS.get(card.name, set())
    for texts in (document, *document["translation"].values()):
        stops = [stop[key] for stop in texts.get("tour", ()) for key in ("question", "answer")]
        written = "\n".join([texts.get("description", ""), *texts.get("look_for", ()), *stops])
        for one in stated(re.sub(r"\{[^}]*\}|arXiv:\S+", "…", written)):
            if one.counted and (one.words.endswith(MEASURED) or not re.search(r"[a-z가-힣]$", one.words)):
                assert near(one.value, known), (one.words, written)
