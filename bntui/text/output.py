"""Writes text to stdout: cleans what strangers wrote for a terminal, and encodes JSON for programs."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
import unicodedata
from typing import Any, Final, TextIO

UNWRITABLE: Final = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Errors of a write to a stream."""


def clean(text: str) -> str:
    """Remove characters that a terminal could interpret (control and format characters); line breaks become spaces."""
    if text.isprintable():
        return text
    return "".join(" " if char in "\t\n" else char for char in text if char in "\t\n" or _harmless(char))


def clean_lines(text: str) -> str:
    """The same, but keep line breaks, for messages of several lines."""
    return "\n".join(map(clean, text.split("\n")))


def unarmed(text: str) -> str:
    """Remove control characters and bidirectional formatting; keep other format characters, which occur in names."""
    return text if text.isprintable() else "".join(filter(_still, text))


def storable(text: str) -> str:
    """Replace the bytes of a file name that are not UTF-8, for which Python has characters that no database takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _still(char: str) -> bool:
    steers = "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069"
    return not steers and unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")


def shortened(text: str, longest: int) -> str:
    """Truncate to at most ``longest`` characters, with an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def screen_cells() -> int | None:
    """Cells of a line on the terminal that stdout is; None where it is a file or a program, which gets all there is."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say(text: object, file: TextIO | None = None) -> None:
    """Print text that may contain untrusted words to stdout or another stream, sanitized line by line.

    A message that stderr cannot take is dropped: there is nowhere left to report it.
    """
    try:
        print(clean_lines(str(text)), file=file, flush=True)
    except OSError:
        if file is not sys.stderr:
            raise
        _discard(file)


def open_closed() -> None:
    """Let stdout and stderr lead nowhere if the shell has closed them (``>&-``); Python sets them to None."""
    sys.stdout, sys.stderr = (
        stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
        for stream in (sys.stdout, sys.stderr)
    )


def lost_output(failed: OSError | None = None) -> OSError | None:
    """Write what is left for stdout; returns why some of the output cannot be written, None if all was.

    Args:
        failed: the error that ended the program.  Errors of files name the file, those of stdout do not.
    """
    lost = failed if failed is not None and failed.filename is None and failed.errno in UNWRITABLE else None
    try:
        sys.stdout.flush()
    except OSError as error:
        lost = lost or error
    if lost is not None:
        _discard(sys.stdout)
    return lost


def _discard(stream: TextIO) -> None:
    """Discard what a stream still has to write, so that Python does not report the same error again at its end."""
    with contextlib.suppress(OSError):  # a stream of a test is no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON for stdout: printable letters unescaped, control characters and lone surrogates escaped.

    A path may contain any byte, so it is escaped rather than sanitized, and a program can recover the exact name.  All
    output is ASCII if stdout cannot encode every character.

    Raises:
        ValueError: a number is not finite.
    """
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    text = json.dumps(value, ensure_ascii=not encoding.startswith("utf"), allow_nan=False, indent=indent)
    if text.isprintable():
        return text
    return "".join(char if char == "\n" or _harmless(char) else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"


def _harmless(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
