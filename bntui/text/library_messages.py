"""Translates known error messages of the system and of libraries.

Messages are looked up, never guessed: a message worded differently in another version stays English.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from bntui.text.language import N_, _
from bntui.text.output import clean, shortened

SYSTEM: Final = (
    N_("No such file or directory"),
    N_("Permission denied"),
    N_("Operation not permitted"),
    N_("Is a directory"),
    N_("Not a directory"),
    N_("File exists"),
    N_("File name too long"),
    N_("File too large"),
    N_("No space left on device"),
    N_("Disk quota exceeded"),
    N_("Read-only file system"),
    N_("Input/output error"),
    N_("Too many open files"),
    N_("Too many levels of symbolic links"),
    N_("Could not determine home directory."),
)
SQLITE: Final = (
    N_("disk I/O error"),
    N_("database or disk is full"),
    N_("attempt to write a readonly database"),
    N_("database is locked"),
    N_("database disk image is malformed"),
    N_("file is not a database"),
    N_("unable to open database file"),
)
TOML: Final = (
    N_("Invalid statement"),
    N_("Expected newline or end of document after a statement"),
    N_("Expected ']' at the end of a table declaration"),
    N_("Expected ']]' at the end of an array declaration"),
    N_("Expected '=' after a key in a key/value pair"),
    N_("Expected {what}"),
    N_("Found invalid character {character}"),
    N_("Illegal character {character}"),
    N_("Cannot declare {key} twice"),
    N_("Cannot overwrite a value"),
    N_("Cannot mutate immutable namespace {key}"),
    N_("Cannot redefine namespace {key}"),
    N_("Invalid initial character for a key part"),
    N_("Unclosed array"),
    N_("Unclosed inline table"),
    N_("Duplicate inline table key {key}"),
    N_("Unescaped '\\' in a string"),
    N_("Invalid hex value"),
    N_("Escaped character is not a Unicode scalar value"),
    N_("Unterminated string"),
    N_("Invalid date or datetime"),
    N_("Invalid value"),
)
CSV: Final = (
    N_("unexpected end of data"),
    N_("'{delimiter}' expected after '{quote}'"),
    N_("line contains NUL"),
    N_("field larger than field limit ({limit})"),
    N_("new-line character seen in unquoted field - do you need to open the file with newline=''?"),
)
ARCHIVES: Final = (
    N_("Compressed file ended before the end-of-stream marker was reached"),
    N_("CRC check failed {found} != {expected}"),
    N_("Incorrect length of data produced"),
    N_("Not a gzipped file ({start})"),
    N_("Error {number} while decompressing data: {reason}"),
    N_("Bad CRC-32 for file {name}"),
    N_("Object arrays cannot be loaded when allow_pickle=False"),
)


LONGEST: Final = 300
"""Maximum length of a repeated message in characters; it may quote the file that it complains about."""


def told(message: str, sentences: Iterable[str] = (*SYSTEM, *SQLITE, *TOML, *CSV, *ARCHIVES)) -> str:
    """Translate a known message with the values found in it; return any other unchanged.

    The result has no control characters and is of bounded length.
    """
    message = shortened(clean(message), LONGEST)
    for sentence in sentences:
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.*)", re.escape(sentence))
        if match := re.fullmatch(pattern, message, re.DOTALL):
            return _(sentence).format(**match.groupdict())
    return message


def in_toml(error: ValueError, text: str) -> tuple[str, int | None]:
    """The translated message of a tomllib error, and its line number."""
    message = str(error)
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if place is None:
        return told(message), None
    words = told(message[: place.start()])
    if place[1]:
        return words, int(place[1])
    return _("{reason} (at the end of the document)").format(reason=words), text.count("\n") + 1


def reason(error: OSError) -> str:
    """The translated reason of a system error."""
    return told(error.strerror or str(error))
