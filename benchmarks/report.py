"""What all benchmarks share: their options and how they end."""

from __future__ import annotations

import argparse
import sys


def arguments(description: str | None, *, rounds: int) -> argparse.Namespace:
    """``--rounds N`` and ``--json``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def verdict(fulfilled: bool, promise: str) -> int:
    """Say on stderr whether the promise is kept; the exit code."""
    print(f"{'kept' if fulfilled else 'BROKEN'}: {promise}", file=sys.stderr)
    return 0 if fulfilled else 1
