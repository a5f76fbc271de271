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
from bntui.viewer import family_rows, troubles
from bntui.viewer.draw.rows import text
from bntui.viewer.panels import curves, stopping, timeline
from bntui.viewer.view import RunView
from tests import factory

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
