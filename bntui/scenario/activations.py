"""Declares the activation functions with their properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

ActivationName = Literal["sigmoid", "tanh", "relu", "leaky_relu", "gelu", "softsign", "none"]
SATURATED_WITHIN: Final = 0.01
"""A value is saturated if its distance to an end of the activation's range is below this fraction of the range."""


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation function.  PyTorch provides its derivative; the audit has its own."""

    module: str
    """Name of its class in ``torch.nn``."""
    ends: tuple[float, float] | None = None
    """Ends of its range if both are finite: its values can saturate, and its axis has these ends."""
    dies: bool = False
    """True if a unit that outputs 0 for every sample passes no gradient; such dead units are counted."""

    @property
    def saturated_outside(self) -> tuple[float, float] | None:
        """Interval in which a value is not saturated; None if the range has no finite ends."""
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
"""All activation functions."""
_FOREIGN: Final = Activation("")


def activation(name: str) -> Activation:
    """The activation with this name; one without properties if a newer version or an untrusted file recorded it."""
    return ACTIVATIONS.get(name, _FOREIGN)  # type: ignore[call-overload, no-any-return]
