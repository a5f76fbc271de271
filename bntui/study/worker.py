"""Trains orders in a worker process, which imports torch with the first one."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Final

from bntui.errors import BntuiError, UsageError
from bntui.study.order import Delivery, TrialOrder
from bntui.study.sweep_plan import versions
from bntui.text.language import _, use

_LOOK: Final = 1.0
"""Seconds between two looks at whether the process that wants the trials still lives."""


def carried_out(order: TrialOrder, files: Mapping[str, bytes] | None = None) -> Delivery:
    """Train an order in this process; every error becomes a delivery that says so.

    Args:
        files: contents of data files, by checksum, for a worker on a machine that may not have them.
    """
    use(order.language)
    me = f"{socket.gethostname()}:{os.getpid()}"
    if (here := versions("" if order.pruning is None else order.pruning.pruner)) != dict(order.versions):
        return Delivery(worker=me, refusal=other_versions(me, here, order.versions))
    from bntui.study.sweep_train import OtherDataError, trained

    started = time.process_time()
    try:
        delivery = trained(order, files or {})
    except OtherDataError as error:
        return Delivery(worker=me, refusal=str(error))
    except ImportError as error:
        sentence = _("worker {worker} lacks a package that the sweep needs: {reason}")
        return Delivery(worker=me, refusal=sentence.format(worker=me, reason=error))
    except BntuiError as error:
        return Delivery(worker=me, seconds=time.process_time() - started, failure=str(error))
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        return Delivery(worker=me, seconds=time.process_time() - started, failure=failure)
    return replace(delivery, seconds=time.process_time() - started, worker=me)


def beside(order: TrialOrder) -> Delivery:
    """Train an order in a worker of this machine."""
    import bntui.study.preloaded  # noqa: F401

    return carried_out(order)


def other_versions(worker: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """Why a worker is refused."""
    differing = ", ".join(
        f"{name} {theirs.get(name, '–')} ≠ {version}" for name, version in ours.items() if theirs.get(name) != version
    )
    sentence = _("worker {worker} has other versions ({versions}); the same seed could give other figures there")
    return sentence.format(worker=worker, versions=differing)


def lacking(address: str, engine: str, package: str) -> UsageError:
    """Says that a package is missing."""
    sentence = _("--cluster {address} needs {engine}, which is not installed; install it with: pip install {package}")
    return UsageError(sentence.format(address=address, engine=engine, package=f"'{package}'"))


@cache
def settle(parent: int) -> None:
    """Let this process ignore Ctrl+C, and end with the one that started it, which may be gone by now."""
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
