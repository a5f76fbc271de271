"""Says which packages a training needs that are not installed, and the commands that install them.

Everything but training works without them: ``pip install bntui`` leaves them out, and the extra ``train`` adds them.
"""

from __future__ import annotations

import shlex
import sys
from functools import cache
from importlib.util import find_spec
from typing import Final

from bntui.errors import UsageError
from bntui.text.language import _

PACKAGES: Final = {"torch": "torch", "scikit-learn": "sklearn", "joblib": "joblib"}
"""What the extra ``train`` installs, and the module of each."""
EXTRA: Final = "bntui[train]"
CPU_BUILDS: Final = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of builds without CUDA."""


@cache
def missing() -> tuple[str, ...]:
    """The packages of the extra ``train`` that are not installed."""
    return tuple(package for package, module in PACKAGES.items() if find_spec(module) is None)


def how_to_install() -> str:
    """The commands that install them, one a line."""
    extra = shlex.quote(EXTRA)
    python = shlex.quote(sys.executable)
    return "\n".join(
        (
            f"  pip:   {python} -m pip install {extra}",
            f"  pipx:  pipx install --force {extra}",
            f"  uv:    uv tool install --force {extra}",
            _("or, with the smaller build of torch for CPUs only:"),
            f"  pip:   {python} -m pip install {extra} --extra-index-url {CPU_BUILDS}",
            f"  pipx:  pipx install --force {extra} --pip-args='--extra-index-url {CPU_BUILDS}'",
            f"  uv:    uv tool install --force {extra} --torch-backend cpu",
        )
    )


def why_no_training() -> str:
    """Why nothing can be trained here, in a sentence for the screen; empty if everything is installed."""
    if not missing():
        return ""
    sentence = _("Training needs {packages}: not installed. bntui doctor prints the commands that install it.")
    return sentence.format(packages=", ".join(missing()))


def need_training() -> None:
    """Check that a training can start.

    Raises:
        UsageError: a package is missing; with the commands that install it.
    """
    if missing():
        sentence = _("training needs {packages}: not installed; install it with one of\n{commands}")
        raise UsageError(sentence.format(packages=", ".join(missing()), commands=how_to_install()))
