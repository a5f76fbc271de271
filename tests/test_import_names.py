"""Tests which run, part, and figure a scalar of an event file becomes, where names are alike or leave a choice."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from bntui.export.names import run_names
from bntui.recording.history import RunInfo
from bntui.recording.reader import Reader
from tests.commands import bntui
from tests.test_import import scalar


def logs(folder: Path, *contents: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "events.out.tfevents.1.host.2.0").write_bytes(b"".join(contents))
    return folder


def recorded(place: Path, *options: str) -> tuple[dict[str, tuple[float, float]], str]:
    """First training and validation loss of each imported run, and what was said."""
    target = place.parent / "imported.bntui"
    done = bntui("import", place, "-o", target, *options)
    assert done.returncode == 0, done.stderr
    with closing(Reader(target)) as reader:
        found = {}
        for info in reader.runs:
            history = reader.history(info.index)
            found[info.name] = (float(history.train_loss[0]), float(history.val_loss[0]))
    return found, done.stderr


@pytest.mark.parametrize("name", ["lr=0.1", "v1.2.3", "실행.5"])
@pytest.mark.parametrize("of_file", [False, True])
def test_a_run_has_the_whole_name_of_its_folder(name: str, of_file: bool, tmp_path: Path) -> None:
    folder = logs(tmp_path / name, scalar("train_loss", 1), scalar("val_loss", 2))
    place = next(folder.iterdir()) if of_file else folder
    assert recorded(place)[0] == {name: (1, 2)}


def test_links_to_runs_are_followed_and_none_is_read_twice(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 3)):
        logs(tmp_path / "old" / name, scalar("train_loss", value), scalar("val_loss", value + 1))
    chosen = logs(tmp_path / "chosen" / "c", scalar("train_loss", 5), scalar("val_loss", 6)).parent
    (chosen / "a").symlink_to(tmp_path / "old" / "a")
    (chosen / "latest").symlink_to("c")
    (chosen / "c" / "again").symlink_to("..")
    (chosen / "nowhere").symlink_to("gone")
    assert recorded(chosen)[0] == {"a": (1, 2), "c": (5, 6)}


def test_a_folder_in_another_of_the_same_name_is_another_run(tmp_path: Path) -> None:
    for folder, value in ((tmp_path / "runs", 1), (tmp_path / "runs" / "runs", 3)):
        logs(folder, scalar("train_loss", value), scalar("val_loss", value + 1))
    assert recorded(tmp_path / "runs")[0] == {"runs": (1, 2), "runs (2)": (3, 4)}


@pytest.mark.parametrize("beside", ["train", "."])
def test_a_part_of_a_run_is_a_part_also_where_it_is_imported_alone(beside: str, tmp_path: Path) -> None:
    logs(tmp_path / "k" / beside, scalar("epoch_loss", 1))
    folder = logs(tmp_path / "k" / "validation", scalar("epoch_loss", 2))
    found, _said = recorded(folder)
    assert found["validation"][1] == 2
    assert found["validation"][0] != 2


def test_a_folder_named_test_with_no_part_beside_it_is_a_run(tmp_path: Path) -> None:
    assert recorded(logs(tmp_path / "test", scalar("loss", 1), scalar("val_loss", 2)))[0] == {"test": (1, 2)}


@pytest.mark.parametrize("tags", [("test_loss", "valid_loss"), ("Loss/test", "Loss/val"), ("test/loss", "eval/loss")])
def test_figures_of_a_test_set_do_not_replace_those_of_the_validation_set(
    tags: tuple[str, str], tmp_path: Path
) -> None:
    folder = logs(tmp_path / "run", scalar("train_loss", 1), scalar(tags[0], 9), scalar(tags[1], 2))
    found, said = recorded(folder)
    assert found == {"run": (1, 2)}
    assert f"left out, because a recording has no place for them: {tags[0]}" in said


def test_a_figure_that_is_named_goes_before_one_that_is_guessed(tmp_path: Path) -> None:
    folder = logs(tmp_path / "run", scalar("train_loss", 1), scalar("val_loss", 9), scalar("Loss", 2))
    found, said = recorded(folder, "--figure", "Loss=val_loss")
    assert found == {"run": (1, 2)}
    assert "left out, because a recording has no place for them: val_loss" in said


def test_a_figure_of_a_tag_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    folder = logs(tmp_path / "run", scalar("Perplexity", 1), scalar("loss", 1))
    done = bntui("import", folder, "-o", tmp_path / "x.bntui", "--figure", "perplexity=val_loss")
    assert done.returncode == 2
    assert "no run has a scalar of this name (did you mean 'Perplexity'?)" in done.stderr
    assert not (tmp_path / "x.bntui").exists()


def test_tags_that_become_the_same_are_not_mixed(tmp_path: Path) -> None:
    long = "x" * 300
    folder = logs(tmp_path / "run", scalar("train_loss", 1), scalar("train_loss\x01", 7), scalar("val_loss", 2),
                  scalar(f"{long}a", 5), scalar(f"{long}b", 6))  # fmt: skip
    found, said = recorded(folder)
    assert found == {"run": (1, 2)}
    assert "values with a tag that, shortened and cleaned, is the same as another: 2" in said


def test_a_run_of_which_nothing_is_recorded_is_named(tmp_path: Path) -> None:
    logs(tmp_path / "runs" / "a", scalar("train_loss", 1), scalar("val_loss", 2))
    logs(tmp_path / "runs" / "b", scalar("hp_metric", 1))
    found, said = recorded(tmp_path / "runs")
    assert found == {"a": (1, 2)}
    assert "b: left out, because a recording has no place for them: hp_metric" in said


def test_files_of_runs_have_names_of_their_own_that_a_system_takes() -> None:
    names = ["a/b", "a_b (2)", "a_b", "A_B", "가" * 100, "가" * 99, "..", "", "x."]
    found = run_names(RunInfo(at, name, {}, (), 1, "", "") for at, name in enumerate(names))
    assert len({name.casefold() for name in found.values()}) == len(names)
    assert max(len(name.encode()) for name in found.values()) <= 120
    assert not any("/" in name or name in {".", ".."} for name in found.values())


def test_deep_folders_and_names_that_no_terminal_shows_are_runs_that_can_be_read(tmp_path: Path) -> None:
    """A reader takes a name of 1 to 1000 characters."""
    deep = tmp_path / "logs" / Path(*(letter * 250 for letter in "abcde"))
    logs(deep, scalar("train_loss", 1), scalar("val_loss", 2))
    logs(tmp_path / "logs" / "\u202e", scalar("train_loss", 3), scalar("val_loss", 4))
    found, _said = recorded(tmp_path / "logs")
    assert found == {f"…{'d' * 248}/{'e' * 250}": (1, 2), "run": (3, 4)}
