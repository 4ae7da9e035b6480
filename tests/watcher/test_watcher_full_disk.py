"""A full or read-only disk: the daemon survives, loses and repeats nothing, and can be halted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = Path(__file__).resolve().parent / "full_disk_scenario.py"
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def run_scenario(tmp_path: Path, scenario: str) -> None:
    """Runs one scenario in a private mount namespace."""
    done = subprocess.run(
        [*NAMESPACE, sys.executable, str(SCENARIO), str(tmp_path), scenario],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    log = tmp_path / "daemon.out"
    output = log.read_text(errors="replace")[-5000:] if log.exists() else ""
    assert done.returncode == 0, f"{done.stderr}\n{output}"


@pytest.mark.stack
@pytest.mark.parametrize("scenario", ["plan", "evaluation", "nearly", "halt"])
def test_a_full_disk_delays_requests_and_loses_none(tmp_path: Path, scenario: str) -> None:
    """Full before the dispatch, full before the commit, nearly full, and halted while full."""
    run_scenario(tmp_path, scenario)


@pytest.mark.stack
@pytest.mark.parametrize("scenario", ["readonly", "readonly_halt", "readonly_start"])
def test_a_read_only_volume_delays_requests_and_loses_none(tmp_path: Path, scenario: str) -> None:
    """Read-only during a dispatch; halted while read-only, so no flag can be written; and started
    while read-only.

    The child fails because of the disk, so its request is repeated, not recorded as FAILED.
    """
    run_scenario(tmp_path, scenario)
