"""Tests that walking with [ and ] brings up every layer of a panel that has no room for all of them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.viewer.draw.rows import text
from bntui.viewer.panels import BY_NAME
from bntui.viewer.strands import window
from bntui.viewer.view import View
from tests.factory import run_view, view

LAYERS = 9
SIZES = {"drift": (78, 14), "distributions": (78, 12), "gradients": (78, 7), "layers": (78, 7), "dropout": (40, 9)}
"""A size at which each panel has room for some of the layers only."""
NAME = re.compile(r"linear \d+")


def deep() -> View:
    return replace(view(run_view(layers=LAYERS, dropout=0.2)), pinned=None)


def named(panel: str, shown: View) -> set[str]:
    """The layers that a panel draws, but for those that it says it does not show."""
    rows = [text(row) for row in BY_NAME[panel].draw(shown, *SIZES[panel]).rows]
    return set(NAME.findall("\n".join(row for row in rows if "not shown" not in row)))


@pytest.mark.parametrize("panel", SIZES)
def test_walking_reaches_every_layer(panel: str) -> None:
    shown = deep()
    every = {layer.name for layer in shown.runs[0].info.layers if NAME.fullmatch(layer.name)}
    seen = [named(panel, replace(shown, past=past)) for past in range(LAYERS + 2)]
    assert len(every) >= LAYERS - 1
    assert seen[0] < every
    assert set().union(*seen) == every
    assert seen[0] != seen[1]


@pytest.mark.parametrize("panel", SIZES)
def test_walking_back_is_the_way_one_came(panel: str) -> None:
    shown = deep()
    forward = [named(panel, replace(shown, past=past)) for past in range(40)]
    assert forward[0] in forward[1:], "the walk comes round"
    size = forward.index(forward[0], 1)
    assert named(panel, replace(shown, past=-1)) == forward[size - 1]


@given(st.integers(1, 30), st.integers(1, 30), st.integers(-70, 70))
def test_a_window_is_within_the_layers(number: int, room: int, past: int) -> None:
    found = window(number, room, past)
    if room >= number:
        assert found is None
    elif found is not None:
        assert len(found) == room
        assert 0 <= found.start <= found.stop - 1 < number
        after = window(number, room, past + 1)
        assert after is None or after.start == found.start + 1


def test_every_panel_that_counts_layers_walks_through_them() -> None:
    assert {name for name, panel in BY_NAME.items() if panel.walks == "layers"} == {*SIZES, "compare"}
    assert BY_NAME["data"].walks == "features"
