"""Tests pruners: they end the trials that Optuna, or the stopping rules, would end, each of which is repeatable."""

from __future__ import annotations

import json
import shlex
from contextlib import closing
from pathlib import Path

import pytest

from bntui.commands.sweeps import SweepOptions, plan_from
from bntui.errors import RecordingError, ScenarioError, UsageError
from bntui.insight.jury import judge
from bntui.recording.history import RunHistory
from bntui.recording.reader import Reader
from bntui.study import journal
from bntui.study.axes import Settings
from bntui.study.journal import JournalEntry
from bntui.study.search import Optuna
from bntui.study.sweep_plan import SweepPlan, checked, combinations, plan_of
from bntui.study.sweep_table import rows, standings
from tests.commands import bntui
from tests.sweeping import SCENARIO, Here, plan, swept
from tests.test_study import same

optuna = pytest.importorskip("optuna", reason="needs bntui[search]")
EPOCHS = 9
OVER = ("training.lr=0.3,0.2,0.1,0.05,0.02,0.01,0.5,0.001,0.003,0.4",)
COLUMNS = ("step", "epoch", "lr", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "has_frame", "layers")


def made(folder: Path, **changed: object) -> SweepPlan:
    return plan(folder, **({"over": OVER, "seeds": 1, "base": (("training.epochs", EPOCHS),)} | changed))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[Settings, RunHistory]:
    """The histories of all trials where nothing is pruned."""
    folder = tmp_path_factory.mktemp("whole")
    found = {}
    for entry in swept(made(folder), folder / "sweep", Here()):
        with closing(Reader(folder / "sweep" / entry.file)) as reader:
            found[entry.settings] = reader.history(0)
    return found


def losses(history: RunHistory) -> list[float]:
    return [float(one) for one in history.val_loss[history.epoch_end & (history.step > 0)]]


def ended(entry: JournalEntry) -> int:
    """The number of epochs that were trained."""
    assert (entry.epochs is None) == (entry.state == "done")
    return int(entry.figures["epoch"])


@pytest.mark.parametrize(("pruner", "larger"), [("median", False), ("hyperband", False), ("median", True)])
def test_trials_are_pruned_where_optuna_would_end_them(
    pruner: str, larger: bool, whole: dict[Settings, RunHistory], tmp_path: Path
) -> None:
    """The oracle is one study of Optuna that is told the same courses."""
    entries = swept(made(tmp_path, prune=pruner, larger=larger), tmp_path / "sweep", Here())
    judges = {"median": optuna.pruners.MedianPruner(), "hyperband": optuna.pruners.HyperbandPruner(1, EPOCHS)}
    study = optuna.create_study(
        study_name="bntui", direction="maximize" if larger else "minimize", pruner=judges[pruner]
    )
    expected = []
    for course in map(losses, whole.values()):
        trial, epochs = study.ask(), EPOCHS
        for epoch, loss in enumerate(course, 1):
            trial.report(loss, epoch)
            if trial.should_prune() and epoch < EPOCHS:
                epochs = epoch
                break
        state = optuna.trial.TrialState.COMPLETE if epochs == EPOCHS else optuna.trial.TrialState.PRUNED
        study.tell(trial, course[-1] if epochs == EPOCHS else None, state=state)
        expected.append(epochs)
    assert [ended(entry) for entry in entries] == expected
    assert min(expected) < EPOCHS


def test_the_jury_prunes_where_most_of_its_rules_have_stopped(tmp_path: Path) -> None:
    longer = (("training.epochs", 40),)
    entries = swept(made(tmp_path, prune="rules", over=("training.lr=0.5,0.01,2.0",), base=longer),
                    tmp_path / "sweep", Here())  # fmt: skip
    full = swept(made(tmp_path, over=("training.lr=0.5,0.01,2.0",), base=longer), tmp_path / "full", Here())
    expected = []
    for entry in full:
        with closing(Reader(tmp_path / "full" / entry.file)) as reader:
            found = judge(0, reader.runs, [reader.history(0)], reader.events(0))
        stops = sorted(verdict.stop for verdict in found.verdicts if verdict.stop is not None)
        expected.append(stops[len(found.verdicts) // 2] if len(stops) > len(found.verdicts) / 2 else 40)
    assert [ended(entry) for entry in entries] == expected
    assert min(expected) < 40


def test_a_pruned_trial_is_trained_again_by_its_command_bit_for_bit_and_kept_by_a_resumed_sweep(tmp_path: Path) -> None:
    one = made(tmp_path, prune="median", seeds=2, over=(OVER[0] + ",0.002",))
    with pytest.raises(KeyboardInterrupt):
        swept(one, tmp_path / "sweep", Here(stop=17))
    before = journal.read(tmp_path / "sweep")[1]
    crew = Here()
    entries = swept(one, tmp_path / "sweep", crew)
    assert entries[:17] == before
    assert len(crew.trained) == 5
    assert [entry.course.number for entry in entries if entry.seed == 1 and entry.course] == list(range(11))
    assert [order.pruning.number for order in crew.trained if order.pruning is not None] == [8, 9, 9, 10, 10]
    assert journal.read(tmp_path / "sweep") == (crew_head(tmp_path), entries)
    assert {entry.state for entry in entries} == {"done", "pruned"}
    pruned = next(entry for entry in entries if entry.state == "pruned")
    names, table = rows(one, entries)
    (command,) = [row[names.index("command")] for row in table if row[names.index("file")] == pruned.file]
    assert f"training.epochs={pruned.epochs}" in str(command)
    assert str(command).count("training.epochs=") == 1
    again = tmp_path / "again.bntui"
    answer = bntui(*shlex.split(str(command))[1:], "-o", again)
    assert answer.returncode == 0, answer.stderr
    with closing(Reader(again)) as repeated, closing(Reader(tmp_path / "sweep" / pruned.file)) as kept:
        for column in COLUMNS:
            assert same(getattr(repeated.history(1), column), getattr(kept.history(0), column)), column
        for row in range(len(kept.history(0))):
            assert repeated.keyframe(1, row).weights_digest == kept.keyframe(0, row).weights_digest
    last = standings(one, entries)[-1]
    assert last.goal.count < len(last.entries), "a combination with a pruned seed is behind the others"


def crew_head(folder: Path) -> dict[str, object]:
    line = (folder / "sweep" / journal.NAME).read_text(encoding="utf-8").splitlines()[0]
    told: dict[str, object] = json.loads(line)
    return told


def test_a_search_is_told_which_combinations_were_pruned_also_when_it_is_resumed(tmp_path: Path) -> None:
    one = made(
        tmp_path, search="optuna", sampler="random", trials=12, prune="median", over=("training.lr=1e-3..1.0:log",)
    )
    search = Optuna(one)
    entries = swept(one, tmp_path / "sweep", Here(), search)
    pruned = {entry.settings[0][1]: entry.course for entry in entries if entry.state == "pruned"}
    assert pruned
    for study in (search._study, resumed(one, tmp_path)._study):
        found = {
            trial.params["training.lr"]: trial for trial in study.get_trials(states=[optuna.trial.TrialState.PRUNED])
        }
        assert len(found) == len(pruned)
        told = sorted((trial.value, trial.last_step) for trial in found.values())
        assert told == sorted((course.values[-1], len(course.values)) for course in pruned.values() if course)


def resumed(one: SweepPlan, folder: Path) -> Optuna:
    search = Optuna(one)
    swept(one, folder / "sweep", Here(stop=0), search)
    return search


# --- what is refused ---


def given(folder: Path, prune: str, goal: str = "val_loss", base: Settings = ()) -> SweepPlan:
    (folder / "small.toml").write_text(SCENARIO)
    return plan_from(str(folder / "small.toml"), OVER, base, SweepOptions(seeds=1, goal=goal, prune=prune))


def test_pruners_that_cannot_judge_are_refused(tmp_path: Path) -> None:
    assert given(tmp_path, "rules", "epochs_to(val_loss < 0.5)").prune == "rules"
    with pytest.raises(UsageError, match="--prune mean: allowed: median, hyperband, rules"):
        given(tmp_path, "mean")
    for goal in ("epochs_to(val_loss < 0.5)", "gradient_ratio", "weight_norm[linear 1]", "epoch"):
        with pytest.raises(UsageError, match="has no value in every epoch"):
            given(tmp_path, "median", goal)
    one = given(tmp_path, "median", base=(("training.schedule.kind", "cosine"),))
    with pytest.raises(ScenarioError, match="cosine depends on the number of epochs"):
        checked(one, combinations(one))


COURSE = {"number": 0, "values": [1.0], "rungs": {}, "pruned": False}


@pytest.mark.parametrize("damage", [{"state": "pruned", "figures": {}}, {"course": COURSE | {"number": -1}},
                                    {"course": 3}, {"course": COURSE | {"values": ["x"]}}])  # fmt: skip
def test_a_journal_with_an_impossible_course_is_damaged(damage: dict[str, object], tmp_path: Path) -> None:
    one = made(tmp_path, prune="median", over=("training.lr=0.1",), base=(("training.epochs", 1),))
    swept(one, tmp_path / "sweep", Here())
    path = tmp_path / "sweep" / journal.NAME
    head, line = path.read_text(encoding="utf-8").splitlines()
    path.write_text(f"{head}\n{json.dumps(json.loads(line) | damage)}\n", encoding="utf-8")
    with pytest.raises(RecordingError, match="damaged"):
        journal.read(tmp_path / "sweep")
    with pytest.raises(RecordingError, match="does not say what is swept"):
        plan_of({"plan": {**one.as_json(), "prune": "mean"}})
