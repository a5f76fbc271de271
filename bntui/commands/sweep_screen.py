"""Reads a sweep for the screen."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from bntui.insight.claim_words import heading, units
from bntui.insight.claims import scaled
from bntui.scenario.claim_expression import quantity
from bntui.scenario.written import spelled
from bntui.study import journal
from bntui.study.axes import count
from bntui.study.journal import JournalEntry
from bntui.study.sweep_plan import SweepPlan, combinations, plan_of, refuse_others
from bntui.study.sweep_table import RankedCombination, standings
from bntui.text.language import _
from bntui.viewer.sweep.board import Board, Combination, Try


def reader_of(folder: Path) -> Callable[[], Board]:
    """A function that reads the sweep of a folder as it is now."""

    @lru_cache(1)
    def read(_size: int) -> Board:
        head, entries = journal.read(folder)
        plan = plan_of(head)
        refuse_others(plan, ((entry.settings, entry.seed) for entry in entries))
        return board(plan, folder, entries)

    def now() -> Board:
        try:
            size = (folder / journal.NAME).stat().st_size
        except OSError:
            size = -1  # reading says why
        return read(size)

    return now


def board(plan: SweepPlan, folder: Path, entries: list[JournalEntry]) -> Board:
    """What the screen shows of a sweep."""
    return Board(
        title=plan.path.stem,
        goal=heading(quantity(plan.goal)),
        larger=plan.larger,
        axes=tuple((axis.path, tuple(map(spelled, axis.values))) for axis in plan.axes),
        ranked=tuple(_combination(plan, folder, one) for one in standings(plan, entries)),
        done=len(entries),
        total=_total(plan) * plan.seeds,
        failed=sum(entry.state == "failed" for entry in entries),
    )


def _total(plan: SweepPlan) -> int:
    if plan.search == "grid":
        return len(combinations(plan))
    there = count(plan.axes)
    return plan.trials if there is None else min(plan.trials, there)


def _combination(plan: SweepPlan, folder: Path, one: RankedCombination) -> Combination:
    used = quantity(plan.goal)
    scale = units(used)
    return Combination(
        tuple(spelled(value) for _path, value in one.settings),
        one.goal.mean * scale,
        one.goal.half * scale,
        one.goal.count,
        tuple(
            Try(
                entry.seed,
                scaled(used, entry.figures.get(plan.goal, math.nan)) * scale if entry.state == "done" else math.nan,
                folder / entry.file if entry.file else None,
                _reason(entry),
                plan.command(entry.settings, entry.seed, entry.epochs),
            )
            for entry in one.entries
        ),
        wild=used.figure != "diverged" and any(entry.diverged for entry in one.entries),
    )


def _reason(entry: JournalEntry) -> str:
    """Why a trial has no goal, or one that does not count."""
    if entry.diverged:
        return _("diverged")
    return entry.reason if entry.epochs is None else _("pruned after epoch {epoch}").format(epoch=entry.epochs)
