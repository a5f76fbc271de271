"""Which language does bntui speak?  English stands in the source; what others say stands in a gettext catalogue.

``_`` is called where a sentence is shown, never while a module is imported: the language is chosen once the program
runs.  A constant is marked by ``N_`` and translated where it is used.  Figures are put in afterwards, so that a
translation can move them: ``_("epoch {epoch} of {epochs}").format(epoch=3, epochs=60)``.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bntui.errors import UsageError

LANGUAGES: Final = ("en", "ko")
DOMAIN: Final = "bntui"
FOLDER: Final = Path(__file__).parent / "locale"
VARIABLES: Final = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""Where POSIX says which language a user reads, the strongest first."""

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


def preferred(asked: str | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """What was asked for, else the configuration's ``language``, else the locale's, else English.

    Raises:
        UsageError: a language that is not spoken here, or a configuration that cannot be read.
    """
    if asked is not None:
        return _known(asked, "--lang")
    configured = _configured()
    if configured is not None:
        return configured
    locale = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    return next((language for language in LANGUAGES if locale.lower().startswith(language)), "en")


def _configured() -> str | None:
    from platformdirs import user_config_path

    path = user_config_path("bntui") / "config.toml"
    if not path.is_file():
        return None
    import tomllib

    try:
        configuration = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error
    language = configuration.get("language")
    return None if language is None else _known(language, f"{path}: language")


def _known(language: object, where: str) -> str:
    if language not in LANGUAGES:
        raise UsageError(f"{where} = {language!r}: {' or '.join(LANGUAGES)} is spoken here")
    return str(language)
