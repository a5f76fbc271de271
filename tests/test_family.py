"""Tests the run tree: forks of forks, walking in tree order, and what became of each run."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from bntui.recording.history import Event, Fork
from bntui.text.language import use
from bntui.viewer import chrome, family, family_rows
from bntui.viewer.draw.rows import text
from bntui.viewer.panels import PANELS, curves, timeline
from bntui.viewer.view import RunView, View
from tests import factory
from tests.fakes import fork_view


def runs() -> tuple[RunView, ...]:
    """``plain`` with the forks 2 and 4, and 3 a fork of 2; ``batch norm`` without any, and 5 a fork of 3."""
    plain, norm = factory.run_view(), factory.run_view(1, "batch norm", norm=True)
    two = fork_view(2, plain, 5, ("training.lr", 0.1, 0.5), name="plain · lr 0.5")
    three = fork_view(3, two, 2, ("network.norm", "none", "batch"), name="plain · lr 0.5 · norm batch")
    four = fork_view(4, plain, 3, name="plain · again")
    five = fork_view(5, three, 1, ("network.dropout", 0.0, 0.2), name="plain · lr 0.5 · norm batch · dropout 0.2")
    return plain, norm, two, three, four, five


def shown(*given: RunView, **chosen: Any) -> View:
    return factory.view(*(given or runs()), **chosen)


def test_each_run_stands_above_its_forks() -> None:
    assert family.tree([run.info for run in runs()]) == (
        (0, ""),
        (2, "├ "),
        (3, "│ └ "),
        (5, "│   └ "),
        (4, "└ "),
        (1, ""),
    )


def test_a_fork_of_a_run_that_is_not_there_yet_stands_by_itself() -> None:
    """As a file of a stranger might have it: a ring of parents must not hide runs."""
    first, second = factory.run_view(), factory.run_view(1, "other")
    lost = [replace(run.info, fork=Fork(1 - run.info.index, 24, 1.0)) for run in (first, second)]
    assert family.tree(lost) == ((0, ""), (1, "└ "))
    far = replace(second, info=replace(second.info, fork=Fork(9, 24, 1.0)))
    assert family.tree([first.info, far.info]) == ((0, ""), (1, ""))
    assert page(shown(first, far), 1)


def test_tab_walks_the_tree_and_comes_around() -> None:
    infos = [run.info for run in runs()]
    walked = [0]
    for _ in infos:
        walked.append(family.next_run(infos, walked[-1], 1))
    assert walked == [0, 2, 3, 5, 4, 1, 0]
    assert [family.next_run(infos, run, -1) for run in walked[1:]] == walked[:-1]


def test_a_long_name_keeps_what_is_different() -> None:
    five = runs()[5]
    assert family.brief(five, 60) == five.info.name
    assert family.brief(five, 14) == "…dropout 0.2"
    assert family.brief(five, 8) == "…dropou…"
    assert family.brief(runs()[1], 6) == "batch…"


def page(view: View, at: int, width: int = 108, height: int = 30, top: int = 0) -> list[str]:
    lines = [text(row) for row in family_rows.draw(view, at, top, width, height).rows]
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}
    return lines


def test_the_page_tells_what_became_of_each_run() -> None:
    given = list(runs())
    given[1] = replace(given[1], events=(Event(1, 288, 12.0, "stopped_early", "no improvement"),))
    given[4] = replace(given[4], events=(Event(4, 144, 6.0, "diverged", "NaN"),))
    lines = page(shown(*given), 0)
    table = {re.split(" {4,}", line[2:])[0]: line for line in lines[1:7]}
    assert list(table) == [
        "● plain",
        "├ ■ plain · lr 0.5",
        "│ └ ◆ plain · lr 0.5 · norm batch",
        "│   └ ✚ plain · lr 0.5 · norm batch · dropout 0.2",
        "└ ▼ plain · again",
        "▲ batch norm",
    ]
    assert table["▲ batch norm"].split()[-2:] == ["stopped", "early"]
    assert table["└ ▼ plain · again"].split()[-1] == "diverged"
    assert "12/60" in table["● plain"]
    # forked at 5, three epochs on
    assert table["├ ■ plain · lr 0.5"].split()[6:8] == ["5", "8/60"]


def test_where_a_whole_name_has_no_room_a_fork_has_its_own_below_its_parents() -> None:
    lines = page(shown(), 0, 78)
    assert "├ ■ plain · lr 0.5 " in lines[2]
    assert "│ └ ◆ norm batch " in lines[3]
    assert "│   └ ✚ dropout 0.2 " in lines[4]


def test_the_page_tells_where_a_fork_comes_from_and_what_it_kept() -> None:
    told = "\n".join(page(shown(), 2))
    assert "begins after step 168 of ■ plain · lr 0.5, epoch 7" in told
    assert "changed: network.norm none → batch" in told
    assert "1 of 2 parameters and buffers are kept; new: linear 1.norm.weight." in told
    assert "Nothing is changed" in "\n".join(page(shown(), 4))


def test_an_interrupted_run_that_was_resumed_is_not_over() -> None:
    stopped, resumed = Event(0, 48, 2.0, "interrupted", "stopped"), Event(0, 48, 2.0, "resumed", "resumed")
    for events, word in (
        ((stopped,), "stopped"),
        ((stopped, resumed), "not over"),
        ((stopped, resumed, stopped), "stopped"),
    ):
        run = replace(factory.run_view(), events=events)
        assert page(shown(run), 0)[1].rstrip().endswith(word)


@pytest.mark.parametrize("size", [(78, 22), (38, 10), (108, 30)])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_chosen_run_is_always_on_the_page(size: tuple[int, int], language: str) -> None:
    use(language)
    try:
        top = 0
        for at in (*range(6), *reversed(range(6))):
            top = family_rows.scrolled(6, at, top, size[1])
            lines = page(shown(), at, *size, top)
            (y,) = [n for n, line in enumerate(lines) if line.startswith("▸")]
            assert family_rows.at_row(y, top, 6, size[1]) == at
    finally:
        use("en")


def before(view: View, cursor: float) -> View:
    """The view with the cursor at an epoch, as the screen builds it."""
    placed = []
    for run in view.runs:
        row = run.history.at(cursor)
        frame = None if row < 0 or run.frame is None else replace(run.frame, epoch=float(run.history.epoch[row]))
        placed.append(replace(run, row=row, frame=frame))
    return replace(view, runs=tuple(placed), cursor=cursor, following=False)


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("selected", [0, 2])
def test_before_a_fork_each_panel_draws_and_says_where_it_begins(panel: Any, selected: int) -> None:
    view = before(shown(selected=selected, pinned=2 - selected), 2.0)
    drawn = "\n".join(text(row) for row in panel.draw(view, 100, 30).rows)
    if panel.name in ("layers", "gradients", "drift", "distributions", "stopping"):
        assert "begins at epoch 5" in drawn
    alone = before(shown(selected=2, pinned=None), 2.0)
    assert len(panel.draw(alone, 60, 14).rows) == 14


def test_the_header_says_where_a_fork_begins() -> None:
    view = before(shown(selected=2), 2.0)
    assert "begins at epoch 5" in text(chrome.header(view, {}, ("replay", ""), 160))


def test_the_track_of_a_fork_begins_where_it_was_forked() -> None:
    drawing = timeline.draw(shown(), 120, 20)
    tracks = {text(row)[1]: text(row) for row in drawing.rows[2:8]}
    whole, fork = tracks["●"], tracks["■"]
    start, end = whole.index("├"), whole.index("┤")
    assert fork.index("╰") == round(start + (end - start) * 5 / 60)
    assert fork[2 : fork.index("╰")].strip() == ""
    meanings = text(timeline.draw(shown(selected=2), 120, 2).rows[1])
    assert "╰ forked 5" in meanings
    told = "\n".join(text(row) for row in drawing.rows[8:])
    assert "forked" in told


def test_the_curve_of_a_fork_begins_with_a_mark() -> None:
    plain, *_ = runs()
    fork = fork_view(1, plain, 6)
    with_fork = [text(row) for row in curves.draw(shown(plain, fork), 80, 24).rows]
    without = [text(row) for row in curves.draw(shown(plain), 80, 24).rows]
    columns = [line.index("╰") for line in with_fork if "╰" in line]
    assert columns
    assert not any("╰" in line for line in without)
    chart = next(line for line in with_fork if "└" in line)
    left, right = chart.index("└") + 1, 79
    assert abs(columns[0] - (left + (right - left) * 6 / 60)) <= 1.5
