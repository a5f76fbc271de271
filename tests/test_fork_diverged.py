"""Tests that the fork form says where a fork would diverge at once, which is what then happens."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.trainer.session import Session
from bntui.viewer.draw.rows import text
from bntui.viewer.fork.check import judge
from bntui.viewer.fork.form import last_sound
from bntui.viewer.fork.form_rows import draw
from tests.test_audit_divergence import SCENARIO
from tests.test_fork_form import form, typed
from tests.test_session import never

QUIET: list[tuple[str, Any]] = [("training.lr", 1e-31), ("training.epochs", 9)]
"""Changes with which no fork diverges by its own updates."""


def recorded(folder: Path, every: int, *overrides: tuple[str, Any]) -> Session:
    draw_of = np.random.default_rng(0)
    x = draw_of.standard_normal((120, 2)).astype(np.float32)
    y = x[:, 0].copy()
    if not overrides:
        y[7] = 3e19  # its squared residual is beyond single precision
    np.savez(folder / "d.npz", x=x, y=y)
    text_of = SCENARIO.format(data=folder / "d.npz", every=every)
    session = Session.begin(parse(text_of, file="x", overrides=list(overrides)), folder / "x.bntui", overrides)
    while not session.over:
        session.epoch(never)
    return session


def ends_at_once(session: Session, step: int, *changes: tuple[str, Any]) -> bool:
    """Fork after a step, and see if the first keyframe is the last one."""
    fork = session.fork(0, step, [*QUIET, *changes]).index
    session.runs[-1].train_epoch(session.writer, never)
    with closing(Reader(session.writer.path)) as reader:
        history = reader.history(fork)
        return any(event.kind == "diverged" for event in reader.events(fork)) and len(history) <= 2


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("lr", [None, 1e30])
def test_forks_of_what_is_not_sound_end_at_once_and_others_do_not(tmp_path: Path, every: int, lr: float | None) -> None:
    session = recorded(tmp_path, every, *([] if lr is None else [("training.lr", lr)]))
    with closing(session), closing(Reader(tmp_path / "x.bntui")) as reader:
        history = reader.history(0)
        assert any(event.kind == "diverged" for event in reader.events(0))
        rows = np.flatnonzero(history.has_frame).tolist()
        sound = [last_sound(history, row) == row for row in rows]
        assert not sound[-1]
        bad = sound.index(False)
        assert bad
        for number, row in enumerate(rows):
            if number != bad - 1 or lr is not None:  # the next step meets the large target again
                assert ends_at_once(session, int(history.step[row])) is not sound[number], number
        assert last_sound(history, rows[-1]) == rows[bad - 1]


def test_a_fork_with_other_layers_keeps_what_makes_it_diverge(tmp_path: Path) -> None:
    session = recorded(tmp_path, 1, ("training.lr", 1e30))
    with closing(session), closing(Reader(tmp_path / "x.bntui")) as reader:
        last = int(reader.history(0).step[-1])
        assert ends_at_once(session, last, ("network.hidden", [4, 5]))


def foot(changes: str = "", **origin: Any) -> str:
    """The form of a fork at 80x24, after a learning rate was typed."""
    here = form()
    here = typed(replace(here, origin=replace(here.origin, **origin)), "training.lr", changes)
    return "\n".join(map(text, draw(here, judge(here), "Fork", 80, 24).rows))


def test_the_form_says_so_and_names_the_last_sound_epoch() -> None:
    assert "diverge" not in foot(diverged=False, sound=2.5)
    for changes in ("", "0.01"):
        said = " ".join(foot(changes, diverged=True, sound=2.25).split())
        assert (
            "The loss is not finite here: the fork would diverge at once. The last keyframe with a finite one" in said
        )
        assert "at epoch 2.25; the same samples follow it." in said


@pytest.mark.parametrize("every", [1, 5])
def test_a_fork_from_the_last_sound_keyframe_meets_the_same_samples(tmp_path: Path, every: int) -> None:
    session = recorded(tmp_path, every)
    with closing(session), closing(Reader(tmp_path / "x.bntui")) as reader:
        history = reader.history(0)
        found = last_sound(history, len(history) - 1)
        assert found is not None
        fork = session.fork(0, int(history.step[found]), QUIET).index
        session.runs[-1].train_epoch(session.writer, never)
        reader.refresh()
        was = next(event.step for event in reader.events(0) if event.kind == "diverged")
        assert [event.step for event in reader.events(fork) if event.kind == "diverged"] == [was]
    assert "last keyframe" not in foot(diverged=True, sound=None)


def test_with_other_layers_the_form_says_that_it_may() -> None:
    here = form()
    here = replace(here, origin=replace(here.origin, diverged=True, sound=2.25))
    here = typed(here, "network.hidden", "[20, 5]")
    assert judge(here).valid
    said = " ".join(" ".join(map(text, draw(here, judge(here), "Fork", 100, 24).rows)).split())
    assert "what the fork keeps may make it diverge at once. The last keyframe with a finite one" in said
