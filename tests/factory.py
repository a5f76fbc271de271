"""Builds views of known numbers for panel tests, without a trainer or a file."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from bntui.keyframe import (
    COLUMN,
    HISTOGRAM_BINS,
    LAYER_COLUMNS,
    MASK_SAMPLES,
    QUANTITIES,
    STATISTICS,
    UNIT_STATISTICS,
    BatchNorm,
    Distribution,
    DropoutMask,
    EarlyStopping,
    Keyframe,
    LayerMeasures,
    Predictions,
)
from bntui.recording.dataset import RecordedData, RecordedScaling
from bntui.recording.histograms import Histograms
from bntui.recording.history import Event, LayerInfo, RunHistory, RunInfo
from bntui.viewer.view import RunView, View

P = ParamSpec("P")
T = TypeVar("T")


def once(make: Callable[P, T]) -> Callable[P, T]:
    """Computes each value once, and gives every caller a copy: most tests ask for the same few views."""
    known = cast(Callable[P, T], cache(make))

    @wraps(make)
    def copied(*args: P.args, **kwargs: P.kwargs) -> T:
        return deepcopy(known(*args, **kwargs))

    return copied


def distribution(values: np.ndarray[Any, Any]) -> Distribution:
    """Measured in a few calls, as views of 150 keyframes have thousands; ``test_probes`` has the oracle's way."""
    ordered = np.sort(values, axis=None)  # NaN comes last
    finite = ordered[np.isfinite(ordered)]
    counts = np.zeros(HISTOGRAM_BINS, np.int32)
    if finite.size:
        low = finite[0] if finite[-1] > finite[0] else finite[0] - 0.5
        bins = ((finite - low) * (HISTOGRAM_BINS / ((finite[-1] - low) or 1.0))).astype(np.int64)
        counts = np.bincount(bins.clip(max=HISTOGRAM_BINS - 1), minlength=HISTOGRAM_BINS).astype(np.int32)
    places = (ordered.size - 1) * np.array([0.15, 0.5, 0.85])
    below = places.astype(np.int64)
    over = ordered[np.minimum(below + 1, ordered.size - 1)]
    p15, p50, p85 = (ordered[below] + (over - ordered[below]) * (places - below) + 0 * ordered[-1]).tolist()
    mean, std, low = float(values.mean()), float(values.std()), float(ordered[0] + 0 * ordered[-1])
    return Distribution(mean, std, p15, p50, p85, low, float(ordered[-1]), counts)


@cache
def _layer(
    name: str, seed: int, *, norm: bool, dropout: float, spread: float = 1.0, gradient: float = 1e-2, nan: bool = False
) -> LayerMeasures:
    draw = np.random.default_rng(seed)
    pre = draw.normal(0.1, spread, (60, 100))
    normalized = (pre - pre.mean(0)) / pre.std(0)
    if nan:
        pre[0, 0] = normalized[0, 0] = np.nan
    out = 1 / (1 + np.exp(-(normalized if norm else pre)))
    kept = draw.random((min(60, MASK_SAMPLES), 100)) >= dropout
    batch_norm = None
    if norm:
        ones, zeros = np.ones(100, np.float32), np.zeros(100, np.float32)
        batch_norm = BatchNorm(
            pre.mean(0).astype(np.float32),
            pre.var(0).astype(np.float32),
            zeros,
            ones,
            ones,
            zeros,
            1e-5,
            0.01 * ones,
            -0.01 * ones,
        )
    return LayerMeasures(
        name=name,
        kind="linear",
        input=distribution(draw.random((60, 64))),
        pre_norm=distribution(pre),
        normalized=distribution(normalized) if norm else None,
        output=distribution(out),
        weight_norm=7.5,
        weight_gradient_norm=float("nan") if nan else gradient,
        activation_gradient_norm=gradient / 3,
        update_ratio=1e-3,
        dead_fraction=float("nan"),
        saturated_fraction=float(((out < 0.01) | (out > 0.99)).mean()),
        batch_norm=batch_norm,
        dropout=DropoutMask(dropout, float(kept.mean()), kept) if dropout else None,
    )


layer = once(_layer)


@once
def run_view(
    index: int = 0,
    name: str = "plain",
    *,
    keyframes: int = 13,
    epochs: int = 60,
    layers: int = 3,
    norm: bool = False,
    dropout: float = 0.0,
    patience: int | None = 5,
    nan: bool = False,
    row: int | None = None,
    stopped: bool = False,
    vanishing: bool = False,
    drift: bool = False,
) -> RunView:
    """A run of ``keyframes`` epochs (keyframe 0 included), its cursor at ``row`` (default: the last).

    Args:
        drift: with the percentiles of one unit, and the gradients' shift.
    """
    names = [f"linear {n + 1}" for n in range(layers)] + ["output"]
    infos = tuple(
        LayerInfo(
            n, "linear", (100,), "batch" if norm and n != "output" else "none", "none" if n == "output" else "sigmoid",
            dropout if n != "output" else 0.0, 10_100,
        )
        for n in names
    )  # fmt: skip
    stopping: dict[str, Any] | None = None
    if patience is not None:
        stopping = {
            "monitor": "val_loss", "min_delta": 0.0, "patience": patience, "mode": "auto", "baseline": None,
            "restore_best_weights": True, "start_from_epoch": 0,
        }  # fmt: skip
    config = {
        "data": {"source": "digits", "batch_size": 60, "scaling": "minmax", "validation": 0.2, "last_batch": "keep"},
        "network": {
            "hidden": [100] * layers, "norm": "batch" if norm else "none", "dropout": dropout, "activation": "sigmoid",
        },
        "training": {
            "optimizer": "sgd", "lr": 0.1, "epochs": epochs, "schedule": {"kind": "constant", "warmup_epochs": 0},
            "early_stopping": stopping,
        },
        "record": {"every": "epoch", "budget": 64.0},
    }  # fmt: skip
    info = RunInfo(index, name, config, infos, 24, "cpu")
    k = np.arange(keyframes)
    wall = k.astype(np.float64) * 0.02
    loss = 2.3 * np.exp(-k * (0.2 if norm else 0.02)) + 0.05
    val = loss + 0.002 * np.maximum(0, k - 8) ** 2
    if nan and keyframes:
        loss[-1] = val[-1] = np.nan
    best_epoch = np.array([int(np.nanargmin(val[: i + 1])) for i in k], np.int64)
    frame_layers: list[LayerMeasures] = []
    course = np.full((keyframes, len(names), len(LAYER_COLUMNS)), np.nan)
    counts = np.zeros((keyframes, len(names), len(QUANTITIES), HISTOGRAM_BINS), np.int32)
    for i in range(keyframes):
        for j, layer_name in enumerate(names):
            depth = len(names) - 1 - j
            gradient = 0.1 * (10.0 ** -(1.6 * depth) if vanishing else 0.7**depth)
            hidden = layer_name != "output"
            m = _layer(
                layer_name, 1000 * index + 10 * i + j, norm=norm and hidden, dropout=dropout if hidden else 0.0,
                spread=0.5 + 0.02 * i, gradient=gradient, nan=nan and i == keyframes - 1,
            )  # fmt: skip
            for q, quantity in enumerate(QUANTITIES):
                values = getattr(m, quantity)
                counts[i, j, q] = values.counts if values else 0
                for statistic in STATISTICS:
                    course[i, j, COLUMN[f"{quantity}.{statistic}"]] = getattr(values, statistic) if values else np.nan
            for scalar in LAYER_COLUMNS:
                if hasattr(m, scalar):
                    course[i, j, COLUMN[scalar]] = getattr(m, scalar)
            if drift:
                unit = np.random.default_rng(7000 * index + 10 * i + j).normal(0.3 * np.sin(i), 1.5, 60)
                course[i, j, [COLUMN[statistic] for statistic in UNIT_STATISTICS]] = np.percentile(unit, (15, 50, 85))
                course[i, j, COLUMN["gradient_shift"]] = 0.02 * j * 1.1**i if i else np.nan
            if i == (keyframes - 1 if row is None else row):
                frame_layers.append(m)
    history = RunHistory(
        ids=k.astype(np.int64), step=k * 24, epoch=k.astype(float), has_frame=np.ones(keyframes, bool),
        epoch_end=np.ones(keyframes, bool), lr=np.full(keyframes, 0.1), batch_loss=loss, train_loss=loss,
        train_accuracy=1 - loss / 2.5, val_loss=val, val_accuracy=1 - val / 2.5, wall_time=wall,
        wait=np.array([i - best_epoch[i] for i in k], np.int64), best=np.array([val[b] for b in best_epoch], float),
        best_epoch=best_epoch, layers=course,
    )  # fmt: skip
    frame = None
    at = (keyframes - 1 if row is None else row) if keyframes else -1
    if at >= 0:
        early = None
        if patience is not None:
            early = EarlyStopping(
                "val_loss", float(history.best[at]), int(best_epoch[at]), int(history.wait[at]), patience, stopped,
                f"val_loss has not improved for {patience} epochs" if stopped else "",
            )  # fmt: skip
        frame = Keyframe(
            index, int(history.step[at]), float(at), 0.1, float(loss[at]), float(loss[at]), float(1 - loss[at] / 2.5),
            float(val[at]), float(1 - val[at] / 2.5), at * 0.02, np.arange(60), tuple(frame_layers), early, "0" * 32,
        )  # fmt: skip
    events: tuple[Event, ...] = ()
    if stopped:
        events = (Event(index, at * 24, float(at), "stopped_early", f"no improvement for {patience} epochs"),)
    elif nan:
        events = (Event(index, at * 24, float(at), "diverged", "the loss became NaN at step 288"),)
    return RunView(info, history, events, at, frame, Histograms(k.astype(np.int64), counts))


def view(*runs: RunView, selected: int = 0, pinned: int | None = 1, log_axis: bool = True) -> View:
    runs = runs or (run_view(dropout=0.2, vanishing=True), run_view(1, "batch norm", norm=True, dropout=0.2))
    if pinned is not None and pinned >= len(runs):
        pinned = None
    cursor = max((run.frame.epoch for run in runs if run.frame), default=0.0)
    return View(
        "Batch normalization in a sigmoid network", "classification", runs, selected, pinned, cursor, True, log_axis
    )


def recorded_data(kind: str, scalings: tuple[str, ...] = ("standard", "standard"), samples: int = 150) -> RecordedData:
    """Samples of a ``plane`` (two classes, two features), a ``line`` (regression), ``images`` or a ``table``."""
    draw = np.random.default_rng(3)
    if kind == "images":
        x = draw.integers(0, 17, (samples, 1, 8, 8)).astype(np.float32)
        x[:, :, :, 0] = 0  # constant pixels
    else:
        x = draw.normal(0, 1, (samples, {"plane": 2, "line": 1, "table": 30}[kind])).astype(np.float32)
        x *= np.logspace(-2, 3, x.shape[1], dtype=np.float32) if kind == "table" else 1
    flat = x.reshape(samples, -1)
    labels = (flat[:, 0] > 0).astype(np.int64)
    train = draw.permutation(samples)
    train, validation = train[: samples * 2 // 3], train[samples * 2 // 3 :]
    low, high, mean, std = (
        getattr(flat[train].astype(np.float64), name)(0).reshape(x.shape[1:]) for name in ("min", "max", "mean", "std")
    )
    span, spread = np.where(high > low, high - low, 1.0), np.where(std > 0, std, 1.0)
    fitted = {
        "none": RecordedScaling("none", np.zeros_like(mean), np.ones_like(mean)),
        "minmax": RecordedScaling("minmax", low, 1 / span),
        "standard": RecordedScaling("standard", mean, 1 / spread),
    }
    counts = {"plane": (48, 32), "line": (128,)}.get(kind, ())
    axes = zip(flat.T, counts, strict=False)
    return RecordedData(
        name={"plane": "moons", "line": "sine", "images": "digits", "table": "breast_cancer"}[kind],
        x=x,
        y=np.sin(2 * flat[:, :1]).astype(np.float32) if kind == "line" else labels,
        train=train,
        validation=validation,
        classes=() if kind == "line" else ("below", "above"),
        features=tuple(f"feature {number}" for number in range(1, flat.shape[1] + 1)),
        scalings=tuple(fitted[name] for name in scalings),
        grid=tuple(np.linspace(v.min() - 0.5, v.max() + 0.5, n).astype(np.float32) for v, n in axes),
    )


def with_data(shown: View, data: RecordedData, *, predictions: bool = True) -> View:
    """The view with these samples, and with answers on their grid that turn a little with every keyframe."""
    return replace(
        shown,
        task="classification" if data.classes else "regression",
        dataset=data,
        runs=tuple(
            replace(run, frame=replace(run.frame, predictions=answers(data, run.frame.step / 500)))
            if run.frame and data.grid and predictions
            else run
            for run in shown.runs
        ),
    )


def answers(data: RecordedData, turned: float) -> Predictions:
    """A boundary at ``x1 + turned * x2 = 0``, or a curve ``sin(2x) + turned``."""
    if not data.classes:
        return Predictions(
            (np.sin(2 * data.grid[0].astype(np.float64)) + turned).astype(np.float32)[:, np.newaxis], None
        )
    x1, x2 = np.meshgrid(*(axis.astype(np.float64) for axis in data.grid))
    probability = 1 / (1 + np.exp(-3 * (x1 + turned * x2)))
    return Predictions(
        np.maximum(probability, 1 - probability).astype(np.float32), (probability > 0.5).astype(np.uint8)
    )
