"""Tests the import of event files: written by TensorBoard's own writers, by bntui, and by hostile hands."""

from __future__ import annotations

import math
import re
import shutil
import struct
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bntui.export.event_files import LONGEST_RECORD, read_into
from bntui.export.imported import FIGURES, distribution, imported
from bntui.export.logged import Buckets, Logged
from bntui.export.protobuf import double, fields, message, varint
from bntui.export.records import TAIL, crc32c, masked, record
from bntui.keyframe import QUANTITIES, Distribution
from bntui.recording.reader import Reader
from tests.commands import bntui
from tests.forger import figure
from tests.test_session import DIGITS, train


def doubles(number: int, values: Sequence[float]) -> bytes:
    """A packed field with doubles."""
    return message(number, struct.pack(f"<{len(values)}d", *values))


def scalar(tag: str, value: float, step: int = 0, when: float = 1.0) -> bytes:
    """A record as the older writers make them."""
    summary = message(1, message(1, tag) + b"\x15" + struct.pack("<f", value))
    return record(double(1, when) + varint(2, step) + message(5, summary))


def read(path: Path, *contents: bytes) -> Logged:
    path.write_bytes(b"".join(contents))
    logged = Logged()
    read_into(logged, path)
    return logged


# --- what honest writers write ---


def test_what_pytorch_logs_is_imported(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    draw = np.random.default_rng(0)
    values = {step: draw.normal(step, 2, 700).astype(np.float32) for step in (0, 10, 20)}
    with SummaryWriter(str(tmp_path / "logs" / "old run")) as writer:
        for step, weights in values.items():
            writer.add_scalar("Loss/train", 3 - step / 10, step)
            writer.add_scalar("Loss/validation", 4 - step / 10, step)
            writer.add_scalar("temperature", 20, step)
            writer.add_text("note", "hello", step)
            writer.add_histogram("fc1.weight", weights, step)
    done = bntui("import", tmp_path / "logs", "-o", tmp_path / "x.bntui", "--steps-per-epoch", 10)
    assert done.returncode == 0, done.stderr
    assert (
        "old run: left out, because a recording has no place for them: note/text_summary, temperature\n" in done.stderr
    )
    with closing(Reader(tmp_path / "x.bntui")) as reader:
        (info,) = reader.runs
        history = reader.history(0)
        assert info.name == "old run"
        assert history.step.tolist() == list(values)
        assert history.epoch.tolist() == [0, 1, 2]
        assert history.train_loss.tolist() == [3, 2, 1]
        assert history.val_loss.tolist() == [4, 3, 2]
        assert [layer.name for layer in info.layers] == ["fc1.weight"]
        for row, weights in enumerate(values.values()):
            output = reader.keyframe(0, row).layers[0].output
            wide = weights.astype(np.float64)
            assert output.mean == pytest.approx(wide.mean())
            assert output.std == pytest.approx(wide.std())
            assert output.counts.sum() == 700
            assert math.isnan(output.p50)
            # the writer's buckets are unequal: a cumulative count may be off by what one of them holds
            edges = np.linspace(output.min, output.max, 33)
            off = np.abs(np.cumsum(output.counts) - [(wide <= edge).sum() for edge in edges[1:]])
            assert off.max() < 60
    assert bntui("show", tmp_path / "x.bntui").returncode == 0
    drawn = bntui("show", tmp_path / "x.bntui", "--panel", "distributions").stdout
    assert ("output" in drawn, "✕" in drawn) == (True, False)  # the inputs are not broken: nothing is known of them
    audited = bntui("audit", tmp_path / "x.bntui")
    assert (audited.returncode, "histograms: they were divided into other bins" in audited.stdout) == (0, True)


def test_of_scalars_alone_no_figure_of_a_layer_is_said_to_be_wrong(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    curve = (scalar(tag, 1 / (1 + step), step) for step in range(4) for tag in ("train_loss", "val_loss"))
    (tmp_path / "logs" / "events.out.tfevents.1").write_bytes(b"".join(curve))
    assert bntui("import", tmp_path / "logs", "-o", tmp_path / "x.bntui").returncode == 0
    told = bntui("show", tmp_path / "x.bntui").stdout
    assert "gradients   no layer has a gradient" in told
    assert "learning rate —" in told
    assert "nan" not in told.lower()
    for panel in ("gradients", "layers", "distributions"):
        drawn = bntui("show", tmp_path / "x.bntui", "--panel", panel).stdout
        assert not re.search("NaN|not finite|✕", drawn), drawn


def test_a_forged_import_is_found(tmp_path: Path) -> None:
    with closing(train(tmp_path, DIGITS)) as before:
        assert bntui("export", before.path, "--to", tmp_path / "out", "--as", "tensorboard").returncode == 0
    assert bntui("import", tmp_path / "out", "-o", tmp_path / "x.bntui").returncode == 0
    for column, wrong in (("p50", 1e3), ("mean", -1e3), ("std", -0.5)):
        forged = tmp_path / f"{column}.bntui"
        shutil.copy(tmp_path / "x.bntui", forged)
        figure(forged, 0, 0, 0, f"output.{column}", partial(max, wrong) if wrong > 0 else partial(min, wrong))
        done = bntui("audit", forged)
        assert (done.returncode, f"output.{'p15' if column == 'p50' else column}" in done.stdout) == (1, True)


def test_an_export_comes_back_as_it_was(tmp_path: Path) -> None:
    with closing(train(tmp_path, DIGITS)) as before:
        assert bntui("export", before.path, "--to", tmp_path / "out", "--as", "tensorboard").returncode == 0
        done = bntui("import", tmp_path / "out", "-o", tmp_path / "x.bntui")
        assert done.returncode == 0, done.stderr
        assert bntui("audit", tmp_path / "x.bntui").returncode == 0
        with closing(Reader(tmp_path / "x.bntui")) as after:
            names = {info.name: info.index for info in after.runs}
            assert set(names) == {info.name for info in before.runs}
            for info in before.runs:
                old, new = before.history(info.index), after.history(names[info.name])
                assert new.step.tolist() == old.step.tolist()
                for name in FIGURES:
                    np.testing.assert_array_equal(getattr(new, name), getattr(old, name))
                for row in range(len(old)):
                    frames = before.keyframe(info.index, row), after.keyframe(names[info.name], row)
                    for one, other in zip(*(frame.layers for frame in frames), strict=True):
                        assert one.weight_norm == other.weight_norm
                        assert all(alike(getattr(one, name), getattr(other, name)) for name in QUANTITIES)


def alike(one: Distribution | None, other: Distribution | None) -> bool:
    if one is None or other is None:
        return one is other
    statistics = ("mean", "std", "p15", "p50", "p85", "min", "max")
    same = all(getattr(one, name) == getattr(other, name) for name in statistics)
    return same and one.counts.tolist() == other.counts.tolist()


def test_keras_folders_are_the_parts_of_one_run(tmp_path: Path) -> None:
    for part, value in (("train", 1.0), ("validation", 2.0)):
        folder = tmp_path / "logs" / part
        folder.mkdir(parents=True)
        contents = scalar("epoch_loss", value) + scalar("epoch_accuracy", value / 4)
        (folder / "events.out.tfevents.1").write_bytes(contents)
    assert bntui("import", tmp_path / "logs", "-o", tmp_path / "x.bntui").returncode == 0
    with closing(Reader(tmp_path / "x.bntui")) as reader:
        history = reader.history(0)
        assert [info.name for info in reader.runs] == ["logs"]
        assert (history.train_loss[0], history.val_loss[0]) == (1, 2)
        assert (history.train_accuracy[0], history.val_accuracy[0]) == (0.25, 0.5)


def test_groups_of_scalars_of_pytorch_are_the_parts_of_one_run(tmp_path: Path) -> None:
    """``loss_train`` and ``loss_val`` are folders that PyTorch makes; one of a run of its own is none of them."""
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "logs" / "first")) as writer:
        for step in (1, 2):
            writer.add_scalars("Loss", {"train": 3 - step, "val": 4 - step}, step)
            writer.add_scalars("accuracy", {"train": step / 4, "test": step / 8}, step)
    with SummaryWriter(str(tmp_path / "logs" / "lr_test")) as writer:
        writer.add_scalar("loss", 5, 1)
    assert bntui("import", tmp_path / "logs", "-o", tmp_path / "x.bntui").returncode == 0
    with closing(Reader(tmp_path / "x.bntui")) as reader:
        assert [info.name for info in reader.runs] == ["first", "lr_test"]
        history = reader.history(0)
        assert (history.train_loss.tolist(), history.val_loss.tolist()) == ([2, 1], [3, 2])
        assert (history.train_accuracy.tolist(), history.val_accuracy.tolist()) == ([0.25, 0.5], [0.125, 0.25])
        assert reader.history(1).train_loss.tolist() == [5]


@pytest.mark.parametrize(
    ("tag", "figure"),
    [
        ("train/loss", "train_loss"), ("Loss", "train_loss"), ("Accuracy/test", "val_accuracy"),
        ("val_acc", "val_accuracy"),
        ("lr-AdamW", "lr"), ("train/learning_rate", "lr"), ("train_loss_step", "batch_loss"),
        ("train/loss_step", "batch_loss"),
        ("loss_function", None), ("train_loss_epoch", "train_loss"), ("eval/loss", "val_loss"),
    ],
)  # fmt: skip
def test_usual_names_are_recognized(tag: str, figure: str | None) -> None:
    logged = Logged()
    logged.scalars[tag][3] = 0.5
    found = imported(logged, 0, None, {})
    rows = [] if found is None else list(found.rows)
    assert [name for row in rows for name in FIGURES if getattr(row, name) == 0.5] == ([figure] if figure else [])


def test_a_tag_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "events.tfevents.1").write_bytes(scalar("Perplexity", 8, step=2))
    refused = bntui("import", tmp_path, "-o", tmp_path / "x.bntui")
    assert (refused.returncode, "Perplexity" in refused.stderr) == (2, True)
    named = ("--figure", "Perplexity=val_loss")
    assert bntui("import", tmp_path, "-o", tmp_path / "x.bntui", *named).returncode == 0
    with closing(Reader(tmp_path / "x.bntui")) as reader:
        assert reader.history(0).val_loss.tolist() == [8]


# --- what others write ---


def test_a_file_that_is_still_written_is_read_to_its_last_whole_record(tmp_path: Path) -> None:
    whole = scalar("loss", 1) + scalar("loss", 2, step=1)
    more = scalar("loss", 3, step=2)
    for cut in range(1, len(more)):
        logged = read(tmp_path / "x", whole, more[:cut])
        assert logged.scalars == {"loss": {0: 1, 1: 2}}
        assert sum(logged.left_out.values()) == 1


def test_damage_is_counted_and_what_follows_is_read_if_its_place_is_known(tmp_path: Path) -> None:
    parts = [scalar("loss", 1), scalar("loss", 2, step=1), scalar("loss", 3, step=2)]
    contents = bytearray(parts[1])
    contents[-6] ^= 1
    logged = read(tmp_path / "x", parts[0], bytes(contents), parts[2])
    assert logged.scalars == {"loss": {0: 1, 2: 3}}
    assert logged.left_out == {"records with a wrong checksum": 1}
    length = bytearray(parts[1])
    length[1] ^= 1
    logged = read(tmp_path / "x", parts[0], bytes(length), parts[2])
    assert logged.scalars == {"loss": {0: 1}}
    assert logged.left_out == {"files whose rest is damaged": 1}


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=8), st.binary(max_size=30))
def test_no_damage_is_believed_or_raises(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]], tail: bytes
) -> None:
    whole = bytearray(b"".join(scalar("loss", step, step=step) for step in range(4)))
    for at, value in flips:
        whole[at % len(whole)] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    logged = read(path, bytes(whole), tail)
    assert all(step == value for step, value in logged.scalars.get("loss", {}).items())


@given(st.binary(max_size=80))
def test_bytes_that_are_no_event_are_refused_or_read(tmp_path_factory: pytest.TempPathFactory, contents: bytes) -> None:
    """Their checksums are right, so that they reach what decodes them."""
    path = tmp_path_factory.getbasetemp() / "foreign"
    logged = read(path, record(contents), record(message(5, message(1, contents))))
    assert logged.events == 2


def test_hostile_values_are_left_out(tmp_path: Path) -> None:
    def value(contents: bytes, step: int = 0) -> bytes:
        return record(double(1, 1.0) + varint(2, step) + message(5, message(1, contents)))

    def histogram(low: float, high: float, limits: list[float], counts: list[float]) -> bytes:
        return message(5, double(1, low) + double(2, high) + doubles(6, limits) + doubles(7, counts))

    def tensor(shape: list[int], contents: bytes, dtype: int = 2) -> bytes:
        sizes = b"".join(message(2, varint(1, size)) for size in shape)
        return message(8, varint(1, dtype) + message(2, sizes) + message(4, contents))

    tag = message(1, "h")
    hostile = [
        value(tag + histogram(0, math.inf, [1.0], [1.0])),
        value(tag + histogram(0, 1, [0.5, 1.0], [1.0])),
        value(tag + histogram(0, 1, [0.5, 0.1], [1.0, 1.0])),
        value(tag + histogram(0, 1, [0.5, 1.0], [1.0, -1.0])),
        value(tag + histogram(0, 1, [0.5, 1.0], [math.nan, 1.0])),
        value(tag + histogram(0, 1, [1.0], [1e300])),
        value(tag + tensor([2**40, 2**40], b"")),
        value(tag + tensor([3], bytes(8))),
        value(tag + tensor([1, 3], struct.pack("<3d", 1, 0, 5))),
        value(tag + tensor([], bytes(8), dtype=7)),
        value(message(1, "") + b"\x15" + struct.pack("<f", 1.0)),
        value(tag + b"\x15" + struct.pack("<f", 1.0), step=-1),
    ]
    logged = read(tmp_path / "x", *hostile)
    assert not logged.scalars
    assert not logged.histograms
    assert sum(logged.left_out.values()) == len(hostile)


def test_a_record_that_says_it_is_huge_costs_nothing(tmp_path: Path) -> None:
    for size in (LONGEST_RECORD + 1, 2**62, 2**64 - 1):
        length = struct.pack("<Q", size)
        logged = read(tmp_path / "x", scalar("loss", 1), length + TAIL.pack(masked(crc32c(length))) + bytes(100))
        assert logged.scalars == {"loss": {0: 1}}
        assert sum(logged.left_out.values()) == 2


def test_tags_lose_control_characters_and_length(tmp_path: Path) -> None:
    logged = read(tmp_path / "x", scalar("a\x1b[31m\x07b", 1), scalar("x" * 5000, 1))
    assert list(logged.scalars) == ["a[31mb", "x" * 199 + "…"]


def test_histograms_keep_their_counts_in_other_bins() -> None:
    draw = np.random.default_rng(2)
    for _ in range(30):
        edges = np.sort(draw.normal(size=draw.integers(2, 90)))
        counts = draw.integers(0, 50, len(edges) - 1).astype(float)
        counts[0] += 1
        found = distribution(Buckets(edges, counts), {})
        assert found.counts.sum() == counts.sum()
        assert found.counts.min() >= 0
    same = distribution(Buckets(np.linspace(0, 1, 33), np.arange(1.0, 33)), {})
    assert same.counts.tolist() == list(range(1, 33))
    assert distribution(Buckets(np.array([2.0, 2.0]), np.array([7.0])), {}).counts.tolist() == [0] * 31 + [7]


@given(st.lists(st.tuples(st.integers(1, 2**20), st.integers(-(2**63), 2**63 - 1)), max_size=5))
def test_what_is_encoded_is_decoded(values: list[tuple[int, int]]) -> None:
    encoded = b"".join(varint(number, value) for number, value in values)
    found = [(number, value) for number, _kind, value in fields(memoryview(encoded))]
    assert found == [(number, value % 2**64) for number, value in values]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "nowhere: no such file or folder"),
        ((".",), "no event files (their names contain tfevents)"),
        ((".", "-o", "x"), "the name of a recording ends with .bntui"),
        ((".", "-o", "no/x.bntui"), "no folder no; create it first"),
        ((".", "--figure", "a=b"), "--figure a=b: write TAG=FIGURE"),
        (("damaged",), "no scalar or histogram that can be read (files whose rest is damaged: 1)"),
        (("blank",), "no scalar or histogram that can be read (they are empty)"),
    ],
)
def test_a_mistake_is_a_sentence(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, contents in (("damaged", b"no event" * 9), ("blank", b"")):
        if name in arguments:
            (tmp_path / name).mkdir()
            (tmp_path / name / "events.out.tfevents.1").write_bytes(contents)
    done = bntui("import", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
