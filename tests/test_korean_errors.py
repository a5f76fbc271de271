"""Tests that refusals of scenarios, data files, and recordings are in Korean and name the place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bntui.errors import DataError, Problem, RecordingError, ScenarioError, UsageError
from bntui.recording.reader import Reader
from bntui.scenario.load import load, parse, parse_override
from bntui.text.language import use
from bntui.text.library_messages import ARCHIVES, CSV, SQLITE, SYSTEM, TOML, told
from bntui.trainer.data.contents import Choices
from bntui.trainer.data.read import read_file
from tests.korean import korean
from tests.test_session import DIGITS


def refused(text: str, overrides: Sequence[tuple[str, object]] = ()) -> Sequence[Problem]:
    with pytest.raises(ScenarioError) as wrong:
        parse(text, file="x.toml", overrides=overrides)
    return wrong.value.problems


WRONG = """
title = ""
wrong = 1
[data]
source = "digitz"
batch_size = 0
noise = "much"
[network]
layer = [{ type = "linear", units = 1.5 }, { units = 3 }, { type = "dense" }, { type = "conv" }]
init = "normal"
[training]
lr = inf
betas = [0.9]
momentum = 0.9
optimizer = "adam"
[[run]]
name = "a"
set = 3
[[run]]
name = "a"
set = { seed = 3 }
"""


WRONG_KEYS = {
    "title", "wrong", "data.source", "data.batch_size", "data.noise", "network.layer[0].units", "network.layer[1].type",
    "network.layer[2].type", "network.layer[3].channels", "network.init", "training.lr", "training.betas",
    "run[0].set", "run[1].name", "run[1].set.seed",
}  # fmt: skip


def test_every_problem_of_a_scenario_is_said_in_korean() -> None:
    english = {problem.path: problem.message for problem in refused(WRONG)}
    use("ko")
    translated = {problem.path: problem.message for problem in refused(WRONG)}
    assert english.keys() == translated.keys() == WRONG_KEYS
    assert [message for message in translated.values() if not korean(message)] == []
    assert not any(map(korean, english.values()))
    assert "쓸 수 있는 값: none, batch" in refused(DIGITS, [("network.norm", "bach")])[0].message


@pytest.mark.parametrize("text", ['a = "x', "a = ", "[a\n", "a = 1\na = 2", "a = 2020-13-01", "a = [1", "= 1", "a 1"])
def test_what_is_no_toml_is_said_in_korean_with_its_line(text: str) -> None:
    use("ko")
    with pytest.raises(ScenarioError) as wrong:
        parse(text, file="x.toml")
    assert re.match(r"x.toml:\d: TOML 문법에 맞지 않습니다: .*[가-힣]", str(wrong.value))
    assert not re.search("[a-z]{3,} [a-z]{3,}", str(wrong.value))


def test_the_files_a_scenario_cannot_be_read_from(tmp_path: Path) -> None:
    use("ko")
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(UsageError) as wrong:
            load(path)
        assert str(path) in str(wrong.value)
        assert korean(str(wrong.value))
    for text in ("lr", "a..b=1", "training.lr=[1"):
        with pytest.raises(UsageError) as wrong:
            parse_override(text)
        assert korean(str(wrong.value))
    with pytest.raises(RecordingError, match="그런 기록이 없습니다"):
        Reader(tmp_path / "none.bntui")
    with pytest.raises(RecordingError, match="폴더입니다"):
        Reader(tmp_path)


def idx(shape: Sequence[int], values: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape) + bytes(range(values))


BAD_FILES = {
    "missing.csv": (None, "파일이나 폴더가 없습니다"),
    "empty.csv": (b"", "비어 있습니다"),
    "text.csv": (b"a,b,y\n1,2,0\n3,x,1\n", "3행, 열 'b': 'x': 수가 아닙니다"),
    "hole.csv": (b"a,b,y\n1,2,0\n3,,1\n", "3행, 열 'b': 비어 있습니다"),
    "nan.csv": (b"a,b,y\n1,2,0\n3,nan,1\n5,6,0\n7,8,1\n", "3행, 열 'b': 'nan': 결측값을 뜻합니다"),
    "target.csv": (b"a,y\n1,0\n2,nan\n3,1\n4,0\n", "3행, 열 'y': 'nan': 결측값을 뜻합니다"),
    "short.csv": (b"a,b,y\n1,2,0\n3,1\n", "3행, 열 'y': 없습니다. 이 행에는 1행의 칸 3개 중 2개만"),
    "long.csv": (b"a,b,y\n1,2,0\n3,4,5,1\n", "3행, 열 'y': 마지막 칸이 아닙니다"),
    "few.csv": (b"a,y\n1,0\n2,1\n", "샘플이 2개입니다. 4개 이상이 필요합니다"),
    "quote.csv": (b'a,y\n1,0\n"2,1\n', "데이터가 중간에 끝났습니다"),
    "odd.csv": (b"a,b\n\x81\xff,1\n", "UTF-8로 저장하십시오"),
    "cut.npz": (b"PK\x03\x04 and then nothing", "잘렸습니다"),
    "cut-images-idx3-ubyte": (idx((4, 2, 2), 7), "값이 16바이트(4×2×2)여야 하는데 7바이트뿐입니다"),
    "long-images-idx3-ubyte": (idx((4, 2, 2), 17), "헤더에 적힌 것보다 깁니다"),
    "flat-images-idx3-ubyte": (idx((4,), 4), "1차원입니다"),
    "no-images-idx3-ubyte": (b"P5 28 28", "IDX 파일의 것이 아닙니다"),
    "zip-images-idx3-ubyte.gz": (b"\x1f\x8b\x08\x00", "gzip 파일이 손상되었거나 잘렸습니다"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_data_files_are_refused_in_korean_with_file_row_and_column(name: str, tmp_path: Path) -> None:
    content, expected = BAD_FILES[name]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    use("ko")
    with pytest.raises(DataError) as wrong:
        read_file(path, Choices(), path)
    assert str(wrong.value).startswith(str(path))
    assert expected in str(wrong.value)
    said = str(wrong.value).replace(str(path), "").replace("--set data.source", "")
    assert not re.search(r"[a-z]{3,} [a-z]{3,}", said), wrong.value


def test_bad_arrays_are_refused_in_korean_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    good = np.arange(12.0).reshape(6, 2)
    use("ko")
    for arrays, expected in (
        ({"x": good}, "있는 배열: 'x 6×2'"),
        ({"x": good, "y": np.arange(5)}, "샘플 6개"),
        ({"x": np.where(good == 5, np.nan, good), "y": np.arange(6) % 2}, "배열 'x': [2, 1]: nan"),
        ({"x": good.astype(str), "y": np.arange(6) % 2}, "배열 'x': 수가 들어 있어야 합니다"),
        ({"x": good[:, :, None, None, None], "y": np.arange(6) % 2}, "형태가 6×2×1×1×1입니다"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=re.escape(expected)):
            read_file(path, Choices())


def test_what_libraries_say_is_looked_up_and_never_guessed() -> None:
    use("ko")
    for sentence in (*SYSTEM, *SQLITE, *TOML, *CSV, *ARCHIVES):
        if sentence != "NaN":
            assert korean(told(sentence)), sentence
    assert told("Cannot declare ('a',) twice") == "두 번 선언할 수 없습니다: ('a',)"
    assert told("something new") == "something new"
