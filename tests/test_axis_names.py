"""Tests that the name of an axis stands beside its ticks and parts none of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bntui.viewer.draw.axes import Axes, Limits
from bntui.viewer.draw.charts import Series, line_chart
from bntui.viewer.draw.rows import text


def ticks_row(last: float, width: int, name: str) -> str:
    x = np.linspace(0, last, 20)
    axes = Axes(Limits(0, last), Limits(0, 1), x_label=name, y_label="loss")
    return text(line_chart([Series("s", x, x / last, "run0")], axes, width, 12).rows[-1])


@given(st.integers(1, 400), st.integers(20, 160), st.sampled_from(["epoch", "step", "에포크"]))
def test_a_name_is_at_an_end_of_the_ticks_where_there_is_room(last: int, width: int, name: str) -> None:
    bare, named = ticks_row(last, width, ""), ticks_row(last, width, name)
    assert re.findall(r"\S+", named.replace(name, " ")) == bare.split()
    words = named.split()
    if name in words:
        assert re.search(rf"(^|\s){name}(\s|$)", named)
        if 0 < words.index(name) < len(words) - 2:  # there is no room at the ends
            last_gap = bare.rstrip().removesuffix(bare.split()[-1])
            assert len(last_gap) - len(last_gap.rstrip()) < cell_len(name) + 2
            assert len(bare) - len(bare.lstrip()) < cell_len(name) + 1


@pytest.mark.parametrize("width", range(24, 120))
def test_every_axis_of_usual_width_is_named(width: int) -> None:
    assert "epoch" in ticks_row(40, width, "epoch")
