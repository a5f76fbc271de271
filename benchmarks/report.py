"""What all benchmarks share: their options and how they end."""

from __future__ import annotations

import argparse
import sys


def parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """``--rounds N`` and ``--json``, and what a benchmark adds to them."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--json", action="store_true")
    return made


def arguments(description: str | None, *, rounds: int) -> argparse.Namespace:
    """``--rounds N`` and ``--json``."""
    return parser(description, rounds=rounds).parse_args()


def verdict(fulfilled: bool, promise: str) -> int:
    """Say on stderr whether the promise is kept; the exit code."""
    print(f"{'kept' if fulfilled else 'BROKEN'}: {promise}", file=sys.stderr)
    return 0 if fulfilled else 1
