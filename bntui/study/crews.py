"""Finds workers for the trials of a sweep: joblib's on this machine (loky) or on Ray, or a Dask cluster's.

A trial whose worker dies is trained again elsewhere; one that kills its workers has failed.
"""

from __future__ import annotations

import queue
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from bntui.errors import TrainerError, UsageError
from bntui.study.order import Delivery, TrialOrder
from bntui.study.sweep_plan import versions
from bntui.study.worker import beside, carried_out, other_versions
from bntui.text.language import _

Done = tuple[TrialOrder, Delivery]
PATIENCE: Final = 10.0
"""Seconds within which a cluster must answer."""
_LOST: Final = 30.0
"""Seconds after which a scheduler that cannot be reached is lost."""

_ADDRESS: Final = re.compile(r"(tcp|tls|ucx|wss?)://([^\s:/]+|\[[0-9a-fA-F:.%]+\])(:\d{1,5})?/?")


class TrialCrew(Protocol):
    """Workers."""

    def deliveries(self, orders: Iterable[TrialOrder]) -> Iterator[Done]:
        """Train orders, and yield each once, as it is done.  Orders are drawn when there is a worker for them."""

    def close(self) -> None:
        """End what is still being trained, and the workers that were started here."""


def crew(jobs: int, cluster: str | None) -> TrialCrew:
    """Workers on this machine, or those of a cluster.

    Raises:
        UsageError: the address is none, nothing answers there, a package is missing, or workers have other versions.
    """
    if cluster is None:
        return Joblib(jobs)
    if cluster.startswith("ray://"):
        return _ray(cluster)
    if _ADDRESS.fullmatch(cluster):
        return Dask(cluster)
    sentence = _(
        "--cluster {address}: write the address of a Dask scheduler, tcp://HOST:PORT, or of Ray, ray://HOST:PORT"
    )
    raise UsageError(sentence.format(address=cluster))


class Joblib:
    """Workers behind joblib's API, by default processes of this machine."""

    def __init__(self, jobs: int, backend: str = "loky", work: Callable[[TrialOrder], Delivery] = beside) -> None:
        self._jobs, self._backend, self._work = jobs, backend, work

    def deliveries(self, orders: Iterable[TrialOrder]) -> Iterator[Done]:
        """Train orders.

        joblib reports a dead worker for the whole call, not for a trial.  Each trial that was being trained then is
        trained again, alone, to find out which of them kills its worker.
        """
        waiting = iter(orders)
        while True:
            flying: dict[int, TrialOrder] = {}
            try:
                for number, delivery in self._parallel(_noted(waiting, flying), self._jobs):
                    yield flying.pop(number), delivery
                return
            except BrokenProcessPool:
                for order in flying.values():
                    yield order, self._alone(order)

    def _alone(self, order: TrialOrder) -> Delivery:
        try:
            ((_number, delivery),) = self._parallel(iter([order]), 1)
        except BrokenProcessPool as error:
            found = re.search(r"(SIG[A-Z]+)", str(error))
            sentence = _("its process was killed by {signal}") if found else _("its process died")
            return Delivery(failure=sentence.format(signal=found[1] if found else ""))
        return delivery

    def _parallel(self, orders: Iterator[TrialOrder], jobs: int) -> Iterator[tuple[int, Delivery]]:
        from joblib import Parallel, delayed, parallel_config

        # a sweep that ends early cancels what is being trained; joblib advises to change the code then
        warnings.filterwarnings("ignore", r"\d+ tasks (which were still|have been successfully)", UserWarning)
        more = {"inner_max_num_threads": 1} if self._backend == "loky" else {}
        # with one job, joblib would train in this process
        with parallel_config(self._backend, n_jobs=max(jobs, 2) if jobs > 0 else jobs, **more):
            ahead = jobs if jobs > 0 else "all"
            run = Parallel(return_as="generator_unordered", pre_dispatch=ahead, batch_size=1)
        yield from run(delayed(_numbered)(self._work, order) for order in orders)

    def close(self) -> None:
        if self._backend == "loky":
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _noted(orders: Iterator[TrialOrder], flying: dict[int, TrialOrder]) -> Iterator[TrialOrder]:
    for order in orders:
        flying[order.number] = order
        yield order


def _numbered(work: Callable[[TrialOrder], Delivery], order: TrialOrder) -> tuple[int, Delivery]:
    return order.number, work(order)


def _ray(address: str) -> TrialCrew:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise _missing(address, "Ray", "ray") from error
    ray.init(address)
    register_ray()
    return Joblib(int(ray.cluster_resources().get("CPU", 1)), "ray", carried_out)


class Dask:
    """The workers of a Dask cluster, with Dask's own futures.

    joblib's Dask backend reports an error for the whole call, and waits forever for a scheduler that is gone.  A future
    says which trial its workers died of, is trained again by the scheduler if a worker is lost, and takes the data
    files from a task, which the scheduler can repeat as well.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise _missing(address, "Dask", "bntui[cluster]") from error
        self._address = address
        try:
            self._client = Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            sentence = _("no Dask scheduler answers at {address}; start one with: dask scheduler")
            raise UsageError(sentence.format(address=address)) from error
        self._data: dict[str, Any] = {}
        self._contents: dict[str, bytes] = {}
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        """Refuse workers that would train something else."""
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            sentence = _("the Dask scheduler at {address} has no workers; start some with: dask worker {address}")
            raise UsageError(sentence.format(address=self._address)) from error
        wrong = []
        ours = versions()
        for worker, theirs in self._client.run(versions, on_error="return").items():
            if not isinstance(theirs, Mapping):
                sentence = _("worker {worker} has no bntui that works: {reason}")
                wrong.append(sentence.format(worker=worker, reason=f"{type(theirs).__name__}: {theirs}"))
            elif dict(theirs) != ours:
                wrong.append(other_versions(worker, theirs, ours))
        for worker, threads in self._client.nthreads().items():
            if threads > 1:
                sentence = _("worker {worker} trains {count} trials at once in one process; start it with --nthreads 1")
                wrong.append(sentence.format(worker=worker, count=threads))
        if wrong:
            raise UsageError("\n".join(wrong))

    def deliveries(self, orders: Iterable[TrialOrder]) -> Iterator[Done]:
        """Train orders; the scheduler trains those of a lost worker again."""
        waiting = iter(orders)
        flying: dict[str, tuple[TrialOrder, Any]] = {}
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        while True:
            for order in islice(waiting, max(self._workers - len(flying), 0)):
                future = self._submitted(order)
                flying[future.key] = order, future
                future.add_done_callback(done.put)
            if not flying:
                return
            future = self._next(done)
            order, _same = flying.pop(future.key)
            yield order, self._result(future)
            future.release()

    @property
    def _workers(self) -> int:
        """Trials that are sent at once: one each worker trains, and one that it has at hand."""
        return 2 * max(len(self._client.nthreads()), 1)

    def _submitted(self, order: TrialOrder) -> Any:
        files = {digest: self._file(name, digest) for name, digest in order.data.items()}
        # each order is a task of its own, whatever its contents: nothing is remembered
        return self._client.submit(carried_out, order, files, pure=False, retries=0)

    def _file(self, name: str, digest: str) -> Any:
        if digest not in self._data:
            contents = Path(name).read_bytes()
            self._data[digest] = self._client.submit(bytes, contents, key=f"bntui-data-{digest}")
        return self._data[digest]

    def _next(self, done: queue.SimpleQueue[Any]) -> Any:
        lost_at = None
        while True:
            try:
                return done.get(timeout=1.0)
            except queue.Empty:
                now = time.monotonic()
                if self._client.status == "running":
                    lost_at = None
                elif now - (lost_at := lost_at or now) > _LOST or self._client.status == "closed":
                    raise self._gone() from None

    def _result(self, future: Any) -> Delivery:
        from distributed import KilledWorker

        if future.status in ("cancelled", "lost"):
            raise self._gone()
        try:
            found: Delivery = future.result()
        except KilledWorker as error:
            return Delivery(failure=_("its workers died, one after another: {reason}").format(reason=error))
        except Exception as error:
            return Delivery(failure=f"{type(error).__name__}: {error}")
        return found

    def _gone(self) -> TrainerError:
        return TrainerError(_("the Dask scheduler at {address} is gone").format(address=self._address))

    def close(self) -> None:
        self._client.close(timeout=PATIENCE)


def _missing(address: str, engine: str, package: str) -> UsageError:
    sentence = _("--cluster {address} needs {engine}, which is not installed; install it with: pip install {package}")
    return UsageError(sentence.format(address=address, engine=engine, package=f"'{package}'"))
