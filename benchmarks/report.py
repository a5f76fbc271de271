"""Defines the options and exit codes that all benchmarks share."""

from __future__ import annotations

import argparse
import sys


def parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with ``--rounds N`` and ``--json``, to which a benchmark adds its own options."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--json", action="store_true")
    return made


def arguments(description: str | None, *, rounds: int) -> argparse.Namespace:
    """Parse ``--rounds N`` and ``--json``."""
    return parser(description, rounds=rounds).parse_args()


def verdict(fulfilled: bool, promise: str) -> int:
    """Report on stderr whether a promise is kept; returns the exit code."""
    print(f"{'kept' if fulfilled else 'BROKEN'}: {promise}", file=sys.stderr)
    return 0 if fulfilled else 1
