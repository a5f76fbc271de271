"""Builds views with extreme float values: huge, subnormal, constant, and mixed with NaN and infinity.

    python -m tests.extremes panels|microscope FIRST COUNT

draws those of as many seeds, in at most ``ROOM`` more memory than drawing took before, and exits 1 at the first that
fails.
"""

from __future__ import annotations

import argparse
import resource
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from bntui.keyframe import Keyframe
from bntui.recording.dataset import RecordedData
from bntui.recording.evidence import Evidence
from bntui.recording.histograms import Histograms
from bntui.recording.history import Event, RunHistory, RunInfo
from bntui.recording.reader import Reader
from bntui.viewer import chrome, family_rows
from bntui.viewer.draw.extremes import unbounded
from bntui.viewer.draw.rows import Row, width
from bntui.viewer.microscope import draw as microscope
from bntui.viewer.microscope import state as states
from bntui.viewer.microscope.courses import courses
from bntui.viewer.microscope.specimen import normalized_layers, slide
from bntui.viewer.microscope.state import Lens, Microscope
from bntui.viewer.panels import PANELS
from bntui.viewer.view import RunView, View
from bntui.viewer.view_state import ViewState
from tests.factory import recorded_data, run_view, view, with_data
from tests.spread import ALL
from tests.test_microscope import IMAGES, SEQUENCES
from tests.test_session import train

ROOM: Final = 256 << 20
"""Bytes of memory that drawing may take, beyond what the libraries took when they were loaded; 1 GiB in all."""
SIZES: Final = ((20, 6), (38, 19), (75, 21), (118, 28), (200, 60))
HUGE: Final = (1.7e308, -1.7e308, 1e308, -1e308, 3.4e38, -3.4e38, 1e300, -1e300, 9.27e18, -1e16)
TINY: Final = (5e-324, -5e-324, 1e-308, -1e-308, 2.2e-308, 1e-300, -1e-300, 1e-45, 0.0, -0.0)
PLAIN: Final = (1.0, -1.0, 0.5, 0.1, 123.456, 1e-3)
BROKEN: Final = (float("nan"), float("inf"), float("-inf"))
POOLS: Final = (
    HUGE, TINY, (*HUGE, *BROKEN), (*TINY, *BROKEN), (*HUGE, *TINY), (*HUGE, *TINY, *PLAIN, *BROKEN),
    (*PLAIN, *HUGE[-3:]), (1.7e308,), (-1.7e308,), (5e-324,), (1e308, -1e308), (1e-308, 2e-308), (1e16, 1e16 + 2),
    BROKEN, (-1e16, 1.0),
)  # fmt: skip
"""What all figures of one view are drawn from."""
PLAINEST: Final = 6
"""A seed of modest figures."""
INCREASING: Final = ("ids", "step", "epoch", "wall_time", "has_frame", "epoch_end", "wait", "best_epoch")
"""Columns of a history that count; the reader has checked them."""


def extreme_view(seed: int) -> View:
    """The view of a seed: its shape (runs, layers, samples) and its pool of figures."""
    dice = np.random.default_rng(seed)
    pool = POOLS[seed % len(POOLS)]
    share = dice.choice([1.0, 0.5, 0.1])
    count = int(dice.integers(1, 4))
    keyframes = int(dice.choice([1, 2, 3, 13, 150]))
    options: dict[str, Any] = {"layers": int(dice.choice([1, 3, 8])), "keyframes": keyframes, "drift": True}
    runs = [
        run_view(index, f"run {index}", norm=bool(index % 2), dropout=0.2 * (index % 3), stopped=index == 2, **options)
        for index in range(count)
    ]
    kind = str(dice.choice(["plane", "line", "images", "table"]))
    shown = with_data(
        view(*runs, log_axis=bool(dice.integers(2))),
        recorded_data(kind, ("minmax", "standard", "none")[:count]),
    )
    assert shown.dataset is not None
    data = shown.dataset
    if dice.integers(2):
        single = np.float32(3.4e38)
        x = _mixed(data.x, dice, pool, share).clip(-single, single)
        ends = [sorted(dice.choice([-3e38, -1.0, 0.0, 1e-45, 3e38], 2).tolist()) for _axis in data.grid]
        grid = tuple(np.linspace(low, high, len(axis)) for (low, high), axis in zip(ends, data.grid, strict=True))
        data = replace(
            data,
            x=x.astype(np.float32),
            grid=tuple(one.astype(np.float32) for one in grid),
            y=data.y if data.classes else _mixed(data.y, dice, pool, share).clip(-single, single).astype(np.float32),
            scalings=tuple(extreme(one, dice, pool, share) for one in data.scalings),
        )
    runs = [_run(run, dice, pool, share) for run in shown.runs]
    return replace(shown, dataset=data, runs=tuple(runs), past=int(dice.integers(3)))


def _run(run: RunView, dice: np.random.Generator, pool: tuple[float, ...], share: float) -> RunView:
    columns = {
        field.name: column if field.name in INCREASING else _mixed(column, dice, pool, share)
        for field in fields(RunHistory)
        for column in [getattr(run.history, field.name)]
    }
    if dice.integers(2):  # large counts
        scale = int(dice.choice([10**6, 10**9, 4 * 10**16]))
        columns["step"] = columns["step"] * scale
        columns["wall_time"] = columns["wall_time"] * float(dice.choice([1e5, 1e12, 1e300]))
    history = RunHistory(**columns)
    assert run.histograms is not None
    histograms: Histograms = replace(run.histograms)
    frame = None if run.frame is None else extreme(run.frame, dice, pool, share)
    if frame is not None:
        frame = replace(frame, step=int(history.step[run.row]), epoch=float(history.epoch[run.row]))
    return replace(run, history=history, histograms=histograms, frame=frame)


def extreme(value: Any, dice: np.random.Generator, pool: tuple[float, ...], share: float) -> Any:
    """A dataclass, tuple, array or number, in which the given share of all floats is drawn from a pool."""
    if isinstance(value, np.ndarray):
        return _mixed(value, dice, pool, share) if value.dtype.kind == "f" else value
    if isinstance(value, float):
        return float(dice.choice(pool)) if dice.random() < share else value
    if isinstance(value, tuple):
        return tuple(extreme(one, dice, pool, share) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        kept = ("p", "kept_fraction", "epoch")  # a probability is one: the reader has checked it
        changed = {
            field.name: extreme(getattr(value, field.name), dice, pool, share)
            for field in fields(value)
            if field.name not in kept
        }
        return replace(value, **changed)
    return value


def _mixed(column: Any, dice: np.random.Generator, pool: tuple[float, ...], share: float) -> Any:
    drawn = dice.choice(pool, column.shape)
    with np.errstate(all="ignore"):
        return np.where(dice.random(column.shape) < share, drawn, column).astype(column.dtype)


class ExtremeSource:
    """A recording whose keyframes, courses and evidence are made extreme as they are read."""

    def __init__(self, reader: Reader, seed: int) -> None:
        self._reader = reader
        self._seed = seed
        self.title, self.task, self.scenario_text = reader.title, reader.task, reader.scenario_text
        self.paths, self.mixed = reader.paths, reader.mixed

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        return self._reader.runs

    @property
    def dataset(self) -> RecordedData | None:
        return self._reader.dataset

    def _made(self, value: Any, *place: int) -> Any:
        dice = np.random.default_rng((self._seed, *place))
        return extreme(value, dice, POOLS[self._seed % len(POOLS)], float(dice.choice([1.0, 0.3])))

    def history(self, run: int) -> RunHistory:
        history = self._reader.history(run)
        made: RunHistory = self._made(history, run)
        return replace(made, **{name: getattr(history, name) for name in INCREASING})

    def events(self, run: int) -> tuple[Event, ...]:
        return self._reader.events(run)

    def keyframe(self, run: int, row: int) -> Keyframe:
        made: Keyframe = self._made(self._reader.keyframe(run, row), run, row)
        return made

    def histograms(self, run: int, history: RunHistory) -> Histograms:
        return self._reader.histograms(run, history)

    def evidence(self, run: int, row: int) -> Evidence | None:
        found = self._reader.evidence(run, row)
        if found is None:
            return None
        return Evidence.of({name: self._made(array, run, row, 1) for name, array in found.arrays().items()})

    def seeds(self, run: int) -> Any:
        return self._reader.seeds(run)

    @property
    def seeds_asked(self) -> int:
        return self._reader.seeds_asked

    def evidence_rows(self, run: int) -> Any:
        return self._reader.evidence_rows(run)


def sizes(whole: Sequence[tuple[int, int]], seed: int) -> Sequence[tuple[int, int]]:
    """The sizes at which a seed is drawn: a third of them, others for the next seed; all with ``BNTUI_ALL=1``."""
    return whole if ALL else whole[seed % min(3, len(whole)) :: 3]


def draw_panels(seed: int) -> None:
    """Every panel, the header and the family of a seed.

    Raises:
        AssertionError: a drawing that does not fill its room.
    """
    shown = extreme_view(seed)
    for cells, lines in sizes(SIZES, seed):
        for panel in PANELS:
            check(panel.draw(shown, cells, lines).rows, cells, lines, f"{panel.name} of seed {seed}")
        check((chrome.header(shown, {}, ("running", "good"), cells),), cells, 1, f"header of seed {seed}")
        check(family_rows.draw(shown, 0, 0, cells, lines).rows, cells, lines, f"family of seed {seed}")


def draw_microscope(readers: list[Reader], seed: int) -> None:
    """Every normalized layer of every run under the microscope.

    Raises:
        AssertionError: a drawing that does not fill its room.
    """
    for reader, (cells, lines) in product(readers, sizes(((60, 20), (160, 48)), seed)):
        source = ExtremeSource(reader, seed)
        for run in source.runs:
            for lens in _lenses(source, run, seed):
                with unbounded():
                    rows = microscope.draw(lens, cells, lines)
                check(rows, cells, lines, f"microscope of {run.name}, seed {seed}")


def _lenses(source: ExtremeSource, run: RunInfo, seed: int) -> Iterator[Lens]:
    layers = normalized_layers(run)
    history = source.history(run.index)
    row = history.at(1e9) if seed % 2 else 1
    frame, evidence = source.keyframe(run.index, row), source.evidence(run.index, row)
    with unbounded():
        course = {number: courses(source, run.index, history, number) for number in layers}
    for number, listing, playing in product(layers, (False, True), (0, 2)):
        with unbounded():  # as the screen does
            under = slide(run, number, frame, evidence)
            look = Microscope(
                ViewState(), layer=run.layers[number].name, listing=listing, playing=playing, chosen=seed % 5,
                marked=seed % 7, sort="gamma" if seed % 3 == 0 else "unit",
            )  # fmt: skip
            look = states.within(look, under)
            yield Lens(
                title=source.title,
                run=RunView(run, history, (), row, frame),
                state=look,
                number=number,
                layers=layers,
                runs=len(source.runs),
                slide=under,
                specimen=under.specimen(look.time, look.chosen),
                courses=course[number],
                nearest=None,
            )


def check(rows: tuple[Row, ...], cells: int, lines: int, what: str) -> None:
    """Raises AssertionError unless a drawing is of this size."""
    assert len(rows) == lines, f"{what} at {cells}x{lines} has {len(rows)} rows"
    assert {width(row) for row in rows} == {cells}, f"{what} at {cells}x{lines} has rows of another width"


def main(subject: str, first: int, count: int) -> None:
    warnings.simplefilter("error")
    with TemporaryDirectory() as folder:
        readers: list[Reader] = []
        if subject == "microscope":
            for name, text in (("a", IMAGES), ("b", SEQUENCES)):
                (Path(folder) / name).mkdir()
                readers.append(train(Path(folder) / name, text))
            draw_microscope(readers, 0)
        else:
            draw_panels(PLAINEST)  # loads what is loaded late
        loaded = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        most = max(loaded + ROOM, 1 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        for seed in range(first, first + count):
            if subject == "microscope":
                draw_microscope(readers, seed)
            else:
                draw_panels(seed)
        for reader in readers:
            reader.close()
    print(f"{count} seeds drawn")


if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("subject", choices=("panels", "microscope"))
    command.add_argument("first", type=int)
    command.add_argument("count", type=int)
    main(**vars(command.parse_args()))
