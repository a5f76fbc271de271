"""Tests studies: trials train what a recording would hold, workers may die, outcomes are kept, verify answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from bntui.insight.claims import Frames, Trained, value
from bntui.recording.history import RunHistory
from bntui.scenario.claim_expression import quantity
from bntui.scenario.load import parse
from bntui.study import cache
from bntui.study.interrupts import interrupted_later
from bntui.study.pool import answers
from bntui.study.seeds import measured, trials_of
from bntui.study.shares import shares
from bntui.study.together import read_together
from bntui.study.train import trained
from bntui.study.trial import Outcome, Over, Read, SeedsJob, Trial
from bntui.trainer.stack import Stack
from tests.commands import bntui
from tests.sessions import gone, group
from tests.test_session import train
from tests.waiting import until

HERE = Path.cwd()
SCENARIO = """
title = "Study"
[data]
source = "digits"
samples = 200
scaling = "standard"
batch_size = 20
[network]
hidden = [8, 8]
activation = "sigmoid"
[training]
lr = 0.5
epochs = 3
{more}
[[run]]
name = "plain"
[[run]]
name = "batch norm"
set = {{ network.norm = "batch", network.dropout = 0.1 }}
[[claim]]
text = "Batch normalization learns faster."
holds = "val_loss of batch norm < val_loss of plain"
[[claim]]
text = "It gives the first layer more gradient."
holds = "gradient_ratio of batch norm at 1 > gradient_ratio of plain at 1"
"""
TEXT = SCENARIO.format(more="")
VARIANTS = {
    "epochs": TEXT,
    "steps": TEXT.replace("[[run]]", "[record]\nevery = 3\n[[run]]", 1),
    "shift": TEXT.replace("[[run]]", "[record]\nshift = true\n[[run]]", 1),
    "early stopping": SCENARIO.format(
        more="early_stopping = { monitor = 'val_loss', patience = 1, restore_best_weights = true }"
    ).replace("epochs = 3", "epochs = 12").replace("lr = 0.5", "lr = 3.0"),
    "diverged": TEXT.replace("lr = 0.5", "lr = 1e20").replace('"sigmoid"', '"relu"'),
    "diverged within an epoch": TEXT.replace("lr = 0.5", "lr = 1e20").replace('"sigmoid"', '"relu"')
    .replace("[[run]]", "[record]\nevery = 2\n[[run]]", 1),
}  # fmt: skip


def histories(folder: Path, text: str, frames: Frames) -> Iterator[tuple[RunHistory, Trained, list[str]]]:
    """Of each run: that of a real recording, that of a trial, and the kinds of the recorded events."""
    reader = train(folder, text)
    for index, run in enumerate(parse(text, file="x").runs):
        events = [event.kind for event in reader.events(index)]
        trial = trained(run.config, SeedsJob((run.config,), folder), frames)
        yield reader.history(index), trial, [str(kind) for kind in events]
    reader.close()


def same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    one, other = np.asarray(one), np.asarray(other)  # layers' scalars are read when they are needed
    return one.shape == other.shape and one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_trial_that_reads_all_keyframes_has_the_history_of_a_recording_bit_for_bit(name: str, tmp_path: Path) -> None:
    for recorded, trial, events in histories(tmp_path, VARIANTS[name], Frames(all=True)):
        for column in fields(RunHistory):
            if column.name not in ("ids", "wall_time"):
                assert same(getattr(recorded, column.name), getattr(trial.history, column.name)), column.name
        assert [str(event.kind) for event in trial.events] == events


@pytest.mark.parametrize("name", VARIANTS)
def test_a_trial_that_reads_few_keyframes_has_the_same_epochs_bit_for_bit(name: str, tmp_path: Path) -> None:
    for recorded, trial, _events in histories(tmp_path, VARIANTS[name], Frames(epochs=frozenset({1, 2}))):
        history = trial.history
        rows, own = (one.epoch_end | (one.step == 0) for one in (recorded, history))
        for column in fields(RunHistory):
            if column.name not in ("ids", "wall_time", "layers", "has_frame", "batch_loss"):
                assert same(getattr(recorded, column.name)[rows], getattr(history, column.name)[own]), column.name
        read = own & history.has_frame
        assert 0.0 in history.epoch[read]
        assert 1.0 in history.epoch[read] or "every" in VARIANTS[name]
        at = np.isin(recorded.step, history.step[read])
        assert same(recorded.layers[at], history.layers[read])


FIGURES = ("val_loss", "train_loss at 2", "gradient_ratio at 1", "val_accuracy at best", "diverged",
           "weight_gradient_norm[linear 1] at 2", "weight_norm[linear 1] at 5")  # fmt: skip


OF_ALL = ("highest(weight_norm[linear 1])", "movement[linear 2]")
"""Read from every keyframe."""


def read_of(text: str, seeds: int, *, quantities: tuple[str, ...] = FIGURES) -> list[list[Outcome]]:
    """Of each run, what its seeds give when one job trains them."""
    found = []
    for run in parse(text, file="x").runs:
        told: list[Read] = []
        configs = tuple(run.config.model_copy(update={"seed": seed}) for seed in range(seeds))
        read_together(SeedsJob(configs, HERE, quantities=quantities), told.append)
        assert len(told) == seeds
        found.append([one.outcome for one in sorted(told, key=lambda one: one.number)])
    return found


@pytest.mark.parametrize("name", VARIANTS)
def test_seeds_trained_at_once_give_the_figures_that_their_recordings_hold_bit_for_bit(
    name: str, tmp_path: Path
) -> None:
    few, every = read_of(VARIANTS[name], 3), read_of(VARIANTS[name], 3, quantities=OF_ALL)
    found = [list(zip(*both, strict=True)) for both in zip(few, every, strict=True)]
    for seed in (0, 2):
        reader = train(tmp_path, f"seed = {seed}\n{VARIANTS[name]}")
        for index, outcomes in enumerate(found):
            run = Trained(reader.runs[index], reader.history(index), tuple(reader.events(index)))
            assert not any(outcome.failure for outcome in outcomes[seed])
            figures = {text: figure for outcome in outcomes[seed] for text, figure in outcome.figures.items()}
            assert list(figures) == [*FIGURES, *OF_ALL]
            for text, figure in figures.items():
                assert same(np.array(value(quantity(text), run)), np.array(figure)), (text, seed)
        reader.close()


@pytest.mark.parametrize(
    ("quantities", "measured"),
    [(("val_loss",), [6]), (FIGURES, [1, 2, 5, 6]), (("highest(weight_norm[linear 1])",), [1, 2, 3, 4, 5, 6])],
)
def test_seeds_are_trained_at_once_but_for_the_steps_that_are_measured(
    quantities: tuple[str, ...], measured: list[int], tmp_path: Path
) -> None:
    told, epoch = [], Stack.epoch

    def trained_at_once(stack: Stack, writers: Any, last: list[bool]) -> None:
        told.append((len(stack.runs), round(stack.runs[0].epoch) + 1, any(last)))
        epoch(stack, writers, last)

    text = TEXT.replace("epochs = 3", "epochs = 6")
    with patch.object(Stack, "epoch", trained_at_once):
        found = read_of(text, 2, quantities=quantities)[1]
    assert told == [(2, number, number in measured) for number in range(1, 7)] * 2
    reader = train(tmp_path, f"seed = 1\n{text}")
    run = Trained(reader.runs[1], reader.history(1), tuple(reader.events(1)))
    reader.close()
    assert found[1].figures == {name: value(quantity(name), run) for name in quantities}


def test_a_seed_whose_data_is_missing_fails_alone_with_its_reason(tmp_path: Path) -> None:
    config = parse(TEXT, file="x").runs[0].config
    missing = config.model_copy(update={"data": config.data.model_copy(update={"source": "no.csv"})})
    told: list[Read] = []
    read_together(SeedsJob((config, missing, config), tmp_path, quantities=("val_loss",)), told.append)
    failures = {one.number: one.outcome.failure for one in told}
    assert "no.csv" in failures.pop(1)
    assert failures == {0: "", 2: ""}


@pytest.mark.parametrize(("runs", "jobs", "sizes"), [(1, 2, [5, 5]), (2, 1, [10, 10]), (77, 2, [10] * 77),
                                                     (1, 16, [1] * 10), (5, 2, [5] * 10)])  # fmt: skip
def test_seeds_are_divided_so_that_no_worker_waits_long(runs: int, jobs: int, sizes: list[int]) -> None:
    wanted = [(run, seed) for seed in range(10) for run in range(runs)]
    found = shares(wanted, lambda one: one[0], jobs)
    assert [len(part) for part in found] == sizes
    assert sorted(one for part in found for one in part) == sorted(wanted)
    assert all(len({run for run, _seed in part}) == 1 for part in found)


# --- workers and the cache ---


def some(text: str = TEXT, seeds: int = 2, quantities: tuple[str, ...] = ("val_loss", "diverged")) -> list[Trial]:
    return [trial for _run, _seed, trial in trials_of(parse(text, file="x"), quantities, seeds)]


def outcomes(trials: list[Trial], jobs: int) -> Iterator[tuple[int, Outcome]]:
    """The outcome of each trial, each being a job of its own, once its worker waits for another one."""
    read: dict[int, Outcome] = {}
    work = [SeedsJob((one.config,), one.folder, quantities=one.quantities) for one in trials]
    for number, told in answers(work, jobs):
        if isinstance(told, Read):
            read[number] = told.outcome
        elif isinstance(told, Over):
            yield number, Outcome({}, failure=told.failure) if told.failure else read[number]


def test_workers_give_what_this_process_gives() -> None:
    trials = some()
    found = dict(outcomes(trials, 2))
    assert sorted(found) == [0, 1, 2, 3]
    for number, trial in enumerate(trials):
        run = trained(trial.config, SeedsJob((trial.config,), trial.folder), Frames())
        assert found[number].figures == {"val_loss": float(run.history.val_loss[-1]), "diverged": 0.0}
        assert not found[number].failure


def test_a_trial_whose_worker_is_killed_fails_with_its_reason_and_the_others_go_on() -> None:
    endless = some(TEXT.replace("epochs = 3", "epochs = 1000000"), 1)[0]
    found: dict[int, Outcome] = {}
    going = outcomes([endless, *some()], 2)
    for number, outcome in going:
        found[number] = outcome
        if len(found) == 4:  # only the endless one is left
            (worker,) = (pid for pid in workers() if busy(pid))
            os.kill(worker, signal.SIGKILL)
    assert found[0].failure == "its process was killed by SIGKILL"
    assert [found[number].failure for number in range(1, 5)] == [""] * 4
    assert not workers()


def test_a_worker_that_is_killed_while_it_waits_fails_nothing() -> None:
    going = outcomes(some(), 1)
    found = dict([next(going)])
    (worker,) = workers()
    os.kill(worker, signal.SIGKILL)
    until(lambda: _parent(worker) == -1, "the end of the worker")
    found |= dict(going)
    assert [outcome.failure for outcome in found.values()] == [""] * 4


def test_a_trial_that_cannot_be_trained_fails_with_its_reason(tmp_path: Path) -> None:
    missing = TEXT.replace('"digits"\nsamples = 200', '"nowhere.csv"')
    bad = trials_of(parse(missing, file="x", path=tmp_path / "x.toml"), ["val_loss"], 1)[0][2]
    found = dict(outcomes([bad, *some(seeds=1)], 1))
    assert "nowhere.csv" in found[0].failure
    assert not found[1].failure


def test_figures_of_a_data_file_that_changed_meanwhile_are_neither_told_nor_kept(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text("a,y\n" + "".join(f"{n * 0.37 % 1:.3f},{n % 2}\n" for n in range(40)), encoding="utf-8")
    text = TEXT.replace('"digits"\nsamples = 200', '"d.csv"')
    scenario = parse(text, file="x", path=tmp_path / "x.toml")
    asked = [(scenario, ["val_loss"])]

    def change(done: int, _total: int) -> None:
        if not done:
            file.write_text(file.read_text(encoding="utf-8").replace(",1", ",2"), encoding="utf-8")

    (found,) = measured(asked, 2, 1, progress=change)
    assert {failed.reason for failed in found.failures} == {f"{file} has changed while the seeds were trained"}
    assert len(found.failures) == 2 * len(scenario.runs)
    (trial, *_rest) = trials_of(scenario, ["val_loss"], 1)
    assert cache.known(trial[2], trial[2].key()) is None


def test_what_was_trained_is_read_from_the_cache_and_the_rest_is_trained() -> None:
    scenario = parse(TEXT, file="x")
    told: list[tuple[int, int]] = []

    def study(quantities: list[str], seeds: int, *, fresh: bool = False) -> Any:
        told.clear()
        return measured([(scenario, quantities)], seeds, 1, fresh=fresh, progress=lambda *at: told.append(at))[0]

    first = study(["val_loss"], 2)
    assert told[-1] == (4, 4)
    again = study(["val_loss"], 2)
    assert told == [(0, 0)]
    assert again.seeds == first.seeds
    assert study(["val_loss"], 3).seeds[1] == first.seeds[1]
    assert told[-1] == (2, 2)
    both = study(["val_loss", "train_loss"], 2)
    assert told[-1] == (4, 4), "a figure that was not read before needs training"
    assert study(["val_loss"], 2, fresh=True).seeds == first.seeds
    assert told[-1] == (4, 4)
    assert study(["train_loss"], 2).seeds[0]["plain"]["train_loss"] == both.seeds[0]["plain"]["train_loss"]
    assert told == [(0, 0)]


def test_the_key_of_a_trial_follows_all_that_its_figures_depend_on(tmp_path: Path) -> None:
    one = some()[0]
    table = tmp_path / "data.csv"
    table.write_text("a,b\n" + "1,2\n" * 20)
    text = TEXT.replace('"digits"\nsamples = 200', '"data.csv"')
    filed = trials_of(parse(text, file="x", path=tmp_path / "x.toml"), ["val_loss"], 1)[0][2]
    assert one.key() == some()[0].key()
    others = [some()[1], some()[2], some(TEXT.replace("lr = 0.5", "lr = 0.4"))[0], filed]
    assert len({one.key(), *(other.key() for other in others)}) == 5
    assert some(TEXT.replace('title = "Study"', 'title = "Another"'))[0].key() == one.key()


def test_a_damaged_cache_is_ignored() -> None:
    trial = some()[0]
    key = trial.key()
    cache.keep(key, Outcome({"val_loss": 1.0, "diverged": float("inf")}))
    assert cache.known(trial, key) == Outcome({"val_loss": 1.0, "diverged": float("inf")})
    lacking = ('{"figures": []}', '{"figures": {"val_loss": 1.0}}', '{"figures": {"val_loss": "x", "diverged": 0.0}}')
    for text in ("", "[]", "\xff", *lacking):
        (cache.cache_folder() / f"{key}.json").write_text(text, encoding="latin-1")
        assert cache.known(trial, key) is None


# --- the command ---


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(TEXT.replace("epochs = 3", "epochs = 2"))
    return path


def test_verify_prints_verdicts_with_intervals_and_a_table(file: Path) -> None:
    answer = bntui("verify", file, "--seeds", 3)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert lines[0] == f"Study ({file}), 3 seeds"
    assert lines[1].split() == ["holds", "Batch", "normalization", "learns", "faster."]
    assert "val_loss: batch norm " in lines[2]
    assert "; difference −" in lines[2]
    assert lines[6].split() == ["run", "val_loss", "log₁₀", "gradient_ratio", "at", "1"]
    assert lines[7].split()[0] == "plain"
    assert "Student's t" in " ".join(lines[-2:])


def test_verify_names_the_seeds_whose_figures_are_not_finite(tmp_path: Path) -> None:
    """A linear network of four layers, which PyTorch's own SGD takes to infinity with this learning rate."""
    wild = tmp_path / "wild.toml"
    wild.write_text(
        'title = "Wild"\n[data]\nsource = "sine"\nsamples = 200\n[network]\nhidden = [64, 64, 64, 64]\n'
        'activation = "none"\n[training]\nepochs = 3\nlr = 0.01\noptimizer = "sgd"\n[[run]]\nname = "calm"\n'
        '[[run]]\nname = "wild"\nset = { training = { lr = 5.0 } }\n'
        '[[claim]]\ntext = "It learns."\nholds = "val_loss of calm < val_loss of wild"\n'
    )
    answer = bntui("verify", wild, "--seeds", 3)
    assert "  wild: val_loss is not finite in 3 of 3 seeds: 0, 1, 2" in answer.stdout.splitlines(), answer.stdout
    assert "calm: val_loss is not finite" not in answer.stdout


def test_verify_ends_with_1_where_a_claim_does_not_hold_and_json_says_so(file: Path) -> None:
    file.write_text(file.read_text().replace("batch norm < val_loss of plain", "plain < 0.5 * val_loss of batch norm"))
    answer = bntui("verify", file, "--seeds", 3, "--json")
    assert answer.returncode == 1
    (study,) = json.loads(answer.stdout)
    first, second = study["claims"]
    assert (first["verdict"], first["true_in"], first["false_in"]) == ("does not hold", 0, 3)
    assert second["verdict"] == "holds"
    low, high = (first["effect"][end] for end in ("low", "high"))
    assert 0 < low < first["effect"]["mean"] < high
    assert second["figures"]["gradient_ratio of plain at 1"]["log10"] is True
    assert [run["run"] for run in study["runs"]] == ["plain", "batch norm"]
    assert study["failed"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name scenarios, or use --all"),
        (("vanishing-gradients", "--all"), "name scenarios, or use --all"),
        (("vanishing-gradient",), "did you mean 'vanishing-gradients'"),
        (("vanishing-gradients", "--seeds", 1), "greater than or equal to 2"),
    ],
)
def test_verify_refuses_what_it_cannot_do(arguments: tuple[object, ...], said: str) -> None:
    answer = bntui("verify", *arguments)
    assert answer.returncode == 2
    assert said in answer.stderr


def test_a_scenario_without_claims_has_nothing_to_verify(file: Path) -> None:
    file.write_text(file.read_text().split("[[claim]]")[0])
    answer = bntui("verify", file)
    assert (answer.returncode, answer.stdout) == (0, "")
    assert "has no [[claim]]" in answer.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_verify_trains_in_workers_and_leaves_nothing_behind_when_ended(file: Path, number: int, code: int) -> None:
    file.write_text(file.read_text().replace("epochs = 2", "epochs = 1000000"))
    command = [sys.executable, "-m", "bntui", "verify", str(file), "--seeds", "2", "--jobs", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as verify:
        until(lambda: len(group(verify.pid)) >= 4, "the start of the server and two workers", 120)
        time.sleep(1)
        if number == signal.SIGINT:
            os.killpg(verify.pid, number)  # as a terminal does
        else:
            verify.send_signal(number)
        _output, told = verify.communicate(timeout=60)
        assert (verify.returncode, told) == (code, b"")
    gone(verify.pid)


def test_processes_that_are_started_while_ctrl_c_is_held_back_are_never_interrupted_by_it() -> None:
    interrupted = False
    try:
        with interrupted_later():
            worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            os.kill(os.getpid(), signal.SIGINT)
            held = True
    except KeyboardInterrupt:
        interrupted = True
    assert interrupted, "it is delivered afterwards"
    assert held
    worker.send_signal(signal.SIGINT)
    assert worker.communicate(b"\n", timeout=60)[1] == b""
    assert worker.returncode == 0
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_workers_end_where_verify_is_killed(file: Path) -> None:
    file.write_text(file.read_text().replace("epochs = 2", "epochs = 1000000"))
    command = [sys.executable, "-m", "bntui", "verify", str(file), "--seeds", "2", "--jobs", "1"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as verify:
        until(lambda: len(group(verify.pid)) >= 3, "the start of the server and a worker", 120)
        time.sleep(3)
        verify.kill()
    gone(verify.pid)


def workers() -> list[int]:
    """Children of the server of this process that are neither the server nor a tracker of resources."""
    from multiprocessing import forkserver

    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    return [pid for pid in _alive() if _parent(pid) == server]


def _alive() -> Iterator[int]:
    yield from (int(path.name) for path in Path("/proc").glob("[0-9]*"))


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def busy(pid: int) -> bool:
    def used() -> int:
        fields_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields_[11]) + int(fields_[12])

    before, deadline = used(), time.monotonic() + 10
    while used() == before and time.monotonic() < deadline:
        time.sleep(0.05)
    return used() > before
