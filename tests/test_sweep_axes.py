"""Tests the axes of sweeps: what they mean, how commands spell them, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.errors import UsageError
from bntui.scenario.gallery import find, scenarios
from bntui.scenario.load import load, parse, parse_override, parse_value
from bntui.scenario.presentation import NamedRun
from bntui.scenario.written import scenario_text, spelled, toml
from bntui.study.axes import Axis, at_random, axes, axis, grid
from bntui.study.sweep_plan import file_name


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("network.norm=none,batch", ("none", "batch")),
        ("training.lr=0.1", (0.1,)),
        ("training.lr=.5,1e-3,1.", (0.5, 1e-3, 1.0)),
        ("network.hidden=[10],[10, 10],[]", ([10], [10, 10], [])),
        ('data.source="a,b.csv",digits', ("a,b.csv", "digits")),
        ("deterministic=true,false", (True, False)),
        ("training.epochs=5..20:4", (5, 10, 15, 20)),
        ("training.epochs=1..100:log:3", (1, 10, 100)),
        ("training.epochs=10..1:log:2", (10, 1)),
        ("training.lr=0.0..1.0:5", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("training.lr=0..0.3:4", (0.0, 0.1, 0.2, 0.3)),
        ("training.lr=-1..1.0:3", (-1.0, 0.0, 1.0)),
        ("training.lr=1e-3..1:log:7", (0.001, 0.003162, 0.01, 0.03162, 0.1, 0.3162, 1.0)),
    ],
)
def test_an_axis_is_a_list_or_a_range_and_whole_numbers_stay_whole(written: str, values: tuple[object, ...]) -> None:
    found = axis(written)
    assert found.values == values
    assert [type(value) for value in found.values] == [type(value) for value in values]


@given(
    st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 60), st.booleans()
)  # fmt: skip
def test_ranges_are_spaced_as_numpy_spaces_them(low: float, high: float, count: int, log: bool) -> None:
    if max(low, high) / min(low, high) < 1.01:
        return
    found = axis(f"training.lr={low!r}..{high!r}:{'log:' if log else ''}{count}")
    expected = np.geomspace(low, high, count) if log else np.linspace(low, high, count)
    assert found.values[0] == low
    assert found.values[-1] == high
    np.testing.assert_allclose(np.array(found.values, float), expected, rtol=1e-3)
    assert len(set(found.values)) == count


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("training.lr", "write it as PATH=VALUES"),
        ("=1", "write it as PATH=VALUES"),
        ("training.lr=", "write it as PATH=VALUES"),
        ("training..lr=1", "is not a key path"),
        ("seed=1,2", "use --seeds N"),
        ("record.budget=0,1", "use --evidence"),
        ("title=a,b", "is not a setting of a run"),
        ("training.lr=1,,2", "a value is missing"),
        ("training.lr=1,2,1", "1 is in the list twice"),
        ("training.lr=1,1.0", "1.0 is in the list twice"),
        ("network.hidden=[4],[4, 4],[4]", "[4] is in the list twice"),
        ("network.hidden=[1,2", "not valid TOML"),
        ("training.lr=1..2:7:log", "LOW..HIGH:log:COUNT"),
        ("training.lr=a..b:3", "LOW..HIGH:COUNT"),
        ("training.lr=1..1:3", "two different ends"),
        ("training.lr=0..1:log:3", "only values above 0"),
        ("training.lr=-1..-2:log:3", "only values above 0"),
        ("training.lr=1.0..2:1", "from 2 to 10,000"),
        ("training.lr=1.0..2:10001", "from 2 to 10,000"),
        ("training.lr=0..1:5", "not 5 whole numbers like these from 0 to 1; write 0.0"),
        ("training.lr=1e400..1:3", "must be finite"),
    ],
)
def test_what_is_no_axis_is_refused_with_its_reason(written: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        axes([written])
    assert said in str(refused.value)
    assert written in str(refused.value)


def test_all_faults_of_axes_are_named_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        axes(["training.lr=1,2", "training.lr=3", "seed=1", "network.norm"])
    assert str(refused.value).count("--over") == 3
    assert "training.lr has an axis already" in str(refused.value)


def test_a_grid_has_every_combination_once_and_needs_numbers_of_values() -> None:
    found = grid(axes(["training.lr=1,2,3", "network.norm=none,batch"]))
    expected = [(("training.lr", lr), ("network.norm", norm)) for lr in (1, 2, 3) for norm in ("none", "batch")]
    assert found == expected
    with pytest.raises(UsageError, match="a grid needs the number of values"):
        grid(axes(["training.lr=1e-3..1:log"]))


def test_random_combinations_are_different_within_the_axes_and_the_same_every_time() -> None:
    found = axes(["training.lr=1e-3..1:log", "training.epochs=3..9", "network.norm=none,batch"])
    chosen = at_random(found, 400)
    assert chosen == at_random(found, 400)
    assert len({repr(one) for one in chosen}) == 400
    rates = [dict(one)["training.lr"] for one in chosen]
    assert all(isinstance(rate, float) and 1e-3 <= rate <= 1 for rate in rates)
    assert abs(np.mean(np.log10(np.array(rates, float))) + 1.5) < 0.15  # uniform over decades
    assert {dict(one)["training.epochs"] for one in chosen} == set(range(3, 10))
    assert len(at_random(axes(["network.norm=none,batch,layer"]), 3)) == 3
    with pytest.raises(UsageError, match="only 3 combinations"):
        at_random(axes(["network.norm=none,batch,layer"]), 4)
    with pytest.raises(UsageError, match="only 7 combinations"):
        at_random(axes(["training.epochs=3..9"]), 8)


def test_a_range_between_whole_numbers_draws_both_ends() -> None:
    import random

    one, chance = Axis("training.epochs", (), "", 1, 3, whole=True), random.Random(1)
    drawn = [one.drawn(chance) for _ in range(3000)]
    assert [abs(drawn.count(value) - 1000) < 150 for value in (1, 2, 3)] == [True] * 3, "each is as likely"
    one = replace(one, high=8, log=True)
    drawn = [one.drawn(chance) for _ in range(4000)]
    for value in (1, 2, 8):
        share = math.log((value + 0.5) / (value - 0.5)) / math.log(8.5 / 0.5)
        assert abs(drawn.count(value) / 4000 - share) < 0.03


@pytest.mark.parametrize(
    ("written", "middle"),
    [("1e-300..1e300:log:3", 1.0), ("1e300..1e-300:log:3", 1.0), ("-1e308..1e308:3", 0.0), ("1e308..-1e308:3", 0.0)],
)
def test_a_range_may_be_as_wide_as_numbers_are(written: str, middle: float) -> None:
    found = axis(f"training.lr={written}")
    assert found.values[1] == pytest.approx(middle)
    assert (found.low, found.high) == (found.values[0], found.values[2])
    chosen = at_random(axes([f"training.lr={written.rpartition(':')[0]}"]), 50)
    rates = [float(str(dict(one)["training.lr"])) for one in chosen]
    assert min(rates) < middle < max(rates)
    assert all(map(math.isfinite, rates))


values = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(values)
def test_a_value_is_spelled_so_that_the_command_line_reads_it_back(value: object) -> None:
    if isinstance(value, str) and any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in value):
        return  # a command line has no such characters
    assert parse_value(spelled(value)) == value
    assert parse_override(f"training.lr={spelled(value)}") == ("training.lr", value)


@pytest.mark.parametrize("name", [card.name for card in scenarios()])
def test_a_scenario_written_for_one_run_gives_the_same_run(name: str) -> None:
    for run in load(find(name), [("seed", 5)]).runs:
        again = parse(scenario_text("A title", run), file="x")
        assert again.title == "A title"
        assert again.runs == (NamedRun(run.name, run.config),)


def test_tables_and_special_text_are_written_as_toml() -> None:
    assert toml({"a b": [1.0, {"c": None, "d": False}]}) == '{ "a b" = [1.0, { d = false }] }'
    assert toml('"\\\n\x7f') == '"\\"\\\\\\n\\u007f"'
    assert toml(math.inf) == "inf"


def test_a_file_is_named_by_settings_and_seed_and_no_two_have_the_same_name() -> None:
    assert file_name((("training.lr", 0.1), ("network.norm", "batch")), 3) == "lr=0.1,norm=batch,seed=3.bntui"
    alike = [(("network.layer[0].units", 1), ("network.layer[1].units", 2))]
    assert file_name(alike[0], 0).count("units") == 2
    odd = ["a/b.csv", "a_b.csv", "../a", "x" * 500, "x" * 501, "가", "나", ".", ""]
    names = [file_name((("data.source", value),), 0) for value in odd]
    assert len(set(names)) == len(odd)
    assert all("/" not in name and not name.startswith(".") and len(name.encode()) < 200 for name in names)
