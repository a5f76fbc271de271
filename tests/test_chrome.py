"""Tests the rows around the panels at every width, and that the layout fills the screen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from bntui.link import Status
from bntui.link.requests import ForkRequest
from bntui.recording.history import Unit, counted
from bntui.recording.sentences import EventKind
from bntui.text import figures
from bntui.text.language import use
from bntui.viewer import chrome, epochs, parts, view_state
from bntui.viewer.draw.rows import text, width
from bntui.viewer.lab_keys import EVERYTHING, LabSituation
from bntui.viewer.layout import SMALLEST, Candidates, layout
from bntui.viewer.live_states import Leaving, Live, Replay, Starting, State
from bntui.viewer.marks import RUN_MARKS
from bntui.viewer.panels import BY_NAME, PANELS, STRIP, ranked
from bntui.viewer.snapshot import take_snapshot
from bntui.viewer.view_state import ViewState
from tests import factory
from tests.fakes import FakeReader, fork_view

FACTS = {"train_samples": "1437", "validation_samples": "360"}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (Replay(), "replay"),
        (Replay(gone=True), "✗ trainer gone"),
        (Live(), "▶ starting"),
        (Live(Status("running", 5, 4.9, 0)), "▶ running 5/s"),
        (Live(Status("running", None, 312.4, 0)), "▶ running unthrottled (312/s)"),
        (Live(Status("paused", 5, 0, 0)), "❚❚ paused 5/s"),
        (Live(Status("paused", 5, 0, 0), ForkRequest(0, 24)), "◌ forking …"),
        (Replay(Status("finished", 5, 0, 0)), "✓ finished"),
        (Replay(Status("stopped", 5, 0, 0)), "⊘ stopped"),
        (Replay(Status("failed", 5, 0, 0, "disk full")), "✗ failed"),
        (Replay(Status("running", 5, 4.9, 0), gone=True), "✗ trainer gone"),
        (Starting(ForkRequest(0, 24)), "◌ forking …"),
        (Starting(None), "◌ resuming …"),
        (Leaving(Status("running", 5, 4.9, 0)), "⊘ stopping …"),
    ],
)
def test_state_words(state: State, words: str) -> None:
    assert chrome.state_words(state)[0] == words


def test_a_read_only_screen_says_that_training_goes_on() -> None:
    assert chrome.state_words(Replay(), chrome.TRAINED) == ("▶ live, read-only", "good")
    assert chrome.state_words(Replay(), "finished") == ("replay", "muted")


def test_an_interrupted_recording_is_no_plain_replay() -> None:
    assert chrome.state_words(Replay(), "interrupted")[0] == "⊘ interrupted"


@pytest.mark.parametrize(
    ("ending", "words"),
    [("diverged", ("✕ diverged", "bold bad")), ("stopped_early", ("▣ stopped early", "text")),
     ("finished", ("✓ finished", "text"))],
)  # fmt: skip
def test_the_header_says_how_all_runs_ended(ending: EventKind, words: tuple[str, str]) -> None:
    assert chrome.state_words(Replay(Status("finished", 5, 0, 0)), ending) == words


@pytest.mark.parametrize(
    ("ending", "words"), [("interrupted", "▶ running 5/s · 3 seeds"), ("stopped_early", "▶ training 3 seeds")]
)
def test_seeds_that_are_trained_alone_have_no_pace(ending: EventKind, words: str) -> None:
    assert chrome.state_words(Live(Status("running", 5, 0, 0, seeds=3)), ending)[0] == words


def test_no_state_has_the_mark_of_a_run() -> None:
    for state in ("running", "paused", "finished", "stopped", "failed"):
        assert not set(chrome.state_words(Live(Status(state, 5, 0, 0)))[0]) & set(RUN_MARKS)


def test_the_header_keeps_all_marks_longer_than_the_title() -> None:
    for cells in range(60, 120):
        shown = text(chrome.header(factory.view(), FACTS, ("❚❚ paused 10/s", "warn"), cells))
        assert "●" in shown
        assert "▲" in shown


def test_header_at_160_columns_says_everything() -> None:
    view = factory.view()
    row = chrome.header(view, FACTS, ("❚❚ paused", "warn"), 160)
    said = " bntui   Batch normalization in a sigmoid network"
    ends = "digits 1,437 + 360 · 100 classes · cpu   ● plain   ▲ batch norm   epoch 12/60   step 288     ❚❚ paused "
    assert text(row).startswith(said)
    assert text(row).endswith(ends)
    assert set(text(row)[len(said) : -len(ends)]) == {" "}
    assert width(row) == 160


@given(st.integers(40, 220), st.integers(1, 6), st.integers(0, 5))
def test_header_keeps_place_and_state_at_every_width(cells: int, runs: int, selected: int) -> None:
    views = [factory.run_view(n, f"run number {n}", keyframes=2, layers=1) for n in range(runs)]
    view = replace(factory.view(*views), selected=min(selected, runs - 1))
    shown = text(chrome.header(view, FACTS, ("▶ running 5/s", "good"), cells))
    assert "epoch 1/60" in shown
    assert "▶ running 5/s" in shown
    assert view.runs[view.selected].mark in shown
    assert width(chrome.header(view, FACTS, ("▶ running 5/s", "good"), cells)) == cells


@pytest.mark.parametrize("cells", [80, 120, 160])
@pytest.mark.parametrize("unit", ["epoch", "step"])
@pytest.mark.parametrize("within", [False, True])
def test_nothing_in_the_header_moves_from_keyframe_to_keyframe(unit: Unit, cells: int, within: bool) -> None:
    run = factory.run_view(keyframes=61)
    epoch = run.history.epoch - (0.5 if within else 0) * (np.arange(61) % 2)
    run = replace(run, history=counted(replace(run.history, epoch=epoch), unit))
    columns = set()
    for row in range(61):
        seen = replace(run, row=row)
        view = replace(factory.view(seen), cursor=float(run.history.position[row]), unit=unit)
        words = text(chrome.header(view, FACTS, ("▶ running 5/s", "good"), cells))
        columns.add(tuple(words.index(part) for part in ("● plain", "epoch ", "step ", "▶")))
    assert len(columns) == 1


def test_header_before_the_first_keyframe() -> None:
    view = factory.view(factory.run_view(keyframes=0))
    assert "no keyframe yet" in text(chrome.header(view, {}, ("replay", "muted"), 120))


def test_a_replay_names_no_key_of_the_trainer() -> None:
    replayed = text(chrome.keys(200, EVERYTHING))
    live = text(chrome.keys(200, replace(EVERYTHING, live=True)))
    for words in ("n epoch", "s step", "+− pace", "d detach", "space run"):
        assert words in live
        assert words not in replayed
    assert "q stop, quit" in live
    assert "q quit" in replayed


def test_keys_of_one_run_on_a_small_screen() -> None:
    row = text(chrome.keys(80, LabSituation()))
    for words in ("tab", "pin", "zoom", "gallery"):
        assert words not in row


@given(st.integers(40, 200), st.booleans())
def test_keys_fit_and_keep_what_is_essential(cells: int, live: bool) -> None:
    row = chrome.keys(cells, LabSituation(live=live, runs=3, several=True, from_gallery=True))
    assert width(row) == cells
    for key in ("←", "→", "?", "q", *(("space", "n", "d") if live else ())):
        assert any(span.text == key for span in row)


@pytest.mark.parametrize("running", [True, False])
def test_keys_of_a_live_run_at_80_columns(running: bool) -> None:
    row = text(chrome.keys(80, LabSituation(live=True, running=running, runs=2, from_gallery=True)))
    wanted = ("space pause", "+− pace") if running else ("space run", "n epoch")
    for words in (*wanted, "←→ keyframe", "f fork", "? explain", "d detach", "q stop, quit"):
        assert words in row


def test_the_footer_tells_the_keys_that_matter_now() -> None:
    row = text(chrome.keys(120, LabSituation(live=True, over=True, runs=2)))  # it may train seeds
    assert "stop, quit" in row
    assert not any(word in row for word in ("space", "pause", "pace", "n epoch", "s step"))
    zoomed = LabSituation(runs=2, several=True, zoomed=True, from_gallery=True, troubled=True)
    assert "↵ back" in text(chrome.keys(60, zoomed))
    assert "↵ zoom" not in text(chrome.keys(60, replace(zoomed, zoomed=False)))
    walking = LabSituation(runs=2, troubled=True, walks="layers")
    assert "[] layers" in text(chrome.keys(60, walking))
    assert "[]" not in text(chrome.keys(200, replace(walking, walks="")))
    resuming = text(chrome.keys(60, LabSituation(resumes=True)))
    assert "space resume" in resuming


@pytest.mark.parametrize("cells", [40, 60, 80, 120])
def test_tabs_fit_and_mark_the_shown_panel(cells: int) -> None:
    for one in PANELS:
        row = chrome.tabs(one.name, cells)
        assert width(row) <= cells
        names = [one.short, one.label]
        assert any(f"[{one.key}{between}{name}]" in text(row) for name in names for between in (" ", ""))
        for other in PANELS:
            tab = "".join(span.text for span in row if span.click == f"focus_panel('{other.name}')")
            key, name = tab.strip(" []")[0], tab.strip(" []")[1:].strip()
            assert key == other.key
            assert name in (("",) if cells < 80 and other is not one else (other.short, other.label))


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("cells", [80, 100, 120, 160])
def test_no_tab_moves_when_another_panel_is_chosen(cells: int, language: str) -> None:
    use(language)
    rows = {text(chrome.tabs(panel.name, cells)).replace("[", " ").replace("]", " ") for panel in PANELS}
    use("en")
    assert len(rows) == 1


@given(st.integers(40, 250), st.integers(12, 80), st.sampled_from([panel.name for panel in PANELS]), st.booleans())
def test_a_layout_covers_the_screen_without_overlap(columns: int, rows: int, focused: str, zoomed: bool) -> None:
    regions = layout(columns, rows, focused, zoomed).regions
    covered = [(x, y) for region in regions.values() for y in region.line_range for x in region.column_range]
    assert len(covered) == len(set(covered)) == columns * rows


def test_layouts_of_the_three_sizes() -> None:
    panels = ["curves", "layers", "gradients", "dropout", "stopping"]
    for size in ((160, 48), (120, 36)):
        assert [name for name in layout(*size, "curves", False).regions if name in panels] == panels
        assert [name for name in layout(*size, "layers", True).regions if name in panels] == ["layers"]
    small = layout(80, 24, "gradients", False)
    assert [name for name in small.regions if name in panels] == ["gradients"]
    assert "tabs" in small.regions
    assert not small.several
    wide = layout(160, 48, "curves", False).regions
    assert wide["curves"].y == wide["layers"].y
    assert wide["gradients"].y == wide["dropout"].y == wide["stopping"].y
    two = layout(120, 36, "curves", False).regions
    assert len({region.x for region in two.values()}) == 2
    assert set(layout(160, 48, "timeline", True).regions) == {"header", "tabs", "timeline", "keys"}
    assert {panel.name for panel in PANELS} - {"timeline", "compare", "claims"} <= set(
        layout(160, 60, "curves", False).regions
    )


def test_free_places_go_to_the_panels_that_have_something_to_show() -> None:
    free = ranked(())
    assert free[:2] == ("drift", "distributions")
    assert {"drift", "distributions"} <= set(layout(160, 48, "curves", False, Candidates(free)).regions)
    free = ranked(("dropout", "predictions"))
    assert free[:3] == ("dropout", "data", "drift")
    asked = layout(160, 48, "stopping", False, Candidates(free, guest="stopping")).regions
    assert "stopping" in asked
    assert "dropout" in asked
    assert "data" not in asked
    assert layout(160, 48, "dropout", False, Candidates(free, guest="dropout")) == layout(
        160, 48, "curves", False, Candidates(free)
    )


@given(st.integers(1, 39), st.integers(1, 11))
def test_a_tiny_screen_says_so(columns: int, rows: int) -> None:
    assert layout(columns, rows, "curves", False).regions == {}
    lines = chrome.too_small(columns, rows)
    assert len(lines) == rows
    if columns >= 20 and rows >= 5:
        assert f"{SMALLEST[0]}x{SMALLEST[1]}" in " ".join(text(line) for line in lines)


@pytest.mark.parametrize(
    ("device", "deterministic", "words"),
    [
        ("cpu", None, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda:0", None, "cuda:0 · deterministic"),
        ("cuda:0", True, "cuda:0 · deterministic"),
        ("cuda:0", False, "cuda:0 · not deterministic"),
    ],
)
def test_the_header_says_which_determinism_is_on(device: str, deterministic: bool | None, words: str) -> None:
    run = factory.run_view()
    config = run.info.config if deterministic is None else {**run.info.config, "deterministic": deterministic}
    on = replace(run, info=replace(run.info, device=device, config=config))
    data = chrome.data_text(factory.view(on), {"train_samples": "10", "validation_samples": "5"})
    assert data == f"digits 10 + 5 · 100 classes · {words}"
    facts = {"train_samples": "10", "validation_samples": "5"}
    rows = {cells: text(chrome.header(factory.view(on), facts, ("", ""), cells)) for cells in range(60, 161)}
    assert data in rows[160]
    # where the data has no room any more, the task still has, and then the device
    least = [
        min(cells for cells, row in rows.items() if said in row) for said in (words, f"100 classes · {words}", data)
    ]
    assert np.diff(least).tolist() == [len("100 classes · "), len("digits 10 + 5 · ")]


def test_the_header_names_the_task() -> None:
    shown = replace(factory.view(), task="regression")
    assert "digits · regression · cpu" in text(chrome.header(shown, {}, ("replay", "muted"), 160))
    assert "digits · 100 classes · cpu" in text(chrome.header(factory.view(), {}, ("replay", "muted"), 160))


def test_names_of_forks_leave_room_for_the_others() -> None:
    parent = factory.run_view()
    forks = [fork_view(n, parent, 3, name=f"plain · {'again · ' * 8}lr 0.{n}") for n in (1, 2)]
    row = text(chrome.header(factory.view(parent, *forks), {}, ("replay", ""), 160))
    assert "▲ …lr 0.1" in row
    assert "■ …lr 0.2" in row
    assert "Batch normalization in a sigmoid network" in row


def test_keys_of_forks_and_troubles_stand_there_where_they_do_something() -> None:
    def shown(**given: Any) -> list[str]:
        row = chrome.keys(250, LabSituation(runs=2, several=True, **given))
        return [span.text for span in row if span.style == "key"]

    assert {"f", "r"} <= set(shown())
    assert "!" not in shown()
    assert "!" in shown(troubled=True)
    assert "f" not in shown(forks=False)


@given(
    st.floats(0, 1.2), st.sampled_from(["epoch", "step"]), st.integers(0, 1), st.integers(2, 40), st.integers(2, 40),
    st.sampled_from([100, 120, 160, 200]),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_header_timeline_and_legend_tell_the_same_place(
    share: float, unit: Unit, selected: int, first: int, second: int, columns: int
) -> None:
    """A run that ended before the cursor was shown as if the cursor were at its end, and ← seemed dead."""
    ended = factory.run_view(0, "short", keyframes=first, epochs=40, stopped=True)
    lasting = factory.run_view(1, "long", keyframes=second, epochs=40)
    runs = [replace(run, history=counted(run.history, unit)) for run in (ended, lasting)]
    head = max(float(run.history.position[-1]) for run in runs)
    cursor = min(round(share * head), head)
    runs = [replace(run, row=run.history.at(cursor)) for run in runs]
    view = replace(factory.view(*runs), selected=selected, cursor=float(cursor), unit=unit)
    words = text(chrome.header(view, FACTS, ("replay", "muted"), columns))
    place = epochs.text(cursor, unit)
    assert f" {unit} {place}/" in words
    timeline = text(STRIP.draw(view, columns, 2).rows[0])
    assert f" {unit} {place} " in f"{timeline} "
    run = view.runs[selected]
    shown = float(run.history.position[run.row])
    at_cursor = shown == cursor
    assert (chrome.lag(view, run) is None) == at_cursor
    if not at_cursor:
        ended_words = "ended " if selected == 0 and run.row == first - 1 else ""
        assert chrome.lag(view, run) == f"{run.mark} {ended_words}at {unit} {epochs.text(shown, unit)}"
    layers = parts.ScreenContent(view, ViewState(), FACTS, ("", ""), False, False, True, False)
    title = text(parts.rows("layers", layers, 140, 20)[0])
    assert all((late in title) for run in view.shown if (late := chrome.lag(view, run)) is not None)
    legend = "\n".join(text(row) for row in BY_NAME["curves"].draw(view, 110, 20).rows[:2])
    assert figures.number(float(run.history.val_loss[run.row]), 6) in legend


def test_walking_left_moves_what_the_header_says() -> None:
    ended = factory.run_view(0, "short", keyframes=3, stopped=True)
    lasting = factory.run_view(1, "long", keyframes=11)
    reader = FakeReader(ended, lasting)
    recorded = take_snapshot(reader)
    state = view_state.end(view_state.opening(reader), recorded.stops)
    places = []
    for _key in range(10):
        places.append(chrome.where(view_state.build_view(recorded, state))[0])
        state = view_state.walk(state, recorded.stops, -1)
    assert len(set(places)) == 10
    assert places[0] == "epoch 10/60   ● ended at epoch 2"


@pytest.mark.parametrize("size", [(100, 30), (160, 48), (240, 80)])
def test_for_a_lecture_hall_two_panels_stand_on_the_screen(size: tuple[int, int]) -> None:
    names = {panel.name for panel in PANELS}

    def standing(**wanted: Any) -> list[str]:
        return [
            name for name in layout(*size, "curves", False, Candidates(few=True, **wanted)).regions if name in names
        ]

    assert standing() == ["curves", "layers"]
    assert standing(first=("gradients", "drift")) == ["gradients", "drift"]
    assert standing(guest="dropout") == ["curves", "dropout"]


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(("live", "running"), [(False, False), (True, False), (True, True)])
def test_the_key_that_ends_a_tour_is_in_the_footer_at_80_columns(language: str, live: bool, running: bool) -> None:
    here = LabSituation(live=live, running=running, touring=True, tours=True, from_gallery=True, runs=3)
    use(language)
    try:
        row = text(chrome.keys(80, here))
    finally:
        use("en")
    assert {"en": "esc end tour", "ko": "esc 안내 끝"}[language] in row
    assert cell_len(row) == 80
