"""Says how a process ended."""

from __future__ import annotations

import signal

from bntui.text.language import _


def how_ended(code: int | None) -> str:
    """The end of a process, from its exit code, which is that of a signal if negative."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return _("its process was killed by {signal}").format(signal=name)
    return _("its process ended with code {code}").format(code=code)
