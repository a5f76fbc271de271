"""Tests that the terminal's modes and settings are restored however the viewer ends, in real pseudo-terminals."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bntui.link.live import is_live
from bntui.viewer.terminal.driver import PATIENCE
from tests.commands import bntui
from tests.gallery import GALLERY
from tests.spread import spread
from tests.terminal import Terminal
from tests.test_session import DIGITS, TWO_RUNS, train
from tests.waiting import until

BNTUI = [sys.executable, "-m", "bntui"]
ON = {1049, 1000, 1003, 1006, 1015, 1004, 2004}
"""Modes of a full screen."""
OFF = {7, 25}
"""Modes of a terminal that nobody has changed: lines wrap, the cursor is seen."""
SIGNALS = ["SIGSEGV", "SIGABRT", "SIGKILL", "SIGQUIT", "SIGTERM", "SIGHUP"]
"""Every other is sent where the list is not tried in full."""


def restored(terminal: Terminal) -> bool:
    return terminal.modes() == OFF and terminal.kitty_levels() == 0 and terminal.settings() == terminal.settings_before


def state(pid: int) -> str:
    """One letter, as ``ps`` has it; Z for a process that has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def becomes(pid: int, wanted: str, seconds: float = 30) -> None:
    """Wait until a process is in that state."""
    until(lambda: state(pid) == wanted, f"the state {wanted} of the process", seconds)


@contextlib.contextmanager
def gallery() -> Iterator[Terminal]:
    with Terminal(GALLERY, 120, 36) as terminal:
        terminal.until("Recordings")
        terminal.settle()
        assert terminal.modes() >= ON
        assert 25 not in terminal.modes()
        assert terminal.settings() != terminal.settings_before
        yield terminal


def test_the_trainers_of_the_gallery_for_tests_end_at_once() -> None:
    with Terminal(GALLERY, 120, 36) as terminal:
        terminal.until("Recordings")
        (viewer,) = terminal.children()
        # one that imported torch would sleep or run for a second or more, and wait then
        until(lambda: any(state(child) == "Z" for child in terminal.children(viewer)), "the end of a trainer", 0.8)
        terminal.press("q")
        assert terminal.exit_code() == 0


# --- the end of the viewer ---


@pytest.mark.parametrize("name", spread(SIGNALS, 2))
def test_a_signal_that_ends_the_viewer_leaves_the_terminal_as_it_was(name: str) -> None:
    with gallery() as terminal:
        (viewer,) = terminal.children()
        number = getattr(signal, name)
        os.kill(viewer, number)
        assert terminal.exit_code() == 128 + number
        assert restored(terminal)
        assert f"the screen was ended by {name}; recordings are intact" in terminal.text


@pytest.mark.parametrize("name", spread(["SIGTERM", "SIGQUIT", "SIGHUP"], 2))
def test_a_signal_to_the_process_that_was_started_reaches_the_viewer(name: str) -> None:
    with gallery() as terminal:
        (viewer,) = terminal.children()
        terminal.process.send_signal(getattr(signal, name))
        assert terminal.exit_code() == 128 + getattr(signal, name)
        assert restored(terminal)
        becomes(viewer, "Z")


@pytest.mark.parametrize("number", spread([signal.SIGKILL, signal.SIGSEGV], 2))
def test_the_viewer_leaves_when_its_guard_is_killed(number: signal.Signals) -> None:
    with gallery() as terminal:
        (viewer,) = terminal.children()
        terminal.process.send_signal(number)
        assert terminal.exit_code() == -number
        becomes(viewer, "Z")
        terminal.settle()
        assert restored(terminal)


def test_a_viewer_that_cannot_leave_in_time_when_its_guard_is_killed_restores_the_terminal() -> None:
    never = "App.exit = lambda *_, **_named: None"
    script = (
        f"import runpy; from textual.app import App; {never}; runpy.run_module('tests.gallery', run_name='__main__')"
    )
    with Terminal([sys.executable, "-c", script], 120, 36) as terminal:
        terminal.until("Recordings")
        terminal.settle()
        (viewer,) = terminal.children()
        terminal.process.send_signal(signal.SIGKILL)
        assert terminal.exit_code() == -signal.SIGKILL
        becomes(viewer, "Z", PATIENCE + 30)
        terminal.settle()
        assert restored(terminal)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("guard"), DIGITS).path


@pytest.mark.parametrize("end", ["os.abort()", "raise ValueError('a mistake of ours')", "ctypes.string_at(0)"])
def test_an_error_in_a_panel_leaves_the_terminal_as_it_was(end: str, recording: Path) -> None:
    script = (
        "import ctypes, os; from bntui.viewer import view_state; from bntui.__main__ import main\n"
        f"def fail(*_, **_named): {end}\n"
        "view_state.build_view = fail; main()"
    )
    with Terminal([sys.executable, "-c", script, "replay", str(recording)]) as terminal:
        code = terminal.exit_code()
        assert code == {"o": 128 + signal.SIGABRT, "r": 1, "c": 128 + signal.SIGSEGV}[end[0]]
        assert restored(terminal)
        assert "Traceback" not in terminal.text


def test_what_does_not_stop_the_viewer_changes_nothing_and_leaving_by_a_key_sends_no_mode_twice() -> None:
    """A second end of the alternate screen would move the cursor, a second one of Kitty's would be the shell's."""
    with gallery() as terminal:
        before = len(terminal.transcript)
        terminal.process.send_signal(signal.SIGCONT)
        os.kill(terminal.children()[0], signal.SIGCONT)
        terminal.settle()
        terminal.press("\x1a")
        terminal.until("No shell would continue bntui")
        assert b"\x1b[?1049h" not in terminal.transcript[before:]
        terminal.press("q")
        assert terminal.exit_code() == 0
        assert restored(terminal)
        assert terminal.transcript.count(b"\x1b[?1049l") == 1
        assert terminal.transcript.count(b"\x1b[<u") == 1


def test_a_viewer_that_is_stopped_and_continued_by_others_draws_again() -> None:
    """SIGSTOP cannot be handled: the guard leaves the screen for it."""
    with gallery() as terminal:
        (viewer,) = terminal.children()
        os.kill(viewer, signal.SIGSTOP)
        becomes(terminal.process.pid, "T")
        terminal.settle()
        assert terminal.modes() == OFF
        before = len(terminal.transcript)
        terminal.process.send_signal(signal.SIGCONT)
        while b"Recordings" not in terminal.transcript[before:]:
            assert terminal.read(60)
        assert terminal.modes() >= ON
        terminal.press("q")
        assert terminal.exit_code() == 0
        assert restored(terminal)


def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_back() -> None:
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with Terminal(shell, 120, 36, {"PS1": "ready> ", "HISTFILE": None}, controlling=True) as terminal:
        terminal.until("ready>")
        at_prompt = terminal.settings()
        terminal.press(f"{' '.join(GALLERY)}\r")
        for _round in range(2):  # fg, bg and fg again
            terminal.until("↑↓ choose")
            terminal.settle()
            assert terminal.modes() >= ON
            before = len(terminal.transcript)
            terminal.press("\x1a")
            while b"Stopped" not in terminal.transcript[before:] or b"ready>" not in terminal.transcript[before:]:
                assert terminal.read(60)
            terminal.settle()
            assert terminal.modes() - {2004} == OFF  # bash turns on bracketed paste itself
            assert terminal.kitty_levels() == 0
            assert terminal.settings() == at_prompt
            terminal.press("echo $((6 * 7)) in between\r")
            terminal.until("42 in between")
            terminal.press("bg\r")  # stops again at once: it has no terminal
            terminal.settle(0.3)
            assert terminal.modes() - {2004} == OFF
            before = len(terminal.transcript)
            terminal.press("fg\r")
            while b"choose" not in terminal.transcript[before:]:
                assert terminal.read(60)
            terminal.settle()
            assert terminal.modes() >= ON
        before = len(terminal.transcript)
        terminal.press("q")
        while b"ready>" not in terminal.transcript[before:]:
            assert terminal.read(60)
        terminal.press("echo code $?\r")
        terminal.until("code 0")
        terminal.press("exit\r")
        terminal.exit_code()


# --- the end of the terminal ---


def test_a_viewer_whose_terminal_vanishes_without_a_signal_ends_and_training_goes_on(tmp_path: Path) -> None:
    scenario, recording = tmp_path / "digits.toml", tmp_path / "x.bntui"
    scenario.write_text(DIGITS.replace("epochs = 6", "epochs = 5000") + TWO_RUNS, encoding="utf-8")
    with Terminal([*BNTUI, "run", str(scenario), "-o", str(recording)]) as terminal:
        terminal.until("running")
        terminal.hang_up()
        assert terminal.process.wait(30) == 129
    assert is_live(recording)
    assert bntui("stop", recording).returncode == 0


def test_the_gallery_ends_as_well_and_with_sighup_ignored() -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    with Terminal([sys.executable, "-c", ignoring, *GALLERY], controlling=True) as terminal:
        terminal.until("Recordings")
        terminal.hang_up()
        assert terminal.process.wait(30) == 129


# --- terminals that cannot show the screen ---


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(None, []), ("", ["run", "batch-normalization"]), ("dumb", []), ("unknown", []), ("no-such-terminal", [])],
)
def test_a_terminal_without_a_cursor_gets_one_sentence(kind: str | None, arguments: list[str]) -> None:
    with Terminal([*BNTUI, *arguments], env={"TERM": kind}) as terminal:
        assert terminal.exit_code() == 2
        assert b"\x1b" not in terminal.transcript
        said = "".join(terminal.text.split())  # the terminal breaks lines within words
        assert "--headless" in said
        assert "bntuishow" in said
        assert terminal.settings() == terminal.settings_before


@pytest.mark.parametrize("kind", spread(["vt100", "xterm", "xterm-kitty", "screen.xterm-256color", "linux"], 4))
def test_terminals_that_are_known_open_the_screen(kind: str) -> None:
    with Terminal(GALLERY, env={"TERM": kind}) as terminal:
        terminal.until("Recordings")
        terminal.press("q")
        assert terminal.exit_code() == 0
