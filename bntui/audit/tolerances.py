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
        N_("figures of recorded values: mean, std, percentiles, norms of weights"),
        "1e-9",
        N_("both sides are float64 over the same recorded float32 values; only the order of the sum differs"),
    ),
    Tolerance(
        N_("histogram counts, dead and saturated fractions"),
        "1e-9, 1e-6",
        N_("exact, but for values so near a bin's edge, or a limit, that rounding decides on which side they are"),
    ),
    Tolerance(
        N_("linear, convolution, hidden-to-hidden products, sums over a mini-batch"),
        "γₙ·Σ|x||w|",
        N_(
            "n products are added: in whatever order, their roundings amount to at most γₙ = n·u / (1 − n·u) of the sum"
            " of their magnitudes"
        ),
    ),
    Tolerance(
        N_("activation functions"),
        "2·4·u·|y|",
        N_(
            "4 units in the last place for exp, tanh and erf; what a formula loses by cancellation (GELU, 1 − y²) is"
            " added"
        ),
    ),
    Tolerance(
        N_("normalization, batch and running statistics"),
        "γₙ·κ",
        N_(
            "bounds of mean and variance in one pass or two; κ = (|x| + |mean|) / √(var + ε) where the mean is not"
            " subtracted first"
        ),
    ),
    Tolerance(
        N_("gradients, hidden states, evaluation mode: all that goes through several stages"),
        "Σ |J|·δ",
        N_(
            "each stage passes on the errors that entered it and adds its own: value by value, or by the norm of all"
            " errors together where that is less"
        ),
    ),
    Tolerance(
        N_("the same, where that bound is above a thousandth of the figure"),
        "40·σ",
        N_(
            "independent roundings add up to at most 6σ but for one time in 10⁸ (Higham and Mary, 2019); σ, the root of"
            " the sum of their squares, is measured by 12 trials and taken for up to seven times too small"
        ),
    ),
    Tolerance(
        N_("loss"),
        "max δ + 8·u·(|max| + |ln Σ|)",
        N_("log Σ exp moves no further than the logit that moves most; float32 takes it relative to the largest logit"),
    ),
    Tolerance(
        N_("update ratios, parameters after the step"),
        "L·δ + 2·u·|p|",
        N_(
            "L bounds how far the optimizer's rule moves with its gradient (mean value theorem; Cauchy-Schwarz for Adam"
            " and RMSprop); the parameter is rounded"
        ),
    ),
    Tolerance(
        N_("accuracy, classes on the grid"),
        "δ",
        N_("a sample counts as undecided where its two best classes are nearer than their bounds"),
    ),
    Tolerance(
        N_("dropout masks"),
        "1e-9",
        N_("Chernoff's bound of the binomial distribution, over the whole mask, each sample and each unit"),
    ),
    Tolerance(
        N_("probabilities on the grid"),
        "2⁻¹⁰",
        N_("they are kept in half precision"),
    ),
    Tolerance(
        N_("learning rate, patience, order, accuracy as a count"),
        "1e-12, 0",
        N_("the same rule on the same recorded float64 figures, or whole numbers"),
    ),
)
UNIT_IS: Final = N_(
    "u is float32's unit roundoff, 2⁻²⁴ (6e-8), δ the bound of what entered. On CUDA a convolution's factors are"
    " rounded to 2⁻¹¹ (TF32); on MPS u is four times as large (fast arithmetic)."
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
