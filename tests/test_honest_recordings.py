"""The audit accuses no honest recording: a few of the random ones that ``python -m benchmarks.honest`` makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.honest import case, judged, summary

FOUND = (
    3,
    12,
    38,
    57,
    94,
    104,
    109,
    127,
    134,
    861,
    1004,
    1032,
    1069,
    1168,
    1244,
    1333,
    1651,
    20118,
    20121,
    20162,
    20169,
)
"""Cases that an earlier version accused: leaky ReLU, GELU, cancellation, overflow, underflow, conv with layer norm."""


@pytest.mark.parametrize("number", [*range(20), *FOUND[2:]])
def test_an_honest_recording_is_true(number: int, tmp_path: Path) -> None:
    verdict = judged(case(number, 0), tmp_path)
    assert not verdict.failures, verdict.failures[:3]


def test_most_random_settings_go_together(tmp_path: Path) -> None:
    made = [judged(case(number, 1), tmp_path) for number in range(3)]
    assert summary(made)["recordings"] >= 1
    assert all(one.keyframes or one.refused for one in made)
