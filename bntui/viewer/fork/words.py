"""Words the sentences about what a fork keeps of its parent, before and after it starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bntui.text.figures import count
from bntui.text.language import N_, _
from bntui.text.widths import longest

SAME_AGAIN: Final = N_("Nothing is changed: the fork repeats its parent bit for bit.")
ALL_KEPT: Final = N_("All parameters and buffers are kept.")
SOME_KEPT: Final = N_("{kept} of {all} parameters and buffers are kept; new: {names}.")
THE_RULE: Final = N_("Parameters and buffers with the same name and shape are kept; others are initialized.")


def carried_words(kept: Sequence[str], new: Sequence[str], cells: int) -> str:
    """How many parameters are kept, and the names of new ones, as many as fit in ``cells`` cells."""
    if not new:
        return _(ALL_KEPT)
    said = {"kept": count(len(kept)), "all": count(len(kept) + len(new))}
    wordings = []
    for listed in range(len(new), 0, -1):
        more = f" +{len(new) - listed}" if listed < len(new) else ""
        wordings.append(_(SOME_KEPT).format(**said, names=", ".join(new[:listed]) + more))
    return longest(cells, *wordings)
