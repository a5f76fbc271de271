"""Models the line to the terminal from its answers, and says how much may be sent now.

After each frame the terminal is asked where its cursor is.  Its answer says that the frame has arrived, whatever
buffers lie between: those of sshd and of the network hide from the program how much waits in them.  From the times
follow the round trip and the rate, and from these how large the next frame may be and when it may leave.

A terminal that never answers is judged by how long writing took: that tells the rate where writes block.

All times are in seconds of one clock, all sizes in bytes.  A :class:`Line` is frozen; each function gives the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

FRAMES: Final = 2
"""Frames that may be on their way at once: the second one fills the line while the answer to the first travels."""
NUMBERS: Final = 128
"""So many numbers tell frames apart, at most."""
FRAME_SECONDS: Final = 0.1
"""A frame takes the line for so long at most: a key waits for the frames that are on their way."""
LEAD: Final = 0.02
"""A frame may leave so long before the line is expected to be free."""
LEAST: Final = 400
"""A frame is never smaller than this where there is something to say."""
BURST: Final = 8000
"""Size of a frame until it is known whether the terminal answers."""
FIRST: Final = 4000
"""Size of the first frame on a line of unknown rate: half a second at 8 kB/s."""
NEAR: Final = 0.02
"""A terminal that answers sooner than this is on this machine, or in this room: nothing is held back at first."""
UNLIMITED: Final = 1 << 24
"""Size of a frame that is never reached."""
WEIGHT: Final = 2000
"""A frame of this size moves the rate half way to what it measured; small ones measure little."""
TELLING: Final = 100
"""A frame that is smaller tells nothing about the rate."""
FASTEST: Final = 1e-6
"""Seconds a byte below which a line is not told from an infinitely fast one."""
GIVE_UP: Final = 2.0
"""A terminal that has not answered for so long after the first question never will."""
ASSUMED: Final = 16_000
"""Bytes a second that are sent until it is known whether the terminal answers, ..."""
AHEAD: Final = 1.25
"""... and how many seconds ahead of that: a first screen is not delayed by a terminal that never answers."""
PATIENCE: Final = 3.0
"""An answer that is so late is lost, or the line stands still: ..."""
KNOCKING: Final = 1.0
"""... then one frame is sent so often, ..."""
FORGETTING: Final = 30.0
"""... and after so long the terminal counts as one that never answers."""
BLOCKED: Final = 0.02
"""A write that took longer waited for the line."""
WRITING: Final = 0.05
"""Seconds between two looks at whether the kernel has taken a frame."""
HIDDEN: Final = 4096
"""Bytes that wait in the kernel, at least, when a write has blocked."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame on its way."""

    number: int
    size: int
    at: float


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of the line to a terminal."""

    opened: float = 0.0
    """When the terminal was asked first."""
    answers: bool | None = None
    """Whether the terminal answers; None while that is not known."""
    heard: float | None = None
    """When it answered last."""
    in_flight: tuple[Sent, ...] = ()
    """Frames without an answer, the oldest first."""
    unwritten: int = 0
    """Frames that the kernel has not taken yet."""
    last: float = 0.0
    """When the last frame left."""
    round_trip: float | None = None
    """Seconds from an empty line's frame of no size to its answer."""
    per_byte: float | None = None
    """Seconds that the line takes for a byte; None while that is not known."""
    free: float = 0.0
    """When the line is expected to have passed on all that was sent."""

    @property
    def rate(self) -> float | None:
        """Bytes a second, None while they are not known."""
        return None if self.per_byte is None else 1 / max(self.per_byte, FASTEST)


def opened(number: int, size: int, now: float) -> Line:
    """A line whose terminal was asked for the first time, after ``size`` bytes that set it up."""
    return Line(opened=now, in_flight=(Sent(number, size, now),), last=now, free=now)


def sent(line: Line, number: int, size: int, now: float) -> Line:
    """A frame has left, and the question after it."""
    assumed = 1 / ASSUMED if line.answers is None else 0.0
    taken = size * (assumed if line.per_byte is None else line.per_byte)
    return replace(
        line,
        in_flight=(*line.in_flight, Sent(number, size, now))[-NUMBERS:],
        unwritten=line.unwritten + 1,
        last=now,
        free=max(line.free, now) + taken,
    )


def answered(line: Line, number: int, now: float) -> Line:
    """The answer to a frame has come; a frame before it whose answer was lost has arrived as well."""
    frame = next((frame for frame in line.in_flight if frame.number == number), None)
    if frame is None:
        return line
    rest = tuple(other for other in line.in_flight if other.at >= frame.at and other is not frame)
    took = max(0.0, now - frame.at)
    round_trip = _round_trip(line, frame, took)
    began = max(frame.at + round_trip, line.heard if line.heard is not None else 0.0)
    per_byte = line.per_byte
    alone = len(line.in_flight) == len(rest) + 1
    if alone and line.heard is not None and frame.size >= TELLING:  # the first answer only tells the round trip
        measured = max(0.0, now - began) / frame.size
        weight = frame.size / (frame.size + WEIGHT)
        per_byte = measured if per_byte is None else per_byte + weight * (measured - per_byte)
    free = now - round_trip
    for other in rest:
        free = max(free, other.at) + other.size * (per_byte or 0.0)
    return replace(line, answers=True, heard=now, in_flight=rest, round_trip=round_trip, per_byte=per_byte, free=free)


def _round_trip(line: Line, frame: Sent, took: float) -> float:
    """The least that was seen; it grows where frames too small to matter take longer on an empty line."""
    before = line.round_trip
    if before is None or took <= before:
        return took
    small = frame.size * (line.per_byte or 0.0) < LEAD / 2
    alone = line.heard is not None and frame.at >= line.heard and frame is line.in_flight[0]
    return before + 0.05 * (took - before) if small and alone else before


def written(line: Line, size: int, seconds: float, now: float) -> Line:
    """The kernel has taken a frame of ``size`` bytes, and ``seconds`` to do so."""
    line = replace(line, unwritten=max(0, line.unwritten - 1))
    if line.answers or size < TELLING:
        return line
    if seconds > BLOCKED:
        per_byte = seconds / size
        return replace(line, per_byte=per_byte, free=now + HIDDEN * per_byte)
    if line.per_byte is not None:  # it did not block: perhaps the line is faster than it was
        line = replace(line, per_byte=line.per_byte * 0.98)
    return line


def looked(line: Line, now: float) -> Line:
    """Time has passed: answers that have not come by now are lost."""
    if line.answers is None and now - line.opened > GIVE_UP:
        return replace(line, answers=False, free=now)
    if line.answers and line.in_flight and now - max(line.in_flight[0].at, line.heard or 0.0) > _patience(line):
        return replace(line, answers=False)
    return line


def room(line: Line, now: float) -> int:
    """Size of the frame that may leave now; 0 where none may."""
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


def wait(line: Line, now: float) -> float:
    """Seconds after which it is worth asking again for room, though no answer comes."""
    return max(0.001, _wait(looked(line, now), now))


def _wait(line: Line, now: float) -> float:
    queue = min(max(0.0, line.free - now - LEAD), PATIENCE)
    if line.answers is None:
        if len(line.in_flight) >= NUMBERS // 2:  # one more could not be told from the first
            return WRITING
        return queue if line.per_byte is not None else min(max(0.0, line.free - now - AHEAD), PATIENCE)
    if line.answers:
        if len(line.in_flight) < (FRAMES if line.per_byte is not None else 1):
            return queue
        return max(0.001, max(line.in_flight[0].at, line.heard or 0.0) + _patience(line) - now)
    if line.heard is not None and now - line.heard < FORGETTING:
        return max(0.0, line.last + KNOCKING - now)
    return max(queue, WRITING if line.unwritten and now - line.last < PATIENCE else 0.0)


def _patience(line: Line) -> float:
    """Seconds that an answer may take before it counts as lost."""
    waiting = sum(frame.size for frame in line.in_flight)
    expected = (line.round_trip or 0.0) + waiting * (line.per_byte or 0.0)
    return min(max(PATIENCE, 4 * expected), 4 * PATIENCE)
