"""Tests the dropout panel as text: the mask read back from its characters, kept fraction, evaluation mode."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bntui.keyframe import BoolArray, DropoutMask
from bntui.viewer.draw import cells
from bntui.viewer.draw.rows import text, width
from bntui.viewer.panels import dropout
from bntui.viewer.view import RunView, View
from tests.factory import run_view, view
from tests.test_layer_choice import renamed

SIZES = [(20, 6), (21, 7), (32, 8), (46, 10), (64, 6), (77, 13), (80, 15), (118, 17), (160, 44), (200, 60)]
VIEWS = {
    "usual": view(),
    "one run": view(run_view(dropout=0.5)),
    "first frame": view(run_view(row=0, dropout=0.5)),
    "nan": view(run_view(nan=True, dropout=0.5)),
    "no data": view(run_view(keyframes=0, dropout=0.5)),
    "no dropout": view(run_view()),
    "only the pinned run": view(run_view(), run_view(1, "dropped", dropout=0.5)),
    "one without data": view(run_view(dropout=0.5, keyframes=0), run_view(1, dropout=0.5)),
    "deep": view(run_view(layers=30, keyframes=2, dropout=0.1)),
}


def lines(picture: View, wide: int, high: int) -> list[str]:
    return [text(row) for row in dropout.draw(picture, wide, high).rows]


def decoded(rows: list[str], units: int) -> BoolArray:
    """Characters back to booleans, two samples a row."""
    halves = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}
    return np.array([[halves[row[unit]][half] for unit in range(units)] for row in rows for half in (0, 1)])


def with_mask(run: RunView, kept: BoolArray, p: float = 0.2) -> RunView:
    assert run.frame
    first = replace(run.frame.layers[0], dropout=DropoutMask(p, float(kept.mean()), kept))
    others = (replace(layer, dropout=None) for layer in run.frame.layers[1:])
    indices = np.arange(len(kept))
    return replace(run, frame=replace(run.frame, layers=(first, *others), batch_indices=indices))


@pytest.mark.parametrize("picture", VIEWS.values(), ids=VIEWS.keys())
@pytest.mark.parametrize("size", SIZES)
def test_fills_exactly_its_size(picture: View, size: tuple[int, int]) -> None:
    rows = dropout.draw(picture, *size).rows
    assert [width(row) for row in rows] == [size[0]] * size[1]
    assert any(text(row).strip() for row in rows)


def test_the_mask_is_the_real_one() -> None:
    kept = np.random.default_rng(3).random((64, 100)) > 0.2
    drawn = lines(view(with_mask(run_view(dropout=0.2), kept)), 100, 35)
    assert "64 samples × 100 units" in drawn[0]
    np.testing.assert_array_equal(decoded(drawn[1:33], 100), kept)
    assert drawn[33].startswith("kept ")
    assert drawn[34].startswith("evaluation mode: nothing dropped, kept 100 %")


def test_a_cut_mask_says_how_much_it_shows() -> None:
    kept = np.random.default_rng(3).random((64, 100)) > 0.2
    drawn = lines(view(with_mask(run_view(dropout=0.2), kept)), 70, 13)
    assert "showing 20 of 64 samples, 70 of 100 units" in drawn[0]
    np.testing.assert_array_equal(decoded(drawn[1:11], 70), kept[:20, :70])


def test_a_loop_that_tells_no_indices_has_the_samples_of_its_mask() -> None:
    run = with_mask(run_view(dropout=0.2), np.ones((64, 20), bool))
    assert run.frame is not None
    run = replace(run, frame=replace(run.frame, batch_indices=np.empty(0, np.int64)))
    assert "showing 48 of 64 samples, 20 of 20 units" in lines(view(run), 100, 27)[0]


def test_a_step_whose_mask_was_not_seen_is_no_missing_keyframe() -> None:
    run = run_view(dropout=0.2)
    assert run.frame is not None
    layers = tuple(replace(layer, dropout=None) for layer in run.frame.layers)
    blind = replace(run, frame=replace(run.frame, layers=layers))
    assert "No mask was seen in this step." in lines(view(blind), 80, 10)[0]
    both = "\n".join(lines(view(run_view(1, "seen", dropout=0.2), blind), 80, 20))
    assert f"{blind.mark} {blind.name}: no mask was seen in this step" in both


def test_runs_stand_side_by_side() -> None:
    left, right = (np.random.default_rng(seed).random((20, 40)) > 0.5 for seed in (1, 2))
    both = view(with_mask(run_view(dropout=0.2), left), with_mask(run_view(1, "other", dropout=0.2), right))
    drawn = lines(both, 90, 14)
    assert drawn[0].index("▲ other") == 46
    np.testing.assert_array_equal(decoded(drawn[1:11], 40), left)
    np.testing.assert_array_equal(decoded([line[46:] for line in drawn[1:11]], 40), right)


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_odd_numbers_of_samples(samples: int) -> None:
    kept = np.random.default_rng(samples).random((samples, 5)) > 0.5
    np.testing.assert_array_equal(decoded(list(cells.mask(kept)), 5)[:samples], kept)


def test_one_style_a_row() -> None:
    rows = dropout.draw(view(run_view(dropout=0.2)), 100, 34).rows
    masks = [row for row in rows if row[0].style == "run0" and len(row) <= 2]
    assert len(masks) == 30
    assert all(span.style in ("run0", "") and (span.style or not span.text.strip()) for row in masks for span in row)


def test_kept_fraction_expected_and_scale() -> None:
    kept = np.ones((10, 20), bool)
    kept[:, :5] = False
    drawn = lines(view(with_mask(run_view(dropout=0.2), kept)), 60, 12)
    assert "kept 75.0 %  expected 80.0 %  scaled by 1.25" in "\n".join(drawn)
    assert any(
        line.startswith("kept 75.0 % (80.0)") for line in lines(view(with_mask(run_view(dropout=0.2), kept)), 20, 8)
    )


def test_keyframe_0_says_that_nothing_was_updated() -> None:
    assert any("drawn for measuring, no update yet" in line for line in lines(VIEWS["first frame"], 80, 15))
    assert not any("no update yet" in line for line in lines(VIEWS["one run"], 80, 15))


def test_without_dropout_it_says_so_and_what_would_fill_it() -> None:
    drawn = " ".join(line.strip() for line in lines(VIEWS["no dropout"], 80, 8))
    assert "No dropout in this network" in drawn
    assert "network.dropout above 0" in drawn


def test_the_pinned_run_stands_in() -> None:
    drawn = lines(VIEWS["only the pinned run"], 80, 15)
    assert drawn[0].startswith("▲ dropped · linear 1")
    assert any(line.startswith("● plain: no dropout in this network") for line in drawn)


def test_before_the_first_keyframe() -> None:
    assert "No keyframe here yet." in lines(VIEWS["no data"], 60, 8)[0]


def forgotten(run: RunView) -> RunView:
    """Validated as with a forgotten ``eval()``."""
    config = {**run.info.config, "training": {**run.info.config["training"], "validation_mode": "training"}}
    return replace(run, info=replace(run.info, config=config))


@pytest.mark.parametrize("size", [(158, 41), (76, 18), (40, 10), (24, 6), (16, 6)])
def test_a_run_that_is_validated_in_training_mode_is_not_said_to_drop_nothing(size: tuple[int, int]) -> None:
    plain, other = run_view(dropout=0.2), forgotten(run_view(1, "forgotten", dropout=0.2))
    alone = [text(row) for row in dropout.draw(view(other), *size).rows]
    assert not any("eval" in line for line in alone)
    assert any("validat" in line or "val." in line for line in alone)
    sound = [text(row) for row in dropout.draw(view(plain), *size).rows]
    assert any("eval" in line for line in sound)
    assert not any("training mode" in line for line in sound)
    both = [text(row) for row in dropout.draw(view(plain, other), *size).rows]
    assert len(both) == size[1]
    assert any("eval" in line and line.startswith("●") for line in both)
    assert any("val" in line and "eval" not in line and line.startswith("▲") for line in both)


def test_masks_have_the_color_of_their_run_and_a_legend() -> None:
    rows = dropout.draw(view(run_view(dropout=0.2), run_view(1, dropout=0.2)), 120, 34).rows
    styles = {span.style for row in rows for span in row if {"█", "▀", "▄"} & set(span.text)}
    assert styles == {"run0", "run1"}
    words = "\n".join(map(text, rows))
    assert "█ kept" in words
    assert "blank: dropped" in words


@pytest.mark.parametrize(("size", "missing"), [((100, 14), ["linear 2"]), ((44, 12), ["linear 2"]), ((200, 60), [])])
def test_layers_without_room_are_named(size: tuple[int, int], missing: list[str]) -> None:
    drawn = "\n".join(lines(view(run_view(dropout=0.2, layers=3)), *size))
    for name in missing:
        assert "not shown: " in drawn
        assert name in drawn.partition("not shown: ")[2]
    assert missing or "not shown" not in drawn


@pytest.mark.parametrize(("wide", "before"), [(58, "bert.encoder.layer."), (56, ""), (44, "")])
def test_headings_shorten_the_names_of_layers_alike(wide: int, before: str) -> None:
    """In 56 cells one of the names has room and the other does not."""
    names = [f"bert.encoder.layer.{at}.attention.{part}" for at in range(2) for part in ("self.query", "output.dense")]
    run = renamed(run_view(layers=4, dropout=0.2), *names, "head")
    headings = [line for line in lines(view(run), wide, 40) if "100" in line and "attention" in line]
    assert [line.split()[1] for line in headings] == [
        f"{before}0.attention.self.query",
        f"{before}0.attention.output.dense",
    ]
