"""Checks dropout masks against their rate: as a whole, per sample, and per unit."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.bounded import UNIT
from bntui.audit.ledger import Ledger, Margin, Place
from bntui.audit.tolerances import CHANCE
from bntui.keyframe import BoolArray, DropoutMask
from bntui.text.language import N_

RATE: Final = N_("dropout masks match their rate")
BITS: Final = N_("dropout mask bits, kept fraction")


def surprise(kept: NDArray[Any], of: int, rate: float) -> NDArray[np.float64]:
    """Logarithm of Chernoff's bound on the probability that a binomial draw is this far from ``of * rate``.

    It is -n KL(k/n ‖ rate) (Hoeffding, 1963, theorem 1), on both sides.
    """
    share = np.asarray(kept, np.float64) / of
    with np.errstate(all="ignore"):
        yes = np.where(share > 0, share * np.log(share / rate), 0)
        no = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - rate)), 0)
    result: NDArray[np.float64] = -of * (yes + no)
    return result


def check_rate(ledger: Ledger, place: Place, kept: BoolArray, p: float, *, figure: str = "mask") -> None:
    """Check that a mask ``(samples, units)`` is plausible for a rate of 1 - p, overall and in each row and column."""
    limit, rate = math.log(CHANCE), 1 - p
    parts = ((kept.sum(), kept.size), (kept.sum(1), kept.shape[1]), (kept.sum(0), kept.shape[0]))
    for name, (count, of) in zip((figure, f"{figure}, samples", f"{figure}, units"), parts, strict=True):
        far = np.atleast_1d(surprise(count, of, rate))
        at = int(np.argmin(far))
        share = float(np.atleast_1d(count)[at]) / of
        ledger.hold(RATE, place, f"{name} {at}" if far.size > 1 else name, bool(far[at] >= limit), share, rate)


def check_noise(ledger: Ledger, place: Place, x: NDArray[Any], noisy: NDArray[Any], deviation: float) -> None:
    """Check that the sum of squares of the inputs' Gaussian noise is plausible for its standard deviation.

    Laurent and Massart, 2000, lemma 1: tail bounds of the chi-squared distribution.  The sum of input and noise is
    rounded, which may lose the noise of large inputs.
    """
    wide = noisy.astype(np.float64)
    count, limit = wide.size, -math.log(CHANCE)
    length = float(np.linalg.norm(wide - x)) / deviation if deviation else math.inf
    lost = 2 * UNIT * float(np.linalg.norm(wide)) / deviation if deviation else 0.0
    low, high = max(count - 2 * math.sqrt(count * limit), 0), count + 2 * math.sqrt(count * limit) + 2 * limit
    fits = math.sqrt(low) - lost <= length <= math.sqrt(high) + lost
    spread = length / math.sqrt(count) * deviation if deviation else math.inf
    ledger.hold(RATE, place, "input_noise", fits, spread, deviation)


def check_mask(ledger: Ledger, place: Place, recorded: DropoutMask, p: float, full: BoolArray | None) -> None:
    """Check a keyframe's mask against its rate, and against the full mask if evidence has it.

    ``full`` has the shape ``(samples, units)``.
    """
    ledger.compare(BITS, place, "dropout.p", recorded.p, p, 0)
    if full is None:
        check_rate(ledger, place, recorded.kept, p)
        return
    check_rate(ledger, place, full, p)
    share = float(full.mean())
    ledger.compare(BITS, place, "kept_fraction", recorded.kept_fraction, share, Margin(1e-12, 1))
    shown = full[: len(recorded.kept)]
    same = recorded.kept.shape == shown.shape and bool((recorded.kept == shown).all())
    if same:
        ledger.hold(BITS, place, "mask", True, "", "")
        return
    rows = shown.shape == recorded.kept.shape and (recorded.kept != shown).any(1)
    at = int(np.argmax(rows))
    pair = [np.packbits(kept[at]).tobytes().hex() for kept in (recorded.kept, shown)]
    ledger.hold(BITS, place, f"mask[{at}]", False, *pair)
