"""Runs a fuzzer: ``python -m tests.fuzz NAME --count N --seed S``; exits 1 if anything broke."""

from __future__ import annotations

import argparse
import importlib
import sys

from tests.fuzz.outcome import Outcome

FUZZERS = ("recording", "scenario", "data", "socket")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("fuzzer", choices=FUZZERS)
    parser.add_argument("--count", type=int, default=1000, help="inputs to try")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    outcome: Outcome = importlib.import_module(f"tests.fuzz.{options.fuzzer}").run(options.count, options.seed)
    for crash in outcome.crashes[:20]:
        print(f"case {crash.case} of seed {options.seed}, {crash.call}: {crash.message}", file=sys.stderr)
    print(outcome.line(options.fuzzer))
    return 1 if outcome.crashes else 0


if __name__ == "__main__":
    sys.exit(main())
