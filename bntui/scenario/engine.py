"""Decides which engine trains a run, so that its recording says so."""

from __future__ import annotations

from bntui.scenario.blocks import blocks
from bntui.scenario.schema import RunConfig


def with_engine(config: RunConfig) -> RunConfig:
    """The configuration with the engine that trains it: ``autograd`` if a layer is recurrent."""
    if config.training.engine == "autograd" or all(block.type != "recurrent" for block in blocks(config.network)):
        return config
    return config.model_copy(update={"training": config.training.model_copy(update={"engine": "autograd"})})
