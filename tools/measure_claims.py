"""Measures the claims of the built-in scenarios, and writes what is shown of them.

    python -m tools.measure_claims [--seeds 10] [--jobs N]
    python -m tools.measure_claims --words

Writes ``scenarios/measured/NAME.json`` for each scenario, which the gallery reads, and ``docs/effects.md``.  What is in
the cache of ``bntui verify`` is not trained again.  A scenario whose data is missing keeps what was measured before.
``--words`` writes the sentences about the claims again, of the figures that are stored, and trains nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bntui.commands.verify import labels, legend
from bntui.insight.claim_words import explained, heading, quoted, rows
from bntui.insight.claims import Seeds, spread
from bntui.scenario.claim_expression import quantity
from bntui.scenario.figures import Comparison
from bntui.scenario.gallery import scenarios
from bntui.scenario.load import Scenario, load
from bntui.scenario.measured import SEEDS, path_of, placeholders
from bntui.study.verify import VerifiedScenario, verified
from bntui.text.language import LANGUAGES, use

PAGE = Path(__file__).parent.parent / "docs" / "effects.md"


def content(scenario: Scenario) -> str:
    """Checksum of what is trained and claimed, excluding texts and seed."""
    runs = [[run.name, {**run.config.model_dump(mode="json"), "seed": None}] for run in scenario.runs]
    claims = [claim.holds for claim in scenario.claims]
    return hashlib.blake2b(json.dumps([runs, claims], sort_keys=True).encode(), digest_size=8).hexdigest()


def record(study: VerifiedScenario) -> dict[str, Any]:
    """What is stored about a scenario."""
    return {
        "content": content(study.scenario),
        "seeds": study.seeds,
        "claims": [
            {"holds": one.claim.holds, "verdict": one.judgement.verdict, "said": _said(study, number)}
            for number, one in enumerate(study.claims)
        ],
        "quotes": quotes(study.scenario, study.measured.seeds),
        "figures": study.measured.seeds,
    }


def quotes(scenario: Scenario, seeds: Mapping[int, Mapping[str, Mapping[str, float]]]) -> dict[str, str]:
    """What stands for each placeholder of a scenario's texts.

    Args:
        seeds: by seed, run, and quantity.

    Raises:
        ValueError: a text quotes what no claim compares, or what some seed does not have.
    """
    found = {SEEDS: str(len(seeds))}
    texts = [scenario.description, *scenario.look_for]
    for translation in scenario.translation.values():
        texts += [translation.get("description") or "", *(translation.get("look_for") or ())]
    for written in (one for text in texts for one in placeholders(text) if one != SEEDS):
        used = quantity(written)
        run = used.run or scenario.runs[0].name
        values = {seed: {str(used): runs[run].get(used.column, math.nan)} for seed, runs in seeds.items()}
        mean = spread(used, values)
        if mean.count != len(seeds):
            raise ValueError(f"{scenario.title}: no claim measures {written} of all seeds")
        found[written] = quoted(used, mean)
    return found


def _said(study: VerifiedScenario, number: int) -> dict[str, str]:
    one = study.claims[number]
    return _words(study.scenario, one.comparison, one.seeds)


def _words(scenario: Scenario, compared: Comparison, seeds: Seeds) -> dict[str, str]:
    said = {}
    for language in LANGUAGES:
        use(language)
        said[language] = explained(compared, seeds, labels(scenario))
    use("en")
    return said


def say_again() -> None:
    """Write the sentences about claims again, of the figures that are stored."""
    page = PAGE.read_text(encoding="utf-8")
    for card in scenarios():
        scenario, kept = load(card.path), path_of(card.path)
        stored = json.loads(kept.read_text(encoding="utf-8")) if scenario.claims else {"claims": []}
        for claim, one in zip(scenario.claims, stored["claims"], strict=True):
            used = list(claim.comparison.quantities)
            seeds = {
                int(seed): {str(each): runs[each.run][each.column] for each in used}
                for seed, runs in stored["figures"].items()
            }
            said = _words(scenario, claim.comparison, seeds)
            page = page.replace(f"  {one['said']['en']}\n", f"  {said['en']}\n")
            one["said"] = said
        if scenario.claims:
            kept.write_text(json.dumps(stored, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page, encoding="utf-8")


def page(studies: Sequence[tuple[str, VerifiedScenario]]) -> str:
    """docs/effects.md."""
    seeds = studies[0][1].seeds
    lines = [
        "# What the scenarios show, measured",
        "",
        f"The claims of the built-in scenarios over {seeds} seeds (0 to {seeds - 1}).",
        "`python -m tools.measure_claims` writes this page, and `bntui verify NAME` measures a scenario again.",
        "[claims.md](claims.md) says what the verdicts mean.",
        "",
        legend(),
        "",
        "In brackets: how many seeds have the figure at all.",
        "",
    ]
    for name, study in studies:
        lines += _section(name, study)
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, study: VerifiedScenario) -> Iterator[str]:
    yield f"## {study.scenario.title}"
    yield ""
    yield f"`{name}`"
    yield ""
    for one in study.claims:
        verdict = one.judgement.verdict
        yield f"- **{verdict[0].upper()}{verdict[1:]}:** {one.claim.text}"
        yield f"  {explained(one.comparison, one.seeds)}"
    yield ""
    yield f"| run | {' | '.join(map(heading, study.columns))} |"
    yield "|---" * (len(study.columns) + 1) + "|"
    for row in rows([run.name for run in study.scenario.runs], study.columns, study.measured.seeds):
        yield f"| {' | '.join(row)} |"
    yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--words", action="store_true", help="train nothing")
    given = parser.parse_args()
    if given.words:
        say_again()
        return
    cards = [card for card in scenarios() if load(card.path).claims]
    studies = verified([load(card.path) for card in cards], given.seeds, given.jobs)
    for card, study in zip(cards, studies, strict=True):
        assert not study.measured.failures, (card.name, study.measured.failures)
        kept = path_of(card.path)
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(record(study), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page([(card.name, study) for card, study in zip(cards, studies, strict=True)]), encoding="utf-8")


if __name__ == "__main__":
    main()
