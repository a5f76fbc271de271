"""Tests exports against the readers of other programs, and against what the recording's own reader gives."""

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import bntui as bntui_package
from bntui.commands.show import as_json
from bntui.drafts import drafts
from bntui.errors import NameTakenError, StorageError, UsageError
from bntui.export.figures import FIGURES, chosen
from bntui.export.json_lines import write as write_lines
from bntui.export.npz import _together
from bntui.export.records import crc32c
from bntui.export.request import Request
from bntui.export.tensorboard import bins
from bntui.keyframe import LAYER_COLUMNS, QUANTITIES
from bntui.recording.reader import Reader
from bntui.recording.recorded import recorded
from tests.commands import bntui
from tests.factory import distribution
from tests.honest import begin, finish
from tests.test_session import never, train

SCENARIO = """
title = "x"
[data]
source = "digits"
batch_size = 100
last_batch = "keep"
[network]
hidden = [6]
[training]
epochs = 2
early_stopping = { monitor = "val_loss", patience = 5 }
[record]
every = 4
[[run]]
name = "plain"
[[run]]
name = "../norm, dropped"
set = { network = { norm = "batch", dropout = 0.3 } }
[[run]]
name = "wild"
set = { training = { lr = 1e38 } }
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with closing(train(tmp_path_factory.mktemp("export"), SCENARIO)) as reader:
        return reader.path


@pytest.fixture
def reader(recording: Path) -> Iterator[Reader]:
    with closing(Reader(recording)) as opened:
        yield opened


def exported(recording: Path, to: Path, *options: object) -> str:
    """What an export says."""
    done = bntui("export", recording, "--to", to, *options)
    assert done.returncode == 0, done.stderr
    assert not done.stdout
    return done.stderr


def refused(recording: Path, *options: object, code: int = 2) -> str:
    done = bntui("export", recording, *options)
    assert done.returncode == code
    return done.stderr


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


# --- tables ---


def test_a_table_of_curves_has_every_row_with_all_its_digits(recording: Path, reader: Reader, tmp_path: Path) -> None:
    assert "curves" in exported(recording, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == sum(len(reader.history(run.index)) for run in reader.runs)
    for info in reader.runs:
        history = reader.history(info.index)
        of_run = [row for row in found if row["run"] == info.name]
        for name in ("lr", "batch_loss", "train_loss", "val_loss", "val_accuracy", "wall_time", "epoch"):
            read = np.array([float(row[name]) for row in of_run])
            np.testing.assert_array_equal(read, getattr(history, name))  # NaN is equal to NaN here
        assert [int(row["step"]) for row in of_run] == history.step.tolist()
        assert [row["keyframe"] == "true" for row in of_run] == history.has_frame.tolist()
        assert [int(row["early_stopping.wait"]) for row in of_run] == history.wait.tolist()
    assert any(row["batch_loss"] == "NaN" for row in found)  # an epoch that ends without a keyframe
    assert not all(row["keyframe"] == "true" for row in found)


def test_parquet_has_the_same_tables(recording: Path, reader: Reader, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    exported(recording, tmp_path / "out", "--as", "parquet")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["curves.parquet", "layers.parquet"]
    layers = parquet.read_table(tmp_path / "out" / "layers.parquet").to_pylist()
    at = 0
    for info in reader.runs:
        history = reader.history(info.index)
        for row in history.frame_rows.tolist():
            for number, layer in enumerate(info.layers):
                told = layers[at]
                at += 1
                assert (told["run"], told["step"], told["layer"]) == (info.name, history.step[row], layer.name)
                for column in LAYER_COLUMNS:
                    wanted = history.layer(number, column)[row]
                    # where there is no such figure, the reader says NaN, and the table nothing
                    assert same(wanted, told[column]) if told[column] is not None else math.isnan(wanted)
    assert at == len(layers)
    assert {row["dropout.p"] for row in layers} == {None, 0.3}
    curves = parquet.read_table(tmp_path / "out" / "curves.parquet")
    assert np.isnan(curves["batch_loss"].to_numpy()).any()
    assert curves["batch_loss"].null_count == 0


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_duckdb_reads_the_same_figures(recording: Path, reader: Reader, tmp_path: Path, kind: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    exported(recording, tmp_path / f"x.{kind}")
    figures = "run, count(*), max(step), sum(CAST(val_loss AS DOUBLE)), min(lr)"  # NaN is a string in JSON
    rows = duckdb.sql(f"SELECT {figures} FROM '{tmp_path}/x.{kind}' GROUP BY run").fetchall()
    found = {name: rest for name, *rest in rows}
    for info in reader.runs:
        history = reader.history(info.index)
        count, step, loss, lr = found[info.name]
        assert (count, step, lr) == (len(history), history.step[-1], history.lr.min())
        np.testing.assert_allclose(loss, history.val_loss.sum(), rtol=1e-12)


def test_runs_epochs_and_quantities_are_chosen(recording: Path, tmp_path: Path) -> None:
    chosen = ("--run", "1", "--epochs", "1..", "--quantities", "val_*,input.mean")
    assert "without the table layers, which has some of" in exported(recording, tmp_path / "x.csv", *chosen)
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0])[6:] == ["val_loss", "val_accuracy"]
    assert {row["run"] for row in found} == {"../norm, dropped"}
    assert min(float(row["epoch"]) for row in found) == 1
    wanted = ("--table=layers", "--epochs=0.5", "--quantities=output", "--run=0")
    exported(recording, tmp_path / "y.csv", *wanted)
    with (tmp_path / "y.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == ["linear 1", "output"]
    assert all(name.startswith("output.") for name in list(rows[0])[6:])


# --- JSON lines and arrays ---


def test_json_lines_say_what_show_says(recording: Path, reader: Reader, tmp_path: Path) -> None:
    exported(recording, tmp_path / "x.jsonl")
    found = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    by_place = {(one["run"], one["step"]): one for one in found}
    assert len(by_place) == len(found) == sum(len(reader.history(run.index)) for run in reader.runs)
    framed = 0
    for info in reader.runs:
        for row in reader.history(info.index).frame_rows.tolist():
            shown = json.loads(as_json(reader, reader.keyframe(info.index, row)))
            told = by_place[shown["run"], shown["step"]]
            assert told == {name: shown[name] for name in told}
            framed += 1
    assert sum(bool(one["layers"]) for one in found) == framed < len(found)


def test_arrays_are_those_of_the_keyframes(recording: Path, reader: Reader, tmp_path: Path) -> None:
    exported(recording, tmp_path / "x.npz", "--evidence")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        found = dict(archive)
    assert not any(name.startswith(("/", ".")) or "/../" in name for name in found)
    for info, name in zip(reader.runs, ("plain", "_norm, dropped", "wild"), strict=True):
        rows = reader.history(info.index).frame_rows.tolist()
        frames = [reader.keyframe(info.index, row) for row in rows]
        np.testing.assert_array_equal(found[f"{name}/step"], [frame.step for frame in frames])
        batches = [frame.batch_indices for frame in frames]
        if name == "wild":  # it ends before the last mini-batch of an epoch, which is smaller
            np.testing.assert_array_equal(found[f"{name}/batch.indices"], np.stack(batches))
        else:
            np.testing.assert_array_equal(found[f"{name}/batch.indices"], np.concatenate(batches))
            np.testing.assert_array_equal(found[f"{name}/batch.indices (rows)"], list(map(len, batches)))
        for number, layer in enumerate(info.layers):
            for quantity in QUANTITIES:
                wanted = [getattr(frame.layers[number], quantity) for frame in frames]
                if wanted[0] is not None:
                    counts = np.stack([one.counts for one in wanted])
                    np.testing.assert_array_equal(found[f"{name}/{layer.name}/{quantity}.counts"], counts)
        kept = reader.evidence_rows(info.index)
        evidence = reader.evidence(info.index, int(kept[0]))
        assert evidence is not None
        step = reader.history(info.index).step[kept[0]]
        for key, values in evidence.arrays().items():
            np.testing.assert_array_equal(found[f"{name}/evidence/{step}/{key}"], values)
    gammas = found["_norm, dropped/linear 1/batch_norm.gamma"]
    assert gammas.shape == (len(found["_norm, dropped/step"]), 6)


def test_arrays_of_any_shape_keep_their_keyframe(tmp_path: Path) -> None:
    """A mask of sequences of any length, one of a smaller mini-batch, and figures that some keyframes do not have."""
    generator, path = np.random.default_rng(0), tmp_path / "x.bntui"
    lengths, wide, gammas = [3, 5, 2], [], []
    with bntui_package.record(path) as recorder:
        for step, length in enumerate(lengths, 1):
            wide.append(generator.random((4, length)) < 0.8)
            gammas.append(generator.normal(size=6).astype(np.float32))
            norm = {"gamma": gammas[-1], "eps": 1e-5, "output": generator.normal(size=(4, 6))}
            layers = {
                "attention": {"mask": wide[-1] / 0.8, "dropout": 0.2, "output": generator.normal(size=(4, length))},
                "norm": norm if step > 1 else {"output": generator.normal(size=(4, 6))},
                "small": {"mask": np.ones((step, 2)), "dropout": 0.0, "output": np.ones((step, 2))},
            }
            recorder.keyframe(step, step / 3, layers)
    exported(path, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        found = {name.partition("/")[2]: values for name, values in archive.items()}
    np.testing.assert_array_equal(found["attention/dropout.kept (shapes)"], [(4, length) for length in lengths])
    np.testing.assert_array_equal(found["attention/dropout.kept"], np.concatenate([one.ravel() for one in wide]))
    np.testing.assert_array_equal(found["norm/batch_norm.gamma (rows)"], [0, 6, 6])
    np.testing.assert_array_equal(found["norm/batch_norm.gamma"], np.concatenate(gammas[1:]))
    np.testing.assert_array_equal(found["norm/batch_norm.eps"], [np.nan, 1e-5, 1e-5])
    np.testing.assert_array_equal(found["small/dropout.kept (rows)"], [1, 2, 3])
    assert found["small/dropout.kept"].shape == (6, 2)
    assert all(len(values) == 3 for name, values in found.items() if name.endswith((".mean", ".std", ".counts")))


def test_a_text_that_some_keyframes_do_not_have_is_empty_there() -> None:
    column = [None, np.asarray("val_loss"), np.asarray("train_loss")]
    assert [(name, values.tolist()) for name, values in _together("monitor", column)] == [
        ("monitor", ["", "val_loss", "train_loss"])
    ]


def test_a_figure_that_was_never_measured_is_nowhere_a_number(tmp_path: Path) -> None:
    """A loop that records outputs only has no gradient norms: that is not that they are NaN."""
    path, names = tmp_path / "x.bntui", ("weight_gradient_norm", "update_ratio")
    with bntui_package.record(path) as recorder:
        for step in (1, 2):
            layers = {"one": {"output": np.ones((2, 3))}, "two": {"output": np.ones((2, 3)), "weight": np.ones((3, 3))}}
            recorder.keyframe(step, step / 2, layers)
    exported(path, tmp_path / "x.npz")
    exported(path, tmp_path / "x.jsonl")
    exported(path, tmp_path / "x.csv", "--table", "layers")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        arrays = {name.partition("/")[2] for name in archive}
    with (tmp_path / "x.csv").open(newline="") as file:
        assert {row[name] for row in csv.DictReader(file) for name in names} == {""}
    for line in (tmp_path / "x.jsonl").read_text().splitlines():
        assert {layer[name] for layer in json.loads(line)["layers"] for name in names} == {None}
    with closing(recorded(path)) as reader:
        shown = json.loads(as_json(reader, reader.keyframe(0, 0)))
    assert {layer[name] for layer in shown["layers"] for name in names} == {None}
    assert arrays.isdisjoint({f"{layer}/{name}" for layer in ("one", "two") for name in names})
    assert "one/output.mean" in arrays


# --- TensorBoard ---


def test_the_checksum_is_that_of_rfc_3720() -> None:
    vectors = {b"\0" * 32: 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E, b"123456789": 0xE3069283}
    assert {data: crc32c(data) for data in vectors} == vectors


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 1023, 1024, 1025, 1026, 1027, 3000])
def test_the_checksum_is_that_of_a_loop_over_bits(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _bit in range(8):
            state = state >> 1 ^ 0x82F63B78 * (state & 1)
    assert crc32c(data) == state ^ 0xFFFFFFFF


def test_tensorboard_reads_the_same_scalars_and_histograms(recording: Path, reader: Reader, tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.util import tensor_util

    said = exported(recording, tmp_path / "runs", "--as", "tensorboard")
    assert "histogram" in said  # those of the run that diverges, whose bins are not known
    for info, name in zip(reader.runs, ("plain", "_norm, dropped", "wild"), strict=True):
        (file,) = (tmp_path / "runs" / name).iterdir()
        read = accumulators.EventAccumulator(str(file), size_guidance={"tensors": 0}).Reload()
        history = reader.history(info.index)
        losses = read.Tensors("val_loss")
        assert [event.step for event in losses] == history.step.tolist()
        values = [tensor_util.make_ndarray(event.tensor_proto).item() for event in losses]
        np.testing.assert_array_equal(values, history.val_loss)
        began = losses[0].wall_time - history.wall_time[0]
        np.testing.assert_allclose([event.wall_time - began for event in losses], history.wall_time, atol=1e-5)
        assert read.summary_metadata["val_loss"].plugin_data.plugin_name == "scalars"
        frames = {int(history.step[row]): row for row in history.frame_rows.tolist()}
        norms = read.Tensors("linear 1/weight_norm")
        assert [event.step for event in norms] == list(frames)
        for event in read.Tensors("linear 1/output"):
            recorded = reader.keyframe(info.index, frames[event.step]).layers[0].output
            np.testing.assert_array_equal(tensor_util.make_ndarray(event.tensor_proto), bins(recorded))
        assert read.summary_metadata["linear 1/output"].plugin_data.plugin_name == "histograms"


def test_a_histogram_reaches_from_the_smallest_to_the_largest_value_and_loses_no_count() -> None:
    values = np.random.default_rng(1).normal(size=500)
    table = bins(distribution(values))
    assert (table[0, 0], table[-1, 1], table[:, 2].sum()) == (values.min(), values.max(), 500)
    np.testing.assert_array_equal(table[1:, 0], table[:-1, 1])
    np.testing.assert_allclose(np.diff(table[:, 0]), (values.max() - values.min()) / 32)
    assert bins(distribution(np.full(7, 2.5))).tolist() == [[2.5, 2.5, 7.0]]


# --- files ---


def test_nothing_is_overwritten_unless_forced(recording: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("precious")
    assert "--force" in refused(recording, "--to", target)
    assert target.read_text() == "precious"
    exported(recording, target, "--force")
    assert target.read_text().startswith("run,")
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def written(folder: Path, *names: str, fails: BaseException | None = None) -> None:
    """Write drafts, and fail before they get their names."""
    with drafts() as made:
        inner = made.folder(folder / "a" / "b")
        for path in (*(folder / name for name in names), inner / "c.csv"):
            made.new(path).write_text("new")
        (folder / names[-1]).write_text("precious")  # by somebody else, in the meantime
        if fails is not None:
            raise fails


@pytest.mark.parametrize("fails", [OSError(28, "No space left on device", "x.csv"), KeyboardInterrupt(), None])
def test_a_failure_leaves_nothing_but_what_others_wrote(fails: BaseException | None, tmp_path: Path) -> None:
    wanted = StorageError if isinstance(fails, OSError) else NameTakenError if fails is None else KeyboardInterrupt
    with pytest.raises(wanted) as raised:
        written(tmp_path, "x.csv", "y.csv", fails=fails)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"y.csv": "precious"}
    if fails is None:
        assert "y.csv exists" in str(raised.value)
    elif isinstance(fails, OSError):
        assert str(raised.value) == "x.csv: cannot be written: No space left on device"


def test_a_full_disk_is_a_sentence_and_leaves_no_file(recording: Path, tmp_path: Path) -> None:
    code = "from resource import *; setrlimit(RLIMIT_FSIZE, (4096, 4096)); from bntui.__main__ import main; main()"
    target = tmp_path / "x.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", code, "export", str(recording), "--to", str(target)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, f"bntui: {target}: cannot be written: File too large\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--to", "x.xls"), r"--to x\.xls: no such format; allowed: \.csv, \.parquet"),
        (("--to", "x", "--as", "cvs"), r"did you mean 'csv'"),
        (("--to", "x.csv", "--as", "npz"), r"its suffix is not that of --as npz"),
        (("--to", "no/x.csv"), r"no folder no; create it first"),
        (("--to", "-"), r"--to -: exports are not written to stdout"),
        (("--to", "/dev/null", "--as", "csv"), r"/dev/null: a file, not a folder"),
        (("--to", "/dev/null/x", "--as", "npz"), r"/dev/null: a file, not a folder"),
        (("--to", "x.csv", "--run", ""), r"has no run ''; its runs are 0 'plain'"),
        (("--to", "x.csv", "--run", "9"), r"has no run '9'; its runs are 0 'plain'"),
        (("--to", "x.csv", "--epochs", "3..1"), r"--epochs 3\.\.1: it ends before it begins; write 1\.\.3"),
        (("--to", "x.csv", "--epochs", "nan"), r"--epochs nan: write"),
        (("--to", "x.csv", "--epochs", ".."), r"--epochs \.\.: write"),
        (("--to", "x.csv", "--epochs", "7.."), r"nothing is recorded in these epochs"),
        (("--to", "x.csv", "--quantities", "val_los"), r"did you mean 'val_loss'"),
        (("--to", "x.csv", "--quantities", "batch.indices"), r"arrays are written into \.npz"),
        (
            ("--to", "x.csv", "--quantities", "input.mean", "--table", "curves"),
            r"no column of --table curves",
        ),
        (("--to", "x.csv", "--table", "curve"), r"allowed: curves, layers"),
        (("--to", "x", "--as", "tensorboard", "--quantities", "kind"), r"neither a scalar nor a histogram"),
        (("--to", "x.csv", "--evidence"), r"--evidence does not apply to \.csv; it is for \.npz$"),
        (("--to", "x", "--evidence"), r"--evidence does not apply to \.csv; it is for \.npz$"),
        (
            ("--to", "x", "--as", "npz", "--table", "layers"),
            r"--table does not apply to \.npz; it is for \.csv, \.parquet$",
        ),
        (("--to", "x.jsonl", "--table", "seeds"), r"--table does not apply to \.jsonl"),
        (
            ("--to", "x.svg", "--quantities", "val_loss"),
            r"--quantities does not apply to \.svg; .* \.npz, tensorboard$",
        ),
        (("--to", "x.svg", "--speed", "3"), r"--speed does not apply to \.svg; it is for \.cast, \.gif, \.mp4$"),
        (("--to", "x.csv", "--speed", "0"), r"--speed does not apply to \.csv"),
        (("--to", "x.csv", "--theme", "dark"), r"--theme does not apply to \.csv; it is for \.svg"),
        (("--to", "x", "--as", "tensorboard", "--size", "80x24"), r"--size does not apply to tensorboard"),
        (("--to", "x.svg", "--run", "0", "--run", "0", "--run", "0", "--run", "0"), r"a picture shows at most 3 runs"),
    ],
)
def test_a_mistake_is_a_sentence(
    recording: Path, options: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert re.search(said, refused(recording, *options))
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_a_line_break_is_told_in_one_line(recording: Path, tmp_path: Path) -> None:
    said = exported(recording, tmp_path / "a\nb.csv")
    assert (tmp_path / "a\nb.csv").exists()
    assert len(said.splitlines()) == 1


def test_every_figure_can_be_exported() -> None:
    """The names are those of the table of measures; see ``test_measures.py`` for a new figure."""
    assert {one.name for one in FIGURES if one.of_layer and not one.is_array} >= set(LAYER_COLUMNS)
    assert len({(one.of_layer, one.name) for one in FIGURES}) == len(FIGURES)


def test_a_recording_that_grows_is_exported_as_it_was(tmp_path: Path) -> None:
    session = begin(tmp_path / "x.bntui", SCENARIO)
    try:
        session.epoch(never)
        with closing(Reader(tmp_path / "x.bntui")) as reader:
            before = sum(len(reader.history(run.index)) for run in reader.runs)

            def tell(done: int, _total: int) -> None:
                if done == 1:
                    session.epoch(never)

            with reader.snapshot(), drafts() as made:
                write_lines(reader, Request(target=tmp_path / "x.jsonl", folder=False), made, tell)
            reader.refresh()
            after = sum(len(reader.history(run.index)) for run in reader.runs)
    finally:
        finish(session)
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == before < after


@pytest.mark.parametrize(("written", "meant"), [("VAL_LOSS", "val_loss"), ("Val_Accuracy", "val_accuracy")])
def test_a_figure_in_capitals_is_suggested_as_it_is_written(written: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"--quantities {written}: no such figure; .*\(did you mean '{meant}'\?\)"):
        chosen([written])
