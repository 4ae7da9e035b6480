"""A command of the doctor does what it says wherever it is pasted, whatever a file is called."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from chaos.doctor.item import Patient
from chaos.doctor.locks import look_at_locks
from chaos.doctor.workspace import look_at_halt_flags
from chaos.runner.resolve import read_target
from chaos.stack.base import Endpoint

DEAD = 2**22  # above the largest process number that Linux gives out


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """Named by a path relative to where the doctor is called, as its users do."""
    (tmp_path / "the Watcher's; x").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    return Patient(read_target("reference")[1], Path("the Watcher's; x"), Endpoint("127.0.0.1", 1))


def pasted(next_step: str, folder: Path) -> None:
    """Run what stands from `rm` on, without the remark behind it."""
    command = "rm " + next_step.partition("rm ")[2]
    for remark in (" (or --fix)", " (never removed by --fix)"):
        command = command.removesuffix(remark)
    subprocess.run(["/bin/sh", "-c", command], cwd=folder, check=True, timeout=60)


@pytest.mark.parametrize("content", [str(DEAD), ""])
@pytest.mark.parametrize("name", ["-rf a b.lock", "$(touch x).lock", "some.lock"])
def test_a_stale_lock_is_removed_and_nothing_else(
    patient: Patient, tmp_path: Path, name: str, content: str
) -> None:
    lock, other = patient.workspace / name, tmp_path / "elsewhere" / name
    for path in (lock, other):
        path.write_text(content)
        then_s = time.time() - 7200.0
        os.utime(path, (then_s, then_s))
    [item] = look_at_locks(patient)
    pasted(item.next_step, tmp_path / "elsewhere")
    assert not lock.exists() and other.exists()
    assert list((tmp_path / "elsewhere").iterdir()) == [other]


def test_a_halt_flag_that_is_a_link_is_removed_and_not_what_it_names(
    patient: Patient, tmp_path: Path
) -> None:
    named = tmp_path / "elsewhere" / "precious"
    named.write_text("kept")
    flag = patient.workspace / patient.target.halt.flag
    flag.symlink_to(named)
    [item] = look_at_halt_flags(patient)
    pasted(item.next_step, tmp_path / "elsewhere")
    assert not os.path.lexists(flag) and named.exists()
