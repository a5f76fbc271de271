"""Tests guided tours: what a scenario may say, what a stop shows, and those of the built-in scenarios."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bntui.audit.audit import audit
from bntui.commands.check import checked
from bntui.errors import ScenarioError
from bntui.insight.figures_at import Recorded, spelled
from bntui.recording.reader import Reader
from bntui.recording.tour import TourStop
from bntui.scenario import tour_text
from bntui.scenario.figure_reference import GRAMMAR, comparison
from bntui.scenario.figures import Quantity
from bntui.scenario.gallery import scenarios
from bntui.scenario.load import parse
from bntui.text.language import use
from bntui.trainer.session import Session
from bntui.viewer import parts, tour, view_state
from bntui.viewer.draw.rows import FigureReference, Row, Span, text
from bntui.viewer.panels import BY_NAME
from bntui.viewer.snapshot import Snapshot, take_snapshot
from bntui.viewer.tour_pointer import pointed
from tests import factory
from tests.fakes import FakeReader

SCENARIO = """
title = "A tour"
seed = {seed}
[data]
source = "iris"
batch_size = 30
[network]
hidden = [4, 3]
activation = "sigmoid"
[training]
lr = 0.5
epochs = 3
[[run]]
name = "one"
[[run]]
name = "two"
set = {{ training.lr = 0.1 }}
[[tour]]
question = "Which is lower?"
{stop}
[translation.ko]
title = "안내"
{translated}
"""
GOOD = 'answer = "{val_loss} and {val_loss of two}"\nat = "start"\npanel = "curves"'
KOREAN = '[[translation.ko.tour]]\nquestion = "어느 쪽이 낮을까요?"\nanswer = "{val_loss}, {val_loss of two}"'


def scenario(stop: str = GOOD, translated: str = KOREAN, seed: int = 1) -> str:
    return SCENARIO.format(stop=stop, translated=translated, seed=seed)


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        ('answer = "x"\npanel = "curve"', ["tour[0].panel", "did you mean 'curves'"]),
        ('answer = "x"\npanel = "curves"\nrun = "tow"', ["tour[0].run", "no such run", "did you mean 'two'"]),
        (
            'answer = "x"\npanel = "curves"\nlayer = "linear 3"',
            ["tour[0].run", "layers are linear 1, linear 2, output"],
        ),
        ('answer = "x"\npanel = "curves"\nat = "never"', ["tour[0].at", "start, end, best, first bad"]),
        ('answer = "x"\npanel = "curves"\nat = 4', ["tour[0].at", "ends after epoch 3"]),
        ('answer = "{loss}"\npanel = "curves"', ["tour[0].answer", "no figure 'loss'", "val_loss"]),
        ('answer = "{val_loss of three}"\npanel = "curves"', ["tour[0].answer", "no such run"]),
        ('answer = "{output.std[linear 9]}"\npanel = "curves"', ["tour[0].answer", "no such layer"]),
        ('answer = "{}"\npanel = "curves"', ["tour[0].answer", "not a figure"]),
        ('answer = "{highest(val_loss)}"\npanel = "curves"', ["tour[0].answer", "write FIGURE[LAYER] of RUN at PLACE"]),
        ('answer = "{movement[linear 1]}"\npanel = "curves"', ["tour[0].answer", "no figure 'movement'"]),
        ('answer = "{val_los}"\npanel = "curves"', ["tour[0].answer", "did you mean 'val_loss'"]),
        ('answer = "{weight_norm}"\npanel = "curves"', ["tour[0].answer", "write weight_norm[LAYER]"]),
        ('answer = "x"\npanel = "curves"\nholds = "val_loss"', ["tour[0].holds", "not a comparison"]),
        ('answer = "x"\npanel = "curves"\nholds = "val_loss < train_los"', ["tour[0].holds", "figure 'train_los'"]),
        ('answer = "a\\u001bb"\npanel = "curves"', ["tour[0].answer", "control characters"]),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_stop_is_named_with_its_line(stop: str, said: list[str]) -> None:
    with pytest.raises(ScenarioError) as error:
        parse(scenario(stop), file="x.toml")
    (line,) = str(error.value).splitlines()
    assert re.match(r"x\.toml:\d+: ", line)
    for words in said:
        assert words in line


def test_a_translation_has_as_many_stops() -> None:
    with pytest.raises(ScenarioError, match="as many stops as the tour: 1"):
        parse(scenario(translated=f"{KOREAN}\n{KOREAN}"), file="x.toml")


def test_a_tour_is_compared_with_the_file_and_not_with_overrides() -> None:
    stop = 'answer = "{output.std[linear 2]}"\npanel = "curves"\nat = 3\nlayer = "linear 2"'
    korean = KOREAN.replace("{val_loss}, {val_loss of two}", "{output.std[linear 2]}")
    parsed = parse(scenario(stop, korean), file="x.toml", overrides=[("training.epochs", 1), ("network.hidden", [4])])
    assert [(one.at, one.layer) for one in parsed.tour] == [(3, "linear 2")]
    with pytest.raises(ScenarioError, match="ends after epoch 3"):
        parse(scenario(stop.replace("at = 3", "at = 4"), korean), file="x.toml", overrides=[("training.epochs", 9)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("val_loss", Quantity("val_loss", place=None)),
        ("val_loss of two hidden layers", Quantity("val_loss", None, "two hidden layers", None)),
        ("output.std[linear 1] of He at start", Quantity("output.std", "linear 1", "He", "start")),
        ("gradient_ratio at 2.5", Quantity("gradient_ratio", None, None, 2.5)),
        ("val_loss of at best at first bad", Quantity("val_loss", None, "at best", "first bad")),
    ],
)
def test_references(text: str, expected: Quantity) -> None:
    assert GRAMMAR.quantity(text) == expected


@given(st.floats(-10, 10), st.floats(-10, 10), st.sampled_from(["<", ">", "<=", ">="]), st.floats(0.01, 100))
def test_comparisons_are_python_s(left: float, right: float, operator: str, factor: float) -> None:
    asked = comparison(f"val_loss {operator} {factor!r} * train_loss")
    assert asked.holds(left, right) is eval(f"{left!r} {operator} {factor!r} * {right!r}")
    assert not asked.holds(math.nan, right)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tour") / "x.bntui"
    session = Session.begin(parse(scenario(), file="x.toml"), path)
    while not session.over:
        session.epoch(lambda: False)
    session.close()
    return path


def test_a_recording_keeps_its_tour_in_both_languages_and_the_audit_compares_it(trained: Path) -> None:
    assert audit(trained).true
    for language, question in (("en", "Which is lower?"), ("ko", "어느 쪽이 낮을까요?")):
        use(language)
        reader = Reader(trained)
        assert [(stop.question, stop.at, stop.panel) for stop in reader.tour] == [(question, "start", "curves")]
        reader.close()
    use("en")


def test_an_answer_has_the_recorded_figures(trained: Path) -> None:
    reader = Reader(trained)
    recorded = take_snapshot(reader)
    state = tour.begin(view_state.grown(view_state.opening(reader), recorded.stops), recorded, reader.tour)
    assert (state.cursor, state.focused, state.selected, state.following) == (0.0, "curves", 0, False)
    shown = tour.shown(state, recorded, reader.tour)
    assert shown is not None
    assert (shown.question, shown.revealed) == ("Which is lower?", False)
    shown = tour.shown(tour.walk(state, recorded, reader.tour, 1), recorded, reader.tour)
    assert shown is not None
    losses = [float(history.val_loss[0]) for history in recorded.histories]
    assert shown.answer == " and ".join(f"{loss:#.3g}" for loss in losses)
    reader.close()


STOPS = (
    TourStop("one?", "{val_loss}", "curves", at="start"),
    TourStop("two?", "{epoch}", "layers", at=3, run="batch norm", layer="linear 1"),
    TourStop("three?", "yes", "stopping", at="best", holds="val_loss > 1e9"),
)


def test_two_keys_walk_the_tour() -> None:
    reader = FakeReader()
    recorded = take_snapshot(reader)
    state = tour.walk(view_state.first(2), recorded, STOPS, 1)
    seen = []
    while state.tour is not None:
        shown = tour.shown(state, recorded, STOPS)
        assert shown is not None
        seen.append((shown.number, shown.revealed, state.focused, state.selected))
        state = tour.walk(state, recorded, STOPS, 1)
    assert seen == [
        (1, False, "curves", 0), (1, True, "curves", 0), (2, False, "layers", 1), (2, True, "layers", 1),
        (3, False, "stopping", 0), (3, True, "stopping", 0),
    ]  # fmt: skip
    back = []
    state = replace(state, tour=2, revealed=True)
    for _key in range(6):
        state = tour.walk(state, recorded, STOPS, -1)
        back.append((state.tour, state.revealed, state.focused))
    assert back == [(2, False, "stopping"), (1, False, "layers"), *[(0, False, "curves")] * 4]
    assert tour.begin(replace(state, tour=1), recorded, STOPS).tour is None


def test_a_recording_that_shows_it_differently_says_so() -> None:
    reader = FakeReader()
    recorded = take_snapshot(reader)
    state = replace(view_state.first(2), tour=2, revealed=True)
    shown = tour.shown(state, recorded, STOPS)
    assert shown is not None
    assert shown.answer.startswith("This recording shows it differently: val_loss is ")
    bad = (TourStop("?", "x", "curves", at="first bad"), TourStop("?", "x", "curves", at=55))
    for number, words in enumerate(("nothing of the kind", "not come to epoch 55")):
        shown = tour.shown(replace(state, tour=number), recorded, bad)
        assert shown is not None
        assert words in shown.answer


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_run_without_a_best_epoch_says_so(early_stopping: bool) -> None:
    """It diverged in its first epoch: no loss was ever the best, and that of the initial state is not."""
    run = factory.run_view(0, "diverged", patience=3 if early_stopping else None)
    history = replace(
        run.history, val_loss=np.where(run.history.epoch > 0, np.nan, 1.0), best_epoch=run.history.best_epoch * 0
    )
    recorded = Recorded([run.info], [history], [()])
    assert recorded.row(0, "start") == 0
    assert recorded.row(0, "best") is None
    snapshot = Snapshot(FakeReader(replace(run, history=history)), (history,), ((),), history.frames(), ((),))
    state = replace(view_state.first(1), tour=0, revealed=True)
    shown = tour.shown(state, snapshot, (TourStop("?", "{val_loss}", "curves", at="best"),))
    assert shown is not None
    assert shown.answer == "In this recording, this run has no best epoch."


def stop(figures: set[FigureReference], layer: str = "", runs: tuple[int, ...] = (0,)) -> tour.ShownStop:
    return tour.ShownStop(1, 1, "?", "!", True, "layers", runs[0], layer, frozenset(figures), runs)


def reversed_in(rows: tuple[Row, ...], shown: tour.ShownStop) -> list[str]:
    drawn = pointed(rows, shown)
    assert [text(row) for row in drawn] == [text(row) for row in rows]
    return [span.text for row in drawn for span in row if "cursor" in span.style]


def test_the_figures_of_the_answer_are_reversed_and_nothing_else() -> None:
    loss, rate = FigureReference(0, "val_loss"), FigureReference(0, "dead_fraction", "linear 1")
    rows: tuple[Row, ...] = (
        (Span("● one ", "run0", "select_run(0)"), Span("  0.306 ", "text", tells=loss), Span(" 4.7 %", tells=rate)),
        (Span("▲ two ", "run1", "select_run(1)"), Span("  1.12", "bad", tells=loss._replace(run=1))),
        (Span("● linear 10 "), Span("9.9 %", tells=rate._replace(layer="linear 10"))),
    )
    assert reversed_in(rows, stop({loss})) == ["0.306"]
    assert reversed_in(rows, stop({loss, loss._replace(run=1)})) == ["0.306", "1.12"]
    assert reversed_in(rows, stop({rate, FigureReference(0, "epoch")})) == ["4.7 %"]
    # a figure that the panel does not show: those of the same quantity, of the layer, or the names of the runs
    assert reversed_in(rows, stop({FigureReference(0, "output.std", "linear 10")}, "linear 10")) == ["9.9 %"]
    assert reversed_in(rows, stop({FigureReference(1, "epoch")}, runs=(1, 0))) == ["● one", "▲ two"]
    assert reversed_in(rows, stop(set(), runs=(1,))) == ["▲ two"]


TEXTS = st.lists(st.text("가나다 abc1.", min_size=1, max_size=12), min_size=1, max_size=25).map(" ".join)


@given(TEXTS, TEXTS, st.booleans(), st.integers(38, 158), st.sampled_from([12, 24, 29, 30, 48]))
def test_a_stop_is_wrapped_and_nothing_of_it_is_lost(
    question: str, answer: str, revealed: bool, cells: int, height: int
) -> None:
    shown = tour.ShownStop(12, 20, question, answer, revealed, "curves", 0)
    rows = [text(row) for row in tour.lines(shown, cells, tour.most_lines(height))]
    assert len(rows) <= (2 if height < 30 else 3)
    assert all(cell_len(row) <= cells for row in rows)
    assert rows[0].startswith(" 12/20 ")
    said = " ".join(row[7:].strip() for row in rows).split()
    words = (answer if revealed else question).split()
    if not said or not said[-1].endswith("…"):
        assert "".join(said) == "".join(words)
    else:  # cut only where all rows are as full as words allow
        assert cell_len(" ".join(words)) > len(rows) * (cells - 7) - len(rows) * max(map(cell_len, words))
    # the question takes as many rows as its answer: the panels stay where they are
    assert len(tour.lines(replace(shown, revealed=not revealed), cells, tour.most_lines(height))) == len(rows)


@given(TEXTS)
def test_a_text_fits_where_it_is_read_in_whole_at_80_columns(said: str) -> None:
    rows = tour.lines(tour.ShownStop(20, 20, said, "", False, "curves", 0), 78, tour.most_lines(24))
    whole = "".join(text(row)[7:] for row in rows)
    assert tour_text.fits(said) == ("".join(whole.split()) == "".join(said.split()))


def test_check_names_long_questions_in_both_languages(tmp_path: Path) -> None:
    assert checked_lines(tmp_path, GOOD, KOREAN) == []
    long = GOOD.replace("{val_loss} and", f"{'long ' * 25}{{val_loss}} and")
    korean = KOREAN.replace("어느 쪽이", "어느 쪽이 " * 15)
    told = checked_lines(tmp_path, long, korean)
    assert [line.split(":")[0].strip() for line in told] == ["tour[0].answer", "translation.ko.tour[0].question"]
    assert all("takes 3 lines on a screen of 80 columns, where 2 fit" in line for line in told)


def checked_lines(folder: Path, stop: str, translated: str) -> list[str]:
    path = folder / "x.toml"
    path.write_text(scenario(stop, translated), encoding="utf-8")
    return list(checked(str(path), read=False))[1:]


@pytest.mark.parametrize("card", scenarios(), ids=lambda card: card.name)
def test_built_in_tours_have_three_to_seven_stops_that_fit_a_small_screen(card: object) -> None:
    told = tomllib.loads(card.path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    assert 3 <= len(told["tour"]) <= 7
    assert len(told["translation"]["ko"]["tour"]) == len(told["tour"])
    for stop, korean in zip(told["tour"], told["translation"]["ko"]["tour"], strict=True):
        placeholders = sorted(re.findall(r"\{[^}]*\}", stop["answer"]))
        assert sorted(re.findall(r"\{[^}]*\}", korean["answer"])) == placeholders
        for words in (stop["question"], korean["question"], stop["answer"], korean["answer"]):
            assert tour_text.fits(words), words


def test_the_tour_line_and_the_panel_are_drawn() -> None:
    reader = FakeReader()
    recorded = take_snapshot(reader)
    state = tour.walk(tour.begin(view_state.first(2), recorded, STOPS), recorded, STOPS, 1)
    page = parts.ScreenContent(
        view_state.build_view(recorded, state), state, reader.meta, ("", ""), False, False, True, False, tours=True,
        tour=tour.shown(state, recorded, STOPS),
    )  # fmt: skip
    strip = [text(row) for row in parts.rows("strip", page, 80, 2)]
    assert strip[1].strip().startswith("1/3 ")
    curves = parts.rows("curves", page, 80, 20)
    assert any("cursor" in span.style for row in curves for span in row)
    assert "answer, next" in text(parts.rows("keys", page, 80, 1)[0])
    assert BY_NAME["curves"]
    assert spelled(Quantity("val_accuracy"), 0.5, "classification") == "50.0 %"
    assert np.isfinite(factory.run_view().history.val_loss[0])
