"""Tests how soon news of a trainer is drawn."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bntui.viewer.feed import SLOW_FRAME
from bntui.viewer.screens import lab_news


def test_the_greeting_of_a_trainer_does_not_delay_the_first_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 5.0
    monkeypatch.setattr(lab_news, "monotonic", lambda: now)
    drawn: list[str] = []
    timers: list[float] = []
    committed: list[str] = []
    loaded = SimpleNamespace(snapshot="empty", refresh=lambda: bool(committed))
    control = SimpleNamespace(feed=SimpleNamespace(fetch=lambda: (None, False)), state=None)
    screen = SimpleNamespace(
        loaded=loaded, trainer=control, app=SimpleNamespace(sender=SimpleNamespace(pending=True)),
        draw=lambda: drawn.append(loaded.snapshot), set_timer=lambda wait, _call: timers.append(wait),
    )  # fmt: skip
    news = lab_news.LabNews(screen)

    def report() -> None:
        loaded.snapshot = committed.pop()

    monkeypatch.setattr(news, "report_additions", report)
    monkeypatch.setattr("bntui.viewer.live_states.over", lambda _state: False)
    news.arrived()  # the status with which a trainer greets
    committed.append("epoch 1")
    news.arrived()
    assert drawn == ["empty", "epoch 1"]
    assert not timers
    committed.append("epoch 2")
    news.arrived()
    assert drawn == ["empty", "epoch 1"]
    assert timers == [pytest.approx(SLOW_FRAME)]
