"""Runs the recording fuzzer briefly; ``test_boundary`` has a test for each case that it found."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.outcome import LARGEST, LONGEST
from tests.fuzz.recording import CALLS, run
from tests.fuzz.recording_mutations import MUTATIONS, mutate


def test_mutated_recordings_break_no_promise(seed_folder: Path) -> None:
    outcome = run(24, seed=2024, workers=1, seeds=seed_folder)
    assert not outcome.crashes, outcome.crashes
    assert outcome.tried == 24 * CALLS
    assert outcome.accepted >= 5, "mutations that are refused at once try nothing behind the boundary"
    assert outcome.refused >= 5
    assert outcome.slowest < LONGEST
    assert outcome.memory < LARGEST


def test_a_case_is_the_same_bytes_each_time_and_differs_from_its_seed(seeds: dict[str, bytes], tmp_path: Path) -> None:
    changed = 0
    for case in range(30):
        name = sorted(seeds)[case % len(seeds)]
        found = []
        for attempt in "ab":
            path = tmp_path / f"{case}{attempt}.bntui"
            path.write_bytes(seeds[name])
            what = mutate(path, random.Random(case))
            found.append((what, path.read_bytes()))
        assert found[0] == found[1] or "beside" in what, "a journal of SQLite has numbers drawn by it"
        changed += found[0][1] != seeds[name]
    assert changed > 25


@pytest.mark.parametrize("change", MUTATIONS, ids=lambda change: change.__name__)
def test_every_mutation_changes_something(change, seeds: dict[str, bytes], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    changed = 0
    for number in range(12):
        path = tmp_path / f"{number}.bntui"
        path.write_bytes(seeds["plane"])
        try:
            change(path, random.Random(number))
        except (ValueError, LookupError, AttributeError):
            continue
        beside = list(tmp_path.glob(f"{number}.bntui-*"))
        changed += path.read_bytes() != seeds["plane"] or bool(beside)
    assert changed >= 6
