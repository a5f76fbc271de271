"""Text that leaves the program: a stranger's made safe for a terminal, a program's as JSON."""

from __future__ import annotations

import json
import sys
import unicodedata
from typing import Any, TextIO


def clean(text: str) -> str:
    """The text without what a terminal could obey: control and format characters; line breaks become spaces."""
    if text.isprintable():
        return text
    return "".join(" " if char in "\t\n" else char for char in text if char in "\t\n" or _harmless(char))


def clean_lines(text: str) -> str:
    """The same, but line breaks stay: for messages of several lines."""
    return "\n".join(map(clean, text.split("\n")))


def unarmed(text: str) -> str:
    """The text without control characters and changes of direction; other format characters, as names have, stay."""
    return text if text.isprintable() else "".join(filter(_still, text))


def _still(char: str) -> bool:
    steers = "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069"
    return not steers and unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")


def shortened(text: str, longest: int) -> str:
    """At most ``longest`` characters, with an ellipsis where something was left out."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def say(text: object, file: TextIO | None = None) -> None:
    """Print to stdout, or another stream, what may hold names and words of strangers: cleaned, line by line."""
    print(clean_lines(str(text)), file=file, flush=True)


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON for stdout: readable letters as they are, control characters and lone surrogates escaped.

    A path may hold any byte, so it is escaped rather than cleaned: a program gets back the very name.  All of it is
    ASCII where stdout cannot write every character.

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
