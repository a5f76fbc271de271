"""Derives a separate random generator for every draw from the purpose of the draw.

Layers of the same name therefore start with equal weights in all runs, runs do not affect each other, a fork needs no
generator state, and any mask can be drawn again.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import torch
from torch import Tensor


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A 32-bit hash of the scenario's seed and the purpose of a draw; CPU generators ignore further bits."""
    text = "\x1f".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def generator(device: torch.device, seed: int, *purpose: str | int) -> torch.Generator:
    """A new generator on ``device`` for one purpose."""
    return torch.Generator(device).manual_seed(derived_seed(seed, *purpose))


def permutation(seed: int, epoch: int, samples: int) -> Tensor:
    """The order of the training samples in an epoch, the same for all runs and on every device; int64."""
    return torch.randperm(samples, generator=generator(torch.device("cpu"), seed, "order", epoch))


class Draws:
    """The draws of a run in each step; they depend only on the seed, the layer and the step."""

    def __init__(self, seed: int, device: torch.device, *purpose: str | int) -> None:
        """``purpose`` distinguishes these draws from those of training."""
        self._seed = seed
        self._purpose = purpose
        self._generator = torch.Generator(device)

    def mask(self, layer: str, step: int, like: Tensor, p: float) -> Tensor:
        """A dropout mask: 1/(1-p) for units that are kept, 0 for others; shape and type of ``like``."""
        self._generator.manual_seed(derived_seed(self._seed, *self._purpose, "dropout", layer, step))
        return torch.empty_like(like).bernoulli_(1 - p, generator=self._generator).div_(1 - p)

    def streamed(self) -> Draws:
        """The same draws, except that masks on the CPU are parts of streams: see :class:`StreamedDraws`."""
        return StreamedDraws(self._seed, self._generator.device, *self._purpose)

    def input_noise(self, step: int, like: Tensor, deviation: float) -> Tensor:
        """Gaussian noise for a mini-batch's scaled inputs; shape and type of ``like``."""
        self._generator.manual_seed(derived_seed(self._seed, *self._purpose, "input noise", step))
        return torch.empty_like(like).normal_(0, deviation, generator=self._generator)

    def noise(self, layer: str, step: int, like: Tensor, amount: float) -> tuple[Tensor, Tensor]:
        """Scale and shift of the noise after batch normalization in Santurkar et al., 2018, appendix, algorithm 1.

        For each feature, a mean is drawn uniformly within ±a and a standard deviation between 1 and 1 + a/2.  Around
        these, for each sample, a shift is drawn uniformly within ± a/5, and a scale with standard deviation a/5.  With
        a = 0.5, these are the paper's n_μ = 0.5, n_σ = 1.25, r_μ = r_σ = 0.1.

        Args:
            like: the normalized values, shape ``(B, C)`` or, in a convolution, ``(B, C, H, W)``.
            amount: the strength a.

        Returns:
            Two tensors of shape ``(B, C)``, in a convolution ``(B, C, 1, 1)``.
        """
        self._generator.manual_seed(derived_seed(self._seed, *self._purpose, "noise", layer, step))
        samples, features = like.shape[:2]
        spread = amount / 5

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return like.new_empty(shape).uniform_(low, high, generator=self._generator)

        mean, deviation = uniform(-amount, amount, features), uniform(1, 1 + amount / 2, features)
        shift = mean + uniform(-spread, spread, samples, features)
        scale = deviation + like.new_empty((samples, features)).normal_(0, spread, generator=self._generator)
        shape = (samples, features, *(1 for _ in like.shape[2:]))
        return scale.view(shape), shift.view(shape)


_STEP: Final = 2**40
"""Words of a stream between the beginnings of two steps, more than any mask needs."""
_PERIOD: Final = 2**128
_TOGETHER: Final = 2**16
"""Values that are drawn together: as many as stay in a core's cache."""


class StreamedDraws(Draws):
    """Draws masks several times as fast, from a stream of random bits for each layer that can be entered anywhere."""

    def __init__(self, seed: int, device: torch.device, *purpose: str | int) -> None:
        super().__init__(seed, device, *purpose)
        self._streams: dict[str, _Stream] = {}

    def mask(self, layer: str, step: int, like: Tensor, p: float) -> Tensor:
        """See :meth:`Draws.mask`, which draws it on other devices than the CPU."""
        if like.device.type != "cpu":
            return super().mask(layer, step, like, p)
        if layer not in self._streams:
            self._streams[layer] = _Stream(derived_seed(self._seed, *self._purpose, "dropout", layer))
        return self._streams[layer].mask(step, like.shape, p)


class _Stream:
    """The masks of one layer.  Once it is asked for steps in turn, it draws those of some steps together."""

    def __init__(self, seed: int) -> None:
        self._source = np.random.PCG64DXSM(seed)
        self._position = 0
        """Of the source, in words of 64 bits."""
        self._first, self._masks = 0, tuple[Tensor, ...]()
        """The first step whose mask is drawn, and its mask and the following ones, flat."""
        self._p, self._size, self._last = 0.0, 0, -2

    def mask(self, step: int, shape: torch.Size, p: float) -> Tensor:
        """The mask of a step; that of a smaller mini-batch is the beginning of that of a larger one."""
        size = shape.numel()
        if p != self._p or size > self._size or not 0 <= step - self._first < len(self._masks):
            self._p, self._size = p, max(size, self._size)
            steps = max(1, _TOGETHER // max(1, self._size)) if step == self._last + 1 else 1
            self._first, self._masks = step, self._drawn(range(step, step + steps))
        self._last = step
        mask = self._masks[step - self._first]
        return (mask if size == self._size else mask[:size]).view(shape)

    def _drawn(self, steps: range) -> tuple[Tensor, ...]:
        words = (self._size + 1) // 2
        raw = np.empty((len(steps), words), np.uint64)
        for step, into in zip(steps, raw, strict=True):
            start = step * _STEP
            self._source.advance((start - self._position) % _PERIOD)
            into[:] = self._source.random_raw(words)
            self._position = start + words
        kept = raw.view(np.uint32)[:, : self._size] < np.uint32(min(round((1 - self._p) * 2**32), 2**32 - 1))
        masks = kept.astype(np.float32)
        masks *= np.float32(1 / (1 - self._p))
        with torch.inference_mode(False):  # autograd, which measures the gradient shift, may use them as well
            return torch.from_numpy(masks).unbind()
