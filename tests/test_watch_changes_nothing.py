"""Watching a loop changes no bit of it: weights, gradients, the optimizers' state, random numbers, and losses.

The audit finds no contradiction in what was recorded.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
import torch

import bntui
from bntui.audit.audit import audit
from bntui.recording.reader import Reader
from tests.watched_loops import Loop

CASES = int(os.environ.get("WATCHED_LOOPS", "60"))
"""All kinds are among them.  A long run: ``WATCHED_LOOPS=5000 pytest -n 0 tests/test_watch_changes_nothing.py``."""
PARTS = 2


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize("part", range(PARTS))
def test_watched_loops_compute_the_same_bits(part: int, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        kinds = {_compared(seed, tmp_path / f"{seed}.bntui") for seed in range(part, CASES, PARTS)}
    finally:
        torch.set_num_threads(threads)
    assert len(kinds) > 7  # of 9 kinds of loops


def _compared(seed: int, path: Path) -> str:
    alone = list(Loop(seed).run())
    loop = Loop(seed)
    every = loop.every
    with bntui.watch(loop.models, loop.optimizers, path, every=every, scaler=loop.scaler, quiet=True) as recorder:
        watched = list(loop.run(recorder))
    differing = [step for step, (one, other) in enumerate(zip(alone, watched, strict=True)) if one != other]
    assert not differing, f"loop {seed} ({loop.kind}, every={every}) differs from step {differing[0]}"
    assert path.exists(), f"loop {seed} was not recorded"
    failures = audit(path).ledger.failures
    assert not failures, f"loop {seed} ({loop.kind}): {failures[:3]}"
    with closing(Reader(path)) as reader:
        assert reader.events(0)[-1].kind == "finished", f"loop {seed} was not recorded to its end"
    return loop.kind
