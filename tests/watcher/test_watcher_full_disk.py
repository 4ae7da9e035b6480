"""A full or read-only disk: the daemon holds out, loses nothing, repeats nothing, and halts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = Path(__file__).resolve().parent / "full_disk_scenario.py"
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def live(tmp_path: Path, scenario: str) -> None:
    """One scenario in a mount namespace of its own."""
    done = subprocess.run(
        [*NAMESPACE, sys.executable, str(SCENARIO), str(tmp_path), scenario],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    log = tmp_path / "daemon.out"
    said = log.read_text(errors="replace")[-5000:] if log.exists() else ""
    assert done.returncode == 0, f"{done.stderr}\n{said}"


@pytest.mark.stack
@pytest.mark.parametrize("scenario", ["plan", "evaluation", "nearly", "halt"])
def test_a_full_disk_costs_time_only(tmp_path: Path, scenario: str) -> None:
    """Full before the dispatch, before the commit, nearly full, and halted while full."""
    live(tmp_path, scenario)


@pytest.mark.stack
@pytest.mark.parametrize("scenario", ["readonly", "readonly_halt", "readonly_start"])
def test_a_volume_that_becomes_read_only_costs_time_only(tmp_path: Path, scenario: str) -> None:
    """In the middle of a dispatch; halted while it is read-only, when no flag can be written; and
    started while it is read-only.

    The child's failure is no news about its work: it is repeated, not recorded as FAILED.
    """
    live(tmp_path, scenario)
