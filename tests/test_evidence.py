"""Evidence in a block: names as recordings have had them since format 1, and nothing lost on the way there and back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.recording.codec import unpack_arrays
from bntui.recording.evidence import Average, Evidence, TrainerState, pack_state, progress_of
from bntui.recording.reader import Reader

ONE = np.array([1.5], np.float32)
BITS = np.array([7, 255], np.uint8)
EVIDENCE = Evidence(
    before={"linear 1.linear.weight": ONE},
    optimizer={Average("linear 1.linear.weight", "exp_avg"): ONE},
    stages={0: ONE, 12: ONE},
    gradients={"linear 1.norm.weight": ONE},
    noise={"linear 1": ONE},
    masks={"linear 1": BITS},
)
NAMES = {
    "before/linear 1.linear.weight", "optimizer/linear 1.linear.weight/exp_avg", "stage/0", "stage/12",
    "gradient/linear 1.norm.weight", "noise/linear 1", "mask/linear 1",
}  # fmt: skip
"""As they stand in files: these are written by hand."""

words = st.text(max_size=8)


def test_arrays_are_called_as_in_every_recording_so_far() -> None:
    block = pack_state(TrainerState(EVIDENCE, '{"step": 3}'))
    assert set(unpack_arrays(block)) == NAMES
    assert progress_of(block) == '{"step": 3}'
    found = Evidence.of(unpack_arrays(block))
    assert found.stages.keys() == {0, 12}
    assert found.optimizer.keys() == {("linear 1.linear.weight", "exp_avg")}
    assert found.before.keys() == {"linear 1.linear.weight"}
    assert found.gradients.keys() == {"linear 1.norm.weight"}
    assert found.noise.keys() == found.masks.keys() == {"linear 1"}
    assert found.masks["linear 1"].tolist() == [7, 255]


@given(
    st.lists(words, unique=True, max_size=3),
    st.lists(st.tuples(words, words.filter(lambda name: "/" not in name)), unique=True, max_size=3),
    st.lists(st.integers(0, 10_000), unique=True, max_size=3),
)
def test_names_survive_the_way_there_and_back(
    names: list[str], averages: list[tuple[str, str]], places: list[int]
) -> None:
    by_name = {name: np.array([at]) for at, name in enumerate(names)}
    evidence = Evidence(
        by_name,
        {Average(*average): np.array([at]) for at, average in enumerate(averages)},
        {place: np.array([place]) for place in places},
        by_name,
        by_name,
        by_name,
    )
    assert Evidence.of(evidence.arrays()) == evidence


@pytest.mark.parametrize("name", ["before", "weights/x", "", "/", "Stage/1"])
def test_an_array_of_an_unknown_kind_is_left_out(name: str) -> None:
    assert Evidence.of({**EVIDENCE.arrays(), name: ONE}).arrays().keys() - NAMES <= {"before/"}


@pytest.mark.parametrize("name", ["stage/-1", "stage/x", "stage/007", "stage/", "stage/²", "stage/1/2"])
def test_a_stage_without_a_place_is_none_of_the_network(name: str) -> None:
    assert Evidence.of({name: ONE}).stages.keys() == {-1}


def test_the_first_formats_evidence_is_all_read() -> None:
    path = Path(__file__).parent / "data" / "format-1.bntui"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        ids = [row for (row,) in database.execute("SELECT id FROM keyframe WHERE run = 0 ORDER BY id")]
        blocks = dict(database.execute("SELECT id, block FROM evidence"))
    with closing(Reader(path)) as reader:
        rows = reader.evidence_rows(0).tolist()
        assert rows == [at for at, row in enumerate(ids) if row in blocks]
        for row in rows:
            found, raw = reader.evidence(0, row), unpack_arrays(blocks[ids[row]])
            assert found is not None
            # today the schedule's state is a part of the progress; nothing reads the old one
            assert raw.keys() - found.arrays().keys() == {"schedule/plateau"}
            for name, values in found.arrays().items():
                assert values.tobytes() == raw[name].tobytes()
            assert reader.state(0, row) is None
