"""Finds the line number of each key in a TOML file.

tomllib reports no positions, so this scanner walks the same text.  It does not validate: text that it cannot parse is
skipped to the end of the line, and keys there have no line number.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

KeyPath = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{1,2}(?!"))?'  # up to two quotes may precede the closing three
    r"|'''.*?'''(?:'{1,2}(?!'))?"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BLANK = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_MAX_DEPTH = 64


class _OddError(Exception):
    """Text that cannot be parsed; never leaves this module."""


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line number, from 1, of every key, table, and list entry, by key path such as ``("run", 0, "name")``."""
    return _Scanner(text.replace("\r\n", "\n")).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[KeyPath, int] = {}
        self.tables: dict[KeyPath, int] = {}  # number of tables in each [[array of tables]] so far
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def scan(self) -> dict[KeyPath, int]:
        prefix: KeyPath = ()
        while True:
            self.skip(_BLANK_LINES)
            if self.at >= len(self.text):
                return self.found
            try:
                if self.peek() == "[":
                    prefix = self.header()
                else:
                    self.pair(prefix, 0)
            except _OddError:
                pass
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end

    def header(self) -> KeyPath:
        start = self.at
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        keys = self.keys()
        self.expect("]]" if array else "]")
        path: KeyPath = ()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            self.note(path, start)
            if array and number == len(keys):
                self.tables[path] = self.tables.get(path, 0) + 1
            if path in self.tables:  # a name inside an array of tables refers to its newest table
                path = (*path, self.tables[path] - 1)
                self.note(path, start)
        return path

    def pair(self, prefix: KeyPath, depth: int) -> None:
        start = self.at
        path = prefix
        for key in self.keys():
            path = (*path, key)
            self.note(path, start)
        self.expect("=")
        self.value(path, depth)

    def keys(self) -> list[str]:
        found = [self.key()]
        while self.peek() == ".":
            self.at += 1
            found.append(self.key())
        return found

    def key(self) -> str:
        self.skip(_BLANK)
        if bare := _BARE_KEY.match(self.text, self.at):
            name = bare.group()
            self.at = bare.end()
        else:
            name = self.quoted_key()
        self.skip(_BLANK)
        return name

    def quoted_key(self) -> str:
        quoted = _STRING.match(self.text, self.at)
        if quoted is None:
            raise _OddError
        self.at = quoted.end()
        try:
            return str(tomllib.loads(f"key = {quoted.group()}")["key"])
        except ValueError:
            raise _OddError from None

    def value(self, path: KeyPath, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise _OddError
        self.skip(_BLANK)
        if self.peek() == "[":
            self.entries(path, depth + 1)
        elif self.peek() == "{":
            self.inline_table(path, depth + 1)
        else:
            pattern = _STRING if self.peek() in ("'", '"') else _SCALAR
            scalar = pattern.match(self.text, self.at)
            if scalar is None:
                raise _OddError
            self.at = scalar.end()

    def entries(self, path: KeyPath, depth: int) -> None:
        self.at += 1
        index = 0
        while self.next_entry() != "]":
            self.note((*path, index), self.at)
            self.value((*path, index), depth)
            index += 1
        self.at += 1

    def inline_table(self, path: KeyPath, depth: int) -> None:
        self.at += 1
        while self.next_entry() != "}":
            self.pair(path, depth)
        self.at += 1

    def next_entry(self) -> str:
        self.skip(_BLANK_LINES)
        if self.peek() == ",":
            self.at += 1
            self.skip(_BLANK_LINES)
        if not self.peek():
            raise _OddError
        return self.peek()

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self, pattern: re.Pattern[str]) -> None:
        if match := pattern.match(self.text, self.at):
            self.at = match.end()

    def expect(self, token: str) -> None:
        if not self.text.startswith(token, self.at):
            raise _OddError
        self.at += len(token)

    def note(self, path: KeyPath, position: int) -> None:
        self.found.setdefault(path, bisect_right(self.starts, position))
