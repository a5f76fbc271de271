"""Tests the differences between two keyframes against NumPy, and that only equal bits are called equal."""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.keyframe import DropoutMask, EarlyStopping, Keyframe, LayerMeasures
from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.trainer.session import Session
from bntui.viewer.compared import ComparedFigure, FigureSection, bits, sections, written
from bntui.viewer.draw.rows import Row, text, width
from bntui.viewer.panels import compare, compare_rows
from bntui.viewer.view import RunView
from tests.factory import run_view, view
from tests.test_session import DIGITS, never, train

NORM: dict[str, Any] = {"norm": True, "dropout": 0.2}


def frame_of(run: RunView) -> Keyframe:
    assert run.frame is not None
    return run.frame


def shown(*runs: RunView, cells: int = 100, lines: int = 200, past: int = 0, **state: Any) -> list[str]:
    drawing = compare.draw(replace(view(*runs, **state), past=past), cells, lines)
    return [text(row) for row in drawing.rows]


def row_of(lines: list[str], name: str, section: str = "") -> str:
    """The row of a figure, in a layer's section or in that of the run."""
    start = next((at for at, line in enumerate(lines) if line.strip() == section), 0) if section else 0
    return next(line for line in lines[start:] if line.startswith(name + " "))


def numbers(line: str) -> list[float]:
    """The numbers of a row after its name."""
    return [float(found.replace("−", "-")) for found in re.findall(r"[−\d.]+(?:e−?\d+)?", line[19:])]


def test_every_figure_has_its_difference() -> None:
    one, other = run_view(dropout=0.2, vanishing=True), run_view(1, "batch norm", **NORM)
    lines = shown(one, other)
    first, second = frame_of(one), frame_of(other)
    told = numbers(row_of(lines, "validation loss"))
    assert told == pytest.approx(
        [first.val_loss, second.val_loss, first.val_loss - second.val_loss, first.val_loss / second.val_loss], abs=1e-3
    )
    told = numbers(row_of(lines, "validation accuracy"))
    assert told == pytest.approx(
        [100 * first.val_accuracy, 100 * second.val_accuracy, 100 * (first.val_accuracy - second.val_accuracy)],
        abs=0.06,
    )
    near, far = first.layers[1], second.layers[1]
    told = numbers(row_of(lines, "|∂L/∂W|", "linear 2"))
    assert told[:3] == pytest.approx(
        [
            near.weight_gradient_norm,
            far.weight_gradient_norm,
            near.weight_gradient_norm - far.weight_gradient_norm,
        ],
        rel=0.02,
        abs=5e-5,
    )
    told = numbers(row_of(lines, "μ before norm", "linear 2"))
    spread = max(near.pre_norm.std, far.pre_norm.std)
    difference = near.pre_norm.mean - far.pre_norm.mean
    assert told == pytest.approx([near.pre_norm.mean, far.pre_norm.mean, difference, difference / spread], abs=0.006)
    assert "—" in row_of(lines, "σ after norm", "linear 2")
    assert numbers(row_of(lines, "best val_loss"))[:2] == pytest.approx(
        [first.early_stopping.best, second.early_stopping.best],  # type: ignore[union-attr]
        abs=1e-3,
    )


VALUES = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(VALUES, VALUES, st.sampled_from(["size", "share", "count"]))
def test_how_far_apart_follows_its_definition(one: float, other: float, kind: Any) -> None:
    figure = ComparedFigure("x", kind, one, other)
    pair = np.array([one, other])
    equal = pair[:1].tobytes() == pair[1:].tobytes() or np.isnan(pair).all()
    assert figure.same == equal
    if equal:
        assert figure.apart == 0
    elif not np.isfinite(pair).all():
        assert figure.apart == np.inf
    else:
        scale = 1.0 if kind == "share" else np.abs(pair).max()
        assert figure.apart == pytest.approx(abs(one - other) / scale if scale else 0.0)
    assert ComparedFigure("x", kind, other, one).apart == figure.apart


def test_what_one_run_has_and_the_other_has_not_is_no_difference() -> None:
    for one, other in ((None, 1.0), (1.0, None)):
        figure = ComparedFigure("x", "size", one, other)
        assert not figure.same
        assert figure.apart == 0
        assert np.isnan(figure.difference)
        assert np.isnan(figure.ratio)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_means_are_apart_by_the_spread(one: float, other: float, spread: float) -> None:
    figure = ComparedFigure("x", "place", one, other, spread)
    assert figure.apart == pytest.approx(abs(one - other) / spread)
    assert figure.ratio == pytest.approx((one - other) / spread)
    still = ComparedFigure("x", "place", one, other, 0.0)
    assert still.apart == (0 if one == other else np.inf)
    assert np.isnan(still.ratio)


def same_again(index: int = 1) -> RunView:
    """The same run once more under another number, as a fork without changes is."""
    again = run_view(0, **NORM)
    return replace(
        again, info=replace(again.info, index=index, name="again"), frame=replace(frame_of(again), run=index)
    )


def test_the_same_run_again_is_bit_for_bit_equal_but_for_the_time_it_took() -> None:
    one = run_view(0, **NORM)
    other = same_again()
    other = replace(other, frame=replace(frame_of(other), wall_time=99.0))
    lines = shown(one, other)
    assert any(line.startswith("bit for bit equal: all") for line in lines)
    told = [line for line in lines if re.search(r" (?:=|≠|—) ", f"{line} ") or "seconds" in line]
    assert [line.split()[0] for line in told if " = " not in f"{line} "] == ["seconds"]


def changed(frame: Keyframe) -> dict[str, Keyframe]:
    """The keyframe with one thing changed, by what it is: as little as can be."""
    layer = frame.layers[1]
    assert layer.dropout is not None
    assert layer.batch_norm is not None

    def with_layer(**changes: Any) -> Keyframe:
        return replace(frame, layers=(frame.layers[0], replace(layer, **changes), *frame.layers[2:]))

    counts = layer.output.counts.copy()
    counts[3] += 1
    kept = layer.dropout.kept.copy()
    kept[5, 7] ^= True
    gamma = layer.batch_norm.gamma.copy()
    gamma[0] = np.nextafter(gamma[0], np.float32(2))
    indices = frame.batch_indices.copy()
    indices[[0, 1]] = indices[[1, 0]]
    return {
        "loss": replace(frame, val_loss=float(np.nextafter(frame.val_loss, 9.0))),
        "sign of zero": replace(frame, lr=-0.0),
        "digest": replace(frame, weights_digest="1" + frame.weights_digest[1:]),
        "indices": replace(frame, batch_indices=indices),
        "histogram": with_layer(output=replace(layer.output, counts=counts)),
        "median": with_layer(input=replace(layer.input, p50=float(np.nextafter(layer.input.p50, 9.0)))),
        "mask": with_layer(dropout=replace(layer.dropout, kept=kept)),
        "gamma": with_layer(batch_norm=replace(layer.batch_norm, gamma=gamma)),
        "sign of a zero in an array": with_layer(batch_norm=replace(layer.batch_norm, beta=-layer.batch_norm.beta)),
        "type of an array": replace(frame, batch_indices=frame.batch_indices.astype(np.int32)),
        "patience": replace(frame, early_stopping=replace(frame.early_stopping, wait=1)),  # type: ignore[type-var]
        "not a number": replace(frame, train_loss=float("nan")),
    }


@pytest.mark.parametrize("what", changed(frame_of(run_view(0, **NORM))))
def test_one_changed_bit_is_seen(what: str) -> None:
    frame = replace(frame_of(run_view(0, **NORM)), lr=0.0)
    other = changed(frame)[what]
    found = bits(frame, other)
    assert found.differ == 1
    run = replace(run_view(0, **NORM), frame=frame)
    again = replace(same_again(), frame=replace(other, run=1))
    assert not any("bit for bit equal" in line for line in shown(run, again))
    assert any(line.split()[:2] == ["1", "of"] for line in shown(run, again))


def test_the_bits_of_a_value_that_is_not_a_number_do_not_differ() -> None:
    quiet, signalling = (np.array([0x7FC00000 + extra, 0x3F800000], np.uint32).view(np.float32) for extra in (0, 5))
    assert quiet.tobytes() != signalling.tobytes()
    frame = frame_of(run_view(0, **NORM))
    norm = frame.layers[1].batch_norm
    assert norm is not None

    def with_gamma(gamma: Any) -> Keyframe:
        layer = replace(frame.layers[1], batch_norm=replace(norm, gamma=gamma))
        return replace(frame, layers=(frame.layers[0], layer, *frame.layers[2:]))

    assert bits(with_gamma(quiet), with_gamma(signalling)).differ == 0
    assert bits(with_gamma(quiet), with_gamma(signalling[::-1])).differ == 1
    assert bits(replace(frame, val_loss=math.nan), replace(frame, val_loss=-math.nan)).differ == 0


def test_all_measures_are_counted() -> None:
    """As many as the dataclasses have fields that are no dataclasses themselves, and are there."""

    def leaves(measured: Any) -> int:
        if isinstance(measured, tuple):
            return sum(map(leaves, measured))
        if hasattr(measured, "__dataclass_fields__"):
            return sum(leaves(getattr(measured, field.name)) for field in fields(measured))
        return int(measured is not None)

    frame = frame_of(run_view(0, **NORM))
    assert bits(frame, frame).of == leaves(frame) - 2  # but for the run's number and the time
    assert bits(frame, frame).differ == 0


def test_a_layer_of_one_network_alone_stands_there() -> None:
    one, other = run_view(layers=1), run_view(1, "deeper", layers=3)
    names = [section.name for section in sections(frame_of(one), frame_of(other), "classification")]
    assert names == ["", "linear 1", "output", "linear 2", "linear 3"]
    line = row_of(shown(one, other), "weight norm", "linear 3")
    assert line.split()[2:] == ["—", "7.5000", "—"]


def test_it_is_said_where_no_layer_has_a_name_of_both_runs() -> None:
    one, other = run_view(layers=2), run_view(1, "other", layers=2)
    assert other.frame is not None
    layers = [replace(layer, name=f"block.{at}") for at, layer in enumerate(other.frame.layers)]
    foreign = replace(other, frame=replace(other.frame, layers=tuple(layers)))
    said = "no layer has the same name in both runs"
    assert any(said in line for line in shown(one, foreign))
    half = replace(other, frame=replace(other.frame, layers=(*layers[:-1], other.frame.layers[-1])))
    assert not any(said in line for line in shown(one, half))


def test_every_scalar_of_the_table_of_measures_is_compared() -> None:
    """But for numbers of runs, sentences, and the percentiles of one unit, which the drift panel draws."""
    one, other = (replace(frame_of(run_view(at, **NORM)), gradient_scale=8.0) for at in (0, 1))
    told = [section.figures for section in sections(one, other, "x")]
    assert len(told[0]) == len(fields_of(Keyframe, "row") - {"run"}) + len(fields_of(EarlyStopping, "row", "run")) - 2
    plain = frame_of(run_view(**NORM))
    frame = replace(plain, layers=tuple(replace(layer, gradient_shift=0.5) for layer in plain.layers))
    shown = [figure.name for figure in sections(frame, frame, "x")[2].figures]
    scalars = fields_of(LayerMeasures, "layers") - {"unit_p15", "unit_p50", "unit_p85"}
    there = [field for field in scalars if not math.isnan(getattr(frame.layers[1], field))]
    assert len(shown) == len(there) + len(fields_of(DropoutMask, "layers")) + 2 * 4
    assert "gradient shift" in shown
    assert "gradient shift" not in [figure.name for figure in sections(plain, plain, "x")[2].figures]


def fields_of(owner: type, *places: str) -> set[str]:
    """Fields of a part of a keyframe, read from its annotations."""
    hints = get_type_hints(owner, include_extras=True)
    notes = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name for name, found in notes.items() if found and found[0].place in places}


@pytest.mark.parametrize(("other", "loud"), [(0.51, False), (0.5, True), (0.1, True)])
def test_figures_are_bold_from_half_the_larger_one_on(other: float, loud: bool) -> None:
    name, *values = drawn_row(ComparedFigure("norm", "size", 1.0, other), 30)
    assert ["bold" in span.style for span in (name, *values)] == [loud] * 3


def drawn_row(figure: ComparedFigure, cells: int) -> Row:
    """The row of one figure in so many cells."""
    runs = run_view(), run_view(1)
    return compare_rows.row(figure, runs, compare_rows.form_of([FigureSection("", (figure,))], runs, cells))


def test_regression_has_no_accuracy() -> None:
    names = [figure.name for figure in sections(frame_of(run_view()), frame_of(run_view(1)), "regression")[0].figures]
    assert "validation R²" in names
    assert not any("accuracy" in name for name in names)


def bar_of(row: Row) -> int:
    return sum(span.text.count("━") for span in row)


def test_the_farthest_figures_are_what_the_eye_sees() -> None:
    one, other = run_view(vanishing=True), run_view(1, "batch norm")
    drawing = compare.draw(view(one, other), 100, 200)
    rows = {(at, text(row)): row for at, row in enumerate(drawing.rows)}
    gradients = [row for (_at, words), row in rows.items() if words.startswith("|∂L/∂W|")]
    # the first layer's gradients vanish, the last one's are alike
    assert [bar_of(row) for row in gradients] == sorted((bar_of(row) for row in gradients), reverse=True)
    assert bar_of(gradients[0]) == 24
    assert bar_of(gradients[-1]) == 0
    assert any("bold" in span.style for span in gradients[0])
    assert all("bold" not in span.style for span in gradients[-1])
    assert next(span.style for span in gradients[0] if "━" in span.text).endswith("run1")  # the larger one's color
    equal = next(row for (_at, words), row in rows.items() if words.startswith("weight norm"))
    assert {span.style for span in equal if span.text.strip()} == {"muted"}


def test_walking_reaches_every_figure() -> None:
    one, other = run_view(dropout=0.2), run_view(1, "batch norm", **NORM)
    parts = sections(frame_of(one), frame_of(other), "classification")
    titles = {part.name for part in parts}
    every = {line[:40] for line in shown(one, other)[4:] if line.strip()}
    seen: set[str] = set()
    for past in range(len(parts)):
        *lines, below = shown(one, other, lines=20, past=past)
        told = [line for line in lines[4:] if line.strip()]
        seen |= {line[:40] for line in told}
        said = re.fullmatch(r"… +(\d+) more, +(\d+) of them differ: \[ \] walk", below.strip())
        assert said
        number = sum(line.strip() not in titles for line in told)
        equal = sum(" = " in f"{line} " for line in told)
        figures = [figure for part in parts for figure in part.figures]
        assert number + int(said[1]) == len(figures)
        assert number - equal + int(said[2]) == sum(not figure.same for figure in figures)
        assert lines[4].strip() == parts[past].name or past == 0
    assert every <= seen


def test_nothing_is_pinned() -> None:
    words = " ".join(line.strip() for line in shown(run_view(), run_view(1), pinned=None))
    assert words.startswith("No second run is pinned: p pins one.")
    words = " ".join(line.strip() for line in shown(run_view()))
    assert "bntui compare FILE FILE puts two recordings side by side." in words


def test_a_fork_that_begins_later_is_waited_for() -> None:
    late = replace(run_view(1, "fork"), row=-1, frame=None)
    words = " ".join(line.strip() for line in shown(run_view(), late))
    assert words.startswith("▲ fork has no keyframe here yet")


@pytest.mark.parametrize("cells", [20, 38, 45, 52, 60, 78, 100, 118, 158, 200])
def test_no_number_is_cut(cells: int) -> None:
    """A row is the beginning of the widest one, in whole columns."""
    one, other = run_view(vanishing=True), run_view(1, "batch norm", **NORM)
    figure = row_of(shown(one, other), "validation loss").split()[2:]
    drawing = compare.draw(view(one, other), cells, 60)
    line = next(text(row) for row in drawing.rows if figure[0] in text(row) and figure[1] in text(row))
    assert {width(row) for row in drawing.rows} == {cells}
    told = [word for word in line[:COLUMN_CELLS].split() if re.match(r"[−×\d]", word)][:4]
    assert told == figure[: len(told)]
    assert len(told) >= (2 if cells < 35 else 3)


COLUMN_CELLS = 70


def test_a_run_trained_again_is_bit_for_bit_equal_and_another_seed_is_not(tmp_path: Path) -> None:
    readers = [train(tmp_path, DIGITS, ("training.epochs", 2), ("seed", seed)) for seed in (7, 7, 8)]
    first, again, other = (reader.keyframe(0, 2) for reader in readers)
    assert bits(first, again).differ == 0
    assert first.wall_time != again.wall_time
    assert bits(first, other).differ > 30


def test_a_fork_with_nothing_changed_is_bit_for_bit_equal_and_one_with_a_change_is_not(tmp_path: Path) -> None:
    path = tmp_path / "forked.bntui"
    overrides = (("training.epochs", 3), ("record.every", 3))
    session = Session.begin(parse(DIGITS, file="test.toml", overrides=overrides), path, overrides)
    while not session.over:
        session.epoch(never)
    same_again = session.fork(0, 6, [])
    slower = session.fork(0, 6, [("training.lr", 0.25)])
    while not session.over:
        session.epoch(never)
    session.writer.close()
    reader = Reader(path)
    parents = {int(step): row for row, step in enumerate(reader.history(0).step)}
    for child in (same_again, slower):
        history = reader.history(child.index)
        assert history.step.tolist() == [6, 9, 12, 15, 18]
        pairs = [
            (reader.keyframe(0, parents[int(step)]), reader.keyframe(child.index, row))
            for row, step in enumerate(history.step)
        ]
        differ = [bits(one, other).differ for one, other in pairs]
        assert pairs[0][0].weights_digest == pairs[0][1].weights_digest  # it begins where its parent stood
        assert differ[0] > 0  # measured on the mini-batch that comes next
        if child is same_again:
            assert differ[1:] == [0, 0, 0, 0]
        else:
            assert min(differ[1:]) > 0
    reader.close()


def test_shares_differ_by_points_and_seconds_have_no_bar() -> None:
    """90 % and 80 % are 10 percentage points apart; how long it took says nothing of the networks."""
    shares = [ComparedFigure("a share", "share", one, other) for one, other in ((0.9, 0.8), (0.8, 0.867))]
    assert [compare_rows.difference(figure) for figure in shares] == ["10.0 pp", "−6.7 pp"]
    runs = run_view(), run_view(1, "other", norm=True)
    drawn = [text(row) for row in compare.draw(view(*runs), 158, 44).rows]
    accuracy = next(line for line in drawn if "validation accuracy" in line)
    assert " pp" in accuracy
    first, second = ComparedFigure("seconds", "time", 2.0, 8.0), ComparedFigure("loss", "size", 2.0, 8.0)
    assert first.ratio == second.ratio == 0.25
    assert "━" not in text(drawn_row(first, 70))
    assert "━" in text(drawn_row(second, 70))


@given(st.floats(-2000, 2000), st.floats(-2000, 2000), st.sampled_from(["size", "place", "share"]))
def test_a_difference_agrees_with_the_figures_beside_it(one: float, other: float, kind: Any) -> None:
    if kind == "share":
        one, other = abs(one) / 2000, abs(other) / 2000
    figure = ComparedFigure("a figure", kind, one, other)
    both = [written(value, kind) for value in (one, other)]
    told = compare_rows.difference(figure)
    if told == "=" or both[0] == both[1] or any("e" in text for text in (*both, told)):
        return
    read = [Decimal(re.sub(r"[^\d.−]", "", text).replace("−", "-")) for text in (*both, told)]
    places = [int(text.as_tuple().exponent) for text in read]
    if places[0] == places[1] == places[2]:
        assert read[0] - read[1] == read[2]
    else:  # rounded to the coarser figure, or to the room
        assert abs(read[0] - read[1] - read[2]) <= Decimal(10) ** max(places) / 2


def test_a_difference_below_the_last_digit_is_told_as_it_is() -> None:
    assert compare_rows.difference(ComparedFigure("a figure", "size", 0.97500001, 0.975)).strip() == "1.00e−8"
    assert compare_rows.difference(ComparedFigure("a figure", "size", 0.9750, 0.97224)).strip() == "0.0028"


def test_before_there_is_a_best_value_its_row_has_dashes() -> None:
    """It said NaN at epoch 0, as if something had gone wrong."""
    runs = [run_view(at, f"run {at}") for at in range(2)]
    for kept in (0, 1):  # runs without any early stopping
        shown = []
        for at, run in enumerate(runs):
            assert run.frame is not None
            assert run.frame.early_stopping is not None
            none_yet = replace(run.frame.early_stopping, best=math.nan, best_epoch=0, wait=0)
            stopping = None if at < kept else none_yet
            shown.append(replace(run, frame=replace(run.frame, early_stopping=stopping)))
        lines = [text(row) for row in compare.draw(view(*shown), 100, 60).rows]
        for name in ("best val_loss", "best epoch"):
            row = row_of(lines, name)
            assert row.count("—") >= 2, row
            assert "NaN" not in row
