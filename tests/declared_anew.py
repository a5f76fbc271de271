"""Run in a process of its own: keyframes with a figure more in each place, recorded, read, and shown as JSON.

``bntui.keyframe`` is loaded with fields added to its source; everything else is as it is.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ADDED = {
    "class LayerMeasures:": '''
    roughness: Annotated[float, replace(LAYERS, since=3)] = 0.25
    """A scalar of each layer."""
    profile: Annotated[SingleArray | None, Kept("block", "profile", "units", since=3)] = None
    """An array of each layer."""
''',
    "class Keyframe:": '''
    surprise: Annotated[float, ROW] = 1.5
    """A scalar."""
    ranks: Annotated[IntArray | None, Kept("block", "ranks", "batch size", since=3, json="batch.ranks")] = None
    """An array."""
''',
}


def load_with_more_fields() -> ModuleType:
    """``bntui.keyframe`` with each of ``ADDED`` at the end of its class."""
    spec = importlib.util.find_spec("bntui.keyframe")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    for head, fields in ADDED.items():
        end = source.index("\n\n\n", source.index(head))
        source = source[:end] + "\n" + fields.strip("\n") + source[end:]
    module = importlib.util.module_from_spec(spec)
    sys.modules["bntui.keyframe"] = module
    exec(compile(source, spec.origin, "exec"), module.__dict__)
    return module


def main(path: Path) -> None:
    load_with_more_fields()
    from dataclasses import replace
    from typing import Any

    import numpy as np

    from bntui.cli import obey
    from bntui.recording.codec import pack_arrays
    from bntui.recording.writer import Writer
    from tests.factory import run_view

    run = run_view(norm=True)
    frame: Any = run.frame
    layers = tuple(
        replace(layer, roughness=0.5 + at, profile=np.array([at, 0.1, np.nan], np.float32))
        for at, layer in enumerate(frame.layers)
    )
    ranks = np.arange(len(frame.batch_indices)) * 300
    frame = replace(frame, run=0, layers=layers, surprise=2.5, ranks=ranks)
    writer = Writer.create(path, {"title": "A test", "task": "classification", "scenario": "", "train_samples": "4"})
    scaling = pack_arrays({"offset": np.zeros(2), "factor": np.ones(2)}, {"kind": "minmax"})
    writer.add_run(replace(run.info, index=0), scaling, 1e6)
    writer.commit(frame, epoch_end=True)
    writer.close()
    obey(["show", str(path), "--json"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
