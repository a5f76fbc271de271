"""Which language does bntui speak?  English stands in the source; what others say stands in a gettext catalogue.

``_`` is called where a sentence is shown, never while a module is imported: the language is chosen once the program
runs.  A constant is marked by ``N_`` and translated where it is used.  Figures are put in afterwards, so that a
translation can move them: ``_("epoch {epoch} of {epochs}").format(epoch=3, epochs=60)``.
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
    """Speak one of ``LANGUAGES`` from now on."""
    global _spoken, _catalogue
    _catalogue = gettext.NullTranslations()
    if language != "en":
        _catalogue = gettext.translation(DOMAIN, FOLDER, [language], fallback=True)
    _spoken = language


def spoken() -> str:
    """The language in use."""
    return _spoken


def _(text: str) -> str:
    """A sentence of the source in the language in use; itself where it has no translation."""
    return _catalogue.gettext(text) if text else text


def ngettext(one: str, several: str, count: int) -> str:
    """The singular or plural of a sentence, as the language has it."""
    return _catalogue.ngettext(one, several, count)


def N_(text: str) -> str:  # noqa: N802 - the name that translators' tools know
    """Marks a constant for translation and leaves it as it is."""
    return text
