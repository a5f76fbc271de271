"""Models the line to the terminal from its answers, and determines how much may be sent now.

After each frame, the terminal is asked for its cursor position.  The answer means that the frame has arrived, in spite
of buffers on the way, such as those of sshd and of the network, whose content the program cannot see.  The times give
the round trip and the rate, which determine how large the next frame may be and when it may be sent.

For a terminal that never answers, the rate is estimated from the duration of writes that block.

All times are in seconds of one clock, and all sizes in bytes.  A :class:`TerminalLine` is frozen; each function returns
a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

FRAMES: Final = 2
"""Maximum number of frames in flight: the second one uses the line while the answer to the first is on its way."""
NUMBERS: Final = 128
"""Maximum number of frames that can be distinguished."""
FRAME_SECONDS: Final = 0.1
"""Maximum seconds for which a frame occupies the line, because a key's effects wait for the frames in flight."""
LEAD: Final = 0.02
"""Seconds before the line is expected to be free at which the next frame may be sent."""
LEAST: Final = 400
"""Minimum size limit of a frame."""
BURST: Final = 8000
"""Size limit of a frame until it is known whether the terminal answers."""
FIRST: Final = 4000
"""Size limit of the first frame on a line of unknown rate: half a second at 8 kB/s."""
NEAR: Final = 0.02
"""A terminal that answers within this many seconds is nearby, so the first frames are not limited."""
UNLIMITED: Final = 1 << 24
"""A size limit that no frame reaches."""
WEIGHT: Final = 2000
"""Size of a frame that moves the rate halfway to its own measurement; smaller frames have less effect."""
TELLING: Final = 100
"""Minimum size of a frame that is used to measure the rate."""
FASTEST: Final = 1e-6
"""Seconds per byte below which a line counts as infinitely fast."""
GIVE_UP: Final = 2.0
"""Seconds after the first question from which a terminal counts as one that never answers."""
ASSUMED: Final = 16_000
"""Assumed rate, in bytes per second, until it is known whether the terminal answers."""
AHEAD: Final = 1.25
"""Seconds by which frames may be ahead of the assumed rate, so that the first screen is not delayed."""
PATIENCE: Final = 3.0
"""Minimum seconds after which an answer counts as lost, and the line as stalled."""
KNOCKING: Final = 1.0
"""Seconds between two frames on a stalled line."""
FORGETTING: Final = 30.0
"""Seconds without an answer after which the terminal counts as one that never answers."""
BLOCKED: Final = 0.02
"""Seconds above which a write must have waited for the line."""
WRITING: Final = 0.05
"""Seconds between two checks whether the kernel has accepted a frame."""
HIDDEN: Final = 4096
"""Minimum number of bytes in the kernel's buffer when a write has blocked."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame in flight."""

    number: int
    size: int
    at: float


@dataclass(frozen=True, slots=True)
class TerminalLine:
    """What is known about the line to a terminal."""

    opened: float = 0.0
    """Time of the first question."""
    answers: bool | None = None
    """Whether the terminal answers; None until known."""
    heard: float | None = None
    """Time of the last answer."""
    in_flight: tuple[Sent, ...] = ()
    """Frames without an answer, oldest first."""
    unwritten: int = 0
    """Frames that the kernel has not accepted yet."""
    last: float = 0.0
    """When the last frame was sent."""
    round_trip: float | None = None
    """Seconds from an empty frame on an idle line to its answer."""
    per_byte: float | None = None
    """Seconds that the line needs per byte; None until known."""
    free: float = 0.0
    """Expected time at which the line has transmitted everything."""

    @property
    def rate(self) -> float | None:
        """Bytes per second; None until known."""
        return None if self.per_byte is None else 1 / max(self.per_byte, FASTEST)


def opened(number: int, size: int, now: float) -> TerminalLine:
    """The line after the first question, which followed ``size`` bytes that set up the terminal."""
    return TerminalLine(opened=now, in_flight=(Sent(number, size, now),), last=now, free=now)


def sent(line: TerminalLine, number: int, size: int, now: float) -> TerminalLine:
    """The line after a frame and its question were sent."""
    assumed = 1 / ASSUMED if line.answers is None else 0.0
    taken = size * (assumed if line.per_byte is None else line.per_byte)
    return replace(
        line,
        in_flight=(*line.in_flight, Sent(number, size, now))[-NUMBERS:],
        unwritten=line.unwritten + 1,
        last=now,
        free=max(line.free, now) + taken,
    )


def answered(line: TerminalLine, number: int, now: float) -> TerminalLine:
    """The line after the answer to a frame; earlier frames without an answer must have arrived, too."""
    frame = next((frame for frame in line.in_flight if frame.number == number), None)
    if frame is None:
        return line
    rest = tuple(other for other in line.in_flight if other.at >= frame.at and other is not frame)
    took = max(0.0, now - frame.at)
    round_trip = _round_trip(line, frame, took)
    began = max(frame.at + round_trip, line.heard if line.heard is not None else 0.0)
    per_byte = line.per_byte
    alone = len(line.in_flight) == len(rest) + 1
    if alone and line.heard is not None and frame.size >= TELLING:  # the first answer only measures the round trip
        measured = max(0.0, now - began) / frame.size
        weight = frame.size / (frame.size + WEIGHT)
        per_byte = measured if per_byte is None else per_byte + weight * (measured - per_byte)
    free = now - round_trip
    for other in rest:
        free = max(free, other.at) + other.size * (per_byte or 0.0)
    return replace(line, answers=True, heard=now, in_flight=rest, round_trip=round_trip, per_byte=per_byte, free=free)


def _round_trip(line: TerminalLine, frame: Sent, took: float) -> float:
    """The shortest round trip so far; it increases slowly if small frames on an idle line take longer."""
    before = line.round_trip
    if before is None or took <= before:
        return took
    small = frame.size * (line.per_byte or 0.0) < LEAD / 2
    alone = line.heard is not None and frame.at >= line.heard and frame is line.in_flight[0]
    return before + 0.05 * (took - before) if small and alone else before


def written(line: TerminalLine, size: int, seconds: float, now: float) -> TerminalLine:
    """The line after the kernel accepted a frame of ``size`` bytes, which took ``seconds``."""
    line = replace(line, unwritten=max(0, line.unwritten - 1))
    if line.answers or size < TELLING:
        return line
    if seconds > BLOCKED:
        per_byte = seconds / size
        return replace(line, per_byte=per_byte, free=now + HIDDEN * per_byte)
    if line.per_byte is not None:  # the write did not block, so the line may have become faster
        line = replace(line, per_byte=line.per_byte * 0.98)
    return line


def looked(line: TerminalLine, now: float) -> TerminalLine:
    """The line at a later time, when overdue answers count as lost."""
    if line.answers is None and now - line.opened > GIVE_UP:
        return replace(line, answers=False, free=now)
    if line.answers and line.in_flight and now - max(line.in_flight[0].at, line.heard or 0.0) > _patience(line):
        return replace(line, answers=False)
    return line


def room(line: TerminalLine, now: float) -> int:
    """Size limit of a frame that may be sent now; 0 if none may."""
    line = looked(line, now)
    if _wait(line, now) > 0:
        return 0
    if line.answers is None and line.per_byte is None:
        return BURST
    if line.per_byte is None:
        near = line.answers is False or (line.round_trip is not None and line.round_trip < NEAR)
        return UNLIMITED if near else FIRST
    if line.per_byte < FASTEST:
        return UNLIMITED
    return max(LEAST, round(FRAME_SECONDS / line.per_byte))


def wait(line: TerminalLine, now: float) -> float:
    """Seconds after which :func:`room` should be called again if no answer arrives."""
    return max(0.001, _wait(looked(line, now), now))


def _wait(line: TerminalLine, now: float) -> float:
    queue = min(max(0.0, line.free - now - LEAD), PATIENCE)
    if line.answers is None:
        if len(line.in_flight) >= NUMBERS // 2:  # leave room, so that numbers stay distinguishable
            return WRITING
        return queue if line.per_byte is not None else min(max(0.0, line.free - now - AHEAD), PATIENCE)
    if line.answers:
        if len(line.in_flight) < (FRAMES if line.per_byte is not None else 1):
            return queue
        return max(0.001, max(line.in_flight[0].at, line.heard or 0.0) + _patience(line) - now)
    if line.heard is not None and now - line.heard < FORGETTING:
        return max(0.0, line.last + KNOCKING - now)
    return max(queue, WRITING if line.unwritten and now - line.last < PATIENCE else 0.0)


def _patience(line: TerminalLine) -> float:
    """Seconds after which an answer counts as lost."""
    waiting = sum(frame.size for frame in line.in_flight)
    expected = (line.round_trip or 0.0) + waiting * (line.per_byte or 0.0)
    return min(max(PATIENCE, 4 * expected), 4 * PATIENCE)
