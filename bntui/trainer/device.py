"""Where a run trains: the device's name, checked against what this machine has."""

from __future__ import annotations

import torch

from bntui.errors import DeviceError
from bntui.language import _


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
        sentence = _("device {name!r} is not there: this machine has {devices}")
        raise DeviceError(sentence.format(name=name, devices=", ".join(there)))
    return torch.device(wanted)


def available_devices() -> tuple[str, ...]:
    """Names of all devices that a run can train on, the CPU first."""
    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ("cpu", *cuda, *mps)
