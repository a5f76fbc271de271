"""Every fact is declared once: what depends on it follows the declaration, and no second list of it stands anywhere."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

import bntui
from bntui.audit import events as audited
from bntui.recording import sentences
from bntui.recording.history import Event
from bntui.recording.sentences import EVENT_KINDS, EventKind, EventTraits, is_over, traits
from bntui.viewer import chrome, family_rows, troubles
from bntui.viewer import lab_keys as keys_module
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text
from bntui.viewer.lab_keys import CONTROLS, EVERYTHING, Control, bindings
from bntui.viewer.panels import PANELS, curves, stopping, timeline
from bntui.viewer.screens.help import lab_keys
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.view import RunView
from tests import factory
from tools import key_table

ROOT = Path(bntui.__file__).parent
OWN_COPIES = "audit/"
"""The audit shares nothing with what it audits."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(ROOT.rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        if not name.startswith(OWN_COPIES):
            yield name, ast.parse(file.read_text(encoding="utf-8"))


def copies(words: Collection[str], least: int = 2) -> set[str]:
    """Modules that list at least so many of these words: in a tuple, list, set, or as the keys of a table."""
    return {name for name, module in sources() for node in ast.walk(module) if len(listed(node) & set(words)) >= least}


def listed(node: ast.AST) -> set[str]:
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
    parts = [key for key in node.keys if key is not None] if isinstance(node, ast.Dict) else parts
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def test_a_copy_would_be_found() -> None:
    assert listed(ast.parse("ENDS = ('finished', 'diverged')").body[0].value) == {"finished", "diverged"}  # type: ignore[attr-defined]
    assert copies(get_args(EventKind)) >= {"recording/sentences.py"}


# --- kinds of events ---


def test_kinds_of_events_are_listed_in_their_declaration_alone() -> None:
    assert copies(get_args(EventKind)) - {"recording/history.py"} == {"recording/sentences.py"}


def test_every_kind_is_declared_and_has_sentences() -> None:
    assert set(EVENT_KINDS) == set(get_args(EventKind))
    assert all(one.sentences for one in EVENT_KINDS.values())
    spoken = [sentence for one in EVENT_KINDS.values() for sentence in one.sentences]
    assert len(set(spoken)) == len(spoken), "a sentence says which kind it belongs to"


def test_what_goes_wrong_is_told_aloud_and_seen() -> None:
    for one in EVENT_KINDS.values():
        assert not one.wrong or one.severity == "error"
        assert not one.trouble or (one.charted and one.severity in ("warning", "error"))
        assert not one.charted or (one.word and one.mark != "·")
        assert one.ends is None or one.word, "the page of all runs says in a word what ended one"


def test_the_audit_holds_the_same_kinds_to_end_a_run() -> None:
    assert {kind for kind, one in EVENT_KINDS.items() if one.ends == "run"} == set(audited.LAST)


def test_a_kind_from_the_future_ends_nothing_and_is_no_alarm() -> None:
    assert traits("flew by") == EventTraits()
    assert not is_over(["flew by", "resumed", "interrupted", "died"])
    assert is_over(["interrupted", "resumed", "finished"])


def ended(kind: str) -> RunView:
    run = factory.run_view()
    return replace(run, events=(Event(0, 120, 5.0, kind, "a sentence of its own"),))


def drawn(run: RunView) -> dict[str, str]:
    """What each place shows of a run that something happened to."""
    view = factory.view(run)
    panels = {
        "curves": curves.draw(view, 80, 24), "timeline": timeline.draw(view, 80, 24),
        "stopping": stopping.draw(view, 80, 24), "family": family_rows.draw(view, 0, 0, 80, 24),
    }  # fmt: skip
    return {name: "\n".join(map(text, drawing.rows)) for name, drawing in panels.items()}


def test_every_place_follows_the_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind declared anew looks new wherever it is shown: on charts, in words, in verdicts."""
    quiet = drawn(ended("departed"))
    assert not any("⌘" in shown for shown in quiet.values())
    assert "not over" in quiet["family"]
    loud = EventTraits(ends="run", trouble=True, wrong=True, mark="⌘", charted=True, word="gradient died")
    monkeypatch.setattr(sentences, "EVENT_KINDS", {**EVENT_KINDS, "departed": loud})
    run = ended("departed")
    shown = drawn(run)
    assert all("⌘" in shown[name] for name in ("curves", "timeline", "stopping"))
    assert "gradient died" in shown["timeline"]
    assert "gradient died" in shown["family"]
    assert is_over(event.kind for event in run.events)
    assert troubles.troubles([run.events], "epoch") == run.events


# --- keys of the laboratory ---

LIVE = replace(EVERYTHING, live=True)


def test_keys_are_bound_where_they_are_declared_and_nowhere_else() -> None:
    assert list(LabScreen.BINDINGS) == bindings()


def test_every_key_does_something_that_the_screen_can_do() -> None:
    keys = [key for binding in bindings() for key in binding.key.split(",")]
    assert len(set(keys)) == len(keys), "a key is bound once"
    for binding in bindings():
        action = binding.action.partition("(")[0]
        owner, method = (LabApp, action[4:]) if action.startswith("app.") else (LabScreen, action)
        assert hasattr(owner, f"action_{method}"), binding


def test_every_key_is_told_on_the_help_page() -> None:
    told = dict(lab_keys(live=True))
    for control in CONTROLS:
        assert told[" ".join(control.shown)] == control.help(LIVE) != ""
    assert {panel.key for panel in PANELS if not panel.key.isdigit()} <= told.keys()


def test_the_footer_ranks_its_keys() -> None:
    labelled = [control for control in CONTROLS if control.label(LIVE)]
    assert len({control.keys for control in labelled}) == len(labelled)
    assert len({control.rank for control in labelled}) == len(labelled)
    row = text(chrome.keys(400, LIVE))
    assert all(f"{control.keys} {control.label(LIVE)}" in row for control in labelled)


def test_a_key_declared_anew_stands_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "CONTROLS", (*CONTROLS, Control(("F9",), "take off", footer="off", rank=7)))
    assert ("F9", "take off") in lab_keys(live=False)
    assert "F9 off" in text(chrome.keys(200, EVERYTHING))
    assert "| `F9` | take off |" in key_table.table()


def test_the_readme_has_the_keys_that_there_are() -> None:
    page = key_table.README.read_text(encoding="utf-8")
    assert key_table.with_table(page) == page, "python -m tools.key_table writes them anew"
