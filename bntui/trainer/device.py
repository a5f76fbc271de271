"""Chooses the device of a run, and checks it against what this machine has."""

from __future__ import annotations

import os

import torch

from bntui.errors import DeviceError
from bntui.text.language import _


def prepare(name: str, deterministic: bool, *, fall_back: bool = False) -> torch.device:
    """The device of a recording, set up so that the same steps give the same bits.

    On the CPU they always do.  On CUDA they do with deterministic algorithms, which is said before its first use.

    Args:
        fall_back: where there is no such device, ``auto``: a recording that was made elsewhere.

    Raises:
        DeviceError: this machine has no such device.
    """
    torch.set_num_threads(1)  # small networks: a second thread costs more than it computes
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    device = resolve_device(name if not fall_back or name in available_devices() else "auto")
    if device.type == "cuda":
        torch.use_deterministic_algorithms(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False  # ten bits of a product are not what the lesson is about
    return device


def resolve_device(name: str) -> torch.device:
    """The device of a scenario; ``auto`` is CUDA where there is one, else the CPU.

    Raises:
        DeviceError: this machine has no such device; the message names those it has.
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
    """Names of all devices that a run can train on, the CPU first."""
    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ("cpu", *cuda, *mps)
