"""Blocks of arrays, read and written by the safetensors library as the oracle."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from hypothesis.extra.numpy import arrays as drawn_arrays
from safetensors.numpy import load, save

from bntui.recording.codec import DTYPES, metadata_of, pack_arrays, unpack_arrays

of_any_type = st.sampled_from([np.dtype(name) for name in DTYPES]).flatmap(
    lambda dtype: drawn_arrays(dtype, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda name: name != "__metadata__")


@given(st.dictionaries(names, of_any_type, max_size=6), st.text(max_size=20))
def test_the_library_reads_what_is_written(arrays: dict[str, np.ndarray[Any, Any]], progress: str) -> None:
    block = pack_arrays(arrays, {"progress": progress})
    found, theirs = load(block), load(save(arrays, metadata={"progress": progress}))
    assert found.keys() == theirs.keys() == arrays.keys()
    for name, values in arrays.items():
        assert found[name].dtype == theirs[name].dtype == values.dtype
        assert found[name].shape == theirs[name].shape
        assert found[name].tobytes() == values.tobytes() == unpack_arrays(block)[name].tobytes()
    assert metadata_of(block) == {"progress": progress}


@given(st.lists(of_any_type, min_size=1, max_size=4))
def test_every_array_is_aligned(arrays: list[np.ndarray[Any, Any]]) -> None:
    block = pack_arrays({str(at): values for at, values in enumerate(arrays)})
    start = 8 + int.from_bytes(block[:8], "little")
    header = json.loads(block[8:start])
    for at, values in enumerate(arrays):
        assert (start + header[str(at)]["data_offsets"][0]) % values.itemsize == 0


def test_arrays_are_written_in_their_own_order_of_axes_whatever_their_layout() -> None:
    values = np.arange(12.0).reshape(3, 4)
    for layout in (values.T, values[::2, ::-1], np.asfortranarray(values)):
        np.testing.assert_array_equal(unpack_arrays(pack_arrays({"x": layout}))["x"], layout)


def test_a_scalar_has_one_axis_and_other_types_are_refused() -> None:
    assert unpack_arrays(pack_arrays({"x": np.array(3.0)}))["x"].shape == (1,)
    with pytest.raises(KeyError):
        pack_arrays({"x": np.array([1j])})
