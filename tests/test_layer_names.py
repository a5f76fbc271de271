"""Tests how layers' names are shortened to a column, for whole lists of names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bntui.viewer.draw.names import room_for, shortened

RESNET = [
    "conv1", *(f"layer{stage}.{at}.{part}" for stage in range(1, 5) for at in range(2)
               for part in ("conv1", "conv2", *(["downsample.0"] if stage > 1 and not at else []))), "fc",
]  # fmt: skip
TRANSFORMER = [
    "tokens", *(f"encoder.layers.{at}.{part}" for at in range(6)
                for part in ("norm1", "self_attn.out_proj", "linear1", "linear2")), "head",
]  # fmt: skip
BERT = [
    "bert.embeddings.word_embeddings", "bert.embeddings.LayerNorm",
    *(f"bert.encoder.layer.{at}.{part}" for at in range(12)
      for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                   "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm")),
    "bert.pooler.dense", "classifier",
]  # fmt: skip
WORDS = st.sampled_from(["conv1", "layer12", "encoder", "self_attn", "fc", "정규화", "0", "7", "31"])
NAMES = st.lists(st.lists(WORDS, min_size=1, max_size=5).map(".".join), min_size=1, max_size=12, unique=True)


@given(NAMES, st.integers(1, 40))
def test_each_name_has_exactly_its_cells_and_those_that_all_fit_stay_whole(names: list[str], cells: int) -> None:
    found = shortened(names, cells)
    assert [cell_len(short) for short in found.values()] == [cells] * len(names)
    if max(map(cell_len, names)) <= cells:
        assert [short.rstrip() for short in found.values()] == names


@pytest.mark.parametrize("names", [RESNET, TRANSFORMER], ids=["resnet", "transformer"])
@pytest.mark.parametrize("cells", range(7, 26))
def test_names_stay_distinguishable(names: list[str], cells: int) -> None:
    found = shortened(names, cells)
    assert len(set(found.values())) == len(names)


@pytest.mark.parametrize("names", [RESNET, TRANSFORMER], ids=["resnet", "transformer"])
@pytest.mark.parametrize("cells", [16, 20, 24])
def test_the_last_word_stays_readable(names: list[str], cells: int) -> None:
    for name, short in shortened(names, cells).items():
        word = next(part for part in reversed(name.split(".")) if not part.isdecimal())
        assert word[:6] in short
        assert [part for part in name if part.isdigit()] == [part for part in short if part.isdigit()]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (35, ["encoder.layers.3.norm1", "encoder.layers.3.self_attn.out_proj", "encoder.layers.3.linear1"]),
        (34, ["3.norm1", "3.self_attn.out_proj", "3.linear1"]),
        (17, ["3.norm1", "3.self.out_proj", "3.linear1"]),
        (13, ["3.norm1", "3…out_proj", "3.linear1"]),
        (8, ["3.norm1", "3…out_p", "3.linea1"]),
    ],
)
def test_one_rule_shortens_the_layers_of_all_blocks(cells: int, expected: list[str]) -> None:
    parts = ("norm1", "self_attn.out_proj", "linear1")
    found = shortened(TRANSFORMER, cells)
    assert [found[f"encoder.layers.3.{part}"].rstrip() for part in parts] == expected
    assert (found["tokens"].rstrip(), found["head"].rstrip()) == ("tokens", "head")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (30, ["3.attention.self.query", "3.attention.self.key", "3.attention.output.LayerNorm", "3.output.dense"]),
        (22, ["3.atte.self.query", "3.atte.self.key", "3.atte.outp.LayerNorm", "3.outp.dense"]),
        (20, ["3.att.sel.query", "3.att.sel.key", "3.att.out.LayerNorm", "3.out.dense"]),
        (16, ["3…sel.query", "3…sel.key", "3…out.LayerNorm", "3.out.dense"]),
    ],
)
def test_words_in_the_middle_are_cut_and_then_left_out_of_all(cells: int, expected: list[str]) -> None:
    parts = ("attention.self.query", "attention.self.key", "attention.output.LayerNorm", "output.dense")
    found = shortened(BERT, cells)
    assert [found[f"bert.encoder.layer.3.{part}"].rstrip() for part in parts] == expected


@pytest.mark.parametrize("cells", range(8, 30))
def test_siblings_are_cut_alike(cells: int) -> None:
    found = shortened(BERT, cells)
    for at in range(12):
        heads = {
            found[f"bert.encoder.layer.{at}.attention.self.{part}"].rpartition(".")[0] for part in ("query", "key")
        }
        assert len(heads) == 1


@pytest.mark.parametrize(
    ("cells", "expected"),
    [(9, ["linear 12", "output"]), (6, ["line12", "outp"]), (5, ["lin12", "out"]), (3, ["l12", "o"])],
)
def test_a_name_without_dots_keeps_its_number(cells: int, expected: list[str]) -> None:
    assert [short.rstrip() for short in shortened(["linear 12", "output"], cells).values()] == expected


@pytest.mark.parametrize("cells", range(6, 50))
def test_the_layers_of_bert_keep_their_number_and_stay_distinguishable(cells: int) -> None:
    found = shortened(BERT, cells)
    assert len(set(found.values())) == len(BERT)
    for name, short in found.items():
        assert re.findall(r"\d+", name) == re.findall(r"\d+", short)


def test_what_is_left_out_tells_no_two_names_apart() -> None:
    both = [f"{side}.layers.{at}.linear1" for side in ("encoder", "decoder") for at in range(3)]
    assert shortened(both, 18)["encoder.layers.1.linear1"].rstrip() == "enc.lay.1.linear1"
    assert len({short[:3] for short in shortened(both, 18).values()}) == 2


@given(NAMES, st.integers(12, 40))
def test_distinct_names_stay_distinct(names: list[str], cells: int) -> None:
    assert len(set(shortened(names, cells).values())) == len(names)


@given(NAMES, st.integers(10, 160))
def test_a_column_is_as_wide_as_its_names_need_and_at_most_a_third(names: list[str], width: int) -> None:
    room = room_for(names, width)
    whole = max(map(cell_len, names))
    assert room <= max(width // 3, 3)
    assert room <= whole
    if whole <= width // 3 and width >= 44:
        assert room == whole


@pytest.mark.parametrize(("width", "least"), [(44, 14), (43, 14), (40, 10), (38, 8)])
def test_names_lose_their_room_little_by_little(width: int, least: int) -> None:
    """At 140 columns, a panel of the main screen has 43 cells: names had 7 of them, and 14 of 44."""
    names = ["embedding", *(f"blocks.{block}.{part}" for block in range(6) for part in ("attention", "feed_forward"))]
    assert least <= room_for(names, width) <= max(width - 28, width // 6)
    assert room_for(names, width) <= width // 3
