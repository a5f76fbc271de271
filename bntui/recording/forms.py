"""Declares what a recording's JSON must look like: configurations, layers, forks, and the metadata of blocks.

Unknown kinds of layers, norms, activations, optimizers and schedules are accepted as text, because the audit reports
them.  Their settings are validated all the same.
"""

from __future__ import annotations

from typing import Final

from bntui.recording.kinds import (
    AMOUNT,
    EPOCH,
    FINITE,
    POSITIVE,
    SHARE,
    Either,
    Flag,
    JsonObject,
    Keyed,
    Kind,
    ListOf,
    Maybe,
    Number,
    OneOf,
    Plain,
    Text,
    Whole,
)
from bntui.recording.tables import MOST_LAYERS, RUN

SCALING: Final = OneOf(("none", "minmax", "standard"))
TASK: Final = OneOf(("classification", "regression"))
WORD: Final = Text(100)
UNITS: Final = Whole(1, 65_536)
SIDE: Final = Whole(1, 2**24)
LINE: Final = Text(10_000)
"""A path, or a sentence."""

MONITOR: Final = OneOf(("val_loss", "val_accuracy", "loss", "accuracy", "val_r2", "r2"))
EARLY_STOPPING: Final = JsonObject(
    {"monitor": MONITOR, "patience": Whole(), "min_delta": FINITE, "mode": OneOf(("auto", "min", "max")),
     "baseline": Maybe(FINITE), "restore_best_weights": Flag(), "start_from_epoch": Whole()},
    {},
    Plain(),
)  # fmt: skip
SCHEDULE: Final = JsonObject(
    {"kind": WORD},
    {"step_size": Whole(1), "gamma": POSITIVE, "min_lr": AMOUNT, "patience": Whole(), "threshold": FINITE,
     "warmup_epochs": Whole()},
    Plain(),
)  # fmt: skip
BLOCK: Final = JsonObject(
    {"type": WORD},
    {"name": Maybe(Text()), "norm": Maybe(WORD), "activation": Maybe(WORD), "dropout": Maybe(SHARE),
     "init": Maybe(WORD), "units": UNITS, "channels": UNITS, "kernel": Whole(1, 1000), "stride": Whole(1, 1000),
     "padding": Either(Whole(0, 1000), OneOf(("same",))), "pool": Whole(1, 1000), "cell": WORD},
    Plain(),
)  # fmt: skip
CONFIG: Final = JsonObject(
    {
        "data": JsonObject(
            {"source": LINE, "batch_size": Whole(1)},
            {"labels": Maybe(LINE), "target": Maybe(LINE), "task": WORD, "samples": Maybe(Whole(1)),
             "noise": Maybe(AMOUNT), "scaling": WORD, "validation": SHARE, "factor": FINITE, "sequence": WORD,
             "input_noise": AMOUNT, "last_batch": WORD},
            Plain(),
        ),
        "network": JsonObject(
            {},
            {"hidden": Maybe(ListOf(UNITS, MOST_LAYERS)), "layer": Maybe(ListOf(BLOCK, MOST_LAYERS)),
             "activation": WORD, "norm": WORD, "norm_position": WORD, "groups": Whole(1), "norm_momentum": SHARE,
             "norm_eps": POSITIVE, "norm_gamma": FINITE, "norm_noise": AMOUNT, "norm_recurrent": WORD,
             "dropout": SHARE, "init": WORD},
            Plain(),
        ),
        "training": JsonObject(
            {"epochs": Whole(1), "early_stopping": Maybe(EARLY_STOPPING)},
            {"optimizer": WORD, "lr": AMOUNT, "momentum": SHARE, "nesterov": Flag(), "weight_decay": AMOUNT,
             "betas": ListOf(SHARE, 2, 2), "alpha": SHARE, "clip_norm": Maybe(POSITIVE), "clip_value": Maybe(POSITIVE),
             "validation_mode": WORD, "validation_batch": Maybe(Whole(1)), "engine": WORD,
             "threads": Whole(1), "schedule": SCHEDULE},
            Plain(),
        ),
        "record": JsonObject(
            {"budget": AMOUNT},
            {"every": Either(Whole(1), OneOf(("epoch",))), "shift": Flag(), "unit": Whole()},
            Plain(),
        ),
    },
    {"device": WORD, "deterministic": Flag(), "seed": Whole(0, 2**63 - 1)},
    Plain(),
)  # fmt: skip
"""Keys added by a newer version are accepted as they are."""
APPLIED_BY: Final = "applied_by"
RECORDER: Final = "recorder"
"""Key and word in the early stopping of a watched run: the recorder applied the rule, so that it can be checked."""
WATCHED: Final = "watched"
"""The only key of the configuration of a run that no scenario describes: somebody's own loop was recorded."""
TOLD: Final = JsonObject(
    {"by": WORD},
    {"model": Text(), "optimizer": Text(), "epochs": Maybe(Whole(1)), "batch_size": Maybe(Whole(1)),
     "every": Maybe(Either(Whole(1), OneOf(("epoch",)))),
     "early_stopping": Maybe(
         JsonObject({"monitor": MONITOR, "patience": Whole()},
               {"min_delta": FINITE, "mode": OneOf(("auto", "min", "max")), "baseline": Maybe(FINITE),
                "restore_best_weights": Flag(), "start_from_epoch": Whole()}, Plain()))},
    Plain(),
)  # fmt: skip
"""What is known of such a run."""
RUN_CONFIG: Final = Keyed(WATCHED, JsonObject({WATCHED: TOLD}), CONFIG)
"""What a run's row says about how it was trained."""

LAYERS: Final = ListOf(
    JsonObject(
        {"name": Text(shortest=1), "kind": WORD, "shape": ListOf(SIDE, 3, 1), "norm": WORD, "activation": WORD,
         "dropout": SHARE, "parameters": Whole()},
        {"stages": ListOf(WORD, 32), "cell": WORD, "per_step": Flag(), "groups": UNITS, "absent": ListOf(WORD, 32)},
    ),
    MOST_LAYERS,
    1,
)  # fmt: skip
AXES: Final = {"linear": 1, "conv": 3, "recurrent": 2}
"""Number of axes of one sample's output, by kind of layer."""
VALUES: Final = 2**28
"""Maximum number of output values of one sample in one layer."""

FORK: Final = JsonObject(
    {"run": RUN, "step": Whole(), "epoch": EPOCH,
     "changes": ListOf(ListOf(Plain(), 3, 3)), "kept": ListOf(Text(), 100_000), "new": ListOf(Text(), 100_000)},
    {},
    Plain(),
)  # fmt: skip
ARGUMENTS: Final = JsonObject(other=Plain())
"""The figures in an event's sentence."""
NAMES: Final = ListOf(Text(10_000), 2_000_000)
"""Names of classes or features."""
STOP_TEXT: Final = {"question": Text(1000), "answer": Text(1000)}
TRANSLATION: Final = JsonObject(
    other=JsonObject(
        {}, {"title": Text(), "runs": JsonObject(other=Text()), "tour": ListOf(JsonObject(STOP_TEXT), 100)}, Plain()
    )
)

FIRST_VIEW: Final = JsonObject(
    {},
    {"selected": Maybe(LINE), "pinned": Maybe(LINE), "panels": ListOf(Text(), 1000),
     "cursor": Either(AMOUNT, OneOf(("newest",))), "pace": Maybe(Either(Number(1e-3, 1e6), OneOf(("max",)))),
     "paused": Flag()},
    Plain(),
)  # fmt: skip

TOUR: Final = ListOf(
    JsonObject(
        {**STOP_TEXT, "panel": Text()},
        {"at": Either(AMOUNT, Text(20)), "run": Maybe(LINE), "layer": Maybe(Text()), "holds": Maybe(Text(1000))},
    ),
    100,
)

PATIENCE: Final = JsonObject(
    {"best": Number(nan=True), "best_epoch": Whole(), "wait": Whole(), "stopped": Flag(), "reason": LINE,
     "improved": Flag()}, {}, Plain()
)  # fmt: skip
SUMS: Final = JsonObject(
    {"batches": Whole(), "samples": Whole(), "loss": Number(nan=True), "right": Whole(),
     **{name: ListOf(Number(nan=True), 65_536) for name in ("residuals", "targets", "squares")},
     "first_bad": Maybe(Whole())}, {}, Plain()
)  # fmt: skip
PROGRESS: Final[Kind] = JsonObject(
    {"step": Whole(), "epoch": Whole(), "offset": Whole(), "wall": AMOUNT,
     "plateau": JsonObject({"factor": FINITE, "best": Number(nan=True), "bad_epochs": Whole()}, {}, Plain()),
     "patience": PATIENCE, "best_loss": Number(nan=True), "best_step": Whole(), "sums": SUMS}, {}, Plain()
)  # fmt: skip
"""The trainer's state apart from tensors."""
