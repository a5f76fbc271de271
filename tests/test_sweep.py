"""Tests sweeps: trials are what bntui run trains, a folder is resumed and repeats nothing, faults are named first."""

from __future__ import annotations

import csv
import json
import math
import os
import shlex
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bntui.commands.sweep_screen import board
from bntui.commands.sweeps import as_text, record
from bntui.drafts import DRAFTS
from bntui.errors import RecordingError, ScenarioError, TrainerError, UsageError
from bntui.insight.statistics import interval
from bntui.recording.as_json import plain
from bntui.recording.reader import Reader
from bntui.study import journal
from bntui.study.journal import Journal, JournalEntry
from bntui.study.order import Delivery, TrialOrder
from bntui.study.sweep_plan import SweepPlan, checked, combinations, head_of, plan_of
from bntui.study.sweep_table import rows, standings, write
from bntui.text.output import json_text
from tests.commands import bntui
from tests.same import compare
from tests.sessions import gone, group
from tests.sweeping import OVER, Here, plan, pretended, swept
from tests.waiting import until

# --- a trial is a run ---


def test_every_trial_is_bit_for_bit_what_its_command_trains_and_is_small_and_true(tmp_path: Path) -> None:
    made = plan(tmp_path, over=("training.lr=0.05", "network.norm=batch"), seeds=2)
    entries = swept(made, tmp_path / "sweep", Here())
    one = entries[1]
    words = shlex.split(made.command(one.settings, one.seed))
    assert words[0] == "bntui"
    assert bntui(*words[1:], "-o", tmp_path / "again.bntui").returncode == 0
    trial = tmp_path / "sweep" / one.file
    with closing(Reader(trial)) as ours, closing(Reader(tmp_path / "again.bntui")) as again:
        assert [run.name for run in ours.runs] == ["deep"]
        assert [run.name for run in again.runs] == ["plain", "deep"]
        assert compare(ours, 0, again, 1) == 3
        assert one.figures["val_loss"] == again.history(1).val_loss[-1]
        assert one.figures["epoch"] == 2
        assert ours.title == "Sweep · training.lr=0.05 network.norm=batch seed=1"
    assert bntui("audit", trial).returncode == 0
    assert journal.read(tmp_path / "sweep")[1] == entries


def test_evidence_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    for evidence in (False, True):
        made = plan(tmp_path, over=("training.lr=0.05",), seeds=1, evidence=evidence)
        (entry,) = swept(made, tmp_path / str(evidence), Here())
        with closing(Reader(tmp_path / str(evidence) / entry.file)) as reader:
            assert bool(len(reader.evidence_rows(0))) == evidence


# --- the folder ---


def test_a_sweep_that_ended_anywhere_is_resumed_and_repeats_nothing(tmp_path: Path) -> None:
    made, folder = plan(tmp_path), tmp_path / "sweep"
    first = Here(pretended, stop=5)
    with pytest.raises(KeyboardInterrupt):
        swept(made, folder, first)
    second = Here(pretended)
    entries = swept(made, folder, second)
    texts = [order.text for order in (*first.trained, *second.trained)]
    assert len(texts) == len(set(texts)) == 12
    assert len({entry.key for entry in entries}) == 12
    assert {path.name for path in folder.iterdir()} == {"journal.jsonl", *(entry.file for entry in entries)}
    third = Here(pretended)
    assert swept(made, folder, third) == entries
    assert third.trained == []


def test_a_line_that_was_cut_off_is_trained_again_and_its_file_replaced(tmp_path: Path) -> None:
    made, folder = plan(tmp_path), tmp_path / "sweep"
    swept(made, folder, Here(pretended))
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert len(journal.read(folder)[1]) == 11
    again = Here(pretended)
    assert len(swept(made, folder, again)) == 12
    assert len(again.trained) == 1
    assert path.read_bytes().count(b"\n") == whole.count(b"\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seeds": 3}, "seeds: 2 there, 3 here"),
        ({"over": ("training.lr=0.1",)}, "over: "),
        (
            {"text": "title = 'x'\n[network]\nhidden = [3]\n[data]\nsource = 'moons'\n[[run]]\nname = 'deep'"},
            "the scenario file has changed",
        ),
        ({"base": (("training.epochs", 3),)}, "base: [] there"),
    ],
)
def test_the_folder_of_another_sweep_is_refused(change: dict[str, object], said: str, tmp_path: Path) -> None:
    made = plan(tmp_path, over=("training.lr=0.05",))
    swept(made, tmp_path / "sweep", Here(pretended))
    with pytest.raises(UsageError) as refused:
        swept(replace(made, **change), tmp_path / "sweep", Here(pretended))  # type: ignore[arg-type]
    assert said in str(refused.value)


def test_the_folder_of_other_versions_is_refused_with_both(tmp_path: Path) -> None:
    made, folder = plan(tmp_path), tmp_path / "sweep"
    head = head_of(made)
    Journal(folder, head | {"torch": "1.0"}).close()
    with pytest.raises(UsageError, match=rf"torch: 1\.0 there, {head['torch']} here".replace("+", r"\+")):
        Journal(folder, head)


def test_two_processes_cannot_train_into_the_same_folder(tmp_path: Path) -> None:
    head = head_of(plan(tmp_path))
    one = Journal(tmp_path / "sweep", head)
    with pytest.raises(UsageError, match="another process is training this sweep"):
        Journal(tmp_path / "sweep", head)
    one.close()
    Journal(tmp_path / "sweep", head).close()


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\n", b"[]\n", b"{}\n", b'{"settings": 1}\n', b"[" * 9000 + b"\n",
        b'{"settings": [], "seed": 0, "state": "lost", "reason": "", "figures": {}, "seconds": 0, "file": "",'
        b' "digest": "", "worker": ""}\n',
        b'{"settings": [], "seed": 0, "state": "done", "reason": "", "figures": {}, "seconds": 0, "file": "../x",'
        b' "digest": "", "worker": ""}\n',
    ],
)  # fmt: skip
def test_a_damaged_journal_is_refused_with_the_line(line: bytes, tmp_path: Path) -> None:
    made, folder = plan(tmp_path, over=("training.lr=0.05",), seeds=1), tmp_path / "sweep"
    swept(made, folder, Here(pretended))
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(line)
    with pytest.raises(RecordingError, match=r"journal\.jsonl:3: damaged"):
        swept(made, folder, Here(pretended))


def test_figures_that_are_not_finite_survive_the_journal(tmp_path: Path) -> None:
    made, folder = plan(tmp_path), tmp_path / "sweep"
    one = Journal(folder, head_of(made))
    figures = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.1}
    one.add(JournalEntry((("network.hidden", (1, 2)),), 0, "done", figures=figures))
    one.close()
    head, (entry,) = journal.read(folder)
    assert plan_of(head) == made
    assert entry.settings == (("network.hidden", (1, 2)),)
    assert repr(dict(entry.figures)) == repr(figures)


# --- what fails ---


def test_a_trial_that_fails_is_recorded_with_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    def work(order: TrialOrder) -> Delivery:
        return Delivery(failure="no memory", worker="here") if order.number == 3 else pretended(order)

    made = plan(tmp_path)
    entries = swept(made, tmp_path / "sweep", Here(work))
    assert [entry.state for entry in entries].count("failed") == 1
    assert (entries[2].state, entries[2].reason, entries[2].file) == ("failed", "no memory", "")
    names, table = rows(made, entries)
    assert [row[names.index("reason")] for row in table].count("no memory") == 1


def test_what_failed_is_tried_again_if_the_sweep_is_resumed(tmp_path: Path) -> None:
    def worked(*failing: int) -> Here:
        return Here(lambda order: Delivery(failure="no") if order.number in failing else pretended(order))

    made, folder = plan(tmp_path), tmp_path / "sweep"
    first = swept(made, folder, worked(2, 3))
    same_command = worked()
    assert swept(made, folder, same_command) == first
    assert not same_command.trained
    resumed = worked(1)
    entries = swept(made, folder, resumed, again=True)
    assert len(resumed.trained) == 2
    states = {entry.key: entry.state for entry in entries}
    assert len(states) == len(entries) == len(first)
    was = [entry.key for entry in first if entry.state == "failed"]
    assert [states[key] for key in was] == ["failed", "done"]
    _head, read_again = journal.read(folder)
    assert {entry.key: entry.state for entry in read_again} == states


def test_a_worker_of_other_versions_ends_the_sweep_and_nothing_of_it_is_recorded(tmp_path: Path) -> None:
    def work(order: TrialOrder) -> Delivery:
        from bntui.study.worker import carried_out

        return carried_out(replace(order, versions={**order.versions, "torch": "1.0"}))

    with pytest.raises(TrainerError, match=r"torch .* ≠ 1\.0"):
        swept(plan(tmp_path), tmp_path / "sweep", Here(work))
    assert journal.read(tmp_path / "sweep")[1] == []


def test_all_faults_of_combinations_are_named_before_anything_runs(tmp_path: Path) -> None:
    over = ("training.lr=-1,0.1", "network.norm=none,bach", "network.nrom=1")
    made = plan(tmp_path, over=over)
    with pytest.raises(ScenarioError) as refused:
        checked(made, combinations(made))
    told = str(refused.value).splitlines()
    assert any("training.lr = -1" in line and "in 2 of 4 combinations" in line for line in told)
    assert any("network.norm" in line and "'batch'" in line and "in 2 of 4" in line for line in told)
    assert any("network.nrom" in line and "unknown key" in line and "combinations" not in line for line in told)


def test_a_goal_that_a_combination_does_not_have_is_named(tmp_path: Path) -> None:
    made = plan(tmp_path, over=("training.epochs=1,4",), goal="val_loss at 3")
    with pytest.raises(ScenarioError, match=r"after epoch 1; in 1 of 2 combinations: training.epochs=1"):
        checked(made, combinations(made))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a scenario, or a folder with --resume"),
        (("early-stopping",), "name what to vary: --over"),
        (("early-stoping", "--over", "training.lr=1,2"), "did you mean 'early-stopping'"),
        (("early-stopping", "--over", "training.lrr=1,2"), "unknown key"),
        (("early-stopping", "--over", "training.lr=1,2", "--run", "x"), "no run 'x'; the runs are"),
        (("early-stopping", "--over", "training.lr=1,2", "--goal", "loss"), "there is no figure 'loss'"),
        (("early-stopping", "--over", "training.lr=1,2", "--goal", "val_loss of x"), "use --run x"),
        (("early-stopping", "--over", "training.lr=1,2", "--set", "training.lr=1"), "leave out --set"),
        (("early-stopping", "--over", "training.lr=1,2", "--random", 2, "--search", "optuna"), "exclude each other"),
        (("early-stopping", "--over", "training.lr=1,2", "--trials", 2), "belong together"),
        (("early-stopping", "--over", "training.lr=1,2", "--search", "x", "--trials", 2), "--search x: allowed"),
        (("early-stopping", "--over", "training.lr=0.001..1:10000", "--seeds", 11), "more than 100,000 trials"),
        (("early-stopping", "--over", "training.lr=1,2", "--cluster", "host"), "tcp://HOST:PORT"),
        (
            ("early-stopping", "--over", "training.lr=1,2", "--cluster", "ray://localhost:1"),
            "pip install 'ray[client]'",
        ),
        (("--resume", "/nonexistent"), "is not the folder of a sweep"),
        (("--resume", "/nonexistent", "--over", "training.lr=1"), "leave out --over"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(arguments: tuple[object, ...], said: str, tmp_path: Path) -> None:
    more = () if "--resume" in arguments or not arguments else ("-o", tmp_path / "sweep")
    answer = bntui("sweep", *arguments, *more)
    assert said in answer.stderr
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    assert not list(tmp_path.glob("sweep/*.bntui"))


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    answer = bntui("sweep", "early-stopping", "--over", "training.lr=1,2", "-o", tmp_path)
    assert (answer.returncode, "is not empty, and has no sweep" in answer.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


# --- the summary ---


def entries_of(made: SweepPlan, losses: dict[tuple[str, int], float]) -> list[JournalEntry]:
    return [
        JournalEntry((("network.norm", norm),), seed, "done", figures={made.goal: loss}, file="x", seconds=1.5)
        for (norm, seed), loss in losses.items()
    ]


def test_combinations_are_ranked_by_their_mean_and_those_that_diverged_come_last(tmp_path: Path) -> None:
    made = plan(tmp_path, over=("network.norm=none,batch,layer,group",))
    losses = {("none", 0): 2.0, ("none", 1): 4.0, ("batch", 0): 0.1, ("batch", 1): math.nan, ("layer", 0): 3.5,
              ("layer", 1): 3.5, ("group", 0): math.inf, ("group", 1): math.inf}  # fmt: skip
    ranked = standings(made, entries_of(made, losses))
    assert [one.settings[0][1] for one in ranked] == ["none", "layer", "batch", "group"]
    assert ranked[0].goal == interval([2.0, 4.0])
    assert [one.settings[0][1] for one in standings(replace(made, larger=True), entries_of(made, losses))] == [
        "layer", "none", "batch", "group",
    ]  # fmt: skip
    assert [one.goal.count for one in ranked] == [2, 2, 1, 0]


def test_a_combination_that_diverged_comes_last_although_its_accuracy_is_the_best(tmp_path: Path) -> None:
    made = plan(tmp_path, over=("network.norm=none,batch,layer",), goal="val_accuracy at best", larger=True)
    best = {("none", 0): 0.5, ("none", 1): 0.6, ("batch", 0): 1.0, ("batch", 1): 1.0, ("layer", 0): 0.7,
            ("layer", 1): 0.7}  # fmt: skip
    entries = [
        replace(one, figures={**one.figures, "diverged": float(one.settings[0][1] == "batch" and one.seed == 1)})
        for one in entries_of(made, best)
    ]
    ranked = standings(made, entries)
    assert [one.settings[0][1] for one in ranked] == ["layer", "none", "batch"]
    assert "1 trial diverged; its combination comes after those without" in as_text(made, ranked, None)
    shown = board(made, tmp_path, entries)
    assert [one.sound for one in shown.ranked] == [True, True, False]
    assert [each.reason for each in shown.ranked[-1].tries] == ["", "diverged"]
    asked = [replace(one, figures={"diverged": one.figures["diverged"]}) for one in entries]
    wild = standings(replace(made, goal="diverged"), asked)
    assert wild[0].settings[0][1] == "batch", "where divergence is the goal, it ranks"


def test_the_summary_has_a_row_for_each_trial_with_its_command(tmp_path: Path) -> None:
    made = plan(tmp_path, over=("network.norm=none,batch",))
    entries = entries_of(made, {("none", 0): 2.0, ("batch", 0): math.inf})
    written = write(made, entries, tmp_path)
    with (tmp_path / "summary.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["network.norm"] for row in table] == ["none", "batch"]
    assert [float(row["val_loss"]) for row in table] == [2.0, math.inf]
    assert table[0]["command"] == made.command(entries[0].settings, 0)
    if len(written) == 1:
        return
    parquet = pytest.importorskip("pyarrow.parquet")
    assert parquet.read_table(tmp_path / "summary.parquet").to_pydict()["val_loss"] == [2.0, math.inf]


def test_what_is_not_finite_is_told_in_json_too(tmp_path: Path) -> None:
    made = plan(tmp_path, over=("network.norm=none,batch",))
    entries = entries_of(made, {("none", 0): math.nan, ("batch", 0): math.inf})
    told = json.loads(json_text(plain(record(made, tmp_path, standings(made, entries)))))
    assert {one["goal"]["mean"] for one in told["combinations"]} == {"NaN"}
    assert {one["trials"][0]["figures"]["val_loss"] for one in told["combinations"]} == {"NaN", "Infinity"}


# --- real workers ---


def test_a_sweep_that_is_killed_is_resumed_by_the_same_command(tmp_path: Path) -> None:
    plan(tmp_path)
    words = ["sweep", "small.toml", *(w for one in OVER for w in ("--over", one)), "--seeds", "2", "-o", "swept"]
    words += ["--set", "training.epochs=10", "--jobs", "1", "--run", "deep"]
    log = tmp_path / "swept" / "journal.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "bntui", *words], cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True
    ) as first:
        until(lambda: log.exists() and log.read_bytes().count(b"\n") >= 3, "the end of two trials", 120)
        os.kill(first.pid, signal.SIGKILL)
    before = log.read_bytes()
    done = before.count(b"\n") - 1
    assert 2 <= done < 12
    answer = bntui(*words, "--json", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    after = log.read_bytes()
    assert after.startswith(before[: before.rfind(b"\n") + 1])
    trials = [json.loads(line) for line in after.splitlines()[1:]]
    assert len(trials) == len({(json.dumps(one["settings"]), one["seed"]) for one in trials}) == 12
    assert len(list((tmp_path / "swept").glob("*.bntui"))) == 12
    assert len(json.loads(answer.stdout)["combinations"]) == 6


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_sweep_that_is_interrupted_ends_its_workers_and_is_resumed(number: int, code: int, tmp_path: Path) -> None:
    """One worker is in the middle of a trial that never ends, so that the command cannot end by itself."""
    plan(tmp_path)
    words = ["sweep", "small.toml", "--over", "training.epochs=2,1000000", "--over", "training.lr=0.05,0.1"]
    folder = tmp_path / "swept"
    with subprocess.Popen(
        [sys.executable, "-m", "bntui", *words, "--seeds", "1", "--jobs", "2", "-o", "swept"], cwd=tmp_path,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True,
    ) as sweep:  # fmt: skip
        until(lambda: _trials(folder) == 2, "the end of the trials that end", 240)
        assert len(group(sweep.pid)) >= 3, "two workers are training"
        if number == signal.SIGINT:
            os.killpg(sweep.pid, number)  # as a terminal does
        else:
            sweep.send_signal(number)
        output, told = sweep.communicate(timeout=120)
    assert (sweep.returncode, output) == (code, "")
    assert told.splitlines()[1:] == ["continue with: bntui sweep --resume swept"], told
    gone(sweep.pid)
    ended = (folder / "journal.jsonl").read_bytes()
    assert len(list(csv.DictReader((folder / "summary.csv").read_text().splitlines()))) == 2
    assert not list(folder.glob(DRAFTS))
    made = plan_of(journal.read(folder)[0])
    resumed = Here(pretended)
    entries = swept(made, folder, resumed)
    assert [dict(entry.settings)["training.epochs"] for entry in entries] == [2, 2, 1000000, 1000000]
    assert len(resumed.trained) == 2
    assert (folder / "journal.jsonl").read_bytes().startswith(ended)


@pytest.mark.parametrize("command", ["sweep", "verify"])
def test_sigterm_before_the_training_begins_is_told(command: str) -> None:
    """The signal arrives while the command line is carried out; the command line itself is not reached."""
    code = (
        "import os, signal, sys, bntui.cli as cli, bntui.__main__ as program\n"
        "cli.obey = lambda _arguments: os.kill(os.getpid(), signal.SIGTERM)\n"
        f"sys.argv = ['bntui', '{command}', 'small.toml']\nprogram.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "", "bntui: stopped by SIGTERM\n")


def _trials(folder: Path) -> int:
    path = folder / "journal.jsonl"
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


def test_a_trial_that_kills_its_worker_has_failed_and_the_others_are_trained(tmp_path: Path) -> None:
    from bntui.study.joblib_crew import Joblib

    made = plan(tmp_path, over=("training.lr=0.05,0.1,1.0",), seeds=1)
    crew = Joblib(2, work=deadly)
    try:
        entries = swept(made, tmp_path / "sweep", crew)  # type: ignore[arg-type]
    finally:
        crew.close()
    states = {dict(entry.settings)["training.lr"]: (entry.state, entry.reason) for entry in entries}
    assert states == {0.05: ("done", ""), 0.1: ("failed", "its process was killed by SIGKILL"), 1.0: ("done", "")}


def deadly(order: TrialOrder) -> Delivery:
    """Kill the worker of one trial, and pretend to train the others."""
    if "lr=0.1 " in order.text.splitlines()[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return pretended(order)
