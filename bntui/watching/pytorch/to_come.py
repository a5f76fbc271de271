"""Finds the layers that a later step may call, such as experts, skipped blocks, and heads for a later phase.

A recording has one list of layers, in the order of the forward pass.  A layer that the first measured step does not
call gets its place in it among those that are registered before and after it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from bntui.keyframe import Foreign
from bntui.recording.history import LayerInfo
from bntui.watching.pytorch.roles import Role

_UNITS: Final = ("out_features", "out_channels", "num_features", "hidden_size", "embed_dim", "embedding_dim")


def layers_to_come(
    roles: Mapping[nn.Module, Role], found: Collection[str], seen: Collection[str], trained: Collection[int]
) -> list[LayerInfo]:
    """Layers that are trained and were not called yet, each with what is known of it before its first call.

    A normalization is one if it is named like one that is a layer of its own, but for numbers; others follow a layer.

    Args:
        roles: of all modules, in the order of their registration.
        found: names of the layers that the first measured step called.
        seen: names of all modules that it called.
        trained: identities of the parameters that the optimizers update; averaged copies and teachers have others.
    """
    whole = {role.name for role in roles.values() if role.part == "main"}
    norms = {_alike(role.name) for role in roles.values() if role.part == "norm" and role.name in found}
    return [
        _before_call(role, module)
        for module, role in roles.items()
        if role.measured and role.name not in seen and whole.isdisjoint(_around(role.name))
        and (role.part == "main" or (role.part == "norm" and _alike(role.name) in norms))
        and not isinstance(module, torch.jit.ScriptModule)  # whose calls nobody sees
        and any(id(one) in trained and not is_lazy(one) for one in module.parameters())
    ]  # fmt: skip


def in_order(found: Sequence[str], to_come: Collection[str], registered: Iterable[str]) -> tuple[str, ...]:
    """The names of layers in the order of the forward pass, as far as it is known.

    Args:
        found: those that were called, in order.
        to_come: those that were not; each comes after the layer that is registered before it.
        registered: the names of all, in the order of their registration.
    """
    order = list(found)
    at = 0
    for name in registered:
        if name in to_come:
            order.insert(at, name)
        if name in order:
            at = order.index(name) + 1
    return tuple(order)


def _around(name: str) -> Iterator[str]:
    """The names of the modules that a module is in."""
    parts = name.split(".")
    return (".".join(parts[:depth]) for depth in range(1, len(parts)))


def _alike(name: str) -> str:
    """The name of a layer without its numbers: blocks that are built alike have layers of the same names."""
    return re.sub(r"\d+", "#", name)


def _before_call(role: Role, module: nn.Module) -> LayerInfo:
    units = next((value for name in _UNITS if isinstance(value := getattr(module, name, None), int)), 1)
    main = role.part == "main"
    return LayerInfo(
        name=role.name,
        kind=Foreign(role.kind if main else "norm"),
        shape=(units, 1, 1) if main and role.kind == "conv" else (1, units) if role.kind == "recurrent" else (units,),
        norm="none" if main else role.kind,
        activation="none",
        dropout=0.0,
        parameters=sum(one.numel() for one in module.parameters() if one.requires_grad),
        stages=(role.kind,) if main else ("norm",),
    )
