"""Chooses the device of a run among those of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bntui.errors import DeviceError
from bntui.text.language import _


def prepare(name: str, deterministic: bool, *, fall_back: bool = False) -> torch.device:
    """Set up the device of a recording so that the same steps give the same bits.

    The CPU does so always.  CUDA needs deterministic algorithms, which must be enabled before its first use.

    Args:
        name: ``auto``, or the name of a device.
        deterministic: use deterministic algorithms on CUDA.
        fall_back: use ``auto`` if the device is not available, for a recording from another machine.

    Raises:
        DeviceError: the device is not available.
    """
    torch.set_num_threads(1)  # but for runs that name more: see :func:`threads`
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    device = resolve_device(name if not fall_back or name in available_devices() else "auto")
    if device.type == "cuda":
        torch.use_deterministic_algorithms(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False  # TF32 keeps only ten bits of the mantissa
    return device


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let so many threads compute together on the CPU, which decides how sums are rounded."""
    before = torch.get_num_threads()
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve_device(name: str) -> torch.device:
    """The device with the given name; ``auto`` is CUDA if available, else the CPU.

    Raises:
        DeviceError: the device is not available; the message names those that are.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    there = available_devices()
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in there:
        sentence = _("device {name!r} is not available; this machine has {devices}")
        raise DeviceError(sentence.format(name=name, devices=", ".join(there)))
    return torch.device(wanted)


def available_devices() -> tuple[str, ...]:
    """Names of all devices that runs can be trained on, the CPU first."""
    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ("cpu", *cuda, *mps)
