"""Tests that processes are spread over the cores, by what the system says of real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bntui import cpu

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")


@pytest.fixture
def sleepers() -> Iterator[list[int]]:
    started = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2)]
    yield [one.pid for one in started]
    for one in started:
        one.communicate()


@pytest.mark.skipif(cpu.cores() < 2, reason="there is only one core")
def test_each_process_has_cores_of_its_own(sleepers: list[int]) -> None:
    mine = os.sched_getaffinity(0)
    cpu.spread(sleepers)
    one, other = map(os.sched_getaffinity, sleepers)
    assert one
    assert other
    assert not one & other
    assert one | other == mine == os.sched_getaffinity(0)
    cpu.spread(sleepers[:1])
    assert os.sched_getaffinity(sleepers[0]) == mine


def test_more_processes_than_cores_share_them(sleepers: list[int]) -> None:
    """Also those that had cores of their own while they were fewer."""
    mine = os.sched_getaffinity(0)
    cpu.spread(sleepers)
    others = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in mine]
    everyone = [*sleepers, *(one.pid for one in others)]
    cpu.spread(everyone)
    assert [os.sched_getaffinity(one) for one in everyone] == [mine] * len(everyone)
    for one in others:
        one.communicate()


def test_a_process_that_has_ended_is_left_out(sleepers: list[int]) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    cpu.spread([ended.pid, sleepers[0]])
    assert os.sched_getaffinity(sleepers[0]) < os.sched_getaffinity(0) or cpu.cores() < 2


def test_only_the_cores_that_this_process_may_use_are_counted() -> None:
    found = subprocess.run(["taskset", "-c", "0", sys.executable, "-c", "from bntui.cpu import cores; print(cores())"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert found.stdout == "1\n"
