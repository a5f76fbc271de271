"""What do the rows around the panels say: header, tabs and keys?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.cells import cell_len, set_cell_size

from bntui.link import Status
from bntui.viewer.figures import count, epoch
from bntui.viewer.layout import SMALLEST
from bntui.viewer.panels import PANELS
from bntui.viewer.rows import Row, Span, fit, width, wrap
from bntui.viewer.view import View

TOO_SMALL: Final = f"This screen is too small for a training run: make it at least {SMALLEST[0]}x{SMALLEST[1]}."


def pace_text(pace: float | None) -> str:
    """Epochs a second as they are asked for."""
    return "unthrottled" if pace is None else f"{pace:g}/s"


def state_text(status: Status | None, gone: bool) -> tuple[str, str]:
    """The trainer's state in words, and its style; without a trainer the screen is a replay."""
    if gone:
        return "✗ trainer gone", "bold bad"
    if status is None:
        return "replay", "muted"
    if status.state == "running":
        measured = f" ({status.rate:.0f}/s)" if status.pace is None and status.rate >= 1 else ""
        return f"▶ running {pace_text(status.pace)}{measured}", "good"
    return {
        "paused": ("❚❚ paused", "warn"),
        "finished": ("■ finished", "text"),
        "stopped": ("■ stopped", "text"),
        "failed": ("✗ failed", "bold bad"),
    }[status.state]


def where(view: View) -> tuple[str, str]:
    """The selected run's place, epoch and step of the keyframe that is shown; and the same without the step."""
    run = view.runs[view.selected]
    if run.row < 0:
        return ("no keyframe yet",) * 2
    place = f"epoch {epoch(run.history.epoch[run.row])}/{run.info.epochs}"
    return f"{place}   step {count(int(run.history.step[run.row]))}", place


def data_text(view: View, facts: Mapping[str, str]) -> str:
    """Data source, samples where the recording says them, and device."""
    info = view.runs[view.selected].info
    source = str(info.config["data"]["source"]).rsplit("/", 1)[-1]
    numbers = [facts[key] for key in ("train_samples", "validation_samples") if facts.get(key, "").isdecimal()]
    samples = " + ".join(count(int(number)) for number in numbers)
    return f"{source} {samples} · {info.device}" if samples else f"{source} · {info.device}"


def header(view: View, facts: Mapping[str, str], state: tuple[str, str], cells: int) -> Row:
    """Title, data, runs, place and state; what matters least gives way first on a narrow screen."""
    candidates = [(*runs, *_right(place, state)) for place in where(view) for runs in _runs(view)]
    right = next((row for row in candidates if width(row) < cells), candidates[-1])
    left: Row = (Span(" bntui", "bold accent"), Span("   "))
    room = cells - width((*left, *right))
    if room < 0:
        left, room = (Span(" "),), cells - 1 - width(right)
    data: Row = (Span(data_text(view, facts), "muted"), Span("   "))
    show_data = room >= width(data) + min(cell_len(view.title), 24) + 2
    room -= width(data) if show_data else 0
    title = view.title if cell_len(view.title) <= room - 2 else _shortened(view.title, room - 2)
    fill = Span(" " * max(0, room - cell_len(title)))
    return fit((*left, Span(title, "title"), fill, *(data if show_data else ()), *right), cells)


def _right(place: str, state: tuple[str, str]) -> Row:
    return (Span(place, "text"), Span("   "), Span(*state), Span(" "))


def _runs(view: View) -> tuple[Row, Row, Row]:
    """All runs with their marks, the selected one alone, its mark alone."""
    selected = view.runs[view.selected]
    gap = Span("   ")
    every: list[Span] = []
    for run in view.runs:
        every += [Span(f"{run.mark} {run.name}", f"bold {run.style}" if run is selected else run.style), gap]
    alone: Row = (Span(f"{selected.mark} {selected.name}", f"bold {selected.style}"), gap)
    return tuple(every), alone, (Span(f"{selected.mark} ", f"bold {selected.style}"),)


def _shortened(title: str, cells: int) -> str:
    return set_cell_size(title, cells - 1) + "…" if cells >= 12 else ""


def tabs(focused: str, cells: int) -> Row:
    """Names of all panels with their keys, the shown one marked."""
    wide = sum(len(panel.label) + 4 for panel in PANELS) < cells
    row: list[Span] = [Span(" ")]
    for panel in PANELS:
        chosen = panel.name == focused
        label = panel.label if wide or chosen else panel.label[:4]
        text = f"{panel.key} {label}" if wide or chosen or cells >= 60 else panel.key
        row += [Span(f"[{text}]" if chosen else f" {text} ", "bold accent" if chosen else "muted")]
    return tuple(row)


def keys(cells: int, *, live: bool, running: bool, runs: int, several: bool, zoomed: bool, from_gallery: bool) -> Row:
    """The keys that do something here, most important first; those that do not fit are left to the help."""
    wanted = [
        ("space", "pause" if running else "run", live),
        ("n", "epoch", live),
        ("s", "step", live),
        ("+−", "pace", live),
        ("←→", "keyframe", True),
        ("end", "follow" if live else "last", True),
        ("1-6", "panel", True),
        ("↵", "back" if zoomed else "zoom", several),
        ("tab", "run", runs > 1),
        ("p", "pin", runs > 1),
        ("l", "log", True),
        ("?", "explain", True),
        ("esc", "gallery", from_gallery),
        ("d", "detach", live),
        ("q", "stop, quit" if live else "quit", True),
    ]
    shown = [(key, label) for key, label, useful in wanted if useful]
    essential = {"?", "q", "←→", "space"}
    size = sum(cell_len(key) + cell_len(label) + 3 for key, label in shown)
    for key, label in reversed(list(shown)):
        if size + 1 <= cells:
            break
        if key not in essential:
            shown.remove((key, label))
            size -= cell_len(key) + cell_len(label) + 3
    row: list[Span] = [Span(" ")]
    for key, label in shown:
        row += [Span(key, "key"), Span(f" {label}  ", "muted")]
    return fit(tuple(row), cells)


def too_small(cells: int, height: int) -> tuple[Row, ...]:
    """The sentence that stands on a screen where nothing else fits."""
    lines = wrap(TOO_SMALL, cells)[:height]
    return tuple((Span(line, "warn"),) for line in lines + [""] * (height - len(lines)))
