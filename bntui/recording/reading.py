"""Describes how a data set was read: what was inferred from its file, and what the user should check.

The trainer records it as JSON in the recording's ``meta`` (key ``reading``); ``bntui check`` and ``bntui show`` print
it.  Sentences are recorded by name with their figures, and printed in the user's language.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from bntui.text.language import N_, _, ngettext
from bntui.text.output import clean

KEY: Final = "reading"
"""Key of the recording's ``meta``."""

NOTES: Final = {
    "index": N_("column {name} has no name and numbers the rows: left out as an index"),
    "row names": N_("the first column has no name and holds row names: left out"),
    "trailing": N_("every row ends with a delimiter: the empty last column is left out"),
    "blank": N_("columns without a name and without values are left out: {count}"),
    "drawn": N_("the lines drawn around and between the cells are left out"),
    "unnamed": N_("column {name} has no name and is a feature; drop = [{quoted}] leaves it out"),
    "counts": N_("column {name} counts the rows ({first} to {last}); drop = [{quoted}] leaves it out"),
    "other target": N_(
        "column {name} is a feature, and {target} the target, because it is the last column; target = {quoted} changes"
        " it"
    ),
    "identifier": N_(
        "every sample has another whole number in column {name}: an identifier? drop = [{quoted}] leaves it out"
    ),
    "dropped": N_("left out by data.drop: {names}"),
    "units": N_("the classes begin with numbers ({example}); if they are quantities, remove what follows the numbers"),
    "sums": N_("the last row holds the sums of the others; if it is a row of totals, remove it"),
    "sentinel": N_("column {name} holds {value} in {count} of the samples, far from its other values: missing?"),
    "constant": N_("constant in all samples: {names}"),
    "dates": N_("column {name} looks like dates written as numbers ({example})"),
    "booleans": N_("true and yes are read as 1, false and no as 0: {names}"),
    "doubled": N_("several columns have the same name: {names}"),
    "zeros": N_("the classes have leading zeros ({example}) and are read as words"),
    "spellings": N_("classes whose names differ only in case or spaces: {names}"),
    "long": N_("the classes have more digits than a number can hold ({example}) and are read as words"),
    "digits": N_("columns with more digits than double precision can hold, which merges values: {names}"),
    "codes": N_("the target holds whole numbers, {distinct} of them different: classes; data.task decides"),
    "single sample": N_("classes of a single sample, so the split does not balance classes: {names}"),
    "level": N_("the target is the same in all samples: {value}"),
    "whole": N_("the target holds whole numbers, {distinct} of them different: regression; data.task decides"),
    "comments": N_("lines that begin with # are skipped: {count}"),
    "names": N_("the column names come from the comment line above the rows"),
    "grouped": N_("groups of thousands are read as one number, such as {example}"),
    "points": N_('numbers such as {example} are read with a decimal point; if not, set data.decimal = ","'),
    "unread": N_("other arrays in the file are not used: {names}"),
    "single": N_("the target is rounded to single precision, which merges values: {before} become {after}"),
    "collapse": N_(
        "without scaling, single precision merges values of {name}: {before} become {after}; set data.scaling"
    ),
}  # fmt: skip
"""Sentences of notes, by the name that is recorded."""

_LONGEST: Final = 200
_MOST_NOTES: Final = 40


@dataclass(frozen=True, slots=True)
class ReadingNote:
    """One thing for the user to check: a name in ``NOTES`` and the figures of its sentence."""

    name: str
    figures: Mapping[str, str]

    def __str__(self) -> str:
        return _(NOTES[self.name]).format(**self.figures)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was inferred from a data file; fields that do not apply to its format are empty."""

    source: str
    format: str
    """``table``, ``npz``, ``idx`` or ``built-in``."""
    samples: int
    shape: tuple[int, ...]
    """Shape of one sample."""
    task: str
    """``classification`` or ``regression``."""
    classes: int
    """Number of classes; 0 in regression."""
    low: float
    high: float
    """Smallest (``low``) and largest value of all features, in raw units."""
    dtype: str = ""
    """Type of the array in the file."""
    target: str = ""
    """Name of the target column or array."""
    arrays: tuple[str, ...] = ()
    """The arrays read from an NPZ file, or the names of the IDX files."""
    encoding: str = ""
    delimiter: str = ""
    header: bool | None = None
    decimal: str = ""
    notes: tuple[ReadingNote, ...] = ()

    def noted(self, note: ReadingNote) -> Reading:
        """A copy with one more note."""
        return replace(self, notes=(*self.notes, note))

    def as_json(self) -> str:
        """The description as stored in a recording."""
        return json.dumps({**asdict(self), "low": repr(self.low), "high": repr(self.high)}, ensure_ascii=False)

    def lines(self) -> Iterator[str]:
        """The description in the current language: what the data is, how it was read, and each note."""
        yield self.summary
        yield from self.details()

    @property
    def summary(self) -> str:
        """Samples, shape, task and number of classes in one line."""
        shape = "×".join(map(str, self.shape))
        parts = [
            self.source,
            ngettext("{count} sample of {shape}", "{count} samples of {shape}", self.samples).format(
                count=f"{self.samples:,}", shape=shape
            ),
            task_line(self.task, self.classes, self.target),
        ]
        return " · ".join(parts)

    def details(self) -> Iterator[str]:
        """How the file was read, and each note."""
        words = []
        if self.format == "table":
            words = [
                _("encoding {encoding}").format(encoding=self.encoding),
                _("delimiter {delimiter}").format(delimiter=_spelled(self.delimiter)),
                _("header: yes") if self.header else _("header: no"),
                _("decimal {mark}").format(mark=_spelled(self.decimal)),
            ]
        elif self.arrays:
            names = ", ".join(map(repr, self.arrays))
            words = [_("arrays {names}").format(names=names) if self.format == "npz" else names]
        if self.dtype:
            words.append(self.dtype)
        if self.format != "built-in":
            words.append(_("values {low:.9g} to {high:.9g}").format(low=self.low, high=self.high))
        if words:
            yield _("read as: {facts}").format(facts=", ".join(words))
        yield from map(str, self.notes)


def task_line(task: str, classes: int, target: str = "") -> str:
    """The task, the number of classes, and the target if it has a name."""
    what = _("regression")
    if task == "classification":
        count = ngettext("{count} class", "{count} classes", classes).format(count=f"{classes:,}")
        what = _("classification, {classes}").format(classes=count)
    return _("{task}, target {target}").format(task=what, target=repr(target)) if target else what


def from_meta(meta: Mapping[str, str]) -> Reading | None:
    """The description in a recording's metadata; None in older recordings, and if it is invalid.

    Recordings are untrusted: every value is checked, and text is sanitized and shortened.
    """
    try:
        found = json.loads(meta[KEY])
        return Reading(
            source=_text(found["source"]),
            format=_text(found["format"]),
            samples=_count(found["samples"]),
            shape=tuple(map(_count, found["shape"][:4])),
            task=_text(found["task"]),
            classes=_count(found["classes"]),
            low=float(_text(found["low"])),
            high=float(_text(found["high"])),
            dtype=_text(found["dtype"]),
            target=_text(found["target"]),
            arrays=tuple(map(_text, found["arrays"][:4])),
            encoding=_text(found["encoding"]),
            delimiter=_text(found["delimiter"]) if found["delimiter"] != "\t" else "\t",
            header=found["header"] if isinstance(found["header"], bool) else None,
            decimal=_text(found["decimal"]),
            notes=tuple(note for note in map(_note, found["notes"][:_MOST_NOTES]) if note is not None),
        )
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _note(found: Mapping[str, Any]) -> ReadingNote | None:
    note = ReadingNote(
        _text(found["name"]), {str(key): _text(value) for key, value in list(found["figures"].items())[:10]}
    )
    try:
        str(note)
    except (LookupError, ValueError):  # from a newer version, or forged
        return None
    return note


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return clean(value[:_LONGEST])


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**53:
        raise TypeError
    return int(value)


def _spelled(mark: str) -> str:
    names = {"\t": _("tab"), " ": _("space")}
    return names.get(mark, repr(mark))
