"""Measures how long it takes to export a recording in each format, and how large the files are.

    python -m benchmarks.export [--keyframes 1000] [--rounds 3] [--json]

The recording is that of ``benchmarks.long``: a network with two layers of eight units.  Figures are seconds of CPU time
without the start of the interpreter, the smallest of the rounds.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.long import lengthen, recorded
from benchmarks.report import parser
from bntui.drafts import drafts
from bntui.export.formats import FORMATS, Format
from bntui.export.request import Request
from bntui.recording.reader import Reader


def exported(path: Path, target: Path, chosen: Format) -> float:
    """Export into a new folder; returns the seconds."""
    shutil.rmtree(target, ignore_errors=True)
    began = time.process_time()
    with closing(Reader(path)) as reader, reader.snapshot(), drafts() as made:
        request = Request(target=made.folder(target), folder=True)
        chosen.writer()(reader, request, made, lambda _done, _total: None)
    return time.process_time() - began


def main() -> None:
    arguments = parser(__doc__, rounds=3)
    arguments.add_argument("--keyframes", type=int, default=1_000)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, target = Path(folder, "long.bntui"), Path(folder, "out")
        recorded(path)
        lengthen(path, options.keyframes)
        found = {}
        for one in filter(lambda one: one.fills_folder, FORMATS):
            seconds = min(exported(path, target, one) for _ in range(options.rounds))
            size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
            found[one.name] = {"seconds": seconds, "bytes": size}
        recording = path.stat().st_size
    if options.json:
        print(json.dumps({"keyframes": options.keyframes, "recording": recording, "formats": found}))
        return
    print(f"{options.keyframes:,} keyframes, {recording / 1e6:.0f} MB")
    for name, told in found.items():
        print(f"{name:12} {told['seconds']:6.2f} s  {told['bytes'] / 1e6:6.1f} MB")


if __name__ == "__main__":
    main()
