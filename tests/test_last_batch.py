"""Tests what happens to the samples that fill no mini-batch: first, last, or left out."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from bntui.audit.audit import audit
from bntui.errors import BntuiError
from bntui.recording.reader import Reader
from bntui.scenario.fork import configuration, forked
from bntui.scenario.load import parse
from bntui.trainer.session import Session
from bntui.viewer import chrome, parts
from bntui.viewer.draw.rows import text
from bntui.viewer.panels import PANELS
from bntui.viewer.view_state import ViewState
from tests import factory, forger, honest
from tests.same import compare
from tests.spread import ALL
from tests.test_session import DIGITS, never, train

LAST = ("first", "keep", "drop")


def order(seed: int, epoch: int, samples: int) -> list[int]:
    """The permutation of an epoch: seeded by a hash of the seed, the purpose, and the epoch."""
    digest = hashlib.blake2b(f"{seed}\x1forder\x1f{epoch}".encode(), digest_size=4).digest()
    chance = torch.Generator().manual_seed(int.from_bytes(digest, "little"))
    return torch.randperm(samples, generator=chance).tolist()


def split(samples: list[int], size: int, last: str) -> list[list[int]]:
    """An epoch's mini-batches."""
    over = len(samples) % size
    if last == "first" and over:
        return [samples[:over], *split(samples[over:], size, last)]
    pieces = [samples[at : at + size] for at in range(0, len(samples), size)]
    return [piece for piece in pieces if last != "drop" or len(piece) == size]


@pytest.mark.parametrize("last", LAST)
def test_a_loop_written_in_plain_pytorch_is_the_same_training(last: str, tmp_path: Path) -> None:
    reader = train(tmp_path, DIGITS, ("data.last_batch", last), ("record.every", 1), ("training.epochs", 3))
    data, first = reader.dataset, reader.evidence(0, 0)
    assert data is not None
    assert first is not None
    flat = data.x.reshape(len(data.x), -1).astype(np.float64)
    low, high = flat[data.train].min(0), flat[data.train].max(0)
    scaled = torch.tensor(((flat - low) / np.where(high > low, high - low, 1)).astype(np.float32))
    x, y = scaled[data.train], torch.tensor(data.y)[data.train]
    net = nn.Sequential(nn.Linear(64, 20), nn.Sigmoid(), nn.Linear(20, 20), nn.Sigmoid(), nn.Linear(20, 10))
    linear = [module for module in net if isinstance(module, nn.Linear)]
    names = ("linear 1", "linear 2", "output")
    for module, name in zip(linear, names, strict=True):
        module.load_state_dict({key: torch.tensor(first.before[f"{name}.linear.{key}"]) for key in ("weight", "bias")})
    optimizer, loss_of = torch.optim.SGD(net.parameters(), lr=0.5), nn.CrossEntropyLoss()
    row = 0
    for epoch in range(3):
        total = learned = 0.0
        batches = split(order(7, epoch, 320), 60, last)
        assert [len(batch) for batch in batches] == {
            "first": [20, 60, 60, 60, 60, 60], "keep": [60, 60, 60, 60, 60, 20], "drop": [60] * 5,
        }[last]  # fmt: skip
        for batch in batches:
            row += 1
            frame = reader.keyframe(0, row)
            assert frame.batch_indices.tolist() == batch
            optimizer.zero_grad()
            loss = loss_of(net(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            assert frame.batch_loss == pytest.approx(loss.item(), rel=1e-4)
            total, learned = total + loss.item() * len(batch), learned + len(batch)
            assert frame.train_loss == pytest.approx(total / learned, rel=1e-4)
        with torch.no_grad():
            val = loss_of(net(scaled[data.validation]), torch.tensor(data.y)[data.validation])
        assert reader.keyframe(0, row).val_loss == pytest.approx(float(val), rel=1e-4)
        assert reader.keyframe(0, row).epoch == epoch + 1
        assert len(batches[-1]) == (20 if last == "keep" else 60), "an epoch is measured after a full one"
    assert row == len(reader.history(0)) - 1
    assert reader.runs[0].steps_per_epoch == len(batches)
    start = reader.keyframe(0, 0).batch_indices.tolist()
    assert start == next(batch for batch in split(order(7, 0, 320), 60, last) if len(batch) == 60)
    reader.close()


def test_what_fills_no_mini_batch_is_first_unless_the_scenario_says_otherwise() -> None:
    assert parse(DIGITS, file="x.toml").runs[0].config.data.last_batch == "first"


@given(samples=st.integers(5, 40), size=st.integers(1, 45), last=st.sampled_from(LAST))
@settings(max_examples=100 if ALL else 4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_epochs_of_any_size_are_split_and_audited(
    tmp_path_factory: pytest.TempPathFactory, samples: int, size: int, last: str
) -> None:
    path = tmp_path_factory.mktemp("split") / "x.bntui"
    sized = [("data.samples", samples), ("data.batch_size", size), ("data.last_batch", last)]
    try:
        honest.whole(path, honest.BASE, *sized, ("record.every", 1), ("training.epochs", 2))
    except BntuiError:
        assert last == "drop"  # no mini-batch is left
        return
    train_samples = samples - -(-samples // 5)
    with closing(Reader(path)) as reader:
        found = [reader.keyframe(0, row).batch_indices.tolist() for row in range(1, len(reader.history(0)))]
        assert found == [batch for epoch in (0, 1) for batch in split(order(4, epoch, train_samples), size, last)]
        ends = reader.history(0).epoch
        per_epoch = len(found) // 2
        regular = [step / per_epoch for step in range(len(found) + 1)]
        assert last == "keep" or ends.tolist() == pytest.approx(regular)
        assert len(reader.keyframe(0, 0).batch_indices) == min(size, train_samples)
    report = audit(path)
    assert report.true, report.ledger.failures[:3]


@given(
    at=st.integers(0, 17), size=st.sampled_from([2, 4, 5, 8, 15, 16, 75, 80, 100]),
    last=st.sampled_from(LAST), before=st.sampled_from(LAST),
)  # fmt: skip
@settings(max_examples=100 if ALL else 4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_fork_within_an_epoch_splits_what_is_left_of_it(
    tmp_path_factory: pytest.TempPathFactory, at: int, size: int, last: str, before: str
) -> None:
    path = tmp_path_factory.mktemp("fork") / "x.bntui"
    small = [("data.samples", 100), ("data.batch_size", 15)]
    given = [*small, ("record.every", 1), ("training.epochs", 3), ("data.last_batch", before)]
    session = Session.begin(parse(DIGITS, file="x.toml", overrides=given), path, given)
    while not session.over:
        session.epoch(never)
    parent = split(order(7, 0, 80), 15, before)
    at = min(at, 3 * len(parent) - 1)
    try:
        child = session.fork(0, at, [("data.batch_size", size), ("data.last_batch", last)])
    except BntuiError:
        assert last == "drop"
        session.close()
        return
    while not session.over:
        session.epoch(never)
    session.close()
    epoch, done = divmod(at, len(parent))
    learned = sum(len(batch) for batch in parent[:done])
    due = split(order(7, epoch, 80)[learned:], size, last)
    for later in range(epoch + 1, 3):
        due += split(order(7, later, 80), size, last)
    with closing(Reader(path)) as reader:
        history = reader.history(child.index)
        found = [reader.keyframe(child.index, row).batch_indices.tolist() for row in range(1, len(history))]
        assert found == due
        assert (np.diff(history.epoch) > 0).all()
        assert history.epoch[-1] == 3
    report = audit(path)
    assert report.true, report.ledger.failures[:3]


# --- recordings made before there was a choice ---


def without(path: Path) -> None:
    """As if it was recorded by a version that knew no last_batch."""
    with closing(Reader(path)) as reader:
        runs = [run.index for run in reader.runs]
    for run in runs:
        forger.config(path, run, lambda told: told["data"].pop("last_batch"))


def test_a_recording_that_does_not_say_meant_keep(tmp_path: Path) -> None:
    kept = ("data.last_batch", "keep")
    path = tmp_path / "old.bntui"
    honest.interrupted_after(path, 3, honest.BASE + honest.TWO, kept, ("record.every", 1))
    without(path)
    assert audit(path).true
    session = Session.resume(path)
    while not session.over:
        session.epoch(never)
    session.close()
    honest.fork(path, 0, 3)
    honest.whole(tmp_path / "new.bntui", honest.BASE + honest.TWO, kept, ("record.every", 1))
    with closing(Reader(path)) as old, closing(Reader(tmp_path / "new.bntui")) as new:
        assert "last_batch" not in old.runs[0].config["data"]
        assert compare(old, 0, new, 0) == compare(old, 1, new, 1) == 21
        assert compare(old, 0, old, 2, after=3) == 17
        assert len(old.keyframe(0, 20).batch_indices) == 3
        fork = old.runs[2]
        assert fork.fork is not None
        assert fork.fork.changes == ()
        assert fork.config["data"]["last_batch"] == "keep"
    assert audit(path).true


def test_the_configuration_of_such_a_recording_is_completed_with_keep() -> None:
    told: dict[str, Any] = parse(DIGITS, file="x.toml").runs[0].config.model_dump(mode="json")
    del told["data"]["last_batch"]
    assert configuration(told).data.last_batch == "keep"
    config, differences = forked(told, [("training.lr", 0.1)])
    assert config.data.last_batch == "keep"
    assert [change.path for change in differences] == ["training.lr"]
    assert forked(told, [("data.last_batch", "first")])[1] == (("data.last_batch", "keep", "first"),)


@pytest.mark.parametrize(("told", "said"), [("first", "keep"), ("keep", "first"), ("first", "drop")])
def test_a_recording_that_lies_about_it_is_found_out(told: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.bntui"
    honest.whole(path, honest.BASE, ("data.last_batch", told), ("record.every", 1))
    assert audit(path).true
    forger.config(path, 0, lambda config: config["data"].update(last_batch=said))
    assert not audit(path).true


def test_samples_of_another_place_in_the_epoch_are_found_out(tmp_path: Path) -> None:
    path = tmp_path / "x.bntui"
    honest.whole(path, honest.BASE, ("record.every", 1), ("record.budget", 0))
    with closing(Reader(path)) as reader:
        other = reader.keyframe(0, 3).batch_indices
    forger.measures(path, 0, 2, lambda arrays: arrays.update(batch_indices=other.astype(arrays["batch_indices"].dtype)))
    assert not audit(path).true


# --- the size is named where it is small ---


@pytest.mark.parametrize(("samples", "named"), [(60, False), (30, False), (29, True), (1, True)])
def test_panels_name_the_size_of_a_small_mini_batch(samples: int, named: bool) -> None:
    run = factory.run_view()
    assert run.frame is not None
    assert run.info.config["data"]["batch_size"] == 60
    small = replace(run, frame=replace(run.frame, batch_indices=np.arange(samples)))
    assert small.remnant == (samples if named else 0)
    words = f"mini-batch of {samples} sample" + "s" * (samples > 1)
    assert not named or chrome.remnant_text(small) == words
    view = factory.view(small)
    for panel in PANELS:
        if not panel.of_mini_batch:
            continue
        for width in (60, 120):
            shown = parts.ScreenContent(
                view, ViewState(focused=panel.name), {}, ("", ""), False, False, several=True, from_gallery=False
            )
            title = text(parts.rows(panel.name, shown, width, 20)[0])
            assert (words in title) == named, (panel.name, title)
