"""Tests what a recording says about its scenario's claims, with figures computed by hand, and the panel of claims."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bntui.insight.claim_words import explained
from bntui.insight.claims import Trained
from bntui.insight.recorded_claims import Finding, RecordedRun, measured
from bntui.keyframe import FloatArray
from bntui.recording.history import Event
from bntui.recording.seeds import SeedCourse, SeedEnd
from bntui.scenario.claim_expression import comparison
from bntui.scenario.claim_texts import claims_of
from bntui.scenario.gallery import scenarios
from bntui.scenario.load import load
from bntui.text.language import use
from bntui.viewer.draw.rows import text
from bntui.viewer.panels import BY_NAME
from bntui.viewer.view import RunView, View
from tests.factory import run_view, view

OVER = Event(0, 12, 12.0, "finished", "finished")
PLAIN = run_view(patience=None)
OTHER = run_view(1, "batch norm", norm=True, patience=None)


def seed(number: int, val_loss: FloatArray, *, kind: str = "finished", ratio: float = math.nan) -> SeedCourse:
    rest = np.linspace(1, 0.5, len(val_loss))
    end = SeedEnd(kind, float(len(val_loss) - 1), "", ratio)
    return SeedCourse(number, 0, np.stack([rest, 1 - rest / 2, val_loss, 1 - val_loss / 4]), end)


def recorded(run: RunView, *seeds: SeedCourse, over: bool = True) -> RecordedRun:
    return RecordedRun(Trained(run.info, run.history, (OVER,) if over else ()), seeds)


@pytest.mark.parametrize(
    ("holds", "finding"),
    [
        ("val_loss of plain < 1e9", "true"),
        ("val_loss of plain > 1e9", "false"),
        ("val_loss of plain at start >= val_loss of batch norm at start", "true"),
        ("val_loss of nobody < 3", "not here"),
        ("weight_norm[linear 9] of plain > 0", "not here"),
        ("gradient_shift[linear 2] of plain > 1", "not here"),
    ],
)
def test_one_seed_makes_a_claim_true_or_not(holds: str, finding: Finding) -> None:
    assert measured(comparison(holds), [recorded(PLAIN), recorded(OTHER)]).finding == finding


def test_a_claim_is_open_while_one_of_its_runs_is_trained() -> None:
    holds = comparison("val_loss of plain < 2 * val_loss of batch norm")
    assert measured(holds, [recorded(PLAIN), recorded(OTHER, over=False)]).finding == "training"
    assert (
        measured(comparison("val_loss of plain < 99"), [recorded(PLAIN), recorded(OTHER, over=False)]).finding == "true"
    )


def test_seeds_are_paired_and_judged_as_scipy_does() -> None:
    courses = {number: np.linspace(2, end, 13) for number, end in ((1, 0.5), (2, 0.7), (3, 0.4))}
    better = {number: np.linspace(2, end, 13) for number, end in ((1, 0.3), (3, 0.2), (4, 0.1))}
    runs = [
        recorded(PLAIN, *(seed(number, values) for number, values in courses.items())),
        recorded(OTHER, *(seed(number, values) for number, values in better.items())),
    ]
    found = measured(comparison("val_loss of batch norm < val_loss of plain"), runs)
    own = PLAIN.info.config.get("seed", 0)
    assert set(found.seeds) == {own, 1, 3}
    differences = [
        float(OTHER.history.val_loss[-1] - PLAIN.history.val_loss[-1]),
        *(better[n][-1] - courses[n][-1] for n in (1, 3)),
    ]
    low, high = stats.t.interval(0.95, 2, np.mean(differences), stats.sem(differences))
    assert found.finding == ("holds" if high < 0 else "does not hold" if low > 0 else "undecided")
    assert found.seeds[3] == {"val_loss of batch norm": better[3][-1], "val_loss of plain": courses[3][-1]}


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("val_loss of plain", 0.5),
        ("val_loss of plain at 6", 1.25),
        ("gap of plain", 0.0),
        ("lowest(val_loss) of plain", 0.5),
        ("epochs_to(val_loss < 1) of plain", 9.0),
        ("epoch of plain", 12.0),
        ("diverged of plain", 0.0),
        ("gradient_ratio of plain", 0.25),
    ],
)
def test_what_is_recorded_of_a_seed_is_read(quantity: str, value: float) -> None:
    limit = (
        "0.1" if quantity.startswith(("epoch", "grad", "val", "low")) else "-1" if quantity.startswith("gap") else "0.5"
    )
    run = recorded(PLAIN, seed(7, np.linspace(2, 0.5, 13), ratio=0.25))
    found = measured(comparison(f"{quantity} > {limit}"), [run]).seeds
    assert list(found[7].values()) == [pytest.approx(value)]


@pytest.mark.parametrize(
    "quantity", ["weight_norm[linear 1] of plain", "val_loss of plain at best", "gradient_ratio of plain at start"]
)
def test_what_is_not_recorded_of_seeds_is_told_of_the_first_one_only(quantity: str) -> None:
    run = recorded(PLAIN, seed(7, np.linspace(2, 0.5, 13)))
    assert list(measured(comparison(f"{quantity} > 0.001"), [run]).seeds) == [PLAIN.info.config.get("seed", 0)]


def test_seeds_that_failed_or_are_being_trained_do_not_count() -> None:
    values = np.linspace(2, 0.5, 13)
    failed, growing = seed(3, values[:2], kind="failed"), replace(seed(4, values), end=None)
    found = measured(comparison("val_loss of plain > 0.1"), [recorded(PLAIN, failed, growing, seed(5, values))])
    assert set(found.seeds) == {PLAIN.info.config.get("seed", 0), 5}


# --- texts of a stranger's recording ---


@pytest.mark.parametrize(
    "written",
    ["", "claim = 3", "[[claim]]\ntext = 3", "[[claim", "claim = " + "[" * 5000, "# claim" + "x" * 300_000],
)
def test_a_text_without_readable_claims_shows_none_or_empty_ones(written: str) -> None:
    assert all(not claim.text and not claim.holds for claim in claims_of(written, "en"))


def test_claims_of_a_text_are_those_of_the_validated_scenario() -> None:
    for card in scenarios():
        scenario = load(card.path)
        assert [(claim.text, claim.holds) for claim in claims_of(scenario.text, "en")] == [
            (claim.text, claim.holds) for claim in scenario.claims
        ]
        assert [claim.text for claim in claims_of(scenario.text, "ko")] == list(scenario.said["ko"])


# --- the panel ---

TEXT = """
[[claim]]
text = "The loss falls."
holds = "val_loss of plain < val_loss of plain at start"
[[claim]]
text = "It is huge."
holds = "val_loss of plain > 1000"
[[claim]]
text = "Nonsense."
holds = "val_los of plain > 1"
[translation.ko]
claim = ["손실이 줄어듭니다.", "큽니다.", "말이 안 됩니다."]
"""


def claiming(*runs: RunView) -> View:
    return replace(view(*runs), scenario_text=TEXT)


def page(shown: View, width: int = 90, height: int = 14) -> str:
    return "\n".join(text(row) for row in BY_NAME["claims"].draw(shown, width, height).rows)


def test_the_panel_says_what_is_true_with_the_recorded_seed() -> None:
    run = replace(PLAIN, events=(OVER,))
    drawn = page(claiming(run, OTHER))
    assert "✓ The loss falls." in drawn
    assert "✗ It is huge." in drawn
    assert f"{run.history.val_loss[-1]:.1g}"[:3] in drawn
    assert "· Nonsense." in drawn
    assert "did you mean 'val_loss'?" in drawn
    assert "no evidence" in drawn


def test_the_panel_says_that_a_figure_is_missing_because_its_run_diverged() -> None:
    lost = replace(PLAIN.history, val_loss=np.full(len(PLAIN.history), np.nan))
    diverged = Event(0, 12, 12.0, "diverged", "diverged")
    drawn = page(claiming(replace(PLAIN, history=lost, events=(diverged,)), OTHER))
    assert "· It is huge." in drawn
    assert "plain diverged" in drawn
    assert "not in this recording" not in drawn


def test_a_difference_from_a_multiple_of_the_other_side_is_called_one() -> None:
    holds = comparison("val_loss of plain > 2 * val_loss of batch norm")
    seeds = {0: {"val_loss of plain": 13.0, "val_loss of batch norm": 2.0}}
    assert explained(holds, seeds).endswith("; difference from 2 × batch norm: 9.0")


def test_the_panel_says_what_holds_over_seeds_and_what_is_only_open() -> None:
    courses = tuple(seed(number, np.linspace(2, 0.5 + number / 100, 13)) for number in (1, 2, 3))
    run = replace(PLAIN, events=(OVER,), seeds=courses)
    drawn = page(claiming(run, OTHER))
    assert "over 4 seeds" in drawn
    assert "±" in drawn
    growing = page(claiming(replace(PLAIN, events=()), OTHER))
    assert "… The loss falls." in growing
    assert "so far: " in growing


def test_where_there_is_no_room_the_figures_go_and_claims_can_be_walked_through() -> None:
    run = replace(PLAIN, events=(OVER,))
    small = page(claiming(run, OTHER), height=4)
    assert all(sentence in small for sentence in ("The loss falls.", "It is huge.", "Nonsense."))
    assert page(replace(claiming(run, OTHER), past=1), height=2).startswith("✗ It is huge.")


def test_the_panel_speaks_the_readers_language() -> None:
    use("ko")
    assert "✓ 손실이 줄어듭니다." in page(claiming(replace(PLAIN, events=(OVER,)), OTHER))


@pytest.mark.parametrize(("lost", "finding"), [(1, "holds"), (2, "undecided")])
def test_a_seed_that_diverged_within_an_epoch_has_lost_its_last_figures(lost: int, finding: Finding) -> None:
    fine = [seed(number, np.linspace(2, 0.5, 13)) for number in range(lost + 1, 10)]
    wild = [replace(seed(number, np.linspace(2, 1, 4)), end=SeedEnd("diverged", 3.4)) for number in range(1, lost + 1)]
    found = measured(comparison("val_loss of plain < 1e9"), [recorded(PLAIN, *wild, *fine)])
    assert len(found.seeds) == 10
    assert all(math.isnan(found.seeds[number]["val_loss of plain"]) for number in range(1, lost + 1))
    assert found.finding == finding, "a sign test of 9 of 10 seeds, or of 8"
    for quantity, value in (("val_loss of plain at 2", 4 / 3), ("epochs_to(val_loss < 1.5) of plain", 2.0)):
        seeds = measured(comparison(f"{quantity} > 0.1"), [recorded(PLAIN, *wild, *fine)]).seeds
        assert seeds[1][quantity] == pytest.approx(value)
    over = measured(comparison("highest(val_loss) of plain > 0.1"), [recorded(PLAIN, *wild, *fine)]).seeds
    assert math.isnan(over[1]["highest(val_loss) of plain"])
