"""docs/man/chaos.1 is the manual page of this command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="each Python words the help of argparse differently"
)


def test_manual_page_is_up_to_date(repo: Path) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/man_page.py", "--check"],
        cwd=repo,
        env={"PYTHONPATH": str(repo), "CHAOS_RUNS": "/elsewhere", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
