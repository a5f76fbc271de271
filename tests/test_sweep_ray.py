"""Tests sweeps on a real Ray cluster on loopback, where Ray is installed: it is larger than all of bntui."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bntui.errors import UsageError
from bntui.study import journal
from bntui.study import sweep_plan as plans
from bntui.study.ray_crew import Ray
from bntui.study.search import ListSearch
from bntui.study.sweep import Sweep
from bntui.study.sweep_plan import combinations, head_of
from tests.commands import bntui
from tests.sweeping import SCENARIO, plan
from tests.waiting import until

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs ray[client]")

RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, here = free_port(), str(Path(plans.__file__).parents[2])
    head = [*RAY, "start", "--head", "--num-cpus=2", f"--ray-client-server-port={port}", f"--port={free_port()}",
            "--include-dashboard=false", "--disable-usage-stats"]  # fmt: skip
    folder = tmp_path_factory.mktemp("ray")
    subprocess.run(head, check=True, capture_output=True, cwd=folder, env=os.environ | {"PYTHONPATH": here})
    address = f"ray://127.0.0.1:{port}"
    # the first client waits half a minute in vain where the machine is busy
    until(lambda: subprocess.run([sys.executable, "-c", f"import ray; ray.init({address!r})"]).returncode == 0, "Ray")
    yield address
    subprocess.run([*RAY, "stop", "--force"], check=True, capture_output=True)


def test_a_worker_that_is_killed_loses_no_trial_and_gets_the_data(cluster: str, tmp_path: Path) -> None:
    """The data file is gone before any trial begins: workers can have it from the cluster alone."""
    path = tmp_path / "small.toml"
    path.write_text(SCENARIO.replace('"moons"\nsamples = 60', '"points.csv"').replace("epochs = 2", "epochs = 10"))
    chance = np.random.default_rng(0)
    table = np.column_stack([chance.normal(size=(60, 2)), chance.integers(0, 2, 60)])
    np.savetxt(tmp_path / "points.csv", table, "%.4f,%.4f,%d", header="a,b,class", comments="")
    made = plan(tmp_path)
    sweep = Sweep(made, head_of(made), tmp_path / "sweep", ListSearch(combinations(made)))
    workers = Ray(cluster)

    def progress(done: int, _total: int) -> None:
        if done == 0:
            (tmp_path / "points.csv").rename(tmp_path / "gone.csv")
        if done == 3:
            os.kill(int(sweep.entries[0].worker.rpartition(":")[2]), signal.SIGKILL)

    for name, digest in ((str(tmp_path / "points.csv"), digest) for digest in head_of(made)["data"]):
        workers._file(name, digest)
    try:
        sweep.train(workers, progress)
    finally:
        sweep.close()
        workers.close()
    lines = [json.loads(line) for line in (tmp_path / "sweep" / journal.NAME).read_bytes().splitlines()[1:]]
    assert len(lines) == len({(json.dumps(line["settings"]), line["seed"]) for line in lines}) == 12
    assert [line["state"] for line in lines] == ["done"] * 12


def test_workers_of_another_version_are_refused_with_both(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bntui.__version__", "0.0.1")
    with pytest.raises(UsageError, match=r"bntui \S+ ≠ 0\.0\.1"):
        Ray(cluster)


def test_a_cluster_that_is_not_there_is_said_soon(tmp_path: Path) -> None:
    started = time.monotonic()
    answer = bntui(
        "sweep", "early-stopping", "--over", "training.lr=1,2", "-o", tmp_path / "x", "--cluster",
        f"ray://127.0.0.1:{free_port()}",
    )  # fmt: skip
    assert time.monotonic() - started < 10
    assert answer.returncode == 2
    assert "no Ray cluster answers at ray://127.0.0.1:" in answer.stderr
    assert "Traceback" not in answer.stderr
