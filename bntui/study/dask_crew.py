"""Trains the trials of a sweep on the workers of a Dask cluster."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from bntui.errors import TrainerError, UsageError
from bntui.study.order import Delivery, Trained, TrialOrder
from bntui.study.sweep_plan import versions
from bntui.study.trial import contents_to_send
from bntui.study.worker import carried_out, lacking, other_versions
from bntui.text.language import _

PATIENCE: Final = 10.0
"""Seconds within which a cluster must answer."""
_LOST: Final = 30.0
"""Seconds after which a scheduler that cannot be reached is lost."""


class Dask:
    """The workers of a Dask cluster, with Dask's own futures.

    joblib's Dask backend reports an error for the whole call, and waits forever for a scheduler that is gone.  A future
    says which trial its workers died of, is trained again by the scheduler if a worker is lost, and takes the data
    files from a task, which the scheduler can repeat as well.
    """

    def __init__(self, address: str, prune: str = "") -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise lacking(address, "Dask", "bntui[cluster]") from error
        self._address = address
        try:
            self._client = Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise self._silent() from error
        self._data: dict[str, Any] = {}
        self._contents: dict[str, bytes] = {}
        try:
            self._check(prune)
        except OSError as error:  # it has gone meanwhile
            self.close()
            raise self._silent() from error
        except BaseException:
            self.close()
            raise

    def _check(self, prune: str) -> None:
        """Refuse workers that would train something else."""
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            sentence = _("the Dask scheduler at {address} has no workers; start some with: dask worker {address}")
            raise UsageError(sentence.format(address=self._address)) from error
        wrong = []
        ours = versions(prune)
        for worker, theirs in self._client.run(versions, prune, on_error="return").items():
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

    def deliveries(self, orders: Iterable[TrialOrder]) -> Iterator[Trained]:
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
        try:
            return 2 * max(len(self._client.nthreads()), 1)
        except OSError as error:
            raise self._gone() from error

    def _submitted(self, order: TrialOrder) -> Any:
        files = {digest: self._file(name, digest) for name, digest in order.data.items()}
        # each order is a task of its own, whatever its contents: nothing is remembered
        return self._client.submit(carried_out, order, files, pure=False, retries=0)

    def _file(self, name: str, digest: str) -> Any:
        if digest not in self._data:
            contents = contents_to_send(name, digest)
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

    def _silent(self) -> UsageError:
        sentence = _("no Dask scheduler answers at {address}; start one with: dask scheduler")
        return UsageError(sentence.format(address=self._address))

    def _gone(self) -> TrainerError:
        return TrainerError(_("the Dask scheduler at {address} is gone").format(address=self._address))

    def close(self) -> None:
        for name in ("distributed.client", "distributed.utils"):  # they log a traceback where the scheduler is gone
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._client.close(timeout=PATIENCE)
