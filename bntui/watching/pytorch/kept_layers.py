"""Keeps the layers of a recording: those that its first keyframe knows, in that order, in each of the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import nn
from torch.optim import Optimizer

from bntui.recording.history import LayerInfo
from bntui.watching.pytorch.measured import SeenLayer, uncalled
from bntui.watching.pytorch.roles import Role
from bntui.watching.pytorch.to_come import in_order, layers_to_come


class KeptLayers:
    """The layers that a recording has, and what else was called."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        """In order; none before the first keyframe."""
        self.called: set[str] = set()
        """Those of them that a measured step has called."""
        self._known: dict[str, tuple[LayerInfo, bool]] = {}
        """What is known of each, for a step that does not call it."""
        self.unseen: set[str] = set()
        """What the recording lacks, in words."""

    def begin(
        self,
        measured: Sequence[SeenLayer],
        seen: Collection[str],
        roles: Mapping[nn.Module, Role],
        optimizers: Sequence[Optimizer],
    ) -> None:
        """Fix the layers of the recording: those of the first measured step, and those that a later one may call.

        Args:
            seen: names of the modules that the step called.
        """
        found = [layer.info.name for layer in measured]
        trained = {id(one) for optimizer in optimizers for group in optimizer.param_groups for one in group["params"]}
        to_come = {info.name: info for info in layers_to_come(roles, found, seen, trained)}
        self.names = in_order(found, to_come, [role.name for role in roles.values()])
        self._known = {name: (info, info.norm != "none") for name, info in to_come.items()}

    def of_step(self, measured: Sequence[SeenLayer]) -> list[SeenLayer]:
        """The layers of the recording as a step has them; one that was not called this time is empty."""
        found = {layer.info.name: layer for layer in measured}
        self.called |= found.keys() & set(self.names)
        self.unseen |= found.keys() - set(self.names)
        layers = [found[name] if name in found else uncalled(*self._known[name]) for name in self.names]
        self._known |= {layer.info.name: (layer.info, layer.captured.normed) for layer in layers}
        return layers
