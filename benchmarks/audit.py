"""Measures how long an audit takes compared with training, and how far each built-in scenario's figures are from their
tolerances.

    python -m benchmarks.audit [--rounds 5] [--json]
    python -m benchmarks.audit --scenarios [--json]

The first form trains three scenarios (dense, convolutional, recurrent) for a few epochs and audits each recording, in
interleaved rounds, and compares the medians.  Exits 1 if an audit takes longer than four times its training.  The
second trains every built-in scenario at full length and prints a row for each: keyframes recomputed and keyframes only
checked for consistency, figures compared, the largest relative error with its tolerance and place, and the largest
ratio of an error to its tolerance.  Exits 1 if an audit fails.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the command; NumPy reads it at import

from benchmarks.report import arguments, verdict
from bntui.audit.audit import Report, audit
from bntui.errors import DataError
from bntui.scenario.gallery import Card, find, scenarios
from bntui.scenario.load import load
from bntui.trainer.session import Session

TIMED = {"batch-normalization": 10, "convolution": 3, "recurrent": 3}
"""Timed scenarios, with their number of epochs."""
LIMIT = 4.0


def trained(path: Path, scenario: Path, overrides: Sequence[tuple[str, object]] = ()) -> Path:
    """Record a scenario, replacing any existing file."""
    path.unlink(missing_ok=True)
    session = Session.begin(load(scenario, overrides), path)
    while not session.over:
        session.epoch(lambda: False)
    session.close()
    return path


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def durations(rounds: int, folder: Path) -> bool:
    """Print median seconds of training and audit; True if no audit takes too long."""
    fast = True
    for name, epochs in TIMED.items():
        path = folder / f"{name}.bntui"
        overrides: list[tuple[str, object]] = [("training.epochs", epochs)]
        pairs = [
            (timed(partial(trained, path, find(name), overrides)), timed(partial(audit, path)))
            for _ in range(rounds + 1)
        ][1:]  # the first is a warm-up
        training, auditing = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        full = audit(path).full
        print(
            {
                "scenario": name, "epochs": epochs, "keyframes": full, "training_s": round(training, 2),
                "audit_s": round(auditing, 2), "ms_per_keyframe": round(1000 * auditing / full),
                "ratio": round(ratio, 2),
            }
        )  # fmt: skip
        fast = fast and ratio <= LIMIT
    return fast


def row(card: Card, folder: Path) -> tuple[Report, dict[str, object]] | None:
    """Train and audit a scenario at full length; None if it needs files provided by the user."""
    try:
        began = time.perf_counter()
        path = trained(folder / f"{card.name}.bntui", card.path)
        training = time.perf_counter() - began
    except DataError:
        return None
    began = time.perf_counter()
    report = audit(path)
    taken = time.perf_counter() - began
    path.unlink()
    lines = report.ledger.lines
    worst = max(lines, key=lambda name: lines[name].error)
    nearest = max(lines, key=lambda name: lines[name].share)
    place = lines[worst].place
    return report, {
        "scenario": card.name, "true": report.true, "full": report.full, "consistency": report.consistent,
        "figures": sum(line.figures for line in lines.values()), "largest_relative_error": lines[worst].error,
        "tolerance": lines[worst].tolerance, "check": worst, "run": place.run, "epoch": place.epoch,
        "layer": place.layer, "largest_share": lines[nearest].share, "of": nearest, "training_s": round(training, 1),
        "audit_s": round(taken, 1),
    }  # fmt: skip


def table(folder: Path, *, as_json: bool) -> bool:
    """Print a row for each built-in scenario; True if all pass."""
    true = True
    if not as_json:
        print("| scenario | keyframes: full, consistency | figures | largest relative error | tolerance | where |"
              " largest share of a tolerance | audit, s |")  # fmt: skip
        print("|---|---|---|---|---|---|---|---|")
    for card in scenarios():
        found = row(card, folder)
        if found is None:
            continue
        report, figures = found
        true = true and report.true
        if as_json:
            print(json.dumps(figures, ensure_ascii=False), flush=True)
            continue
        epoch = "" if figures["epoch"] is None else f", epoch {figures['epoch']:g}"
        where = f"{figures['check']}: {figures['run']}{epoch}, {figures['layer']}".rstrip(", ")
        print(
            f"| {card.name}{'' if report.true else ' (NOT TRUE)'} | {report.full}, {report.consistent} "
            f"| {figures['figures']:,} | {figures['largest_relative_error']:.1e} "
            f"| {figures['tolerance']:.1e} | {where} "
            f"| {100 * float(str(figures['largest_share'])):.0f} % ({figures['of']}) | {figures['audit_s']} |",
            flush=True,
        )
        for failure in report.ledger.failures[:3]:
            print(failure, file=sys.stderr)
    return true


def main() -> int:
    wanted = "--scenarios" in sys.argv
    if wanted:
        sys.argv.remove("--scenarios")
    options = arguments(__doc__, rounds=5)
    with tempfile.TemporaryDirectory() as folder:
        if wanted:
            return verdict(table(Path(folder), as_json=options.json), "all built-in scenarios are true")
        fast = durations(options.rounds, Path(folder))
        return verdict(fast, f"an audit takes at most {LIMIT:g} times as long as training what it audits")


if __name__ == "__main__":
    sys.exit(main())
