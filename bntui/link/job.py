"""Defines the job that starts a trainer process, and its answer: one frame each, over a socket pair."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from bntui.link import numbers, requests, wire
from bntui.link.requests import ForkRequest
from bntui.link.wire import FrameError
from bntui.scenario.pace import PacingOptions
from bntui.text.language import _

LONGEST_JOB: Final = 16_000_000
"""Maximum size in bytes; a job contains the text of a scenario."""
DEEPEST: Final = 16
"""Maximum nesting; overrides may be tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Record a scenario, or resume a recording."""

    resume: bool
    language: str
    """Language of the user who started the trainer, for its errors."""
    owner: str = ""
    """Name of the process that started the trainer, see ``client.ME``."""
    recording: str | None = None
    """Path; None chooses a new name in the user's folder."""
    scenario: str = ""
    """Path of the file."""
    text: str | None = None
    """The scenario as read and checked; None reads the file."""
    overrides: tuple[tuple[str, Any], ...] = ()
    """Key paths and values."""
    fork: ForkRequest | None = None
    seeds: int | None = None
    """Number of seeds with which to train every run; None: as the scenario says, or as was asked before."""
    watching: PacingOptions | None = None
    """How to train for someone who watches, as far as the scenario does not say it; None: at once and unthrottled."""

    def line(self) -> bytes:
        """As a frame."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @staticmethod
    def parse(line: bytes) -> Job:
        """Parse a job.

        Raises:
            FrameError: it is not one.
        """
        # control characters are allowed: a scenario that contains them is refused when it is read
        told = wire.parse(line, longest=LONGEST_JOB, deepest=DEEPEST, printable=False, finite=False)
        try:
            fork, watched = told.pop("fork", None), told.pop("watching", None)
            watching = None if watched is None else _watching(**watched)
            overrides = tuple((str(path), value) for path, value in told.pop("overrides", ()))
            wanted = None if fork is None else ForkRequest.parse(fork)
            job = Job(**told, overrides=overrides, watching=watching, fork=wanted)
            if job.seeds is not None:
                requests.seeds(job.seeds)
        except (TypeError, ValueError) as error:
            raise FrameError(_("a frame is not a job")) from error
        texts = (job.language, job.owner, job.scenario, job.text or "", job.recording or "")
        if not all(isinstance(text, str) for text in texts) or not isinstance(job.resume, bool):
            raise FrameError(_("a frame is not a job"))
        if job.resume and job.recording is None:
            raise FrameError(_("a frame is not a job"))
        return job


def _watching(pace: object, paused: object) -> PacingOptions:
    if not isinstance(paused, bool | None):
        raise FrameError(_("a frame is not a job"))
    return PacingOptions("max" if pace == "max" else numbers.pace(pace), paused)


@dataclass(frozen=True, slots=True)
class Answer:
    """The recording being trained, or the error."""

    recording: str | None = None
    error: str = ""
    exit_code: int = 1

    def line(self) -> bytes:
        """As a frame."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @staticmethod
    def parse(line: bytes) -> Answer:
        """Parse an answer.

        Raises:
            FrameError: it is not one.
        """
        told = wire.parse(line, printable=False)
        match told:
            case {"recording": str() | None as recording, "error": str() as error, "exit_code": int() as code}:
                return Answer(recording, error, code)
        raise FrameError(_("a frame is not an answer"))
