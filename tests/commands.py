"""Runs commands in this process, for tests of what they say and do and not of how a process starts."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from bntui.__main__ import main
from bntui.text.language import spoken, use


def bntui(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a command answers; it sees the variables of this process and those given."""
    words = ["bntui", *map(str, arguments)]
    output, errors = BytesIO(), BytesIO()
    language, threshold = spoken(), gc.get_threshold()
    with pytest.MonkeyPatch.context() as patch, open(os.devnull, encoding="utf-8") as nothing:
        for name, value in environment.items():
            patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        patch.setattr(sys, "argv", words)
        patch.setattr(sys, "stdin", nothing)
        patch.setattr(sys, "stdout", TextIOWrapper(output, "utf-8", write_through=True))
        patch.setattr(sys, "stderr", TextIOWrapper(errors, "utf-8", write_through=True))
        try:
            main()
            code: object = 0
        except SystemExit as end:
            code = end.code
        finally:
            gc.set_threshold(*threshold)
            use(language)
        texts = output.getvalue().decode(), errors.getvalue().decode()
    assert code is None or isinstance(code, int)
    return subprocess.CompletedProcess(words, code or 0, *texts)
