"""Tests sweeps on a real Dask cluster on loopback: workers die, lack the data, or have other versions."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bntui.errors import UsageError
from bntui.study import crews, journal
from bntui.study.crews import Dask
from bntui.study.search import ListSearch
from bntui.study.sweep import Sweep
from bntui.study.sweep_plan import combinations, head_of, versions
from tests.commands import bntui
from tests.sweeping import SCENARIO, plan
from tests.waiting import until

pytest.importorskip("distributed", reason="needs bntui[cluster]")

WORKER = "from distributed.cli.dask_worker import main; main()"
SCHEDULER = "from distributed.cli.dask_scheduler import main; main()"


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


class Cluster:
    """A scheduler and workers, each a process with an empty current folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start(SCHEDULER, "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show")
        until(partial(_listens, port), "the start of the scheduler")

    def worker(self, *, prelude: str = "") -> subprocess.Popen[bytes]:
        """Start a worker, and wait until the scheduler has it; ``prelude`` is run in it first."""
        process = self._start(
            prelude + WORKER, self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1",
            "--death-timeout", "60",
        )  # fmt: skip
        log = self._folder / f"{len(self.processes) - 1}.log"
        until(lambda: b"Registered to" in log.read_bytes(), "the registration of the worker")
        return process

    def _start(self, code: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments], cwd=self._folder, stdout=log, stderr=log,
                env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(self._folder)},
            )  # fmt: skip
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()


def test_a_worker_that_is_killed_loses_no_trial_and_repeats_none_and_gets_the_data(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The data file is gone before any trial begins: workers can have it from the scheduler alone."""
    path, both = tmp_path / "small.toml", [cluster.worker(), cluster.worker()]
    path.write_text(SCENARIO.replace('"moons"\nsamples = 60', '"points.csv"').replace("epochs = 2", "epochs = 10"))
    chance = np.random.default_rng(0)
    table = np.column_stack([chance.normal(size=(60, 2)), chance.integers(0, 2, 60)])
    np.savetxt(tmp_path / "points.csv", table, "%.4f,%.4f,%d", header="a,b,class", comments="")
    made = plan(tmp_path)
    sweep = Sweep(made, head_of(made), tmp_path / "sweep", ListSearch(combinations(made)))
    workers = Dask(cluster.address)

    def progress(done: int, _total: int) -> None:
        if done == 0:
            (tmp_path / "points.csv").rename(tmp_path / "gone.csv")
        if done == 3:  # the worker that trained the first trial, and trains others now
            os.kill(int(sweep.entries[0].worker.rpartition(":")[2]), signal.SIGKILL)

    sent = [workers._file(str(tmp_path / "points.csv"), digest) for digest in head_of(made)["data"]]
    try:
        sweep.train(workers, progress)
    finally:
        sweep.close()
        workers.close()
    assert len(sent) == 1
    assert [one.poll() for one in both if one.pid == int(sweep.entries[0].worker.rpartition(":")[2])] == [-9]
    lines = [json.loads(line) for line in (tmp_path / "sweep" / journal.NAME).read_bytes().splitlines()[1:]]
    assert len(lines) == len({(json.dumps(line["settings"]), line["seed"]) for line in lines}) == 12
    assert [line["state"] for line in lines] == ["done"] * 12
    assert len({line["worker"] for line in lines}) == 2


def test_workers_of_another_version_are_refused_with_both(cluster: Cluster) -> None:
    stranger = cluster.worker(prelude="import bntui; bntui.__version__ = '0.0.1'\n")
    with pytest.raises(UsageError, match=rf"bntui 0\.0\.1 ≠ {versions()['bntui']}"):
        Dask(cluster.address)
    stranger.kill()


def test_a_cluster_that_is_not_there_is_said_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert crews.PATIENCE <= 10
    monkeypatch.setattr(crews, "PATIENCE", 1.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        started = time.monotonic()
        answer = bntui(
            "sweep", "early-stopping", "--over", "training.lr=1,2", "-o", tmp_path / "x", "--cluster",
            f"tcp://127.0.0.1:{port}",
        )  # fmt: skip
    assert time.monotonic() - started < 10
    assert answer.returncode == 2
    assert f"no Dask scheduler answers at tcp://127.0.0.1:{port}" in answer.stderr
    assert "Traceback" not in answer.stderr
