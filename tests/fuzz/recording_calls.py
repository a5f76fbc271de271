"""Defines the calls made on every mutated recording: commands and the screen's pages."""

from __future__ import annotations

import contextlib
import io
import random
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from bntui.errors import BntuiError, RecordingError, ScenarioError
from bntui.recording.history import Unit
from bntui.recording.reader import Reader
from bntui.viewer import family_rows, parts, troubles, view_state
from bntui.viewer.draw.rows import Row, text, width
from bntui.viewer.fork import form_rows
from bntui.viewer.fork.check import judge
from bntui.viewer.fork.form import ForkOrigin, data_facts, move, opened, turn
from bntui.viewer.microscope import state as states
from bntui.viewer.microscope.draw import draw
from bntui.viewer.panels import BY_NAME
from bntui.viewer.screens.microscope import MicroscopeScreen
from bntui.viewer.snapshot import Snapshot, free_panels, recounted, take_snapshot
from bntui.viewer.view import View
from bntui.viewer.view_state import ViewState

SIZES: Final = ((40, 12), (60, 17), (98, 12), (30, 30))
BARS: Final = ("header", "tabs", "strip", "keys")
CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
"""All characters of the categories Cc, Cs, Zl and Zp but for the line feed."""


class BrokenError(Exception):
    """A promise was broken: a traceback, a control character, a row that is too wide."""


def _harmless(written: str, where: str) -> None:
    if found := CONTROL.search(written):
        at = found.start()
        raise BrokenError(f"control character {found[0]!r} on {where}: {written[max(at - 40, 0) : at + 40]!r}")


def command(*arguments: str) -> bool:
    """``bntui arguments``, in this process; False where it was refused with a sentence."""
    from bntui.__main__ import main

    before = sys.argv, sys.stdout, sys.stderr
    out, error = (
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=how) for how in ("strict", "backslashreplace")
    )
    sys.argv, sys.stdout, sys.stderr = ["bntui", *arguments], out, error
    code: object = None
    try:
        main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv, sys.stdout, sys.stderr = before
    for stream, name in ((out, "stdout"), (error, "stderr")):
        stream.flush()
        written = stream.buffer.getvalue().decode()
        _harmless(written, name)
        if "Traceback" in written:
            raise BrokenError(written[-300:])
        if name == "stderr" and len(written) > 5000:
            raise BrokenError(f"{len(written)} characters on stderr")
    if code not in (None, 0, 1, 2):
        raise BrokenError(f"exit code {code}")
    return code != 2


def _rows(drawn: tuple[Row, ...] | list[Row], cells: int, lines: int, where: str) -> None:
    if len(drawn) != lines:
        raise BrokenError(f"{where}: {len(drawn)} rows for {lines}")
    for row in drawn:
        _harmless(text(row), f"the screen, {where}")
        if where not in BARS and width(row) != cells:
            raise BrokenError(f"{where}: a row of {width(row)} cells for {cells}")


def _walks(recorded: Snapshot, state: ViewState, dice: random.Random) -> tuple[Snapshot, ViewState]:
    """A key or two."""
    runs = len(recorded.histories)
    match dice.randrange(7):
        case 0:
            state = view_state.walk(state, recorded.stops, dice.choice((-1, 1, -10)))
        case 1:
            state = view_state.home(state, recorded.stops)
        case 2:
            state = view_state.seek(state, recorded.stops, dice.uniform(0, 5))
        case 3:
            state = view_state.select(state, runs, 1)
        case 4:
            state = view_state.pin(state, runs)
        case 5:
            state = replace(state, log_axis=not state.log_axis)
            for panel in BY_NAME:
                state = view_state.walk_in(state, panel, 1)
        case _:
            unit: Unit = "epoch" if state.unit == "step" else "step"
            state, recorded = view_state.count_by(state, recorded, unit), recounted(recorded, unit)
    return recorded, state


def view(path: Path, dice: random.Random) -> bool:
    """The laboratory at three places of a recording, all its panels; its other pages; False where it is not opened."""
    try:
        reader = Reader(path)
    except RecordingError as error:
        if not str(error):
            raise BrokenError("an empty sentence") from error
        return False
    with contextlib.closing(reader):
        recorded = take_snapshot(reader)
        state = view_state.grown(view_state.opening(reader), recorded.stops)
        free_panels(recorded)
        for _ in range(2):
            with contextlib.suppress(RecordingError):  # as the laboratory does: said in a notice
                shown = view_state.build_view(recorded, state, dataset=True, histograms=True)
                _laboratory(shown, state, reader, dice)
            recorded, state = _walks(recorded, state, dice)
        for event in troubles.troubles(recorded.events, state.unit):
            _harmless(event.text, "the screen, an event")
        recorded = recounted(recorded, "epoch")
        _microscope(reader, recorded, view_state.first(len(reader.runs)), dice)
        _fork(reader, recorded, state, dice)
    return True


def _laboratory(shown: View, state: ViewState, reader: Reader, dice: random.Random) -> None:
    page = parts.ScreenContent(shown, state, reader.meta, ("paused", "dim"), False, False, True, False)
    for name in parts.PARTS:
        cells, lines = (100, 2 if name == "strip" else 1) if name in BARS else dice.choice(SIZES)
        _rows(parts.rows(name, page, cells, lines), cells, lines, name)
    _rows(family_rows.draw(shown, 0, 0, 60, 14).rows, 60, 14, "family")


def _microscope(reader: Reader, recorded: Snapshot, state: ViewState, dice: random.Random) -> None:
    screen = MicroscopeScreen(reader, recorded, view_state.grown(state, recorded.stops))
    if not screen._specimens.runs:
        return
    for number in range(3):
        with contextlib.suppress(RecordingError):
            lens = screen._specimens.lens(screen.microscope, screen._history)
            if lens is None:
                return
            cells, lines = dice.choice(((80, 24), (120, 36)))
            _rows(draw(lens, cells, lines), cells, lines, "microscope")
            look = view_state.walk(lens.state.look, recorded.stops, dice.choice((-1, 0, -5)))
            moved = states.moved(lens.state, lens.slide, dice.choice((-1, 1, 10)))
            moved = replace(
                moved, look=look, time=dice.choice((0, 1, 99)), marked=dice.choice((0, 3)), listing=number == 1
            )
            screen.microscope = replace(
                moved, sort=dice.choice(states.SORTS), layer=dice.choice(("", "output", "linear 2"))
            )


def _fork(reader: Reader, recorded: Snapshot, state: ViewState, dice: random.Random) -> None:
    run = reader.runs[state.selected]
    history = recorded.histories[state.selected]
    row = history.at(state.cursor)
    if row < 0 or run.watched:  # the screen says that nothing can be forked
        return
    try:
        origin = ForkOrigin(run, int(history.step[row]), float(history.epoch[row]), data_facts(reader, run))
        form = opened(origin)
    except (RecordingError, ScenarioError):
        return
    for _ in range(2):
        form = turn(move(form, dice.randrange(40)), 1)
        _rows(form_rows.draw(form, judge(form), "fork", 80, 24).rows, 80, 24, "fork")


def calls(path: Path, dice: random.Random) -> Iterator[tuple[str, Callable[[], bool]]]:
    """All calls with one recording."""
    yield "show", lambda: command("show", str(path), *dice.choice(((), ("--epoch", "0"), ("--run", "1"))))
    yield "show --json", lambda: command("show", "--json", str(path))
    yield "stops", lambda: command("stops", str(path), *dice.choice(((), ("--json",))))
    yield "audit", lambda: command("audit", str(path), *dice.choice(((), (), ("--json",))))
    yield "list", lambda: command("list", *dice.choice(((), ("--json",))))
    yield "view", lambda: view(path, dice)


EXPECTED: Final = (BntuiError,)
