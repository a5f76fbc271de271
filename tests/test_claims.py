"""Tests claims: what a scenario may say, how their quantities are read from a history, and those that are built in."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.errors import ScenarioError
from bntui.insight.claim_words import explained
from bntui.insight.claims import Frames, Trained, columns, frames_of, judged, spread, value
from bntui.keyframe import COLUMN, LAYER_COLUMNS
from bntui.recording.history import Event
from bntui.scenario.claim_expression import PLACES, comparison, quantity
from bntui.scenario.figures import OF_LAYER, OF_RUN, OPERATORS, Quantity
from bntui.scenario.gallery import scenarios
from bntui.scenario.load import load, parse
from tests.factory import run_view
from tests.test_tour import KOREAN, scenario

VIEW = run_view(keyframes=5, layers=2, norm=True)
RUN = Trained(VIEW.info, VIEW.history, ())


# --- what a scenario may say ---


def claiming(holds: str, korean: str = "") -> str:
    text = scenario().replace("[translation.ko]", f'[[claim]]\ntext = "It is so."\nholds = "{holds}"\n[translation.ko]')
    return text.replace(KOREAN, f"{korean}\n{KOREAN}")


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        ("val_loss of one", "not a comparison"),
        ("val_los of one < 1", r"no figure 'val_los'.*did you mean 'val_loss'"),
        ("val_loss of tow < val_loss of one", r"no such run; the runs are one, two .*did you mean 'two'"),
        ("val_loss < val_loss of one", "say of which run: val_loss of RUN; the runs are one, two"),
        ("weight_norm[linear 3] of one > 1", "no such layer; the layers are linear 1, linear 2, output"),
        ("weight_norm of one > 1", r"figure of a layer; write weight_norm\[LAYER\]"),
        ("val_loss[linear 1] of one > 1", r"figure of the run; leave out \[linear 1\]"),
        ("val_loss of one at 9 < 1", "ends after epoch 3"),
        ("val_loss of one at 1.5 < 1", "whole number of epochs"),
        ("val_loss of one at noon < 1", "no such run"),
        ("val_accuracy of one > 90", "share from 0 to 1.*write 90 % as 0.9"),
        ("val_loss of one < 0", "never below 0"),
        ("val_loss of one > val_accuracy of one", "different units"),
        ("val_loss of one < val_loss of one", "compared with itself"),
        ("gradient_ratio of one < gradient_ratio of two + 1", r"write 0.1 \* gradient_ratio of two"),
        ("best of one < 1", "figure of early stopping, which the run 'one' does not have"),
        ("mean(gradient_shift[linear 2]) of one < 1", "needs record.shift = true"),
        ("epochs_to(val_loss) of one < 3", r"write it as epochs_to\(val_accuracy >= 0.9\) of RUN"),
        ("highst(val_loss) of one < 3", "no 'highst'.*did you mean 'highest'"),
        ("highest(val_loss) of one at 2 < 3", "leave out 'at'"),
        ("highest(movement[linear 1]) of one < 3", "movement cannot be in highest"),
        ("< 3", "not a figure|not a comparison"),
        ("val_accuracy of one > 1", "never above 1"),
        ("diverged of one <= 1", "never above 1"),
        ("epochs_to(val_accuracy >= 90) of one < 3", "val_accuracy is a share from 0 to 1.*write 90 % as 0.9"),
        ("epochs_to(val_loss < 0) of one < epochs_to(val_loss < 0) of two", "val_loss is never below 0"),
        ("val_loss of one < 1e999", "not finite"),
        ("val_loss of one < val_loss of two - 1e999", "not finite"),
        ("epochs_to(val_loss < 1e999) of one < 2", "not finite"),
        ("val_loss of one > 0 * val_loss of two", "0 times val_loss of two, which says nothing"),
        ("val_loss of one > -2 * val_loss of two", "-2 times val_loss of two, which says nothing"),
        ("val_accuracy of one > val_accuracy of two + 5", "two never differ by 5; write five points as 0.05"),
        ("diverged of one > diverged of two + 1", "two never differ by 1"),
        ("epoch of one > 3", "ends after epoch 3"),
    ],
)
def test_what_is_wrong_in_a_claim_is_named_with_its_line(holds: str, said: str) -> None:
    with pytest.raises(ScenarioError) as error:
        parse(claiming(holds), file="x.toml")
    (line,) = str(error.value).splitlines()
    assert re.match(r"x\.toml:\d+: claim\[0\]\.holds = ", line)
    assert re.search(said, line)


@pytest.mark.parametrize(
    ("name", "holds", "read"),
    [
        ("one at 2", "val_loss of one at 2 < 3", "one"),
        ("one at best", "val_loss of one at best < val_loss of one at end", "one"),
        ("only at best", "val_loss of only at best < 3", "only"),
        ("one + 1", "val_loss of one at 2 < val_loss of one + 1", "one"),
        ("one - 0.1", "val_loss of one at 2 < 2 * val_loss of one - 0.1", "one"),
    ],
)
def test_a_run_whose_name_reads_like_more_is_not_silently_another_run(name: str, holds: str, read: str) -> None:
    """Before, the figures of the run 'one' were compared."""
    with pytest.raises(ScenarioError) as error:
        parse(claiming(holds).replace('name = "two"', f'name = "{name}"'), file="x.toml")
    assert f"'{name}' is the name of a run, but is read as '{read}' and what follows; rename the run" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("name", "holds", "run", "plus"),
    [
        ("one + norm", "val_loss of one + norm < 3", "one + norm", 3.0),
        ("one 0.1", "val_loss of one 0.1 < 3", "one 0.1", 3.0),
        ("one at 2", "val_loss of one at 2 at 3 < 1", "one at 2", 1.0),
        ("one at 2", "val_loss of one at 1 < 1", "one", 1.0),
        ("one < 32", "val_loss of one < 32", "one", 32.0),
    ],
)
def test_a_run_with_signs_in_its_name_is_found(name: str, holds: str, run: str, plus: float) -> None:
    text = claiming(holds).replace("[[tour]]", f'[[run]]\nname = "{name}"\n[[tour]]', 1)
    (claim,) = parse(text, file="x.toml").claims
    assert (claim.comparison.left.run, claim.comparison.plus) == (run, plus)


@pytest.mark.parametrize(
    ("written", "plus"), [("+ 0.5", 0.5), ("- 0.5", -0.5), ("- -0.5", 0.5), ("+ -0.5", -0.5), ("- +0.5", -0.5)]
)
def test_a_number_may_have_its_own_sign(written: str, plus: float) -> None:
    (claim,) = parse(claiming(f"val_loss of one < val_loss of two {written}"), file="x.toml").claims
    assert claim.comparison.plus == plus


@pytest.mark.parametrize(
    ("holds", "shown"),
    [
        ("val_loss of one at 9 < 1", '"val_loss of one at 9"'),
        ("val_loss of one at 1.5 < 1", '"val_loss of one at 1.5"'),
        ("epoch of one > 3", '"epoch of one > 3"'),
    ],
)
def test_what_is_wrong_is_quoted_as_it_was_written(holds: str, shown: str) -> None:
    with pytest.raises(ScenarioError) as error:
        parse(claiming(holds), file="x.toml")
    assert f"holds = {shown}: " in str(error.value)


def test_a_translation_has_as_many_sentences() -> None:
    claims = parse(claiming("val_loss of one < 1", 'claim = ["그렇습니다."]'), file="x.toml")
    assert claims.said == {"ko": ("그렇습니다.",)}
    with pytest.raises(ScenarioError, match="as many sentences as there are claims: 1"):
        parse(claiming("val_loss of one < 1", 'claim = ["a", "b"]'), file="x.toml")


def test_the_only_run_needs_no_name() -> None:
    text = re.sub(r"\[\[run\]\].*?(?=\[\[tour\]\])", "", claiming("val_loss < train_loss"), flags=re.DOTALL)
    text = text.replace(" of two", "")
    assert parse(text, file="x.toml").claims[0].comparison.left.run is None


FIGURES = st.one_of(
    st.builds(Quantity, st.sampled_from(sorted(OF_RUN.keys() - {"diverged"})), run=st.sampled_from(["a b", "p = 0.5"]),
              place=st.one_of(st.sampled_from(PLACES), st.integers(0, 99).map(float))),
    st.builds(Quantity, st.sampled_from(LAYER_COLUMNS), layer=st.just("linear 1"), run=st.just("eval() ×3"),
              over=st.sampled_from(["", "highest", "lowest", "mean"])),
    st.builds(Quantity, st.just("val_accuracy"), run=st.just("1e-5"), over=st.just("epochs_to"),
              operator=st.sampled_from(sorted(OPERATORS)), threshold=st.floats(0.001, 0.999)),
)  # fmt: skip


@given(
    FIGURES,
    st.sampled_from(sorted(OPERATORS)),
    st.sampled_from([1.0, 0.5, 20.0]),
    st.sampled_from(["", " + 0.01", " - 3"]),
)
def test_what_is_written_is_read_as_it_was(used: Quantity, operator: str, factor: float, plus: str) -> None:
    assert quantity(str(used)) == used
    other = replace(used, run="another")
    if used.known.decades or (used.known.unit == "share" and used.known.lower is not None):
        plus = plus.replace("3", "0.3") if used.known.unit == "share" else ""
    read = comparison(f"{used} {operator} {factor:g} * {other}{plus}")
    assert (read.left, read.operator, read.factor, read.right) == (used, operator, factor, other)
    assert read.plus == float(plus.replace(" ", "") or 0)


def test_every_recorded_scalar_of_a_layer_can_be_named() -> None:
    assert set(LAYER_COLUMNS) < set(OF_LAYER)


# --- quantities of a history ---


def course(name: str, *values: float, run: Trained = RUN) -> Trained:
    return replace(run, history=replace(run.history, **{name: np.array(values)}))


def of(text: str, run: Trained = RUN) -> float:
    return value(quantity(text), run)


def test_a_figure_is_read_at_its_place() -> None:
    config = {**RUN.info.config, "training": {**RUN.info.config["training"], "early_stopping": None}}
    run = course("val_loss", 9.0, 0.5, 0.3, 0.4, 0.6, run=replace(RUN, info=replace(RUN.info, config=config)))
    assert [of(f"val_loss at {place}", run) for place in ("start", "end", "best", "kept")] == [9.0, 0.6, 0.3, 0.6]
    assert [of(f"val_loss at {epoch}", run) for epoch in (1, 3)] == [0.5, 0.4]
    assert math.isnan(of("val_loss at 7", run))
    assert math.isnan(of("val_loss at best", course("val_loss", 9.0, *[math.nan] * 4, run=run))), "no epoch is the best"
    assert of("lowest(val_loss)", run) == 0.3
    assert of("highest(val_loss)", run) == 9.0
    assert of("mean(val_loss)", run) == pytest.approx(10.8 / 5)


def test_a_quantity_is_written_with_all_its_digits() -> None:
    used = quantity("epochs_to(val_loss < 0.123456789) of a")
    assert quantity(str(used)).threshold == 0.123456789
    assert str(quantity("val_loss at 1000000")) == "val_loss at 1000000"


def test_kept_weights_are_the_best_epochs_only_where_they_were_restored() -> None:
    run = course("best_epoch", 0, 1, 2, 2, 2, run=course("val_loss", 9.0, 0.5, 0.3, 0.4, 0.6))
    config = {**run.info.config, "training": {**run.info.config["training"], "early_stopping": {"patience": 2}}}
    run = replace(run, info=replace(run.info, config=config))
    assert of("val_loss at kept", run) == 0.6
    assert of("val_loss at kept", replace(run, events=(Event(0, 96, 4.0, "restored_best", ""),))) == 0.3


def test_epochs_to_a_figure_are_counted_to_the_first_end_of_an_epoch_that_reaches_it() -> None:
    run = course("val_accuracy", 0.95, 0.2, 0.89, 0.9, 0.91)
    assert of("epochs_to(val_accuracy >= 0.9)", run) == 3.0, "the initial state does not count"
    assert of("epochs_to(val_accuracy > 0.9)", run) == 4.0
    assert of("epochs_to(val_accuracy < 0.3)", run) == 1.0
    assert of("epochs_to(val_accuracy >= 0.92)", run) == math.inf
    within = replace(run, history=replace(run.history, epoch_end=np.array([False, True, True, False, True])))
    assert of("epochs_to(val_accuracy >= 0.9)", within) == 4.0


def test_gradients_are_read_from_keyframes() -> None:
    layers = RUN.history.layers.copy()
    layers[1, :, COLUMN["weight_gradient_norm"]] = (1e-5, 1e-3, 1e-2)
    run = replace(RUN, history=replace(RUN.history, layers=layers))
    assert of("gradient_ratio at 1", run) == pytest.approx(1e-3)
    assert of(f"weight_gradient_norm[{RUN.info.layers[1].name}] at 1", run) == pytest.approx(1e-3)
    assert math.isnan(of("weight_gradient_norm[nowhere] at 1", run))


def test_movement_is_the_medians_mean_step_in_widths_of_the_band() -> None:
    layers = RUN.history.layers.copy()
    median = np.array([0.0, 0.5, 0.25, 1.0, 1.0])
    for column, shift in (("unit_p50", 0), ("unit_p15", -1), ("unit_p85", 2)):
        layers[:, 1, COLUMN[column]] = median + shift
    run = replace(RUN, history=replace(RUN.history, layers=layers))
    assert of(f"movement[{RUN.info.layers[1].name}]", run) == pytest.approx(np.abs(np.diff(median)).mean() / 3)


def test_a_run_diverged_if_it_says_so() -> None:
    assert of("diverged") == 0
    assert of("diverged", replace(RUN, events=(Event(0, 96, 4.0, "diverged", ""),))) == 1


@pytest.mark.parametrize(
    ("quantities", "frames"),
    [
        (["val_loss", "epochs_to(val_loss < 1)", "val_loss at 3", "diverged"], Frames()),
        (["val_loss at best", "lowest(val_loss)"], Frames()),
        (["gradient_ratio at start", "pre_norm.std[a] at start"], Frames()),
        (["gradient_ratio at 2", "pre_norm.std[a] at 5"], Frames(epochs=frozenset({2, 5}))),
        (["gradient_ratio at 2", "pre_norm.std[a]"], Frames(all=True)),
        (["movement[a]"], Frames(all=True)),
        (["highest(weight_norm[a])"], Frames(all=True)),
        (["weight_norm[a] at best"], Frames(all=True)),
    ],
)
def test_only_the_keyframes_that_are_read_are_measured(quantities: list[str], frames: Frames) -> None:
    assert frames_of(map(quantity, quantities)) == frames


# --- over seeds ---


def seeds(left: str, right: str, *pairs: tuple[float, float]) -> dict[int, dict[str, float]]:
    return {seed: {left: one, right: other} for seed, (one, other) in enumerate(pairs)}


def test_a_claim_is_judged_by_the_paired_differences() -> None:
    found = seeds("val_loss of a", "val_loss of b", (1.0, 0.9), (2.0, 1.8), (3.0, 2.9), (4.0, 3.8))
    judgement = judged(comparison("val_loss of a > val_loss of b"), found)
    assert judgement.effect.mean == pytest.approx(0.15)
    assert judgement.verdict == "holds", "although the runs' own intervals overlap widely"
    assert judged(comparison("val_loss of a > val_loss of b + 0.1"), found).effect.mean == pytest.approx(0.05)
    assert judged(comparison("val_loss of a < 2 * val_loss of b"), found).effect.mean == pytest.approx(2.5 - 2 * 2.35)
    assert judged(comparison("val_loss of a > 0.5"), found).effect.mean == pytest.approx(2.0)


def test_a_negative_factor_is_written_with_the_minus_of_all_other_numbers() -> None:
    found = seeds("gap of a", "gap of b", (0.5, 0.25), (0.5, 0.25))
    said = explained(comparison("gap of a > -3 * gap of b - 0.5"), found)
    assert said == "gap: a = 0.50 ± 0.00, b = 0.25 ± 0.00; difference from −3 × b − 0.5: 1.8 ± 0.0"
    assert "-" not in said


def test_losses_of_a_diverging_run_are_written_with_the_digits_that_are_known() -> None:
    found = seeds("val_loss of a", "val_loss of b", (4.692925e29, 0.9), (math.inf, 0.8), (math.nan, 1.0))
    said = explained(comparison("val_loss of a < val_loss of b"), found)
    assert said.startswith("val_loss: a = 4.7e29 (1/3), b = 0.90 ± 0.25; ")
    both = seeds("val_loss of a", "val_loss of b", (1e20, 0.9), (2e20, 0.8), (3e20, 1.0))
    # mean 2e20, deviation 1e20, t(0.975, 2) = 4.303, root of 3 seeds
    assert "a = 2.0e20 ± 2.5e20, " in explained(comparison("val_loss of a > val_loss of b"), both)


def test_what_differs_by_factors_is_compared_in_decades() -> None:
    found = seeds("gradient_ratio of a", "gradient_ratio of b", (1e-4, 1e-1), (1e-6, 1e-2), (1e-5, 1.0))
    judgement = judged(comparison("gradient_ratio of a < 0.01 * gradient_ratio of b"), found)
    assert judgement.effect.mean == pytest.approx(np.mean([-3, -4, -5]) + 2)
    assert spread(quantity("gradient_ratio of a"), found).mean == pytest.approx(-5)


def test_what_is_0_on_both_sides_is_equal_in_decades_too() -> None:
    found = seeds("weight_gradient_norm[x] of a", "weight_gradient_norm[x] of b", (0.0, 0.0), (0.0, 0.0))
    for operator, verdict in ((">=", "holds"), ("<", "does not hold")):
        compared = comparison(f"weight_gradient_norm[x] of a {operator} 0.1 * weight_gradient_norm[x] of b")
        assert judged(compared, found).verdict == verdict


def test_what_is_never_reached_is_counted_and_not_averaged() -> None:
    a, b = "epochs_to(val_accuracy >= 0.9) of a", "epochs_to(val_accuracy >= 0.9) of b"
    found = seeds(a, b, *[(2.0, math.inf)] * 4, *[(3.0, 9.0)] * 6)
    compared = comparison(f"{a} < 0.5 * {b}")
    judgement = judged(compared, found)
    assert (judgement.verdict, judgement.method, judgement.favorable) == ("holds", "sign", 10)
    assert "b = 9.0 ± 0.0 (6/10); true in 10 of 10 seeds" in explained(compared, found)
    never = seeds(a, b, *[(math.inf, math.inf)] * 10)
    assert "a not reached, b not reached; true in 0 of 10 seeds" in explained(compared, never)
    assert judged(compared, never).verdict == "undecided"


def test_seeds_that_failed_support_no_side() -> None:
    found = seeds("val_loss of a", "val_loss of b", *[(1.0, 2.0)] * 9)
    found[9] = {}
    judgement = judged(comparison("val_loss of a < val_loss of b"), found)
    assert (judgement.verdict, judgement.method, judgement.seeds) == ("holds", "sign", 10)
    found[8] = {}
    assert judged(comparison("val_loss of a < val_loss of b"), found).verdict == "undecided"


# --- the built-in scenarios ---


def test_every_scenario_with_measured_figures_claims_something_in_both_languages() -> None:
    for card in scenarios():
        scenario_ = load(card.path)
        assert bool(scenario_.claims) == (card.name != "fashion-mnist")
        assert len(scenario_.said["ko"]) == len(scenario_.claims)
        texts = [claim.text for claim in scenario_.claims]
        assert len(set(texts)) == len(texts)
        assert len(columns([claim.comparison for claim in scenario_.claims])) <= 6
