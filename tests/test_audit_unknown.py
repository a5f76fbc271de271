"""Tests that values which float32 may have lost to overflow stay unknown through bounded functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bntui.audit.activations import ACTIVATIONS
from bntui.audit.backward import softmax
from bntui.audit.bounded import Bounded, smaller
from bntui.audit.normalize import standardize
from bntui.audit.optimizers import Affine, quotient
from bntui.audit.recurrence import normalized_by

VALUES = np.linspace(-3, 3, 12).reshape(4, 3)
GAMMA, BETA = Bounded.exact(np.ones(3)), Bounded.exact(np.zeros(3))


def lost(at: int = 5) -> Bounded:
    """Known values but for one, which may be anything, NaN too."""
    error = np.zeros(VALUES.size)
    error[at] = np.inf
    return Bounded(VALUES, error.reshape(VALUES.shape), np.asarray(np.inf))


def variance() -> Bounded:
    return Bounded(np.ones(3), np.array([0.0, np.inf, 0.0]), np.asarray(np.inf))


def scaled(x: Bounded, var: Bounded) -> Bounded:
    return normalized_by(x, Bounded.exact(np.zeros(3)), var, 1e-5, GAMMA, BETA)


FUNCTIONS: dict[str, Callable[[Bounded], Bounded]] = {
    **{name: each.function for name, each in ACTIVATIONS.items()},
    "batch norm": lambda x: standardize(x, (0,), 1e-5).values,
    "layer norm": lambda x: standardize(x, (1,), 1e-5).values,
    "evaluation mode": lambda x: scaled(x, Bounded.exact(np.ones(3))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_lost_value_stays_unknown(name: str) -> None:
    with np.errstate(all="ignore"):
        certain, tried = FUNCTIONS[name](lost()), FUNCTIONS[name](lost().tried())
        assert not np.isfinite(certain.error.flat[5])
        assert not np.isfinite(smaller(certain, tried).error.flat[5])


def test_a_lost_running_variance_leaves_its_unit_unknown() -> None:
    x = Bounded.exact(VALUES)
    with np.errstate(all="ignore"):
        certain, tried = scaled(x, variance()), scaled(x, variance().tried())
        best = smaller(certain, tried)
    assert not np.isfinite(certain.error[:, 1]).any()
    assert not np.isfinite(best.error[:, 1]).any()


def test_lost_logits_leave_their_samples_probabilities_unknown() -> None:
    with np.errstate(all="ignore"):
        _share, error = softmax(lost())
    assert not np.isfinite(error[1]).any()
    assert np.isfinite(error[[0, 2, 3]]).all()


def test_a_lost_gradient_leaves_the_adaptive_step_unknown() -> None:
    with np.errstate(all="ignore"):
        step = quotient(Affine(np.zeros_like(VALUES), 0.1), Affine(np.zeros_like(VALUES), 0.001), lost())
    assert not np.isfinite(step.error.flat[5])
