"""Keeps the layers of a recording: those of its first keyframe, in that order, in each of the others."""

from __future__ import annotations

from collections.abc import Sequence

from bntui.recording.history import LayerInfo
from bntui.watching.pytorch.measured import SeenLayer, uncalled


class KeptLayers:
    """The layers that a recording has, and what else was called."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        """In order; none before the first keyframe."""
        self._known: dict[str, tuple[LayerInfo, bool]] = {}
        """What is known of each, for a step that does not call it."""
        self.unseen: set[str] = set()
        """What the recording lacks, in words."""

    def of_step(self, measured: Sequence[SeenLayer]) -> list[SeenLayer]:
        """The layers of the recording as a step has them; one that was not called this time is empty."""
        found = {layer.info.name: layer for layer in measured}
        self.names = self.names or tuple(found)
        self.unseen |= found.keys() - set(self.names)
        layers = [found[name] if name in found else uncalled(*self._known[name]) for name in self.names]
        self._known |= {layer.info.name: (layer.info, layer.captured.normed) for layer in layers}
        return layers
