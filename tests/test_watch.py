"""What ``bntui.watch`` records, compared with NumPy and with autograd, and what it does with mistaken loops."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import bntui
from bntui.audit.audit import audit
from bntui.errors import BntuiError, NameTakenError, UsageError
from bntui.keyframe import Distribution, Keyframe
from bntui.recording.history import RunInfo
from bntui.recording.reader import Reader
from bntui.watching.captured import described
from bntui.watching.pytorch.held import EXACT, SAMPLE, fetched, hold, stride
from bntui.watching.pytorch.words import summed_up
from bntui.watching.trouble import RecorderWarning


class Small(nn.Module):
    """A convolution with a normalization, a functional activation after a pooling, a dropout, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.bn = nn.BatchNorm2d(6)
        self.hidden = nn.Linear(54, 12)
        self.drop = nn.Dropout(0.4)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(functional.max_pool2d(self.bn(self.conv(x)), 2), inplace=True)
        out: Tensor = self.head(self.drop(torch.tanh(self.hidden(x.flatten(1)))))
        return out


def data(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 1, 8, 8, generator=generator), torch.randint(0, 3, (8,), generator=generator)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, recorder: Any, steps: int) -> None:
    x, y = data()
    for _ in range(steps):
        loss = functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        recorder.step(loss=loss)


def recorded(path: Path) -> tuple[RunInfo, list[Keyframe]]:
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        return reader.runs[0], [reader.keyframe(0, row) for row in history.frame_rows.tolist()]


def alike(found: Distribution, tensor: Tensor) -> None:
    """A distribution is that of the tensor's values, as NumPy computes it in float64."""
    values = tensor.detach().numpy().astype(np.float64).ravel()
    assert found.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-9)
    assert found.std == pytest.approx(values.std(), rel=1e-9)
    assert [found.p15, found.p50, found.p85] == pytest.approx(np.percentile(values, [15, 50, 85]).tolist(), rel=1e-9)
    assert (found.min, found.max) == (values.min(), values.max())
    assert found.counts.tolist() == np.histogram(values, 32)[0].tolist()


def test_a_step_is_measured_as_numpy_and_autograd_compute_it(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = Small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x, y = data()
    state = torch.get_rng_state()
    # the same step by hand, keeping everything
    conv = functional.conv2d(x, before["conv.weight"].requires_grad_(), before["conv.bias"])
    gamma, beta = before["bn.weight"].requires_grad_(), before["bn.bias"].requires_grad_()
    normed = functional.batch_norm(conv, None, None, gamma, beta, training=True)
    active = functional.relu(functional.max_pool2d(normed, 2))
    linear = functional.linear(active.flatten(1), before["hidden.weight"].requires_grad_(), before["hidden.bias"])
    tanh = torch.tanh(linear)
    dropped, mask = torch.native_dropout(tanh, 0.4, True)
    answer = functional.linear(dropped, before["head.weight"], before["head.bias"])
    for one in (active, tanh):
        one.retain_grad()
    loss = functional.cross_entropy(answer, y)
    loss.backward()  # type: ignore[no-untyped-call]

    torch.set_rng_state(state)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "small.bntui"
    with bntui.watch(model, optimizer, path, every=5, quiet=True) as recorder:
        train(model, optimizer, recorder, 1)
    info, (frame,) = recorded(path)

    assert [(one.name, one.kind, one.norm, one.activation, one.dropout) for one in info.layers] == [
        ("conv", "conv", "batch", "relu", 0.0), ("hidden", "linear", "none", "tanh", 0.4),
        ("head", "linear", "none", "none", 0.0),
    ]  # fmt: skip
    assert info.layers[0].shape == (6, 6, 6)
    assert (frame.step, frame.lr) == (1, 0.1)
    assert frame.batch_loss == pytest.approx(float(loss.detach()))
    first, second, last = frame.layers
    for distribution, tensor in (
        (first.input, x), (first.pre_norm, conv), (first.normalized, normed), (first.output, active),
        (second.input, active), (second.pre_norm, linear), (second.output, tanh), (last.input, dropped),
        (last.output, answer),
    ):  # fmt: skip
        assert distribution is not None
        alike(distribution, tensor)
    assert first.batch_norm is not None
    flat = conv.detach().double().transpose(0, 1).flatten(1)
    np.testing.assert_allclose(first.batch_norm.batch_mean, flat.mean(1), rtol=1e-6)
    np.testing.assert_allclose(first.batch_norm.batch_var, flat.var(1, correction=0), rtol=1e-6)
    np.testing.assert_allclose(first.batch_norm.running_var, 0.9 + 0.1 * flat.var(1, correction=1), rtol=1e-6)
    np.testing.assert_allclose(first.batch_norm.gamma_gradient, gamma.grad, rtol=1e-5)
    np.testing.assert_allclose(first.batch_norm.beta_gradient, beta.grad, rtol=1e-5)
    weight = before["hidden.weight"]
    assert weight.grad is not None
    assert second.weight_gradient_norm == pytest.approx(float(weight.grad.norm()), rel=1e-6)
    assert second.weight_norm == pytest.approx(float(weight.detach().norm()), rel=1e-6)
    assert second.update_ratio == pytest.approx(0.1 * float(weight.grad.norm() / weight.detach().norm()), rel=1e-4)
    assert active.grad is not None
    assert tanh.grad is not None
    assert first.activation_gradient_norm == pytest.approx(float(active.grad.norm()), rel=1e-6)
    assert second.activation_gradient_norm == pytest.approx(float(tanh.grad.norm()), rel=1e-6)
    assert first.dead_fraction == float((active == 0).all(0).all(1).all(1).double().mean())
    assert second.saturated_fraction == float((tanh.abs() > 0.98).double().mean())
    assert second.dropout is not None
    np.testing.assert_array_equal(second.dropout.kept, mask)


@pytest.mark.parametrize("shape", [(3, 5), (EXACT + 7,), (5, 30_000)])
@pytest.mark.parametrize("spoiled", [0.0, float("nan"), float("inf")])
def test_large_tensors_are_described_like_small_ones(shape: tuple[int, ...], spoiled: float) -> None:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(2)) * 3 + 100
    if spoiled:
        values[..., 0] = spoiled
    held = hold(values)
    assert held is not None
    with np.errstate(all="ignore"):
        (found,) = described(fetched([held]))
    wide = values.numpy().astype(np.float64).ravel()
    finite = wide[np.isfinite(wide)]
    expected = np.histogram(finite, 32)[0]
    if wide.size <= EXACT:
        assert found.counts.tolist() == expected.tolist()
    assert found.counts.sum() == finite.size
    assert abs(found.counts - expected).sum() <= 4  # values next to the edge of a bin, in single precision
    assert (np.isnan(found.min), np.isnan(found.max)) == (np.isnan(wide.min()), np.isnan(wide.max()))
    if not spoiled:
        assert found.mean == pytest.approx(wide.mean(), rel=1e-9)
        assert found.std == pytest.approx(wide.std(), rel=1e-7)
        # of a sample, a percentile is off by the sample's error
        assert found.p50 == pytest.approx(np.median(wide), abs=1e-9 if wide.size <= EXACT else 0.1)


@pytest.mark.parametrize("shape", [(500, 300), (64, 12, 30, 30), (7, 96, 200), (200_000,), (30, 5_000)])
def test_a_sample_sees_every_unit_pixel_and_time_step(shape: tuple[int, ...]) -> None:
    at = torch.arange(math.prod(shape)).reshape(shape).flatten()[:: stride(shape)].numpy()
    assert len(at) <= SAMPLE
    places = np.stack(np.unravel_index(at, shape))
    for axis, size in list(enumerate(shape))[1:]:
        share = np.bincount(places[axis], minlength=size) / len(at)
        assert share.min() > 0
        assert np.abs(share * size - 1).max() < 0.05 * max(1, size * 20 / len(at))


def test_units_that_differ_have_their_share_in_percentiles_and_the_audit_believes_them(tmp_path: Path) -> None:
    layer = nn.Linear(4, 300)
    with torch.no_grad():  # every third unit gives 1, the others 0: p50 is 0, and p85 is 1
        layer.weight.zero_()
        layer.bias.copy_((torch.arange(300) % 3 == 0).float())
    model = nn.Sequential(layer, nn.Tanh(), nn.Linear(300, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with bntui.watch(model, optimizer, tmp_path / "x.bntui", quiet=True) as recorder:
        loss = model(torch.randn(500, 4)).square().mean()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
    with closing(Reader(tmp_path / "x.bntui")) as reader:
        found = reader.keyframe(0, 0).layers[0].pre_norm
    assert [found.p15, found.p50, found.p85] == [0, 0, 1]
    report = audit(tmp_path / "x.bntui")
    assert report.ledger.failures == []
    assert any("percentiles of more than 65,536 values" in reason for reason in report.ledger.notes)


class Shared(nn.Module):
    """A layer that is used twice, one that is never used, and a residual sum before the activation."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.other = nn.Linear(4, 4)
        self.never = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.layer(self.layer(x)))
        out = self.other(x)
        out += x
        done: Tensor = self.norm(self.relu(out))
        return done


def test_what_follows_a_layer_is_found_by_the_order_of_calls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Shared()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "shared.bntui"
    with bntui.watch(model, optimizer, path, every=1):
        for _ in range(2):
            model(torch.randn(5, 4)).square().sum().backward()
            optimizer.step()
    info, frames = recorded(path)
    assert [(one.name, one.kind, one.norm, one.activation) for one in info.layers] == [
        ("layer", "linear", "none", "none"), ("other", "linear", "none", "relu"), ("never", "linear", "none", "none"),
        ("norm", "norm", "layer", "none"),
    ]  # fmt: skip
    assert len(frames) == 2
    told = capsys.readouterr().err
    assert "not seen: never" in told
    assert "4 layers" in told
    assert all(frame.layers[2].uncalled and math.isnan(frame.layers[2].weight_norm) for frame in frames)


def test_layers_are_chosen_by_name_or_pattern(tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "chosen.bntui"
    with bntui.watch(model, optimizer, path, layers=["h*"], quiet=True) as recorder:
        train(model, optimizer, recorder, 1)
    assert [one.name for one in recorded(path)[0].layers] == ["hidden", "head"]
    with pytest.raises(UsageError, match="did you mean 'hidden'"):
        bntui.watch(model, optimizer, tmp_path / "none.bntui", layers="hiden")


def test_the_epochs_and_early_stopping_are_recorded(tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "epochs.bntui"
    with bntui.watch(model, optimizer, path, every="epoch", steps_per_epoch=3, quiet=True) as recorder:
        for number in range(3):
            train(model, optimizer, recorder, 3)
            recorder.epoch(val_loss=1.0 + number, val_accuracy=0.5)
            recorder.early_stopping(wait=number, best=1.0, patience=5)
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        assert history.step[history.epoch_end].tolist() == [3, 6, 9]
        assert history.val_loss[history.epoch_end].tolist() == [1.0, 2.0, 3.0]
        assert history.wait[history.epoch_end].tolist() == [0, 1, 2]
        assert history.step[history.has_frame].tolist() == [1, 3, 6, 9]


@pytest.mark.parametrize(
    ("told", "lengths", "epochs"),
    [
        (None, (4, 6, 3), [1, 1.25, 1.5, 1.75, 2, 2, 2, 2 + 1 / 6, 2 + 2 / 6, 3]),  # that of the epoch before
        (4, (5, 3), [0.25, 0.5, 0.75, 1, 1, 1.25, 1.5, 2]),  # told a little too small
        (4, (), [0.25, 0.5, 0.75, 1, 1, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.25]),  # no epoch is told
    ],
)  # fmt: skip
def test_no_step_of_a_longer_epoch_is_left_out(
    told: int | None, lengths: tuple[int, ...], epochs: list[float], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "longer.bntui"
    with bntui.watch(model, optimizer, path, every=1, steps_per_epoch=told, quiet=True) as recorder:
        for length in lengths or (13,):
            train(model, optimizer, recorder, length)
            if lengths:
                recorder.epoch(val_loss=1.0)
    assert [str(one.message) for one in recwarn if one.category is RecorderWarning] == []
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        assert history.step.tolist() == list(range(1, (sum(lengths) or 13) + 1))
        assert history.epoch[-len(epochs) :].tolist() == pytest.approx(epochs)
        assert history.step[history.epoch_end].tolist() == np.cumsum(lengths).tolist()
    assert audit(path).true


def test_a_last_step_is_measured_in_each_epoch_of_a_loop_that_tells_none(tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "none.bntui"
    with bntui.watch(model, optimizer, path, every="epoch", steps_per_epoch=3, quiet=True) as recorder:
        train(model, optimizer, recorder, 10)
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        assert history.step[history.has_frame].tolist() == [1, 3, 6, 9]
        assert history.epoch.tolist() == pytest.approx([1 / 3, 1, 2, 3])


def test_the_first_module_with_a_bad_value_is_named(tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "bad.bntui"
    with bntui.watch(model, optimizer, path, every=1, quiet=True) as recorder:
        train(model, optimizer, recorder, 1)
        with torch.no_grad():
            model.hidden.weight[0, 0] = torch.nan
        train(model, optimizer, recorder, 1)
    with closing(Reader(path)) as reader:
        (event,) = [one for one in reader.events(0) if one.kind == "first_bad"]
    assert event.message == "first NaN value at step 2: pre-activation of layer hidden"


def test_gradients_of_mixed_precision_are_recorded_unscaled(tmp_path: Path) -> None:
    norms = []
    for scale in (None, 1024.0):
        torch.manual_seed(3)
        model = Small()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = None if scale is None else torch.amp.GradScaler("cpu", init_scale=scale)
        path = tmp_path / f"{scale}.bntui"
        with bntui.watch(model, optimizer, path, scaler=scaler, quiet=True):
            x, y = data()
            loss = functional.cross_entropy(model(x), y)
            if scaler is None:
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            else:
                scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                scaler.step(optimizer)
                scaler.update()
        (frame,) = recorded(path)[1]
        norms.append([(one.weight_gradient_norm, one.activation_gradient_norm) for one in frame.layers])
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-5)


@pytest.mark.parametrize("every", [0, -1, True, 1.5, "day"])
def test_a_senseless_rate_is_refused(every: Any) -> None:
    with pytest.raises(UsageError, match="every"):
        bntui.watch(Small(), None, every=every)


def test_mistakes_are_refused_before_training(tmp_path: Path) -> None:
    model = Small()
    with pytest.raises(UsageError, match="no layer with parameters"):
        bntui.watch(nn.ReLU(), None, tmp_path / "a.bntui")
    with pytest.raises(UsageError, match=r"not a torch\.nn\.Module"):
        bntui.watch(lambda x: x, None, tmp_path / "a.bntui")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"not a torch\.optim\.Optimizer"):
        bntui.watch(model, ["Adam"], tmp_path / "a.bntui")  # type: ignore[list-item]
    taken = tmp_path / "taken.bntui"
    taken.write_bytes(b"mine")
    with pytest.raises(NameTakenError):
        bntui.watch(model, None, taken)
    assert taken.read_bytes() == b"mine"
    with bntui.watch(model, None, tmp_path / "two.bntui", quiet=True), pytest.raises(BntuiError):
        bntui.watch(model, None, tmp_path / "two.bntui", quiet=True)


def test_an_exception_passes_and_the_file_is_closed(tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "broken.bntui"
    mine = RuntimeError("mine")
    with pytest.raises(RuntimeError) as caught, bntui.watch(model, optimizer, path, quiet=True) as recorder:  # noqa: PT012
        train(model, optimizer, recorder, 2)
        raise mine
    assert caught.value is mine
    with closing(Reader(path)) as reader:
        assert [one.kind for one in reader.events(0)] == ["interrupted"]
    train(model, optimizer, recorder, 2)  # and the loop may go on


def test_an_exception_within_the_model_leaves_nothing_behind(tmp_path: Path) -> None:
    class Failing(Small):
        fails: type[BaseException] | None = ValueError

        def forward(self, x: Tensor) -> Tensor:
            out = super().forward(x)
            if self.fails is not None:
                raise self.fails
            return out

    model = Failing()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "failing.bntui"
    with bntui.watch(model, optimizer, path, quiet=True) as recorder:
        for failure in (ValueError, KeyboardInterrupt):
            model.fails = failure
            with pytest.raises(failure):
                model(data()[0])
        model.fails = None
        train(model, optimizer, recorder, 1)
    assert len(recorded(path)[1]) == 1
    assert not torch.overrides._get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    assert not nn.modules.module._global_forward_hooks
    assert not nn.modules.module._global_forward_pre_hooks


def test_steps_in_between_carry_only_the_step_hook(tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with bntui.watch(model, optimizer, tmp_path / "hooks.bntui", every=3, quiet=True) as recorder:
        carried = []
        for _ in range(6):
            carried.append(bool(nn.modules.module._global_forward_hooks))
            train(model, optimizer, recorder, 1)
            assert all(not one._forward_hooks and not one._backward_hooks for one in model.modules())
    assert carried == [True, False, True, False, False, True]
    assert not optimizer._optimizer_step_post_hooks
    assert not optimizer._optimizer_step_pre_hooks


def _replaced(model: Small) -> None:
    model.head = nn.Linear(12, 3)


def _removed(model: Small) -> None:
    model.drop = nn.Identity()  # type: ignore[assignment]


@pytest.mark.parametrize("change", [_replaced, _removed])
def test_a_model_may_change(change: Callable[[Small], None], tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "changed.bntui"
    with bntui.watch(model, optimizer, path, every=1, quiet=True) as recorder:
        train(model, optimizer, recorder, 1)
        change(model)
        train(model, optimizer, recorder, 1)
    info, frames = recorded(path)
    assert [one.name for one in info.layers] == ["conv", "hidden", "head"]
    assert [frame.step for frame in frames] == [1, 2]


@pytest.mark.usefixtures("in_process")
def test_trouble_of_the_recorder_is_warned_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = bntui.watch(model, optimizer, tmp_path / "full.bntui", every=1, quiet=True)

    def full(*_of: Any, **_named: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("bntui.recording.writer.Writer.commit", full)
    with pytest.warns(RecorderWarning, match="full") as told:  # noqa: PT031
        train(model, optimizer, recorder, 4)
        recorder.close()
    assert len(told) == 1


def test_a_forked_process_writes_nothing(tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "forked.bntui"
    with bntui.watch(model, optimizer, path, every=1, quiet=True) as recorder:
        train(model, optimizer, recorder, 2)
        child = os.fork()
        if child == 0:
            try:
                recorder.epoch(val_loss=5.0)
                recorder.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        train(model, optimizer, recorder, 1)
    assert [frame.step for frame in recorded(path)[1]] == [1, 2, 3]


def test_compiled_models_are_measured_eagerly(tmp_path: Path) -> None:
    model = Small()
    compiled: Any = torch.compile(model, backend="eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "compiled.bntui"
    with bntui.watch(compiled, optimizer, path, every=3, quiet=True) as recorder:
        train(compiled, optimizer, recorder, 4)
    info, frames = recorded(path)
    assert [one.name for one in info.layers] == ["conv", "hidden", "head"]
    assert [frame.step for frame in frames] == [1, 3]
    with closing(Reader(path)) as reader:
        assert reader.meta["torch.compile"] == "measured steps ran eagerly"


@pytest.mark.parametrize(("keyframes", "told"), [(1, "1 keyframe in"), (2, "2 keyframes in")])
def test_the_end_counts_the_keyframes(keyframes: int, told: str) -> None:
    assert summed_up(keyframes, Path("x.bntui"), 0.25) == f"bntui: {told} x.bntui; measuring took 25.0% of the time"
