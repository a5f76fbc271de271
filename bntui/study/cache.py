"""Keeps the outcomes of trials in the user's cache folder, one small file each, so that a study can be resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bntui import drafts
from bntui.study.trial import Outcome, Trial


def cache_folder() -> Path:
    """Where outcomes are kept."""
    from platformdirs import user_cache_path

    return user_cache_path("bntui") / "trials"


def known(trial: Trial, key: str) -> Outcome | None:
    """The kept outcome of a trial; None if any of its quantities is missing."""
    found = _read(key)
    figures = found.get("figures", {})
    if not all(isinstance(figures.get(text), float) for text in trial.quantities):
        return None
    return Outcome({text: figures[text] for text in trial.quantities}, float(found.get("seconds", 0.0)))


def keep(key: str, done: Outcome) -> None:
    """Add the figures of an outcome to those that are kept; a cache that cannot be written is no error."""
    figures = {**_read(key).get("figures", {}), **done.figures}
    with suppress(OSError):
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps({"figures": figures, "seconds": done.seconds})
        drafts.put(folder / f"{key}.json", text.encode("ascii"), private=True)


def _read(key: str) -> Mapping[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads((cache_folder() / f"{key}.json").read_text(encoding="ascii"))
        if isinstance(found, dict) and isinstance(found.get("figures"), dict):
            return found
    return {}
