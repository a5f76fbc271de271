"""Reads the number in a cell of a table, or says what the cell contains instead.

A decimal mark is a point or a comma.  The other mark, an apostrophe or a space may then group thousands:
``1,234.5``, ``1.234,5``, ``1'234``, ``1 234``.  A group of thousands never begins with 0.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import category

from bntui.text.language import N_

POINT: Final = "."
COMMA: Final = ","

_EXPONENT: Final = r"(?:[eE][+-]?\d{1,6})?"
_SPACES: Final = "'’ \u00a0\u202f\u2009"


def _plain(mark: str) -> re.Pattern[str]:
    return re.compile(rf"[+-]?(?:\d+(?:{mark}\d*)?|{mark}\d+){_EXPONENT}", re.ASCII)


def _grouped(mark: str, other: str) -> re.Pattern[str]:
    return re.compile(
        rf"([+-]?[1-9]\d{{0,2}})((?:{other}\d{{3}})+|(?:([{_SPACES}])\d{{3}})(?:\3\d{{3}})*)((?:{mark}\d*)?)", re.ASCII
    )


_PLAIN: Final = {POINT: _plain(r"\."), COMMA: _plain(",")}
_GROUPED: Final = {POINT: _grouped(r"\.", ","), COMMA: _grouped(",", r"\.")}

MISSING: Final = frozenset(
    {
        *("", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NaN", "nan", "NAN", "-nan", "-NaN"),
        *("na", "n.a.", "N.A.", "#N/A N/A", "NaT", "\\N", "<null>", "(null)", "(blank)"),
        *("#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"),
        *("null", "NULL", "Null", "None", "?", "-", "--", "–", "—", ".", "..", ":", "…"),
    }
)
"""Cells that stand for a missing value."""
TOTALS: Final = frozenset(
    {
        *("total", "totals", "grand total", "subtotal", "sum", "mean", "average", "avg"),
        *("합계", "총계", "소계", "총합", "평균", "summe", "gesamt", "mittelwert", "totale", "somme", "moyenne"),
    }
)
"""Words, in lower case, that label a row computed from the others."""
TRUTH: Final = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
"""Words that a feature column may contain instead of 1 and 0; matching ignores case."""

_MONTH: Final = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]{0,6}\.?"
_DATE: Final = re.compile(
    r"\d{4}([-/.])\d{1,2}\1\d{1,2}([T ]\d{1,2}:.*)?"
    r"|\d{1,2}([-/.])\d{1,2}\3(\d{4}|\d{2})( \d{1,2}:.*)?"
    r"|\d{1,2}:\d{2}(:.*)?"
    rf"|\d{{1,2}}[- ]{_MONTH}[- ](\d{{4}}|\d{{2}})( \d{{1,2}}:.*)?"
    rf"|{_MONTH} (\d{{1,2}},? )?\d{{4}}( \d{{1,2}}:.*)?"
    r"|\d{4}\. ?\d{1,2}\. ?\d{1,2}\.( .*)?"
    r"|\d{4}년( ?\d{1,2}월( ?\d{1,2}일.*)?)?",
    re.ASCII | re.IGNORECASE,
)
"""``2024-01-31``, ``31/01/24 12:00``, ``12:30``, ``31 Jan 2024``, ``January 31, 2024``, ``2024. 1. 31.``, ``2024년``"""
_INFINITE: Final = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_LEADING_ZERO: Final = re.compile(r"[+-]?0\d+", re.ASCII)
_ELSEWHERE: Final = re.compile(r"[^\W\d_]?[$€£¥₩₹%‰]|[$€£¥₩₹%‰]", re.UNICODE)

_QUOTED: Final = re.compile(r"(['‘’`´“”„«»])(.*?)['‘’`´“”„«»]").fullmatch
_UNIT: Final = re.compile(r"([+-]?[\d.,]*\d)\s*[^\W\d_]{1,6}[²³23]?([/·*^][^\W\d_]{1,6}[²³23]?)*").fullmatch
_FORTRAN: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[dD][+-]?\d+", re.ASCII).fullmatch

EMPTY: Final = N_("empty; fill it in or remove the row")
ABSENT: Final = N_("{cell} stands for a missing value; fill it in or remove the row")
DATE: Final = N_("{cell} is a date or a time, not a number; convert it, or leave the column out with data.drop")
SIGN: Final = N_("{cell} has a currency or percent sign; remove it, so that the cell is a number")
TOTAL: Final = N_("{cell} labels a row computed from the others; remove the row, or leave it out with data.samples")
QUOTED: Final = N_('{cell} has quotation marks that tables do not use; remove them, or use "')
UNIT: Final = N_("{cell} has a unit; remove it, so that the cell is a number")
INVISIBLE: Final = N_("{cell} has an invisible character, written here with \\; remove it")
OTHER_MARK: Final = N_("{cell} is not a number with a decimal {mark}, unlike other cells; set data.decimal")
FORTRAN: Final = N_("{cell} has an exponent of Fortran; write e for d")
DIGITS: Final = N_("{cell} has digits of another script; write them as 0 to 9")
NO_NUMBER: Final = N_("{cell} is not a number")


def number(cell: str, mark: str) -> float | None:
    """The number in a cell, given a decimal mark (:data:`POINT` or :data:`COMMA`); None if it is not a number.

    Infinity is accepted here and refused later.  Missing values are not numbers.
    """
    text = cell.replace("\u2212", "-") if "\u2212" in cell else cell
    if _PLAIN[mark].fullmatch(text):
        return float(text if mark == POINT else text.replace(",", "."))
    if found := _GROUPED[mark].fullmatch(text):
        whole = found[1] + re.sub(r"\D", "", found[2])
        return float(whole + found[4].replace(",", "."))
    if _INFINITE.fullmatch(text):
        return float(text)
    return None


def grouped(cell: str, mark: str) -> bool:
    """True if a cell is a number only if groups of thousands are allowed."""
    return _PLAIN[mark].fullmatch(cell) is None and _GROUPED[mark].fullmatch(cell) is not None


def decides(cell: str) -> str | None:
    """The only decimal mark with which a cell is a number; None if both are possible, or neither is."""
    point, comma = number(cell, POINT) is not None, number(cell, COMMA) is not None
    return None if point == comma else POINT if point else COMMA


def is_ambiguous(cell: str) -> bool:
    """True if a cell is a different number with each decimal mark, such as ``1,234``."""
    point, comma = number(cell, POINT), number(cell, COMMA)
    return point is not None and comma is not None and point != comma


def is_number(cell: str) -> bool:
    """True if a cell is a number with either decimal mark."""
    return number(cell, POINT) is not None or number(cell, COMMA) is not None


def is_date(cell: str) -> bool:
    """True if a cell is a date, a time, or both."""
    return _DATE.fullmatch(cell) is not None


def is_word(cell: str) -> bool:
    """True if a cell is neither a number nor a missing value nor a date."""
    return cell not in MISSING and not is_number(cell) and not is_date(cell)


def has_leading_zero(cell: str) -> bool:
    """True if a cell is a code such as ``007``: an integer with a leading zero."""
    return _LEADING_ZERO.fullmatch(cell) is not None


def is_digits(cell: str) -> bool:
    """True if a cell is a whole number without thousands separators, decimals and exponent."""
    return cell.isascii() and cell.removeprefix("-").removeprefix("+").isdecimal()


def is_long(cell: str) -> bool:
    """True if a cell is a whole number with more digits than a float holds, such as 9007199254740993."""
    return 15 < len(cell) < 300 and is_digits(cell) and int(cell) != int(float(cell))


def complaint(cell: str) -> str:
    """The untranslated sentence that says why a cell is not a number, with the fields ``{cell}`` and ``{mark}``."""
    if cell == "":
        return EMPTY
    if cell in MISSING:
        return ABSENT
    if is_date(cell):
        return DATE
    if is_number(cell):
        return OTHER_MARK
    if is_total(cell):
        return TOTAL
    if any(category(char) == "Cf" for char in cell):
        return INVISIBLE
    if has_sign(cell):
        return SIGN
    if (quoted := _QUOTED(cell)) and is_number(quoted[2]):
        return QUOTED
    if _FORTRAN(cell):
        return FORTRAN
    if any(char.isdecimal() and not char.isascii() for char in cell):
        return DIGITS
    return UNIT if has_unit(cell) else NO_NUMBER


def is_total(cell: str) -> bool:
    """True if a cell labels a row of totals or means."""
    return cell.casefold().rstrip(":").rstrip() in TOTALS


def has_sign(cell: str) -> bool:
    """True if a cell is a number with a currency or percent sign."""
    bare = re.sub(r"\s", "", _ELSEWHERE.sub("", cell))
    return bare != cell and is_number(bare)


def has_unit(cell: str) -> bool:
    """True if a cell is a number and a unit, such as ``5 kg``."""
    found = _UNIT(cell)
    return found is not None and is_number(found[1])
