"""Writes text to stdout: cleans what strangers wrote for a terminal, and encodes JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from typing import Any, TextIO


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
    """Print text that may contain untrusted words to stdout or another stream, sanitized line by line."""
    print(clean_lines(str(text)), file=file, flush=True)


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
