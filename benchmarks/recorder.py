"""Measures what one keyframe of ``bntui.record`` costs, in CPU time: all of it, and packing and writing alone.

python -m benchmarks.recorder
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from bntui.keyframe import Keyframe
from bntui.recording.packed import packed
from bntui.recording.reader import Reader
from bntui.watching.record import record
from tools import takes_no_options

KEYFRAMES = 30


def layers(count: int, samples: int, units: int) -> dict[str, dict[str, Any]]:
    """Layers of which everything is told."""
    rng = np.random.default_rng(0)
    values, weight = rng.normal(size=(samples, units)), rng.normal(size=(units, units))
    of_layer = {"input": values, "pre_activation": values, "output": values, "weight": weight, "gradient": weight}
    return {f"layer.{number}": of_layer for number in range(count)}


def main() -> None:
    for count, samples, units in ((3, 64, 100), (200, 16, 32)):
        with tempfile.TemporaryDirectory() as folder:
            path, given, spent = Path(folder) / "own.bntui", layers(count, samples, units), []
            with record(path) as recorder:
                for step in range(1, KEYFRAMES + 1):
                    before = process_time()
                    recorder.keyframe(step, step / 1000, given, loss=1.0, lr=0.1)
                    spent.append(process_time() - before)
            reader = Reader(path)
            frame: Keyframe = reader.keyframe(0, 0)
            reader.close()
            before = process_time()
            packed(frame, epoch_end=False)
            packing = process_time() - before
            size = path.stat().st_size / KEYFRAMES
        print(
            f"{count:4} layers of {samples}×{units}: {1e3 * median(spent):7.2f} ms a keyframe, "
            f"{1e3 * packing:5.2f} ms of it packing, {size / 1e3:6.1f} kB"
        )


if __name__ == "__main__":
    takes_no_options(__doc__)
    main()
