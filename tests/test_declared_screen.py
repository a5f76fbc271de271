"""Tests that keys and panels are declared once, and that screen, help, and README follow the declaration."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import typer
from textual.binding import Binding
from textual.screen import Screen

from bntui.cli import app
from bntui.text.language import use
from bntui.viewer import chooser_keys, chrome, family_keys, gallery_keys
from bntui.viewer import lab_keys as keys_module
from bntui.viewer import panels as panels_package
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import Span, text, width
from bntui.viewer.fork import keys as fork_keys
from bntui.viewer.keys import Control, footer_of, help_of
from bntui.viewer.lab_keys import CONTROLS, EVERYTHING
from bntui.viewer.layout import HUGE, NARROW, WIDE, Candidates, layout
from bntui.viewer.microscope import keys as microscope_keys
from bntui.viewer.panels import (
    BY_NAME,
    FREE,
    HOMES,
    PANELS,
    STRIP,
    Recorded,
    declared,
    ranked,
    read_by,
)
from bntui.viewer.screens import help as help_module
from bntui.viewer.screens import starting
from bntui.viewer.screens.fork import ForkScreen
from bntui.viewer.screens.gallery import GalleryScreen
from bntui.viewer.screens.help import HelpScreen, lab_keys
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.screens.lab_chooser import ChooserScreen
from bntui.viewer.screens.lab_runs import RunsScreen
from bntui.viewer.screens.microscope import MicroscopeScreen
from bntui.viewer.screens.starting import StartingScreen
from bntui.viewer.screens.sweep import SweepScreen
from bntui.viewer.sweep import keys as sweep_keys
from tests.sources import ROOT, assigned, copies, sources
from tests.test_panels import SIZES, VIEWS
from tools import key_table

# --- keys ---

LIVE = replace(EVERYTHING, live=True)
SCREENS: dict[type[Screen[Any]], tuple[Sequence[Control[Any]], Any]] = {
    LabScreen: (CONTROLS, LIVE),
    GalleryScreen: (gallery_keys.CONTROLS, gallery_keys.EVERYTHING),
    MicroscopeScreen: (microscope_keys.CONTROLS, microscope_keys.EVERYTHING),
    ForkScreen: (fork_keys.CONTROLS, None),
    SweepScreen: (sweep_keys.CONTROLS, sweep_keys.EVERYTHING),
    RunsScreen: (family_keys.CONTROLS, None),
    ChooserScreen: (chooser_keys.CONTROLS, None),
    StartingScreen: (starting.CONTROLS, None),
    HelpScreen: (help_module.CONTROLS, None),
}
"""The controls of every screen, and where all of them do something."""


@pytest.mark.parametrize("screen", SCREENS)
def test_keys_are_bound_where_they_are_declared_and_nowhere_else(screen: type[Screen[Any]]) -> None:
    controls, _here = SCREENS[screen]
    assert list(screen.BINDINGS) == [binding for control in controls for binding in control.bindings]


def test_no_other_module_makes_bindings() -> None:
    """But for the program's own key, ctrl+c on pages, and the one that leaves the line shown while a trainer starts."""
    making = {
        name
        for name, module in sources()
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Binding"
    }
    assert making == {
        "viewer/app.py", "viewer/chooser_keys.py", "viewer/family_keys.py", "viewer/fork/keys.py",
        "viewer/gallery_keys.py", "viewer/lab_keys.py", "viewer/microscope/keys.py", "viewer/screens/help.py",
        "viewer/overlay.py", "viewer/screens/note.py", "viewer/screens/starting.py", "viewer/seed_keys.py",
        "viewer/sweep/keys.py",
    }  # fmt: skip


@pytest.mark.parametrize("screen", SCREENS)
def test_every_key_does_something_that_the_screen_can_do(screen: type[Screen[Any]]) -> None:
    bound = [binding for binding in screen.BINDINGS if isinstance(binding, Binding)]
    keys = [key for binding in bound for key in binding.key.split(",")]
    assert keys
    assert len(set(keys)) == len(keys), "a key is bound once"
    for binding in bound:
        action = binding.action.partition("(")[0]
        owner, method = (LabApp, action[4:]) if action.startswith("app.") else (screen, action)
        assert hasattr(owner, f"action_{method}"), binding


@pytest.mark.parametrize("screen", [one for one in SCREENS if one is not HelpScreen])
def test_every_key_is_told_on_the_help_page(screen: type[Screen[Any]]) -> None:
    controls, here = SCREENS[screen]
    told = dict(lab_keys(live=True) if screen is LabScreen else help_of(controls, here))
    for control in controls:
        # enter is told with the list in which it chooses
        if control.shown != ("enter",) or screen is not MicroscopeScreen:
            assert told[control.words or " ".join(control.shown)] == control.help(here) != ""
    if screen is LabScreen:
        assert {panel.key for panel in PANELS if not panel.key.isdigit()} <= told.keys()


def test_names_of_keys_are_not_translated() -> None:
    use("ko")
    try:
        told = dict(help_of(microscope_keys.CONTROLS, microscope_keys.EVERYTHING))
        assert told["tab shift+tab"] == "정규화가 있는 다른 층"
        assert "글자, 숫자" in dict(help_of(fork_keys.CONTROLS, None))
    finally:
        use("en")


@pytest.mark.parametrize("screen", SCREENS)
def test_the_footer_ranks_its_keys(screen: type[Screen[Any]]) -> None:
    controls, here = SCREENS[screen]
    labelled = [control for control in controls if control.label(here)]
    assert len({control.keys for control in labelled}) == len(labelled)
    assert len({control.rank for control in labelled}) == len(labelled)
    row = text(footer_of(controls, here, 400))
    assert all(f"{control.keys} {control.label(here)}" in row for control in labelled)


def _is_key(span: Span) -> bool:
    return span.style == "key"


@pytest.mark.parametrize("screen", SCREENS)
def test_a_narrow_footer_leaves_out_only_what_does_not_fit_beside_better_ranks(screen: type[Screen[Any]]) -> None:
    controls, here = SCREENS[screen]
    labelled = [control for control in controls if control.label(here)]
    size = {control.keys: len(f"{control.keys} {control.label(here)}") + 2 for control in labelled}
    place = {control.keys: (not control.matters(here), control.rank) for control in labelled}
    for cells in range(1, 140):
        row = footer_of(controls, here, cells)
        assert width(row) == cells
        shown = ["".join(span.text for span in group) for key, group in groupby(row, _is_key) if key]
        assert sum(size[key] for key in shown) <= cells - 1
        for control in labelled:
            before = [other for other in labelled if place[other.keys] < place[control.keys]]
            better = sum(size[other.keys] for other in before if other.keys in shown)
            assert control.keys in shown or better + size[control.keys] > cells - 1


def test_a_key_declared_anew_stands_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "CONTROLS", (*CONTROLS, Control(("F9",), "take off", footer="off", rank=7)))
    assert ("F9", "take off") in lab_keys(live=False)
    assert "F9 off" in text(chrome.keys(200, EVERYTHING))
    assert "| `F9` | take off |" in key_table.table()


def test_the_readme_has_the_keys_that_there_are() -> None:
    page = key_table.README.read_text(encoding="utf-8")
    assert key_table.with_table(page) == page, "python -m tools.key_table writes them anew"


# --- panels ---

EXAMPLE = re.findall(r"```python\n(.*?)```", (ROOT.parent / "docs" / "add-a-panel.md").read_text("utf-8"), re.DOTALL)[0]


def test_what_is_read_of_a_panels_source_is_what_its_module_declares() -> None:
    for panel in PANELS:
        assert panel == import_module(f"bntui.viewer.panels.{panel.name}").PANEL
    declaring = {name for name, module in sources() if "PANEL" in assigned(module)}
    assert declaring == {f"viewer/panels/{panel.name}.py" for panel in PANELS}


def test_panels_are_named_in_their_own_modules_alone() -> None:
    names = {panel.name for panel in PANELS}
    listing = {name for name in copies(names) if name.startswith("viewer/")}
    assert listing == set()
    for name in ("layout", "parts", "chrome", "view_state", "troubles", "lab_keys"):
        source = (ROOT / "viewer" / f"{name}.py").read_text("utf-8")
        # a recording has dropout and a scenario has data, too
        assert {word for word in names - {"data", "dropout"} if f'"{word}"' in source} == set(), name


def test_no_two_panels_want_the_same() -> None:
    assert len({panel.key for panel in PANELS}) == len(PANELS)
    digits = [panel.key for panel in PANELS if panel.key.isdigit()]
    assert digits == list("1234567890"[: len(digits)])
    assert all(panel.does for panel in PANELS if not panel.key.isdigit())
    assert [panel for panel in PANELS if panel.strip] == [STRIP]
    assert {panel.shows for panel in PANELS} == {"", "forward", "backward"}
    for rows in (WIDE, HUGE, NARROW):
        assert sorted(place for row in rows for place, _share in row.panels if place) == sorted(HOMES)


def test_free_places_go_to_panels_that_have_something_to_show() -> None:
    assert ranked(())[-3:] == tuple(panel.name for panel in FREE if panel.needs)
    dropout: Recorded = "dropout"
    for panel in FREE:
        if panel.needs:
            assert ranked((panel.needs,))[0] == panel.name
        if panel.first_with:
            assert ranked((dropout, panel.first_with))[0] == panel.name
            assert ranked((dropout,))[0] != panel.name


def test_samples_and_histograms_are_loaded_for_the_panels_that_read_them() -> None:
    assert read_by(["header", "curves", "strip"]) == frozenset()
    for panel in PANELS:
        assert read_by(["header", panel.name]) == set(panel.reads)
        source = (ROOT / "viewer" / "panels" / f"{panel.name}.py").read_text("utf-8")
        assert ("view.dataset" in source) == ("dataset" in panel.reads)
        assert (".histograms" in source) == ("histograms" in panel.reads)


def test_the_screen_knows_all_panels_and_imports_none() -> None:
    script = """
import json, sys
import bntui.viewer.screens.lab
from bntui.viewer.panels import PANELS
print(json.dumps([panel.name for panel in PANELS if f"bntui.viewer.panels.{panel.name}" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_the_guide_tells_of_every_panel() -> None:
    page = (key_table.README.parent / "docs" / "guide.md").read_text(encoding="utf-8")
    assert [panel.name for panel in PANELS if f"**{panel.key} {panel.label}**" not in page] == []


def test_the_panel_of_the_docs_is_a_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands there it is found, drawn in every state, and given a place; nothing else has to be written."""
    (tmp_path / "learning_rate.py").write_text(EXAMPLE, encoding="utf-8")
    monkeypatch.setattr(panels_package, "__path__", [*panels_package.__path__, str(tmp_path)])
    panel = declared(EXAMPLE)
    assert panel is not None
    assert (panel.name, panel.key, panel.definitions) == ("learning_rate", "g", ("Keyframe.lr",))
    assert panel.draw(VIEWS["two runs"](), 60, 10).title == "Learning rate ── of this step"
    for view in (make() for make in VIEWS.values()):
        for cells, lines in SIZES:
            rows = panel.draw(view, cells, lines).rows
            assert [width(row) for row in rows] == [cells] * lines
    assert [one.key for one in panels_package.in_order([panel, *PANELS])] == [*"1234567890cgk"]
    free = [*ranked(()), panel.name]
    assert panel.name in layout(160, 48, panel.name, zoomed=False, candidates=Candidates(free, panel.name)).regions


@pytest.mark.parametrize("wrong", ["home=len('x')", "label", "does=_('x')"])
def test_a_declaration_is_made_of_literals(wrong: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        declared(EXAMPLE.replace('short=N_("Rate")', wrong))


def test_a_module_without_a_declaration_is_no_panel() -> None:
    assert declared("def draw() -> None: ...\n") is None
    assert "compare_figures" not in BY_NAME


# --- commands, and the page about additions ---


def test_the_readme_has_a_row_for_every_command() -> None:
    page = key_table.README.read_text(encoding="utf-8")
    names = [one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands]
    assert len(names) > 10
    assert [name for name in names if not re.search(rf"^\| .*`bntui {name}\b", page, re.MULTILINE)] == []


def test_the_guide_has_a_row_for_every_command_with_all_its_options() -> None:
    page = (key_table.README.parent / "docs" / "guide.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `bntui")]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        told = " ".join(row for row in rows if f"`bntui {name}" in row)
        assert told.strip(), name
        options = [one for one in command.params if one.param_type_name == "option" and "--theme" not in one.opts]
        for option in options:
            names = [*option.opts, *option.secondary_opts]
            assert any(re.search(rf"{one}\b", told) for one in names), (name, names)


def test_the_page_about_additions_names_files_that_there_are() -> None:
    page = (ROOT.parent / "docs" / "additions.md").read_text("utf-8")
    now = [row.split("|")[3] for row in page.splitlines() if row.startswith("| **")]
    named = {name for cell in now for name in re.findall(r"`([a-z_/]+\.py)`", cell)}
    assert len(named) > 10
    assert {name for name in named if not (ROOT / name).exists() and not (ROOT.parent / name).exists()} == set()


def test_the_page_about_the_architecture_has_every_module_of_the_viewer() -> None:
    page = (ROOT.parent / "docs" / "architecture.md").read_text("utf-8")
    rows = " ".join(row.split(" | ")[0] for row in page.splitlines() if row.startswith("| `"))
    listed = set(re.findall(r"`([a-z_]+(?:\.py|/))`", rows))
    found = {one.name for one in (ROOT / "viewer").glob("[a-z]*.py")}
    assert len(found) > 40
    assert found - listed == set()
