"""Tests that people read a run's name in their language, and programs read its English name."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bntui.audit.audit import audit
from bntui.audit.report import as_json, as_text
from bntui.link.library import entry
from bntui.recording.reader import Reader
from bntui.text.language import use
from bntui.trainer.session import Session
from tests.korean import said
from tests.test_session import DIGITS, TWO_RUNS, never, train

TRANSLATION = {"ko": {"title": "숫자", "runs": {"plain": "정규화 없음", "batch norm": "배치 정규화"}}}
KOREAN = ["정규화 없음", "배치 정규화", "배치 정규화 · 다시"]
ENGLISH = ["plain", "batch norm", "batch norm · again"]


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording in two languages, with a fork."""
    path = train(tmp_path_factory.mktemp("called"), DIGITS + TWO_RUNS, ("training.epochs", 2)).path
    session = Session.resume(path, all_runs=False)
    session.fork(1, 6, ())
    while not session.over:
        session.epoch(never)
    session.close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT OR REPLACE INTO meta VALUES ('translation', ?)", (json.dumps(TRANSLATION),))
    return path


def test_a_list_names_forks_as_the_screen_does(forked: Path) -> None:
    use("ko")
    assert list(entry(forked).runs) == KOREAN == [run.called for run in Reader(forked).runs]
    use("en")
    assert list(entry(forked).runs) == ENGLISH


def test_show_prints_names_that_its_option_takes(forked: Path) -> None:
    shown = said("--lang", "ko", "show", forked, "--run", "2").stdout.splitlines()
    assert shown[0] == "숫자 · 배치 정규화 · 다시"
    others = next(line for line in shown if "--run" in line)
    assert others.endswith("0 '정규화 없음', 1 '배치 정규화'")
    assert said("--lang", "ko", "show", forked, "--run", "배치 정규화").stdout.startswith("숫자 · 배치 정규화\n")
    refused = said("--lang", "ko", "show", forked, "--run", "1", "--epoch", "-1")
    assert "'배치 정규화'" in refused.stderr
    record = json.loads(said("--lang", "ko", "show", forked, "--run", "1", "--json").stdout)
    assert record["run"] == "batch norm"


def test_the_audit_names_runs_for_people_and_for_programs(forked: Path) -> None:
    use("ko")
    report = audit(forked)
    text, record = as_text(report), json.loads(as_json(report))
    assert any(name in text for name in KOREAN)
    assert not any(name in text for name in ENGLISH)
    assert {check["run"] for check in record["checks"]} - {None} <= set(ENGLISH)
