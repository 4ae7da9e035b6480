"""A full disk: the daemon holds out, loses nothing, repeats nothing, and halts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = Path(__file__).resolve().parent / "full_disk_scenario.py"
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.mark.stack
@pytest.mark.parametrize("scenario", ["plan", "evaluation", "nearly", "halt"])
def test_a_full_disk_costs_time_only(tmp_path: Path, scenario: str) -> None:
    """Full before the dispatch, before the commit, nearly full, and halted while full."""
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
