"""Tests that each forgery is detected, or that ``docs/audit.md`` explains why no reader of the file can detect it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bntui.audit.audit import audit
from bntui.errors import RecordingError
from tests.forgeries import BASES, FORGERIES, REASONS, Forgery
from tests.spread import spread

TABLE = (Path(__file__).parent.parent / "docs" / "audit.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Recordings by the name of what they are, each made when it is first asked for, and found true."""
    return {"folder": tmp_path_factory.mktemp("genuine")}


def made(genuine: dict[str, Path], base: str) -> Path:
    if base not in genuine:
        path = genuine["folder"] / f"{base}.bntui"
        BASES[base](path)
        report = audit(path)
        assert report.true, report.ledger.failures[:5]
        genuine[base] = path
    return genuine[base]


TRIED = spread(FORGERIES, 20)
"""Every twentieth; all of them take some minutes: ``BNTUI_ALL=1 python -m pytest tests/test_audit_forgeries.py``."""


@pytest.mark.parametrize("forgery", TRIED, ids=str)
def test_a_forgery_is_found_or_said_not_to_be(genuine: dict[str, Path], tmp_path: Path, forgery: Forgery) -> None:
    copy = Path(shutil.copy(made(genuine, forgery.base), tmp_path / "forged.bntui"))
    before = copy.read_bytes()
    forgery.forge(copy)
    assert copy.read_bytes() != before
    try:
        report = audit(copy)
    except RecordingError:
        assert not forgery.unseen
        return
    assert report.true == bool(forgery.unseen), report.ledger.failures[:3]
    figures = {failure.figure for failure in report.ledger.failures if failure.check == "digests"}
    assert (
        figures <= {"measures", "evidence"} or forgery.name == "measures taken out"
    )  # the forger has made all others anew


def test_what_is_not_found_stands_in_the_documentation() -> None:
    unseen = {forgery.unseen for forgery in FORGERIES if forgery.unseen}
    assert unseen == set(REASONS)
    assert all(f"| {reason}" in TABLE for reason in REASONS)


def test_the_forgeries_are_distinct() -> None:
    assert len({str(forgery) for forgery in FORGERIES}) == len(FORGERIES)
