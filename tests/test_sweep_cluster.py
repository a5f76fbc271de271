"""Tests sweeps on a real Dask cluster on loopback: workers die, lack the data, or have other versions."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bntui.errors import TrainerError, UsageError
from bntui.recording.reader import Reader
from bntui.study import dask_crew, journal
from bntui.study.axes import Settings
from bntui.study.dask_crew import Dask
from bntui.study.order import Trained, TrialOrder
from bntui.study.search import ListSearch
from bntui.study.sweep import Sweep
from bntui.study.sweep_plan import SweepPlan, combinations, head_of, versions
from tests.commands import bntui
from tests.sweeping import SCENARIO, Here, plan, swept
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
                env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(self._folder),
                                  "PYTHONPATH": str(Path(dask_crew.__file__).parents[2])},
            )  # fmt: skip
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("asked", ["of the workers at first", "of the workers later"])
def test_a_scheduler_that_is_gone_between_two_calls_is_told_in_a_sentence(asked: str, tmp_path: Path) -> None:
    """Distributed's own client, to a scheduler that is killed before it answers how many threads its workers have."""
    workers = Cluster(tmp_path)
    code = (
        "import sys, distributed as d, bntui.__main__ as program\n"
        "real, calls = d.Client.nthreads, []\n"
        "def nthreads(self):\n"
        "    calls.append(1)\n"
        f"    if len(calls) == {1 if asked.endswith('first') else 2}:\n"
        f"        import os; os.kill({workers.processes[0].pid}, 9)\n"
        "    return real(self)\n"
        "d.Client.nthreads = nthreads\n"
        f"sys.argv = ['bntui', 'sweep', 'small.toml', '--over', 'training.lr=0.1,0.2', '--cluster',"
        f" {workers.address!r}]\n"
        "program.main()"
    )
    try:
        workers.worker()
        (tmp_path / "small.toml").write_text(SCENARIO)
        ended = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120, check=False, env=os.environ | {"XDG_DATA_HOME": str(tmp_path)},
        )  # fmt: skip
    finally:
        workers.close()
    first = f"bntui: no Dask scheduler answers at {workers.address}; start one with: dask scheduler"
    later = f"bntui: the Dask scheduler at {workers.address} is gone"
    assert ended.returncode == (2 if asked.endswith("first") else 1), ended.stderr
    assert ended.stderr.splitlines()[-1] == (first if asked.endswith("first") else later)
    assert "Traceback" not in ended.stderr


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


def test_workers_of_another_optuna_are_refused_where_it_prunes_there(cluster: Cluster) -> None:
    optuna = pytest.importorskip("optuna", reason="needs bntui[search]")
    prelude = "import importlib.metadata as m; w = m.version\n"
    stranger = cluster.worker(prelude=prelude + "m.version = lambda name: '1.2' if name == 'optuna' else w(name)\n")
    for prune in ("median", "hyperband"):
        with pytest.raises(UsageError, match=rf"\(optuna 1\.2 ≠ {optuna.__version__}\)"):
            Dask(cluster.address, prune)
    for prune in ("", "rules"):  # which need none
        Dask(cluster.address, prune).close()
    stranger.kill()


def test_a_data_file_that_changes_before_it_is_sent_ends_the_sweep(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker()
    file = tmp_path / "points.csv"
    file.write_text("a,y\n" + "".join(f"{n * 0.37 % 1:.3f},{n % 2}\n" for n in range(40)), encoding="utf-8")
    made = plan(tmp_path, text=SCENARIO.replace('"moons"\nsamples = 60', '"points.csv"'))
    sweep = Sweep(made, head_of(made), tmp_path / "sweep", ListSearch(combinations(made)))
    workers = Dask(cluster.address)

    def progress(done: int, _total: int) -> None:
        if done == 0:
            file.write_text(file.read_text(encoding="utf-8").replace(",1", ",2"), encoding="utf-8")

    try:
        with pytest.raises(TrainerError, match=r"points\.csv .* has other contents than when the sweep was started"):
            sweep.train(workers, progress)
        assert not sweep.entries
    finally:
        sweep.close()
        workers.close()


def test_a_cluster_that_is_not_there_is_said_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dask_crew.PATIENCE <= 10
    monkeypatch.setattr(dask_crew, "PATIENCE", 1.0)
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


# --- pruning ---

PRUNED = ("training.lr=0.3,0.2,0.1,0.05,0.02,0.01,0.5,0.001,0.003,0.4",)
EPOCHS = 9


class Watched:
    """The workers of a cluster, noting what they are asked to train and how much was delivered by then."""

    def __init__(self, address: str, stop: int | None = None) -> None:
        self._dask, self._stop = Dask(address), stop
        self.orders: list[tuple[TrialOrder, int]] = []
        self.delivered: list[TrialOrder] = []

    def deliveries(self, orders: Iterable[TrialOrder]) -> Iterator[Trained]:
        def noted() -> Iterator[TrialOrder]:
            for order in orders:
                self.orders.append((order, len(self.delivered)))
                yield order

        for order, delivery in self._dask.deliveries(noted()):
            self.delivered.append(order)
            yield order, delivery
            if len(self.delivered) == self._stop:
                raise KeyboardInterrupt

    def close(self) -> None:
        self._dask.close()


def courses(made: SweepPlan, folder: Path) -> dict[tuple[Settings, int], list[float]]:
    """The validation losses of all trials, trained in this process and none of them ended."""
    found = {}
    for entry in swept(made, folder, Here()):
        with closing(Reader(folder / entry.file)) as reader:
            history = reader.history(0)
        ends = history.epoch_end & (history.step > 0)
        found[entry.settings, entry.seed] = [float(loss) for loss in history.val_loss[ends]]
    return found


def ended_by_optuna(pruner: str, order: TrialOrder, course: list[float]) -> int:
    """The epoch at whose end a study of Optuna's own ends a trial, given what its order knows of earlier ones."""
    optuna = pytest.importorskip("optuna", reason="needs bntui[search]")
    judges = {"median": optuna.pruners.MedianPruner(), "hyperband": optuna.pruners.HyperbandPruner(1, EPOCHS)}
    states = optuna.trial.TrialState
    study = optuna.create_study(study_name="bntui", direction="minimize", pruner=judges[pruner])
    assert order.pruning is not None
    known = {one.number: one for one in order.pruning.known}
    for number in range(order.pruning.number):
        one = known.get(number)
        study.add_trial(
            optuna.trial.create_trial(state=states.FAIL)
            if one is None
            else optuna.trial.create_trial(
                state=states.PRUNED if len(one.values) < EPOCHS else states.COMPLETE, value=one.values[-1],
                intermediate_values=dict(enumerate(one.values, 1)), system_attrs=dict(one.rungs),
            )
        )  # fmt: skip
    trial = study.ask()
    for epoch, loss in enumerate(course, 1):
        trial.report(loss, epoch)
        if trial.should_prune() and epoch < EPOCHS:
            return epoch
    return EPOCHS


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with two workers."""
    made = Cluster(tmp_path_factory.mktemp("two"))
    made.worker()
    made.worker()
    yield made
    made.close()


def assert_pruned_as_optuna(made: SweepPlan, folder: Path, watched: Sequence[Watched]) -> None:
    """Every trial is there once, knew what was delivered before its order was given, and ended where Optuna ends it."""
    full = courses(replace(made, prune=""), folder.with_name("full"))
    entries, before = journal.read(folder)[1], 0
    assert len(entries) == len({(entry.settings, entry.seed) for entry in entries}) == len(full)
    assert {entry.state for entry in entries} == {"done", "pruned"}
    for crew in watched:
        for order, delivered in crew.orders:
            (seed,) = (seed for seed in range(made.seeds) if re.search(rf"^seed = {seed}$", order.text, re.MULTILINE))
            earlier = [entry.course for entry in entries[: before + delivered] if entry.seed == seed]
            assert order.pruning is not None
            assert {one.number for one in order.pruning.known} == {one.number for one in earlier if one}
        for entry, order in zip(entries[before:], crew.delivered, strict=False):
            course = full[entry.settings, entry.seed]
            epochs = ended_by_optuna(made.prune, order, course)
            assert entry.figures["epoch"] == epochs
            assert (entry.state == "pruned") == (epochs < EPOCHS)
            with closing(Reader(folder / entry.file)) as reader:
                history = reader.history(0)
            assert history.val_loss[history.epoch_end & (history.step > 0)].tolist() == course[:epochs]
        before += len(crew.delivered)
    assert before == len(full)


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_cluster_prunes_the_trials_that_optuna_would_end_and_resumes(
    pruner: str, two: Cluster, tmp_path: Path
) -> None:
    """Two workers are busy at once, so that an order does not know of the trials that are being trained."""
    made = plan(tmp_path, over=PRUNED, seeds=2, base=(("training.epochs", EPOCHS),), prune=pruner)
    watched = []
    for stop in (7, None):
        sweep = Sweep(made, head_of(made), tmp_path / "sweep", ListSearch(combinations(made)))
        watched.append(Watched(two.address, stop))
        try:
            with pytest.raises(KeyboardInterrupt) if stop else nullcontext():
                sweep.train(watched[-1])
        finally:
            sweep.close()
            watched[-1].close()
    assert len({entry.worker for entry in sweep.entries}) == 2
    assert_pruned_as_optuna(made, tmp_path / "sweep", watched)


def test_a_worker_that_is_killed_changes_no_pruning(tmp_path: Path) -> None:
    """The other worker trains the same orders, with what they know and their numbers."""
    made = plan(tmp_path, over=PRUNED, seeds=2, base=(("training.epochs", EPOCHS),), prune="median")
    workers = Cluster(tmp_path)
    try:
        both = [workers.worker(), workers.worker()]
        sweep, watched = Sweep(made, head_of(made), tmp_path / "sweep", ListSearch(combinations(made))), None
        try:
            watched = Watched(workers.address)
            sweep.train(watched, lambda done, _total: os.kill(both[0].pid, signal.SIGKILL) if done == 3 else None)
        finally:
            sweep.close()
            if watched is not None:
                watched.close()
        assert both[0].wait() == -signal.SIGKILL
        assert sweep.entries[-1].worker.endswith(f":{both[1].pid}")
    finally:
        workers.close()
    assert_pruned_as_optuna(made, tmp_path / "sweep", [watched])


def test_a_worker_without_optuna_is_named_and_ends_the_sweep(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="needs bntui[search]")
    workers = Cluster(tmp_path)
    try:
        lacking = workers.worker(prelude="import sys; sys.modules['optuna'] = None\n")
        (tmp_path / "small.toml").write_text(SCENARIO)
        answer = bntui(
            "sweep", tmp_path / "small.toml", "--run", "deep", "--over", "training.lr=0.1,0.2", "--prune", "median",
            "--cluster", workers.address, "-o", tmp_path / "sweep",
        )  # fmt: skip
    finally:
        workers.close()
    assert answer.returncode == 1
    assert re.search(rf"worker \S+:{lacking.pid} lacks a package that the sweep needs: .*optuna", answer.stderr)
    assert "bntui sweep --resume" in answer.stderr


def test_the_command_prunes_on_a_cluster_by_the_rules_and_prints_what_trains_a_trial_again(
    two: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "small.toml").write_text(SCENARIO)
    given = [
        "sweep", tmp_path / "small.toml", "--run", "deep", "--over", "training.lr=0.5,0.01,2.0", "--seeds", 2,
        "--set", "training.epochs=40",
    ]  # fmt: skip
    answers = [
        bntui(*given, "-o", tmp_path / "cluster", "--prune", "rules", "--cluster", two.address),
        bntui(*given, "-o", tmp_path / "here", "--prune", "rules", "--jobs", 1),
    ]
    assert [answer.returncode for answer in answers] == [0, 0], answers[0].stderr
    there, here = (journal.read(tmp_path / name)[1] for name in ("cluster", "here"))
    ends = [{(one.settings, one.seed): (one.state, one.figures["epoch"]) for one in found} for found in (there, here)]
    assert ends[0] == ends[1], "the rules look at one trial alone, so it does not matter who trains what when"
    assert {state for state, _epoch in ends[0].values()} == {"done", "pruned"}
    pruned = next(one for one in there if one.state == "pruned")
    summary = (tmp_path / "cluster" / "summary.csv").read_text(encoding="utf-8")
    line = next(row for row in csv.DictReader(summary.splitlines()) if row["file"] == pruned.file)
    again = tmp_path / "again.bntui"
    assert bntui(*shlex.split(line["command"])[1:], "-o", again).returncode == 0
    with closing(Reader(again)) as repeated, closing(Reader(tmp_path / "cluster" / pruned.file)) as kept:
        (run,) = (run.index for run in repeated.runs if run.name == "deep")
        rows = len(kept.history(0))
        assert len(repeated.history(run)) == rows
        digests = [[reader.keyframe(at, row).weights_digest for row in range(rows)] for reader, at in
                   ((repeated, run), (kept, 0))]  # fmt: skip
    assert digests[0] == digests[1]
