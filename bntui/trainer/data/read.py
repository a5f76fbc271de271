"""Reads the user's data files.  The file name determines the format; each has its own module."""

from __future__ import annotations

from pathlib import Path

from bntui.errors import DataError
from bntui.scenario.sources import kind_of
from bntui.text.language import _
from bntui.text.library_messages import reason
from bntui.text.output import clean
from bntui.trainer.data.contents import Choices, Contents
from bntui.trainer.data.csv_file import read_csv
from bntui.trainer.data.idx_file import read_idx
from bntui.trainer.data.npz_file import read_npz


def read_file(path: Path, choices: Choices, labels: Path | None = None) -> Contents:
    """Read a data file; ``labels`` is the second file of an IDX pair.

    Raises:
        DataError: the file cannot be used; the message names the file, and for a table the row and column of the first
            faulty cells.
    """
    kind = kind_of(path.name)
    try:
        if kind == "table":
            return read_csv(path, choices)
        if kind == "npz":
            return read_npz(path, choices)
        return read_idx(path, labels, choices)
    except OSError as error:
        place = Path(error.filename) if error.filename else path
        sentence = (
            _(
                "{place}: {reason}; put train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz, as distributed"
                " with MNIST and Fashion-MNIST, into one folder, and give the first with --set data.source=PATH"
            )
            if kind == "idx"
            else _(
                "{place}: {reason}; paths are relative to the scenario file; give your own with --set data.source=PATH"
            )
        )
        raise DataError(clean(sentence.format(place=place, reason=reason(error)))) from error
    except DataError as error:  # a file name may contain escape sequences
        raise DataError("\n".join(map(clean, str(error).split("\n")))) from error
