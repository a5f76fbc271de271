"""Draws the rows around the panels: header, tabs and footer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size

from bntui.keyframe import Foreign
from bntui.link import Status
from bntui.recording.history import RunInfo
from bntui.recording.sentences import EventKind, ending_word, is_over, traits
from bntui.text import figures
from bntui.text.figures import count
from bntui.text.language import N_, _, ngettext
from bntui.text.widths import wrap
from bntui.viewer import epochs, live_states
from bntui.viewer.draw.cells import begins
from bntui.viewer.draw.rows import Drawing, Row, Span, fit, width
from bntui.viewer.family import brief
from bntui.viewer.keys import footer_of
from bntui.viewer.lab_keys import ESSENTIAL, LabSituation, useful
from bntui.viewer.layout import SMALLEST
from bntui.viewer.panels import PANELS
from bntui.viewer.view import SAME, RunView, View

TOO_SMALL: Final = N_("This screen is too small for a training run: make it at least {width}x{height}.")
LATE: Final = N_("slow line: panels update less often")
BRIEF: Final = 18
"""Maximum width of a fork's name in cells; it starts with its parent's name."""


def pace_text(pace: float | None) -> str:
    """Epochs a second as they are asked for."""
    return _("unthrottled") if pace is None else f"{pace:.2g}/s" if pace < 10 else f"{pace:,.0f}/s"


RECORDING: Final = Foreign("recording")
"""The state of a recording whose loop still runs."""
TRAINED: Final = Foreign("trained")
"""The state of a recording whose trainer this screen is not connected to, because it is read-only."""


def state_words(state: live_states.State, ending: EventKind | Foreign = "finished") -> tuple[str, str]:
    """The trainer's state in words, and its style.

    Args:
        ending: how the training of the recording ended; ``RECORDING`` while a loop of the user's own is recorded,
            ``TRAINED`` while a trainer trains that a read-only screen follows.
    """
    if isinstance(state, live_states.Leaving):
        return _("⊘ stopping …"), "warn"
    if isinstance(state, live_states.Renewing):
        return _("◌ training again …"), "warn"
    if isinstance(state, live_states.Starting):
        if state.seeds is not None:
            return _("◌ training seeds …"), "warn"
        return (_("◌ resuming …") if state.fork is None else _("◌ forking …")), "warn"
    if isinstance(state, live_states.Live) and state.asked is not None:
        return _("◌ forking …"), "warn"
    if isinstance(state, live_states.Replay) and state.gone:
        return _("✗ trainer gone"), "bold bad"
    status = live_states.status_of(state)
    if status is None and ending == TRAINED:
        return _("▶ live, read-only"), "good"
    if status is None and ending == RECORDING:
        return _("▶ recording"), "good"
    if status is None:
        if isinstance(state, live_states.Live):
            return _("▶ starting"), "muted"
        return (_("⊘ interrupted"), "warn") if ending == "interrupted" else (_("replay"), "muted")
    return _status_words(status, ending)


def _status_words(status: Status, ending: EventKind | Foreign) -> tuple[str, str]:
    if status.state == "running" and status.seeds and ending != "interrupted":  # they keep no pace
        words = ngettext("▶ training {count} seed", "▶ training {count} seeds", status.seeds)
        return words.format(count=status.seeds), "good"
    if status.state == "running":
        measured = f" ({status.rate:.0f}/s)" if status.pace is None and status.rate >= 1 else ""
        return _("▶ running {pace}").format(pace=pace_text(status.pace)) + measured + _seeds_left(status), "good"
    if status.state == "finished" and ending not in (status.state, "interrupted"):  # all runs alike
        end = traits(ending)
        return f"{end.mark} {ending_word(ending)}", "bold bad" if end.wrong else "text"
    return {
        "paused": (_("❚❚ paused {pace}").format(pace=pace_text(status.pace)) + _seeds_left(status), "warn"),
        "finished": (_("✓ finished"), "text"),
        "stopped": (_("⊘ stopped"), "text"),
        "failed": (_("✗ failed"), "bold bad"),
    }[status.state]


def _seeds_left(status: Status) -> str:
    """How many trainings with other seeds have not ended."""
    if not status.seeds:
        return ""
    return " · " + ngettext("{count} seed", "{count} seeds", status.seeds).format(count=status.seeds)


def where(view: View) -> tuple[str, str]:
    """The cursor's place as on the timeline, with the step of the selected run there, or where that run ended before.

    Both are as wide as they will be at the end of the run, so that what stands beside them does not move.  The second
    wording is the place alone.
    """
    run = view.runs[view.selected]
    if run.row < 0 and not begins(run):
        return (_("no keyframe yet"),) * 2
    end = count(round(run.end if view.cursor <= run.end + SAME else view.end))
    at = epochs.text(view.cursor, view.unit)
    step, steps, most_epochs = count(int(run.history.step[run.row])), count(run.last_step), epochs.widest(run)
    if view.unit == "step":
        place = _("step {step}/{steps}").format(step=at, steps=end) + " " * (len(end) - len(at))
    else:
        place = _("epoch {epoch}/{epochs}").format(epoch=at, epochs=end) + " " * (most_epochs - len(at))
    if run.row < 0:
        return f"{place}   {begins(run)}", begins(run)
    if (behind := lag(view, run)) is not None:
        return f"{place}   {behind}", place
    if view.unit == "step":
        there = _("epoch {epoch}").format(epoch=figures.epoch(run.history.epoch[run.row]).ljust(most_epochs))
    else:
        there = _("step {step}").format(step=step.ljust(len(steps)))
    return f"{place}   {there}", place


def lag(view: View, run: RunView) -> str | None:
    """In words, that a run shows a keyframe before the cursor; None where it shows one at the cursor, or none."""
    if run.row < 0:
        return None
    shown = float(run.history.position[run.row])
    if view.cursor - shown <= SAME:
        return None
    ended = run.row == len(run.history) - 1 and is_over(event.kind for event in run.events)
    place = f"{epochs.name(view.unit)} {epochs.text(shown, view.unit)}"
    sentence = _("{run} ended at {place}") if ended else _("{run} at {place}")
    return sentence.format(run=run.mark, place=place)


def dated(drawing: Drawing, view: View, cells: int) -> Drawing:
    """A panel's drawing whose title says which run shows a keyframe before the cursor, where there is room."""
    lags = [words for run in view.shown if (words := lag(view, run)) is not None]
    title = " · ".join((drawing.title, *lags))
    return drawing._replace(title=title) if lags and cell_len(title) <= cells - 8 else drawing


def remnant_text(run: RunView) -> str:
    """How many samples a small mini-batch has that was measured."""
    words = ngettext("mini-batch of {count} sample", "mini-batch of {count} samples", run.remnant)
    return words.format(count=count(run.remnant))


def data_text(view: View, facts: Mapping[str, str]) -> str:
    """Data source, number of samples if recorded, task, and device."""
    info = view.runs[view.selected].info
    if info.watched:
        names = [str(info.told.get(key, "")) for key in ("model", "optimizer")]
        return " · ".join([_("recorded loop"), *filter(None, names), info.device])
    source = str(info.config["data"]["source"]).rsplit("/", 1)[-1]
    numbers = [facts[key] for key in ("train_samples", "validation_samples") if facts.get(key, "").isdecimal()]
    samples = " + ".join(count(int(number)) for number in numbers)
    rest = f"{task_text(view)} · {device_text(info)}"
    return f"{source} {samples} · {rest}" if samples else f"{source} · {rest}"


def task_text(view: View) -> str:
    """The number of classes, or that the task is a regression."""
    if view.task != "classification":
        return _("regression")
    if view.runs[view.selected].info.watched:  # its last layer may have any meaning
        return _("classification")
    classes = int(view.runs[view.selected].info.layers[-1].shape[-1])
    return ngettext("{count} class", "{count} classes", classes).format(count=count(classes))


def device_text(info: RunInfo) -> str:
    """The device, and for CUDA whether it is deterministic; the CPU always is."""
    if not info.device.startswith("cuda"):
        return info.device
    switch = _("deterministic") if info.config.get("deterministic", not info.watched) else _("not deterministic")
    return f"{info.device} · {switch}"


def header(view: View, facts: Mapping[str, str], state: tuple[str, str], cells: int) -> Row:
    """Title, data, runs, position and state; on a narrow screen, the least important parts are left out first."""
    candidates = [(*runs, *_right(place, state)) for runs in _runs(view) for place in where(view)]
    right = next((row for row in candidates if width(row) < cells), candidates[-1])
    left: Row = (Span(" bntui", "bold accent"), Span("   "))
    room = cells - width((*left, *right))
    if room < 0:
        left, room = (Span(" "),), cells - 1 - width(right)
    device = device_text(view.runs[view.selected].info)
    spare = room - min(cell_len(view.title), 24) - 2 - 3
    wordings = (data_text(view, facts), f"{task_text(view)} · {device}", device)
    words = next((words for words in wordings if cell_len(words) <= spare), "")
    data: Row = (Span(words, "muted"), Span("   ")) if words else ()
    room -= width(data)
    title = view.title if cell_len(view.title) <= room - 2 else _shortened(view.title, room - 2)
    fill = Span(" " * max(0, room - cell_len(title)))
    return fit((*left, Span(title, "title"), fill, *data, *right), cells)


def _right(place: str, state: tuple[str, str]) -> Row:
    return (Span(place, "text"), Span("   "), Span(*state), Span(" "))


def _runs(view: View) -> list[Row]:
    """Wordings of the runs, longest first: all names, all marks and the selected name, all marks, the selected mark."""
    selected = view.runs[view.selected]

    def listed(runs: Sequence[RunView], named: Sequence[RunView]) -> Row:
        spans: list[Span] = []
        for run in runs:
            style = f"bold {run.style}" if run is selected else run.style
            name = brief(run, BRIEF) if run.info.fork is not None else run.name
            spans += [Span(f"{run.mark} {name}" if run in named else run.mark, style, run.click)]
            spans += [Span("   " if run in named else " ")]
        return tuple(spans)

    alone = (selected,)
    every = view.visible
    return [listed(every, every), listed(every, alone), listed(every, ()), listed(alone, ())]


def _shortened(title: str, cells: int) -> str:
    return set_cell_size(title, cells - 1) + "…" if cells >= 12 else ""


def tabs(focused: str, cells: int) -> Row:
    """Names of all panels with their keys; the displayed one is marked.

    Its brackets stand in the gaps between the names, so that none of these moves when another panel is chosen.
    """
    at = next(at for at, panel in enumerate(PANELS) if panel.name == focused)
    whole, short = [panel.label for panel in PANELS], [panel.short for panel in PANELS]
    one, brief_one = (["" if here != at else name for here, name in enumerate(names)] for names in (whole, short))
    row: Row = ()
    for names, between, apart in (
        (whole, " ", 2), (short, " ", 2), (short, " ", 1), (short, "", 1), (one, " ", 1), (brief_one, " ", 1),
    ):  # fmt: skip
        gaps = [" " * apart] * (len(PANELS) - 1)
        gaps = [" ", *gaps, " "]
        gaps[at], gaps[at + 1] = f"{gaps[at][1:]}[", f"]{gaps[at + 1][1:]}"
        spans = [Span(" "), Span(gaps[0], "bold accent" if at == 0 else "")]
        for number, (panel, name, gap) in enumerate(zip(PANELS, names, gaps[1:], strict=True)):
            click, here = f"focus_panel('{panel.name}')", number == at
            label = f"{between}{_(name)}" if name else ""
            spans += [
                Span(panel.key, "bold accent" if here else "text", click),
                Span(label, "bold accent" if here else "muted", click),
                Span(gap, "bold accent" if "[" in gap or "]" in gap else ""),
            ]
        if width(row := tuple(spans)) <= cells:
            break
    return row


def keys(cells: int, here: LabSituation, *, late: bool = False) -> Row:
    """The footer: the keys that have an effect here, without less important ones that do not fit.

    Args:
        late: add a note that panels are late, if there is room.
    """
    said = f"  {_(LATE)} "
    if late and cell_len(said) <= cells // 2:
        return (*keys(cells - cell_len(said), here), Span(said, "warn"))
    return footer_of(useful(here), here, cells, ESSENTIAL)


def too_small(cells: int, height: int) -> tuple[Row, ...]:
    """The message on a screen that is too small for anything else."""
    sentence = _(TOO_SMALL).format(width=SMALLEST[0], height=SMALLEST[1])
    lines = wrap(sentence, cells)[:height]
    return tuple((Span(line, "warn"),) for line in lines + [""] * (height - len(lines)))
