"""Determines what the user prefers from the command line, the configuration file, and the locale."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from bntui.errors import Problem, UsageError
from bntui.scenario.pace import FASTEST, SLOWEST, PacingOptions
from bntui.text.language import LANGUAGES, _
from bntui.text.library_messages import in_toml, reason
from bntui.text.themes import THEMES

OPTION: Final = "--lang"
VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""POSIX variables for the language of messages, in order of precedence."""


def extract_language(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """Remove ``--lang`` from anywhere in the command line; returns the rest and the last language given.

    It is extracted before anything else is parsed, so that help and errors appear in that language.

    Raises:
        UsageError: no language follows the option.
    """
    rest: list[str] = []
    asked: str | None = None
    words = iter(arguments)
    for word in words:
        if word == "--":
            return [*rest, word, *words], asked
        if word == OPTION:
            asked = next(words, None)
            if asked is None:
                raise UsageError(_("{option} needs a language: {languages}").format(option=OPTION, languages=_spoken()))
        elif word.startswith(f"{OPTION}="):
            asked = word.removeprefix(f"{OPTION}=")
        else:
            rest.append(word)
    return rest, asked


def preferred(asked: str | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """The language ``asked`` for, else the configuration's ``language``, else the locale's, else English.

    Raises:
        UsageError: the language is not available, or the configuration cannot be read or has unknown keys.
    """
    if asked is not None:
        return known(asked, OPTION)
    configured = configuration().get("language")
    return by_locale(environment) if configured is None else str(configured)


def by_locale(environment: Mapping[str, str] = os.environ) -> str:
    """The language of the locale, or English if that is not available.

    The first variable that is set decides, as usual in POSIX.  gettext's ``LANGUAGE`` takes precedence; it may list
    several languages and is ignored in the C locale.
    """
    locale = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    several = environment.get("LANGUAGE", "") if locale not in ("", "C", "POSIX") else ""
    for wanted in (*filter(None, several.split(":")), locale):
        language = wanted.partition(".")[0].partition("@")[0].replace("-", "_").partition("_")[0].lower()
        if language in LANGUAGES:
            return language
    return "en"


def configuration_path() -> Path:
    """The user's configuration file: TOML, with ``language = "ko"`` and ``theme = "light"``."""
    if sys.platform == "linux":  # as in platformdirs, whose import would cost every command 7 ms
        folder = os.environ.get("XDG_CONFIG_HOME", "").strip() or os.path.expanduser("~/.config")
        return Path(folder) / "bntui" / "config.toml"
    from platformdirs import user_config_path

    return user_config_path("bntui") / "config.toml"


def configuration() -> dict[str, Any]:
    """What the configuration file says, checked; empty without one.

    Raises:
        UsageError: it cannot be read, or a value in it is not allowed.
    """
    path = configuration_path()
    if not path.is_file():
        return {}
    import tomllib

    text = ""
    try:
        text = path.read_text(encoding="utf-8-sig")
        found = tomllib.loads(text)
    except OSError as error:
        raise UsageError(_("{path}: cannot be read: {reason}").format(path=path, reason=reason(error))) from error
    except ValueError as error:
        words, line = in_toml(error, text)
        place = path if line is None else f"{path}:{line}"
        raise UsageError(f"{place}: {_('not valid TOML: {reason}').format(reason=words)}") from error
    wrong = list(_complaints(found, path, text))
    if wrong:
        raise UsageError("\n".join(wrong))
    return found


def watching(pace: str | None = None, *, paused: bool = False) -> PacingOptions:
    """How to train for someone who watches: as the command line says, else as the configuration does.

    Args:
        pace: the value of ``--pace``.
        paused: ``--paused`` was given.

    Raises:
        UsageError: the pace is not valid, or the configuration is not.
    """
    settings = configuration()
    asked = settings.get("pace") if pace is None else asked_pace(pace)
    return PacingOptions(asked, True if paused else settings.get("paused"))


def asked_pace(text: str) -> float | Literal["max"]:
    """Parse the value of ``--pace``.

    Raises:
        UsageError: it is neither a pace in epochs per second nor ``max``.
    """
    try:
        return known_pace(float(text), "--pace")
    except ValueError:
        return known_pace(text, "--pace")


def _complaints(found: Mapping[str, object], path: Path, text: str) -> Iterator[str]:
    """What is wrong in the configuration: keys that it does not have, and values, each with its line."""
    from difflib import get_close_matches

    from bntui.scenario.toml_lines import key_lines

    lines: Mapping[tuple[str | int, ...], int] = {}
    for key, value in found.items():
        check = CHECKS.get(key)
        try:
            if check is None:
                raise UsageError(_("unknown key; allowed: {names}").format(names=", ".join(CHECKS)))
            check(value, key)
        except UsageError as error:
            lines = lines or key_lines(text)
            near = None if check else next(iter(get_close_matches(key, CHECKS, n=1)), None)
            name = "" if check else key  # the sentence about a value names its key
            yield str(Problem(name, str(error), str(path), lines.get((key,)), nearest=near))


def known(language: object, where: str) -> str:
    """Check that a language is available, and return it.

    Raises:
        UsageError: it is not available; ``where`` names the setting.
    """
    if language not in LANGUAGES:
        sentence = _("{where} = {language!r}: choose {languages}")
        raise UsageError(sentence.format(where=where, language=language, languages=_spoken()))
    return str(language)


def known_theme(theme: object, where: str) -> str:
    """Check that there is a theme of this name, and return it.

    Raises:
        UsageError: there is none; ``where`` names the setting.
    """
    if theme not in THEMES:
        sentence = _("{where} = {theme!r}: choose {themes}")
        raise UsageError(sentence.format(where=where, theme=theme, themes=", ".join(THEMES)))
    return str(theme)


def known_pace(pace: object, where: str) -> float | Literal["max"]:
    """Check a pace in epochs per second, or ``max``, and return it.

    Raises:
        UsageError: it is neither; ``where`` names the setting.
    """
    if pace == "max":
        return "max"
    if isinstance(pace, int | float) and not isinstance(pace, bool) and SLOWEST <= pace <= FASTEST:
        return float(pace)
    sentence = _("{where} = {pace!r}: give epochs per second, a number from {slowest:g} to {fastest:,.0f}, or max")
    raise UsageError(sentence.format(where=where, pace=pace, slowest=SLOWEST, fastest=FASTEST))


def _known_flag(value: object, where: str) -> None:
    if not isinstance(value, bool):
        raise UsageError(_("{where} = {value!r}: choose true or false").format(where=where, value=value))


def _spoken() -> str:
    return _("{one} or {other}").format(one=LANGUAGES[0], other=LANGUAGES[1])


CHECKS: Final[dict[str, Callable[[object, str], object]]] = {
    "language": known,
    "theme": known_theme,
    "pace": known_pace,
    "paused": _known_flag,
}
"""Keys of the configuration file, and what checks their values."""
