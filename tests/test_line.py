"""Tests that terminal answers are distinguished from keys, however the input is split."""

from __future__ import annotations

import time

import pytest
from textual import events
from textual.geometry import Size

from bntui.viewer.terminal import line_driver
from bntui.viewer.terminal.line import number_of, numbers, question
from bntui.viewer.terminal.line_driver import AnswerParser

ANSWER = "\x1b[3;12R"


def said(*pieces: str) -> list[str]:
    """Keys by name, answers by place."""
    parser, out = AnswerParser(), []
    for piece in pieces:
        for message in parser.feed(piece):
            if isinstance(message, events.Key):
                out.append(message.key)
            elif isinstance(message, events.CursorPosition):
                out.append(f"{message.x},{message.y}")
    return out


@pytest.mark.parametrize("cut", range(1, len(ANSWER)))
def test_an_answer_cut_anywhere_is_no_key(cut: int) -> None:
    assert said("a" + ANSWER[:cut], ANSWER[cut:] + "b") == ["a", "11,2", "b"]


@pytest.mark.parametrize("cut", range(3, len(ANSWER)))
def test_an_answer_whose_rest_is_late_is_no_key(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual takes what has begun for keys after a tenth of a second; here it is held back."""
    parser = AnswerParser()
    assert not list(parser.feed(ANSWER[:cut]))
    assert not list(parser.tick())
    assert [type(message) for message in parser.feed(ANSWER[cut:])] == [events.CursorPosition]
    now = time.monotonic()
    assert not list(parser.feed("\x1b[3"))
    monkeypatch.setattr(line_driver, "monotonic", lambda: now + 9)
    list(parser.tick())
    assert parser._held == ""  # it never came: what was held is handed on


def test_keys_that_look_alike_stay_keys() -> None:
    assert said("\x1b[1;2A", "\x1b[15~", "x") == ["shift+up", "f5", "x"]
    assert number_of(1, 0, Size(80, 24)) is None  # shift+F3 of some terminals: CSI 1 ; 2 R


@pytest.mark.parametrize("size", [Size(160, 48), Size(40, 12), Size(20, 3), Size(1, 2)])
def test_every_frame_has_an_answer_of_its_own(size: Size) -> None:
    places = []
    for number in range(numbers(size)):
        row, column = map(int, question(number, size)[2:].split("H")[0].split(";"))
        assert 2 <= row <= size.height
        assert column <= size.width
        assert number_of(column - 1, row - 1, size) == number
        places.append((row, column))
    assert len(set(places)) == numbers(size) > 0
