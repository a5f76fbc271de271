"""Searches for words in what a list shows."""

from __future__ import annotations

import unicodedata


def mentions(query: str, *texts: str) -> bool:
    """True if each word of a query is part of one of the texts, in any case; an empty query finds everything."""
    found = _plain("\n".join(texts))
    return all(word in found for word in _plain(query).split())


def _plain(text: str) -> str:
    """Without case, and composed: macOS writes file names in decomposed Hangul."""
    return unicodedata.normalize("NFKC", text).casefold()
