"""One of two processes that train a model together, alone and watched; see ``test_watch_distributed.py``.

python -m tests.watched_pair RANK FOLDER
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

import bntui

STEPS = 5


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))


def average(model: nn.Module) -> None:
    """As a loop does that has no wrapper."""
    for one in model.parameters():
        distributed.all_reduce(one.grad)
        assert one.grad is not None
        one.grad /= 2


def sharded(model: nn.Sequential) -> Any:
    from torch.distributed.fsdp import fully_shard

    for layer in (model[0], model[4]):
        fully_shard(layer)
    return fully_shard(model)


def own(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process has."""
    found: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return found


def train(rank: int, path: Path | None, kind: str) -> tuple[list[str], list[float]]:
    """Digests of the state after each step, and the norms of the averaged gradients of the first weight."""
    model = network()
    wrap: dict[str, Any] = {"wrapped": DistributedDataParallel, "by hand": lambda one: one, "sharded": sharded}
    whole = wrap[kind](model)
    optimizer = torch.optim.Adam(whole.parameters(), lr=0.01)
    torch.manual_seed(rank)
    digests, norms = [], []
    watched: Any = nullcontext() if path is None else bntui.watch(whole, optimizer, path, every=2, quiet=True)
    with watched as recorder:
        for _ in range(STEPS):
            loss = whole(torch.randn(4, 6)).square().mean()
            loss.backward()
            if kind == "by hand":
                average(model)
            gradient = model.get_parameter("0.weight").grad
            assert gradient is not None
            norms.append(float(own(gradient).double().norm()))
            optimizer.step()
            optimizer.zero_grad()
            if recorder is not None:
                recorder.step(loss=loss)
            digest = hashlib.blake2b(digest_size=16)
            states = [one for state in optimizer.state.values() for one in state.values()]
            for one in (*model.state_dict().values(), *states, torch.get_rng_state(), loss.detach()):
                digest.update(own(one).numpy().tobytes())
            digests.append(digest.hexdigest())
    return digests, norms


def train_hugging(path: Path | None) -> tuple[list[str], list[float]]:
    """The same by Hugging Face's ``Trainer``, which shows its callbacks the model without the wrapper."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from bntui.watching.hugging_face import BntuiCallback

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            out = self.net(x)
            return {"loss": functional.cross_entropy(out, labels), "logits": out}

    model, norms = Model(), []

    class Norms(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **told: Any) -> None:  # noqa: ARG002
            gradient = model.get_parameter("net.0.weight").grad
            assert gradient is not None
            norms.append(float(gradient.double().norm()))

    rows = [{"x": torch.randn(6), "labels": at % 2} for at in range(8 * STEPS)]
    arguments = TrainingArguments(
        output_dir=str((path or Path("none")).parent), per_device_train_batch_size=4, num_train_epochs=1, use_cpu=True,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, ddp_backend="gloo",
        max_grad_norm=0.1,
    )  # fmt: skip
    ours = [] if path is None else [BntuiCallback(path, every=2, quiet=True)]
    Trainer(model, arguments, train_dataset=rows, callbacks=[Norms(), *ours]).train()
    return [hashlib.blake2b(one.numpy().tobytes()).hexdigest() for one in model.state_dict().values()], norms


def main() -> None:
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1")
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    told: dict[str, Any] = {}
    for kind in ("wrapped", "by hand", "sharded"):
        alone, norms = train(rank, None, kind)
        watched, _norms = train(rank, folder / f"{kind}-{rank}.bntui", kind)
        told[kind] = [alone, watched, norms]
    with suppress(ModuleNotFoundError):  # transformers and accelerate are not everywhere
        alone, norms = train_hugging(None)
        watched, _norms = train_hugging(folder / f"hugging-{rank}.bntui")
        told["hugging"] = [alone, watched, norms]
    (folder / f"{rank}.json").write_text(json.dumps(told), encoding="utf-8")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
