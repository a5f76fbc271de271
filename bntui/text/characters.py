"""Determines which characters the terminal can show, and replaces the others.

The locale decides, as usual in POSIX.  A missing character is replaced by ASCII of the same width, so that columns stay
aligned.  This happens in two places: the screen's driver, and the error handler of stdout and stderr.
"""

from __future__ import annotations

import codecs
import os
import unicodedata
from collections.abc import Mapping
from typing import Final, TextIO

UTF8: Final = "utf-8"
PLAIN: Final = ("C", "POSIX")
"""Locales with ASCII characters only."""
_COERCED: Final = ("C.UTF-8", "C.utf8", "UTF-8")
"""Values that Python itself sets in LC_CTYPE for a plain locale (PEP 538)."""
_KOREAN: Final = "\ud55c"
"""A Korean syllable."""
_HANDLER: Final = "bntui"

_PAIRS: Final = {
    "·•▪⬩": ".*.*", "…": ".", "−–—‑": "----", "±×÷√∞∂′‖": "~x//Id'|", "≤≥≠≈⊘": "<>!~0", "←↑→↓↔↕↵⟵⟶": "<^>v-|<<>",
    "αβγδεηθκλμνπρσςτφχψωΔΣΦΩΘΛΠΨ": "abgdenoklmvprsstfxyoDSFOOLPY", "‘’“”„«»": "''\"\"\"<>",
    "●▲■◆▼✚○△□◈▽✛": "o^#%v+OAH&Vx", "★☆◇◌▣▮▯▸▶▴▾◂◀✓✗✕✖⚠❚❯☐☑": "**$o=#_>>^v<<+xxx!|>_x",
    "─━┄┅┈┉╌╍╴╶╸╺╼╾═": "-" * 15, "│┃┆┇┊┋╎╏╵╷╹╻╽╿║": "|" * 15, "╱╲╳": "/\\X",
    "▁▂▃▄▅▆▇█▀▔▐▌▍▎▏▊▋▉▕": '_.-=+*%#"-' + "|" * 9, "░▒▓": ".:%",
}  # fmt: skip
_DENSITY: Final = (" ", ".", ".", ":", ":", "*", "*", "#", "#")
"""Replacement of a braille cell by the number of its dots."""


def charset(environment: Mapping[str, str] = os.environ, stream: TextIO | None = None) -> str:
    """The terminal's encoding, as the name of a Python codec.

    An environment without a locale counts as UTF-8, as in Python: it is typically a container or a service.  A locale
    explicitly set to ``C`` is ASCII.

    Args:
        stream: the output; the terminal cannot show what this stream cannot encode.
    """
    name = next((name for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
    locale = environment.get(name, "")
    if name == "LC_CTYPE" and locale in _COERCED and environment.get("LANG") in PLAIN:
        locale = environment["LANG"]
    if environment.get("PYTHONUTF8") == "1":
        locale = ""
    if locale in PLAIN:
        return "ascii"
    written = _codec((stream.encoding if stream is not None else None) or UTF8)
    named = locale.partition("@")[0].partition(".")[2]
    if not named:  # "en_US" alone is ISO-8859-1 in POSIX, but Python knows how the C library interprets it
        return written
    return written if written != UTF8 else _codec(named)


def _codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "ascii"


def speaks(language: str, codec: str | None) -> bool:
    """True if an encoding has the letters of a language; a stream without an encoding accepts all."""
    return language != "ko" or codec is None or _encodable(_KOREAN, codec)


def _encodable(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeError:
        return False
    return True


class Replacements(dict[int, str]):
    """A table for ``str.translate`` that keeps the encoding's letters and replaces all else by ASCII of the same width.

    Symbols are replaced even if the encoding has them, because in East Asian encodings they may take two cells.
    """

    def __init__(self, codec: str) -> None:
        super().__init__({number: chr(number) for number in range(128)})
        self._codec = codec

    def __missing__(self, number: int) -> str:
        char = chr(number)
        keep = unicodedata.category(char)[0] == "L" and _encodable(char, self._codec)
        self[number] = found = char if keep else replacement(char)
        return found


def replacement(char: str) -> str:
    """The most similar ASCII of the same width in cells, or question marks."""
    if char in _TABLE:
        return _TABLE[char]
    number = ord(char)
    if 0x2800 <= number <= 0x28FF:
        return _DENSITY[(number - 0x2800).bit_count()]
    if 0x2500 <= number <= 0x257F:
        return "+"
    if 0x2580 <= number <= 0x259F:
        return "#"
    from rich.cells import cell_len

    cells = cell_len(char)
    alike = unicodedata.normalize("NFKD", char).translate(_MINUS)
    alike = "".join(part for part in alike if part.isascii() and part.isprintable())
    return alike if len(alike) == cells else "?" * cells


_TABLE: Final = {char: alike for chars, likes in _PAIRS.items() for char, alike in zip(chars, likes, strict=True)}
_MINUS: Final = {0x2212: "-", 0x2044: "/"}


def never_fail(*streams: TextIO) -> None:
    """Make streams replace characters that they cannot encode, instead of raising UnicodeEncodeError."""
    codecs.register_error(_HANDLER, _replaced)
    codecs.register_error(f"{_HANDLER}-bytes", _replaced_or_raw)
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # missing if a test has replaced the stream
            reconfigure(errors=_HANDLER if stream.isatty() else f"{_HANDLER}-bytes")


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(replacement, error.object[error.start : error.end])), error.end


def _replaced_or_raw(error: UnicodeError) -> tuple[str | bytes, int]:
    """Like ``_replaced``, but passes on undecodable bytes of a file name unchanged, for programs that read them."""
    if isinstance(error, UnicodeEncodeError) and 0xDC80 <= ord(error.object[error.start]) <= 0xDCFF:
        return bytes([ord(error.object[error.start]) - 0xDC00]), error.start + 1
    return _replaced(error)
