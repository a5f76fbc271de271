"""Tests what ships with the program: scenarios train and draw, panels are explained, commands are documented."""

from __future__ import annotations

import gzip
import re
import sqlite3
from contextlib import closing
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from bntui.audit.audit import audit
from bntui.cli import app
from bntui.errors import DataError
from bntui.insight.figures_at import spelled
from bntui.recording.reader import Reader
from bntui.scenario.figure_reference import references
from bntui.scenario.gallery import Card, scenarios
from bntui.scenario.load import load
from bntui.text.language import LANGUAGES, _, use
from bntui.trainer.session import Session
from bntui.viewer import parts, tour, tour_pointer, view_state
from bntui.viewer.draw.rows import text, width
from bntui.viewer.layout import Candidates, layout
from bntui.viewer.panels import PANELS
from bntui.viewer.snapshot import Snapshot, free_panels, take_snapshot
from bntui.viewer.view_state import ViewState
from tests.spread import ALL

CARDS = scenarios()
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


TABLE = re.search(r"\| scenario \| question \|\n(.*?)\n\n", README, re.DOTALL)


def test_the_readme_names_all_scenarios() -> None:
    assert TABLE is not None
    named = {name for line in TABLE[1].splitlines() for name in re.findall(r"`([a-z-]+)`", line.split("|")[1])}
    assert named == {card.name for card in CARDS}


def test_the_gallery_follows_the_lesson() -> None:
    assert [card.lesson for card in CARDS] == list(range(1, len(CARDS) + 1))


def idx(path: Path, values: np.ndarray[Any, Any]) -> None:
    """An IDX file of bytes, gzipped: the format in which MNIST and Fashion-MNIST are distributed."""
    head = bytes((0, 0, 8, values.ndim)) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(gzip.compress(head + values.astype(np.uint8).tobytes()))


def overrides(card: Card, folder: Path) -> list[tuple[str, object]]:
    """Two epochs of 160 samples; for the scenario whose files a user brings, pictures of the same size and ten classes.

    With ``BNTUI_ALL=1`` of all samples.
    """
    if card.name != "fashion-mnist":
        return [("training.epochs", 2), *([] if ALL else [("data.samples", 160)])]
    images = folder / "train-images-idx3-ubyte.gz"
    draw = np.random.default_rng(0)
    idx(images, draw.integers(0, 256, (200, 28, 28)))
    idx(folder / "train-labels-idx1-ubyte.gz", np.arange(200) % 10)
    return [("training.epochs", 2), ("data.source", str(images))]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_scenario_says_what_to_look_for_trains_draws_guides_and_is_true(card: Card, tmp_path: Path) -> None:
    assert card.problem is None
    assert card.description
    assert card.look_for
    assert card.reference
    scenario = load(card.path, overrides(card, tmp_path))
    assert 2 <= len(scenario.runs) <= (12 if card.name == "small-batches" else 6)
    training = Session.begin(scenario, tmp_path / "x.bntui")
    while not training.over:
        training.epoch(lambda: False)
    training.close()
    try:
        for language in LANGUAGES:
            use(language)
            guides(tmp_path / "x.bntui")
        draws(tmp_path / "x.bntui")
    finally:
        use("en")
    audited(tmp_path / "x.bntui", training.writer.keyframes)


def audited(recording: Path, keyframes: int) -> None:
    """Every measured keyframe is recomputed in full, and every figure lies within its tolerance."""
    report = audit(recording)
    assert report.true, report.ledger.failures[:3]
    with closing(sqlite3.connect(recording)) as db:
        (unmeasured,) = db.execute("SELECT count(*) FROM keyframe WHERE layers IS NULL").fetchone()
    assert report.full == keyframes - unmeasured
    assert report.consistent == report.damaged == 0
    lines = report.ledger.lines
    assert lines["pre-activations"].figures > 1000
    assert lines["update ratios"].figures > 0
    assert max(line.share for line in lines.values()) < 1


def draws(recording: Path) -> None:
    """Every panel fills its room at three sizes, with the recording's titles in the language in use."""
    reader = Reader(recording)
    recorded = take_snapshot(reader)
    state = view_state.grown(view_state.first(len(reader.runs)), recorded.stops)
    view = view_state.build_view(recorded, state, dataset=True)
    assert view.cursor == 2.0
    for panel in PANELS:
        for cells, lines in ((48, 19), (75, 21), (118, 30)):
            drawing = panel.draw(view, cells, lines)
            assert [width(row) for row in drawing.rows] == [cells] * lines
            assert any(text(row).strip() for row in drawing.rows)
    reader.close()


DRAWN = {
    ("curves", "epoch"), ("curves", "step"), ("stopping", "epoch"), ("data", "train_loss"),
    ("layers", "normalized.min"), ("layers", "normalized.max"),
}  # fmt: skip
"""Figures of answers that a panel draws instead of printing them: as a curve, its mark, or a histogram's ends."""


def guides(recording: Path) -> None:
    """Every stop of the tour answers in whole, and reverses the figures of its answer in its panel at three sizes."""
    reader = Reader(recording)
    recorded = take_snapshot(reader)
    figures = tour.recorded_of(recorded)
    for size in ((160, 48), (120, 36), (80, 24)):
        state = tour.begin(view_state.grown(view_state.opening(reader), recorded.stops), recorded, reader.tour)
        for stop in reader.tour:
            candidates = Candidates(free_panels(recorded), state.guest, state.panels)
            state = tour_pointer.settled(state, recorded, tour.shown(state, recorded, reader.tour), size, candidates)
            state = tour.walk(state, recorded, reader.tour, 1)
            shown = tour.shown(state, recorded, reader.tour)
            assert shown is not None
            run = next(run.index for run in reader.runs if run.name == stop.run)
            assert shown.run == run
            assert not re.search(r"[{}]", shown.answer)
            assert _("not recorded") not in shown.answer
            drawn = reversed_in(recorded, state, shown, size, candidates)
            if (row := figures.row(run, stop.at)) is None:
                continue
            assert drawn, (stop.question, size)
            numbers = [number(words) for words in drawn]
            for one in [one for _text, one in references(stop.answer)]:
                there = run if one.run is None else figures.run(one.run)
                assert there is not None
                here = one.place is None or figures.row(there, one.place) == figures.histories[there].at(state.cursor)
                if here and one.figure != "gap" and (stop.panel, one.figure) not in DRAWN:
                    value = number(spelled(one, figures.value(one, run, row), recorded.source.task))
                    assert any(close(value, found) for found in numbers), (stop.question, size, str(one), drawn)
            state = tour.walk(state, recorded, reader.tour, 1)
        assert state.tour is None
    reader.close()


def reversed_in(
    recorded: Snapshot, state: ViewState, shown: tour.ShownStop, size: tuple[int, int], candidates: Candidates
) -> list[str]:
    """What is reversed in the stop's panel where it stands on the screen."""
    view = view_state.build_view(recorded, state, dataset=True, histograms=True)
    said = tour_pointer.rows_of(shown, size)
    page = parts.ScreenContent(view, state, {}, ("", ""), False, False, True, False, tours=True, tour=shown, said=said)
    region = layout(*size, state.focused, state.zoomed, candidates, said).regions[shown.panel]
    drawn = parts.rows(shown.panel, page, region.width, region.height)
    return [span.text for row in drawn for span in row if span.style.endswith(" cursor")]


def number(words: str) -> Decimal:
    """A figure as it is printed; NaN for words."""
    try:
        return Decimal(words.replace("−", "-").replace(",", "").strip(" %"))
    except ArithmeticError:
        return Decimal("nan")


def close(one: Decimal, other: Decimal) -> bool:
    """Both figures can be the same value, rounded to the digits of each."""
    if not (one.is_finite() and other.is_finite()):
        return str(one) == str(other)
    halves = [Decimal(1).scaleb(int(figure.as_tuple().exponent)) / 2 for figure in (one, other)]
    return abs(one - other) <= sum(halves)


def test_fashion_mnist_says_which_files_it_wants(tmp_path: Path) -> None:
    card = next(card for card in CARDS if card.name == "fashion-mnist")
    with pytest.raises(DataError) as refused:
        Session.begin(load(card.path), tmp_path / "x.bntui")
    assert "train-images-idx3-ubyte.gz" in str(refused.value)
    assert "--set data.source" in str(refused.value)
    assert not (tmp_path / "x.bntui").exists()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_every_panel_is_explained(panel: object) -> None:
    name = getattr(panel, "name", "")
    lesson = resources.files("bntui.lessons").joinpath("en", f"{name}.md").read_text(encoding="utf-8")
    assert lesson.startswith("# ")
    assert len(lesson.split()) > 80


def test_every_command_is_in_the_readme() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name in commands:
        assert re.search(rf"`bntui {name}\b", README), name


def test_the_readmes_scenario_is_the_builtin_one() -> None:
    shown = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    from bntui.scenario.load import parse

    theirs = load(next(card.path for card in CARDS if card.name == "batch-normalization"))
    assert parse(shown[1], file="README.md").runs == theirs.runs
