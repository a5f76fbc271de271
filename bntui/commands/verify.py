"""Formats what the seeds say about the claims of a scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Final

from bntui.insight.claim_words import VERDICTS, explained, heading, rows
from bntui.scenario.figures import EPOCHS_TO
from bntui.scenario.load import Scenario
from bntui.study.verify import VerifiedScenario
from bntui.text.language import _, ngettext, spoken
from bntui.text.table import Column, text_lines
from bntui.text.widths import cell_len, ljust, wrap

WIDEST: Final = 120
"""Cells of a line that is not written to a terminal."""


def as_text(study: VerifiedScenario, name: str, width: int | None) -> Iterator[str]:
    """Verdicts with the measured figures, and a table with a row per run.

    Args:
        width: cells of a line; by default, a line is as long as a wide terminal's.
    """
    texts, names = sentences(study.scenario), labels(study.scenario)
    yield ngettext("{title} ({name}), {count} seed", "{title} ({name}), {count} seeds", study.seeds).format(
        title=title(study.scenario), name=name, count=study.seeds
    )
    column = max(cell_len(_(verdict)) for verdict in VERDICTS.values()) + 4
    room = max((width or WIDEST) - column, 40)
    for text, one in zip(texts, study.claims, strict=True):
        verdict = _(VERDICTS[one.judgement.verdict])
        words = [*wrap(text, room), *wrap(explained(one.comparison, one.seeds, names), room)]
        yield f"  {ljust(verdict, column - 2)}{words[0]}"
        yield from (" " * column + line for line in words[1:])
    for failure in study.measured.failures:
        sentence = _("{run}, seed {seed}, was not trained: {reason}")
        yield "  " + sentence.format(run=names.get(failure.run, failure.run), seed=failure.seed, reason=failure.reason)
    yield from (f"  {line}" for line in _not_finite(study, names))
    yield ""
    headings = (Column(_("run")), *(Column(heading(used), right=True, goes=1) for used in study.columns))
    found = rows([run.name for run in study.scenario.runs], study.columns, study.measured.seeds)
    table = [(names.get(run, run), *cells) for run, *cells in found]
    yield from (f"  {line}" for line in text_lines(headings, table, None if width is None else width - 2))
    yield ""


def _not_finite(study: VerifiedScenario, names: Mapping[str, str]) -> Iterator[str]:
    """Which figures of which runs are not finite, and with which seeds; their means are left out."""
    measured = study.measured.seeds
    for run in study.scenario.runs:
        for used in (used for used in study.columns if used.over != EPOCHS_TO):
            found = {seed: runs[run.name].get(str(used)) for seed, runs in measured.items() if run.name in runs}
            wild = [str(seed) for seed, value in sorted(found.items()) if value is not None and not isfinite(value)]
            if wild:
                sentence = ngettext(
                    "{run}: {figure} is not finite in {count} of {total} seeds: {seeds}",
                    "{run}: {figure} is not finite in {count} of {total} seeds: {seeds}",
                    len(wild),
                )
                yield sentence.format(
                    run=names.get(run.name, run.name), figure=used.column, count=len(wild), total=len(found),
                    seeds=", ".join(wild),
                )  # fmt: skip


def legend() -> str:
    """What the figures mean."""
    return _(
        "± is the 95 % interval of the mean over seeds (Student's t); differences are paired by seed. What differs by"
        " factors is averaged as log₁₀."
    )


def title(scenario: Scenario) -> str:
    """Its title in the language in use."""
    return str(scenario.translation.get(spoken(), {}).get("title") or scenario.title)


def labels(scenario: Scenario) -> Mapping[str, str]:
    """The names of its runs in the language in use, by name."""
    return dict(scenario.translation.get(spoken(), {}).get("runs", {}))


def sentences(scenario: Scenario) -> tuple[str, ...]:
    """The sentences of its claims in the language in use."""
    return scenario.said.get(spoken()) or tuple(claim.text for claim in scenario.claims)
