"""Runs bntui with trainers that end at once: ``python -m tests.gallery``.

The gallery starts a trainer ahead of time, and the trainer imports torch: two seconds of computing, which tests of the
terminal do not need.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Final

from bntui.__main__ import main
from bntui.link import spawn

GALLERY: Final = [sys.executable, "-m", "tests.gallery"]

if __name__ == "__main__":
    vars(spawn)["sys"] = SimpleNamespace(executable="true")
    main()
