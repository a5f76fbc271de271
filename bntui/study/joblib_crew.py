"""Trains the trials of a sweep in worker processes of this machine: joblib's, by loky.

A trial whose worker dies is trained again alone; one that kills its worker has failed.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool

from bntui.study.interrupts import interrupted_later
from bntui.study.order import Delivery, Trained, TrialOrder
from bntui.study.worker import beside, settle
from bntui.text.language import _


class Joblib:
    """Worker processes of this machine."""

    def __init__(self, jobs: int, work: Callable[[TrialOrder], Delivery] = beside) -> None:
        self._jobs, self._work = jobs, work

    def deliveries(self, orders: Iterable[TrialOrder]) -> Iterator[Trained]:
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
        from joblib.externals.loky.backend import resource_tracker as loky_tracker

        # a sweep that ends early cancels what is being trained; joblib advises to change the code then
        warnings.filterwarnings("ignore", r"\d+ tasks (which were still|have been successfully)", UserWarning)
        # with one job, joblib would train in this process
        with parallel_config("loky", n_jobs=max(jobs, 2) if jobs > 0 else jobs, inner_max_num_threads=1):
            ahead = jobs if jobs > 0 else "all"
            run = Parallel(return_as="generator_unordered", pre_dispatch=ahead, batch_size=1)
        loky_tracker.ensure_running()
        with interrupted_later():  # workers are started with the first orders
            found = run(delayed(_numbered)(self._work, order, os.getpid()) for order in orders)
        yield from found

    def close(self) -> None:
        from joblib.externals.loky import get_reusable_executor

        # without these arguments, a new executor would wait until the trials of the old one are trained
        get_reusable_executor(reuse=True, kill_workers=True).shutdown(wait=True, kill_workers=True)


def _noted(orders: Iterator[TrialOrder], flying: dict[int, TrialOrder]) -> Iterator[TrialOrder]:
    for order in orders:
        flying[order.number] = order
        yield order


def _numbered(work: Callable[[TrialOrder], Delivery], order: TrialOrder, parent: int) -> tuple[int, Delivery]:
    settle(parent)
    return order.number, work(order)
