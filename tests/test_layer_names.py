"""Tests how layers' names are shortened to a column, for whole lists of names."""

from __future__ import annotations

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
WORDS = st.sampled_from(["conv1", "layer12", "encoder", "self_attn", "fc", "정규화", "0", "7", "31"])
NAMES = st.lists(st.lists(WORDS, min_size=1, max_size=5).map(".".join), min_size=1, max_size=12, unique=True)


@given(NAMES, st.integers(1, 40))
def test_each_name_has_exactly_its_cells_and_one_that_fits_stays_whole(names: list[str], cells: int) -> None:
    for name, short in shortened(names, cells).items():
        assert cell_len(short) == cells
        if cell_len(name) <= cells:
            assert short.rstrip() == name


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
        assert word[:8] in short
        assert [part for part in name if part.isdigit()] == [part for part in short if part.isdigit()]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (25, "encoder.layers.3.linear1"), (19, "e.layers.3.linear1"), (16, "e.l.3.linear1"), (12, "…l.3.linear1"),
        (9, "e.l.3.l1"), (6, "el3l1"),
    ],
)  # fmt: skip
def test_parts_are_abbreviated_from_the_left(cells: int, expected: str) -> None:
    assert shortened(TRANSFORMER, cells)["encoder.layers.3.linear1"].rstrip() == expected


def test_a_form_that_could_stand_for_two_names_is_avoided() -> None:
    alone = shortened(["layer1.0.conv1"], 8)["layer1.0.conv1"]
    together = shortened(["layer1.0.conv1", "layer2.0.conv1"], 8)
    assert alone == "…0.conv1"
    assert set(together.values()) == {"l1.0.c1 ", "l2.0.c1 "}


@given(NAMES, st.integers(10, 160))
def test_a_column_is_as_wide_as_its_names_need_and_at_most_a_third(names: list[str], width: int) -> None:
    room = room_for(names, width)
    whole = max(map(cell_len, names))
    assert room <= max(width // 3, 3)
    assert room <= whole
    if whole <= width // 3 and width >= 44:
        assert room == whole
