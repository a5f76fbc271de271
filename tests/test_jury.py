"""Tests the jury: costs of stops, origin of parameters, runs that ended by themselves, forks, the panel at every size,
and the command.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bntui.cli import obey
from bntui.errors import UsageError
from bntui.insight.jury import JuryResult, RuleOutcome, Wishes, judge, jury
from bntui.insight.stopping_rules import Ignite, Keras, Lightning
from bntui.recording.history import Event, Fork
from bntui.recording.sentences import EventKind
from bntui.text import figures, language
from bntui.viewer.draw.rows import Drawing, text, width
from bntui.viewer.panels import jury as panel
from bntui.viewer.view import RunView
from tests.factory import run_view as build_run
from tests.factory import view
from tests.korean import korean
from tests.test_session import train

BUMPY = [1.0, 0.8, 0.6, 0.62, 0.61, 0.63, 0.5, 0.45, 0.4, 0.42, 0.46, 0.5, 0.55, 0.6, 0.66, 0.7, 0.74, 0.8, 0.85, 0.9]
"""A bump that a patience of 3 takes for the end, then a lower lowest point (epoch 9), then overfitting."""
NAMES = [
    "Keras", "Lightning", "Ignite absolute", "Ignite relative", "Ignite cumulative", "Prechelt GL", "Prechelt PQ",
    "Prechelt UP",
]  # fmt: skip


@cache
def small(index: int, name: str, patience: int | None, keyframes: int) -> RunView:
    return build_run(index, name, layers=1, patience=patience, keyframes=keyframes, epochs=40)


def run_of(
    values: Sequence[float],
    *,
    index: int = 0,
    name: str = "plain",
    patience: int | None = None,
    ended: EventKind | None = None,
    epochs: int | None = None,
    **rule: Any,
) -> RunView:
    """A run with these validation losses at the ends of its epochs, its training losses falling."""
    run = small(index, name, patience, len(values) + 1)
    val_loss = np.array([2.0, *values])
    train_loss = 1 / (1 + np.arange(len(values) + 1))
    history = replace(run.history, val_loss=val_loss, train_loss=train_loss)
    info = run.info
    training = {**info.config["training"], "epochs": len(values) if epochs is None else epochs}
    if rule:
        training["early_stopping"] = {**training["early_stopping"], **rule}
    info = replace(info, config={**info.config, "training": training})
    events = (Event(index, 24 * len(values), float(len(values)), ended, ended),) if ended else ()
    return replace(run, info=info, history=history, events=events)


def judged(*runs: RunView, of: int = 0, wishes: Wishes | None = None) -> JuryResult:
    infos, histories = [run.info for run in runs], [run.history for run in runs]
    return judge(of, infos, histories, runs[of].events, wishes or Wishes())


def by_name(found: JuryResult) -> dict[str, RuleOutcome]:
    return {verdict.juror.name: verdict for verdict in found.verdicts}


# --- prices ---


def test_a_stop_is_priced_against_the_whole_run() -> None:
    found = judged(run_of(BUMPY), wishes=Wishes(patience=3))
    assert (found.best, found.lowest) == (9, 0.4)
    told = {name: (v.stop, v.best, v.given_away, v.saved) for name, v in by_name(found).items()}
    bump = (6, 3, 0.6 - 0.4, 14)
    assert told["Keras"] == told["Lightning"] == bump
    assert told["Prechelt GL"] == bump  # 100 · (0.63/0.6 − 1) = 5, and a little more
    assert told["Prechelt UP"] == (None, 9, 0, 0)  # 0.61, 0.42, 0.66, 0.9: only two strips rose, one after the other
    assert list(told) == NAMES


def test_up_counts_strips() -> None:
    rising = [1.0, 1.0, 1.0, 1.0, 0.5, 1, 1, 1, 1, 0.6, 1, 1, 1, 1, 0.7, 1, 1, 1, 1, 0.8, 1, 1]
    assert by_name(judged(run_of(rising)))["Prechelt UP"].stop == 20


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=30), st.integers(0, 6))
def test_prices_are_what_their_names_say(values: list[float], patience: int) -> None:
    found = judged(run_of(values), wishes=Wishes(patience=patience, min_delta=0.01))
    assert found.lowest == min(values)
    assert found.best == 1 + values.index(min(values))
    for verdict in found.verdicts:
        if verdict.stop is None:
            assert (verdict.given_away, verdict.saved, verdict.because) == (0, 0, "")
        else:
            assert verdict.best is not None
            assert verdict.best <= verdict.stop
            assert verdict.given_away == values[verdict.best - 1] - min(values) >= 0
            assert verdict.saved == len(values) - verdict.stop
    assert found.most == max(verdict.given_away for verdict in found.verdicts)


# --- parameters ---


def test_without_early_stopping_each_tools_defaults_are_taken() -> None:
    found = judged(run_of(BUMPY))
    rules = {name: verdict.juror.rule for name, verdict in by_name(found).items()}
    assert rules["Keras"] == Keras(patience=0, min_delta=0.0)
    assert rules["Lightning"] == Lightning(patience=3, min_delta=0.0, check_finite=True)
    assert rules["Ignite absolute"] == Ignite(patience=10, threshold=0.0)
    assert found.sources == ("tool", "tool")
    assert found.origin == "patience and min_delta: each tool's default"


def test_the_runs_own_table_goes_before_defaults_and_what_is_asked_for_before_it() -> None:
    run = run_of(BUMPY, patience=5, min_delta=-0.02, baseline=0.7, start_from_epoch=2)
    found = judged(run)
    rules = {name: verdict.juror.rule for name, verdict in by_name(found).items()}
    assert rules["Keras"] == Keras(5, 0.02, 0.7, 2)
    assert rules["Lightning"] == Lightning(5, 0.02)
    assert rules["Ignite cumulative"] == Ignite(5, 0.02, "abs", True)
    assert found.sources == ("run", "run")
    asked = judged(run, wishes=Wishes(patience=1, min_delta=0.1))
    assert by_name(asked)["Keras"].juror.rule == Keras(1, 0.1, 0.7, 2)
    assert asked.sources == ("asked", "asked")


def test_of_another_monitor_only_the_patience_is_taken() -> None:
    found = judged(run_of(BUMPY, patience=4, monitor="val_accuracy", min_delta=0.5, baseline=0.9, start_from_epoch=3))
    assert by_name(found)["Keras"].juror.rule == Keras(4)
    assert found.sources == ("run", "tool")


def test_ignite_knows_no_patience_of_0() -> None:
    assert [juror.rule.patience for juror in jury(None, Wishes(patience=0)) if isinstance(juror.rule, Ignite)] == [
        1
    ] * 3


def test_thresholds_are_lightnings() -> None:
    found = judged(run_of(BUMPY), wishes=Wishes(stopping_threshold=0.55))
    assert by_name(found)["Lightning"].because == "patience"  # at epoch 6, before 0.5 at epoch 7
    found = judged(run_of(BUMPY), wishes=Wishes(patience=5, stopping_threshold=0.55))
    lightning = by_name(found)["Lightning"]
    assert (lightning.stop, lightning.best, lightning.because) == (7, 7, "stopping_threshold")


@pytest.mark.parametrize("patience", [None, 1, 4])
@pytest.mark.parametrize("delta", [None, 0.1])
@pytest.mark.parametrize("own", [None, "val_loss", "val_accuracy"])
def test_every_origin_has_a_sentence(patience: int | None, delta: float | None, own: str | None) -> None:
    run = run_of(BUMPY) if own is None else run_of(BUMPY, patience=2, monitor=own)
    said = judged(run, wishes=Wishes(patience=patience, min_delta=delta)).origin
    assert ("as requested" in said) == (patience is not None or delta is not None)
    assert ("each tool's default" in said) == (
        (patience is None and own is None) or (delta is None and own != "val_loss")
    )


# --- runs that ended by themselves ---


@pytest.mark.parametrize(
    ("ended", "epochs", "said"),
    [
        ("stopped_early", 40, "the run itself stopped early at epoch 20: later stops cannot be seen"),
        ("diverged", 40, "the run itself diverged at epoch 20: later stops cannot be seen"),
        (None, 40, "recorded up to epoch 20 of 40: later stops cannot be seen yet"),
        ("finished", 20, ""),
        (None, 20, ""),
    ],
)
def test_what_a_run_cannot_show_is_said(ended: EventKind | None, epochs: int, said: str) -> None:
    assert judged(run_of(BUMPY, ended=ended, epochs=epochs)).limits == said


def test_a_run_that_diverges() -> None:
    found = judged(run_of([1.0, 0.5, 0.7, math.nan], ended="diverged"), wishes=Wishes(patience=5))
    assert (found.best, found.lowest) == (2, 0.5)
    lightning = by_name(found)["Lightning"]
    assert (lightning.stop, lightning.best, lightning.because) == (4, 2, "check_finite")
    assert lightning.given_away == 0
    assert by_name(found)["Keras"].stop is None
    assert all(math.isfinite(verdict.given_away) for verdict in found.verdicts)


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_a_run_without_a_validation_loss(values: list[float]) -> None:
    found = judged(run_of(values, ended="diverged", epochs=40))
    assert found.best is None
    assert math.isnan(found.lowest)
    assert found.limits
    assert by_name(found)["Lightning"].stop == (1 if values else None)
    drawn = [text(row) for row in panel.draw(view(run_of(values, ended="diverged", epochs=40)), 80, 17).rows]
    said = "val_loss was never finite" if values else "no epoch with a validation loss is recorded"
    assert said in drawn[0]
    assert any("itself diverged" in line for line in drawn)


def test_a_fork_is_judged_with_its_parents_epochs() -> None:
    """The joined curve gives the verdicts of a run that was never forked."""
    whole = run_of(BUMPY)
    fork = run_of(BUMPY[12:], index=1, name="fork", epochs=20)
    history = replace(fork.history, epoch=fork.history.epoch + 12, val_loss=np.array([BUMPY[11], *BUMPY[12:]]))
    history = replace(history, train_loss=np.array([*whole.history.train_loss[12:]]), epoch_end=np.arange(9) > 0)
    info = replace(fork.info, fork=Fork(0, 12 * 24, 12.0))
    found = judged(whole, replace(fork, info=info, history=history), of=1, wishes=Wishes(patience=3))
    alone = judged(whole, wishes=Wishes(patience=3))
    assert found.epochs.tolist() == list(range(1, 21))
    assert found.val_loss.tolist() == BUMPY
    assert [(v.stop, v.best, v.saved) for v in found.verdicts] == [(v.stop, v.best, v.saved) for v in alone.verdicts]


def forked(at: int, *, parent: int = 3, **changes: Any) -> tuple[RunView, RunView]:
    """A run with a patience, and its fork after that epoch, which has one too, with something changed."""
    whole = run_of(BUMPY, patience=parent)
    fork = run_of(BUMPY[at:], index=1, name="fork", patience=changes.pop("patience", parent), epochs=20, **changes)
    history = replace(fork.history, epoch=fork.history.epoch + at, epoch_end=np.arange(len(BUMPY) - at + 1) > 0)
    return whole, replace(fork, info=replace(fork.info, fork=Fork(0, at * 24, float(at))), history=history)


UP_TO_5 = "judged with its parent's epochs up to epoch 5"
ANEW = "its own patience restarted at epoch 5; the rules keep counting"
PAST = "it was forked at epoch {}, after Keras would have stopped at epoch 6, and continued"


def test_of_a_fork_is_said_what_was_judged() -> None:
    assert judged(*forked(5)).span == ""
    found = judged(*forked(5), of=1)
    assert (found.span, found.otherwise) == (UP_TO_5, "")
    assert UP_TO_5 in words(panel.draw(view(*forked(5), selected=1), 118, 24))


def with_network(run: RunView, **change: Any) -> RunView:
    network = {**run.info.config["network"], **change}
    return replace(run, info=replace(run.info, config={**run.info.config, "network": network}))


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "min"},
        {"activation": "relu"},
        {"norm": "layer"},
        {"hidden": [7]},
        {"norm_position": "after_activation"},
    ],
)
def test_a_patience_that_was_counted_anew_is_said(change: dict[str, Any]) -> None:
    """The table of docs/resume-and-fork.md: another network, or another monitor or mode."""
    whole, fork = forked(5, **change) if "mode" in change else forked(5)
    if "mode" not in change:
        fork = with_network(fork, **change)
    found = judged(whole, fork, of=1)
    assert found.otherwise == ANEW
    assert ANEW in words(panel.draw(view(whole, fork, selected=1), 158, 30))


@pytest.mark.parametrize("change", [{"patience": 4}, {"min_delta": 0.1}, {"dropout": 0.3}])
def test_what_keeps_the_patience_is_not_called_anew(change: dict[str, Any]) -> None:
    rate = change.pop("dropout", None)
    whole, fork = forked(5, **change)
    if rate is not None:
        fork = with_network(fork, dropout=rate)
    assert not judged(whole, fork, of=1).afresh


def test_a_fork_whose_configuration_this_version_cannot_read_is_judged_without_a_word_on_its_patience() -> None:
    whole, fork = forked(5)
    found = judged(whole, with_network(fork, norm="of another version"), of=1)
    assert (found.afresh, found.otherwise, found.span) == (False, "", UP_TO_5)


@pytest.mark.parametrize(("at", "said"), [(5, ""), (6, PAST.format(6)), (12, PAST.format(12))])
def test_a_fork_past_its_stop_says_so(at: int, said: str) -> None:
    """A patience of 3 stops BUMPY at epoch 6."""
    assert judged(*forked(at), of=1).otherwise == said
    without = forked(at)[0], run_of(BUMPY[at:], index=1)
    assert judged(*without, of=1).otherwise == ""


def test_a_high_panel_gives_the_curve_the_whole_width() -> None:
    run = run_of(BUMPY, patience=3)
    for height, share in ((25, 0.7), (40, 1.0)):
        axis = next(line for line in words(drawn(run, 158, height)).splitlines() if "└" in line)
        assert (len(axis.split("K Keras")[0].rstrip("│ ")) > 150) == (share == 1.0)


def test_what_counts_epochs_says_so_while_the_cursor_counts_steps() -> None:
    run = run_of(BUMPY)
    assert "count epochs" not in words(drawn(run))
    assert "the cursor counts steps, the rules and this axis count epochs" in words(drawn(run, unit="step"))
    assert drawn(run, 78, 17, unit="step").title.endswith("· by epoch")
    assert "by epoch" not in drawn(run).title


def test_the_sign_beside_what_is_lost_is_explained() -> None:
    assert "! gives away the most" in words(drawn(run_of(BUMPY, patience=3), 158, 30))
    assert "!" not in words(drawn(run_of([1.0, 0.9, 0.8]), 158, 30))


def test_no_rule_stands_out_where_no_loss_was_ever_finite() -> None:
    rows = drawn(run_of([math.nan] * 4), 118, 20).rows
    red = [text(row) for row in rows if any("bad" in span.style and span.text.strip() for span in row)]
    assert len(red) == 1
    assert "never finite" in red[0]
    assert not any("!" in text(row) for row in rows)


def test_within_an_epoch_nothing_is_judged() -> None:
    run = run_of(BUMPY[:5])
    ends = run.history.epoch_end.copy()
    ends[3] = False
    found = judged(replace(run, history=replace(run.history, epoch_end=ends)))
    assert found.epochs.tolist() == [1, 2, 4, 5]


# --- the panel ---


def drawn(run: RunView, cells: int = 118, height: int = 20, **changes: Any) -> Drawing:
    return panel.draw(replace(view(run), **changes), cells, height)


def words(drawing: Drawing) -> str:
    return "\n".join(text(row).rstrip() for row in drawing.rows)


def test_the_title_says_that_the_whole_run_is_judged_and_of_which() -> None:
    run = run_of(BUMPY)
    assert drawn(run).title == "Stopping rules ── whole run judged: plain · loss, log axis"
    assert drawn(run, log_axis=False).title.endswith("loss, linear axis")
    assert drawn(run, 58, 9).title == "Stopping rules ── whole run judged: plain"  # there is no room for the curve


def test_the_cursor_changes_nothing_but_its_line() -> None:
    run = run_of(BUMPY, patience=3)
    early, late = (words(drawn(replace(run, row=row), cursor=float(row))) for row in (2, 18))
    assert early.replace("│", " ").split() == late.replace("│", " ").split()
    assert early != late


def picture(drawing: Drawing) -> list[str]:
    """The rows of the curve alone, which stands left of the table or above it."""
    lines = [text(row) for row in drawing.rows]
    aside = next(line for line in lines if "K Keras" in line).index("K Keras")
    end = next(at for at, line in enumerate(lines) if "└" in line)
    return [line[: aside or None] for line in lines[:end]]


def columns(drawing: Drawing, mark: str) -> list[int]:
    """Columns of the curve in which a mark stands."""
    return sorted({at for line in picture(drawing) for at, char in enumerate(line) if char == mark})


def test_a_letter_stands_in_the_column_in_which_its_rule_stops() -> None:
    run = run_of(BUMPY, patience=3)
    drawing = drawn(run)
    found = judged(run)
    marks = {v.juror.mark: columns(drawing, v.juror.mark) for v in found.verdicts}
    left = min(at for at, char in enumerate(text(drawing.rows[0])) if char == "┤") + 1
    right = max(map(len, picture(drawing))) - 3
    for verdict in found.verdicts:
        at = marks[verdict.juror.mark]
        if verdict.stop is None:
            assert at == []
        else:
            assert len(at) == 1
            assert at[0] == pytest.approx(left + verdict.stop / 20 * (right - left), abs=1.5)
    stops = [verdict.stop for verdict in found.verdicts if verdict.stop]
    assert len(set(stops)) < len(stops), "some stand above one another"
    assert columns(drawing, "★")[0] == pytest.approx(left + 9 / 20 * (right - left), abs=1.5)
    assert columns(drawing, "☆")[0] == pytest.approx(left + 3 / 20 * (right - left), abs=1.5)


def test_marks_that_stand_together_hide_none() -> None:
    """Six rules stop in the same epoch, in a picture of five lines and in larger ones."""
    run = run_of([1.0, 0.5, 5.0, 5.0, 5.0, 5.0, 0.1], patience=1)
    found = judged(run)
    for cells, height in ((60, 18), (118, 20), (158, 40)):
        drawing = drawn(run, cells, height)
        seen = {char for line in picture(drawing) for char in line}
        assert {verdict.juror.mark for verdict in found.verdicts if verdict.stop} <= seen


def table(drawing: Drawing) -> dict[str, str]:
    """Each rule's row of the table."""
    found = {}
    for row in drawing.rows:
        line = text(row)
        for name in NAMES:
            if f" {name} " in line:
                found[name] = line[line.index(f" {name} ") + 1 + len(name) :]
    return found


def test_the_table_has_the_jurys_figures() -> None:
    run = run_of(BUMPY, patience=3)
    rows = table(drawn(run, 158, 30))
    assert list(rows) == NAMES
    for name, verdict in by_name(judged(run)).items():
        stop = "never" if verdict.stop is None else str(verdict.stop)
        given = figures.number(verdict.given_away).strip()
        shown = rows[name].replace("━", " ").replace("╸", " ").replace("!", " ").split()
        assert shown[:4] == [stop, str(verdict.best), given, str(verdict.saved)]
    assert "patience 3, min_delta 0" in rows["Keras"]
    assert "patience and min_delta from the run's own early stopping" in words(drawn(run, 158, 30))


def styles(drawing: Drawing, name: str) -> set[str]:
    return {span.style for row in drawing.rows for span in row if span.text.strip() == name}


def test_what_loses_most_is_red_and_marked_and_what_loses_nothing_is_not() -> None:
    run = run_of(BUMPY, patience=3)
    drawing = drawn(run)
    costs = {name: verdict.given_away for name, verdict in by_name(judged(run)).items()}
    most = max(costs.values())
    assert 0 < sum(cost == most for cost in costs.values()) < len(costs)
    for name, line in table(drawing).items():
        assert ("!" in line) == (costs[name] == most)
        assert (styles(drawing, name) == {"bold bad"}) == (costs[name] == most)


def test_where_no_rule_loses_nothing_is_red() -> None:
    drawing = drawn(run_of([1.0, 0.9, 0.8, 0.7, 0.6]))
    assert "!" not in words(drawing)
    assert not any("bad" in span.style for row in drawing.rows for span in row)


def test_a_run_that_ended_by_itself_is_said_in_the_panel() -> None:
    for cells, height in ((52, 18), (78, 17), (118, 20), (158, 40)):
        said = words(drawn(run_of(BUMPY, ended="stopped_early", epochs=40), cells, height)).split()
        assert {"stopped", "early", "later", "stops", "cannot", "be", "seen"} <= set(said)


def test_too_few_rows_keep_the_rules_that_lose_most() -> None:
    run = run_of(BUMPY, patience=3)
    costs = {name: verdict.given_away for name, verdict in by_name(judged(run)).items()}
    kept = table(drawn(run, 60, 6))
    assert len(kept) == 5
    assert min(costs[name] for name in kept) >= max(cost for name, cost in costs.items() if name not in kept)
    assert "3 more rules" in words(drawn(run, 60, 6))


@pytest.mark.parametrize("spoken", language.LANGUAGES)
@pytest.mark.parametrize("ended", [None, "stopped_early", "diverged"])
def test_it_fills_every_size(ended: EventKind | None, spoken: str) -> None:
    language.use(spoken)
    last = [math.nan] if ended == "diverged" else []
    runs = [run_of([*BUMPY, *last], patience=3, ended=ended, epochs=99), run_of([], ended=ended), run_of([0.3])]
    for cells in (*range(20, 60, 3), 78, 99, 100, 101, 118, 158, 198):
        for height in (1, 2, 5, 6, 8, 9, 10, 14, 17, 30):
            for run in runs:
                drawing = drawn(run, cells, height)
                assert [width(row) for row in drawing.rows] == [cells] * height


def test_ten_thousand_epochs_are_drawn() -> None:
    values = 0.5 + 0.4 * np.exp(-np.arange(10_000) / 300) + 0.05 * np.sin(np.arange(10_000) / 40)
    run = small(0, "plain", None, 2)
    count = len(values) + 1
    history = replace(
        run.history,
        epoch=np.arange(count, dtype=float),
        epoch_end=np.arange(count) > 0,
        val_loss=np.array([2.0, *values]),
        train_loss=np.linspace(1, 0.1, count),
        step=np.arange(count) * 24,
    )
    found = judged(replace(run, history=history))
    assert found.best == 1 + int(np.argmin(values))
    assert [width(row) for row in drawn(replace(run, history=history), 100, 20).rows] == [100] * 20


# --- the command ---

MOONS = """
title = "Moons"
seed = 2
[data]
source = "moons"
samples = 60
noise = 0.35
validation = 0.4
batch_size = 12
[network]
hidden = [30]
activation = "relu"
[training]
optimizer = "adam"
lr = 0.02
epochs = 25
[[run]]
name = "patience 2"
set = { training.early_stopping = { patience = 2, min_delta = 0.001 } }
[[run]]
name = "on"
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reader = train(tmp_path_factory.mktemp("jury"), MOONS)
    reader.close()
    return reader.path


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        obey([*map(str, arguments)])
    assert not ended.value.code
    return capsys.readouterr().out


def test_stops_prints_a_table_for_each_run(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = said(capsys, "stops", recording)
    lines = printed.splitlines()
    assert lines[0] == "Moons"
    assert [line for line in lines if line in ("patience 2", "on")] == ["patience 2", "on"]
    assert printed.count("Prechelt UP") == 2
    one = said(capsys, "stops", recording, "--run", "on")
    assert "patience 2" not in one.splitlines()
    assert one.count("Keras") == 1


def test_a_recorded_run_stopped_where_keras_would_have(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run with early stopping, and the same rule asked of the run that went on: the two are equal up to there."""
    own, on = json.loads(said(capsys, "stops", recording, "--json"))["runs"]
    assert own["ended"] == "stopped_early"
    assert own["rules"][0]["stops"] == own["epochs"] < own["planned"] == on["epochs"]
    assert own["rules"][0]["because"] == "patience"
    asked = ("--run", "1", "--patience", "2", "--min-delta", "0.001", "--json")
    other = json.loads(said(capsys, "stops", recording, *asked))["runs"][0]["rules"][0]
    assert (other["stops"], other["best_epoch"]) == (own["rules"][0]["stops"], own["rules"][0]["best_epoch"])
    assert other["parameters"] == {"patience": 2, "min_delta": 0.001, "start_from_epoch": 0}


def test_json_is_bound_to_no_language(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    english = said(capsys, "stops", recording, "--json")
    language.use("ko")
    assert said(capsys, "stops", recording, "--json") == english
    table_ = said(capsys, "stops", recording)
    assert korean(table_)
    rows = [line for line in table_.splitlines() if line.startswith(("  Keras", "  Ignite"))]
    assert len({cell_len(line[: line.index("patience ")]) for line in rows[:4]}) == 1


def test_a_run_that_is_not_there_is_refused(recording: Path) -> None:
    with pytest.raises(UsageError, match="has no run 'x'"):
        obey(["stops", str(recording), "--run", "x"])
    with pytest.raises(UsageError, match="--patience"):
        obey(["stops", str(recording), "--patience", "-1"])


@pytest.mark.parametrize("option", ["--min-delta", "--stopping-threshold", "--divergence-threshold"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_limit_that_is_no_number_is_refused(option: str, value: str, recording: Path) -> None:
    with pytest.raises(UsageError, match=option):
        obey(["stops", str(recording), option, value])
