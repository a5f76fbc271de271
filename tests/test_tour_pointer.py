"""Tests that cells which say which figure they show have that figure, in every panel."""

from __future__ import annotations

from pathlib import Path

import pytest

from bntui.insight.figures_at import spelled
from bntui.keyframe import LAYER_COLUMNS
from bntui.recording.reader import Reader
from bntui.scenario import tour_text
from bntui.scenario.figures import OF_RUN, Quantity
from bntui.scenario.load import parse
from bntui.trainer.session import Session
from bntui.viewer import tour, view_state
from bntui.viewer.draw.rows import FigureReference
from bntui.viewer.panels import PANELS
from bntui.viewer.panels.drift import MOVES
from bntui.viewer.snapshot import take_snapshot
from tests.test_builtin import close, number

SCENARIO = """
title = "Everything that panels print"
seed = 1
[data]
source = "iris"
batch_size = 30
[network]
hidden = [6, 5, 4]
activation = "relu"
dropout = 0.3
[training]
lr = 0.1
epochs = 6
[training.early_stopping]
patience = 2
[[run]]
name = "plain"
[[run]]
name = "batch norm"
set = { network.norm = "batch", training.lr = 0.02 }
[[run]]
name = "third"
set = { network.activation = "tanh" }
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pointer") / "x.bntui"
    session = Session.begin(parse(SCENARIO, file="x.toml"), path)
    while not session.over:
        session.epoch(lambda: False)
    session.close()
    return path


def test_every_cell_that_names_its_figure_shows_it(recording: Path) -> None:
    reader = Reader(recording)
    recorded = take_snapshot(reader)
    figures = tour.recorded_of(recorded)
    seen: set[FigureReference] = set()
    for cursor, selected in ((0.0, 0), (1.0, 2), (3.0, 0)):
        state = view_state.select(view_state.opening(reader), 3, selected)
        state = view_state.seek(state, recorded.stops, cursor)
        view = view_state.build_view(recorded, state, dataset=True, histograms=True)
        for panel in PANELS:
            for size in ((48, 19), (78, 17), (118, 30), (158, 44)):
                for told, words in (
                    (span.tells, span.text) for row in panel.draw(view, *size).rows for span in row if span.tells
                ):
                    if told.figure == MOVES or (panel.name == "data" and told.figure.startswith("input.")):
                        continue  # of all keyframes, or of all samples
                    if told.figure not in (LAYER_COLUMNS if told.layer else OF_RUN) or words.strip() == "—":
                        continue  # no reference names it, or the run does not have it
                    one = Quantity(told.figure, told.layer or None, place=None)
                    value = figures.value(one, told.run, figures.histories[told.run].at(state.cursor))
                    wanted = number(spelled(one, value, "classification"))
                    assert close(wanted, number(words)), (panel.name, size, told, words, value)
                    seen.add(told)
    names = {told.figure for told in seen}
    assert {"val_loss", "train_loss", "val_accuracy", "lr", "best", "best_epoch", "wait", "gradient_ratio"} <= names
    assert {"weight_gradient_norm", "update_ratio", "pre_norm.std", "normalized.std", "output.max"} <= names
    assert {"dead_fraction", "saturated_fraction", "dropout.kept_fraction"} <= names
    reader.close()


def test_the_docs_state_the_room_for_a_text() -> None:
    page = (Path(__file__).parent.parent / "docs" / "teach.md").read_text(encoding="utf-8")
    assert f"two lines of {tour_text.LINE} cells on a screen of {tour_text.COLUMNS} columns" in " ".join(page.split())
    assert tour_text.LINES == 2
    assert tour_text.FIGURE == 7
