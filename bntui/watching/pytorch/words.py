"""What a recorder says on stderr when it begins and ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from bntui.text.language import _, ngettext
from bntui.watching.pytorch.measured import SeenLayer
from bntui.watching.pytorch.roles import Role


def announced(layers: Sequence[SeenLayer], names: Sequence[str], path: Path) -> str:
    """What is recorded, and about how large it is.

    Args:
        layers: those of the first measured step.
        names: of all layers of the recording.
    """
    about = f"{max(1, round(sum(map(_bytes, layers)) / 1000))} kB"
    sentence = _("bntui: recording {layers} layers into {path}, about {size} for each keyframe")
    return sentence.format(layers=len(names), path=path, size=about)


def nothing_recorded(steps: int, call: str) -> str:
    """That there is no file, and why.

    Args:
        call: what would have been a step, such as ``Adam.step()``.
    """
    if not steps:
        return _("bntui: nothing was recorded: {call} was not called, so there is no file").format(call=call)
    nothing = _(
        "bntui: nothing was recorded in {steps} steps: no forward pass with gradients was seen, so there is no file"
    )
    return nothing.format(steps=steps)


def summed_up(keyframes: int, path: Path, share: float) -> str:
    """What was recorded.

    Args:
        share: of the loop's time that the recorder took.
    """
    sentence = ngettext(
        "bntui: {count} keyframe in {path}; measuring took {share:.1%} of the time",
        "bntui: {count} keyframes in {path}; measuring took {share:.1%} of the time",
        keyframes,
    )
    return sentence.format(count=keyframes, path=path, share=share)


def not_seen(roles: Iterable[Role], names: Collection[str], unseen: set[str]) -> Iterator[str]:
    """What the recording lacks, if it lacks something.

    Args:
        names: the layers that were called in a measured step.
        unseen: what else could not be seen, in words.
    """
    never = {role.name for role in roles if role.part == "main" and role.measured} if names else set()
    inner = {name for name in never if any(name.startswith(f"{layer}.") for layer in names)}
    missing = sorted(unseen | never.difference(names) - inner)
    if missing:
        yield _("bntui: not seen: {names}").format(names=", ".join(missing))


def _bytes(layer: SeenLayer) -> int:
    """Bytes that a layer takes in a keyframe, about."""
    norm, dropout = layer.captured.batch_norm, layer.captured.dropout
    return 900 + (0 if norm is None else 8 * norm.gamma.nbytes) + (0 if dropout is None else dropout.kept.size // 8)
