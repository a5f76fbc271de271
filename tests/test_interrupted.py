"""Tests that Ctrl+C and SIGTERM end the program with their exit codes also where a class is being defined.

Up to Python 3.11, what a ``__set_name__`` raises becomes the cause of a RuntimeError, and importing Textual or pydantic
defines hundreds of classes.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import os, signal, sys
    import bntui.cli
    from bntui.__main__ import main

    class Interrupting:
        def __set_name__(self, owner, name):
            os.kill(os.getpid(), signal.{name})
            for _ in range(1000):
                pass  # the handler runs between two instructions

    def obey(arguments):
        class Defined:
            field = Interrupting()

    bntui.cli.obey = obey
    sys.argv = ["bntui", "verify"]
    main()
"""


@pytest.mark.parametrize(
    ("name", "code", "said"), [("SIGINT", 130, ""), ("SIGTERM", 143, "bntui: stopped by SIGTERM\n")]
)
def test_what_interrupts_the_definition_of_a_class_ends_the_program(name: str, code: int, said: str) -> None:
    program = textwrap.dedent(PROGRAM).format(name=name)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, said)


def test_another_error_keeps_its_traceback() -> None:
    program = (
        textwrap.dedent(PROGRAM).format(name="SIGINT").replace("os.kill(os.getpid(), signal.SIGINT)", "raise KeyError")
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "KeyError" in done.stderr
