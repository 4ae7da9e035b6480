"""The installed package is typed for those who use it from outside."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.installed.conftest import LIMIT_S, Built, Installed, members

pytestmark = pytest.mark.slow(seconds=60)

CALLER = """\
import chaos

with chaos.open_run("latest") as run:
    reveal_type(run)
    reveal_type(run.verdict.exit_code)
chaos.open_run(7)
"""


def test_mypy_sees_the_types_of_the_api(installed: Installed, tmp_path: Path) -> None:
    caller = tmp_path / "caller.py"
    caller.write_text(CALLER)
    mypy = (sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"))
    done = subprocess.run(
        [*mypy, "--python-executable", str(installed.python), str(caller)],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert 'Revealed type is "chaos.runner.api.Run"' in done.stdout, done.stdout + done.stderr
    assert 'Revealed type is "int"' in done.stdout or "builtins.int" in done.stdout
    assert 'error: Argument 1 to "open_run" has incompatible type "int"' in done.stdout
    assert "missing library stubs" not in done.stdout


def test_wheel_has_the_plugin_of_pytest_and_the_man_page(built: Built) -> None:
    held = members(built.wheel)
    (points,) = (name for name in held if name.endswith("entry_points.txt"))
    with zipfile.ZipFile(built.wheel) as archive:
        assert "[pytest11]\nchaos = chaos.pytest_plugin" in archive.read(points).decode()
    assert "chaos/py.typed" in held
    assert any(name.endswith(".data/data/share/man/man1/chaos.1") for name in held)
