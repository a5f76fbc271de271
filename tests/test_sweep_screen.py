"""Tests the screen of a sweep: the map, the list, what is chosen, and that it follows and opens what is there."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from bntui.commands.sweep_screen import reader_of
from bntui.study.journal import Journal, JournalEntry
from bntui.study.sweep_plan import head_of
from bntui.text import language
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text, width
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.screens.sweep import SweepScreen
from bntui.viewer.sweep.board import Board, BoardSelection, Combination, Try, another_seed, best, moved
from bntui.viewer.sweep.draw import draw
from bntui.viewer.widgets import RowsWidget
from tests.commands import bntui
from tests.fakes import until
from tests.sweeping import Here, plan, pretended, swept
from tests.test_clicks import click, wheel

SIZES = [(160, 48), (120, 36), (80, 24), (40, 12)]
RATES, NORMS = ("0.001", "0.01", "0.1", "1.0"), ("none", "batch", "layer")


def tries(*goals: float) -> tuple[Try, ...]:
    return tuple(
        Try(seed, goal, None if goal == -1 else Path(f"{seed}.bntui"), "no memory" if goal == -1 else "", "bntui run x")
        for seed, goal in enumerate(goals)
    )


def combination(place: tuple[str, ...], *goals: float) -> Combination:
    finite = [goal for goal in goals if math.isfinite(goal) and goal >= 0]
    mean = sum(finite) / len(finite) if finite else math.nan
    return Combination(place, mean, 0.25 if len(finite) > 1 else math.nan, len(finite), tries(*goals))


ONES = (
    combination(("0.1", "batch"), 0.25, 0.5, 0.75), combination(("0.1", "layer"), 0.5, 0.75, 1.0),
    combination(("0.01", "batch"), 1.5, 1.75, 2.0), combination(("0.001", "none"), 7.0, 8.0, 9.0),
    combination(("1.0", "none"), 1.0, math.nan, -1), combination(("1.0", "batch"), math.inf, math.nan, -1),
)  # fmt: skip
BOARD = Board("digits", "val_loss", False, (("training.lr", RATES), ("network.norm", NORMS)), ONES, 18, 36, 2)
THREE = replace(
    BOARD,
    axes=(*BOARD.axes, ("network.hidden", ("[10]", "[10, 10]"))),
    ranked=tuple(replace(one, place=(*one.place, "[10, 10]")) for one in ONES),
)
BOARDS = {
    "map": BOARD, "three axes": THREE, "none done": replace(BOARD, ranked=(), done=0),
    "drawn": replace(BOARD, axes=(("training.lr", ()), ("network.norm", NORMS))),
    "one": replace(BOARD, axes=(("training.lr", RATES),), ranked=(combination(("0.1",), 0.5),)),
    "all failed": replace(BOARD, ranked=(combination(("0.1", "batch"), -1, math.nan),)),
    "long": replace(BOARD, title="긴 이름 " * 30, axes=(("network.groups", RATES), ("network.norm", NORMS))),
}  # fmt: skip


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spoken", ["en", "ko"])
def test_every_sweep_fills_the_screen_exactly(name: str, size: tuple[int, int], spoken: str) -> None:
    language.use(spoken)
    for look in (
        BoardSelection(),
        BoardSelection(listed=True),
        BoardSelection(("1.0", "layer"), 7),
        BoardSelection(("1.0", "batch"), 2, listed=True),
    ):
        rows = draw(BOARDS[name], look, *size)
        assert len(rows) == size[1]
        assert {width(row) for row in rows} == {size[0]}


def test_the_command_of_a_trial_is_whole_where_there_is_room() -> None:
    command = "bntui run vanishing-gradients --set training.epochs=3 --set training.lr=0.5 --seed 0 --headless"
    long = tuple(replace(one, tries=tuple(replace(each, command=command) for each in one.tries)) for one in ONES)
    board = replace(BOARD, ranked=long)
    roomy = [text(row).strip() for row in draw(board, BoardSelection(), 80, 24)]
    assert command in " ".join(roomy)
    tight = [text(row).strip() for row in draw(board, BoardSelection(), 40, 14)]
    assert command not in " ".join(tight)
    assert any(line.endswith("…") and "bntui run" in line for line in tight)


def test_a_list_of_three_axes_has_their_whole_values_in_80_columns() -> None:
    axes = (
        ("training.lr", ("0.001", "0.01")), ("network.norm", ("none", "batch")), ("network.dropout", ("0.0", "0.25")),
    )  # fmt: skip
    places = list(product(*(values for _path, values in axes)))
    ranked = tuple(combination(place, at + 1.0, at + 1.1) for at, place in enumerate(places))
    lines = [text(row) for row in draw(replace(BOARD, axes=axes, ranked=ranked), BoardSelection(listed=True), 80, 24)]
    heading = next(at for at, line in enumerate(lines) if "norm" in line)
    listed = [line.split() for line in lines[heading + 1 :][: len(places)]]
    assert [
        words[-(len(words) - words.index(place[0])) :][:3] for words, place in zip(listed, places, strict=True)
    ] == [list(place) for place in places]
    assert {"lr", "norm", "dropout"} <= set(lines[heading].split())


def test_the_map_has_every_mean_at_its_place_and_says_without_color_which_is_best_and_which_failed() -> None:
    lines = [text(row) for row in draw(BOARD, BoardSelection(("0.01", "none")), 120, 36)]
    heading = next(line for line in lines if "none" in line and "layer" in line)
    columns = {norm: heading.index(norm) + len(norm) for norm in NORMS}
    cells = {
        (rate, norm): line[columns[norm] - 10 : columns[norm]]
        for line in lines[lines.index(heading) + 1 :]
        for rate in RATES
        if line.split()[:1] == [rate]
        for norm in NORMS
    }
    assert cells["0.1", "batch"].split() == ["★█", "0.500"]
    assert cells["0.001", "none"].split() == ["▁", "8.000"]
    assert cells["1.0", "none"].split() == ["!", "1.000"]
    assert cells["0.001", "layer"].split() == ["·", "–"]
    assert cells["1.0", "batch"].split() == ["!", "–"]
    assert "2 trials failed · 18/36 trials" in lines[0]
    assert "not trained yet" in " ".join(lines)


PLACES = (("0.1", "batch", "[10]"), ("0.001", "none", "[10, 10]"), ("1.0", "layer", "[10]"))


def coordinates(*ones: Combination, place: tuple[str, ...] = ()) -> list[str]:
    """The lines of the picture of three axes, without the names above it."""
    lines = [text(row) for row in draw(replace(THREE, ranked=ones), BoardSelection(place), 121, 40)]
    names = next(at for at, line in enumerate(lines) if line.split() == ["lr", "norm", "hidden", "val_loss"])
    return lines[names + 1 : next(at for at, line in enumerate(lines) if line.startswith("─"))]


def test_lines_over_parallel_axes_go_from_value_to_value() -> None:
    lines = coordinates(combination(PLACES[0], 0.25, 0.5))
    axes = [column for column, sign in enumerate(lines[1]) if sign == "│"]
    heights = [next(row for row, line in enumerate(lines) if line[axis] == "★") for axis in axes]
    last = len(lines) - 1
    assert heights == [round(last / 3), round(last / 2), 0, round(last / 2)], "rates rise, names are read downwards"
    assert lines[heights[0]][axes[0] + 1 :].startswith("0.1")
    for at, (left, right) in enumerate(pairwise(axes)):
        for column in range(left + 5, right):  # past the label
            rows = [row for row, line in enumerate(lines) if "⠀" < line[column] <= "⣿"]
            place = (column + 0.5 - left) / (right - left)
            expected = np.interp(place, [0, 1], heights[at : at + 2])
            assert rows, column
            assert all(abs(row - expected) <= 1.2 for row in rows)


def test_the_best_and_the_chosen_are_marked_and_a_line_without_a_goal_ends_early() -> None:
    ones = (combination(PLACES[0], 0.25, 0.5), combination(PLACES[2], 1.0, 2.0), combination(PLACES[1], 3.0, math.nan))
    lines = coordinates(*ones, place=PLACES[2])
    page = "\n".join(lines)
    assert (page.count("★"), page.count("●")) == (4, 3), "of hidden layers, they have the same value"
    assert "★0.375" in lines[0], "the best goal is at the top"
    assert "●1.5" in lines[-1]
    alone = coordinates(ones[2])
    goal = max(column for column, sign in enumerate(alone[1]) if sign == "│")
    hidden = alone[1].rindex("│", 0, goal)
    assert not any("⠀" < sign <= "⣿" for line in alone for sign in line[hidden + 1 : goal])
    assert any("⠀" < sign <= "⣿" for line in alone for sign in line[:hidden])


def test_ranges_are_numbers_on_an_axis_that_may_be_logarithmic() -> None:
    places = [(rate, "none", "[10]") for rate in ("0.001", "0.01", "1.0")]
    ranked = tuple(combination(place, at + 1.0, at + 1.5) for at, place in enumerate(places))
    drawn = replace(THREE, axes=(("training.lr", ()), *THREE.axes[1:]), ranked=ranked)
    lines = [text(row) for row in draw(drawn, BoardSelection(places[1]), 121, 40)]
    lines = lines[next(at for at, line in enumerate(lines) if line.startswith(" lr ")) + 1 :]
    top, middle, bottom = (
        next(row for row, line in enumerate(lines) if line[1:].startswith(sign)) for sign in ("┼1", "●", "★0.001")
    )
    assert (top, middle) == (0, round(bottom / 3 * 2))


def test_the_list_ranks_and_draws_each_interval_on_the_common_axis() -> None:
    board = replace(BOARD, ranked=ONES[:2])  # from 0.25 to 1
    lines = [text(row) for row in draw(board, BoardSelection(listed=True), 120, 36)]
    first, second = (next(line for line in lines if f" {norm} " in line) for norm in ("batch", "layer"))
    heading = next(line for line in lines if "rank" in line)
    start = heading.index("0.25")
    assert heading.endswith("1")
    cells = len(heading.rstrip()) - start
    for line, mean in ((first, 0.5), (second, 0.75)):
        assert abs((line.index("●") - start) / (cells - 1) - (mean - 0.25) / 0.75) < 1 / cells
    assert first.split()[:2] == ["▸█", "1"]
    assert first.split()[5] == "0.250"
    assert "◂" not in first  # from 0.25 on
    assert "3/3" in first


@pytest.mark.parametrize(("look", "size"), [(look, size) for look in (False, True) for size in ((160, 48), (80, 24))])
@pytest.mark.parametrize("board", [BOARD, THREE])
def test_marks_and_the_interval_are_explained_where_there_is_room(
    board: Board, look: bool, size: tuple[int, int]
) -> None:
    lines = [text(row) for row in draw(board, BoardSelection(listed=look), *size)]
    legend = " ".join(lines[1:3])
    assert "★ the best" in legend
    assert "● the chosen; a line ends early" in legend if board is THREE and not look else "! a seed failed" in legend
    assert any("mean 0.500 ± 0.250 over 3 seeds (95 % interval)" in line for line in lines)


def test_keys_move_over_the_map_the_list_and_the_seeds_and_stop_at_the_edges() -> None:
    look = moved(BoardSelection(), BOARD, 1, 0)
    assert look.place == ("0.1", "layer")
    assert moved(look, BOARD, 1, 0).place == ("0.1", "layer")
    assert moved(look, BOARD, -9, -9).place == ("0.001", "none")
    assert moved(BoardSelection(), THREE, 0, 1).place == THREE.ranked[1].place
    assert moved(BoardSelection(), THREE, 0, 100).place == THREE.ranked[-1].place
    assert moved(BoardSelection(), THREE, 1, 0).seed == 1
    assert another_seed(BoardSelection(seed=2), BOARD, 1).seed == 0
    assert best(look, BOARD).place == ("0.1", "batch")
    assert BoardSelection(("0.001", "layer")).trial(BOARD) is None
    empty = BOARDS["none done"]
    assert (
        moved(BoardSelection(), empty, 1, 1)
        == another_seed(BoardSelection(), empty, 1)
        == best(BoardSelection(), empty)
        == BoardSelection()
    )


def test_quality_counts_the_combinations_that_are_worse() -> None:
    assert [BOARD.quality(one) for one in ONES[:4]] == pytest.approx([1.0, 2 / 3, 1 / 3, 0.0])
    assert math.isnan(BOARD.quality(ONES[4]))
    larger = replace(BOARD, larger=True)
    assert [larger.quality(one) for one in ONES[:4]] == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0])


async def test_the_screen_follows_a_sweep_opens_a_recording_and_comes_back(tmp_path: Path) -> None:
    made = plan(tmp_path, over=("training.lr=0.05,0.1",), seeds=1)
    folder = tmp_path / "sweep"
    (done,) = swept(replace(made, over=("training.lr=0.05",)), tmp_path / "other", Here())
    journal = Journal(folder, head_of(made))
    journal.keep(done.file, (tmp_path / "other" / done.file).read_bytes())
    journal.add(done)
    read = reader_of(folder)
    async with LabApp(sweep=read).run_test(size=(120, 36)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, SweepScreen)
        assert (screen.board.done, screen.board.total) == (1, 2)
        journal.add(JournalEntry((("training.lr", 0.1),), 0, "failed", "no memory"))
        screen._again()
        await until(pilot, lambda: screen.board.done == 2)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        lab = pilot.app.screen
        assert isinstance(lab, LabScreen)
        await until(pilot, lambda: lab.view is not None)
        keys = list(lab._canvas.widgets)
        assert any("esc sweep" in text(row) for widget in keys for row in widget.rows)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen)
        await pilot.press("down", "enter")
        await pilot.pause()
        assert pilot.app.screen is screen  # it failed
        rows = [text(row) for row in pilot.app.screen.query_one(RowsWidget).rows]
        assert any("no memory" in row for row in rows)
    journal.close()


async def test_a_click_chooses_a_combination_or_a_seed_and_the_wheel_walks() -> None:
    values, norms = ("0.1", "0.2", "0.3"), ("none", "batch")
    ones = [combination((rate, norm), 0.1 * at + 0.31, 0.1 * at + 0.33)
            for at, (rate, norm) in enumerate(product(values, norms))]  # fmt: skip
    axes = (("training.lr", values), ("network.norm", norms))
    board = Board("a sweep", "val_loss", False, axes, tuple(ones), 12, 12, 0)
    app = LabApp(sweep=lambda: board)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = app.screen
        assert isinstance(screen, SweepScreen)
        for one in (ones[3], ones[4], ones[0], ones[5]):
            await click(pilot, "sweep", f"{one.mean:.3f}")
            assert screen.look.chosen(board) == one
        await click(pilot, "sweep", f"seed {ones[5].tries[1].seed}")
        assert screen.look.trial(board) == ones[5].tries[1]
        await click(pilot, "sweep", f"seed {ones[5].tries[0].seed}")
        assert screen.look.trial(board) == ones[5].tries[0]
        await wheel(pilot, "sweep", -1)
        assert screen.look.chosen(board) == ones[3]
        await wheel(pilot, "sweep", 1)
        assert screen.look.chosen(board) == ones[5]


def test_a_folder_without_a_sweep_is_not_opened(tmp_path: Path) -> None:
    answer = bntui("replay", tmp_path)
    assert answer.returncode == 2
    assert "is not the folder of a sweep" in answer.stderr
    swept(plan(tmp_path), tmp_path / "sweep", Here(pretended))
    answer = bntui("replay", tmp_path / "sweep")
    assert "the screen needs a terminal: use bntui sweep --resume DIR" in answer.stderr
