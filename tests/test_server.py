"""Tests the trainer's socket with clients that are silent, slow, erratic, or too many, and with foreign servers."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bntui.errors import TrainerError
from bntui.link import Status, command_line
from bntui.link.address import socket_path
from bntui.link.client import Trainer
from bntui.link.live import is_live
from bntui.link.requests import Pace, PlainCommand
from bntui.link.wire import LONGEST_FRAME, FrameError, parse
from bntui.trainer import connection
from bntui.trainer.connection import MOST_CLIENTS, Refused
from bntui.trainer.server import WAITING, Server
from bntui.viewer.feed import Feed
from tests.fakes import PAUSED
from tests.waiting import until


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return tmp_path / "x.bntui"


@pytest.fixture
def server(recording: Path) -> Iterator[Server]:
    made = Server(recording, PAUSED)
    yield made
    made.close()


def joined(recording: Path) -> Trainer:
    trainer = Trainer.connect(recording)
    assert trainer is not None
    return trainer


def test_what_is_refused_is_said_to_its_sender_only_and_what_follows_is_heard(server: Server, recording: Path) -> None:
    with contextlib.closing(joined(recording)) as wild, contextlib.closing(joined(recording)) as other:
        wild._connection.sendall(b"[" * 5000 + b"\n" + b"x" * (LONGEST_FRAME + 1) + b"\n" + command_line("run"))
        heard = [server.heard.get(timeout=10) for _ in range(3)]
        assert [type(request) for request in heard] == [Refused, Refused, PlainCommand]
        for number, refused in enumerate(heard[:2]):
            assert isinstance(refused, Refused)
            refused.sender.refuse(refused.why, number + 1)
        server.publish(Status("paused", None, 0.0, 9, commands=3))
        until(lambda: (told := wild.receive(timeout=10)) is not None and told.refused == 2 and "longer" in told.refusal)
        until(lambda: (told := other.receive(timeout=10)) is not None and told.keyframes == 9 and not told.refusal)


def test_a_frame_that_never_ends_is_given_up(server: Server, recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bntui.link.wire.FRAME_PATIENCE", 0.2)
    monkeypatch.setattr(connection, "LAST_ANSWER", 0.2)
    with contextlib.closing(joined(recording)) as slow, contextlib.closing(joined(recording)) as silent:
        silent.receive(timeout=10)
        slow._connection.sendall(b'{"command": ')
        refused = server.heard.get(timeout=10)
        assert isinstance(refused, Refused)
        assert "incomplete" in refused.why
        while slow.receive(timeout=10) is not None:  # hung up
            pass
        silent.send("pace", epochs_per_second=2)  # who says nothing may wait as long as they like
        assert server.heard.get(timeout=10) == Pace(2)


def test_a_client_that_never_reads_holds_nobody_up(server: Server, recording: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf, contextlib.closing(joined(recording)) as other:
        deaf.connect(str(socket_path(recording)))
        message = "x" * 20_000
        for number in range(200):  # 4 MB: more than any buffer of a socket
            began = time.monotonic()
            server.publish(Status("running", None, 0.0, number, message))
            assert time.monotonic() - began < 5
        until(lambda: (told := other.receive(timeout=10)) is not None and told.keyframes == 199)


def test_more_clients_than_a_few_are_turned_away_with_a_sentence(server: Server, recording: Path) -> None:
    with contextlib.ExitStack() as open_ones:
        clients = [open_ones.enter_context(contextlib.closing(joined(recording))) for _ in range(MOST_CLIENTS)]
        until(lambda: (told := clients[0].receive(timeout=10)) is not None and told.clients == MOST_CLIENTS)
        with contextlib.closing(joined(recording)) as late, pytest.raises(TrainerError, match="8 programs"):
            late.receive(timeout=10)
        clients.pop().close()
        until(lambda: (told := clients[0].receive(timeout=10)) is not None and told.clients == MOST_CLIENTS - 1)
        assert server.status.state == "paused"
        with contextlib.closing(joined(recording)) as late:
            assert late.receive(timeout=10) is not None


def test_a_flood_waits_outside(server: Server, recording: Path) -> None:
    with contextlib.closing(joined(recording)) as wild:
        flood = threading.Thread(target=lambda: wild._connection.sendall(command_line("run") * 20 * WAITING))
        flood.start()
        until(lambda: server.heard.qsize() >= WAITING)
        seen = 0
        for _ in range(20 * WAITING):
            seen = max(seen, server.heard.qsize())
            assert server.heard.get(timeout=10) == PlainCommand("run")
        flood.join()
    assert seen <= WAITING + 1


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\xff\n", b"{}\n", b"[" * 100_000 + b"\n", b"x" * (LONGEST_FRAME + 1),
        b'{"state": "running", "pace": "fast", "rate": 1, "keyframes": 1}\n',
    ],
)  # fmt: skip
def test_what_is_not_a_trainer_is_said_in_a_sentence(recording: Path, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(socket_path(recording)))
        foreign.listen()

        def answer() -> None:
            with foreign.accept()[0] as peer, contextlib.suppress(OSError):
                peer.sendall(said)
                peer.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        with contextlib.closing(joined(recording)) as trainer:
            told = threading.Event()
            feed = Feed(trainer, told.set)
            feed.start()
            assert told.wait(timeout=10)
            assert feed.fetch() == (None, True)
            assert "not a trainer of this bntui" in str(feed.error)
        thread.join()


def test_a_vanished_folder_is_made_again_and_the_socket_bound(server: Server, recording: Path) -> None:
    first = Path(server.address)
    with contextlib.closing(joined(recording)) as before:
        first.unlink()
        for left in first.parent.iterdir():
            left.unlink()
        first.parent.rmdir()
        assert Trainer.connect(recording) is None
        until(lambda: is_live(recording))
        assert oct(first.parent.stat().st_mode & 0o777) == "0o700"
        assert oct(first.stat().st_mode & 0o777) == "0o600"
        before.send("run")  # those that were connected stay
        until(lambda: server.heard.get(timeout=10) == PlainCommand("run"))


def test_where_the_folder_cannot_be_made_again_another_one_serves(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Path(tempfile.mkdtemp(dir="/tmp"))  # a socket's path ends at 108 bytes
    gone, fallback = short / "run", short / "t"
    fallback.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(gone))
    monkeypatch.setattr("tempfile.tempdir", str(fallback))
    server = Server(recording, PAUSED)
    try:
        assert Path(server.address).is_relative_to(gone)
        gone.rename(short / "away")
        gone.write_text("a file stands where the folder was")
        until(lambda: Path(server.address).is_relative_to(fallback))
        with contextlib.closing(joined(recording)) as found:
            assert found.receive(timeout=10) is not None
    finally:
        server.close()
        shutil.rmtree(short)


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 2**62, 0])
def test_a_frame_may_hold_every_whole_number_of_64_bits(number: int) -> None:
    assert parse(f'{{"seed": {number}}}'.encode()) == {"seed": number}
    for beyond in (2**63, -(2**63) - 1, 10**400):
        with pytest.raises(FrameError, match="does not fit in 64 bits"):
            parse(f'{{"seed": {beyond}}}'.encode())
