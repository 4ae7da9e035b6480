"""Every run of the examples: sound programs pass, defective ones are found. Before a release."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.examples.cases import DEFECTIVE, EXAMPLES, PROGRAMS, SOUND, Case
from tests.examples.matrix import run, wrong


@pytest.mark.stack
@pytest.mark.long
@pytest.mark.slow(seconds=180)
@pytest.mark.parametrize("case", [*SOUND, *DEFECTIVE], ids=lambda case: case.name)
def test_verdict_is_the_right_one(case: Case, tmp_path: Path) -> None:
    if PROGRAMS[case.example].endswith(".js") and shutil.which("node") is None:
        pytest.skip("needs node")
    done = run(case, tmp_path)
    assert not wrong(case, done), done.text


def test_each_defective_program_is_run() -> None:
    for example in PROGRAMS:
        programs = {path.stem for path in (EXAMPLES / example / "defects").iterdir()}
        assert programs == {case.defect for case in DEFECTIVE if case.example == example}
