"""Text of a stranger's file, made safe for a terminal."""

from __future__ import annotations

import unicodedata


def clean(text: str) -> str:
    """The text without what a terminal could obey: control and format characters; line breaks become spaces."""
    if text.isprintable():
        return text
    return "".join(" " if char in "\t\n" else char for char in text if char in "\t\n" or _harmless(char))


def _harmless(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
