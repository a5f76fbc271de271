"""Runs the data file fuzzer briefly; ``python -m tests.fuzz data --count 20000`` runs it at length."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.data import make, run
from tests.fuzz.outcome import dice


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_damaged_data_files_are_read_or_refused_with_a_sentence(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.calls.LONGEST", 300.0)  # no test depends on the machine's speed
    outcome = run(200, seed)
    assert outcome.crashes == []
    assert outcome.accepted > 10
    assert outcome.refused > 50


def test_a_case_is_the_same_every_time(tmp_path: Path) -> None:
    for case in range(30):
        first = make(dice(5, case), tmp_path)
        before = (tmp_path / first[0]).read_bytes()
        assert make(dice(5, case), tmp_path) == first
        after = (tmp_path / first[0]).read_bytes()
        assert before == after or first[0].endswith(".npz")  # a zip's entries have the time of day
