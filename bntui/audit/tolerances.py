"""How far may a recorded figure be from the recomputed one, and why?

A recording keeps what a network computed in float32.  The audit recomputes each figure in float64 from recorded
float32 inputs, so what is left between the two is the rounding of float32: the unit roundoff times the size of what
was added up, times a factor that stands here with its reason.  Nothing here was fitted to recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bntui.language import N_

UNIT: Final = 2.0**-24
"""Unit roundoff of float32: the largest relative error of one rounded operation."""
TENSOR_CORE: Final = 2.0**-11
"""Unit roundoff of TF32, in which CUDA's convolutions multiply unless told otherwise: 10 bits of mantissa."""
SAFETY: Final = 8.0
"""How many times the difference between our own float32 and float64 may be met again in the trainer's float32."""
PERTURBED: Final = 3.0
"""How many times the effect of a rounding at random may be met in what follows a step."""
WIDE: Final = 1e-9
"""Relative; figures that the trainer itself takes in float64 from recorded float32 values."""
LARGEST: Final = 3.4028234e38
"""The largest float32: beyond it values are infinite."""
SMALLEST: Final = 1e-37
"""Below the smallest normal float32 (1.2e-38) devices may round to 0."""
HALF: Final = 2.0**-10
"""Twice the unit roundoff of half precision, in which probabilities are kept."""
CHANCE: Final = 1e-9
"""A dropout mask is refused where a true one would be as far from its rate with a smaller probability than this."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """One rule: what it is for, how large, and why."""

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
        N_("linear, convolution"),
        "2·u·(√n + 4)·‖x‖·‖w‖",
        N_("n products are added; partial sums are at most ‖x‖·‖w‖ (Cauchy-Schwarz), their roundings independent"),
    ),
    Tolerance(
        N_("normalization"),
        "16·u·|γ|·max|x| / √(var + ε)",
        N_("a mean is subtracted: what is lost is a rounding of x, and the division makes it larger"),
    ),
    Tolerance(
        N_("activation, pooling, dropout"),
        "16·u·|y|",
        N_("a few roundings of one value; exponentials are good to a few of the last digit"),
    ),
    Tolerance(
        N_("hidden states of a recurrence"),
        "16·u",
        N_("one time step from recorded states; where a state is normalized, times |γ|·max|x| / √(var + ε)"),
    ),
    Tolerance(
        N_("loss"),
        "16·u·(|loss| + max|logit|)",
        N_("the logarithm of a sum of exponentials is taken relative to the largest logit"),
    ),
    Tolerance(
        N_("gradients"),
        "8·|g₆₄ − g₃₂| + 2·u·(√n + 4)·‖x‖·‖d‖",
        N_(
            "rounding grows on the way back by what the network does to it, so it is measured: the same formulas once"
            " more in float32; what is left is the sum over the mini-batch, as for a linear layer"
        ),
    ),
    Tolerance(
        N_("update ratios, parameters after the step"),
        "f(g ± δ)",
        N_(
            "the optimizer's rule at both ends of the gradient's tolerance (Adam turns a gradient of mere rounding into"
            " a whole step), and the rounding of the parameter"
        ),
    ),
    Tolerance(
        N_("batch and running statistics"),
        "16·u·max|x|",
        N_("a mean of float32 values, a mean of their squared distances from it"),
    ),
    Tolerance(
        N_("validation loss, accuracy, predictions"),
        "3·max|Δ|",
        N_(
            "recomputed with parameters that are off by their tolerance in random directions, in float32; a sample"
            " counts as undecided where its two best classes are as near as that"
        ),
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
    "u is float32's unit roundoff, 2⁻²⁴ (6e-8). On CUDA a convolution's factors are rounded to 2⁻¹¹ (TF32); on MPS u is"
    " four times as large (fast arithmetic)."
)


@dataclass(frozen=True, slots=True)
class Precision:
    """How a device rounds."""

    unit: float = UNIT
    convolution: float = UNIT
    """Of the factors in a convolution's products."""

    @classmethod
    def of(cls, device: str) -> Precision:
        """The precision of a device by its name as PyTorch has it: ``cpu``, ``cuda:0``, ``mps``."""
        if device.startswith("cuda"):
            return cls(convolution=TENSOR_CORE)
        if device.startswith("mps"):
            return cls(4 * UNIT, 4 * UNIT)
        return cls()
