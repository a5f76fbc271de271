"""Runs the trainer process: waits for a job on the inherited socket and trains it, independently of the terminal.

The process is started as ``python -P -m bntui.trainer_process FD LOG`` in a session of its own.  The job is one JSON
line.  The answer is another, sent when the first keyframes are recorded or training could not begin.  If the socket
closes before a job arrives, the process exits.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import os
import signal
import socket
import sys
import traceback
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bntui.errors import BntuiError, UsageError
from bntui.link import Status
from bntui.link.job import LONGEST_JOB, Answer, Job
from bntui.link.wire import FrameError
from bntui.scenario.pace import AskedPace
from bntui.text.language import _, use
from bntui.text.library_messages import reason

if TYPE_CHECKING:
    from bntui.trainer.agenda import Agenda
    from bntui.trainer.cores.template import Template
    from bntui.trainer.session import Session


def main() -> int:
    """Serve one job; the exit code is that of the error that ended it.  A log with nothing in it is removed."""
    with contextlib.suppress(OSError):
        fcntl.flock(sys.stdout.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)  # while it is locked, the log is in use
    try:
        return _serve()
    except Exception:  # such as a torch that cannot be imported; the interpreter would say so after the log is removed
        _log_error()
        return 1
    finally:
        log = Path(sys.argv[2])
        with contextlib.suppress(OSError):  # the disk is full
            sys.stdout.flush()
            sys.stderr.flush()
        if log.exists() and not log.stat().st_size:
            log.unlink()


def _serve() -> int:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # training continues when the terminal closes
    control = socket.socket(fileno=int(sys.argv[1]))
    _warm()
    template = _template(control)
    with control.makefile("rb") as lines:
        line = lines.readline(LONGEST_JOB + 1)
    if not line:
        return 0
    try:
        job = Job.parse(line)
    except FrameError as error:
        _answer(control, Answer(error=str(error)))
        return 1
    return _train(control, job, template)


def _warm() -> None:
    """Import slow modules while the user is still choosing.

    The garbage collector would visit the modules' objects again and again: it took a fifth of the time of importing
    them, and visits them never again.
    """
    gc.disable()
    from bntui.cpu import wait_briefly
    from bntui.trainer.lazy_torch import import_torch

    wait_briefly()
    import_torch()
    import bntui.trainer.service  # noqa: F401

    gc.freeze()
    gc.enable()


def _template(control: socket.socket) -> Template | None:
    """A process that forks workers, if there are cores for them; made while this one has nothing to share."""
    from bntui.cpu import cores
    from bntui.trainer.cores.template import Template
    from bntui.trainer.cores.worker import serve

    if cores() < 2 or sys.platform != "linux":  # elsewhere, libraries that torch uses may not survive a fork
        return None
    try:
        return Template.start(serve, close=[control.fileno()])
    except OSError as error:  # no process may be started
        print(error, file=sys.stderr, flush=True)
        return None


def _train(control: socket.socket, job: Job, template: Template | None) -> int:
    from bntui.link.requests import STOP
    from bntui.study import bands
    from bntui.trainer.seeds import SeedStudy
    from bntui.trainer.server import Server
    from bntui.trainer.service import Service

    server, session, answered = None, None, False
    use(job.language)
    try:
        session, agenda = (_resumed if job.resume else _begun)(job, template)
        session.write_behind()
        recording = session.writer.path
        status = Status("running", agenda.pace, 0.0, session.writer.keyframes)  # until the service says what it is
        server = Server(recording, status, owner=job.owner, moved=lambda: session.moved)
        stop = server.put
        signal.signal(signal.SIGTERM, lambda *_signal: stop(STOP))
        service = Service(
            session, server, agenda, for_fork=job.fork is not None, study=SeedStudy(bands.missing, bands.train)
        )
        _answer(control, Answer(str(recording)))
        answered = True
        service.serve()
    except Exception as error:
        known = isinstance(error, BntuiError)
        if not known:
            _log_error()
        failed = _("the trainer failed: {kind}: {reason}").format(kind=type(error).__name__, reason=error)
        if isinstance(error, OSError) and error.filename is not None:
            failed = f"{error.filename}: {reason(error)}"
        message = str(error) if known else failed
        code = error.exit_code if isinstance(error, BntuiError) else 1
        if server is not None and answered:
            server.publish(Status("failed", None, 0.0, 0, message))
        else:
            _answer(control, Answer(error=message, exit_code=code))
        return code
    finally:
        if server is not None:
            server.close()
    return 0


def _begun(job: Job, template: Template | None) -> tuple[Session, Agenda]:
    """Start a new recording of a scenario."""
    from bntui.scenario.load import load, parse
    from bntui.trainer.session import Session

    path, text, overrides = Path(job.scenario), job.text, job.overrides
    scenario = load(path, overrides) if text is None else parse(text, file=str(path), path=path, overrides=overrides)
    session = Session.begin(scenario, Path(job.recording) if job.recording else None, overrides, template)
    epochs = max(run.config.training.epochs for run in scenario.runs)
    agenda = _agenda(job, epochs, scenario.view.pace, paused=scenario.view.paused)
    return session, replace(agenda, seeds=job.seeds or scenario.seeds)


def _resumed(job: Job, template: Template | None) -> tuple[Session, Agenda]:
    """Resume a recording with its pending requests, and create a fork if the job asks for one."""
    from bntui.trainer.agenda import Agenda
    from bntui.trainer.session import Session

    assert job.recording is not None
    session = Session.resume(Path(job.recording), all_runs=job.fork is None, template=template)
    try:
        agenda = Agenda.parse(session.writer.agenda)
        again = _agenda_again(job)
        agenda = replace(agenda, running=agenda.running or again.running, pace=again.pace)
        if job.fork is not None:
            fork = session.fork(job.fork.run, job.fork.step, job.fork.changes)  # at once: who asks hears why it cannot
            if job.watching is not None:
                agenda = agenda.paused().with_fork_alone(fork.index, session.goal_of(fork))
        elif job.seeds is not None:
            agenda = replace(agenda.paused(), seeds=max(agenda.seeds, job.seeds))
        elif session.over and not agenda.forks and not _seeds_left(session):
            raise UsageError(
                _("all runs of {recording} have ended; fork one of them instead").format(recording=job.recording)
            )
    except BaseException:
        session.close()
        raise
    return session, agenda


def _seeds_left(session: Session) -> int:
    """Number of trainings with other seeds that were asked for and have not ended."""
    from bntui.recording.opened import Recording

    with closing(Recording(session.writer.path)) as reader:
        return reader.seeds_left


def _agenda_again(job: Job) -> Agenda:
    """What is to be done with a recording; its scenario's wish to wait was for its beginning."""
    from bntui.recording.opened import Recording

    assert job.recording is not None
    with closing(Recording(Path(job.recording))) as reader:
        epochs = max((run.epochs for run in reader.runs), default=1)
        return _agenda(job, epochs, reader.first_view.pace, paused=False)


def _agenda(job: Job, epochs: int, pace: AskedPace, *, paused: bool) -> Agenda:
    """What is to be done, for a scenario with this longest run, that asks for a pace, and perhaps to wait."""
    from bntui.trainer.agenda import Agenda

    if job.watching is None:
        return Agenda(running=True)
    waits = paused if job.watching.paused is None else job.watching.paused
    return Agenda(not waits, job.watching.pace_of(epochs, pace))


def _log_error() -> None:
    """Write the traceback of the current exception to the log; if the disk is full, whoever waits still hears of it."""
    with contextlib.suppress(OSError):
        traceback.print_exc()
        sys.stderr.flush()


def _answer(control: socket.socket, answer: Answer) -> None:
    try:
        control.sendall(answer.line())
        control.close()
    except OSError:
        pass  # the client is gone, but the recording exists


if __name__ == "__main__":
    code = main()
    atexit._run_exitfuncs()  # removes the folder of the workers' server
    os._exit(code)  # all is closed, and taking PyTorch's modules apart took as long as a third of importing them
