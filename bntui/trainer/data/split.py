"""Splits samples as scikit-learn's ``train_test_split`` does, without importing it: that takes half of a start."""

from __future__ import annotations

import numpy as np

from bntui.keyframe import IntArray


def split(count: int, held_out: int, seed: int, classes: IntArray | None = None) -> tuple[IntArray, IntArray]:
    """Row numbers of the training and the validation part of ``count`` samples, in random order.

    They are those of ``train_test_split(arange(count), test_size=held_out, random_state=seed, stratify=classes)``.

    Args:
        held_out: samples of the validation part, at least one and fewer than all.
        classes: class number of each sample, if both parts are to have the classes in equal shares.  Each has at least
            two samples, and each part as many samples as there are classes.
    """
    draw = np.random.RandomState(seed)
    if classes is None:
        order = draw.permutation(count)
        return order[held_out:], order[:held_out]
    numbers, sizes = np.unique(classes, return_inverse=True, return_counts=True)[1:]
    members = np.split(np.argsort(numbers, kind="stable"), np.cumsum(sizes)[:-1])
    kept = _shares(sizes, count - held_out, draw)
    away = _shares(sizes - kept, held_out, draw)
    train, rest = [], []
    for rows, here, there in zip(members, kept.tolist(), away.tolist(), strict=True):
        shuffled = rows[draw.permutation(len(rows))]
        train.append(shuffled[:here])
        rest.append(shuffled[here : here + there])
    return draw.permutation(np.concatenate(train)), draw.permutation(np.concatenate(rest))


def _shares(sizes: IntArray, number: int, draw: np.random.RandomState) -> IntArray:
    """How many of ``number`` samples each class gets: its share rounded down, and the largest remainders one more.

    Classes with equal remainders are drawn.
    """
    exact = sizes / sizes.sum() * number
    shares = np.floor(exact)
    missing, remainders = int(number - shares.sum()), exact - shares
    for remainder in np.unique(remainders)[::-1] if missing > 0 else ():
        (equal,) = np.where(remainders == remainder)
        chosen = draw.choice(equal, size=min(len(equal), missing), replace=False)
        shares[chosen] += 1
        missing -= len(chosen)
        if missing == 0:
            break
    whole: IntArray = shares.astype(np.int64)
    return whole
