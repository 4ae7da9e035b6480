"""Whoever reads what is printed, or nobody, or a device that is full: the exit code is the answer.

Each command is a process of its own, as its user starts it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.record.rundir import RunDir
from tests.checks.history_builder import PlantedRun
from tests.report.test_announce import inner

REPO = Path(__file__).resolve().parents[2]
ALERT = ["--alert", "none", "--alert", "watcher.pid=absent"]
MONITOR = ["monitor", "--interval", "20ms", *ALERT, "--workspace"]
FULL = "cannot write to standard output: No space left on device"


@pytest.fixture
def failing(tmp_path: Path) -> RunDir:
    planted = PlantedRun(tmp_path / "run").ask_only("errors")
    planted.files["logs/watcher.log"] = "Traceback (most recent call last):\n"
    return planted.write()


@pytest.fixture
def passing(tmp_path: Path) -> RunDir:
    return PlantedRun(tmp_path / "passing").ask_only("errors").write()


@contextmanager
def nobody() -> Iterator[int]:
    """A pipe whose reader has gone."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@contextmanager
def full() -> Iterator[int]:
    """A device that takes nothing; it is only written to."""
    out = os.open("/dev/full", os.O_WRONLY)
    yield out
    os.close(out)


def ended(
    *words: str, stdout: int = subprocess.PIPE, closed: bool = False, **environ: str
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")]))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "LC_"))}
    command = [sys.executable, "-m", "chaos", *words]
    if closed:
        command = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command]
    return subprocess.run(
        command,
        env={**inherited, "PYTHONPATH": path, **environ},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("words", [["--count", "2"], ["--count", "2", "--jsonl"], ["--jsonl"]])
def test_an_alert_that_nobody_reads_is_still_an_alert(tmp_path: Path, words: list[str]) -> None:
    """Without --count the monitor ends when its reader has gone, with what it knows by then."""
    (tmp_path / "watcher_requests").mkdir()
    with nobody() as out:
        done = ended(*MONITOR, str(tmp_path), *words, stdout=out)
    assert (done.returncode, done.stderr) == (ExitCode.GUARDRAIL, "")


def test_a_reader_that_has_gone_changes_no_code(failing: RunDir, tmp_path: Path) -> None:
    """An empty folder is no workspace: doctor finds problems, and says so by 4."""
    (tmp_path / "empty").mkdir()
    with nobody() as out:
        judged = ended("check", str(failing.path), stdout=out)
        looked = ended("doctor", "--workspace", str(tmp_path / "empty"), stdout=out)
    assert (judged.returncode, judged.stderr) == (ExitCode.FAIL, "")
    assert (looked.returncode, looked.stderr) == (ExitCode.INVALID, "")


def test_a_closed_standard_output_is_one_that_nobody_reads(
    failing: RunDir, passing: RunDir
) -> None:
    for words, code in [
        (["check", str(failing.path)], ExitCode.FAIL),
        (["check", str(passing.path), "--json"], ExitCode.PASS),
        (["faults"], ExitCode.PASS),
        (["nosuch"], ExitCode.USAGE),
    ]:
        done = ended(*words, closed=True)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
    assert '"verdict": "pass"' in passing.verdict.read_text()


def test_an_answer_that_does_not_fit_is_neither_a_pass_nor_a_failure(
    failing: RunDir, passing: RunDir
) -> None:
    with full() as out:
        for run in (failing, passing):
            done = ended("check", str(run.path), stdout=out)
            assert done.returncode == ExitCode.INVALID
            assert done.stderr.count(FULL) == 1 and "Traceback" not in done.stderr
            assert run.verdict.is_file()


@pytest.mark.parametrize("display", ["lines", "quiet", "json"])
def test_a_run_whose_answer_does_not_fit_has_its_verdict_stored(
    failing: RunDir, display: str
) -> None:
    with full() as out:
        done = subprocess.run(
            [sys.executable, *inner(failing, display)],
            cwd=REPO,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr.count(FULL)) == (ExitCode.INVALID, 1), done.stderr
    assert '"verdict": "fail"' in failing.verdict.read_text()


def test_a_full_device_hides_no_other_answer(tmp_path: Path) -> None:
    with full() as out:
        wrong = ended("check", "--json", "nosuch", stdout=out)
        alerted = ended(*MONITOR, str(tmp_path), "--count", "9999", stdout=out)
    assert (wrong.returncode, "no run at 'nosuch'" in wrong.stderr) == (ExitCode.USAGE, True)
    assert (alerted.returncode, FULL in alerted.stderr) == (ExitCode.GUARDRAIL, True)


@pytest.mark.parametrize("kind", ["markdown", "github"])
def test_what_a_terminal_cannot_show_is_replaced(passing: RunDir, kind: str) -> None:
    ended("check", str(passing.path))
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = ended("report", "--format", kind, "--out", "-", str(passing.path), **plain)
    assert (done.returncode, done.stderr) == (ExitCode.PASS, "")
    assert "? PASS" in done.stdout
    whole = ended("report", "--format", kind, "--out", "-", str(passing.path), PYTHONUTF8="1")
    assert "✓ PASS" in whole.stdout
