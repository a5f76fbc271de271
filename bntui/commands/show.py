"""Formats a keyframe as text, or as JSON with the names that the documentation promises."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from rich.cells import cell_len

from bntui.errors import UsageError
from bntui.insight.verdicts import measured, verdict_of
from bntui.keyframe import Distribution, Keyframe
from bntui.link.live import is_live
from bntui.link.registry import recorder
from bntui.recording.as_json import plain, record_of
from bntui.recording.forked import begins, changed, parent_of
from bntui.recording.history import Event, LayerInfo, RunInfo
from bntui.recording.opened import Recording
from bntui.recording.reading import from_meta, task_line
from bntui.recording.seeds import FIGURES, SeedCourse
from bntui.recording.sentences import outcome, traits, why_stopped
from bntui.recording.tables import FAILED
from bntui.text.figures import MINUS, brief, number, whole
from bntui.text.language import _, ngettext
from bntui.text.output import json_text
from bntui.text.table import Column, text_lines
from bntui.text.widths import ljust


def find_run(reader: Recording, run: str | None) -> int:
    """Number of a run that is given by name, in either language, or by number (from 0); the first without one."""
    if run is None:
        return 0
    for names in ([info.name for info in reader.runs], [info.label or None for info in reader.runs]):
        if run in names:
            return names.index(run)
    if run.isdecimal() and int(run) < len(reader.runs):
        return int(run)
    sentence = _("{path} has no run {run!r}; its runs are {runs}")
    raise UsageError(sentence.format(path=reader.path, run=run, runs=_listed(reader.runs)))


def _listed(runs: Iterable[RunInfo]) -> str:
    """Runs by number and name, as ``--run`` takes either; names may contain commas."""
    return ", ".join(f"{info.index} {info.called!r}" for info in runs)


def find_keyframe(reader: Recording, run: int, epoch: float | None) -> Keyframe:
    """The last keyframe of a run, or its last one at or before an epoch."""
    place = reader.frame_at(run, math.inf if epoch is None else epoch)
    if place is None:
        sentence = _("{path} has no keyframe of run {run!r} at or before epoch {epoch}")
        raise UsageError(sentence.format(path=reader.path, run=reader.runs[run].called, epoch=epoch))
    return reader.frame(run, place)


def as_json(reader: Recording, frame: Keyframe) -> str:
    """One keyframe as a JSON object: every recorded figure, and the context needed to read them."""
    info, place = reader.runs[frame.run], reader.place(frame.run, frame.step)
    assert place is not None
    record = {
        "run": info.name,
        "state": state(reader, frame.run),
        "planned": info.epochs,
        "fork": _fork_record(reader.runs, info),
        **record_of(frame),
        "epoch_end": place.epoch_end,
        "task": reader.task,
        "classes": _classes(reader),
        "seeds": [seed_record(course) for course in reader.seed_courses().of(frame.run)],
        "events": [event_record(reader, event) for info in reader.runs for event in reader.events(info.index)],
    }
    for told, layer in zip(info.layers, record["layers"], strict=True):
        layer.update(dict.fromkeys(told.absent))  # never measured, which is not that they are NaN
    if frame.predictions is not None:
        record["predictions"]["grid"] = reader.grid
    return json_text(plain(record))


def _fork_record(runs: Sequence[RunInfo], info: RunInfo) -> dict[str, Any] | None:
    """Where a fork begins and what it changes, as a JSON object; None for other runs."""
    above = parent_of(info)
    if above is None or info.fork is None:
        return None
    changes = [{"setting": path, "before": old, "after": new} for path, old, new in info.fork.changes]
    return {"run": runs[above].name, "step": info.fork.step, "epoch": info.fork.epoch, "changes": changes}


def fork_lines(runs: Sequence[RunInfo], run: int) -> Iterator[str]:
    """Where a fork begins and what it changes; nothing for other runs."""
    above, fork = parent_of(runs[run]), runs[run].fork
    if above is not None and fork is not None:
        yield "; ".join(filter(None, (begins(fork, repr(runs[above].called)), changed(fork))))


def seed_record(course: SeedCourse) -> dict[str, Any]:
    """What is recorded of a run with another seed, as a JSON object: its last epoch, and how it ended."""
    end, count = course.end, course.figures.shape[1]
    last = dict(zip(FIGURES, course.figures[:, -1].tolist(), strict=True)) if count else dict.fromkeys(FIGURES)
    return {
        "seed": course.seed, "state": "interrupted" if end is None else end.kind,
        "epoch": end.epoch if end is not None else course.first + count - 1, **last,
        "gradient_ratio": None if end is None else end.ratio, "message": "" if end is None else end.reason,
    }  # fmt: skip


def seed_lines(courses: Sequence[SeedCourse]) -> Iterator[str]:
    """Which other seeds are recorded, the range of their last validation losses, and which of them failed."""
    trained = [course for course in courses if course.figures.shape[1]]
    losses = [float(course.figure("val_loss")[-1]) for course in trained if course.end is not None]
    wild = sum(not math.isfinite(loss) for loss in losses)
    losses = [loss for loss in losses if math.isfinite(loss)]
    if trained:
        said = _("other seeds {seeds}").format(seeds=_ranges([course.seed for course in trained]))
        spread = _("validation loss at their ends {low} to {high}")
        said += "   " + spread.format(low=_loss(min(losses)), high=_loss(max(losses))) if losses else ""
        if wild:
            diverged = ngettext(
                "validation loss not finite in {count} of them", "validation loss not finite in {count} of them", wild
            )
            said += "   " + diverged.format(count=wild)
        going = sum(course.end is None for course in trained)
        left = ngettext("{count} of them has not ended", "{count} of them have not ended", going)
        yield said + ("   " + left.format(count=going) if going else "")
    for course in courses:
        if course.end is not None and course.end.kind == FAILED:
            yield _("seed {seed} was not trained: {reason}").format(seed=course.seed, reason=course.end.reason)


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers, those that follow each other as a range."""
    found: list[list[int]] = []
    for one in numbers:
        if found and one == found[-1][-1] + 1:
            found[-1].append(one)
        else:
            found.append([one])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}–{part[-1]}" for part in found)


def event_record(reader: Recording, event: Event) -> dict[str, Any]:
    """An event as a JSON object; its message is in English, as it was recorded."""
    return {
        "kind": event.kind, "run": reader.runs[event.run].name, "epoch": event.epoch, "step": event.step,
        "message": event.message, "arguments": dict(event.arguments),
    }  # fmt: skip


def state(reader: Recording, run: int) -> str:
    """What became of a run, as a program reads it: ``training``, ``interrupted``, or what ended it."""
    end = outcome([[event.kind for event in reader.events(run)]])
    alive = end == "interrupted" and (is_live(reader.path) or recorder(reader.path) is not None)
    return "training" if alive else str(end)


def _classes(reader: Recording) -> int:
    """Number of classes; 0 in regression."""
    found = from_meta(reader.meta)
    if found is not None:
        return found.classes
    known = reader.task == "classification" and not reader.runs[0].watched
    return reader.runs[0].layers[-1].shape[-1] if known else 0


def data_lines(reader: Recording) -> Iterator[str]:
    """What was learned from, the task, and how a file was read; an older recording knows less."""
    found = from_meta(reader.meta)
    if found is not None:
        lines = found.lines()
        yield _("data: {summary}").format(summary=next(lines))
        yield from (f"  {line}" for line in lines)
        return
    if all(info.watched for info in reader.runs):
        yield _("a training loop of your own, recorded by bntui.{function}").format(function=reader.runs[0].told["by"])
        return
    yield _("data: {summary}").format(summary=task_line(reader.task, _classes(reader)))


def as_text(reader: Recording, frame: Keyframe, width: int | None = None) -> str:
    """One keyframe as an aligned text.

    Args:
        width: cells that its table may take; by default as many as it needs.
    """
    return "\n".join(_lines(reader, frame, width))


def _lines(reader: Recording, frame: Keyframe, width: int | None) -> Iterator[str]:
    score = _("accuracy") if reader.task == "classification" else "R²"
    others = [info for info in reader.runs if info.index != frame.run]
    yield f"{reader.title} · {reader.runs[frame.run].called}"
    yield from data_lines(reader)
    if others:
        yield _("other runs, by --run: {names}").format(names=_listed(others))
    yield from seed_lines(reader.seed_courses().of(frame.run))
    yield from fork_lines(reader.runs, frame.run)
    for event in reader.events(frame.run):
        if event.epoch <= frame.epoch:
            yield _("epoch {epoch:g}: {event}").format(epoch=event.epoch, event=event.text)
    info = reader.runs[frame.run]
    last = reader.place(frame.run)
    if last is not None and not info.watched and state(reader, frame.run) == "interrupted":
        yield _("interrupted at epoch {epoch:g} of {epochs}; resume it with: bntui resume {recording}").format(
            epoch=last.epoch, epochs=whole(info.epochs), recording=reader.path
        )
    where = _("epoch {epoch:g} of {epochs}   step {step}   learning rate {lr}   batch of {batch}")
    if info.watched:
        where = _("epoch {epoch:g}   step {step}   learning rate {lr}")
    yield where.format(
        epoch=frame.epoch,
        epochs=whole(info.epochs),
        step=whole(frame.step),
        lr="—" if math.isnan(frame.lr) else f"{frame.lr:g}",
        batch=len(frame.batch_indices),
    )
    if not math.isnan(frame.gradient_scale):
        scaled = _("gradient scale {scale} of mixed precision; gradients are shown without it")
        yield scaled.format(scale=f"{frame.gradient_scale:,g}")
    parts = (_("training"), _("validation"))
    aligned = max(map(cell_len, parts))
    figures = _("{part}   loss {loss}   {score} {value}")
    trained, held_out = (_known(of_part, info) for of_part in (frame.train_accuracy, frame.val_accuracy))
    loss = "—" if info.watched and math.isnan(frame.val_loss) else _loss(frame.val_loss)  # a loop tells it now and then
    broken = any(traits(event.kind).trouble and event.epoch <= frame.epoch for event in reader.events(frame.run))
    untold = info.watched and math.isnan(frame.train_loss) and not broken
    train_loss = "—" if untold else _loss(frame.train_loss)
    so_far = figures.format(part=ljust(parts[0], aligned), loss=train_loss, score=score, value=trained)
    yield f"{so_far}   {_('(the epoch so far)')}"
    validated = figures.format(part=ljust(parts[1], aligned), loss=loss, score=score, value=held_out)
    forgotten = reader.runs[frame.run].setting("training", "validation_mode") == "training"
    yield f"{validated}   ({_('in training mode')})" if forgotten else validated
    early = frame.early_stopping
    if early is not None:
        rule = reader.runs[frame.run].early_stopping
        why = why_stopped(early, None if rule is None else rule["baseline"])
        waiting = _("wait {wait}/{patience}").format(wait=early.wait, patience=early.patience)
        sentence = _("early stopping   {monitor} best {best} at epoch {epoch}   {state}")
        if math.isnan(early.best):
            sentence = _("early stopping   {monitor} no best value yet   {state}")
        yield sentence.format(
            monitor=early.monitor, best=brief(early.best, 6), epoch=early.best_epoch, state=why or waiting
        )
    yield ""
    yield from _table(frame, info.layers, width)
    if frame.layers:
        verdict = verdict_of(frame.layers, measured(info.layers))
        yield _("gradients   {verdict}").format(verdict=verdict.sentence)
    for layer in frame.layers:
        if layer.dropout is not None:
            yield _("dropout in {layer}: kept {kept:.1%}, expected {expected:.1%}").format(
                layer=layer.name, kept=layer.dropout.kept_fraction, expected=1 - layer.dropout.p
            )


def _spread(values: Distribution) -> str:
    """Mean ± standard deviation in columns that hold whatever the figures are."""
    return f"{number(values.mean, 8)} ± {number(values.std, 7)}".replace(MINUS, "-")


def _known(score: float, info: RunInfo) -> str:
    """An accuracy; a dash where a watched loop does not report it."""
    return "—" if info.watched and math.isnan(score) else brief(score)


def _loss(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else brief(value)


def _scientific(value: float) -> str:
    return f"{value:.2e}" if math.isfinite(value) else brief(value)


STEP_FIGURES: Final = ("weight_gradient_norm", "update_ratio")


def _table(frame: Keyframe, infos: Sequence[LayerInfo], width: int | None) -> Iterator[str]:
    """Mean ± standard deviation of each layer at three places, its gradient and how far the step moved it."""
    columns = (
        Column(_("layer")),
        Column(_("before norm"), right=True, goes=4),
        Column(_("after norm"), right=True, goes=2),
        Column(_("after activation"), right=True),
        Column("|∂L/∂W|", right=True, goes=3),
        Column("|Δw|/|w|", right=True, goes=1),
    )
    rows = [
        (
            layer.name,
            *("—" if v is None or v.empty else _spread(v) for v in (layer.pre_norm, layer.normalized, layer.output)),
            *(
                "—" if layer.uncalled or field in told.absent else _scientific(getattr(layer, field))
                for field in STEP_FIGURES
            ),
        )
        for layer, told in zip(frame.layers, infos if frame.layers else (), strict=True)
    ]
    return text_lines(columns, rows, width)
