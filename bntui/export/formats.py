"""Declares the formats that ``bntui export`` writes; the suffix of the target, or ``--as``, chooses one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from bntui.drafts import Drafts
from bntui.errors import UsageError, did_you_mean
from bntui.export.request import Request, Tell
from bntui.recording.reader import Reader
from bntui.text.language import N_, _

Write = Callable[[Reader, Request, Drafts, Tell], list[str]]
"""Writes what is asked for of a recording as drafts, tells how far it is, and returns a sentence about each file."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format, and the function that writes it."""

    name: str
    """What ``--as`` calls it."""
    suffix: str
    module: str
    """The module of the function, imported when it is needed."""
    function: str
    fills_folder: bool = False
    """A target without a suffix is a folder, into which it writes several files."""
    takes: tuple[str, ...] = ()
    """The options that say something about it, of those that do not apply to every format."""
    counts: str = N_("rows written")
    """What its progress bar counts."""
    needs: tuple[str, str] = ("", "")
    """A module that it needs and that may not be installed, and the extra that installs it."""

    def writer(self) -> Write:
        """The function.

        Raises:
            UsageError: a package is missing.
        """
        package, extra = self.needs
        if package:
            try:
                import_module(package)
            except ImportError as error:
                sentence = _("{suffix} needs {package}, which is not installed; install it with: pip install {extra}")
                told = {"suffix": self.suffix, "package": package, "extra": f"'bntui[{extra}]'"}
                raise UsageError(sentence.format(**told)) from error
        return cast(Write, getattr(import_module(self.module), self.function))


_DATA: Final = "bntui.export"
_PICTURES: Final = "bntui.export.pictures"
_FRAMES: Final = N_("frames drawn")
_STILL: Final = ("panel", "size", "theme")
_REPLAY: Final = (*_STILL, "speed")
PICTURES: Final = (
    Format("svg", ".svg", _PICTURES, "write_svg", takes=_STILL),
    Format("png", ".png", _PICTURES, "write_png", takes=_STILL, needs=("typst", "pictures")),
    Format("pdf", ".pdf", _PICTURES, "write_pdf", takes=_STILL, needs=("typst", "pictures")),
    Format("html", ".html", _PICTURES, "write_html", takes=_STILL),
    Format("cast", ".cast", _PICTURES, "write_cast", takes=_REPLAY, counts=_FRAMES),
    Format(
        "gif", ".gif", _PICTURES, "write_gif", takes=_REPLAY, counts=_FRAMES, needs=("typst", "pictures")
    ),
    Format(
        "mp4", ".mp4", _PICTURES, "write_mp4", takes=_REPLAY, counts=_FRAMES, needs=("typst", "pictures")
    ),
)  # fmt: skip
FORMATS: Final = (
    Format("csv", ".csv", f"{_DATA}.tables", "write_csv", fills_folder=True, takes=("quantities", "table")),
    Format(
        "parquet", ".parquet", f"{_DATA}.tables", "write_parquet", fills_folder=True, takes=("quantities", "table"),
        needs=("pyarrow", "parquet"),
    ),
    Format("jsonl", ".jsonl", f"{_DATA}.json_lines", "write", fills_folder=True, takes=("quantities",)),
    Format("npz", ".npz", f"{_DATA}.npz", "write", fills_folder=True, takes=("quantities", "evidence")),
    Format(
        "tensorboard", "", f"{_DATA}.tensorboard", "write", fills_folder=True, takes=("quantities",),
    ),
    *PICTURES,
)  # fmt: skip
"""In the order of the help; the first one is what a folder is filled with by default."""


def format_of(target: Path, named: str | None, formats: tuple[Format, ...] = FORMATS) -> Format:
    """The format of a target.

    Args:
        named: the name of a format, from ``--as``; by default, the suffix of the target chooses it.

    Raises:
        UsageError: there is no such format, or the target is a folder where it writes a file, or the other way round.
    """
    if str(target) == "-":
        raise UsageError(_("--to -: exports are not written to stdout; name a file or a folder"))
    by_name = {one.name: one for one in formats}
    by_suffix = {one.suffix: one for one in formats if one.suffix}
    suffix = target.suffix.lower()
    folder = target.is_dir() or not suffix
    if named is not None and named not in by_name:
        raise UsageError(_unknown(f"--as {named}", named, list(by_name)))
    if folder:
        found = by_name[named] if named is not None else formats[0]
        if not found.fills_folder:
            sentence = _("--to {target}: {name} is written into a file: {example}")
            raise UsageError(sentence.format(target=target, name=found.name, example=f"{target}{found.suffix}"))
        return found
    if suffix not in by_suffix:
        raise UsageError(_unknown(f"--to {target}", suffix, list(by_suffix)))
    if named is not None and by_name[named].suffix != suffix:
        sentence = _("--to {target}: its suffix is not that of --as {name}")
        raise UsageError(sentence.format(target=target, name=named))
    return by_suffix[suffix]


def refuse_unused(chosen: Format, given: Mapping[str, object], formats: tuple[Format, ...] = FORMATS) -> None:
    """Refuse options that say nothing about a format.

    Args:
        given: the options of some formats only, by name; those that are not given are false.

    Raises:
        UsageError: names the first one, and the formats that it is for.
    """
    for name, value in given.items():
        if value and name not in chosen.takes:
            known = ", ".join(one.suffix or one.name for one in formats if name in one.takes)
            sentence = _("--{option} does not apply to {name}; it is for {known}")
            raise UsageError(sentence.format(option=name, name=chosen.suffix or chosen.name, known=known))


def _unknown(where: str, given: str, known: list[str]) -> str:
    sentence = _("{where}: no such format; allowed: {known}").format(where=where, known=", ".join(known))
    close = get_close_matches(given.lower(), known, n=1)
    return f"{sentence} {did_you_mean(close[0])}" if close else sentence
