"""Tests that everything a user reads is in the catalog, and that the catalog is complete."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog

from bntui.cli import obey
from bntui.insight.jury import jury
from bntui.keyframe import QUANTITIES
from bntui.lessons import checksum, lesson, mark, names, stale
from bntui.study.pruning import PRUNERS
from bntui.text import language
from bntui.viewer.draw.rows import text
from bntui.viewer.panels import PANELS, Panel
from bntui.viewer.view import View
from tests.test_panels import VIEWS
from tools.translate import (
    apply,
    catalogue_path,
    collected,
    faults,
    marked,
    merged,
    mo_bytes,
    placeholders,
    po_bytes,
    read,
    stale_scenarios,
)

SOURCE = Path(language.__file__).parents[1]
TRANSLATED = [spoken for spoken in language.LANGUAGES if spoken != "en"]


# --- the catalogue ---


@pytest.fixture(scope="module")
def found() -> Catalog:
    """All sentences of the program; nothing changes it."""
    return collected()


@pytest.mark.parametrize("spoken", TRANSLATED)
def test_every_sentence_is_translated_with_its_placeholders_and_none_is_left_over(spoken: str, found: Catalog) -> None:
    assert list(faults(merged(found, read(spoken), spoken))) == []


@pytest.mark.parametrize("spoken", TRANSLATED)
def test_the_files_are_those_that_the_tool_writes(spoken: str, found: Catalog) -> None:
    catalogue, path = merged(found, read(spoken), spoken), catalogue_path(spoken)
    advice = "python -m tools.translate writes them anew"
    assert path.read_bytes() == po_bytes(catalogue), advice
    assert path.with_suffix(".mo").read_bytes() == mo_bytes(catalogue), advice


def test_the_tool_finds_marked_sentences_wherever_they_stand() -> None:
    code = "f'{_(\"one\")}'\nN_('two' 'three')\nngettext('a {n}', 'b {n}', n)\n_(CONSTANT)\n_('')\n"
    found = marked(ast.parse(code))
    assert list(found) == ["one", "twothree", ("a {n}", "b {n}")]


def test_the_tool_says_what_is_missing_doubtful_left_over_or_has_other_placeholders(found: Catalog) -> None:
    ids = [message.id for message in found if isinstance(message.id, str) and message.id]
    first, second = next(key for key in ids if placeholders(key)), next(key for key in ids if not placeholders(key))
    korean = merged(found, read("ko"), "ko")
    assert apply(korean, {first: "자리표시자 없음", "never said": "안 함"}) == ["never said"]
    korean[second].flags.add("fuzzy")
    message = merged(found, korean, "ko")  # both survive a merge
    wrong = list(faults(message))
    assert any(fault.startswith(f"other placeholders: {first!r}") for fault in wrong)
    assert f"fuzzy: {second!r}" in wrong
    korean.add("no longer said", "더는 안 함")
    assert "obsolete: 'no longer said'" in list(faults(merged(found, korean, "ko")))
    empty = list(faults(merged(found, type(korean)("ko"), "ko")))
    assert len(empty) == len(ids) + sum(isinstance(m.id, tuple) for m in found)
    assert all(fault.startswith("missing: ") for fault in empty)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("epoch {epoch:g} of {epochs}", {"epoch", "epochs"}),
        ("{a!r} {a}", {"a"}),
        ("hidden = [...]", set()),
        ("{{a}}", set()),
        ("write {", None),
    ],
)
def test_placeholders_are_found(sentence: str, expected: set[str] | None) -> None:
    assert placeholders(sentence) == expected


# --- lessons ---


@pytest.mark.parametrize("spoken", TRANSLATED)
def test_every_lesson_is_translated_from_the_english_text_as_it_is(spoken: str) -> None:
    assert stale(spoken) == {}


@pytest.mark.parametrize("spoken", TRANSLATED)
def test_every_scenarios_texts_are_translated_from_the_english_ones_as_they_are(spoken: str) -> None:
    assert stale_scenarios(spoken) == {}


def test_a_lesson_is_shown_without_its_mark_and_in_english_where_there_is_no_other() -> None:
    language.use("ko")
    for name in names():
        assert lesson(name).startswith("# ")
        assert lesson(name, "en").startswith("# ")
    assert lesson(names()[0], "xx") == lesson(names()[0], "en")


def test_a_lessons_mark_changes_with_its_text() -> None:
    assert checksum("a") != checksum("b")
    assert {len(checksum(word)) for word in ("", "a", "한국어")} == {8}
    assert mark(names()[0]) == f"<!-- of: {checksum(lesson(names()[0], 'en'))} -->"


# --- what bypasses the catalogue ---

SHOWING = {
    "print", "notify", "Problem", "Complaint", "refusal", "need_terminal", "Span", "Drawing", "Row", "Text", "Static",
    "Label",
}  # fmt: skip
"""Calls whose words a user reads."""
MEANT = {
    "f'bntui: {error}'": "the program's name",
    "f'bntui {__version__}'": "the same",
    "f'--set {text}: {error}'": "what was typed, and a sentence that was translated",
    "f'--goal {text}: {error}'": "the same",
    "f'bntui run {card.name}'": "what to type",
    "f'{owner.__name__}.{field} does not say where a recording keeps it: annotate it with Kept'": "for programmers",
}
"""Literals that are no English sentence, and why."""


def bypassing(tree: ast.Module) -> Iterator[ast.expr]:
    """Literal English in errors and in calls that show words; and what is put into ``_`` without being a literal."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in ("_", "N_", "ngettext"):
            yield from (argument for argument in call.args if isinstance(argument, ast.JoinedStr))
        elif name in SHOWING or name.endswith("Error"):
            words = call.args[:1] if name in ("Span", "Drawing", "Text") else call.args  # a style follows
            shown = [*words, *(keyword.value for keyword in call.keywords if keyword.arg in ("title", "text"))]
            yield from (argument for argument in shown if english(argument))


def english(node: ast.expr) -> bool:
    """A literal with words in it: two letters in an f-string's own text, two words in a plain one."""
    if isinstance(node, ast.JoinedStr):
        own = " ".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        return re.search("[A-Za-z]{2}", own) is not None and ast.unparse(node) not in MEANT
    if isinstance(node, ast.IfExp):
        return english(node.body) or english(node.orelse)
    if isinstance(node, ast.BinOp):
        return english(node.left) or english(node.right)
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search("[A-Za-z]{2,} +[A-Za-z(]", node.value) is not None
    )


def test_nothing_that_is_shown_bypasses_the_catalogue() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")}
    assert len(trees) > 200
    assert [
        (str(path), node.lineno, ast.unparse(node)) for path, tree in trees.items() for node in bypassing(tree)
    ] == []


@pytest.mark.parametrize(
    "code",
    [
        'raise UsageError(f"{path} is wrong")',
        'raise errors.DataError("is wrong")',
        'print(f"stopped: {path}")',
        'self.notify("the trainer is gone")',
        'Span(f"{count} units", "muted")',
        'Span("no value" if late else "not yet here", "muted")',
        '_(f"epoch {epoch}")',
        'Complaint((path,), "must be " + "a whole number")',
    ],
)
def test_what_bypasses_it_is_found(code: str) -> None:
    assert len(list(bypassing(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code",
    ['raise UsageError(_("{path} is wrong").format(path=path))', 'Span("● ", "bold accent")', 'print(f"{a}  {b}")'],
)
def test_what_does_not_is_left_alone(code: str) -> None:
    assert list(bypassing(ast.parse(code))) == []


def test_no_korean_stands_in_the_source() -> None:
    found = {path.name for path in SOURCE.rglob("*.py") if re.search("[가-힣]", path.read_text(encoding="utf-8"))}
    # what users type: an answer, names of columns and of rows, and numbers in the sentences of claims
    assert found == {"ask.py", "column_notes.py", "columns.py", "cells.py", "claim_numbers.py"}


LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
CYRILLIC = str.maketrans(LATIN, "".join(chr(0x430 + at % 32) for at in range(len(LATIN))))


class Disguise:
    """A catalogue that turns every sentence into letters of one cell that the program never uses by itself."""

    def gettext(self, sentence: str) -> str:
        try:
            parts = list(Formatter().parse(sentence))
        except ValueError:
            return sentence.translate(CYRILLIC)
        return "".join(words.translate(CYRILLIC) + _field(*field) for words, *field in parts)

    def ngettext(self, one: str, several: str, count: int) -> str:
        return self.gettext(one if count == 1 else several)


def _field(name: str | None, spec: str | None, conversion: str | None) -> str:
    if name is None:
        return ""
    return f"{{{name}{f'!{conversion}' if conversion else ''}{f':{spec}' if spec else ''}}}"


@pytest.fixture
def disguised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_catalogue", Disguise())


def said_by_others(view: View) -> Iterator[str]:
    """Names and sentences of the recording."""
    for run in view.runs:
        yield run.name
        yield from (layer.name for layer in run.info.layers)
        yield from (event.message for event in run.events)
    if view.dataset is not None:
        yield from (view.dataset.name, *view.dataset.classes, *view.dataset.features)


NAMES_OF_OTHERS = {
    "NaN", "inf", "min", "max", "minmax", "standard", "sigmoid", "val_loss", "patience", "min_delta", "threshold",
    *QUANTITIES,
}  # fmt: skip
"""Words that are the same in every language: figures, and names of the configuration and of Keras."""
MARKS = {juror.mark for juror in jury(None)}
"""Letters of the stopping rules, which may stand side by side on a curve."""


@pytest.fixture(scope="module")
def views() -> list[View]:
    """In every state; panels change none of them."""
    return [make() for make in VIEWS.values()]


@pytest.mark.usefixtures("disguised")
@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_no_panel_shows_english_that_is_not_in_the_catalogue(panel: Panel, views: list[View]) -> None:
    for view in views:
        given = {word for name in said_by_others(view) for word in words_of(name)}
        for cells, lines in ((48, 19), (118, 30)):
            drawing = panel.draw(view, cells, lines)
            lines_shown = (drawing.title, *map(text, drawing.rows))
            shown = {word for line in lines_shown for word in words_of(line)}
            cut = {word for line in lines_shown for word in re.findall("([A-Za-z_]+)…", line)}
            cut = {word for word in cut if any(name.startswith(word) for name in given)}
            assert {word for word in shown if not set(word) <= MARKS} - given - cut - NAMES_OF_OTHERS == set()


@pytest.mark.usefixtures("disguised")
def test_no_help_page_does_either(capsys: pytest.CaptureFixture[str]) -> None:
    commands = (
        "run", "resume", "fork", "stop", "replay", "compare", "attach", "show", "audit", "stops", "list", "check",
        "verify", "sweep", "schema", "doctor", "rename", "delete", "clean", "export", "import", "serve",
    )  # fmt: skip
    typed = {"bntui", "SCENARIO", "FILE", "THEME", "PATH", "VALUE", "NAME", "WORD", "DAYS", "en", "ko", *commands}
    typed |= {"VALUES", "QUANTITY", "DIR", "ADDRESS", "optuna", "SAMPLER", "FORMAT", "NAMES", "TAG", "FIGURE"}
    typed |= {"PANEL", "WxH", "WHEN", *PRUNERS}
    typed |= {"max", "var", "ln"}  # in the formulas of the audit's tolerances
    for command in ("", *commands):
        with pytest.raises(SystemExit):
            obey([*command.split(), "--help"])
        page = re.sub("--?[a-z]+", "", capsys.readouterr().out)
        assert set(words_of(page)) - typed == set()


def words_of(line: str) -> list[str]:
    return re.findall("[A-Za-z][A-Za-z_]+", line)
