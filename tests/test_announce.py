"""Tests that a command says what is starting while the screen is imported, and leaves nothing of it."""

from __future__ import annotations

import pytest

from bntui.commands.open_screen import announce, unannounce
from bntui.text.language import use


@pytest.mark.parametrize(("language", "words"), [("en", "Starting deep …"), ("ko", "deep 시작하는 중 …")])
def test_what_starts_is_said_in_one_line_and_erased(
    language: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    use(language)
    announce("deep")
    assert capsys.readouterr().out == words
    unannounce()
    assert capsys.readouterr().out == "\r\x1b[K"


def test_a_name_is_cut_to_the_line_and_cannot_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    announce("long\x1b[2J" * 9)
    said = capsys.readouterr().out
    assert len(said) == 19
    assert "\x1b" not in said
