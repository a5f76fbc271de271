"""The activation functions: what each is, and what is measured and drawn of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

ActivationName = Literal["sigmoid", "tanh", "relu", "leaky_relu", "gelu", "softsign", "none"]
SATURATED_WITHIN: Final = 0.01
"""A value is saturated if it lies nearer to an end of the activation's range than this share of the range."""


@dataclass(frozen=True, slots=True)
class Activation:
    """One activation function; its derivative is PyTorch's, and the audit has its own."""

    module: str
    """Its class in ``torch.nn``."""
    ends: tuple[float, float] | None = None
    """Ends of its range, where both are finite: its values can saturate, and these are the ends of their axis."""
    dies: bool = False
    """A unit that gives 0 for every sample passes no gradient: its dead units are counted."""

    @property
    def saturated_outside(self) -> tuple[float, float] | None:
        """The values between which it is not saturated; None where it has no ends to saturate at."""
        if self.ends is None:
            return None
        low, high = self.ends
        margin = SATURATED_WITHIN * (high - low)
        return low + margin, high - margin


ACTIVATIONS: Final[Mapping[ActivationName, Activation]] = {
    "sigmoid": Activation("Sigmoid", ends=(0.0, 1.0)),
    "tanh": Activation("Tanh", ends=(-1.0, 1.0)),
    "relu": Activation("ReLU", dies=True),
    "leaky_relu": Activation("LeakyReLU"),
    "gelu": Activation("GELU"),
    "softsign": Activation("Softsign", ends=(-1.0, 1.0)),
    "none": Activation("Identity"),
}
"""The declaration of every activation function."""
_FOREIGN: Final = Activation("")


def activation(name: str) -> Activation:
    """An activation by its name; one without traits where a newer version, or a stranger, has recorded it."""
    return ACTIVATIONS.get(name, _FOREIGN)  # type: ignore[call-overload, no-any-return]
