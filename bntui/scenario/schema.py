"""Defines the scenario file as pydantic models, which validate it, document it, and provide its JSON Schema.

Every field has a description with its unit, if any, and bounds.  Defaults are PyTorch's or Keras'.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from bntui.scenario.claim import Claim
from bntui.scenario.claim_texts import MAX_CLAIMS
from bntui.scenario.data import Data
from bntui.scenario.fields import MOST, Line, Prose, Table, refusal
from bntui.scenario.network import NetworkConfig
from bntui.scenario.study import Study
from bntui.scenario.tour import MAX_STOPS, TourStop, TranslatedStop
from bntui.scenario.training import Training
from bntui.scenario.view import ViewTable
from bntui.text.language import _

MAX_RUNS: Final = 12


def _device(value: str) -> str:
    if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
        return value
    names = "auto, cpu, cuda, cuda:N, mps"
    raise refusal(_("allowed: {names}").format(names=names), allowed=("auto", "cpu", "cuda", "cuda:0", "mps"))


class Record(Table):
    """``[record]``: when to record a keyframe, and how much evidence to keep."""

    every: Annotated[int, Field(ge=1, le=MOST)] | Literal["epoch"] = Field(
        "epoch", description="'epoch' (its last step), or a number of steps."
    )
    budget: float = Field(
        64.0, ge=0, description="Size of the evidence kept (parameters, optimizer state, values), in MB (10⁶ bytes)."
    )
    shift: bool = Field(
        False,
        description="Measure how far each layer's gradient moves when earlier layers are updated; costs one step per"
        " layer.",
    )
    unit: int = Field(
        0,
        ge=0,
        le=MOST,
        description="Unit or channel of each layer (modulo its size) whose pre-activation is recorded separately.",
    )


Device = Annotated[str, AfterValidator(_device)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
DEVICE_HELP: Final = "auto (CUDA if available, otherwise CPU), cpu, cuda, cuda:N, or mps."
SEED_HELP: Final = "Seed of all random numbers."
DETERMINISTIC_HELP: Final = (
    "CUDA: use algorithms that give the same bits every time, at some cost; on the CPU this is always the case."
)


class RunConfig(Table):
    """One run, resolved: the scenario with the run's ``set`` and the command line's ``--set`` merged in."""

    data: Data = Field(description="What the networks learn from.")
    network: NetworkConfig = Field(description="Hidden layers; the output layer follows from the data.")
    training: Training = Field(description="Optimizer, learning rate, length.")
    record: Record = Field(description="When to record a keyframe.")
    device: Device = Field("auto", description=DEVICE_HELP)
    deterministic: bool = Field(True, description=DETERMINISTIC_HELP)
    seed: Seed = Field(0, description=SEED_HELP)


class RunTable(Table):
    """``[[run]]``: one of the networks trained side by side, and what differs in it."""

    name: Line = Field(description="Name of the run, shown in every panel; must be unique.")
    set: dict[str, Any] = Field(
        {},
        description="Differences from the tables above, with the same key paths; tables are merged recursively, lists"
        " are replaced.",
    )


class Translation(Table):
    """``[translation.ko]``: the scenario's texts in another language."""

    title: Line = Field(description="Title, one line.")
    description: Prose = Field("", description="What the scenario shows, in a few sentences.")
    look_for: Prose | tuple[Prose, ...] = Field((), description="What to look at on the screen.")
    reference: Prose = Field("", description="Source of the experiment or method. Default: the text above.")
    runs: dict[str, Line] = Field({}, description="Names of the runs: a table from each name above to its translation.")
    tour: tuple[TranslatedStop, ...] = Field((), max_length=MAX_STOPS, description="The texts of all stops, in order.")
    claim: tuple[Line, ...] = Field((), max_length=MAX_CLAIMS, description="The sentences of all claims, in order.")
    of: Line | None = Field(None, description="Checksum of the translated text; the tests compare it.")


class ScenarioFile(Table):
    """A scenario file: what to train, in one or more runs, and what to look for."""

    title: Line = Field(description="Title, one line.")
    description: Prose = Field("", description="What the scenario shows, in a few sentences.")
    look_for: Prose | tuple[Prose, ...] = Field(
        (), description="What to look at on the screen: a text or a list of them."
    )
    reference: Prose = Field("", description="Source of the experiment or method.")
    lesson: int | None = Field(
        None, ge=1, description="Position in the gallery; scenarios without one come last, by name."
    )
    view: ViewTable = Field(
        ViewTable(), description="What the screen shows when the scenario or a recording of it is opened."
    )
    tour: tuple[TourStop, ...] = Field((), max_length=MAX_STOPS, description="Stops of a guided tour, in order.")
    claim: tuple[Claim, ...] = Field(
        (), max_length=MAX_CLAIMS, description="What is claimed about the runs; bntui verify tests it over seeds."
    )
    study: Study = Field(Study(), description="The same runs with other seeds.")
    translation: dict[Literal["ko"], Translation] = Field({}, description="The texts in other languages.")
    seed: Seed = Field(0, description=SEED_HELP)
    device: Device = Field("auto", description=DEVICE_HELP)
    deterministic: bool = Field(True, description=DETERMINISTIC_HELP)
    data: Data = Field(description="What the networks learn from; the same in all runs.")
    network: NetworkConfig = Field(NetworkConfig(), description="Hidden layers; may be given in the runs' set instead.")
    training: Training = Field(Training(), description="Optimizer, learning rate, length.")
    record: Record = Field(Record(), description="When to record a keyframe.")
    run: tuple[RunTable, ...] = Field(
        (), max_length=MAX_RUNS, description=f"The runs, at most {MAX_RUNS}. Default: a single run."
    )


def json_schema() -> dict[str, Any]:
    """JSON Schema of a scenario file, for editors; its descriptions in the language in use."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | ScenarioFile.model_json_schema()
    translated: dict[str, Any] = _translated(schema)
    return translated


def _translated(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _(value) if key == "description" and isinstance(value, str) else _translated(value)
            for key, value in node.items()
        }
    return [_translated(value) for value in node] if isinstance(node, list) else node
