"""One of two processes that train a model together, alone and watched; see ``test_watch_distributed.py``.

python -m tests.watched_pair RANK FOLDER
"""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import bntui

STEPS = 5


def train(rank: int, path: Path | None) -> tuple[list[str], list[float]]:
    """Digests of the state after each step, and the norms of the averaged gradients of the first weight."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    whole = DistributedDataParallel(model)
    optimizer = torch.optim.Adam(whole.parameters(), lr=0.01)
    torch.manual_seed(rank)
    digests, norms = [], []
    watched: Any = nullcontext() if path is None else bntui.watch(whole, optimizer, path, every=2, quiet=True)
    with watched as recorder:
        for _ in range(STEPS):
            loss = whole(torch.randn(4, 6)).square().mean()
            loss.backward()
            gradient = model.get_parameter("0.weight").grad
            assert gradient is not None
            norms.append(float(gradient.double().norm()))
            optimizer.step()
            optimizer.zero_grad()
            if recorder is not None:
                recorder.step(loss=loss)
            digest = hashlib.blake2b(digest_size=16)
            states = [one for state in optimizer.state.values() for one in state.values()]
            for one in (*model.state_dict().values(), *states, torch.get_rng_state(), loss.detach()):
                digest.update(one.numpy().tobytes())
            digests.append(digest.hexdigest())
    return digests, norms


def main() -> None:
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    alone, norms = train(rank, None)
    watched, _norms = train(rank, folder / f"{rank}.bntui")
    (folder / f"{rank}.json").write_text(json.dumps([alone, watched, norms]), encoding="utf-8")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
