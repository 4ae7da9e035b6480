"""Where a process is: its stacks as py-spy reads them, and what its threads wait for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.triage.snapshot import seen_lines, stacks_in
from chaos.witness import stacks

PROGRAM = """
import time

def waits_for_the_answer():
    print("ready", flush=True)
    time.sleep(60)

waits_for_the_answer()
"""


@pytest.fixture
def program() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


def test_the_function_in_which_a_python_program_waits_is_told(program: int) -> None:
    found = stacks.stacks_of(program)
    assert any("waits_for_the_answer" in line for line in found["python"]), found
    assert found["threads"][0].startswith(f"{program}: ")
    snapshot = {"processes": [{"role": "watcher", "pid": program, "stacks": found}]}
    text = "\n".join(seen_lines(snapshot))
    assert stacks_in(snapshot)[0][0].startswith("waits_for_the_answer (")
    assert "waits_for_the_answer" in text and f"thread {program}: " in text


def test_a_program_of_another_kind_has_threads_and_a_reason() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        found = stacks.stacks_of(process.pid)
        process.kill()
    assert found["threads"] and found["absent"].startswith("py-spy: ")
    snapshot = {"processes": [{"role": "watcher", "pid": process.pid, "stacks": found}]}
    assert any("no Python stack: py-spy: " in line for line in seen_lines(snapshot))


def test_a_machine_without_py_spy_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert stacks.stacks_of(1)["absent"] == "py-spy is not installed"
