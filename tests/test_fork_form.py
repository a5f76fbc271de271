"""Tests the fork form: what it offers, that it parses input like --set, and its preview of what is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from bntui.errors import ScenarioError
from bntui.recording.history import RunInfo
from bntui.scenario.checks import DataFacts
from bntui.scenario.fork import FIXED, settings
from bntui.scenario.load import Scenario, parse, parse_override
from bntui.text.language import _, use
from bntui.viewer.draw.rows import text
from bntui.viewer.fork import form as forms
from bntui.viewer.fork import form_rows
from bntui.viewer.fork.check import judge
from bntui.viewer.fork.form import ForkForm, ForkOrigin

SCENARIO = """
title = "Forks"
[data]
source = "digits"
batch_size = 60
[network]
hidden = [20, 10]
activation = "sigmoid"
[training]
lr = 0.1
epochs = 30
"""
STOPPING = "[training.early_stopping]\npatience = 5\n"
CONV = """
title = "Forks"
[data]
source = "digits"
[network]
[[network.layer]]
type = "conv"
channels = 4
pool = 2
[[network.layer]]
type = "linear"
units = 12
[training]
epochs = 3
"""


def scenario(toml: str = SCENARIO) -> Scenario:
    return parse(toml, file="forks.toml")


def config(toml: str = SCENARIO) -> dict[str, Any]:
    return scenario(toml).runs[0].config.model_dump(mode="json")


def form(toml: str = SCENARIO, epoch: float = 3.0, facts: DataFacts | None = None) -> ForkForm:
    return forms.opened(ForkOrigin(RunInfo(0, "plain", config(toml), (), 24, "cpu"), round(24 * epoch), epoch, facts))


def at(opened: ForkForm, path: str) -> ForkForm:
    return replace(opened, at=[item.setting.path for item in opened.items].index(path), begun="")


def typed(opened: ForkForm, path: str, characters: str) -> ForkForm:
    opened = at(opened, path)
    for character in characters:
        opened = forms.enter(opened, character)
    return opened


def shown(opened: ForkForm) -> str:
    return opened.text(opened.item)


def test_what_people_change_most_stands_first_and_nothing_is_left_out() -> None:
    opened = form(SCENARIO + STOPPING)
    paths = [item.setting.path for item in opened.items]
    assert paths[:3] == ["training.lr", "network.norm", "network.dropout"]
    assert paths.index("training.early_stopping.patience") < paths.index("training.epochs") < len(forms.COMMON)
    allowed = {setting.path for setting in settings(config(SCENARIO + STOPPING))}
    assert set(paths) == allowed - {"network.layer"}  # the run lists hidden layers instead
    assert len(paths) == len(set(paths))
    assert not [path for path in paths if path.startswith(FIXED)]
    groups = [item.group for item in opened.items]
    assert [group for n, group in enumerate(groups) if n == 0 or group != groups[n - 1]] == list(forms.ORDER)


def test_the_first_character_replaces_the_value_and_the_last_one_can_be_taken_away() -> None:
    opened = typed(form(), "training.lr", "0.25")
    assert shown(opened) == "0.25"
    assert shown(forms.erase(opened)) == "0.2"
    assert shown(forms.enter(forms.erase(opened), "9")) == "0.29"
    assert shown(forms.restore(opened)) == "0.1"
    assert not forms.restore(opened).touched(opened.item)
    away = forms.move(forms.move(opened, 1), -1)
    assert shown(forms.enter(away, "3")) == "3"


def test_choices_are_walked_around_and_found_by_their_beginning() -> None:
    opened = at(form(), "network.activation")
    allowed = ("sigmoid", "tanh", "relu", "leaky_relu", "gelu", "softsign", "none")
    walked = []
    for _turn in allowed:
        opened = forms.turn(opened, 1)
        walked.append(shown(opened))
    assert walked == [*allowed[1:], allowed[0]]
    assert shown(forms.turn(opened, -1)) == "none"
    assert shown(typed(form(), "network.activation", "so")) == "softsign"
    assert shown(typed(form(), "network.activation", "sog")) == "gelu"  # no word goes on so: it begins anew
    assert shown(typed(form(), "network.activation", "z")) == "sigmoid"
    assert shown(typed(form(), "training.nesterov", "t")) == "true"
    assert shown(forms.turn(at(form(), "training.lr"), 1)) == "0.1"


@pytest.mark.parametrize("written", ["0.5", "1e-3", "none", "[64, 32]", '"he"', "normal:0.2", "true", "7"])
def test_values_are_read_as_the_command_line_reads_them(written: str) -> None:
    path = "network.init"
    changes = dict(judge(typed(form(), path, written)).changes)
    assert changes == {path: parse_override(f"{path}={written}")[1]}


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("training.lr", "-1"), ("network.dropout", "1.5"), ("data.batch_size", "0"),
        ("data.batch_size", "2.5"), ("network.init", "nromal:1"), ("record.every", "0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_what_the_scenario_would_say(path: str, written: str) -> None:
    found = judge(typed(form(), path, written))
    with pytest.raises(ScenarioError) as refused:
        parse(SCENARIO, file="forks.toml", overrides=[parse_override(f"{path}={written}")])
    wanted = refused.value.problems[0]
    assert not found.valid
    assert list(found.errors) == [wanted.path] == [path]
    assert found.errors[path].startswith(wanted.message)
    assert (wanted.nearest or "") in found.errors[path]


def test_what_is_no_value_is_said_without_the_option_that_is_not_there() -> None:
    said = judge(typed(form(), "network.hidden", "[64")).errors["network.hidden"]
    assert "not valid TOML" in said
    assert "--set" not in said
    emptied = at(form(), "training.epochs")
    for _time in range(2):
        emptied = forms.erase(emptied)
    assert "value is missing" in judge(emptied).errors["training.epochs"]


def test_a_number_written_otherwise_is_no_change() -> None:
    verdict = judge(typed(form(), "training.lr", "0.10"))
    assert verdict.valid
    assert verdict.differences == ()


def test_a_patience_begins_early_stopping_and_none_ends_it() -> None:
    begun = judge(typed(form(), "training.early_stopping.patience", "7"))
    (change,) = begun.differences
    assert (change.path, change.before, change.after["patience"]) == ("training.early_stopping", None, 7)
    assert begun.plan is not None
    assert not begun.plan.patience
    there = typed(form(SCENARIO + STOPPING), "training.early_stopping.patience", "7")
    verdict = judge(there)
    (change,) = verdict.differences
    assert change[:] == ("training.early_stopping.patience", 5, 7)
    assert verdict.plan is not None
    assert verdict.plan.patience
    ended = typed(typed(there, "training.early_stopping.min_delta", "0.5"), "training.early_stopping.patience", "none")
    (change,) = judge(ended).differences
    assert (change.path, change.after) == ("training.early_stopping", None)


def test_the_foot_counts_the_chosen_setting() -> None:
    opened = form()
    count = len(opened.items)
    for number in (0, 3, count - 1):
        here = form_rows.seen(replace(opened, at=number), 20)
        rows = [text(row) for row in form_rows.draw(here, judge(here), "Fork", 78, 20).rows]
        assert any(row.endswith(f" {number + 1}/{count} ─") for row in rows)


def test_where_the_parents_own_value_is_wrong_it_is_not_offered() -> None:
    def foot(opened: ForkForm) -> str:
        opened = form_rows.seen(forms.halt(opened, judge(opened).errors), 22)
        drawn = form_rows.draw(opened, judge(opened), "Fork", 78, 22)
        return " ".join(text(row).strip() for row in drawn.rows)

    own = forms.restore(at(form(epoch=30.0), "training.epochs"))
    assert "First, training.epochs: type another value than the parent's." in foot(own)
    assert "or del for the parent's" in foot(typed(form(epoch=3.0), "training.epochs", "1"))


def test_a_fork_needs_something_left_to_train() -> None:
    late = forms.restore(at(form(epoch=30.0), "training.epochs"))
    assert list(judge(late).errors) == ["training.epochs"]
    assert judge(typed(late, "training.epochs", "31")).valid
    assert judge(form(epoch=29.9)).valid


@pytest.mark.parametrize("language", ["en", "ko"])
def test_where_the_parent_is_over_more_epochs_are_proposed_and_why(language: str) -> None:
    assert not form(epoch=29.9).typed
    late = form(epoch=30.0)
    assert (late.item.setting.path, late.text(late.item), late.touched(late.item)) == ("training.epochs", "60", True)
    assert judge(late).valid
    assert judge(late).changes == (("training.epochs", 60),)
    use(language)
    rows = [text(row) for row in form_rows.draw(form_rows.seen(late, 22), judge(late), "Fork", 78, 22).rows]
    said = " ".join(row.strip() for row in rows[-5:-3]).strip()
    assert said == _(form_rows.PROPOSED).format(parent=30, epochs=60)
    assert not any("✗" in row for row in rows)
    other = forms.enter(late, "4")
    assert other.text(other.item) == "4"
    assert not other.proposes


@pytest.mark.parametrize(
    ("path", "keys", "left"),
    [
        ("training.lr", "f0a.0x5e-3z", "0.05e-3"), ("training.lr", ".5", ".5"), ("training.lr", "-1", "-1"),
        ("training.lr", "inf", "0.1"), ("training.epochs", "twelve 12", "12"), ("training.clip_norm", "none1", "none"),
        ("training.clip_norm", "nonsense", "none"), ("record.every", "epochs", "epoch"), ("record.every", "5", "5"),
        ("training.betas", "[0.9, a0.5]", "[0.9, 0.5]"), ("network.init", "normal:0.1", "normal:0.1"),
    ],
)  # fmt: skip
def test_where_a_number_belongs_no_letter_gets_that_no_number_has(path: str, keys: str, left: str) -> None:
    opened = typed(form(), path, keys)
    assert shown(opened) == left


def test_what_cannot_start_leads_to_the_first_thing_that_is_wrong() -> None:
    opened = at(typed(typed(form(), "training.lr", "-1"), "network.dropout", "5"), "training.epochs")
    halted = forms.halt(opened, judge(opened).errors)
    assert halted.item.setting.path == "training.lr"
    rows = "\n".join(text(row) for row in form_rows.draw(halted, judge(halted), "Fork", 78, 22).rows)
    assert "First, training.lr" in rows
    assert not forms.move(halted, 1).halted
    assert not forms.enter(halted, "1").halted


def test_facts_of_the_file_are_held_against_what_is_written() -> None:
    assert judge(typed(form(), "network.norm", "b")).valid
    lone = DataFacts(samples=76, task="classification", shape=(1, 8, 8))  # 60 train, 16 are held out
    opened = typed(typed(form(facts=lone), "network.norm", "b"), "data.batch_size", "59")
    assert list(judge(opened).errors) == ["data.batch_size"]


def rows(opened: ForkForm, width: int = 78, height: int = 22) -> list[str]:
    opened = form_rows.seen(opened, height)
    drawing = form_rows.draw(opened, judge(opened), "Fork", width, height)
    lines = [text(row) for row in drawing.rows]
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}
    return lines


def test_what_is_changed_is_marked_with_its_old_value() -> None:
    lines = rows(typed(form(), "network.norm", "b"))
    (line,) = [line for line in lines if "network.norm" in line]
    assert line.split() == ["▸", "*", "network.norm", "◂", "batch", "▸", "was", "none"]
    assert any("[batch]" in line for line in lines)
    assert "Normalization in the hidden layers." in " ".join(lines)


def test_an_error_stands_beside_its_setting_and_whole_below() -> None:
    lines = rows(typed(form(), "network.dropout", "7"))
    assert [line for line in lines if line.startswith("▸ ✗ network.dropout") and "must be below 1.0" in line]
    assert [line for line in lines if line.startswith("✗ must be below 1.0")]
    assert [line for line in lines if "1 problem" in line]


def test_the_last_lines_say_what_a_fork_keeps() -> None:
    assert any("Nothing is changed" in line and "bit for bit" in line for line in rows(form()))
    lr = " ".join(rows(typed(form(), "training.lr", "1")))
    assert "All parameters and buffers are kept." in lr
    assert "anew" not in lr
    assert "The optimizer's averages are reset." in " ".join(rows(typed(form(), "training.optimizer", "rms"), 150))
    norm = " ".join(rows(typed(form(), "network.norm", "b"), 150))
    assert "6 of 16 parameters and buffers are kept; new: linear 1.norm.weight" in norm  # 5 new ones a layer
    assert "Early stopping is reset." in norm


@pytest.mark.parametrize("size", [(78, 22), (38, 10), (98, 38)])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_setting_that_the_keys_mean_is_always_seen(size: tuple[int, int], language: str) -> None:
    use(language)
    try:
        opened = typed(form(SCENARIO + STOPPING), "training.lr", "-5")
        opened = forms.move(opened, -1000)
        for by in (1, -1):
            for _ in opened.items:
                opened = form_rows.seen(opened, size[1])
                lines = rows(opened, *size)
                (here,) = [line for line in lines if line.startswith("▸")]
                assert opened.text(opened.item)[:4] in here
                y = next(n for n, line in enumerate(lines) if line.startswith("▸"))
                assert form_rows.at(opened, y, size[1]) == opened.at
                opened = forms.move(opened, by)
        assert form_rows.seen(opened, size[1]).top == 0  # its heading is seen again
    finally:
        use("en")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_keys_that_start_and_leave_are_seen_at_any_width(language: str) -> None:
    use(language)  # conftest sets it back
    here = form()
    for width in range(20, 121):
        foot = text(form_rows.draw(here, judge(here), "Fork", width, 10).rows[-1])
        assert cell_len(foot) == width
        for key in ("↑↓", "↵", "esc", "?"):
            assert key in foot
        if width >= 38:
            assert f"↵ {_('start')}  esc {_('leave')}" in foot
