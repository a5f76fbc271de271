"""Says what is not possible on a screen that is shown to others."""

from __future__ import annotations

from typing import Final

from bntui.text.language import N_

READ_ONLY: Final = N_("This screen is read-only: it shows what is recorded, and changes nothing.")
