"""``bntui.watch``: records a PyTorch training loop without changing it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from bntui.errors import UsageError
from bntui.recording.tables import MOST_LAYERS
from bntui.text.language import _
from bntui.watching.course import Course
from bntui.watching.hand_over import row_writer
from bntui.watching.pytorch.plan import Plan
from bntui.watching.pytorch.recorder import Recorder
from bntui.watching.pytorch.roles import roles
from bntui.watching.pytorch.silent import Silent
from bntui.watching.stopping import EarlyStopping, plan_of
from bntui.watching.subject import LoopDescription

Models = nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module]


def watch(
    model: Models,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    every: int | Literal["epoch"] = 100,
    layers: str | Sequence[str] = (),
    scaler: Any = None,
    title: str = "",
    task: Literal["classification", "regression"] = "classification",
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    batch_size: int | None = None,
    early_stopping: EarlyStopping | Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Recorder | Silent:
    """Record a training loop into a file that ``bntui replay`` opens; use it in a ``with`` statement.

    The first step is measured, and every ``every``-th.  Weights, the optimizer's state and random numbers are those of
    the loop without it.

    Args:
        model: the model; several in a sequence, or a mapping that names them.
        optimizer: the optimizer; of several, a step of the first one is a step of the recording.  Without one, each
            call of :meth:`Recorder.step` is a step.
        path: name of the new file; by default one in bntui's folder.
        every: steps between two keyframes; ``"epoch"`` measures the last step of each epoch, as far as its length is
            known: from ``steps_per_epoch``, or from the epoch before.
        layers: names of the layers to record, with shell patterns; by default all.
        scaler: the ``GradScaler`` of mixed precision, so that gradients are recorded unscaled; by default that of an
            optimizer of Accelerate.
        title: what the screen calls it; by default the model's class.
        task: what an accuracy is: a share of right answers, or R² in a regression.
        epochs: how many are planned.
        steps_per_epoch: optimizer steps in an epoch.
        batch_size: samples of a full mini-batch.
        early_stopping: a rule, :class:`bntui.EarlyStopping`, that the recorder applies to what :meth:`Recorder.epoch`
            is told, for :attr:`Recorder.should_stop`; or ``monitor`` and ``patience`` of the loop's own early stopping,
            which it will tell by :meth:`Recorder.early_stopping`.
        quiet: say nothing on stderr.

    Returns:
        The recorder; in a process of a distributed training that is not the first, one that records nothing.

    Raises:
        NameTakenError: the file exists.
        RecordingError: another process records into it.
        StorageError: the folder cannot be written.
        UsageError: an argument makes no sense.
    """
    if isinstance(every, Integral) and not isinstance(every, bool):  # also those of NumPy
        every = int(every)
    if every != "epoch" and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
        raise UsageError(_('every is {every!r}: give a number of steps, or "epoch"').format(every=every))
    models = _models(model)
    optimizers = _optimizers(optimizer)
    found = roles(models, _patterns(layers))
    scaler = _scaler_of(optimizer) if scaler is None else scaler
    if scaler is not None and not hasattr(scaler, "get_scale"):
        raise UsageError(_("watch: scaler is {kind}, not a GradScaler").format(kind=type(scaler).__name__))
    if not any(role.part != "activation" and role.measured for role in found.values()):
        raise UsageError(_("the model has no layer with parameters, so there is nothing to record"))
    if (count := sum(role.part != "activation" and role.measured for role in found.values())) > MOST_LAYERS:
        sentence = _("watch: the model has {count} layers; a recording has at most {most}, so choose some with layers=")
        raise UsageError(sentence.format(count=count, most=MOST_LAYERS))
    rule, stopping = plan_of(early_stopping)
    if _rank():
        return Silent(None if path is None else Path(path), rule)
    first = next(iter(models.values()))
    device = next((str(one.device) for one in first.parameters()), "cpu")
    told = {"torch.compile": "measured steps ran eagerly"} if any(map(_compiled, _sequence(model))) else {}
    name = " + ".join(list(dict.fromkeys(type(one).__name__ for one in models.values()))[:4])
    subject = LoopDescription(
        title or name, "watch", task, model=name, optimizer=" + ".join(type(one).__name__ for one in optimizers),
        device=device, epochs=epochs, steps_per_epoch=steps_per_epoch, batch_size=batch_size, every=every,
        early_stopping=stopping,
        meta={"torch": torch.__version__, **told},
    )  # fmt: skip
    course = Course(row_writer(None if path is None else Path(path), subject), subject, rule)
    averaged = any(_wrapped(one) for one in _sequence(model)) or (bool(optimizers) and _processes() > 1)
    plan = Plan(every, steps_per_epoch, averaged=averaged, compiled=bool(told), quiet=quiet)
    return Recorder(models, optimizers, found, course, plan, scaler)


def _sequence(model: Models) -> list[nn.Module]:
    if isinstance(model, nn.Module):
        return [model]
    return list(model.values()) if isinstance(model, Mapping) else list(model)


def _models(model: Models) -> dict[str, nn.Module]:
    """The models without wrappers, by the prefix of their modules' names."""
    named: dict[str, Any]
    if isinstance(model, Mapping):
        named = {str(name): one for name, one in model.items()}
    elif not isinstance(model, nn.Module | list | tuple):
        named = {"": model}
    else:
        several = _sequence(model)
        named = {"": several[0]} if len(several) == 1 else {str(at): one for at, one in enumerate(several)}
    wrong = [type(one).__name__ for one in named.values() if not isinstance(one, nn.Module)]
    if wrong or not named:
        given = wrong[0] if named else "nothing"
        raise UsageError(_("watch: model is {kind}, not a torch.nn.Module").format(kind=given))
    return {name: _unwrapped(one) for name, one in named.items()}


def _optimizers(optimizer: Optimizer | Sequence[Optimizer] | None) -> list[Optimizer]:
    if optimizer is None:
        return []
    several = list(optimizer) if isinstance(optimizer, Iterable) else [optimizer]
    wrong = next((one for one in several if not isinstance(one, Optimizer)), None)
    if wrong is not None:
        sentence = _("watch: optimizer is {kind}, not a torch.optim.Optimizer; give None to count calls of step()")
        raise UsageError(sentence.format(kind=type(wrong).__name__))
    return [_inner(one) for one in several]


def _patterns(layers: str | Sequence[str]) -> list[str]:
    several = [layers] if isinstance(layers, str) or not isinstance(layers, Iterable) else list(layers)
    wrong = [type(one).__name__ for one in several if not isinstance(one, str)]
    if wrong:
        raise UsageError(_("watch: layers has {kind}, not names of layers").format(kind=wrong[0]))
    return several


def _inner(optimizer: Optimizer) -> Optimizer:
    """The optimizer inside of those of Accelerate and Lightning."""
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    return optimizer


def _scaler_of(optimizer: Optimizer | Sequence[Optimizer] | None) -> Any:
    """The gradient scaler that Accelerate keeps with its optimizers, such as those of Hugging Face's ``Trainer``."""
    several = optimizer if isinstance(optimizer, Iterable) else [optimizer]
    known = (getattr(one, "scaler", None) for one in several)
    return next((one for one in known if hasattr(one, "get_scale")), None)


def _compiled(model: nn.Module) -> bool:
    return any(hasattr(one, "_orig_mod") or getattr(one, "_compiled_call_impl", None) for one in model.modules())


def _unwrapped(model: nn.Module) -> nn.Module:
    """The model inside of ``torch.compile`` and the parallel wrappers."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and _wrapped(model):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def _wrapped(model: nn.Module) -> bool:
    """True if the model itself averages gradients between processes."""
    return isinstance(model, nn.parallel.DistributedDataParallel) or isinstance(
        getattr(model, "_orig_mod", None), nn.parallel.DistributedDataParallel
    )


def _rank() -> int:
    """The number of this process in a distributed training."""
    distributed = _distributed()
    return 0 if distributed is None else int(distributed.get_rank())


def _processes() -> int:
    """How many train together; the loop may average gradients by itself, or with a wrapper that it does not show."""
    distributed = _distributed()
    return 1 if distributed is None else int(distributed.get_world_size())


def _distributed() -> Any:
    """PyTorch's module if this is a process of a distributed training, without importing what is not used; or None."""
    module = sys.modules.get("torch.distributed")
    return module if module is not None and module.is_available() and module.is_initialized() else None
