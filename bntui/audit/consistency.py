"""Checks a keyframe against its own row, for keyframes whose evidence was thinned out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.bounded import LARGEST, TINY, UNIT
from bntui.audit.ledger import Ledger, Margin, Place
from bntui.audit.masks import check_mask
from bntui.audit.subject import Subject
from bntui.keyframe import HISTOGRAM_BINS, QUANTITIES, Distribution, Keyframe, LayerMeasures
from bntui.recording.history import LayerInfo
from bntui.text.language import N_

Values = NDArray[Any]

SHAPE: Final = N_("internal consistency of a row")
VARIANCE: Final = N_("law of total variance")
SLACK: Final = 1e-9
SHARES: Final = (0.15, 0.5, 0.85)
PERCENTILES: Final = ("p15", "p50", "p85")
_NUMBERS: Final = np.arange(HISTOGRAM_BINS)


def check_row(ledger: Ledger, place: Place, subject: Subject, frame: Keyframe, *, full: bool, initial: bool) -> None:
    """Check all layers of a keyframe; with ``full`` evidence, leave what can be recomputed to the recomputation."""
    samples = len(frame.batch_indices)
    for info, layer in zip(subject.run.layers, frame.layers, strict=True):
        here = replace(place, layer=layer.name)
        sizes = _sizes(info, samples)
        for name in QUANTITIES:
            recorded: Distribution | None = getattr(layer, name)
            if recorded is not None:
                check_values(ledger, here, name, recorded, sizes.get(name))
        _scalars(ledger, here, info, layer, initial=initial, shift=subject.run.config["record"].get("shift"))
        if layer.batch_norm is not None:
            _normalized(ledger, here, info, layer, noisy="noise" in info.stages)
        if layer.dropout is not None and not full:
            check_mask(ledger, here, layer.dropout, info.dropout, None)
            _kept(ledger, here, layer, samples)
    _losses(ledger, place, frame)
    unscaled = math.isnan(frame.gradient_scale)  # a trainer does not scale gradients
    ledger.hold(SHAPE, place, "gradient_scale", unscaled, frame.gradient_scale, "NaN")
    if subject.samples is not None and subject.stages:  # format 1 has no predictions
        drawn, due = frame.predictions is not None, bool(subject.samples.data.grid)
        ledger.hold(SHAPE, place, "predictions", drawn == due, "+" if drawn else "-", "+" if due else "-")


def _sizes(info: LayerInfo, samples: int) -> dict[str, int]:
    """Number of values of each quantity, where the layer's shape determines it."""
    count = samples * math.prod(info.shape)
    if info.kind == "linear":
        return {"pre_norm": count, "normalized": count, "output": count}
    return {"output": count} if info.kind == "recurrent" else {}


def check_values(
    ledger: Ledger, place: Place, name: str, of: Distribution, size: int | None, relative: float = SLACK
) -> None:
    """Check the figures of one quantity against each other and its histogram.

    Args:
        size: number of its values, if known.
        relative: rounding that is allowed, relative to the largest value.
    """
    if check_sampled(ledger, place, name, of, size, relative) and of.counts.any() and of.max > of.min:
        _percentiles(ledger, place, name, of, max(1e-6, relative))


def check_sampled(
    ledger: Ledger, place: Place, name: str, of: Distribution, size: int | None, relative: float = SLACK
) -> bool:
    """Likewise, if the percentiles are those of a sample, so that the histogram does not bound them.

    Returns:
        True if there are only finite values.
    """
    if not _finite(ledger, place, name, of):
        return False
    total = int(of.counts.sum(dtype=np.int64))
    if size is not None:
        ledger.hold(SHAPE, place, f"{name}.counts", total == size, total, size)
    _ordered(ledger, place, name, of, relative)
    if total and of.max > of.min:
        _moments(ledger, place, name, of, max(1e-6, relative))
    return True


def check_imported(ledger: Ledger, place: Place, name: str, of: Distribution, relative: float = SLACK) -> None:
    """Check the figures of a quantity whose histogram had other bins before, and whose percentiles may be unknown."""
    if _finite(ledger, place, name, of):
        _ordered(ledger, place, name, of, relative, lambda percentile: not math.isnan(percentile))


def _finite(ledger: Ledger, place: Place, name: str, of: Distribution) -> bool:
    """True if there are only finite values; otherwise there are no percentiles."""
    ledger.hold(SHAPE, place, f"{name}.counts", bool(of.counts.min() >= 0), int(of.counts.min()), ">= 0")
    finite = math.isfinite(of.min) and math.isfinite(of.max)
    for statistic in () if finite else PERCENTILES:
        value = getattr(of, statistic)
        ledger.hold(SHAPE, place, f"{name}.{statistic}", math.isnan(value), value, "NaN")
    return finite


def _ordered(
    ledger: Ledger, place: Place, name: str, of: Distribution, relative: float,
    known: Callable[[float], bool] = lambda _percentile: True,
) -> None:  # fmt: skip
    """Percentiles and mean lie between the extremes, in order, and the deviation is one that these allow."""
    width = max(abs(of.min), abs(of.max))
    slack = relative * width
    marks = [of.min, *filter(known, (of.p15, of.p50, of.p85)), of.max]
    rising = all(a <= b + slack for a, b in pairwise(marks))
    ledger.hold(SHAPE, place, f"{name}.p15", rising, marks, "min <= p15 <= p50 <= p85 <= max")
    _between(ledger, place, f"{name}.mean", of.mean, (of.min, of.max), slack)
    # Popoviciu's and Bhatia-Davis inequalities bound the spread by the extremes and the mean
    bound = math.sqrt(max(0.0, (of.max - of.mean) * (of.mean - of.min))) + max(1e-6, relative) * width
    ledger.hold(SHAPE, place, f"{name}.std", 0 <= of.std <= bound, of.std, f"0 … {bound}")


def _moments(ledger: Ledger, place: Place, name: str, of: Distribution, relative: float) -> None:
    """Check mean and spread against the bounds given by the histogram's bins."""
    counts, low, width = _bins(of)
    shares = counts / counts.sum()
    slack = relative * max(abs(of.min), abs(of.max))
    least = float(shares @ low)
    _between(ledger, place, f"{name}.mean, counts", of.mean, (least, least + width), slack)
    ledger.hold(SHAPE, place, f"{name}.counts, ends", bool(counts[0] and counts[-1]), "0", "> 0")
    below, above = of.mean - low, low + width - of.mean  # the mean's distance from both ends of each bin
    away = np.maximum(np.maximum(-below, -above), 0)
    far = np.maximum(np.abs(below), np.abs(above))
    least, most = (math.sqrt(float(shares @ (d * d))) for d in (away, far))
    _between(ledger, place, f"{name}.std, counts", of.std, (least, most), slack)


def _percentiles(ledger: Ledger, place: Place, name: str, of: Distribution, relative: float) -> None:
    """Check percentiles against the ends of the bins in which their ranks lie."""
    counts, low, width = _bins(of)
    below = np.cumsum(counts)
    slack = relative * max(abs(of.min), abs(of.max))
    ranks = [share * (float(below[-1]) - 1) for share in SHARES]
    either = [math.floor(rank) for rank in ranks] + [math.ceil(rank - 1e-9) for rank in ranks]
    ends = low[np.minimum(below.searchsorted(either, side="right"), len(low) - 1)].tolist()
    for statistic, least, most in zip(PERCENTILES, ends[:3], ends[3:], strict=True):
        value = getattr(of, statistic)
        _between(ledger, place, f"{name}.{statistic}, counts", value, (least, most + width), slack)


def _between(ledger: Ledger, place: Place, figure: str, value: float, ends: tuple[float, float], slack: float) -> None:
    """Hold a figure against its bounds."""
    least, most = ends
    fits = least - slack <= value <= most + slack
    ledger.hold(SHAPE, place, figure, fits, value, "" if fits else f"{least} … {most}")


def _bins(of: Distribution) -> tuple[Values, Values, float]:
    """The histogram's counts, the lower ends of its bins, and their width."""
    width = (of.max - of.min) / HISTOGRAM_BINS
    return of.counts.astype(np.float64), of.min + width * _NUMBERS, width


def _scalars(
    ledger: Ledger, place: Place, info: LayerInfo, layer: LayerMeasures, *, initial: bool, shift: bool | None
) -> None:
    names = ("weight_norm", "weight_gradient_norm", "activation_gradient_norm", "gradient_shift", "update_ratio")
    for name in names:
        value = getattr(layer, name)
        ledger.hold(SHAPE, place, name, not value < 0, value, ">= 0")
    for name, there in (
        ("dead_fraction", info.activation == "relu"),
        ("saturated_fraction", info.activation in ("sigmoid", "tanh", "softsign")),
    ):
        value = getattr(layer, name)
        fits = 0 <= value <= 1 if there else math.isnan(value)
        ledger.hold(SHAPE, place, name, fits, value, "0 … 1" if there else "NaN")
    if info.activation == "relu" and layer.kind == "linear":
        units = layer.dead_fraction * info.shape[0]
        ledger.hold(
            SHAPE, place, "dead_fraction", abs(units - round(units)) < 1e-6, layer.dead_fraction, f"k / {info.shape[0]}"
        )
    if initial:
        ledger.hold(SHAPE, place, "update_ratio", math.isnan(layer.update_ratio), layer.update_ratio, "NaN")
    if shift is not None:
        told, due = not math.isnan(layer.gradient_shift), shift and not initial
        fits = due or not told
        ledger.hold(SHAPE, place, "gradient_shift", fits, layer.gradient_shift, "NaN")
    marks = [layer.unit_p15, layer.unit_p50, layer.unit_p85]
    slack = SLACK * max(map(abs, marks), default=0)
    rising = any(map(math.isnan, marks)) or all(a <= b + slack for a, b in pairwise(marks))
    ledger.hold(SHAPE, place, "unit_p15", rising, marks, "unit_p15 <= unit_p50 <= unit_p85")
    enters = layer.normalized if _norm_first(info) and layer.normalized is not None else layer.pre_norm
    if all(map(math.isfinite, (*marks, enters.min, enters.max))):
        slack = SLACK * max(abs(enters.min), abs(enters.max))
        fits = enters.min - slack <= marks[0] and marks[2] <= enters.max + slack
        ledger.hold(SHAPE, place, "unit_p15", fits, marks, f"{enters.min} … {enters.max}")


def _norm_first(info: LayerInfo) -> bool:
    kinds = list(info.stages)
    return "norm" in kinds and kinds.index("norm") < kinds.index("activation")


def _normalized(ledger: Ledger, place: Place, info: LayerInfo, layer: LayerMeasures, *, noisy: bool) -> None:
    """Check the law of total variance: the layer's mean is the mean of the feature means, and its variance is the mean
    of their variances plus the variance of their means.

    It applies to the input of the normalization and to its output, where a feature has mean β and variance
    γ² v / (v + ε).
    """
    of = layer.batch_norm
    assert of is not None
    mean, var = of.batch_mean.astype(np.float64), of.batch_var.astype(np.float64)
    ledger.hold(SHAPE, place, "batch_var", bool(not (var < 0).any()), float(np.nanmin(var, initial=0)), ">= 0")
    running = of.running_var
    ledger.hold(
        SHAPE, place, "running_var", bool(not (running < 0).any()), float(np.nanmin(running, initial=0)), ">= 0"
    )
    entered = layer.pre_norm if _norm_first(info) or not info.stages else layer.output
    if not (np.isfinite(mean).all() and np.isfinite(var).all() and math.isfinite(entered.std)):
        return
    size = max(abs(entered.min), abs(entered.max))
    near = 4 * UNIT * size + TINY
    ledger.compare(VARIANCE, place, "pre_norm.mean", entered.mean, float(mean.mean()), Margin(near, size))
    total = float(var.mean() + mean.var())
    near_square = 8 * UNIT * size * size + TINY  # variances are kept in float32
    ledger.compare(VARIANCE, place, "pre_norm.std²", entered.std**2, total, Margin(near_square, size**2))
    if layer.normalized is None or noisy or not math.isfinite(layer.normalized.std):
        return
    each = int(entered.counts.sum()) // len(var)
    if not (each * var <= LARGEST).all():  # the sum of squares may have been infinite, and x̂ 0
        return
    beta, gamma = np.broadcast_to(of.beta, mean.shape), np.broadcast_to(of.gamma, mean.shape)
    spread = np.square(gamma, dtype=np.float64) * (var / (var + of.eps))
    lost = float((np.abs(gamma) / np.sqrt(var + of.eps)).max()) * size * 16 * UNIT
    far = max(abs(layer.normalized.min), abs(layer.normalized.max))
    near = lost + 16 * UNIT * far + TINY  # values below float32's normal range may have been flushed to 0
    ledger.compare(VARIANCE, place, "normalized.mean", layer.normalized.mean, float(beta.mean()), Margin(near, far))
    total = float(spread.mean() + np.var(beta, dtype=np.float64))
    near = 2 * (lost + 16 * UNIT * far) * far + (lost * lost)
    near += float(np.square(gamma, dtype=np.float64).max()) * TINY / of.eps  # a variance below float32's range
    ledger.compare(VARIANCE, place, "normalized.std²", layer.normalized.std**2, total, Margin(near, far**2))


def _kept(ledger: Ledger, place: Place, layer: LayerMeasures, samples: int) -> None:
    """Check the kept fraction against the recorded bits: all of them, or those of the first samples."""
    mask = layer.dropout
    assert mask is not None
    rows, units = mask.kept.shape
    counted = mask.kept_fraction * samples * units
    ledger.hold(
        SHAPE,
        place,
        "kept_fraction",
        abs(counted - round(counted)) < 1e-4,
        mask.kept_fraction,
        f"k / {samples * units}",
    )
    shown = int(mask.kept.sum())
    most = shown + (samples - rows) * units
    fits = shown - 1e-4 <= counted <= most + 1e-4 and rows == min(samples, 64)
    ledger.hold(SHAPE, place, "kept_fraction", fits, counted, f"{shown} … {most}")


def _losses(ledger: Ledger, place: Place, frame: Keyframe) -> None:
    for name in ("batch_loss", "train_loss", "val_loss"):
        value = getattr(frame, name)
        ledger.hold(SHAPE, place, name, not value < 0, value, ">= 0")
