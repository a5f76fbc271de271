"""Reports versions, terminal, folders, and devices for bug reports, and to explain a slow screen."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sqlite3
import sys
from dataclasses import asdict, dataclass

import bntui
from bntui.commands.preference import configuration, configuration_path
from bntui.cpu import cores
from bntui.errors import UsageError
from bntui.link.training_packages import PACKAGES, how_to_install, missing
from bntui.recording.names import recordings_folder
from bntui.text.language import N_, _, ngettext, spoken


@dataclass(frozen=True, slots=True)
class DoctorLine:
    """One line of the report."""

    name: str
    """In English, as in JSON; translated for display."""
    value: str
    fine: bool
    advice: str = ""


def examine() -> list[DoctorLine]:
    """Versions, terminal, folder and devices, in that order."""
    return [*_versions(), *_terminal(), _folder(), *_devices()]


def as_record(findings: list[DoctorLine]) -> list[dict[str, object]]:
    return [asdict(finding) for finding in findings]


def _versions() -> list[DoctorLine]:
    advice = _("bntui requires Python 3.11 or newer")
    python = DoctorLine("python", platform.python_version(), sys.version_info >= (3, 11), advice)
    absent = missing()
    packages = ("textual", "plotext", "numpy", *(name for name in PACKAGES if name not in absent))
    found = [DoctorLine(name, importlib.metadata.version(name), fine=True) for name in packages]
    if absent:
        needed = _("needed to train; everything else works. Install with one of\n{commands}")
        value = _("without {packages}").format(packages=", ".join(absent))
        found.append(DoctorLine(N_("training"), value, fine=False, advice=needed.format(commands=how_to_install())))
    return [
        DoctorLine("bntui", bntui.__version__, fine=True),
        python,
        *found,
        DoctorLine("sqlite", sqlite3.sqlite_version, True),
    ]


def colors() -> str:
    """The terminal's color depth; SSH does not forward COLORTERM, so 256 is common there."""
    if os.environ.get("NO_COLOR"):
        return _("none (NO_COLOR)")
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return _("24-bit")
    return "256" if "256color" in os.environ.get("TERM", "") else "16"


def _terminal() -> list[DoctorLine]:
    size = shutil.get_terminal_size()
    encoding = (sys.stdout.encoding or "").lower()
    term = os.environ.get("TERM", "")
    return [
        DoctorLine(
            N_("terminal"), term or _("none"), term not in ("", "dumb"), _("set TERM, for example to xterm-256color")
        ),
        DoctorLine(
            N_("size"), f"{size.columns}x{size.lines}", size.columns >= 80 and size.lines >= 24, _("80x24 or more")
        ),
        DoctorLine(N_("colors"), colors(), fine=True),
        DoctorLine(
            N_("encoding"),
            encoding or _("unknown"),
            encoding.startswith("utf"),
            _("set LANG=C.UTF-8 or another UTF-8 locale"),
        ),
        DoctorLine(N_("language"), spoken(), fine=True),
        _configuration(),
        DoctorLine("ssh", _("yes") if "SSH_CONNECTION" in os.environ else _("no"), fine=True),
    ]


def _configuration() -> DoctorLine:
    path = configuration_path()
    try:
        configuration()
    except UsageError as error:
        return DoctorLine(N_("configuration"), str(path), fine=False, advice=str(error))
    return DoctorLine(
        N_("configuration"), str(path) if path.exists() else _("{path} (none)").format(path=path), fine=True
    )


def _folder() -> DoctorLine:
    folder = recordings_folder()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    usable = os.access(place, os.R_OK | os.W_OK | os.X_OK)
    advice = _("use -o FILE to record on a disk with free space")
    if not usable:
        advice = _("you may not write there; use -o FILE to record in another folder")
    value = _("{folder} ({free:.1f} GB free)").format(folder=folder, free=free / 1e9)
    return DoctorLine(N_("recordings"), value, usable and free > 1e9, advice)


def _devices() -> list[DoctorLine]:
    count = cores()
    if missing():
        return [DoctorLine("cpu", ngettext("{cores} core", "{cores} cores", count).format(cores=count), fine=True)]
    import torch

    from bntui.trainer.device import available_devices

    names = [
        f"{device} ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else device
        for device in available_devices()
    ]
    capability = torch.backends.cpu.get_cpu_capability()
    return [
        DoctorLine(N_("devices"), ", ".join(names), fine=True),
        DoctorLine("cpu", _("{cores} cores, {capability}").format(cores=count, capability=capability), fine=True),
    ]
