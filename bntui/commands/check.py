"""Checks a scenario and the data it names, without torch or scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bntui.commands.scenario_file import scenario_file
from bntui.errors import DataError, Problem, ScenarioError
from bntui.recording.reading import task_line
from bntui.scenario import tour_text
from bntui.scenario.checks import CLASSES, DataFacts, problems, sample_count, task
from bntui.scenario.claim_numbers import sentences, unfounded
from bntui.scenario.complaints import shown
from bntui.scenario.data import Data
from bntui.scenario.load import Scenario, load
from bntui.scenario.sources import kind_of
from bntui.scenario.toml_lines import key_lines
from bntui.text.language import _, ngettext


def checked(name: str, *, read: bool) -> Iterator[str]:
    """Lines that describe a valid scenario: its runs, its task, and how its data file is read.

    Args:
        name: a path, or the name of a built-in scenario.
        read: read the data file, and check the runs against its contents.

    Raises:
        UsageError, ScenarioError, DataError: the scenario or its data is not valid.
    """
    scenario = load(scenario_file(name))
    count = len(scenario.runs)
    lines = list(_of_data(scenario)) if read else []
    yield ngettext("{name}: valid, {count} run", "{name}: valid, {count} runs", count).format(name=name, count=count)
    yield from (f"  {line}" for line in (*lines, *_long_texts(scenario), *_claimed(scenario)))


def _long_texts(scenario: Scenario) -> Iterator[str]:
    """Texts of the tour that a small screen cuts."""
    sentence = _("{key}: takes {count} lines on a screen of {columns} columns, where {most} fit")
    for key, text in _tour_texts(scenario):
        if not tour_text.fits(text):
            counted = {"count": tour_text.lines(text), "columns": tour_text.COLUMNS, "most": tour_text.LINES}
            yield sentence.format(key=key, **counted)


def _claimed(scenario: Scenario) -> Iterator[str]:
    """Numbers that the sentence of a claim states and its comparison does not."""
    sentence = _("{key}: says {numbers}, which its comparison does not")
    runs = {language: texts["runs"] for language, texts in scenario.translation.items()}
    for key, number, text, names in sentences([claim.text for claim in scenario.claims], scenario.said, runs):
        wrong = unfounded(text, scenario.claims[number].comparison, names)
        if wrong:
            yield sentence.format(key=key, numbers=", ".join(wrong))


def _tour_texts(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Every question and answer of the tour, with the path of its key, in all languages."""
    languages = {f"translation.{language}.": texts["tour"] for language, texts in scenario.translation.items()}
    for path, stops in {"": [stop.model_dump() for stop in scenario.tour], **languages}.items():
        for number, stop in enumerate(stops):
            for key in ("question", "answer"):
                yield f"{path}tour[{number}].{key}", stop[key]


def _of_data(scenario: Scenario) -> Iterator[str]:
    config = scenario.runs[0].config
    if kind_of(config.data.source) == "built-in":
        yield _("data: {summary}").format(summary=_of_builtin(config.data))
        return
    from bntui.trainer.data.dataset import load_data

    try:
        data = load_data(config.data, scenario.path.parent if scenario.path else Path.cwd(), config.seed)
    except DataError as error:
        raise DataError(_named(scenario, config.data.source, str(error))) from error
    facts = DataFacts(len(data), data.task, data.x.shape[1:], len(data.classes) or data.y.shape[1])
    wrong = dict.fromkeys(problem for run in scenario.runs for problem in problems(run.config, facts))
    if wrong:
        raise ScenarioError(tuple(wrong))
    assert data.reading is not None
    first, *others = data.reading.lines()
    yield _("data: {summary}").format(summary=first)
    yield from (f"  {line}" for line in others)


def _named(scenario: Scenario, source: str, message: str) -> str:
    """A sentence about a data file, each line after the place in the scenario that names the file."""
    line = key_lines(scenario.text).get(("data", "source"))
    place = Problem("data.source", "", str(scenario.path or ""), line, shown(source))
    return "\n".join(f"{place}{words}" for words in message.split("\n"))


def _of_builtin(data: Data) -> str:
    """A description of built-in data, without loading it, which would import scikit-learn."""
    count = sample_count(data) or 0
    samples = ngettext("{count} sample", "{count} samples", count).format(count=f"{count:,}")
    return " · ".join((data.source, samples, task_line(task(data) or "", CLASSES.get(data.source, 0))))
