"""Tests that torch works as usual while modules of it wait for their first use, and that training is no such use."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest

from bntui.trainer import lazy_torch
from tests.spread import ALL

ROOT: Final = Path(__file__).parents[1]
lazily = pytest.mark.skipif(
    version("torch") not in lazy_torch.TESTED, reason="this build of torch is imported as usual"
)
LAZILY: Final = "from bntui.trainer import lazy_torch\nassert lazy_torch.import_torch()\nimport torch\n"
USUALLY: Final = "import torch\n"


def told(script: str, *arguments: object) -> Any:
    """What a script prints last, as JSON, in a process of its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_pinned_torch_is_a_tested_one() -> None:
    pinned = next(
        line.partition("==")[2] for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:7] == "torch=="
    )
    assert any(build.partition("+")[0] == pinned for build in lazy_torch.TESTED)


USES: Final = [
    "assert torch.vmap(lambda x: x * 2)(ones(3)).sum() == 6 and torch.vmap is torch.func.vmap",
    "assert torch.cond(torch.tensor(True), lambda x: x + 1, lambda x: x - 1, (ones(1),)) == 2",
    "compiling = torch.compiler.is_compiling\nassert not compiling()\n"
    "assert torch.compile(lambda x: x + torch.compiler.is_compiling(), backend='eager')(ones(1)) == 2",
    "torch.export.export(torch.nn.Linear(2, 2), (ones(1, 2),))",
    "from torch.export import Dim; Dim('batch')",
    "import torch._prims; assert torch._prims.__spec__.has_location",
    "import torch.ao.quantization.quantize_fx; torch.quantization.QuantStub()",
    "import torch._dynamo; ones(3, 4, device='meta').addmm(ones(3, 5, device='meta'), ones(5, 4, device='meta'))",
    "from torch._subclasses.fake_tensor import FakeTensorMode\n"
    "with FakeTensorMode(): torch.nn.Linear(2, 3)(ones(1, 2))",
    "from torch.utils.data import DataLoader; assert len(list(DataLoader(ones(4, 2), batch_size=2))) == 2",
    "from threading import Thread\n"
    "threads = [Thread(target=lambda: torch.func.grad(torch.sum)(ones(2))) for _ in range(8)]\n"
    "for thread in threads: thread.start()\n"
    "for thread in threads: thread.join()",
]


@lazily
@pytest.mark.parametrize("use", USES if ALL else [USES[0], USES[2], USES[6], USES[-1]])
def test_what_uses_a_module_that_was_left_works(use: str) -> None:
    script = f"""{LAZILY}
import copy, inspect, json, pickle
from torch import ones
waiting = lazy_torch.left()
inspect.getmodule(torch.nn.Linear), pickle.dumps(torch.nn.Linear(2, 2)), copy.deepcopy(torch.nn.LSTM(2, 2))
assert lazy_torch.left() == waiting  # to look at all modules, or to copy objects of torch, is no use
{use}
print(json.dumps([waiting, lazy_torch.left()]))
"""
    waiting, after = told(script)
    assert sorted(waiting) == sorted(lazy_torch.LEFT)
    assert not after


REGISTERED: Final = """
import json
keys = ["CPU", "CUDA", "Autograd", "AutogradCPU", "AutogradCUDA", "CompositeImplicitAutograd", "BackendSelect",
        "CompositeExplicitAutograd", "ADInplaceOrView", "AutocastCPU", "MkldnnCPU", "SparseCPU", "Python"]
print(json.dumps({
    key: sorted(name for name in torch._C._dispatch_get_registrations_for_dispatch_key(key) if name[:6] == "aten::")
    for key in keys
}))
"""


@lazily
def test_every_operator_has_the_kernels_that_it_has_otherwise() -> None:
    usual = told(USUALLY + REGISTERED)
    assert told(LAZILY + REGISTERED) == usual
    assert len(usual["CPU"]) > 1000


NETWORKS: Final = (
    "convolution", "recurrent", "covariate-shift", "batch-normalization", "small-batches", "dropout-before-batch-norm",
    "zero-variance-recurrent", "exploding-gradients",
)[: None if ALL else 3]  # fmt: skip
"""Built-in scenarios that have every kind of layer, normalization, cell, and draw between them."""
TRAINED: Final = """
import json, sys
from contextlib import closing
from pathlib import Path
from bntui.recording.reader import Reader
from bntui.scenario.gallery import find
from bntui.scenario.load import load
from bntui.trainer.session import Session
digests = {}
for name in sys.argv[2:]:
    for engine in ("explicit", "autograd"):
        path = Path(sys.argv[1]) / f"{name}-{engine}.bntui"
        overrides = [("training.engine", engine), ("training.epochs", 1)]
        session = Session.begin(load(find(name), overrides), path, overrides)
        while not session.over:
            session.epoch(lambda: False)
        session.close()
        with closing(Reader(path)) as reader:
            digests[f"{name}, {engine}"] = [sorted(reader.weights(run.index).items()) for run in reader.runs]
print(json.dumps([digests, lazy_torch.left() if "lazy_torch" in globals() else []]))
"""


@lazily
def test_training_executes_none_of_them_and_gives_the_same_weights(tmp_path: Path) -> None:
    kinds = (
        ("usual", USUALLY),
        ("lazy", LAZILY),
        ("executed", f"{LAZILY}torch.func.grad\nassert not lazy_torch.left()\n"),
    )
    found = {}
    for kind, script in kinds:
        (tmp_path / kind).mkdir()
        found[kind] = told(script + TRAINED, tmp_path / kind, *NETWORKS)
    (usual, _), (lazy, waiting), (executed, nothing) = found.values()
    assert len(usual) == 2 * len(NETWORKS)
    assert lazy == usual
    assert executed == usual
    assert sorted(waiting) == sorted(lazy_torch.LEFT)
    assert not nothing


@lazily
@pytest.mark.parametrize(
    "process",
    ["from bntui.trainer_process import _warm; _warm()", "import bntui.study.preloaded, bntui.study.together"],
)
def test_the_trainer_and_the_workers_of_studies_leave_them(process: str) -> None:
    script = f"import json\n{process}\nfrom bntui.trainer import lazy_torch\nprint(json.dumps(lazy_torch.left()))"
    assert sorted(told(script)) == sorted(lazy_torch.LEFT)


WORKER: Final = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from bntui.study import pool
from bntui.study.trial import Over
def serve(pipe, nice):
    from bntui.trainer import lazy_torch
    pipe.recv()
    pipe.send(Over(0.0, " ".join(lazy_torch.left())))
if __name__ == "__main__":
    pool.serve = serve
    ((_number, over),) = pool.answers([SimpleNamespace(threads=1)], 1)
    print(json.dumps(over.failure.split()))
"""


@lazily
def test_a_forked_worker_has_them_left_too(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(WORKER)
    assert sorted(told(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")) == sorted(
        lazy_torch.LEFT
    )


@pytest.mark.parametrize("before", ["import torch", "lazy_torch.TESTED = ('1.0',)"])
def test_torch_is_imported_as_usual_if_it_was_before_or_its_build_is_unknown(before: str) -> None:
    script = f"""
import json, sys
from bntui.trainer import lazy_torch
{before}
finders = list(sys.meta_path)
print(json.dumps([lazy_torch.import_torch(), lazy_torch.left(), sys.meta_path == finders]))
"""
    assert told(script) == [False, [], True]
