"""Tests what each command imports: the viewer and light commands never torch, the trainer never Textual."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeping import Here, plan, pretended, swept
from tests.test_session import DIGITS, train

HEAVY = ("torch", "sklearn")


def loaded(script: str, *arguments: object) -> set[str]:
    """Top-level modules that a fresh process has loaded after the script."""
    tail = "\nimport json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", script + tail, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def command(*arguments: object) -> set[str]:
    return loaded("import sys\nfrom bntui.cli import app\napp(sys.argv[1:], standalone_mode=False)", *arguments)


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["schema"], ["check", "batch-normalization"]])
def test_light_commands_load_neither_torch_nor_scikit_learn(arguments: list[str]) -> None:
    assert not loaded_heavy(command(*arguments))


def test_listing_recordings_loads_no_numpy() -> None:
    assert "numpy" not in command("list")


def test_a_study_reads_its_cache_without_them(tmp_path: Path) -> None:
    scenario = tmp_path / "x.toml"
    scenario.write_text(f'{DIGITS}[[claim]]\ntext = "It learns."\nholds = "val_loss < 9"\n')
    script = """
import sys
from pathlib import Path
from bntui.scenario.load import load
from bntui.study import cache, seeds
from bntui.study.trial import Outcome
from bntui.study.verify import verified
scenario = load(Path(sys.argv[1]))
for _run, _seed, trial in seeds.trials_of(scenario, ["val_loss"], 3):
    cache.keep(trial.key(), Outcome({"val_loss": 1.0}))
(study,) = verified([scenario], 3, 1)
assert study.claims[0].judgement.verdict == "holds"
"""
    assert not loaded(script, scenario) & {*HEAVY, "textual", "plotext", "rich"}


def test_a_sweep_loads_neither_where_it_is_planned_and_ranked(tmp_path: Path) -> None:
    swept(plan(tmp_path), tmp_path / "sweep", Here(pretended))
    assert not loaded_heavy(command("sweep", "--resume", tmp_path / "sweep"))


def test_showing_a_keyframe_loads_neither(tmp_path: Path) -> None:
    recording = train(tmp_path, DIGITS).path
    assert not loaded_heavy(command("show", recording))


def test_the_audit_loads_nothing_that_it_audits(tmp_path: Path) -> None:
    recording = train(tmp_path, DIGITS).path
    script = """
import sys
from pathlib import Path
from bntui.audit.audit import audit
assert audit(Path(sys.argv[1])).true
"""
    assert not loaded(script, recording) & {*HEAVY, "pydantic", "textual", "plotext"}
    assert not loaded_heavy(command("audit", recording))


def test_the_viewer_loads_neither_whatever_it_shows(tmp_path: Path) -> None:
    recording = train(tmp_path, DIGITS).path
    script = """
import asyncio, sys
from pathlib import Path
from bntui.viewer.app import LabApp
async def look():
    app = LabApp(recording=Path(sys.argv[1]))
    async with app.run_test(size=(160, 48)) as pilot:
        for key in ("left", "2", "enter", "3", "4", "5", "6", "escape", "question_mark"):
            await pilot.press(key)
asyncio.run(look())
"""
    modules = loaded(script, recording)
    assert not loaded_heavy(modules)
    assert {"textual", "plotext"} <= modules


def test_charts_are_the_same_without_the_pages_of_plotexts_documentation() -> None:
    chart = """
import sys
import numpy as np
from bntui.viewer.draw.axes import Axes, Limits
from bntui.viewer.draw.charts import Series, line_chart
if sys.argv[1:]:
    import plotext
    assert plotext.doc is not None
axes = Axes(Limits(0, 40), Limits(1e-3, 2.0), log=True, x_label="epoch", y_label="loss")
print(line_chart([Series("a", np.arange(40.0), np.geomspace(1, 2e-3, 40), "run1")], axes, 70, 20).rows)
pages = {name for name in sys.modules if name.startswith("plotext._doc.")}
print(bool(pages), file=sys.stderr)
import plotext._doc.doc
assert plotext._doc.doc.docs is not None
"""
    without, whole = (
        subprocess.run([sys.executable, "-c", chart, *more], capture_output=True, text=True, check=True)
        for more in ([], ["whole"])
    )
    assert (without.stderr, whole.stderr) == ("False\n", "True\n")
    assert "epoch" in whole.stdout
    assert without.stdout == whole.stdout


def test_the_gallery_paints_before_numpy_pydantic_and_plotext_are_loaded() -> None:
    modules = loaded("import bntui.viewer.app, bntui.viewer.screens.gallery")
    assert not modules & {"numpy", "pydantic", "plotext", *HEAVY}


def test_the_gallery_paints_before_keyframes_and_requests_are_defined() -> None:
    script = """
import sys
import bntui.viewer.app, bntui.viewer.screens.gallery, bntui.link.spawn, bntui.scenario.gallery
print(sorted({"bntui.keyframe", "bntui.recording.sentences", "bntui.link.requests", "sqlite3"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_trainer_never_loads_textual() -> None:
    modules = loaded("import bntui.trainer_process, bntui.trainer.service")
    assert "torch" in modules
    assert not modules & {"textual", "plotext", "rich"}


def test_training_never_loads_what_makes_torchs_optimizers_slow_to_start(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from bntui.scenario.load import parse
from bntui.trainer.session import Session
session = Session.begin(parse(sys.argv[1], file="x"), Path(sys.argv[2]), ())
session.epoch(lambda: False)
assert session.runs[0].step == 6
assert "torch._dynamo" not in sys.modules
"""
    assert "torch" in loaded(script, DIGITS, tmp_path / "x.bntui")


def loaded_heavy(modules: set[str]) -> set[str]:
    return modules & set(HEAVY)
