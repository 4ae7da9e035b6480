"""What the documents show of a command is what the command prints."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.docs.console import ANY, PASSED, REPO, agrees, form, masked, run, shown

RECORD = Path(__file__).with_name("tutorial.tar.xz")
CANARY = REPO / "tests" / "records" / "soak_c_unmarked_fallback.tar.xz"
DOCUMENTS = sorted(
    path.relative_to(REPO)
    for path in [*(REPO / "docs").rglob("*.md"), REPO / "README.md"]
    if "```console" in path.read_text(encoding="utf-8")
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout as the documents see it, with two recorded runs: that of the tutorial is newer."""
    for name in ("examples", "experiments", "docs"):
        (tmp_path / name).symlink_to(REPO / name)
    for soak, record, name in (
        ("soak_b", RECORD, "20261130-160000-s7-0000"),
        ("soak_c", CANARY, "20261130-150000-s7-0000"),  # so that `latest` is the other one
    ):
        run_folder = tmp_path / "runs" / soak / name
        with tarfile.open(record) as packed:
            packed.extractall(run_folder, filter="data")
        (run_folder.parent / "latest").symlink_to(name)
    return tmp_path


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_commands_print_what_the_document_shows(document: Path, folder: Path) -> None:
    for one in shown((REPO / document).read_text(encoding="utf-8")):
        where = f"{document}:{one.line} $ {one.command}"
        if one.starts_a_run and len(one.output) == 1:
            judged = run("chaos check latest --quiet", folder)
            assert masked(one.output[0]) in (PASSED, *map(masked, judged)), where
            continue
        if one.starts_a_run:
            forms = {form(line) for line in run("chaos check soak_c/latest", folder) if line}
            said = {form(line) for line in one.output if line and line != ANY}
            assert said - forms == set(), where
            continue
        printed = run(one.command, folder)
        assert agrees(one.output, printed), "\n".join([where, *printed])


def test_own_daemon_shows_the_error_of_its_first_target(tmp_path: Path) -> None:
    text = (REPO / "docs" / "own-daemon.md").read_text(encoding="utf-8")
    (target,) = re.findall(r"(?ms)^```yaml\n(target: mine$.*?)^```", text)
    (shown_there,) = re.findall(r"(?m)^(chaos run .*mine.yaml --dry-run)\n((?:# .*\n)+)", text)
    command, output = shown_there
    example = tmp_path / "examples" / "minimal"
    shutil.copytree(REPO / "examples" / "minimal", example)
    (example / "mine.yaml").write_text(target)
    expected = [line.removeprefix("# ") for line in output.splitlines()]
    printed = run(command, tmp_path)
    assert agrees(expected, printed), "\n".join(printed)


def test_tutorial_is_among_them_and_shows_a_run_that_fails_and_one_that_passes() -> None:
    text = (REPO / "docs" / "tutorial.md").read_text(encoding="utf-8")
    runs = [one for one in shown(text) if one.starts_a_run]
    words = {line.partition(":")[0] for one in runs for line in one.output}
    assert words == {"pass", "fail"}


def test_a_changed_word_is_noticed_and_a_changed_number_is_not() -> None:
    printed = ["fault  at_s", "-----  ----", "f001   17.5", "end"]
    assert agrees(["fault    at_s", "-------  ------", "f001     3", "end"], printed)
    assert agrees(["fault at_s", ANY, "end"], printed)
    assert not agrees(["fault at_s", ANY, "the end"], printed)
    assert not agrees(["fault at_s"], printed)
