"""Where randomness comes from: every draw has a generator of its own, derived from what it is for.

So layers of the same name start alike in all runs, runs do not disturb each other, a fork needs no
generator state, and any mask can be drawn again.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derived_seed(seed: int, *purpose: str | int) -> int:
    """32 bits from a hash of the scenario's seed and what the draw is for (CPU generators ignore more)."""
    text = "\x1f".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def generator(device: torch.device, seed: int, *purpose: str | int) -> torch.Generator:
    """A fresh generator on ``device`` for one purpose."""
    return torch.Generator(device).manual_seed(derived_seed(seed, *purpose))


def permutation(seed: int, epoch: int, samples: int) -> Tensor:
    """The order of the training samples in an epoch, the same for all runs and on every device; int64."""
    return torch.randperm(samples, generator=generator(torch.device("cpu"), seed, "order", epoch))


class Masks:
    """Dropout masks of one run: the mask of (layer, step) is a function of the seed alone."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed = seed
        self._generator = torch.Generator(device)

    def draw(self, layer: str, step: int, like: Tensor, p: float) -> Tensor:
        """1/(1-p) where a unit is kept, 0 where it is dropped; shape and type of ``like``."""
        self._generator.manual_seed(derived_seed(self._seed, "dropout", layer, step))
        return torch.empty_like(like).bernoulli_(1 - p, generator=self._generator).div_(1 - p)
