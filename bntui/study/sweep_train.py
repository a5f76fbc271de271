"""Trains a trial of a sweep into a recording of its own; runs in a worker process."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from bntui import drafts
from bntui.errors import DataError
from bntui.insight.claims import Trained, value
from bntui.link import address
from bntui.recording.reader import Reader
from bntui.scenario.claim_expression import quantity
from bntui.scenario.load import Scenario, parse
from bntui.scenario.schema import RunConfig
from bntui.study.order import Delivery, Pruning, TrialOrder, TrialProgress
from bntui.study.pruning import Pruner
from bntui.study.trial import current_digest, other_data
from bntui.text.language import _
from bntui.trainer.bench import Bench, from_scenario
from bntui.trainer.session import Session


class OtherDataError(DataError):
    """A data file is missing, or is not the one that the sweep was started with."""


def trained(order: TrialOrder, files: Mapping[str, bytes]) -> Delivery:
    """Train an order to its end, or until its pruner ends it; returns its figures and its recording.

    Raises:
        BntuiError: the configuration does not fit the data, or the data or device is missing.
        ImportError: its pruner needs Optuna, which is not installed here.
    """
    scenario = parse(order.text, file=order.file, path=Path(order.file))
    bench = _bench_of(scenario, order, files)
    with tempfile.TemporaryDirectory(prefix="bntui-") as folder:
        path = Path(folder) / "trial.bntui"
        session = Session.begin(scenario, path, bench=bench)
        try:
            course = _course(session, path, order.pruning)
            session.writer.flush()
        finally:
            session.close()
        with closing(Reader(path)) as reader:
            run = Trained(reader.runs[0], reader.history(0), tuple(reader.events(0)))
            figures = {text: value(quantity(text), run) for text in order.quantities}
        return Delivery(figures, recording=path.read_bytes(), course=course)


def _course(session: Session, path: Path, pruning: Pruning | None) -> TrialProgress | None:
    """Train a session to its end, or until a pruner ends it."""
    if pruning is None:
        while not session.over:
            session.epoch(lambda: False)
        return None
    with closing(Reader(path)) as reader:
        pruner = Pruner(pruning, reader.runs[0])
        while not session.over:
            session.epoch(lambda: False)
            session.writer.flush()
            reader.refresh()
            if pruner.prunes(reader.history(0)) and not session.over:
                return pruner.course
        return replace(pruner.course, pruned=False)


def _bench_of(scenario: Scenario, order: TrialOrder, files: Mapping[str, bytes]) -> Bench:
    """The samples, from data files whose checksums are right."""
    config, folder = scenario.runs[0].config, Path(order.file).parent
    places = []
    for name, digest in order.data.items():
        path = Path(name)
        if current_digest(path) != digest:
            if digest not in files:
                raise OtherDataError(other_data(path))
            path = _stored(path.name, digest, files[digest])
        places.append(str(path))
    data = config.data
    if places:
        labels = places[1] if len(places) > 1 else data.labels
        data = data.model_copy(update={"source": places[0], "labels": labels})
    return _bench(config.model_copy(update={"data": data}).model_dump_json(include=_SHARED), folder)


_SHARED = {"data", "seed", "device", "deterministic"}


@lru_cache(1)
def _bench(shared: str, folder: Path) -> Bench:
    """The samples, kept for the next trial with the same seed."""
    from bntui.scenario.network import NetworkConfig
    from bntui.scenario.schema import Record
    from bntui.scenario.training import Training

    config = RunConfig.model_validate_json(
        f'{{"network": {NetworkConfig().model_dump_json()}, "training": {Training().model_dump_json()},'
        f' "record": {Record().model_dump_json()}, {shared[1:]}'
    )
    return from_scenario(config, folder)


def _stored(name: str, digest: str, contents: bytes) -> Path:
    """A data file that was sent, under its own name in a folder of this user, written once."""
    if hashlib.blake2b(contents, digest_size=16).hexdigest() != digest:
        raise DataError(_("{path} was not received as it was sent: the checksums differ").format(path=name))
    folder = Path(tempfile.gettempdir()) / f"bntui-data-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if not address.private(folder.lstat()):  # of a name that everybody can guess, in a folder where everybody writes
        raise DataError(_("{folder} is not accessible to you alone; remove it").format(folder=folder))
    place = folder / digest
    place.mkdir(mode=0o700, exist_ok=True)
    path = place / name
    if not path.exists() or path.stat().st_size != len(contents):
        drafts.put(path, contents, private=True)
    return path
