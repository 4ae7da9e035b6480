"""scripts/bootstrap.sh: idle when nothing is to do; one message for what the machine lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = ("bash", "cat", "cut", "dirname", "env", "flock", "mkdir", "rm", "sed", "sha256sum")


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with what the script itself needs: no Python, no apt-get."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (folder / tool).symlink_to(found)
    return folder


def shell(
    repo: Path, tmp_path: Path, path: Path, script: str, *, prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run `script` after sourcing bootstrap.sh, with an environment folder of its own."""
    return subprocess.run(
        [*prefix, str(path / "bash"), "-euc", f"source scripts/bootstrap.sh; {script}"],
        cwd=repo,
        env={"PATH": str(path), "CHAOS_VENV": str(tmp_path / "venv"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def stand_in(path: Path, script: str) -> None:
    """Write a small shell program that stands in for a Python interpreter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_without_a_new_enough_python_one_message_says_so(
    repo: Path, tmp_path: Path, bare_path: Path
) -> None:
    stand_in(bare_path / "python3", "exit 1")  # what an old one answers to the version question
    done = shell(repo, tmp_path, bare_path, "bootstrap runtime")
    assert done.returncode == 4
    assert "Python 3.11" in done.stderr and "CHAOS_PYTHON" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_what_only_root_can_install_is_named_in_one_message(
    repo: Path, tmp_path: Path, bare_path: Path
) -> None:
    """The stand-in is a Python that lacks two packages; root becomes nobody in a namespace."""
    stand_in(bare_path / "python3", '[ "$1" = - ] && echo python3-venv libgomp1; exit 0')
    stand_in(bare_path / "apt-get", "echo must not be called >&2; exit 1")
    unshare = shutil.which("unshare")
    prefix = (unshare, "--user") if os.geteuid() == 0 and unshare else ()
    if prefix:
        tmp_path.chmod(0o755)
    done = shell(repo, tmp_path, bare_path, "bootstrap runtime", prefix=prefix)
    assert done.returncode == 4
    assert "lacks python3-venv libgomp1" in done.stderr and "as root: apt-get" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert not (tmp_path / "venv").exists()


def test_an_environment_that_matches_the_lock_is_left_alone(
    repo: Path, tmp_path: Path, bare_path: Path
) -> None:
    """There is no Python on PATH, so any attempt to set up would end with exit 4."""
    stand_in(tmp_path / "venv" / "bin" / "python", "exit 9")
    stamp = tmp_path / "venv" / ".stamp-runtime"
    stamped = shell(repo, tmp_path, bare_path, '_stamp_of "$root/requirements.lock"')
    stamp.write_text(stamped.stdout)
    done = shell(repo, tmp_path, bare_path, "bootstrap runtime")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    stamp.write_text("the checksum of an older lock\n")
    assert shell(repo, tmp_path, bare_path, "bootstrap runtime").returncode == 4
