"""Encodes and decodes the few Protocol Buffers that event files consist of.

Field numbers are those of ``event.proto``, ``summary.proto``, and ``tensor.proto`` in TensorFlow.  See
https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

VARINT: Final = 0
DOUBLE: Final = 1
BYTES: Final = 2
FLOAT: Final = 5
_LONGEST: Final = 10
"""Bytes of the longest varint."""


def varint(number: int, value: int) -> bytes:
    """A field with a whole number; a negative one as int64."""
    return _tag(number, VARINT) + _varint(value & (1 << 64) - 1)


def double(number: int, value: float) -> bytes:
    """A field with a double."""
    return _tag(number, DOUBLE) + struct.pack("<d", value)


def message(number: int, contents: bytes | str) -> bytes:
    """A field with bytes, text, or an encoded message."""
    data = contents.encode() if isinstance(contents, str) else contents
    return _tag(number, BYTES) + _varint(len(data)) + data


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Number, wire type, and value of each field of a message: a whole number, or the bytes of anything else.

    Raises:
        ValueError: the bytes are not a message.
    """
    at, end = 0, len(data)
    while at < end:
        tag, at = _read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise ValueError
        if kind == VARINT:
            value, at = _read_varint(data, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, at = _read_varint(data, at)
        elif kind in (DOUBLE, FLOAT):
            size = 8 if kind == DOUBLE else 4
        else:
            raise ValueError
        if size > end - at:
            raise ValueError
        yield number, kind, data[at : at + size]
        at += size


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(data[at : at + _LONGEST]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at + shift + 1
    raise ValueError
