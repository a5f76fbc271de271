"""Finds the lessons: Markdown pages ``en/NAME.md``, and their translations beside them."""

from __future__ import annotations

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from bntui.text.language import spoken

_MARK = "<!-- of: "
SCREENS: Final = ("fork", "gallery", "microscope", "panels", "runs", "starting", "sweep")
"""Lessons about screens."""


def lesson(name: str, language: str | None = None) -> str:
    """A page as Markdown, in the language in use unless another is asked for; in English where it has no other.

    A translation's first line says of which English text it is one (:func:`checksum`); it is left out.
    """
    page = _page(language or spoken(), name)
    text = (page if page.is_file() else _page("en", name)).read_text(encoding="utf-8")
    return text.partition("\n")[2].lstrip("\n") if text.startswith(_MARK) else text


def names() -> tuple[str, ...]:
    """All pages there are in English."""
    folder = resources.files(__name__) / "en"
    return tuple(sorted(page.name.removesuffix(".md") for page in folder.iterdir() if page.name.endswith(".md")))


def panels() -> tuple[str, ...]:
    """The names of all panels: those of their lessons, without the lessons about other screens."""
    return tuple(name for name in names() if name not in SCREENS)


def checksum(text: str) -> str:
    """Eight digits that change with a text."""
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def mark(name: str) -> str:
    """The first line of a translation of the English page as it is now."""
    return f"{_MARK}{checksum(_page('en', name).read_text(encoding='utf-8'))} -->"


def stale(language: str) -> dict[str, str]:
    """Pages whose translation is missing or not of the English text as it is now, and the mark it needs."""
    wanted = {name: mark(name) for name in names()}
    return {name: line for name, line in wanted.items() if _first_line(_page(language, name)) != line}


def _page(language: str, name: str) -> Traversable:
    return resources.files(__name__) / language / f"{name}.md"


def _first_line(page: Traversable) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0] if page.is_file() else ""
