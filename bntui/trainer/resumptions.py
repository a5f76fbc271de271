"""Records that runs go on: with which versions and hardware, and whether with the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import torch

from bntui.recording.history import Event
from bntui.recording.opened import Recording
from bntui.recording.sentences import DEPARTED, RESUMED, RESUMED_ELSEWHERE
from bntui.trainer.create_recording import circumstances
from bntui.trainer.run import Run
from bntui.trainer.write_behind import WriteBehind


class Resumptions:
    """Events about resumed runs, recorded when these are actually trained."""

    def __init__(self, recorder: WriteBehind, device: torch.device) -> None:
        self._recorder = recorder
        self._device = device
        self._unsaid: list[Event] = []

    def add(self, run: Run) -> None:
        """Prepare the events that a run is resumed, and that its weights are others, if they are."""
        self.add_circumstances(run, always=True)
        self._unsaid += departure(run)

    def add_circumstances(self, run: Run, *, always: bool = False) -> None:
        """Prepare the event that a run is resumed, if versions or hardware differ from the recorded ones, or always."""
        with closing(Recording(self._recorder.writer.path)) as reader:
            now, before = circumstances(self._device, None), circumstances(self._device, reader.meta)
        if now != before:
            arguments: dict[str, object] = {"epoch": run.epoch, "now": now, "before": before}
            self._unsaid.append(run.event("resumed", RESUMED_ELSEWHERE, arguments))
        elif always:
            self._unsaid.append(run.event("resumed", RESUMED, {"epoch": run.epoch}))

    def say(self, runs: Sequence[Run]) -> None:
        """Record that these runs go on, now that they do."""
        going = {run.info.index for run in runs}
        told = [event for event in self._unsaid if event.run in going]
        if told:
            self._recorder.writer.add_events(told)
            self._unsaid = [event for event in self._unsaid if event.run not in going]


def departure(run: Run) -> list[Event]:
    """The event that a run's weights differ from the recorded ones, if they do."""
    if run.departed is None:
        return []
    return [run.event("departed", DEPARTED, {"step": run.departed})]
