"""Tests that scenarios are read as written, and that every problem is named, located, and explained."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.errors import BntuiError, Problem, ScenarioError, UsageError
from bntui.scenario import gallery
from bntui.scenario.blocks import blocks, convolved, pooled
from bntui.scenario.checks import DataFacts, lone_sample, problems, split_counts
from bntui.scenario.complaints import SYNONYMS
from bntui.scenario.load import Scenario, load, parse, parse_override
from bntui.scenario.network import NetworkConfig
from bntui.scenario.schema import RunConfig, json_schema
from bntui.scenario.toml_lines import KeyPath, key_lines

BASE = """\
title = "A test"
seed = 7
[data]
source = "digits"
batch_size = 60
[network]
hidden = [20, 10]
[training]
lr = 0.1
epochs = 3
"""
LINES_OF_BASE = BASE.count("\n")


def read(text: str, *overrides: tuple[str, object]) -> Scenario:
    return parse(text, file="x.toml", overrides=overrides)


def found_in(text: str, *overrides: tuple[str, object]) -> tuple[Problem, ...]:
    with pytest.raises(ScenarioError) as caught:
        read(text, *overrides)
    return caught.value.problems


def problem(text: str, *overrides: tuple[str, object]) -> Problem:
    found = found_in(text, *overrides)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


# --- lines of keys --------------------------------------------------------------------------------

TOML = '''\
# a comment = "with a key"
title = "x" # [not.a.table]
text = """
a = 1
[b] ""quoted"" \\""" more
"""
raw = \'\'\'
c = 2\'\'\'
a.b."c.d".'e' = 1

[ one . "two words" ]
list = [
  1, # one ]
  [2,
   3],
  { x = 1, y.z = [ "]", "}" ] },
]
"quoted \\u0041" = 5
[[run]]
name = "p"
[run.set]
network.norm = "batch"
[[run]]
set = { network = { norm = "batch", "key" = 1 }, training.lr = 0.1 }
[[run.deep]]
x = 1979-05-27 07:32:00
[[run.deep]]
y = ""
'''
EXPECTED: dict[KeyPath, int] = {
    ("title",): 2,
    ("text",): 3,
    ("raw",): 7,
    ("a", "b", "c.d", "e"): 9,
    ("one",): 11,
    ("one", "two words", "list"): 12,
    ("one", "two words", "list", 0): 13,
    ("one", "two words", "list", 1): 14,
    ("one", "two words", "list", 1, 0): 14,
    ("one", "two words", "list", 1, 1): 15,
    ("one", "two words", "list", 2, "x"): 16,
    ("one", "two words", "list", 2, "y", "z", 1): 16,
    ("one", "two words", "quoted A"): 18,
    ("run",): 19,
    ("run", 0): 19,
    ("run", 0, "name"): 20,
    ("run", 0, "set"): 21,
    ("run", 0, "set", "network", "norm"): 22,
    ("run", 1): 23,
    ("run", 1, "set", "network", "norm"): 24,
    ("run", 1, "set", "network", "key"): 24,
    ("run", 1, "set", "training", "lr"): 24,
    ("run", 1, "deep"): 25,
    ("run", 1, "deep", 0, "x"): 26,
    ("run", 1, "deep", 1): 27,
    ("run", 1, "deep", 1, "y"): 28,
}


def paths(value: Any, prefix: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key path of a document as tomllib reads it."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*prefix, key)
        yield from paths(inner, (*prefix, key))


@pytest.mark.parametrize("text", [TOML, TOML.replace("\n", "\r\n")], ids=["lf", "crlf"])
def test_lines_of_keys_are_those_a_person_counts(text: str) -> None:
    found = key_lines(text)
    assert {path: found.get(path) for path in EXPECTED} == EXPECTED


@pytest.mark.parametrize("text", [TOML, *(card.path.read_text() for card in gallery.scenarios())])
def test_the_scanner_finds_the_key_paths_that_tomllib_finds(text: str) -> None:
    assert set(key_lines(text)) == set(paths(tomllib.loads(text)))


KEYS = st.text("abAB-_1", min_size=1, max_size=3) | st.sampled_from(['"q.k"', "'l k'", '"\\u0041 #"'])
SCALARS = st.sampled_from(["1", "-2.5e3", "true", '"s, # ]"', "'}'", '""', '"""m\n[x]\n"""', "'''\n''a'''", "07:32:00"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda entries: "[\n" + ", # c\n".join(entries) + "\n]")
        | st.dictionaries(KEYS, inner, max_size=3).map(
            lambda t: "{" + ", ".join(f"{k} = {v}" for k, v in t.items()) + "}"
        )
    ),
    max_leaves=6,
)
STATEMENTS = (
    st.tuples(st.lists(KEYS, min_size=1, max_size=2), VALUES).map(lambda kv: f"{' . '.join(kv[0])} = {kv[1]}")
    | st.lists(KEYS, min_size=1, max_size=3).map(lambda keys: f"[{'.'.join(keys)}]  # table")
    | st.lists(KEYS, min_size=1, max_size=3).map(lambda keys: f"[[ {'.'.join(keys)} ]]")
)


@given(st.lists(STATEMENTS, max_size=8).map("\n\n".join))
def test_the_scanner_agrees_with_tomllib_on_any_valid_file(text: str) -> None:
    lines = key_lines(text)
    try:
        document = tomllib.loads(text)
    except ValueError:
        return  # it did not raise, and nothing more is asked of it
    assert set(lines) == set(paths(document))
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@given(st.text("ab=.[]{}\"'#,\n\\ 1"))
def test_the_scanner_never_raises(text: str) -> None:
    assert all(line >= 1 for line in key_lines(text).values())


def test_what_follows_an_odd_line_is_still_known() -> None:
    found = key_lines("a = 1\n= = ]\nb = " + "[" * 200 + "\nc = 3")
    assert (found["a",], found["b",], found["c",]) == (1, 3, 4)


# --- loading --------------------------------------------------------------------------------------


def test_without_run_tables_there_is_one_run_with_the_defaults() -> None:
    scenario = read(BASE)
    assert [run.name for run in scenario.runs] == ["run"]
    config = scenario.runs[0].config
    assert (config.seed, config.device, config.training.optimizer, config.record.every) == (7, "auto", "sgd", "epoch")
    assert (scenario.title, scenario.look_for, scenario.text, scenario.path) == ("A test", (), BASE, None)


def test_set_is_merged_deeply_and_lists_are_replaced() -> None:
    text = BASE + '[training.schedule]\nkind = "step"\ngamma = 0.5\n[[run]]\nname = "a"\n[[run]]\nname = "b"\n'
    text += (
        'set = { network.hidden = [5], network.norm = "batch", training.schedule.gamma = 0.25, data.batch_size = 9 }\n'
    )
    a, b = (run.config for run in read(text).runs)
    assert (a.network.hidden, a.network.norm, a.training.schedule.gamma, a.data.batch_size) == (
        (20, 10),
        "none",
        0.5,
        60,
    )
    assert (b.network.hidden, b.network.norm, b.training.schedule.gamma, b.data.batch_size) == ((5,), "batch", 0.25, 9)
    assert b.training.schedule.kind == "step"
    assert b.training.lr == 0.1


def test_layers_said_later_replace_the_shorthand() -> None:
    text = BASE + '[[run]]\nname = "a"\n[[run]]\nname = "b"\nset.network.layer = [{ type = "linear", units = 4 }]\n'
    a, b = (run.config.network for run in read(text).runs)
    assert [block.units for block in blocks(a)] == [20, 10]
    assert [block.units for block in blocks(b)] == [4]
    assert [block.units for block in blocks(read(text, ("network.hidden", [3])).runs[1].config.network)] == [3]


def test_what_is_said_outside_wins_in_every_run() -> None:
    text = BASE + '[[run]]\nname = "a"\n[[run]]\nname = "b"\nset.training = { lr = 0.5, epochs = 9 }\n'
    scenario = read(
        text, ("training.epochs", 2), ("seed", 11), ("device", "cpu"), ("training.early_stopping.patience", 4)
    )
    for run in scenario.runs:
        assert run.config.training.epochs == 2
        assert (run.config.seed, run.config.device) == (11, "cpu")
        assert run.config.training.early_stopping is not None
        assert run.config.training.early_stopping.patience == 4
    assert [run.config.training.lr for run in scenario.runs] == [0.1, 0.5]


def test_an_override_reaches_into_a_list() -> None:
    text = BASE.replace("hidden = [20, 10]", 'layer = [{ type = "linear", units = 4 }, { type = "linear", units = 5 }]')
    network = read(text, ("network.layer[1].units", 6)).runs[0].config.network
    assert [block.units for block in blocks(network)] == [4, 6]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training.lr=0.5", ("training.lr", 0.5)),
        ("network.hidden = [1, 2]", ("network.hidden", [1, 2])),
        ("network.norm=batch", ("network.norm", "batch")),
        ('network.norm="batch"', ("network.norm", "batch")),
        ("network.init=normal:0.1", ("network.init", "normal:0.1")),
        ("data.source=my data/a=b.csv", ("data.source", "my data/a=b.csv")),
        ("training.nesterov=true", ("training.nesterov", True)),
        ("network.layer[0].units=3", ("network.layer[0].units", 3)),
    ],
)
def test_overrides_are_read_as_toml_or_as_a_word(text: str, expected: tuple[str, object]) -> None:
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["", "x", "=3", "training.lr=", "a..b=1", "a.=1", "a b=1", "x=[1", 'x="a', "a[x]=1"])
def test_a_malformed_override_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        parse_override(text)


def test_a_wrong_override_is_said_once_and_not_blamed_on_the_file() -> None:
    text = BASE + '[[run]]\nname = "a"\n[[run]]\nname = "b"\n'
    found = problem(text, ("training.optimiser", "adam"))
    assert (found.file, found.line, found.path, found.nearest) == (
        "command line",
        None,
        "training.optimiser",
        "optimizer",
    )
    found = problem(text, ("network.hidden[7]", 3))
    assert (found.file, found.path, found.value) == ("command line", "network.hidden[7]", "3")
    found = problem(
        text, ("data.batch_size", 359), ("network.norm", "batch"), ("data.samples", 450), ("data.validation", 0.2)
    )
    assert found.file == "command line"
    assert found.path == "data.batch_size"


# --- what is wrong, where, and what is allowed ----------------------------------------------------

WRONG: list[tuple[str, str, int | None, str, str | None, str, str | None]] = [
    # replaced, by, line, path, value, message contains, nearest
    ('title = "A test"\n', "", None, "title", None, "required, but missing", None),
    ('"A test"', '" "', 1, "title", '" "', "must not be empty", None),
    ('"A test"', '"a\\u001b[2Jb"', 1, "title", '"a\\u001b[2Jb"', "without control characters", None),
    ('"A test"', '"a\\u202eb"', 1, "title", '"a\\u202eb"', "without control characters", None),
    ("seed = 7", "sed = 7", 2, "sed", "7", "unknown key; allowed: title, description", "seed"),
    ("seed = 7", "promise = [1]", 2, "promise", "[1]", "unknown key", None),
    ("seed = 7", "lr = 7", 2, "lr", "7", "unknown key", "training.lr"),
    ("seed = 7", "look_for = [1]", 2, "look_for[0]", "1", "must be text in quotes", None),
    ("seed = 7", 'device = "cuda:x"', 2, "device", '"cuda:x"', "allowed: auto, cpu", "cuda:0"),
    ("seed = 7", "seed = -1", 2, "seed", "-1", "must be at least 0", None),
    ("seed = 7", "seed = 1.5", 2, "seed", "1.5", "must be a whole number", None),
    ('source = "digits"', "", 3, "data.source", None, "required, but missing", None),
    ('"digits"', '"digit"', 4, "data.source", '"digit"', "allowed: digits, breast_cancer", "digits"),
    ("batch_size = 60", "batchsize = 60", 5, "data.batchsize", "60", "unknown key; allowed: source", "batch_size"),
    ("batch_size = 60", "batch_size = true", 5, "data.batch_size", "true", "must be a whole number", None),
    ("batch_size = 60", "noise = 0.1", 5, "data.noise", "0.1", "digits is not generated", None),
    ("batch_size = 60", "samples = 1798", 5, "data.samples", "1798", "at most 1797", None),
    ("batch_size = 60", 'labels = "x"', 5, "data.labels", '"x"', "only to IDX files, not to digits", None),
    ("batch_size = 60", 'target = "x"', 5, "data.target", '"x"', "only to tables, .npz files", None),
    ("batch_size = 60", 'task = "regression"', 5, "data.task", '"regression"', "data for classification", None),
    ("batch_size = 60", "validation = 0.9999", 5, "data.validation", "0.9999", "no samples for training", None),
    ("batch_size = 60", 'batch_size = 2000\nlast_batch = "drop"', 5, "data.batch_size", "2000", "no mini-batch", None),
    ("[20, 10]", "5", 7, "network.hidden", "5", "must be a list", None),
    ("[20, 10]", "[\n20,\n'a']", 9, "network.hidden[1]", '"a"', "must be a whole number", None),
    ("[20, 10]", "[0]", 7, "network.hidden[0]", "0", "must be at least 1", None),
    ("seed = 7", '"data.samples" = 9', 2, '"data.samples"', "9", "write data.samples without quotes", None),
    ("seed = 7", '"date.samples" = 9', 2, '"date.samples"', "9", "unknown key; allowed: title", None),
    ("hidden = [20, 10]", "hiden = [20]", 7, "network.hiden", "[20]", "unknown key", "hidden"),
    ("hidden = [20, 10]", 'norm = "batchnorm"', 7, "network.norm", '"batchnorm"', "allowed: none, batch", "batch"),
    ("hidden = [20, 10]", 'activation = "LeakyReLU"', 7, "network.activation", '"LeakyReLU"', "allowed:", "leaky_relu"),
    ("hidden = [20, 10]", 'init = "xavior"', 7, "network.init", '"xavior"', "allowed: default, zeros", "xavier"),
    ("hidden = [20, 10]", 'init = "normal:1e999"', 7, "network.init", '"normal:1e999"', "a scale above 0", None),
    ("hidden = [20, 10]", "dropout = 1.0", 7, "network.dropout", "1.0", "must be below 1", None),
    ("hidden = [20, 10]", "hidden = [2]\nlayer = []", 7, "network.hidden", "[2]", "not both", None),
    ("hidden = [20, 10]", 'layer.type = "conv"', 7, "network.layer", None, "write [[network.layer]]", None),
    ("hidden = [20, 10]", "layer = [{ units = 3 }]", 7, "network.layer[0].type", None, "allowed: linear, conv", None),
    ("hidden = [20, 10]", 'layer = [{ type = "cnv" }]', 7, "network.layer[0].type", '"cnv"', "allowed: linear", "conv"),
    (
        "hidden = [20, 10]",
        '[[network.layer]]\ntype = "conv"\nchannels = 4\nwidth = 3',
        10,
        "network.layer[0].width",
        "3",
        "unknown key; allowed: name, norm, activation, dropout, init, type, channels, kernel",
        None,
    ),
    (
        "hidden = [20, 10]",
        'layer = [{ type = "conv", channels = 4, padding = "sam" }]',
        7,
        "network.layer[0].padding",
        '"sam"',
        "must be a whole number, or same",
        "same",
    ),
    (
        "hidden = [20, 10]",
        'layer = [{ type = "conv", channels = 4, stride = 2 }]',
        7,
        "network.layer[0].stride",
        "2",
        "'same' needs stride 1",
        None,
    ),
    (
        "hidden = [20, 10]",
        'layer = [\n{ type = "linear", units = 4 },\n{ type = "conv", channels = 4 } ]',
        9,
        "network.layer[1].type",
        '"conv"',
        "a convolution needs an image, but 'linear 1' outputs shape (4)",
        None,
    ),
    (
        "hidden = [20, 10]",
        'layer = [{ type = "linear", units = 4, name = "linear 2" },\n{ type = "linear", units = 4 } ]',
        8,
        "network.layer[1]",
        None,
        "the name 'linear 2' is already used",
        None,
    ),
    (
        "hidden = [20, 10]",
        'layer = [{ type = "linear", units = 4, name = "output" }]',
        7,
        "network.layer[0].name",
        '"output"',
        "the name 'output' is already used",
        None,
    ),
    (
        "hidden = [20, 10]",
        'layer = [{ type = "conv", channels = 4, pool = 4 }, { type = "conv", channels = 2, kernel = 3, padding = 0 }]',
        7,
        "network.layer[1].kernel",
        "3",
        "nothing is left of 2x2 pixels after 'conv 2'",
        None,
    ),
    ("hidden = [20, 10]", 'norm = "group"\nhidden = [12]', 7, "network.norm", '"group"', "groups = 8 does not divide the 12 units of 'linear 1'; possible values: 1, 2, 3, 4, 6", None),  # noqa: E501
    ("hidden = [20, 10]", 'norm = "group"\nhidden = [12]\ngroups = 5', 9, "network.groups", "5", "not divide", None),
    ("hidden = [20, 10]", 'norm = "group"\nhidden = [8]', 7, "network.norm", '"group"', "always 0", None),
    ("lr = 0.1", "lr = 'fast'", 9, "training.lr", '"fast"', "must be a number", None),
    ("lr = 0.1", "lr = true", 9, "training.lr", "true", "must be a number", None),
    ("lr = 0.1", "lr = nan", 9, "training.lr", "nan", "must be a finite number", None),
    ("lr = 0.1", "betas = [0.9]", 9, "training.betas", "[0.9]", "too few entries", None),
    ("lr = 0.1", "betas = [0.9, 0.9, 0.9]", 9, "training.betas", "[0.9, 0.9, 0.9]", "at most 2 entries", None),
    ("lr = 0.1", "clip_norm = 0", 9, "training.clip_norm", "0", "must be above 0", None),
    ("lr = 0.1", "nesterov = true", 9, "training.nesterov", "true", "needs optimizer = 'sgd' and a momentum", None),
    ("lr = 0.1", "nesterov = 1", 9, "training.nesterov", "1", "must be true or false", None),
    ("lr = 0.1", "optimizer = 'Adm'", 9, "training.optimizer", '"Adm"', "allowed: sgd, adam, adamw, rmsprop", "adam"),
    ("lr = 0.1", "schedule = 1", 9, "training.schedule", "1", "must be a table", None),
    ("epochs = 3", "epochs = 0", 10, "training.epochs", "0", "must be at least 1", None),
    ("epochs = 3", "early_stopping.monitor = 'val_acc'", 10, "training.early_stopping.monitor", '"val_acc"', "allowed: val_loss", "val_accuracy"),  # noqa: E501
    ("epochs = 3", "early_stopping.monitor = 'val_r2'", 10, "training.early_stopping.monitor", '"val_r2"', "needs regression", "val_accuracy"),  # noqa: E501
    ("epochs = 3", "early_stopping.patience = -1", 10, "training.early_stopping.patience", "-1", "at least 0", None),
    ("epochs = 3\n", "[record]\nevery = 0\n", 11, "record.every", "0", "must be at least 1, or epoch", None),
    ("epochs = 3\n", "[record]\nevery = 'epcoh'\n", 11, "record.every", '"epcoh"', "or epoch", "epoch"),
    ("epochs = 3\n", "[run]\nname = 'a'\n", 10, "run", None, "write [[run]]", None),
    ("epochs = 3\n", "[[run]]\nset = {}\n", 10, "run[0].name", None, "required, but missing", None),
    ("epochs = 3\n", '[[run]]\nname = "a\\u0007"\n', 11, "run[0].name", '"a\\u0007"', "control", None),
    ("epochs = 3\n", "[[run]]\nname = 'a'\n[[run]]\nname = 'a'\n", 13, "run[1].name", '"a"', "already has this", None),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "path", "value", "message", "hint"), WRONG)
def test_every_error_says_where_what_and_what_is_allowed(
    old: str, new: str, line: int | None, path: str, value: str | None, message: str, hint: str | None
) -> None:
    assert old in BASE
    found = problem(BASE.replace(old, new))
    assert (found.file, found.line, found.path, found.value, found.nearest) == ("x.toml", line, path, value, hint)
    assert message in found.message


IN_SET = [
    ('network.norm = "bach"', "network.norm", '"bach"', "allowed: none, batch, layer, group", "batch"),
    ("netwrk.norm = 1", "netwrk", None, "unknown key; allowed: data, network, training", "network"),
    ("training.lr = -1", "training.lr", "-1", "must be at least 0", None),
    ("training.nesterov = true", "training.nesterov", "true", "momentum above 0", None),
    (
        "training.early_stopping.monitor = 'r2'",
        "training.early_stopping.monitor",
        '"r2"',
        "needs regression",
        "accuracy",
    ),
    ("network.hidden = [3, 0]", "network.hidden[1]", "0", "must be at least 1", None),
    ("network.norm = 'group'", "network.norm", '"group"', "does not divide", None),
    ("network = 3", "network", "3", "must be a table", None),
    *(
        (f"{key} = {value}", key, value, "use the same samples", None)
        for key, value in [
            ("data.source", '"iris"'),
            ("data.labels", '"a"'),
            ("data.target", '"a"'),
            ("data.task", '"auto"'),
            ("data.samples", "50"),
            ("data.noise", "0.5"),
            ("data.validation", "0.5"),
            ("seed", "8"),
            ("device", '"cpu"'),
        ]
    ),
]


@pytest.mark.parametrize(("change", "path", "value", "message", "hint"), IN_SET)
def test_an_error_in_a_set_stands_there(
    change: str, path: str, value: str | None, message: str, hint: str | None
) -> None:
    text = BASE.replace("[20, 10]", "[20]") + f'[[run]]\nname = "a"\n[[run]]\nname = "b"\n[run.set]\n{change}\n'
    found = problem(text)
    expected = (LINES_OF_BASE + 6, f"run[1].set.{path}", value, hint)
    assert (found.line, found.path, found.value, found.nearest) == expected
    assert message in found.message


def test_all_problems_come_at_once_in_file_order_and_those_of_the_base_only_once() -> None:
    text = BASE.replace("lr = 0.1", "lr = 'x'").replace("seed = 7", "sed = 7").replace("60", "0")
    text += '[[run]]\nname = "a"\nset.network.norm = "x"\n[[run]]\nname = "b"\nset.training.optimizer = "x"\n'
    found = found_in(text, ("training.epochs", 0))
    assert [(each.line, each.path) for each in found] == [
        (2, "sed"),
        (5, "data.batch_size"),
        (9, "training.lr"),
        (13, "run[0].set.network.norm"),
        (16, "run[1].set.training.optimizer"),
        (None, "training.epochs"),
    ]
    assert found[-1].file == "command line"
    assert str(found[1]) == "x.toml:5: data.batch_size = 0: must be at least 1"


TOUR = '[[tour]]\nat = 1\npanel = "curves"\nquestion = "q"\nanswer = "a"\n'
TRANSLATED = '[translation.ko]\ntitle = "x"\n[[translation.ko.tour]]\nquestion = "q"\nanswer = "a"\n'


@pytest.mark.parametrize(
    ("added", "paths"),
    [
        # a mistake in one table hides none in another, and makes none up
        ('[view]\npinned = "c"\n' + TOUR.replace("curves", "x"), {"view.pinned", "tour[0].panel"}),
        (TOUR.replace("at = 1", 'at = 1\nrun = "c"') + "[view]\nx = 1\n", {"tour[0].run", "view.x"}),
        (TOUR.replace("curves", "x") + TRANSLATED, {"tour[0].panel"}),
        ('[view]\npinned = "c"\n[[run]]\n', {"run[2].name"}),
    ],
)
def test_problems_of_every_table_come_at_once(added: str, paths: set[str]) -> None:
    text = BASE.replace("lr = 0.1", "lr = 'x'") + '[[run]]\nname = "a"\n[[run]]\nname = "b"\n' + added
    assert {each.path for each in found_in(text)} == paths | {"training.lr"}


def test_a_scenario_without_data_says_so_once() -> None:
    found = problem(BASE.replace("[data]", "[record]").replace('source = "digits"', "").replace("batch_size = 60", ""))
    assert (found.path, found.message) == ("data", "required, but missing")


def test_at_most_twelve_runs() -> None:
    runs = "".join(f'[[run]]\nname = "{number}"\n' for number in range(12))
    assert len(read(BASE + runs).runs) == 12
    found = problem(BASE + runs + '[[run]]\nname = "12"\n')
    assert (found.path, found.line) == ("run", LINES_OF_BASE + 1)
    assert "at most 12" in found.message


def test_convolutions_need_images() -> None:
    conv = BASE.replace("hidden = [20, 10]", 'layer = [{ type = "conv", channels = 4 }]')
    assert blocks(read(conv).runs[0].config.network)[0].channels == 4
    found = problem(conv.replace("digits", "iris"))
    assert (found.path, found.line) == ("network.layer[0].type", 7)
    assert "a convolution needs images" in found.message
    assert read(conv.replace("digits", "train-images-idx3-ubyte")).runs
    assert "needs images" in problem(conv.replace("digits", "a.csv")).message


# --- batches of one -------------------------------------------------------------------------------


@given(st.integers(1, 200), st.integers(1, 60), st.sampled_from(["keep", "drop"]))
def test_a_lone_sample_is_one_that_cutting_the_epoch_gives(n_train: int, batch_size: int, last_batch: str) -> None:
    batches = [range(n_train)[start : start + batch_size] for start in range(0, n_train, batch_size)]
    used = [len(batch) for batch in batches if last_batch == "keep" or len(batch) == batch_size]
    assert lone_sample(n_train, batch_size, last_batch) == (1 in used)


@given(st.integers(2, 5000), st.floats(0.01, 0.99))
def test_the_split_loses_no_sample_and_holds_one_out(samples: int, validation: float) -> None:
    n_train, n_validation = split_counts(samples, validation)
    assert n_train + n_validation == samples
    assert n_validation >= 1
    assert abs(n_validation - samples * validation) <= 1


def test_digits_are_split_as_the_screen_says() -> None:
    assert split_counts(1797, 0.2) == (1437, 360)


def test_batch_norm_over_one_sample_is_refused_with_reason_and_remedy() -> None:
    text = BASE.replace("[20, 10]", '[20, 10]\nnorm = "batch"')
    assert read(text).runs  # 1437 % 60 = 57
    left_over = text.replace("batch_size = 60", "samples = 102\nvalidation = 0.2\nbatch_size = 16")  # 81 = 5 * 16 + 1
    found = problem(left_over)
    assert (found.path, found.line, found.value) == ("data.batch_size", 7, "16")
    assert "last mini-batch" in found.message
    assert 'last_batch = "drop"' in found.message
    assert read(left_over.replace("batch_size = 16", 'batch_size = 16\nlast_batch = "drop"')).runs
    assert read(left_over.replace('"batch"', '"layer"')).runs
    single = problem(text.replace("= 60", '= 1\nlast_batch = "drop"'))
    assert "at least two samples for a variance" in single.message
    assert "larger batch_size" in single.message


def test_in_convolutions_only_a_single_pixel_matters() -> None:
    network = '[[network.layer]]\ntype = "conv"\nchannels = 4\npool = 8\nnorm = "batch"\n'
    text = BASE.replace("[network]\nhidden = [20, 10]\n", network).replace("batch_size = 60", "batch_size = 1")
    assert read(text).runs
    second = '[[network.layer]]\ntype = "conv"\nchannels = 4\nnorm = "batch"\n'
    assert "'conv 2'" in problem(text.replace(network, network + second)).message


def test_the_trainer_asks_the_same_once_it_has_read_a_file() -> None:
    stopping = ("training.early_stopping.monitor", "val_accuracy")
    config = read(BASE.replace("digits", "a.npz"), ("network.norm", "batch"), stopping).runs[0].config
    assert problems(config, DataFacts(150, "classification", (4,))) == ()  # 120 = 2 * 60
    (lone,) = problems(config, DataFacts(152, "classification", (4,)))  # 31 are held out, 121 = 2 * 60 + 1
    assert problems(config, DataFacts(1, "classification", (4,)))[0].path == "data.validation"
    (monitor,) = problems(config, DataFacts(150, "regression", (4,)))
    assert monitor.path == "training.early_stopping.monitor"
    assert lone.path == "data.batch_size"


# --- blocks ---------------------------------------------------------------------------------------


def test_blocks_resolve_the_defaults_of_the_network() -> None:
    network = NetworkConfig.model_validate_json("""{"norm": "batch", "dropout": 0.5, "activation": "tanh", "init": "he",
        "layer": [
        {"type": "conv", "channels": 4, "pool": 2, "norm": "none"},
        {"type": "linear", "units": 5, "name": "mine", "dropout": 0.0},
        {"type": "linear", "units": 6, "activation": "none", "init": "zeros"}]}""")
    conv, mine, last = blocks(network)
    assert [block.name for block in (conv, mine, last)] == ["conv 1", "mine", "linear 2"]
    assert (conv.type, conv.channels, conv.kernel, conv.padding, conv.pool) == ("conv", 4, 3, "same", 2)
    assert (conv.norm, conv.dropout, conv.activation, conv.init) == ("none", 0.5, "tanh", "he")
    assert (mine.units, mine.norm, mine.dropout) == (5, "batch", 0.0)
    assert (last.activation, last.init, last.dropout) == ("none", "zeros", 0.5)
    assert blocks(NetworkConfig()) == ()


@pytest.mark.parametrize("padding", ["same", 0, 2])
@pytest.mark.parametrize(("kernel", "stride", "pool"), [(3, 1, 1), (5, 1, 3), (7, 2, 2)])
def test_feature_maps_have_the_size_that_pytorch_gives(padding: Any, kernel: int, stride: int, pool: int) -> None:
    torch = pytest.importorskip("torch")
    stride = 1 if padding == "same" else stride
    layer = {"type": "conv", "channels": 2, "kernel": kernel, "stride": stride, "padding": padding, "pool": pool}
    (block,) = blocks(NetworkConfig.model_validate({"layer": (layer,)}))
    image = torch.nn.Conv2d(1, 2, kernel, stride, padding)(torch.zeros(1, 1, 9, 11))
    assert convolved(block, (9, 11)) == tuple(image.shape[2:])
    assert pooled(block, (5, 7)) == tuple(torch.nn.MaxPool2d(pool)(torch.zeros(1, 1, 5, 7)).shape[2:])


# --- files ----------------------------------------------------------------------------------------


def test_a_syntax_error_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('title = "x"\nseed = = 3\n')
    with pytest.raises(ScenarioError) as caught:
        load(file)
    (found,) = caught.value.problems
    assert (found.file, found.line) == (str(file), 2)
    assert "not valid TOML: Invalid value" in found.message
    assert problem('title = """x\n\n').line == 3
    assert "nested too deeply" in problem("x = " + "[" * 9999).message


def test_a_file_that_is_not_text_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(b'seed = 1\ntitle = "\xe9"\n')
    with pytest.raises(ScenarioError, match=r"latin\.toml:2: is not UTF-8 text"):
        load(file)
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ScenarioError, match="not a scenario file: larger than 1 MB"):
        load(file)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "t.csv",
            b"a,b\n1,2\n",
            r"t\.csv:1: not valid TOML: .*; to train with a data file, name it in a scenario file as",
        ),
        ("t.csv.gz", b"\x1f\x8b\x08", "not a scenario file; to train with a data file"),
        ("T.NPZ", b"PK" + b"\xff" * 2_000_000, "not a scenario file: larger than 1 MB; to train with a data file"),
        (
            "x.bntui",
            b"SQLite format 3\0\xff",
            "not a scenario file; to open a recording, use bntui replay or bntui show",
        ),
        ("x.toml", b"a,b\n", r"x\.toml:1: not valid TOML: [^;]*$"),
    ],
)
def test_a_file_that_is_something_else_is_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScenarioError, match=said):
        load(tmp_path / name)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "bom.toml"
    file.write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load(file).path == file


def test_what_is_no_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.toml", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(BntuiError, match=words) as caught:
            load(path)
        assert caught.value.exit_code == 2
        assert str(path) in str(caught.value)


def test_no_control_character_reaches_the_terminal_through_a_problem() -> None:
    found = found_in(BASE + '"k\\u001b[2J\\u009b" = "v\\u007f\\u0007"\n')
    assert str(found[0]).isprintable()


# --- schema and gallery ---------------------------------------------------------------------------


def test_the_json_schema_describes_every_field() -> None:
    schema = json_schema()
    tables = {"scenario": schema} | schema["$defs"]
    assert {"Data", "NetworkConfig", "Training", "RunTable", "EarlyStoppingRule"} <= tables.keys()
    bare = [
        f"{table}.{key}"
        for table, is_ in tables.items()
        for key, f in is_["properties"].items()
        if "description" not in f
    ]
    assert bare == []
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"title", "data"}


@pytest.mark.parametrize("card", gallery.scenarios(), ids=lambda card: str(card.name))
def test_built_in_scenarios_are_valid_and_say_what_to_look_for(card: gallery.Card) -> None:
    scenario = load(card.path)
    assert card.problem is None
    assert (card.title, card.look_for, card.reference) == (scenario.title, scenario.look_for, scenario.reference)
    assert card.runs == tuple(run.name for run in scenario.runs)
    assert card.look_for
    assert card.description
    assert card.reference
    for run in scenario.runs:
        assert RunConfig.model_validate_json(run.config.model_dump_json()) == run.config


def test_the_three_first_scenarios_are_there() -> None:
    runs = {card.name: card.runs for card in gallery.scenarios()}
    assert runs["batch-normalization"] == ("plain", "batch norm")
    assert runs["dropout-regression"] == ("no dropout", "dropout")
    assert runs["early-stopping"] == ("patience 3", "patience 10", "patience 10, not restored", "no early stopping")


def test_the_gallery_is_quick() -> None:
    code = "import sys; from bntui.scenario import gallery; assert gallery.scenarios(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "numpy", "torch", "sklearn", "textual"} & set(done.stdout.split())


def test_a_broken_file_says_so_on_its_card(tmp_path: Path) -> None:
    file = tmp_path / "odd.toml"
    for text, words in (("title = ", "Invalid value"), ("look_for = 3\nrun = 4", "no title")):
        file.write_text(text)
        card = gallery.card(file)
        assert (card.title, card.look_for, card.runs) == ("odd", (), ("run",))
        assert words in str(card.problem)


def test_names_and_paths_find_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    builtin = gallery.builtin_folder() / "early-stopping.toml"
    for name in (
        "early-stopping",
        "early-stopping.toml",
        "scenarios/early-stopping.toml",
        "./scenarios/early-stopping.toml",
    ):
        assert gallery.find(name) == builtin
    (tmp_path / "early-stopping").mkdir()  # a folder of that name is not meant
    assert gallery.find("early-stopping") == builtin
    (tmp_path / "early-stopping.toml").touch()
    assert gallery.find("early-stopping.toml") == Path("early-stopping.toml")
    with pytest.raises(UsageError, match=r"did you mean 'early-stopping\.toml'"):
        gallery.find("earlystopping")
    with pytest.raises(UsageError, match="no such file"):
        gallery.find("elsewhere/early-stopping.toml")
    with pytest.raises(UsageError, match="is a folder"):
        gallery.find(str(tmp_path))


@pytest.mark.parametrize("name", ["my-netwrok.toml", "my-netwrok", "./my-netwrok.toml"])
def test_a_mistyped_file_gets_the_nearest_one_beside_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-network.toml").touch()
    with pytest.raises(UsageError, match=r"\(did you mean 'my-network.toml'\?\)"):
        gallery.find(name)
    with pytest.raises(UsageError, match=r"\(did you mean 'dropout-rates'\?\)"):
        gallery.find("dropout-rate")


def test_names_of_other_libraries_lead_to_the_key_here() -> None:
    keys = {"seed", "device"} | {
        name for table in ("Data", "NetworkConfig", "Training") for name in json_schema()["$defs"][table]["properties"]
    }
    assert set(SYNONYMS.values()) <= keys
    assert not set(SYNONYMS) & keys
    for text, hint in (("learning_rate = 0.1", "lr"), ("n_epochs = 3", "epochs"), ("batch = 3", "data.batch_size")):
        with pytest.raises(ScenarioError) as wrong:
            parse(
                f'title = "t"\n[data]\nsource = "digits"\n[training]\nlr = 0.1\n{text}\n[network]\nhidden = [3]\n',
                file="s.toml",
            )
        assert [problem.nearest for problem in wrong.value.problems] == [hint]


def test_every_whole_number_has_a_limit_that_libraries_and_files_hold() -> None:
    definitions = json_schema()["$defs"]
    integers = [
        (f"{name}.{key}", form)
        for name, table in definitions.items()
        for key, value in table.get("properties", {}).items()
        for form in (value, *value.get("anyOf", ()), *(one.get("items", {}) for one in value.get("anyOf", ())))
        if form.get("type") == "integer"
    ]
    assert len(integers) > 20
    for path, form in integers:
        assert form.get("maximum", form.get("exclusiveMaximum", 2**64)) <= 2**63, path


@pytest.mark.parametrize("key", ["training.lr", "training.clip_value", "network.norm_gamma", "network.norm_noise"])
def test_a_number_beyond_float32_is_refused_where_torch_would(key: str) -> None:
    with pytest.raises(ScenarioError, match=rf"{key} = 1e\+39: must be at most 1e\+38"):
        parse(BASE, file="x.toml", overrides=[parse_override(f"{key}=1e39")])
