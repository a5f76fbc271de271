"""Tests which layers can follow each other, and which normalization they support, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bntui.errors import ScenarioError
from bntui.scenario.checks import DataFacts, check, facts_of
from bntui.scenario.data import Data
from bntui.scenario.load import parse
from bntui.scenario.schema import RunConfig
from bntui.scenario.sources import BUILTIN_DATA
from bntui.scenario.structure import as_sequence, placed, spelled
from bntui.trainer.data.dataset import load_data
from bntui.trainer.network import build

CONV = {"type": "conv", "channels": 4}
LINEAR = {"type": "linear", "units": 100}
RECURRENT = {"type": "recurrent", "units": 64}


def config(*layers: dict[str, Any], **settings: Any) -> RunConfig:
    """A run on digits, with settings by ``table_key``."""
    tables: dict[str, Any] = {"data": {"source": "digits"}, "network": {"layer": layers}, "training": {}, "record": {}}
    for name, value in settings.items():
        table, _, key = name.partition("_")
        tables[table][key] = value
    return RunConfig.model_validate(tables)


def said(*layers: dict[str, Any], **settings: Any) -> list[str]:
    return [complaint.message for complaint in check(config(*layers, **settings))]


@pytest.mark.parametrize(
    ("layers", "settings", "message"),
    [
        ([LINEAR, CONV], {}, "a convolution needs an image, but 'linear 1' outputs shape (100)"),
        ([RECURRENT, CONV], {}, "a convolution needs an image, but 'recurrent 1' outputs shape (8, 64)"),
        (
            [RECURRENT, CONV],
            {"data_source": "x.npz"},
            "a convolution needs an image, but 'recurrent 1' outputs shape (…, 64)",
        ),
        ([LINEAR, RECURRENT], {}, "a recurrent layer needs a sequence, but 'linear 1' outputs shape (100)"),
        (
            [RECURRENT],
            {"data_source": "iris"},
            'a recurrent layer needs a sequence, but iris has samples of shape (4); set data.sequence = "pixels"'
            " to make each feature a time step",
        ),
        (
            [CONV],
            {"data_source": "moons"},
            "a convolution needs images, but moons has samples of shape (2);"
            " of the built-in data, only digits are images",
        ),
        (
            [CONV],
            {"data_sequence": "rows"},
            'a convolution needs images, but data.sequence = "rows" turns each into shape (8, 8)',
        ),
        (
            [CONV],
            {"data_sequence": "pixels"},
            'a convolution needs images, but data.sequence = "pixels" turns each into shape (64, 1)',
        ),
        (
            [RECURRENT],
            {"data_source": "wine", "data_sequence": "rows"},
            '"rows" needs images, but wine has samples of shape (13); use "pixels" to make each feature a time step',
        ),
        (
            [{**CONV, "pool": 4}, {**CONV, "kernel": 3, "padding": 0}],
            {},
            "nothing is left of 2x2 pixels after 'conv 2'; use a smaller kernel, stride, or pool",
        ),
        (
            [{**CONV, "channels": 6, "norm": "group"}],
            {"network_groups": 4},
            "groups = 4 does not divide the 6 channels of 'conv 1', (6, 8, 8); possible values: 1, 2, 3, 6",
        ),
        (
            [{**RECURRENT, "norm": "group"}],
            {},
            "recurrent layers ('recurrent 1') do not support group normalization; use batch or layer",
        ),
        (
            [{**RECURRENT, "norm": "batch"}],
            {"network_norm_position": "after_activation"},
            "in recurrent layers ('recurrent 1'), normalization must come before the activation",
        ),
        (
            [{**LINEAR, "units": 1, "norm": "layer"}],
            {},
            "layer normalization over the single unit of 'linear 1': the normalized value is always 0",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_layers_name_and_the_shapes(
    layers: list[dict[str, Any]], settings: dict[str, Any], message: str
) -> None:
    assert said(*layers, **settings) == [message]


def test_what_fits_is_not_refused() -> None:
    assert said(CONV, RECURRENT, RECURRENT, LINEAR) == []
    assert said(RECURRENT, data_source="iris", data_sequence="pixels") == []
    assert said(LINEAR, data_sequence="rows") == []
    assert said(RECURRENT, data_source="x.npz", data_sequence="rows") == []  # the file tells


def test_a_file_is_refused_once_it_was_read() -> None:
    run = config(RECURRENT, data_source="x.npz")
    assert list(check(run)) == []
    (complaint,) = check(run, DataFacts(100, "classification", (7,)))
    assert "x.npz has samples of shape (7)" in complaint.message
    assert list(check(run, DataFacts(100, "classification", (3, 7, 5)))) == []


@pytest.mark.parametrize(("norm_recurrent", "refused"), [("input", False), ("step", True)])
def test_one_sample_has_a_variance_over_time_but_not_at_a_time_step(norm_recurrent: str, refused: bool) -> None:
    lone = {"data_samples": 152, "data_validation": 0.2, "data_batch_size": 60}  # 121 = 2 * 60 + 1
    messages = said({**RECURRENT, "norm": "batch"}, network_norm_recurrent=norm_recurrent, **lone)
    assert bool(messages) == refused
    assert all("needs at least two samples" in message for message in messages)
    one_step = {"data_source": "line", "data_sequence": "pixels", "data_samples": 27, "data_batch_size": 20}
    assert "'recurrent 1'" in said({**RECURRENT, "norm": "batch"}, **one_step)[0]  # 21 = 20 + 1, and one time step


def test_validation_in_training_mode_needs_two_samples_a_batch() -> None:
    layer = {**LINEAR, "norm": "batch"}
    training = {"training_validation_mode": "training"}
    assert said(layer, **training, training_validation_batch=2) == []
    (message,) = said(layer, **training, training_validation_batch=1)
    assert message == (
        "validation in training mode would have mini-batches of one sample, but"
        " batch normalization (layer 'linear 1') needs at least two samples for a variance"
    )
    assert said(layer, training_validation_batch=1) == []  # evaluation mode does not care
    assert said({**LINEAR, "norm": "layer"}, **training, training_validation_batch=1) == []


def test_the_shapes_of_built_in_data_are_those_that_are_loaded() -> None:
    for source in BUILTIN_DATA:
        data = Data(source=source)
        assert facts_of(data).shape == load_data(data, Path(), 0).x.shape[1:], source


LAYERS = st.one_of(
    st.builds(lambda units: {"type": "linear", "units": units}, st.integers(1, 9)),
    st.builds(
        lambda channels, kernel, pool: {
            "type": "conv", "channels": channels, "kernel": kernel, "padding": 0, "pool": pool,
        },
        st.integers(1, 4), st.integers(1, 3), st.integers(1, 2),
    ),
    st.builds(
        lambda units, cell: {"type": "recurrent", "units": units, "cell": cell},
        st.integers(1, 9), st.sampled_from(["elman", "gru", "lstm"]),
    ),
)  # fmt: skip


@given(st.lists(LAYERS, min_size=1, max_size=4), st.sampled_from(["none", "rows", "pixels"]))
def test_what_is_not_refused_is_built_with_the_shapes_that_were_foretold(
    layers: list[dict[str, Any]], sequence: str
) -> None:
    run = config(*layers, data_sequence=sequence)
    if list(check(run)):
        return
    shape = as_sequence((1, 8, 8), sequence)
    assert shape is not None
    built = build(run.network, [side for side in shape if side], 3, 0, torch.device("cpu"))
    assert [layer.after for layer in placed(run, (1, 8, 8))] == [layer.shape for layer in built.layers[:-1]]


def test_unknown_sides_are_dots() -> None:
    assert spelled((4, None, None)) == "(4, …, …)"


def test_runs_share_how_their_samples_are_made() -> None:
    text = 'title = "x"\n[data]\nsource = "digits"\n[[run]]\nname = "a"\nset = { data.factor = 2 }'
    with pytest.raises(ScenarioError, match="use the same samples"):
        parse(text, file="x.toml")
    with pytest.raises(ScenarioError, match="use the same samples"):
        parse(text.replace("factor = 2", 'sequence = "rows"'), file="x.toml")
