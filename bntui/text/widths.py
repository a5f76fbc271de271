"""Aligns, wraps, and splits text by terminal cells; a Korean syllable takes two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len as cell_len
from rich.cells import chop_cells, set_cell_size

TYING: Final = "±×="
"""What ties the words on its two sides together: ``98.5 ± 0.2``."""


def wrap(sentence: str, cells: int) -> list[str]:
    """Wrap a sentence to lines of at most ``cells`` cells, between words, or within a word that is longer.

    A figure stays whole where a line has room for it: ``96.8 %``, ``98.5 ± 0.2``, ``10 × He``.
    """
    lines: list[str] = []
    for figure in _tied(sentence.split()):
        for word in (" ".join(figure),) if cell_len(" ".join(figure)) <= cells else figure:
            if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= cells:
                lines[-1] += f" {word}"
            else:
                lines += chop_cells(word, max(cells, 2))
    return lines or [""]


def _tied(words: Iterable[str]) -> list[list[str]]:
    """Words in groups that belong to one figure."""
    groups: list[list[str]] = []
    for word in words:
        if groups and (word[0] in TYING or word[0] == "%" or groups[-1][-1] in TYING):
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def ljust(words: str, cells: int) -> str:
    """Like ``str.ljust``, in cells."""
    return words + " " * (cells - cell_len(words))


def rjust(words: str, cells: int) -> str:
    """Like ``str.rjust``, in cells."""
    return " " * (cells - cell_len(words)) + words


def center(words: str, cells: int) -> str:
    """Like ``str.center``, in cells."""
    return ljust(" " * ((cells - cell_len(words)) // 2) + words, cells)


def cut(words: str, cells: int) -> str:
    """Words in at most ``cells`` cells, with an ellipsis at the end where something is missing."""
    if cell_len(words) <= cells:
        return words
    return set_cell_size(words, cells - 1).rstrip() + "…" if cells > 0 else ""


def ending(words: str, cells: int) -> str:
    """The end of words in at most ``cells`` cells, with an ellipsis before it where something is missing."""
    if cell_len(words) <= cells:
        return words
    return "…" + parted(words, cell_len(words) - (cells - 1))[1] if cells > 0 else ""


def cut_middle(words: str, cells: int) -> str:
    """Words in at most ``cells`` cells, with an ellipsis in the middle where something is missing."""
    if cell_len(words) <= cells:
        return words
    end = parted(words, cell_len(words) - (cells - 1) // 2)[1].lstrip() if cells > 2 else ""
    return cut(words, cells - cell_len(end)) + end


def longest(cells: int, *variants: str) -> str:
    """The first of several wordings that fits, else the last."""
    return next((words for words in variants if cell_len(words) <= cells), variants[-1])


def parted(words: str, cells: int) -> tuple[str, str]:
    """Split text after a number of cells; a wide character across the split becomes a space in each part."""
    at = 0
    for place, char in enumerate(words):
        if at >= cells:
            return set_cell_size(words, cells), " " * (at - cells) + words[place:]
        at += cell_len(char)
    return words[:-1] + " " if at > cells else words, " " * max(at - cells, 0)
