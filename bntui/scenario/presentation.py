"""Checks ``[view]``, ``[[tour]]`` and ``[[claim]]`` against the runs of a scenario."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, NamedTuple

from bntui.scenario.blocks import blocks
from bntui.scenario.checks import task
from bntui.scenario.claim import Claim
from bntui.scenario.claim_expression import apart
from bntui.scenario.figures import Place, Quantity
from bntui.scenario.schema import RunConfig, ScenarioFile
from bntui.scenario.toml_lines import KeyPath
from bntui.scenario.view import NO_RUN
from bntui.text.language import _

DEFAULT_RUN: Final = "run"
"""Name of the only run of a scenario without ``[[run]]``."""
OUTPUT: Final = "output"
"""Name of the last layer."""


@dataclass(frozen=True, slots=True)
class NamedRun:
    """A run's name and resolved configuration."""

    name: str
    config: RunConfig


class Misfit(NamedTuple):
    """A key whose value does not fit the runs."""

    path: KeyPath
    message: str
    value: object
    nearest: str | None = None


def misfits(about: ScenarioFile, runs: Sequence[NamedRun]) -> Iterator[Misfit]:
    """Find runs, layers and epochs that the scenario does not have, and translations of other stops.

    Args:
        runs: those whose configuration is valid.
    """
    names = [run.name for run in about.run] or [DEFAULT_RUN]
    for key, name in (("selected", about.view.selected), ("pinned", about.view.pinned)):
        if name is not None and (key, name) != ("pinned", NO_RUN):
            yield from _unknown(("view", key), _("there is no such run; the runs are {names}"), name, names)
    configurations = {run.name: run.config for run in runs}
    for number, stop in enumerate(about.tour):
        own = stop.run or about.view.selected or names[0]
        used: list[tuple[str, str | None, str | None, Place]] = [("run", stop.run, stop.layer, stop.at)]
        used += [("answer", one.run, one.layer, one.place or 0) for one in stop.references()]
        for key, run, layer, place in used:
            path = ("tour", number, key)
            if run is not None:
                yield from _unknown(path, _("there is no such run; the runs are {names}"), run, names)
            config = configurations.get(run or own)
            if config is None:
                continue
            layers = [*(block.name for block in blocks(config.network)), OUTPUT]
            if layer is not None:
                yield from _unknown(path, _("there is no such layer; the layers are {names}"), layer, layers)
            if not isinstance(place, str) and place > config.training.epochs:
                message = _("the run ends after epoch {epochs}").format(epochs=config.training.epochs)
                yield Misfit(("tour", number, "at" if key == "run" else key), message, place)
    for language, texts in about.translation.items():
        if texts.tour and len(texts.tour) != len(about.tour):
            message = _("must have as many stops as the tour: {count}").format(count=len(about.tour))
            yield Misfit(("translation", language, "tour"), message, len(texts.tour))
        if texts.claim and len(texts.claim) != len(about.claim):
            message = _("must have as many sentences as there are claims: {count}").format(count=len(about.claim))
            yield Misfit(("translation", language, "claim"), message, len(texts.claim))
    for number, claim in enumerate(about.claim):
        path = ("claim", number, "holds")
        if misread := _misread(claim, names):
            message = _("{name!r} is the name of a run, but is read as {run!r} and what follows; rename the run")
            yield Misfit(path, message.format(name=misread[0], run=misread[1]), claim.holds)
            continue
        for quantity in claim.comparison.quantities:
            yield from misfits_of(path, quantity, names, configurations)
        config = configurations.get(claim.comparison.left.run or names[0])
        if config is not None:
            yield from _impossible(path, claim, config)


def _misread(claim: Claim, names: Sequence[str]) -> tuple[str, str] | None:
    """A run that a claim names in vain, because its name ends like ``at 3`` or ``+ 0.1``, and what is read instead."""
    read = {used.run for used in claim.comparison.quantities if used.run is not None}
    for name in names:
        for run in read if name not in read and not re.search("[<>]", name) else ():
            if name.startswith(f"{run} ") and re.search(rf"\bof +{re.escape(name)}(?![\w.])", claim.holds):
                return name, run
    return None


def _impossible(path: KeyPath, claim: Claim, config: RunConfig) -> Iterator[Misfit]:
    """What is impossible, or says nothing, for this run."""
    compared = claim.comparison
    left, epochs = compared.left, config.training.epochs
    if compared.right is None:
        most = left.figure in ("epoch", "best_epoch") and not left.operator
        if most and (compared.plus > epochs or (compared.plus == epochs and compared.operator in (">", "<="))):
            yield Misfit(path, _("the run ends after epoch {epochs}").format(epochs=epochs), claim.holds)
    elif left.known.unit == "share" and abs(compared.plus) >= 1 and task(config.data) == "classification":
        yield Misfit(path, apart(left, compared.plus), claim.holds)


def misfits_of(
    path: KeyPath, used: Quantity, names: Sequence[str], configurations: Mapping[str, RunConfig]
) -> Iterator[Misfit]:
    """What a quantity names that its run does not have."""
    if used.run is None and len(names) > 1:
        message = _("{figure}: say of which run: {figure} of RUN; the runs are {names}")
        yield Misfit(path, message.format(figure=used.column, names=", ".join(names)), str(used))
        return
    run = used.run or names[0]
    yield from _unknown(path, _("there is no such run; the runs are {names}"), run, names)
    config = configurations.get(run)
    if config is None:
        return
    if used.layer is not None:
        layers = [*(block.name for block in blocks(config.network)), OUTPUT]
        yield from _unknown(path, _("there is no such layer; the layers are {names}"), used.layer, layers)
    if isinstance(used.place, float):
        if used.place > config.training.epochs:
            message = _("the run ends after epoch {epochs}").format(epochs=config.training.epochs)
            yield Misfit(path, message, str(used))
        elif used.place % 1:
            yield Misfit(path, _("must be a whole number of epochs"), str(used))
    rule = config.training.early_stopping
    if used.figure in ("best", "best_epoch", "wait") and rule is None:
        message = _("{figure} is a figure of early stopping, which the run {run!r} does not have")
        yield Misfit(path, message.format(figure=used.figure, run=run), str(used))
    if used.figure == "gradient_shift" and not config.record.shift:
        yield Misfit(path, _("gradient_shift needs record.shift = true"), str(used))


def _unknown(path: KeyPath, sentence: str, name: str, names: Sequence[str]) -> Iterator[Misfit]:
    if name not in names:
        nearest = next(iter(get_close_matches(name, names, 1)), None)
        yield Misfit(path, sentence.format(names=", ".join(names)), name, nearest)
