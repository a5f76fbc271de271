"""Runs the socket fuzzer briefly, and tests every frame that ever ended a trainer or one of its threads."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.link import Status, TurnedAwayError, requests
from bntui.link.job import Answer, Job
from bntui.link.requests import ForkRequest, Pace, PlainCommand
from bntui.link.wire import DEEPEST, LONGEST_FRAME, FrameError, LineBuffer
from bntui.scenario.pace import PacingOptions
from bntui.trainer.agenda import MOST_FORKS, Agenda
from tests.fuzz.socket import run

DEADLY = {
    "a pace whose inverse is infinite": b'{"command": "pace", "epochs_per_second": 1e-320}',
    "a pace that is infinite": b'{"command": "pace", "epochs_per_second": 1e400}',
    "a pace of 400 digits": b'{"command": "pace", "epochs_per_second": 1' + b"0" * 400 + b"}",
    "a pace that is not a number": b'{"command": "pace", "epochs_per_second": NaN}',
    "a negative pace": b'{"command": "pace", "epochs_per_second": -1}',
    "no pace": b'{"command": "pace", "epochs_per_second": 0}',
    "a true pace": b'{"command": "pace", "epochs_per_second": true}',
    "a pace in words": b'{"command": "pace", "epochs_per_second": "fast"}',
    "a pace without a number": b'{"command": "pace"}',
    "a fork of an infinite run": b'{"command": "fork", "run": Infinity, "step": 0}',
    "a fork at an infinite step": b'{"command": "fork", "run": 0, "step": 1e999}',
    "a fork of a run of 400 digits": b'{"command": "fork", "run": 1' + b"0" * 400 + b', "step": 0}',
    "a fork at step 2**63": b'{"command": "fork", "run": 0, "step": 9223372036854775808}',
    "a fork at a negative step": b'{"command": "fork", "run": 0, "step": -1}',
    "a fork of no run": b'{"command": "fork", "step": 0}',
    "a fork of a run by name": b'{"command": "fork", "run": "plain", "step": 0}',
    "a fork that changes a text": b'{"command": "fork", "run": 0, "step": 0, "changes": "training.lr"}',
    "a fork that changes triples": b'{"command": "fork", "run": 0, "step": 0, "changes": [["a", 1, 2]]}',
    "a fork that changes half a character": b'{"command": "fork", "run": 0, "step": 0, "changes": [["a", "\\ud800"]]}',
    "a fork of 1000 changes": json.dumps(
        {"command": "fork", "run": 0, "step": 0, "changes": [["a", 1]] * 1000}
    ).encode(),
    "a fork with much to change": json.dumps(
        {"command": "fork", "run": 0, "step": 0, "changes": [["a", "b" * 30_000]]}
    ).encode(),
    "lists in lists": b"[" * 100_000,
    "lists in lists, closed": b'{"command": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "lists nine deep": b'{"command": "fork", "run": 0, "step": 0, "changes": [["a", ' + b"[" * 9 + b"]" * 9 + b"]]}",
    "an integer of 5000 digits": b'{"command": ' + b"9" * 5000 + b"}",
    "not UTF-8": b'{"command": "\xff"}',
    "UTF-16": '{"command": "run"}'.encode("utf-16"),
    "a NUL": b'{"command": "run\\u0000"}',
    "a command that is a list": b'{"command": ["stop"]}',
    "a command that is an object": b'{"command": {}}',
    "no command": b"{}",
    "an unknown command": b'{"command": "explode"}',
    "an argument too many": b'{"command": "stop", "now": true}',
    "nothing": b"",
    "a number": b"1",
    "too long": b" " * (LONGEST_FRAME + 1),
}


@pytest.mark.parametrize("frame", DEADLY.values(), ids=DEADLY)
def test_what_is_not_a_request_is_refused_with_a_sentence(frame: bytes) -> None:
    with pytest.raises(FrameError, match=r"\w+ \w+"):
        requests.parse(frame)


@pytest.mark.parametrize(
    ("frame", "request_"),
    [
        (b'{"command": "stop"}', PlainCommand("stop")),
        (b' {"command": "pace", "epochs_per_second": null} ', Pace(None)),
        (b'{"command": "pace", "epochs_per_second": 0.5}', Pace(0.5)),
        (b'{"command": "fork", "run": 1, "step": 20}', ForkRequest(1, 20)),
        (
            b'{"command": "fork", "run": 0, "step": 6, "changes": [["hidden", [4, 4]], ["a.b", {"c": "\xc3\xa9"}]]}',
            ForkRequest(0, 6, (("hidden", [4, 4]), ("a.b", {"c": "é"}))),
        ),
    ],
)
def test_requests_are_what_was_sent(frame: bytes, request_: object) -> None:
    assert requests.parse(frame) == request_


@given(st.binary(max_size=300))
def test_no_bytes_make_a_parser_raise_anything_else(frame: bytes) -> None:
    parsers: tuple[Callable[[bytes], Any], ...] = (requests.parse, Status.parse, Job.parse, Answer.parse)
    for parse in parsers:
        with pytest.raises(FrameError):
            parse(frame)


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_arrive_as_they_were_sent_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    whole, cutter, found = b"".join(line + b"\n" for line in lines), LineBuffer(), []
    while whole:
        at = data.draw(st.integers(1, len(whole)))
        found += cutter.add(whole[:at])
        whole = whole[at:]
    assert found == lines
    assert cutter.patience is None


def test_a_line_that_is_too_long_is_refused_once_and_holds_no_memory() -> None:
    lines = LineBuffer()
    found = [line for _ in range(200) for line in lines.add(b"x" * 65536)]
    assert [type(line) for line in found] == [FrameError]
    assert lines.patience is not None
    assert len(lines._rest) == 0
    assert lines.add(b"the end\nnext\n") == [b"next"]


def test_a_status_survives_the_wire_and_control_characters_do_not() -> None:
    told = Status("failed", 0.5, 3.25, 7, "a\x1b[2Jb\ud800\n", "no", 3, 4, 2, "/tmp/\x07x")
    heard = Status.parse(told.line())
    assert (heard.message, heard.recording) == ("a�[2Jb�\n", "/tmp/�x")
    assert Status.parse(heard.line()) == heard
    newer = json.loads(heard.line()) | {"mood": "fine"}
    assert Status.parse(json.dumps(newer).encode()) == heard
    older = {key: newer[key] for key in ("state", "pace", "rate", "keyframes")}
    assert Status.parse(json.dumps(older).encode()) == Status("failed", 0.5, 3.25, 7)
    with pytest.raises(TurnedAwayError, match="eight"):
        Status.parse(TurnedAwayError("eight are here").line())


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "happy"}, {"state": []}, {"pace": "fast"}, {"rate": "NaN"}, {"keyframes": -1}, {"keyframes": 1.5},
        {"message": 7}, {"refused": None}, {"clients": True},
    ],
)  # fmt: skip
def test_what_is_not_a_status_is_refused(wrong: dict[str, Any]) -> None:
    right = json.loads(Status("paused", None, 0.0, 0).line())
    with pytest.raises(FrameError):
        Status.parse(json.dumps(right | wrong).encode())


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, '{"pace": 1e400}', '{"pace": NaN}', '{"epochs": 1e9}', '{"steps": {"0": "x"}}', '{"steps": []}',
        '{"forks": [{"run": Infinity, "step": 0}]}', '{"forks": 1}', '{"running": 1}', '{"more": 1}', "null",
        json.dumps({"forks": [{"run": 0, "step": 0}] * (MOST_FORKS + 1)}),
    ],
)  # fmt: skip
def test_a_strangers_agenda_is_refused_in_a_sentence(text: str) -> None:
    from bntui.errors import RecordingError

    with pytest.raises(RecordingError, match="damaged"):
        Agenda.parse(text)


def test_an_agenda_holds_every_fork_that_a_frame_can_ask_for() -> None:
    value: Any = 1
    for _ in range(DEEPEST - 4):
        value = [value]
    fork = {"command": "fork", "run": 0, "step": 3, "changes": [["network.hidden", value], ["t", "é" * 9000]]}
    request = requests.parse(json.dumps(fork, ensure_ascii=False).encode())
    assert isinstance(request, ForkRequest)
    agenda = Agenda(pace=2.0, steps={0: 4}, forks=(request,) * MOST_FORKS)
    assert Agenda.parse(agenda.text()) == agenda
    assert agenda.full


def test_a_job_survives_the_wire() -> None:
    job = Job(
        resume=False, language="ko", scenario="/a/\udcff.toml", text="title = \"x\"\n\x1b", recording=None,
        overrides=(("training.lr", 0.5), ("network.hidden", [3, 4]), ("title", "\x1b")),
        watching=PacingOptions("max", paused=True),
    )  # fmt: skip
    assert Job.parse(job.line()) == job
    change = ForkRequest(0, 3, (("training.lr", 1),))
    fork = Job(resume=True, language="en", recording="/x", fork=change, watching=PacingOptions(0.5))
    assert Job.parse(fork.line()) == fork


def test_a_short_part_of_the_fuzzer_breaks_nothing() -> None:
    outcome = run(300, 1)
    assert outcome.crashes == []
    assert outcome.refused > 200
