"""Generates slightly invalid scenario files: built-in scenarios, each with a few mutations.

The promise: every one of them is valid, or refused with sentences; nothing else happens, and no value of a valid one
asks for more memory than a scenario may take.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from bntui.scenario.checks import memory
from bntui.scenario.gallery import builtin_folder, card
from bntui.scenario.load import load, parse_override
from bntui.scenario.size import LIMIT
from tests.fuzz.calls import attempt
from tests.fuzz.outcome import FOUND, Outcome, dice

VALUES: Final = (
    *("0", "-1", "1", "2", "1e308", "-1e308", "1e-320", "inf", "-inf", "nan", "9" * 30, "9" * 5000, "0x" + "f" * 5000),
    *("true", "false", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "''", '""', '"\\u001b[31m"', '"\\u202e"'),
    *(
        '"x.csv"',
        '"x.npz"',
        '"\\u0000"',
        '"' + "x" * 5000 + '"',
        '"epoch"',
        '"batch"',
        '"adam"',
        '"none"',
        '"normal:1e999"',
    ),
    *(
        "[]",
        "{}",
        "[1, 2]",
        "[[[[1]]]]",
        "[" * 200 + "]" * 200,
        "[" * 5000 + "]" * 5000,
        "{ a = 1 }",
        "[65536, 65536, 65536]",
    ),
    *("[" + "65536," * 300 + "]", "[" + "1," * 20_000 + "]", "[{ type = 'conv' }]", "{ patience = 1 }", "[0.9, 0.99]"),
    *(
        "[{ type = 'linear', units = 65536 }]",
        "{ kind = 'plateau' }",
        "'''\n" + "y\n" * 400 + "'''",
        "1_000",
        "0b1",
        "+5",
    ),
    *(
        '"a" b',
        "=",
        '"unclosed',
        "[1,",
        "\x00",
        "\x1b",
        "\u2028",
        "é",
        "{ a.b.c.d = 1, a.b = 2 }",
        "9223372036854775808",
    ),
)
KEYS: Final = (
    *(
        "data",
        "network",
        "training",
        "record",
        "run",
        "title",
        "seed",
        "epochs",
        "lr",
        "hidden",
        "layer",
        "units",
        "norm",
    ),
    *("batch_size", "source", "samples", "validation", "scaling", "delimiter", "header", "decimal", "drop", "features"),
    *(
        "early_stopping",
        "schedule",
        "patience",
        "translation",
        "look_for",
        "set",
        "name",
        '"a\\u001bb"',
        "k" * 3000,
        "''",
    ),
    *("x" + ".x" * 30, "x" + ".x" * 3000, "padding", "kernel", "momentum", "every", "budget", "device", "description"),
)


@cache
def seeds() -> tuple[str, ...]:
    """The built-in scenarios."""
    return tuple(path.read_text(encoding="utf-8") for path in sorted(builtin_folder().glob("*.toml")))


def run(count: int, seed: int) -> Outcome:
    """Try ``count`` files; those that break the promise are kept under ``build/fuzz``."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.toml"
        for case in range(count):
            before, rng = len(outcome.crashes), dice(seed, case)
            path.write_bytes(make(rng))
            overrides = []
            if rng.random() < 0.2:
                override = f"{rng.choice(KEYS)}={rng.choice(VALUES)}"
                made = attempt(outcome, case, "override", lambda: parse_override(override))  # noqa: B023
                overrides = [] if made is None else [made]
            attempt(outcome, case, "load", lambda: _loaded(path, overrides))  # noqa: B023
            attempt(outcome, case, "card", lambda: card(path))
            if len(outcome.crashes) > before:
                FOUND.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, FOUND / f"scenario-{seed}-{case}.toml")
    return outcome


def _loaded(path: Path, overrides: list[tuple[str, object]]) -> None:
    scenario = load(path, overrides)
    assert 1 <= len(scenario.runs) <= 12
    assert sum(memory(run.config) for run in scenario.runs) <= LIMIT
    assert all(char.isprintable() for run in scenario.runs for char in run.name)


def make(rng: random.Random) -> bytes:
    """One mutated scenario."""
    lines = rng.choice(seeds()).splitlines()
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 4, 10))):
        _mutate(rng, lines)
    content = "\n".join(lines).encode("utf-8", "replace")
    for _ in range(rng.choice((0, 0, 0, 0, 1, 4))):
        at = rng.randrange(len(content) + 1)
        damage = rng.choice((bytes([rng.randrange(256)]), rng.randbytes(5), b"", content[:at][-200:] * 3))
        content = content[:at] + damage + content[at + rng.randrange(3) :]
    if rng.random() < 0.003:
        content += b"\n" + rng.choice((b"[[run]]\n", b"a.b.c = 1\n", b"# x\n", b"[data]\n")) * 60_000
    return content


def _mutate(rng: random.Random, lines: list[str]) -> None:
    if not lines:
        lines.append("")
    at = rng.randrange(len(lines))
    pairs = [index for index, line in enumerate(lines) if "=" in line]
    how = rng.randrange(9)
    if how <= 2 and pairs:  # another value for a key
        at = rng.choice(pairs)
        lines[at] = f"{lines[at].split('=', 1)[0]}= {rng.choice(VALUES)}"
    elif how == 3 and pairs:  # another key for a value
        at = rng.choice(pairs)
        lines[at] = f"{rng.choice(KEYS)} = {lines[at].split('=', 1)[1]}"
    elif how == 4:
        lines.insert(at, f"{rng.choice(KEYS)} = {rng.choice(VALUES)}")
    elif how == 5:
        del lines[at : at + rng.choice((1, 1, 5))]
    elif how == 6:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    elif how == 7:
        lines.insert(
            at, rng.choice(("[{}]", "[[{}]]", "[network.{}]", "[[run]]\nname = '{}'")).format(rng.choice(KEYS))
        )
    elif lines[at]:
        place = rng.randrange(len(lines[at]))
        lines[at] = lines[at][:place] + rng.choice("\"'[]{}=.,#\\x0 ") + lines[at][place + 1 :]
