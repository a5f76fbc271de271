"""What ``bntui.watch`` and ``bntui.record`` do with odd models, threads, and mistaken arguments."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bntui
from bntui.audit.audit import audit
from bntui.errors import BntuiError
from bntui.keyframe import Keyframe
from bntui.recording.reader import Reader
from bntui.watching.trouble import RecorderWarning


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))


def optimizer_of(watched: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(watched.parameters(), lr=0.1)


def trained(watched: nn.Module, optimizer: torch.optim.Optimizer, entered: Tensor) -> Tensor:
    loss: Tensor = watched(entered).abs().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss


def keyframes(path: Path) -> list[Keyframe]:
    with closing(Reader(path)) as reader:
        return [reader.keyframe(0, row) for row in reader.history(0).frame_rows.tolist()]


def test_another_thread_may_call_the_model_during_a_measured_step(tmp_path: Path) -> None:
    """The modes of functions belong to a thread; a call of another one within a pass must leave this one's in place."""
    watched = model()
    optimizer = optimizer_of(watched)

    class Meanwhile(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            other = threading.Thread(target=lambda: self(x) if threading.current_thread() is other else None)
            if threading.current_thread() is main:
                other.start()
                other.join()
            return x * 1

    main = threading.current_thread()
    watched.insert(1, Meanwhile())
    with bntui.watch(watched, optimizer, tmp_path / "run.bntui", every=1, quiet=True) as recorder:
        for _ in range(3):
            recorder.step(trained(watched, optimizer, torch.randn(4, 6)))
    del recorder
    modes = getattr(torch.overrides, "_len_torch_function_stack")  # noqa: B009 - private
    assert modes() == 0
    assert [frame.layers[0].name for frame in keyframes(tmp_path / "run.bntui")] == ["0"] * 3


def test_a_loop_may_run_in_a_thread_of_its_own(tmp_path: Path) -> None:
    watched = model()
    optimizer = optimizer_of(watched)
    with bntui.watch(watched, optimizer, tmp_path / "run.bntui", every=2, quiet=True) as recorder:

        def run() -> None:
            for _ in range(4):
                recorder.step(trained(watched, optimizer, torch.randn(4, 6)))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert [frame.step for frame in keyframes(tmp_path / "run.bntui")] == [1, 2, 4]


@pytest.mark.parametrize("other", ["model", "optimizer"])
def test_the_model_and_the_optimizer_may_run_in_threads_of_their_own(other: str, tmp_path: Path) -> None:
    watched = model()
    optimizer = optimizer_of(watched)
    here: Callable[[Callable[[], Any]], Any] = lambda act: act()  # noqa: E731
    with ThreadPoolExecutor(1) as pool, bntui.watch(watched, optimizer, tmp_path / "run.bntui", every=1, quiet=True):
        there: Callable[[Callable[[], Any]], Any] = lambda act: pool.submit(act).result()  # noqa: E731
        calls, steps = (there, here) if other == "model" else (here, there)
        for _ in range(6):
            calls(lambda: watched(torch.randn(4, 6)).abs().sum()).backward()
            steps(optimizer.step)
    # the first steps tell which thread is which
    assert [frame.step for frame in keyframes(tmp_path / "run.bntui")] == [1, 3, 4, 5, 6]


@pytest.mark.parametrize("entered", [torch.randn(0, 6), torch.randn(4, 6, dtype=torch.complex64)])
def test_empty_and_complex_minibatches_are_recorded(entered: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    watched = nn.Sequential(
        nn.Linear(6, 5, dtype=entered.dtype), nn.Identity() if entered.is_complex() else nn.Dropout()
    )
    weight = next(watched.parameters()).detach().numpy().copy()
    optimizer = optimizer_of(watched)
    with bntui.watch(watched, optimizer, tmp_path / "run.bntui", every=1, quiet=True) as recorder:
        recorder.step(trained(watched, optimizer, entered))
    (frame,) = keyframes(tmp_path / "run.bntui")
    assert frame.layers[0].weight_norm == pytest.approx(np.linalg.norm(weight.ravel().astype(np.complex128)))


def test_without_a_pass_it_is_said_that_there_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watched = model()
    with bntui.watch(watched, None, tmp_path / "a\x1b[31m.bntui", every=1) as recorder:
        for _ in range(2):
            vmapped = torch.func.vmap(torch.func.grad(lambda x: watched(x).sum()), randomness="different")
            recorder.step(vmapped(torch.randn(4, 6)).sum())
    said = capsys.readouterr().err
    assert "nothing was recorded in 2 steps" in said
    assert "\x1b" not in said
    assert list(tmp_path.iterdir()) == []


def test_an_optimizer_that_does_no_step_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As one that wraps another, and leaves the steps to that."""
    watched = model()
    for given, call in ((optimizer_of(watched), "SGD.step()"), (None, "recorder.step()")):
        with bntui.watch(watched, given, tmp_path / "run.bntui"):
            trained(watched, torch.optim.Adam(watched.parameters()), torch.randn(4, 6))
        assert f"nothing was recorded: {call} was not called" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("loss", ["low", torch.ones(3), torch.tensor(1j), 10**400, object(), [1.0]])
def test_a_mistaken_loss_is_warned_of_and_recording_goes_on(loss: Any, tmp_path: Path) -> None:
    watched = model()
    optimizer = optimizer_of(watched)
    with bntui.watch(watched, optimizer, tmp_path / "run.bntui", every=2, quiet=True) as recorder:
        for told in (loss, 0.1, 0.2, 0.3):
            trained(watched, optimizer, torch.randn(4, 6))
            if told is loss:
                with pytest.warns(RecorderWarning, match="loss is not a number"):
                    recorder.step(told)
            else:
                recorder.step(told)
        recorder.epoch(val_loss=0.5)
    assert len(keyframes(tmp_path / "run.bntui")) == 3


@pytest.mark.parametrize("state", [{"wait": "two"}, {"wait": None}, {"wait": -1}, {"patience": -5}, {"patience": []}])
@pytest.mark.parametrize("by", ["watch", "record"])
def test_a_mistaken_state_of_early_stopping_is_left_out(by: str, state: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    recorder: Any
    if by == "record":
        recorder = bntui.record(path)
        recorder.keyframe(1, 1, {"a": {"output": np.ones((2, 2))}})
    else:
        watched = model()
        optimizer = optimizer_of(watched)
        recorder = bntui.watch(watched, optimizer, path, quiet=True)
        trained(watched, optimizer, torch.randn(4, 6))
    with recorder:
        recorder.epoch(val_loss=0.5)
        with pytest.warns(RecorderWarning, match="early stopping"):
            recorder.early_stopping(**{"wait": 1, "best": 0.5, "patience": 3, **state})
    (frame,) = keyframes(path)
    assert frame.early_stopping is None


@pytest.mark.parametrize(
    "known",
    [
        {"epochs": -1}, {"epochs": "ten"}, {"epochs": float("nan")}, {"epochs": 2**70}, {"batch_size": "x"},
        {"batch_size": 0}, {"steps_per_epoch": 0}, {"steps_per_epoch": 1.5}, {"title": "t" * 1001}, {"task": "ranking"},
        {"early_stopping": 3}, {"early_stopping": {"monitor": "val_loss"}},
        {"early_stopping": {"monitor": "val_loss", "patience": 3, "rule": object()}},
    ],
)  # fmt: skip
def test_what_a_reader_would_refuse_is_refused_before_training(known: dict[str, Any], tmp_path: Path) -> None:
    watched = model()
    place = next(iter(known))
    makers: tuple[Callable[[], Any], ...] = (
        lambda: bntui.watch(watched, None, tmp_path / "run.bntui", **known),
        lambda: bntui.record(tmp_path / "run.bntui", **known),
    )
    for make in makers:
        with pytest.raises(BntuiError, match=f"{place}|JSON"):
            make()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("known", [{"layers": 3}, {"layers": [3]}, {"layers": None}, {"scaler": object()}])
def test_arguments_of_other_types_are_refused(known: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BntuiError, match=next(iter(known))):
        bntui.watch(model(), None, tmp_path / "run.bntui", **known)


def test_more_layers_than_a_recording_has_are_refused(tmp_path: Path) -> None:
    deep = nn.Sequential(*[nn.Linear(1, 1) for _ in range(1001)])
    with pytest.raises(BntuiError, match=r"1001 layers.*layers="):
        bntui.watch(deep, None, tmp_path / "run.bntui")


@pytest.mark.parametrize("name", ["", ".", "a\0b", "x" * 400, "\ud800"])
def test_what_is_no_name_of_a_file_is_refused(name: str) -> None:
    with pytest.raises(BntuiError):
        bntui.record(name)


@pytest.mark.parametrize("models", [[model(), None], {"a": None}, [], 3])
def test_what_is_no_model_is_refused(models: Any, tmp_path: Path) -> None:
    with pytest.raises(BntuiError, match=r"not a torch\.nn\.Module"):
        bntui.watch(models, None, tmp_path / "run.bntui")


def test_models_may_be_named_by_numbers(tmp_path: Path) -> None:
    several: Any = {1: model(), 2: model()}
    with bntui.watch(several, None, tmp_path / "run.bntui", quiet=True) as recorder:
        recorder.step(several[2](several[1](torch.ones(2, 6)).repeat(1, 2)).sum())
    assert [one.name for one in keyframes(tmp_path / "run.bntui")[0].layers] == ["1.0", "1.3", "2.0", "2.3"]


def test_a_tilde_is_the_user_s_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with bntui.record("~/runs/own") as recorder:
        recorder.keyframe(1, 1, {"a": {"output": np.ones((2, 2))}})
    assert recorder.path == tmp_path / "runs" / "own.bntui"
    assert recorder.path.exists()


def test_counts_of_numpy_and_titles_with_controls_are_taken(tmp_path: Path) -> None:
    watched = model()
    optimizer = optimizer_of(watched)
    path, count = tmp_path / "run.bntui", cast(Any, np.int64(2))
    with bntui.watch(
        watched, optimizer, path, every=count, epochs=count, batch_size=count, title="a\x1b[31m\ud800층", quiet=True
    ) as recorder:
        for _ in range(4):
            recorder.step(trained(watched, optimizer, torch.randn(4, 6)))
    with closing(Reader(path)) as reader:
        assert (reader.title, reader.runs[0].epochs, reader.runs[0].batch_size) == ("a[31m층", 2, 2)


@pytest.mark.parametrize("key", ["input", "output", "weight", "bias", "gradient", "activation_gradient", "mask"])
@pytest.mark.parametrize("shape", [(), (3,), (2,) * 7])
def test_arrays_of_any_number_of_axes_are_recorded(key: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    table = {key: np.ones(shape), "activation": "relu", "dropout": np.float32(0.5)}
    with bntui.record(path) as recorder:
        recorder.keyframe(1, 0.5, {"dense": table})
    (frame,) = keyframes(path)
    norm = {
        "weight": "weight_norm",
        "gradient": "weight_gradient_norm",
        "activation_gradient": "activation_gradient_norm",
    }
    if key in norm:
        assert getattr(frame.layers[0], norm[key]) == pytest.approx(np.sqrt(np.ones(shape).size))


def test_an_unforeseen_error_of_a_call_does_not_end_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise IndexError("axis")

    monkeypatch.setattr("bntui.watching.arrays.measured", broken)
    with bntui.record(tmp_path / "run.bntui") as recorder, pytest.warns(RecorderWarning, match="axis"):
        recorder.keyframe(1, 0.5, {"dense": {"output": np.ones((2, 2))}})


def test_epochs_that_differ_by_rounding_are_in_order(tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    with bntui.record(path) as recorder:
        for step, epoch in enumerate((0.1 + 0.2, 0.3)):
            recorder.keyframe(step, epoch, {"dense": {"output": np.ones((2, 2))}})
    assert [frame.epoch for frame in keyframes(path)] == [0.1 + 0.2] * 2


@pytest.mark.parametrize("figure", [None, "low", torch.ones(2), torch.tensor(1j), [1.0], object()])
def test_a_figure_of_an_epoch_that_is_no_number_is_not_recorded_as_nan(figure: Any, tmp_path: Path) -> None:
    watched = model()
    optimizer = optimizer_of(watched)
    path = tmp_path / "run.bntui"
    with bntui.watch(watched, optimizer, path, every=1, quiet=True) as recorder:
        trained(watched, optimizer, torch.randn(4, 6))
        if figure is None:
            recorder.epoch(val_loss=None, val_accuracy=0.25)
        else:
            with pytest.warns(RecorderWarning, match="val_loss is not a number"):
                recorder.epoch(val_loss=figure, val_accuracy=0.25)
    (frame,) = keyframes(path)
    assert math.isnan(frame.val_loss)
    assert frame.val_accuracy == 0.25
    with closing(Reader(path)) as reader:
        assert [event.kind for event in reader.events(0)] == ["finished"]


@pytest.mark.parametrize("by", ["watch", "record"])
@pytest.mark.parametrize("value", [87.5, -0.1, math.inf])
def test_an_accuracy_that_is_no_share_is_warned_of_and_not_held_against_the_recording(
    value: float, by: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.bntui"
    watched = model()
    optimizer = optimizer_of(watched)
    recorder: Any = bntui.record(path) if by == "record" else bntui.watch(watched, optimizer, path, quiet=True)
    with recorder, pytest.warns(RecorderWarning, match="val_accuracy is .*, not a share from 0 to 1"):  # noqa: PT031
        if by == "record":
            recorder.keyframe(1, 1, {"a": {"output": np.ones((2, 2))}})
        else:
            trained(watched, optimizer, torch.randn(4, 6))
        recorder.epoch(val_loss=0.5, val_accuracy=value)
    (frame,) = keyframes(path)
    assert (frame.val_loss, math.isnan(frame.val_accuracy)) == (0.5, True)
    assert not audit(path).ledger.failures


def test_a_gradient_scale_below_zero_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    with bntui.record(path) as recorder, pytest.warns(RecorderWarning, match="gradient_scale is 0, not a number above"):
        recorder.keyframe(1, 1, {"a": {"output": np.ones((2, 2))}}, gradient_scale=0.0)
    assert math.isnan(keyframes(path)[0].gradient_scale)
    assert not audit(path).ledger.failures


def test_r2_in_percent_is_the_loop_s_own_matter(tmp_path: Path) -> None:
    with bntui.record(tmp_path / "run.bntui", task="regression") as recorder:
        recorder.keyframe(1, 1, {"a": {"output": np.ones((2, 2))}}, val_accuracy=-7.5)
    (frame,) = keyframes(tmp_path / "run.bntui")
    assert frame.val_accuracy == -7.5


def test_a_state_of_early_stopping_that_contradicts_the_one_before_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    states = ((0, 2), (0, 1), (1, 1), (2, 1), (1, 1), (0, 5), (1, 3))  # wait and best epoch, after epochs 1 to 7
    with bntui.record(path) as recorder, pytest.warns(RecorderWarning) as told:  # noqa: PT031
        for epoch, (wait, best) in enumerate(states, 1):
            recorder.keyframe(epoch, epoch, {"a": {"output": np.ones((2, 2))}}, val_loss=1.0)
            recorder.early_stopping(wait=wait, best=1.0, patience=9, best_epoch=best)
        recorder.keyframe(8, 8, {"a": {"output": np.ones((2, 2))}}, val_loss=1.0)
    sentences = [str(one.message) for one in told]
    assert any("best_epoch=2, but the last epoch is 1" in one for one in sentences)
    assert any("wait=1 after wait=2" in one for one in sentences)
    assert not audit(path).ledger.failures


def test_an_epoch_that_is_told_in_two_calls_is_one(tmp_path: Path) -> None:
    watched = model()
    optimizer = optimizer_of(watched)
    with bntui.watch(watched, optimizer, tmp_path / "a", every=1, quiet=True) as recorder:
        for number in range(2):
            trained(watched, optimizer, torch.randn(4, 6))
            trained(watched, optimizer, torch.randn(4, 6))
            recorder.epoch(val_loss=1.0)
            if not number:
                with pytest.warns(RecorderWarning, match="in one call"):
                    recorder.epoch(val_accuracy=0.5)
    with closing(Reader(tmp_path / "a.bntui")) as reader:
        history = reader.history(0)
        assert history.epoch[history.epoch_end].tolist() == [1.0, 2.0]
        assert history.val_loss[history.epoch_end].tolist() == [1.0, 1.0]
    assert audit(tmp_path / "a.bntui").true
