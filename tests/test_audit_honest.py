"""Tests that the audit accepts honest recordings, however they were made."""

from __future__ import annotations

from pathlib import Path

import pytest

from bntui.audit.audit import audit
from tests.honest import HONEST
from tests.spread import spread


# every other one; test_honest_recordings tries random ones, too
@pytest.mark.parametrize("how", spread(list(HONEST), 2))
def test_an_honest_recording_is_true(how: str, tmp_path: Path) -> None:
    path = tmp_path / "honest.bntui"
    HONEST[how](path)
    report = audit(path)
    assert report.true, report.ledger.failures[:5]
    assert report.full + report.consistent > 0
