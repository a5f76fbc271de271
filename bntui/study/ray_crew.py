"""Trains the trials of a sweep on the workers of a Ray cluster.

joblib's backend for Ray gives its results all together at the end, so that nothing would be recorded before.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from bntui.errors import TrainerError, UsageError
from bntui.study.order import Delivery, Trained, TrialOrder
from bntui.study.sweep_plan import versions
from bntui.study.trial import contents_to_send
from bntui.study.worker import carried_out, lacking, other_versions
from bntui.text.language import _
from bntui.text.output import clean

_LOOK: Final = 5.0
"""Seconds after which it is asked again how many workers there are."""
PATIENCE: Final = 10.0
"""Seconds within which a cluster must answer."""
DEFAULT_PORT: Final = 10001
"""Where Ray listens for clients unless told otherwise."""
_REPEATED: Final = 3
"""How often a trial is trained again whose worker has died."""


class Ray:
    """The workers of a Ray cluster, with Ray's own tasks."""

    def __init__(self, address: str, prune: str = "") -> None:
        try:
            import ray
        except ImportError as error:
            raise lacking(address, "Ray", "ray[client]") from error
        self._ray: Any = ray
        self._address = address
        try:
            _knock(address)
            self._client: Any = ray.init(address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # of several libraries
            sentence = _("no Ray cluster answers at {address} ({reason}); start one with: ray start --head")
            raise UsageError(sentence.format(address=address, reason=_line(error))) from error
        try:
            self._check(prune)
        except BaseException:
            self.close()
            raise
        # each order is a task of its own, which needs one core
        self._train: Any = ray.remote(num_cpus=1, max_retries=_REPEATED)(_with_files)
        self._data: dict[str, Any] = {}

    def _check(self, prune: str) -> None:
        """Refuse workers that would train something else; each of them looks again at every order."""
        ours = versions(prune)
        try:
            theirs = self._ray.get(self._ray.remote(num_cpus=1)(versions).remote(prune))
        except Exception as error:  # such as no bntui
            sentence = _("worker {worker} has no bntui that works: {reason}")
            raise UsageError(sentence.format(worker=self._address, reason=_line(error))) from error
        if dict(theirs) != ours:
            raise UsageError(other_versions(self._address, theirs, ours))

    def deliveries(self, orders: Iterable[TrialOrder]) -> Iterator[Trained]:
        """Train orders; Ray trains those of a lost worker again."""
        waiting = iter(orders)
        flying: dict[Any, TrialOrder] = {}
        while True:
            try:
                for order in islice(waiting, max(self._workers - len(flying), 0)):
                    flying[self._submitted(order)] = order
                if not flying:
                    return
                ready, _rest = self._ray.wait(list(flying), num_returns=1, timeout=_LOOK)
                done = [(flying.pop(task), self._result(task)) for task in ready]
            except ConnectionError as error:
                raise TrainerError(_("the Ray cluster at {address} is gone").format(address=self._address)) from error
            yield from done

    @property
    def _workers(self) -> int:
        """Trials that are sent at once: one that each core trains, and one that it has at hand."""
        return 2 * max(int(self._ray.cluster_resources().get("CPU", 1)), 1)

    def _submitted(self, order: TrialOrder) -> Any:
        files = [self._file(name, digest) for name, digest in order.data.items()]
        return self._train.remote(order, list(order.data.values()), *files)

    def _file(self, name: str, digest: str) -> Any:
        if digest not in self._data:
            self._data[digest] = self._ray.put(contents_to_send(name, digest))
        return self._data[digest]

    def _result(self, task: Any) -> Delivery:
        try:
            found: Delivery = self._ray.get(task)
        except ConnectionError:
            raise
        except self._ray.exceptions.WorkerCrashedError as error:
            return Delivery(failure=_("its workers died, one after another: {reason}").format(reason=_line(error)))
        except Exception as error:  # such as a worker without bntui
            return Delivery(failure=f"{type(error).__name__}: {_line(error)}")
        return found

    def close(self) -> None:
        """End what is still being trained."""
        self._client.disconnect()


def _knock(address: str) -> None:
    """Ask quickly whether anything is there: Ray asks for half a minute."""
    place = urlsplit(address)
    socket.create_connection((place.hostname or "", place.port or DEFAULT_PORT), PATIENCE).close()


def _line(error: Exception) -> str:
    """The last line of an error's text, which is long and has colors."""
    return clean((str(error).strip().splitlines() or [type(error).__name__])[-1])


def _with_files(order: TrialOrder, digests: list[str], *contents: bytes) -> Delivery:
    files: Mapping[str, bytes] = dict(zip(digests, contents, strict=True))
    return carried_out(order, files)
