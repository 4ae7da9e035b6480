"""A removal command that the doctor prints works in any folder and for any file name."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from chaos.doctor.item import Subject
from chaos.doctor.locks import examine_locks
from chaos.doctor.workspace import examine_halt_flags
from chaos.runner.resolve import read_target
from chaos.stack.base import Endpoint

DEAD = 2**22  # above the largest PID of Linux


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """A workspace that is named by a relative path, as users do."""
    (tmp_path / "the Watcher's; x").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    return Subject(read_target("reference")[1], Path("the Watcher's; x"), Endpoint("127.0.0.1", 1))


def pasted(next_step: str, folder: Path) -> None:
    """Run the printed command: the text from `rm` on, without the remark after it."""
    command = "rm " + next_step.partition("rm ")[2]
    for remark in (" (or --fix)", " (never removed by --fix)"):
        command = command.removesuffix(remark)
    subprocess.run(["/bin/sh", "-c", command], cwd=folder, check=True, timeout=60)


@pytest.mark.parametrize("content", [str(DEAD), ""])
@pytest.mark.parametrize("name", ["-rf a b.lock", "$(touch x).lock", "some.lock"])
def test_the_command_removes_only_the_stale_lock(
    subject: Subject, tmp_path: Path, name: str, content: str
) -> None:
    lock, other = subject.workspace / name, tmp_path / "elsewhere" / name
    for path in (lock, other):
        path.write_text(content)
        then_s = time.time() - 7200.0
        os.utime(path, (then_s, then_s))
    [item] = examine_locks(subject)
    pasted(item.next_step, tmp_path / "elsewhere")
    assert not lock.exists() and other.exists()
    assert list((tmp_path / "elsewhere").iterdir()) == [other]


def test_the_command_removes_a_halt_flag_that_is_a_link_and_not_its_target(
    subject: Subject, tmp_path: Path
) -> None:
    named = tmp_path / "elsewhere" / "precious"
    named.write_text("kept")
    flag = subject.workspace / subject.target.halt_flags[0]
    flag.symlink_to(named)
    [item] = examine_halt_flags(subject)
    pasted(item.next_step, tmp_path / "elsewhere")
    assert not os.path.lexists(flag) and named.exists()
