"""Draws what the scenario claims, and whether it is true in this recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from bntui.insight.claim_words import explained
from bntui.insight.claims import Trained
from bntui.insight.recorded_claims import Finding, RecordedClaim, RecordedRun, measured
from bntui.scenario.claim_expression import comparison
from bntui.scenario.claim_texts import ClaimText, claims_of
from bntui.scenario.figures import Comparison
from bntui.text.language import N_, _, spoken
from bntui.text.widths import wrap
from bntui.viewer.draw.cells import notice, page
from bntui.viewer.draw.rows import Drawing, Row, Span
from bntui.viewer.panels import Panel
from bntui.viewer.view import RunView, View

PANEL: Final = Panel(
    "claims",
    "k",
    N_("Claims"),
    short=N_("Claim"),
    does=N_("what the scenario claims, and whether it is true in this recording"),
    quotes={"Keyframe": "epoch train_loss val_loss train_accuracy val_accuracy"},
    walks=N_("claims"),
)


class _Look(NamedTuple):
    """How a finding is shown: a sign, which needs no color, and a style."""

    sign: str
    style: str


LOOKS: Final[Mapping[Finding, _Look]] = {
    "true": _Look("✓", "good"),
    "false": _Look("✗", "bad"),
    "holds": _Look("✓", "bold good"),
    "does not hold": _Look("✗", "bold bad"),
    "undecided": _Look("?", "warn"),
    "training": _Look("…", "muted"),
    "not here": _Look("·", "muted"),
}


class _Tested(NamedTuple):
    """A claim with what the recording says about it."""

    text: str
    found: RecordedClaim
    figures: str
    """The measured figures, or why there are none."""


def draw(view: View, width: int, height: int) -> Drawing:
    """A sentence with its sign and its figures for each claim; what there is no room for can be walked to."""
    title = _("Claims ── over the whole recording")
    claims = claims_of(view.scenario_text, spoken())
    if not claims:
        sentence = _("the scenario claims nothing; with [[claim]], it can say what its runs should show")
        return notice(title, [sentence], width, height)
    tested = [_tested(claim, view.runs) for claim in claims]
    seeds = max(len(one.found.seeds) for one in tested)
    if seeds > 1:
        tested = [_marked(one) for one in tested]
    legend = [(Span(line, "muted"),) for line in wrap(_legend(seeds), width)]
    room = height - len(legend) if height > 3 * len(legend) else height
    rows = _blocks(tested, width, room, view.past)
    return page(title, [*rows, *(legend if room < height else ())], width, height)


def _blocks(tested: Sequence[_Tested], width: int, room: int, past: int) -> list[Row]:
    """All claims with their figures, or without them, or those from the first one that was not walked past."""
    for figures in (True, False):
        rows = [row for one in tested for row in _block(one, width, figures=figures)]
        if len(rows) <= room:
            return [*rows, *[()] * (room - len(rows))]
    first = past % len(tested)
    rows = [row for one in (*tested[first:], *tested[:first]) for row in _block(one, width, figures=True)]
    return rows[:room]


def _block(one: _Tested, width: int, *, figures: bool) -> list[Row]:
    look = LOOKS[one.found.finding]
    rows: list[Row] = [
        (Span(f"{look.sign} " if at == 0 else "  ", look.style), Span(line, "text"))
        for at, line in enumerate(wrap(one.text, max(width - 2, 8)))
    ]
    if figures and one.figures:
        rows += [(Span("    "), Span(line, "muted")) for line in wrap(one.figures, max(width - 4, 8))]
    return rows


def _marked(one: _Tested) -> _Tested:
    """Among claims over seeds, one that only the recorded seed can answer says so."""
    return (
        one
        if len(one.found.seeds) != 1
        else one._replace(figures=_("{figures} (one seed)").format(figures=one.figures))
    )


def _legend(seeds: int) -> str:
    if seeds > 1:
        return _("✓ holds, ✗ does not hold, ? undecided over {seeds} seeds; ± 95 % interval").format(seeds=seeds)
    return _("✓ true, ✗ not true with the one recorded seed, which is no evidence: press b, or bntui verify")


def _tested(claim: ClaimText, runs: Sequence[RunView]) -> _Tested:
    compared = _parsed(claim.holds)
    if isinstance(compared, str):
        return _Tested(claim.text, RecordedClaim("not here", {}), compared)
    wanted = {used.run for used in compared.quantities}
    named = tuple(run for run in runs if None in wanted or run.info.name in wanted)
    found = _measured(_Case(compared, named))
    if found.finding == "not here":
        lost = next((run for run in named if any(event.kind == "diverged" for event in run.events)), None)
        absent = _("a run or a figure of it is not in this recording")
        return _Tested(claim.text, found, absent if lost is None else _("{run} diverged").format(run=lost.name))
    figures = explained(compared, found.seeds, {run.info.name: run.name for run in named})
    said = _("so far: {figures}").format(figures=figures) if found.finding == "training" else figures
    return _Tested(claim.text, found, said)


@lru_cache(maxsize=256)
def _parsed(holds: str) -> Comparison | str:
    """What a claim says; if that cannot be read, why."""
    try:
        return comparison(holds)
    except ValueError as error:
        return str(error)


class _Case:
    """A claim with its runs, compared by what is recorded of them: while that is the same, so is the result."""

    def __init__(self, compared: Comparison, runs: Sequence[RunView]) -> None:
        self.compared = compared
        self.runs = tuple(RecordedRun(Trained(run.info, run.history, run.events), run.seeds) for run in runs)
        self._key = (compared, tuple((run.history, len(run.events), run.seeds) for run in runs))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Case) and self._key == other._key


@lru_cache(maxsize=128)
def _measured(case: _Case) -> RecordedClaim:
    return measured(case.compared, case.runs)
