"""Runs the scenario fuzzer briefly and tests what it found; ``python -m tests.fuzz scenario`` runs it at length."""

from __future__ import annotations

import pytest

from bntui.errors import ScenarioError, UsageError
from bntui.scenario.load import parse, parse_override
from tests.fuzz.calls import unfit
from tests.fuzz.outcome import dice
from tests.fuzz.scenario import make, run
from tests.test_session import DIGITS


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_scenarios_are_valid_or_refused_with_sentences(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.calls.LONGEST", 300.0)  # no test depends on the machine's speed
    outcome = run(150, seed)
    assert outcome.crashes == []
    assert outcome.accepted > 20
    assert outcome.refused > 20


def test_a_case_is_the_same_every_time() -> None:
    assert [make(dice(5, case)) for case in range(20)] == [make(dice(5, case)) for case in range(20)]


FOUND = {
    "an unknown key in a translation": DIGITS + '\n[translation.ko]\ntitle = "t"\nhidden = 3\n',
    "a number of 5000 hexadecimal digits": DIGITS.replace("seed = 0", f"seed = 0x{'f' * 5000}")
    if "seed = 0" in DIGITS
    else f"seed = 0x{'f' * 5000}\n" + DIGITS,
    "a run's name of 5000 hexadecimal digits": DIGITS + f"\n[[run]]\nname = 0x{'f' * 5000}\n",
    "a number of 5000 digits": f"seed = {'9' * 5000}\n" + DIGITS,
    "a key of 3000 parts": DIGITS + "\n" + "x" + ".x" * 3000 + " = 1\n",
    "lists 5000 deep": DIGITS + "\nx = " + "[" * 5000 + "]" * 5000 + "\n",
    "lists 100 deep": DIGITS + "\nx = " + "[" * 100 + "]" * 100 + "\n",
    "60,000 runs": DIGITS + "\n" + "[[run]]\n" * 60_000,
    "60,000 unknown keys": DIGITS + "\n[x]\n" + "\n".join(f"k{n} = 1" for n in range(60_000)),
    "60,000 unknown keys of the data": DIGITS.replace(
        "[data]", "[data]\n" + "\n".join(f"k{n} = 1" for n in range(60_000))
    ),
    "layers of a billion units": DIGITS + "\n[network]\nhidden = [1000000000]\n",
    "a name of 100,000 characters": DIGITS + f'\n[[run]]\nname = "{"x" * 100_000}"\n',
    "a key of 100,000 characters": DIGITS + f"\n{'x' * 100_000} = 1\n",
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once_is_refused_with_few_short_sentences(name: str) -> None:
    with pytest.raises(ScenarioError) as wrong:
        parse(FOUND[name], file="x.toml")
    assert unfit(str(wrong.value)) == ""
    assert len(wrong.value.problems) <= 101


@pytest.mark.parametrize(
    "text",
    [
        "k" * 9000 + "=1",
        "training.lr=" + "[" * 9000,
        "training.lr=\x1b['",
        f"seed=0x{'f' * 5000}",
        f"seed=[{'9' * 5000}]",
    ],
)
def test_a_long_override_is_refused_with_a_short_sentence(text: str) -> None:
    with pytest.raises((UsageError, ScenarioError)) as wrong:
        parse(DIGITS, file="x.toml", overrides=[parse_override(text)])
    assert unfit(str(wrong.value)) == ""


def test_networks_that_would_fill_the_memory_are_refused_before_any_is_taken() -> None:
    for network, part in (
        ("hidden = [65536, 65536]", "the network needs 69 GB of memory"),
        (
            "layer = [{ type = 'conv', channels = 4096 }, { type = 'conv', channels = 4096, kernel = 31 }]",
            "GB",
        ),
    ):
        with pytest.raises(ScenarioError, match=part):
            parse(DIGITS, file="x.toml", overrides=[("network", __import__("tomllib").loads(network))])
    runs = "".join(f"\n[[run]]\nname = 'r{n}'\nset = {{ network.hidden = [8192, 8192] }}\n" for n in range(12))
    with pytest.raises(ScenarioError, match="memory together"):
        parse(DIGITS + runs, file="x.toml")
