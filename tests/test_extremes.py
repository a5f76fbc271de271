"""Tests all panels and the microscope with extreme values, within limited memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bntui.viewer.draw.axes import Axes, Limits, limits
from bntui.viewer.draw.charts import Series, line_chart
from bntui.viewer.draw.rows import text, width
from tests.terminal import Terminal
from tests.test_session import DIGITS, train


@pytest.mark.parametrize("subject", ["panels", "microscope"])
def test_every_drawing_survives_every_figure_in_little_memory(subject: str) -> None:
    command = [sys.executable, "-m", "tests.extremes", subject, "0", "15"]  # each pool once
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def chart(values: list[float], low: float, high: float) -> list[str]:
    x = np.arange(len(values), dtype=float)
    series = Series("one", x, np.array(values), "run0")
    drawn = line_chart([series], Axes(Limits(0, len(values) - 1), Limits(low, high)), 60, 12)
    assert {width(row) for row in drawn.rows} == {60}
    return [text(row)[drawn.left :] for row in drawn.rows[: drawn.lines]]


def lit(rows: list[str]) -> set[tuple[int, int]]:
    return {(y, x) for y, row in enumerate(rows) for x, char in enumerate(row) if char not in " ⠀"}


@pytest.mark.parametrize("far", [1e3, 1e16, 1e300, 1.7e308])
def test_a_curve_ends_at_the_limit_of_its_axis(far: float) -> None:
    """R² of −1e16 on an axis from −1 to 1: the line goes down to the lower edge, steeply, and comes back."""
    found = lit(chart([0.9, 0.9, -far, 0.9, 0.9], -1, 1))
    assert any(y == 9 for y, _x in found)
    assert found == lit(chart([0.9, 0.9, -1e6, 0.9, 0.9], -1, 1))


def test_a_cut_line_goes_where_the_whole_line_would() -> None:
    """A line from 0 to 4 on an axis to 1 leaves it at a quarter of its way, not at the next point."""
    found = lit(chart([0.0, 4.0], 0, 1))
    assert max(x for _y, x in found) == pytest.approx(58 / 4, abs=2)


def test_what_lies_beyond_on_one_side_is_not_drawn() -> None:
    assert lit(chart([5.0, 7.0, 5.0], 0, 1)) == set()
    assert lit(chart([5.0, -7.0], 0, 1)) != set()


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[5e-324], [5e-324, 1.7e308], [1e308, 1.7e308], [-1e308, 1e308], [1e16, 1e16 + 2]])
def test_limits_hold_every_value_that_can_be_drawn(values: list[float], log: bool) -> None:
    low, high = limits([np.array(values)], log)
    assert np.isfinite(high - low)
    assert low < high
    assert all(low <= min(max(value, low), high) <= high for value in values)


def test_a_recording_of_extreme_figures_opens_on_a_screen(tmp_path: Path) -> None:
    """As a whole, in a real terminal: every panel is looked at, and the program ends by its key."""
    recording = train(tmp_path, DIGITS).path
    script = (
        "import numpy as np\n"
        "from dataclasses import replace\n"
        "from bntui.recording.reader import Reader\n"
        "from bntui.__main__ import main\n"
        "whole = Reader.history\n"
        "def history(self, run):\n"
        "    found = whole(self, run)\n"
        "    names = ('val_accuracy', 'train_accuracy', 'val_loss', 'train_loss', 'layers')\n"
        "    wild = [1.0, -1e16, 1e308, -1e308, 5e-324]\n"
        "    return replace(found, **{name: np.resize(wild, getattr(found, name).shape) for name in names})\n"
        "Reader.history = history; main()"
    )
    with Terminal([sys.executable, "-c", script, "replay", str(recording)], 160, 48) as terminal:
        terminal.until("Gradients")
        for key in "1234567890":
            terminal.press(key)
            terminal.settle()
        terminal.press("q")
        assert terminal.exit_code() == 0
        assert "screen failed" not in terminal.text
