"""Tests what a sweep answers to folders that something else wrote, and to command lines that cannot be meant so."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bntui.cli import app
from bntui.commands.sweep_screen import reader_of
from bntui.commands.sweeps import as_text
from bntui.errors import DataError, RecordingError, TrainerError, UsageError
from bntui.study import journal
from bntui.study.crews import crew
from bntui.study.journal import Journal, JournalEntry
from bntui.study.order import Delivery, TrialOrder
from bntui.study.sweep import refuse_foreign_files
from bntui.study.sweep_plan import SweepPlan, combinations, head_of
from bntui.study.sweep_table import standings, write
from bntui.study.sweep_train import _stored
from bntui.study.worker import carried_out
from bntui.viewer.screens.sweep import SweepScreen
from tests.sweeping import Here, plan, pretended, swept

SETTINGS: list[list[object]] = [["training.lr", 0.05], ["network.norm", "none"]]
GOOD = {
    "settings": SETTINGS, "seed": 0, "state": "done", "reason": "",
    "figures": {"val_loss": 0.5}, "seconds": 1, "file": "a.bntui", "digest": "", "worker": "",
}  # fmt: skip


def test_data_that_was_sent_is_written_only_where_nobody_else_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    contents, place = b"1,2\n", tmp_path / f"bntui-data-{os.getuid()}"
    digest = hashlib.blake2b(contents, digest_size=16).hexdigest()
    mine = tmp_path / "mine"
    mine.mkdir()
    place.symlink_to(mine)  # somebody else's link to a folder of this user
    with pytest.raises(DataError, match="not accessible to you alone"):
        _stored("data.csv", digest, contents)
    assert not list(mine.iterdir())
    place.unlink()
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    with pytest.raises(DataError, match="not accessible to you alone"):
        _stored("data.csv", digest, contents)
    place.rmdir()
    path = _stored("data.csv", digest, contents)
    assert path == place / digest / "data.csv"
    assert path.read_bytes() == contents


def folder_with(tmp_path: Path, line: str) -> Path:
    made, folder = plan(tmp_path), tmp_path / "sweep"
    Journal(folder, head_of(made)).close()
    with (folder / journal.NAME).open("a") as file:
        file.write(line + "\n")
    return folder


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": math.inf}, {"seed": -1}, {"seed": True}, {"seed": 2}, {"seconds": 10**400},
        {"figures": {"val_loss": 10**400}}, {"figures": {"val_loss": 1e300}}, {"file": ".."}, {"file": "a\0b"},
        {"settings": []}, {"settings": SETTINGS[:1]}, {"settings": [*SETTINGS, ["a", 1]]},
        {"settings": [["training.lr", 7.0], ["network.norm", "none"]]},
        {"settings": [["training.lr", nested(200)], ["network.norm", "none"]]},
    ],
)  # fmt: skip
def test_a_line_that_no_trial_of_this_sweep_wrote_is_refused_by_the_screen_and_by_training(
    changed: dict[str, object], tmp_path: Path
) -> None:
    folder = folder_with(tmp_path, json.dumps(GOOD | changed))
    with pytest.raises(RecordingError, match=r"damaged|not of this sweep"):
        reader_of(folder)()
    with pytest.raises(RecordingError, match=r"damaged|not of this sweep"):
        swept(plan(tmp_path), folder, Here(pretended))


def test_a_scenario_with_a_line_separator_in_a_comment_can_be_resumed(tmp_path: Path) -> None:
    made = plan(tmp_path)
    made = plan(tmp_path, text=f"# \u2028 \x85\n{made.text}")
    entries = swept(made, tmp_path / "sweep", Here(pretended))
    assert journal.read(tmp_path / "sweep")[1] == entries


def test_a_journal_that_is_a_named_pipe_is_refused(tmp_path: Path) -> None:
    made, folder = plan(tmp_path), tmp_path / "sweep"
    folder.mkdir()
    os.mkfifo(folder / journal.NAME)
    with pytest.raises(UsageError, match="named pipe"):
        Journal(folder, head_of(made))


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(UsageError, match="is a file, not a folder"):
        refuse_foreign_files(tmp_path / "x")


def test_a_trial_that_failed_has_a_row_without_figures_in_both_summaries(tmp_path: Path) -> None:
    def work(order: TrialOrder) -> Delivery:
        return Delivery(failure="no memory") if order.number == 3 else pretended(order)

    made, folder = plan(tmp_path), tmp_path / "sweep"
    entries = swept(made, folder, Here(work))
    files = write(made, entries, folder)
    assert files[0].read_text().count("no memory") == 1
    parquet = pytest.importorskip("pyarrow.parquet")
    column = parquet.read_table(files[1])["val_loss"].to_pylist()
    assert column == [entry.figures.get("val_loss") for entry in entries]
    assert column.count(None) == 1


def test_an_accuracy_is_shown_in_percent_as_its_heading_says(tmp_path: Path) -> None:
    made, folder = plan(tmp_path, goal="val_accuracy", larger=True, over=("training.lr=0.05",)), tmp_path / "sweep"
    entry = JournalEntry((("training.lr", 0.05),), 0, "done", figures={"val_accuracy": 0.75})
    heading, row, *_rest = as_text(made, standings(made, [entry]), None)
    assert "val_accuracy %" in heading
    assert row.split() == ["0.05", "75.0000", "–", "1/1"]
    with_trial = Journal(folder, head_of(made))
    with_trial.add(entry)
    with_trial.close()
    (one,) = reader_of(folder)().ranked
    assert (one.mean, one.tries[0].goal) == (75.0, 75.0)


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_no_search_draws_more_trials_than_a_sweep_may_have(search: str, tmp_path: Path) -> None:
    made = plan(
        tmp_path, search=search, sampler="tpe" if search == "optuna" else "", trials=10**9, over=("training.lr=0.1..1",)
    )
    with pytest.raises(UsageError, match=r"1,000,000,000 combinations with 2 seeds are more than 100,000 trials"):
        combinations(made)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seeds", "9"), ("--goal", "val_loss"), ("--run", "deep"), ("--trials", "3"), ("--minimize", None)],
)
def test_what_a_resumed_sweep_would_ignore_is_refused(option: str, value: str | None, tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["sweep", "--resume", str(tmp_path), option, *([value] if value else [])])
    assert isinstance(answer.exception, UsageError)
    assert str(answer.exception).endswith(f"leave out {option}")


# --- data files that change ---


def with_data(tmp_path: Path, **changed: object) -> SweepPlan:
    for name in ("one.csv", "two.csv"):
        lines = [f"{number / 60:.3f},{number % 7},{'pq'[number % 2]}" for number in range(60)]
        (tmp_path / name).write_text("\n".join(["a,b,label", *lines]) + "\n")
    path = tmp_path / "csv.toml"
    path.write_text('title = "Csv"\n[data]\nsource = "one.csv"\n[network]\nhidden = [3]\n[training]\nepochs = 1\n')
    return plan(tmp_path, scenario=str(path), text=path.read_text(), run="run", seeds=1, **changed)


def test_data_that_changes_while_a_sweep_trains_ends_it_and_no_trial_of_other_data_is_recorded(tmp_path: Path) -> None:
    def work(order: TrialOrder) -> Delivery:
        if order.number == 2:
            path = tmp_path / "one.csv"
            path.write_text(path.read_text().replace("p", "r"))
        return carried_out(order)

    made = with_data(tmp_path, over=("training.lr=0.1,0.2,0.3",))
    with pytest.raises(TrainerError, match=r"one\.csv .* has other contents than when the sweep was started"):
        swept(made, tmp_path / "sweep", Here(work))
    (entry,) = journal.read(tmp_path / "sweep")[1]
    assert (entry.settings, entry.state) == ((("training.lr", 0.1),), "done")


def test_the_journal_has_the_checksums_of_all_values_of_an_axis_of_data_files(tmp_path: Path) -> None:
    made = with_data(tmp_path, over=(f"data.source=moons,{tmp_path / 'two.csv'}",))
    (tmp_path / "two.csv").write_text("a,b,label\n0,1,p\n")
    expected = [hashlib.blake2b((tmp_path / name).read_bytes(), digest_size=16) for name in ("one.csv", "two.csv")]
    assert head_of(made)["data"] == [digest.hexdigest() for digest in expected]


@pytest.mark.parametrize("address", ["tcp://:::::", "tcp://a b:1", "tcp://", "tcp://host:port", "tcp://:1"])
def test_an_address_that_cannot_be_one_is_refused_without_trying(address: str) -> None:
    with pytest.raises(UsageError, match=r"write the address of a Dask scheduler"):
        crew(1, address)


def test_no_trial_is_called_the_best_where_all_diverged(tmp_path: Path) -> None:
    made = plan(tmp_path, over=("training.lr=0.05",))
    entries = [JournalEntry((("training.lr", 0.05),), seed, "done", figures={"val_loss": math.nan}) for seed in (0, 1)]
    text = "\n".join(as_text(made, standings(made, entries), None))
    assert "best" not in text
    assert text.endswith("no trial has a finite val_loss")


def test_a_folder_that_is_gone_while_it_is_shown_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = reader_of(folder_with(tmp_path, json.dumps(GOOD)))
    screen, said = SweepScreen(read, read()), list[str]()
    monkeypatch.setattr(screen, "notify", lambda sentence, **_options: said.append(sentence))
    for reason in ("gone", "gone", "damaged"):
        screen._unread(UsageError(reason))
    assert said == ["gone", "damaged"]


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UsageError, match=r"cannot be read: Permission denied"):
        refuse_foreign_files(tmp_path)
