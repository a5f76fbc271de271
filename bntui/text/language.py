"""Translates sentences: the source is in English, and gettext catalogs hold the other languages.

Call ``_`` when a sentence is shown, never at import time, because the language is chosen when the program runs.  Mark a
constant with ``N_`` and translate it where it is used.  Insert figures after translation, so that a translation can
reorder them: ``_("epoch {epoch} of {epochs}").format(epoch=3, epochs=60)``.
"""

from __future__ import annotations

import gettext
from pathlib import Path
from typing import Final

LANGUAGES: Final = ("en", "ko")
DOMAIN: Final = "bntui"
FOLDER: Final = Path(__file__).parents[1] / "locale"

_spoken = "en"
_catalogue = gettext.NullTranslations()


def use(language: str) -> None:
    """Set the language to one of ``LANGUAGES``."""
    global _spoken, _catalogue
    _catalogue = gettext.NullTranslations()
    if language != "en":
        _catalogue = gettext.translation(DOMAIN, FOLDER, [language], fallback=True)
    _spoken = language


def spoken() -> str:
    """The language in use."""
    return _spoken


def _(text: str) -> str:
    """Translate a sentence into the language in use; a sentence without translation stays as it is."""
    return _catalogue.gettext(text) if text else text


def ngettext(one: str, several: str, count: int) -> str:
    """Translate a sentence with a number, choosing the plural form of the language in use."""
    return _catalogue.ngettext(one, several, count)


def N_(text: str) -> str:  # noqa: N802 - the name that translators' tools know
    """Mark a constant for translation and return it unchanged."""
    return text
