"""Films the first minute: chooses a scenario in the gallery, trains it, walks back, takes the tour, and forks.

    python -m tools.make_film

The program runs in Textual's pilot with a real trainer, in a home folder of its own.  While training runs, the film
decides when the next epoch is trained, so that it is the same each time it is made.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from textual.pilot import Pilot

from bntui.link import Command, Status
from bntui.link.client import Trainer
from bntui.pictures.picture import Picture
from bntui.scenario.pace import PacingOptions
from bntui.text.language import LANGUAGES, use
from bntui.viewer import opening
from bntui.viewer.app import LabApp
from bntui.viewer.feed import TrainerLink
from bntui.viewer.screens.fork import ForkScreen
from bntui.viewer.screens.gallery import GalleryScreen
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.snapshot import ViewedRecording
from tools import takes_no_options
from tools.film import Frame, film
from tools.screen import TERMINAL, picture_of

DOCS = Path(__file__).parents[1] / "docs"
SIZE = (120, 36)
SCENARIO = "batch-normalization"
TITLE = "bntui: the first minute"
PAUSED_AT = 20
"""The epoch after which training is paused."""
FOLDERS = ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
KOREAN: Mapping[str, str] = {
    "the gallery of scenarios": "시나리오 갤러리",
    "choose a scenario": "시나리오 선택",
    "open it: keyframe 0, before training": "열기: 키프레임 0, 학습 전",
    "train": "학습",
    "pause": "일시정지",
    "ten keyframes back": "키프레임 열 개 앞으로",
    "the guided tour asks a question": "안내의 질문",
    "the answer, and the figures that show it": "답과 그 근거가 되는 숫자",
    "the next question": "다음 질문",
    "end the tour": "안내 끝내기",
    "ten keyframes forward": "키프레임 열 개 뒤로",
    "fork the run at this keyframe": "이 키프레임에서 분기",
    "change the normalization to batch": "정규화를 배치 정규화로 변경",
    "start the fork: it trains until it is level with its parent": "분기 시작: 원래 실행과 같은 에포크까지 학습",
    "train all three to the end": "세 실행 모두 끝까지 학습",
    "every keyframe is recorded": "모든 키프레임이 기록됨",
}
"""The Korean captions."""


class Metronome:
    """A trainer that seems to run while it trains the single epochs that the film asks for."""

    def __init__(self, trainer: TrainerLink) -> None:
        self._trainer = trainer
        self._running = False

    def send(self, command: Command, **arguments: object) -> None:
        if command in ("run", "pause"):
            self._running = command == "run"
        # to run, it is only asked for its status: the film trains
        self._trainer.send("pause" if command == "run" else command, **arguments)

    def receive(self, timeout: float | None = None) -> Status | None:
        status = self._trainer.receive(timeout)
        if status is None or not self._running or status.state != "paused":
            return status
        return replace(status, state="running")

    def close(self) -> None:
        self._trainer.close()


class Director:
    """Presses keys, waits for what they lead to, and records frames."""

    def __init__(self, app: LabApp, pilot: Pilot[Any], language: str) -> None:
        self.frames: list[Frame] = []
        self.trainer: Metronome | None = None
        self._app = app
        self._pilot = pilot
        self._language = language

    def open(self, path: Path) -> tuple[ViewedRecording, TrainerLink | None]:
        """Open a recording for the screen, and stand between it and its trainer."""
        reader, trainer = opened(path, Trainer.connect(path))
        self.trainer = None if trainer is None else Metronome(trainer)
        return reader, self.trainer

    @property
    def lab(self) -> LabScreen:
        (found,) = (screen for screen in self._app.screen_stack if isinstance(screen, LabScreen))
        return found

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self._pilot.press(key)

    async def until(self, happened: Callable[[], object]) -> None:
        for _ in range(6000):
            if happened():
                return
            await self._pilot.pause(0.01)
        raise TimeoutError(f"after {self.frames[-1].caption if self.frames else 'the start'}")

    @property
    def reached(self) -> float:
        """The last epoch that all runs have reached."""
        return min(float(history.epoch[-1]) for history in self.lab.loaded.snapshot.histories)

    async def train(self, epoch: int) -> None:
        """Train single epochs until all runs have reached one."""
        assert self.trainer is not None
        for goal in range(int(self.reached) + 1, epoch + 1):
            self.trainer.send("epoch")
            await self.until(partial(self._reached, goal))

    def _reached(self, epoch: int) -> bool:
        return self.reached >= epoch

    @property
    def _picture(self) -> Picture:
        return picture_of(self._app, TITLE)

    async def shot(self, seconds: float, key: str, caption: str) -> None:
        """Record the screen as soon as it stands still."""
        before, picture, still = None, self._picture, 0
        while still < 3:
            await self._pilot.pause(0.1)
            self._app.clear_notifications()
            before, picture = picture, self._picture
            still = still + 1 if picture == before else 0
        spoken = KOREAN[caption] if self._language == "ko" else caption
        self.frames.append(Frame(picture, seconds, key, spoken))


opened = opening.open_recording


async def filmed(language: str) -> list[Frame]:
    """The frames of the first minute."""
    app = LabApp(theme="dark", watching=PacingOptions(paused=True))
    async with app.run_test(size=SIZE) as pilot:
        director = Director(app, pilot, language)
        with mock.patch.object(opening, "open_recording", director.open):
            await choose(app, director)
            await train_and_look_back(director)
            await fork(app, director)
    return director.frames


async def choose(app: LabApp, director: Director) -> None:
    """Choose a scenario in the gallery, and open it."""
    press, shot = director.press, director.shot
    gallery = app.screen
    assert isinstance(gallery, GalleryScreen)
    await director.until(lambda: gallery.gallery.entries is not None)
    await shot(2, "bntui", "the gallery of scenarios")
    while (card := gallery.gallery.card) is None or card.path.stem != SCENARIO:
        await press("down")
        await shot(0.4, "↓", "choose a scenario")
    await shot(1, "↓", "choose a scenario")
    await press("enter")
    await director.until(lambda: isinstance(app.screen, LabScreen))
    await shot(1.8, "enter", "open it: keyframe 0, before training")


async def train_and_look_back(director: Director) -> None:
    """Train, pause, walk back, and take the first stops of the tour."""
    press, shot = director.press, director.shot
    await press("space")
    for epoch in (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, PAUSED_AT):
        await director.train(epoch)
        await shot(0.5, "space", "train")
    await press("space")
    await shot(1.4, "space", "pause")
    for _ in range(2):
        await press("shift+left")
        await shot(0.9, "shift+←", "ten keyframes back")
    await press("t")
    await shot(3, "t", "the guided tour asks a question")
    await press("full_stop")
    await shot(3, ".", "the answer, and the figures that show it")
    await press("full_stop")
    await shot(2.6, ".", "the next question")
    await press("full_stop")
    await shot(2.6, ".", "the answer, and the figures that show it")
    await press("t", "shift+tab")
    await shot(0.8, "t", "end the tour")


async def fork(app: LabApp, director: Director) -> None:
    """Fork the plain run with batch normalization, and train everything to the end."""
    press, shot, lab = director.press, director.shot, director.lab
    await press("shift+right")
    await shot(1, "shift+→", "ten keyframes forward")
    await press("f")
    await director.until(lambda: isinstance(app.screen, ForkScreen))
    await shot(2, "f", "fork the run at this keyframe")
    await press("down", "right")
    await shot(2, "↓ →", "change the normalization to batch")
    await press("enter")
    await director.until(lambda: len(lab.reader.runs) == 3 and director.reached >= PAUSED_AT)
    await shot(3, "enter", "start the fork: it trains until it is level with its parent")
    await press("space")
    for epoch in (24, 30, 36, 42, 48, 54, 60):
        await director.train(epoch)
        await shot(0.4, "space", "train all three to the end")
    await shot(4, "bntui", "every keyframe is recorded")


def main() -> None:
    for language in LANGUAGES:
        use(language)
        with (
            tempfile.TemporaryDirectory() as home,
            mock.patch.dict(os.environ, TERMINAL | dict.fromkeys(FOLDERS, home)),
        ):
            frames = asyncio.run(filmed(language))
        (DOCS / f"film-{language}.svg").write_text(film(frames), encoding="utf-8")


if __name__ == "__main__":
    takes_no_options(__doc__)
    main()
