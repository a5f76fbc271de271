"""Reads which scenario a recording was begun from, so that it can be trained again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bntui.errors import RecordingError
from bntui.text.language import _


@dataclass(frozen=True, slots=True)
class ScenarioOrigin:
    """A scenario as it was given."""

    path: Path | None
    """The file; paths of data files are relative to its folder.  It may have changed or vanished since."""
    text: str
    """The TOML source as it was."""
    overrides: tuple[tuple[str, Any], ...]
    """Key paths and values from the command line."""


def scenario_origin(recording: Path, meta: Mapping[str, str]) -> ScenarioOrigin:
    """What the metadata of a recording say.

    Raises:
        RecordingError: they do not contain the scenario.
    """
    try:
        overrides = tuple((str(key), value) for key, value in json.loads(meta["overrides"]))
        return ScenarioOrigin(
            Path(meta["scenario_file"]) if meta["scenario_file"] else None, meta["scenario"], overrides
        )
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        sentence = _("{path}: the recording does not contain its scenario; start again with: bntui run")
        raise RecordingError(sentence.format(path=recording)) from error
