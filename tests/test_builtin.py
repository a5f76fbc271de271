"""What comes with the program: scenarios train and draw, panels are explained, commands are documented."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest
import typer

from bntui.cli import app
from bntui.recording.reader import Reader
from bntui.scenario.gallery import Card, scenarios
from bntui.scenario.load import load
from bntui.trainer.session import Session
from bntui.viewer import session
from bntui.viewer.panels import PANELS
from bntui.viewer.rows import width

CARDS = scenarios()
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_there_are_the_three_that_the_readme_names() -> None:
    assert {"batch-normalization", "dropout-regression", "early-stopping"} <= {card.name for card in CARDS}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_scenario_says_what_to_look_for_trains_and_draws(card: Card, tmp_path: Path) -> None:
    assert card.problem is None
    assert card.description
    assert card.look_for
    assert card.reference
    scenario = load(card.path, [("training.epochs", 2)])
    assert len(scenario.runs) >= 2
    training = Session(scenario, tmp_path / "x.bntui")
    while not training.over:
        training.epoch(lambda: False)
    training.writer.close()
    reader = Reader(tmp_path / "x.bntui")
    recorded = session.snapshot(reader)
    state = session.grown(session.first(len(reader.runs)), recorded.stops)
    view = session.build_view(recorded, state)
    assert view.cursor == 2.0
    for panel in PANELS:
        for cells, lines in ((48, 19), (75, 21), (118, 30)):
            drawing = panel.draw(view, cells, lines)
            assert [width(row) for row in drawing.rows] == [cells] * lines


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
