"""Tests how sentences are wrapped: nothing is lost, no line is too long, and figures stay whole."""

from __future__ import annotations

import re
import textwrap

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bntui.text.widths import wrap

FIGURES = st.sampled_from(["96.8 %", "98.51 ± 0.24", "10 × He", "0.5 %포인트", "3 ± 1 %"])
PLAIN = st.text("abc가나", min_size=1, max_size=9)
SENTENCES = st.lists(FIGURES | PLAIN, max_size=12).map(" ".join)


def test_a_unit_or_an_interval_is_not_alone_on_the_next_line() -> None:
    claim = "the mean accuracy is 96.5 % with min-max scaling, 96.8 % with z-scores, and 31 % with raw pixels"
    assert wrap(claim, 53)[0] == "the mean accuracy is 96.5 % with min-max scaling,"
    assert wrap("raw 0 to 255 98.51 ± 0.24; against 50", 22) == ["raw 0 to 255", "98.51 ± 0.24; against", "50"]
    assert wrap("이보다 0.5 %포인트 낮음", 12) == ["이보다", "0.5 %포인트", "낮음"]


def test_a_figure_that_no_line_has_room_for_is_wrapped_between_its_words() -> None:
    assert wrap("0.25 × normalization", 13) == ["0.25 ×", "normalization"]


@given(SENTENCES, st.integers(13, 60))
def test_no_figure_is_parted_and_nothing_is_lost(sentence: str, cells: int) -> None:
    lines = wrap(sentence, cells)
    assert all(cell_len(line) <= cells for line in lines)
    assert "".join(lines).replace(" ", "") == sentence.replace(" ", "")
    assert not any(re.search(r"^[%±×]|[±×]$", line) for line in lines)


@given(st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=12).map(" ".join), st.integers(9, 60))
def test_words_without_figures_are_wrapped_as_usual(sentence: str, cells: int) -> None:
    assert wrap(sentence, cells) == textwrap.wrap(sentence, cells)
