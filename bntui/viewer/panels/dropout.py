"""Draws the dropout masks of a step, samples down and units across, and the share of units that was kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len

from bntui.keyframe import DropoutMask, Keyframe
from bntui.text.figures import count, percent
from bntui.text.language import N_, _
from bntui.text.widths import longest
from bntui.viewer.draw import cells
from bntui.viewer.draw.names import shortened
from bntui.viewer.draw.rows import Drawing, FigureReference, Row, Span, fit, join
from bntui.viewer.draw.rows import width as width_of
from bntui.viewer.panels import Panel
from bntui.viewer.strands import left_out
from bntui.viewer.view import RunView, View
from bntui.viewer.worst import listed

PANEL: Final = Panel(
    "dropout",
    "4",
    N_("Dropout"),
    short=N_("Drop"),
    quotes={
        "DropoutMask": "p kept_fraction kept",
        "Keyframe": "batch_indices",
    },
    needs="dropout",
    still=True,
    walks=N_("layers"),
    worst="masks",
)
TITLE: Final = N_("Dropout ── mask of this step, samples × units")
GAP: Final = 2
MARK: Final = 2
"""Cells of a run's mark."""
GOOD_WIDTH: Final = 44
"""Cells that a mask beside another one should have: the line below it then fits."""
LEAST_MODE: Final = 24
"""Cells that a legend leaves for what is said about validation."""
GOOD_ROWS: Final = 16
"""Desired height of masks one above the other."""


class MaskBlock(NamedTuple):
    """One mask to draw, with its run and layer."""

    run: RunView
    frame: Keyframe
    layer: str
    mask: DropoutMask
    chosen: bool = False


def draw(view: View, width: int, height: int) -> Drawing:
    """The first mask of the selected run, the pinned run's beside it, further layers below where there is room.

    What there is no room for is named, and a legend says how a mask is read.
    """
    per_run = [_blocks(run, view) for run in view.shown]
    footer = _without(view.shown, per_run, width) if any(per_run) else []
    # the first layer of the selected run, then that of the pinned run, then their second layers
    depth = max(map(len, per_run))
    blocks = [run[level] for level in range(depth) for run in per_run if level < len(run)]
    if not blocks:
        return cells.notice(_(TITLE), _why_nothing(view.shown), width, height)
    paired = sum(1 for run in per_run if run) > 1
    beside, below = _grid(blocks, width, height - len(footer), paired=paired)
    if beside * below < len(blocks) and height > 4:
        beside, below = _grid(blocks, width, height - len(footer) - 1, paired=paired)
        footer.append(_left_out(blocks[beside * below :], view, width, paired=paired))
    chosen = blocks[: beside * below]
    updated = any(block.frame.step for block in chosen)
    if not updated and height >= 8:
        footer.insert(0, (Span(_("drawn for measuring, no update yet"), "muted"),))
    across = (width - GAP * (beside - 1)) // beside
    validated = _validated([run for run, own in zip(view.shown, per_run, strict=True) if own], width)
    down = (height - len(validated) - len(footer)) // below
    left = across - MARK - 1 - max(cell_len(_sizes(block, *_extent(block, across, down))[-1]) for block in chosen)
    called = {
        layer: name.rstrip() for layer, name in shortened((block.layer for block in chosen), max(left, 4)).items()
    }
    rows: list[Row] = []
    for first in range(0, len(chosen), beside):
        drawn = [_draw(block, called[block.layer], across, down) for block in chosen[first : first + beside]]
        for line in range(max(map(len, drawn))):
            parts = [fit(lines[line] if line < len(lines) else (), across) for lines in drawn]
            rows.append(join(*((*part, Span(" " * GAP)) for part in parts[:-1]), parts[-1]))
    return cells.page(_(TITLE), [*rows, *validated, *footer], width, height)


def _blocks(run: RunView, view: View) -> list[MaskBlock]:
    """The masks of a run; those before the chosen layer, or that the user has walked past, come last."""
    if run.frame is None:
        return []
    masks = {layer.name: layer.dropout for layer in run.frame.layers if layer.dropout is not None}
    names = listed(view, [run], list(masks), PANEL.worst)
    found = [MaskBlock(run, run.frame, name, masks[name], name == view.layer) for name in names]
    first = names.index(view.layer) if view.layer in names else view.past % max(len(found), 1)
    return [*found[first:], *found[:first]]


def _grid(blocks: Sequence[MaskBlock], width: int, height: int, *, paired: bool) -> tuple[int, int]:
    """The number of masks side by side and one below the other.

    When two runs are compared, masks are cropped to make room for both.
    """
    units = max(block.mask.kept.shape[1] for block in blocks)
    samples = max(block.mask.kept.shape[0] for block in blocks)
    # crop masks to compare two runs, but not to show a second layer
    need = max(min(units, GOOD_WIDTH) if paired else units, 30)
    beside = max(min((width + GAP) // (need + GAP), len(blocks)), 1)
    if paired:
        beside = min(beside, sum(1 for block in blocks if block.layer == blocks[0].layer) or 1)
    need_rows = min((samples + 1) // 2, GOOD_ROWS) + 2
    below = max(min((height - 1) // need_rows, -(-len(blocks) // beside)), 1)
    return beside, below


def _extent(block: MaskBlock, width: int, height: int) -> tuple[int, int]:
    """The samples and units of a mask that there is room for."""
    samples, units = block.mask.kept.shape
    return min(samples, 2 * max(height - 2, 1)), min(units, width)


def _draw(block: MaskBlock, called: str, width: int, height: int) -> list[Row]:
    """One mask in at most ``height`` rows: run and layer, the mask, and the share that was kept."""
    kept = block.mask.kept
    samples, units = _extent(block, width, height)
    rows: list[Row] = [_header(block, called, _sizes(block, samples, units), width)]
    # one style a row: the characters carry the mask, and a style per cell would be ten times the bytes
    rows += [(Span(line, block.run.style),) for line in cells.mask(kept[:samples, :units])]
    words, share = _kept(block.mask, width), percent(block.mask.kept_fraction).strip()
    before, found, after = words.partition(share)
    told = FigureReference(block.run.info.index, "dropout.kept_fraction", block.layer)
    rows.append((Span(before, "text"), Span(found, "text", tells=told), Span(after, "text")))
    return rows


def _sizes(block: MaskBlock, samples: int, units: int) -> tuple[str, str, str]:
    """Wordings of a mask's size, and of how much of it is shown, the longest first."""
    of_samples, of_units = max(len(block.frame.batch_indices), block.mask.kept.shape[0]), block.mask.kept.shape[1]
    size = _("{samples} samples × {units} units").format(samples=count(of_samples), units=count(of_units))
    middle = size
    brief = f"{count(of_samples)}×{count(of_units)}"
    if samples < of_samples or units < of_units:
        part = {"samples": samples, "of_samples": count(of_samples), "units": units, "of_units": count(of_units)}
        size = _("showing {samples} of {of_samples} samples, {units} of {of_units} units").format(**part)
        middle = _("{samples} of {of_samples} samples, {units} of {of_units} units").format(**part)
        brief = f"{samples}/{of_samples}×{units}/{of_units}"
    return size, middle, brief


def _header(block: MaskBlock, called: str, sizes: tuple[str, str, str], width: int) -> Row:
    """The run, the layer's name as it is ``called`` here, and the size of its mask."""
    size, middle, brief = sizes
    words = longest(
        width - MARK,
        f"{block.run.name} · {called}  {size}",
        f"{called}  {size}",
        f"{called}  {middle}",
        f"{called} {brief}",
        brief,
    )
    mark = f"{block.run.mark} "
    before = cells.layer_mark(block.run, block.layer, chosen=True) if block.chosen else Span(mark, block.run.style)
    return before, Span(words, "muted")


def _kept(mask: DropoutMask, width: int) -> str:
    expected = percent(1 - mask.p).strip()
    figures = {
        "kept": percent(mask.kept_fraction).strip(),
        "expected": expected,
        "scale": f"{1 / (1 - mask.p):.2f}" if mask.p < 1 else "∞",
        "brief": expected.removesuffix(" %"),
    }
    wordings = (
        _("kept {kept}  expected {expected}  scaled by {scale}"),
        _("kept {kept}  expected {expected}"),
        _("kept {kept} ({brief})"),
    )
    return longest(width, *(words.format(**figures) for words in wordings))


def _validated(runs: Sequence[RunView], width: int) -> list[Row]:
    """Whether validation drops units: one row, or one for each run if they differ."""
    forgotten = [run.info.setting("training", "validation_mode") == "training" for run in runs]
    if len(set(forgotten)) == 1:
        legends = [legend for legend in _legends(runs[0]) if width_of(legend) + LEAST_MODE <= width]
        legend = legends[0] if legends else ()
        return [(*_mode(forgotten[0], width - width_of(legend), runs[0]), *legend)]
    return [
        (Span(f"{run.mark} ", run.style), *_mode(training, width - 2, run))
        for run, training in zip(runs, forgotten, strict=True)
    ]


def _mode(training: bool, width: int, run: RunView) -> Row:
    if training:
        words = longest(
            width,
            _("validated in training mode: units are dropped there too, by other masks"),
            _("validated in training mode: drops units too"),
            _("validation drops units too"),
            _("val. drops too"),
        )
        return (Span(words, "warn"),)
    words = longest(
        width,
        _("evaluation mode: nothing dropped, kept 100 %"),
        _("evaluation: nothing dropped"),
        _("eval: drops nothing"),
    )
    strip = min(width - cell_len(words) - 2, 24)
    return (Span(words, "muted"), *((Span("  "), Span("█" * strip, run.style)) if strip >= 5 else ()))


def _legends(run: RunView) -> list[Row]:
    """What the characters of a mask mean, the longest wording first."""
    kept: Row = (Span("   █ ", run.style), Span(_("kept"), "muted"))
    dropped: Row = (Span("  " + _("blank: dropped"), "muted"),)
    half: Row = (Span("  ▀ ▄ ", run.style), Span(_("one of two samples"), "muted"))
    return [join(kept, half, dropped), join(kept, dropped)]


def _left_out(blocks: Sequence[MaskBlock], view: View, width: int, *, paired: bool) -> Row:
    """The layers whose masks there is no room for."""
    names = (f"{block.run.mark} {block.layer}" if paired else block.layer for block in blocks)
    return left_out(list(names), width, folded=view.folded)


def _has_dropout(run: RunView) -> bool:
    return any(layer.dropout for layer in run.info.layers)


def _without(shown: Sequence[RunView], per_run: Sequence[Sequence[MaskBlock]], width: int) -> list[Row]:
    """A row for each run without a mask, if another run has one."""
    lines: list[Row] = []
    for run, blocks in zip(shown, per_run, strict=True):
        if not blocks:
            name = f"{run.mark} {run.name}"
            if _has_dropout(run):
                unseen = (Span(name, run.style), Span(_(": no mask was seen in this step"), "muted"))
                lines.append(cells.waiting(run) if run.frame is None else unseen)
                continue
            hint = [] if run.info.watched else [_(": no dropout in this network; set network.dropout above 0")]
            words = longest(width - cell_len(name), *hint, _(": no dropout in this network"), _(": no dropout"))
            lines.append((Span(name, run.style), Span(words, "muted")))
    return lines


def _why_nothing(shown: Sequence[RunView]) -> tuple[str, ...]:
    if any(_has_dropout(run) and run.frame is not None for run in shown):  # of somebody's own loop
        return _("No mask was seen in this step."), _("One is kept only if it explains every value of the output.")
    if any(_has_dropout(run) for run in shown):
        return cells.absent(shown, _("A mask is drawn for every mini-batch."))
    either, this = _("No dropout in either of these networks ({runs})."), _("No dropout in this network ({runs}).")
    nothing = (either if len(shown) > 1 else this).format(runs=", ".join(f"{run.mark} {run.name}" for run in shown))
    if all(run.info.watched for run in shown):
        return (nothing,)
    return (
        nothing,
        _("Set network.dropout above 0, such as 0.2, in the scenario or with --set network.dropout=0.2."),
    )
