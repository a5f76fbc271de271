"""Defines how far a recorded figure may differ from the recomputed one, and why.

A recording holds figures computed in float32.  The audit recomputes each of them in float64 from recorded float32
inputs, so any difference between the two is float32 rounding error.  It is bounded operation by operation
(:mod:`bntui.audit.bounded`); this module lists the rules.  None was fitted to recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bntui.audit.bounded import UNIT
from bntui.text.language import N_

TENSOR_CORE: Final = 2.0**-11
"""Unit roundoff of TF32 (10 bits of mantissa), which CUDA convolutions use by default."""
WIDE: Final = 1e-9
"""Relative tolerance of figures that the trainer itself computes in float64 from recorded float32 values."""
HALF: Final = 2.0**-10
"""Twice the unit roundoff of half precision, in which probabilities are stored."""
CHANCE: Final = 1e-9
"""A dropout mask fails if a genuine mask would be this far from its rate with a probability below this."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A rule: what it applies to, its size, and its reason."""

    subject: str
    size: str
    reason: str


TABLE: Final = (
    Tolerance(
        N_("statistics of recorded values: mean, std, percentiles, weight norms"),
        "1e-9",
        N_("both sides compute in float64 from the same recorded float32 values; only the summation order differs"),
    ),
    Tolerance(
        N_("histogram counts, dead and saturated fractions"),
        "1e-9, 1e-6",
        N_("exact, except for values so close to a bin edge or limit that rounding decides their side"),
    ),
    Tolerance(
        N_("linear, convolution, hidden-to-hidden products, sums over a mini-batch"),
        "γₙ·Σ|x||w|",
        N_(
            "n products are summed: in any order, their rounding errors total at most γₙ = n·u / (1 − n·u) times"
            " the sum of their magnitudes"
        ),
    ),
    Tolerance(
        N_("activation functions"),
        "2·4·u·|y|",
        N_(
            "4 units in the last place for exp, tanh, and erf, plus what a formula loses by cancellation (GELU, 1 − y²)"
        ),
    ),
    Tolerance(
        N_("normalization, batch and running statistics"),
        "γₙ·κ",
        N_(
            "bounds for one-pass and two-pass mean and variance; κ = (|x| + |mean|) / √(var + ε) if the mean is not"
            " subtracted first"
        ),
    ),
    Tolerance(
        N_("gradients, hidden states, evaluation mode: everything computed through several stages"),
        "Σ |J|·δ",
        N_(
            "each stage propagates incoming errors and adds its own: per value, or by the norm of all errors if"
            " that is smaller"
        ),
    ),
    Tolerance(
        N_("the same, if that bound exceeds a thousandth of the figure"),
        "40·σ",
        N_(
            "independent rounding errors add up to at most 6σ, except once in 10⁸ (Higham and Mary, 2019); σ, the"
            " root of their sum of squares, is measured with 12 trials and assumed up to seven times too small"
        ),
    ),
    Tolerance(
        N_("loss"),
        "max δ + 8·u·(|max| + |ln Σ|)",
        N_(
            "log Σ exp changes by no more than the logit that changes most; float32 computes it relative to the"
            " largest logit"
        ),
    ),
    Tolerance(
        N_("update ratios, parameters after the step"),
        "L·δ + 2·u·|p|",
        N_(
            "L bounds how much the optimizer's update changes with its gradient (mean value theorem; Cauchy-Schwarz"
            " for Adam and RMSprop); the parameter is rounded"
        ),
    ),
    Tolerance(
        N_("accuracy, classes on the grid"),
        "δ",
        N_("a sample is undecided if its two best classes are closer than their bounds"),
    ),
    Tolerance(
        N_("dropout masks"),
        "1e-9",
        N_("Chernoff's bound for the binomial distribution, for the whole mask, each sample, and each unit"),
    ),
    Tolerance(
        N_("probabilities on the grid"),
        "2⁻¹⁰",
        N_("stored in half precision"),
    ),
    Tolerance(
        N_("learning rate, patience, order, accuracy as a count"),
        "1e-12, 0",
        N_("the same rule applied to the same recorded float64 figures, or whole numbers"),
    ),
)
UNIT_IS: Final = N_(
    "u is float32's unit roundoff, 2⁻²⁴ (6e-8); δ is the error bound of the inputs. On CUDA, convolution factors"
    " are rounded to 2⁻¹¹ (TF32); on MPS, u is four times as large (fast arithmetic)."
)


@dataclass(frozen=True, slots=True)
class Precision:
    """The rounding behavior of a device."""

    unit: float = UNIT
    """Unit roundoff of every operation."""
    factors: float = 0.0
    """Relative rounding error of a convolution's factors before multiplication."""

    @classmethod
    def of(cls, device: str) -> Precision:
        """The precision of a device by its PyTorch name: ``cpu``, ``cuda:0``, ``mps``."""
        if device.startswith("cuda"):
            return cls(factors=TENSOR_CORE)
        if device.startswith("mps"):
            return cls(4 * UNIT)
        return cls()
