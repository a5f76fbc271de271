"""Checks the samples, their split, and their scaling against the configuration and the network."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from bntui.audit.ledger import Ledger, Place
from bntui.audit.samples import scaling_fits
from bntui.audit.subject import Subject
from bntui.text.language import N_

SCALING: Final = N_("input scaling")
SPLIT: Final = N_("samples, targets, and their split")


def check_scaling(ledger: Ledger, subject: Subject) -> None:
    """Check that offset and factor follow from the training part."""
    samples = subject.samples
    assert samples is not None
    offset, factor, size = scaling_fits(samples)
    place = Place(subject.run.name)
    ledger.compare(SCALING, place, "offset", samples.scaling.offset, offset, 1e-9 * size)
    ledger.compare(SCALING, place, "factor", samples.scaling.factor, factor, 1e-7 * np.abs(factor))
    kind = subject.run.config["data"]["scaling"]
    ledger.hold(SCALING, place, "scaling", samples.scaling.kind == kind, samples.scaling.kind, kind)


def check_split(ledger: Ledger, subject: Subject) -> None:
    """Check that each sample is in one part, the validation part has the requested size, and targets and names match
    the outputs."""
    samples, place = subject.samples, Place(subject.run.name)
    assert samples is not None
    data, outputs = samples.data, subject.run.layers[-1].shape[-1]
    count = len(data.x)
    parts = np.concatenate([data.train, data.validation])
    whole = len(parts) == count and bool((np.sort(parts) == np.arange(count)).all())
    ledger.hold(SPLIT, place, "train, validation", whole, len(np.unique(parts)), count)
    share = subject.run.config["data"]["validation"]
    held_out = min(math.ceil(count * share), count - 1)
    ledger.hold(SPLIT, place, "validation", len(data.validation) == held_out, len(data.validation), held_out)
    ledger.hold(SPLIT, place, "y", len(data.y) == count, len(data.y), count)
    if subject.task == "classification":
        ledger.hold(SPLIT, place, "classes", len(data.classes) == outputs, len(data.classes), outputs)
        within = bool(data.y.min() >= 0) and bool(data.y.max() < outputs)
        ledger.hold(SPLIT, place, "y", within, int(data.y.max()), f"0 … {outputs - 1}")
    else:
        ledger.hold(SPLIT, place, "y", data.y.shape[1:] == (outputs,), data.y.shape[1:], (outputs,))
    features = math.prod(data.x.shape[1:])
    ledger.hold(SPLIT, place, "features", len(data.features) == features, len(data.features), features)
