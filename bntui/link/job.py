"""What a trainer process is started for, and what it answers: one frame each, over the socket pair of its start."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from bntui.link import requests, wire
from bntui.link.requests import ForkRequest
from bntui.link.wire import FrameError
from bntui.text.language import _

LONGEST_JOB: Final = 16_000_000
"""Bytes: a job carries the text of a scenario."""
DEEPEST: Final = 16
"""Nesting: overrides may be tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Record a scenario, or resume a recording."""

    resume: bool
    language: str
    """Of whoever started the trainer: its errors are said to them."""
    owner: str = ""
    """Name of the process that starts the trainer, see ``client.ME``."""
    recording: str | None = None
    """Path; None chooses a new name in the user's folder."""
    scenario: str = ""
    """Path of the file."""
    text: str | None = None
    """The scenario as it was read and checked; None reads the file."""
    overrides: tuple[tuple[str, Any], ...] = ()
    """Key paths and values."""
    fork: ForkRequest | None = None
    start: bool = True
    """Train at once, or wait for a command."""
    pace: float | None = None
    """Epochs a second; None is unthrottled."""

    def line(self) -> bytes:
        """As a frame."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @staticmethod
    def parse(line: bytes) -> Job:
        """The job in a frame.

        Raises:
            FrameError: it is not one.
        """
        # control characters are the user's own: a scenario that contains them is refused where it is read
        told = wire.parse(line, longest=LONGEST_JOB, deepest=DEEPEST, printable=False, finite=False)
        try:
            fork, speed = told.pop("fork", None), requests.pace(told.pop("pace", None))
            overrides = tuple((str(path), value) for path, value in told.pop("overrides", ()))
            job = Job(**told, overrides=overrides, pace=speed, fork=None if fork is None else ForkRequest.parse(fork))
        except (TypeError, ValueError) as error:
            raise FrameError(_("a frame is not a job")) from error
        texts = (job.language, job.owner, job.scenario, job.text or "", job.recording or "")
        if not all(isinstance(text, str) for text in texts) or not isinstance(job.resume, bool):
            raise FrameError(_("a frame is not a job"))
        if not isinstance(job.start, bool) or (job.resume and job.recording is None):
            raise FrameError(_("a frame is not a job"))
        return job


@dataclass(frozen=True, slots=True)
class Answer:
    """The recording that is being trained, or why there is none."""

    recording: str | None = None
    error: str = ""
    exit_code: int = 1

    def line(self) -> bytes:
        """As a frame."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @staticmethod
    def parse(line: bytes) -> Answer:
        """The answer in a frame.

        Raises:
            FrameError: it is not one.
        """
        told = wire.parse(line, printable=False)
        match told:
            case {"recording": str() | None as recording, "error": str() as error, "exit_code": int() as code}:
                return Answer(recording, error, code)
        raise FrameError(_("a frame is not an answer"))
