"""Defines what the gallery asks in its last row: words to search for, a new name, or whether to delete."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from bntui.text.output import clean

Asked = Literal["search", "rename", "delete"]
State = Literal["open", "done", "left"]
"""Still being answered, answered, or left without an answer."""
LONGEST: Final = 255
"""Characters of an answer; no file system has longer names."""
AGREED: Final = ("y", "ㅛ")
"""Keys that mean yes: the same one on an English and on a Korean keyboard."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A row that waits for an answer."""

    asks: Asked
    text: str = ""
    """What has been typed."""
    path: Path | None = None
    """The recording that is to be changed."""
    size: int = 0
    """Its size in bytes, if it is to be deleted."""

    def with_more(self, text: str) -> Prompt:
        """The prompt with a text typed or pasted at the end, as far as there is room."""
        return replace(self, text=(self.text + text)[:LONGEST])


def answered(prompt: Prompt, key: str, character: str | None) -> tuple[Prompt, State] | None:
    """The prompt after a key; None if the key is not for it.

    While words are searched for, the keys that move in the lists still do so; ctrl+c is no answer.

    Args:
        key: its name in Textual.
        character: what it types, if it does.
    """
    typed = clean(character) if character is not None and character.isprintable() else ""
    if prompt.asks == "delete":
        return (prompt, "done" if typed.casefold() in AGREED else "left")
    match key:
        case "enter":
            return prompt, "done"
        case "escape":
            return prompt, "left"
        case "backspace":
            return replace(prompt, text=prompt.text[:-1]), "open"
        case "ctrl+u":
            return replace(prompt, text=""), "open"
    if typed:
        return prompt.with_more(typed), "open"
    return None if prompt.asks == "search" or key == "ctrl+c" else (prompt, "open")
