"""Names the gates of recurrent cells, in the order of their units."""

from __future__ import annotations

from typing import Final

from bntui.text.language import N_

GATES: Final = {
    "gru": (N_("reset gate"), N_("update gate"), N_("new state")),
    "lstm": (N_("input gate"), N_("forget gate"), N_("cell"), N_("output gate")),
}
LETTERS: Final = {"gru": "rzn", "lstm": "ifgo"}
"""Their letters, as PyTorch's formulas have them."""
