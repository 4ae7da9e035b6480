"""A workspace that becomes read-only while the injector runs delays draws and loses none.

The read-only mount is made over the workspace after the start. The injector's working directory is
the folder below the mount, so relative paths alone would bypass it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
IMAGES = REPO / "images"
INJECTOR = IMAGES / "injector" / "synthetic_draw_injector.py"
BOOTSTRAP = IMAGES / "watcher" / "bootstrap_history.py"

# Runs in the workspace, a tmpfs in a private mount namespace.
SCENARIO = """
import json, os, pathlib, subprocess, sys, time
from tests.waiting import wait_for
injector, bootstrap, log_path, aside = sys.argv[1:]
workspace, log = os.getcwd(), open(log_path, "w")
logged = lambda text: pathlib.Path(log_path).read_text().count(text)
history = lambda: json.loads(pathlib.Path(workspace, "lottery_history.json").read_text())["draws"]
subprocess.run([sys.executable, bootstrap, "--draws", "200"], check=True)
process = subprocess.Popen([sys.executable, injector, "--daemon", "--interval", "0.05"], stderr=log)
wait_for("draws", lambda: logged("injected") > 1)
for words in (["--bind", workspace, aside], ["-o", "remount,bind,ro", aside],
              ["--move", aside, workspace]):
    subprocess.run(["mount", *words], check=True)
wait_for("the cover", lambda: logged("cannot write lottery_history.json: Read-only file system"))
before = len(history())
time.sleep(0.3)
assert process.poll() is None and len(history()) == before, "drew on a read-only volume"
subprocess.run(["umount", "--lazy", workspace], check=True)
wait_for("the draws that were due", lambda: len(history()) > before + 5)
process.terminate()
assert process.wait(30) == 0
print(json.dumps([draw["value"] for draw in history()]))
"""


@pytest.mark.stack
def test_a_read_only_workspace_delays_draws_and_loses_none(tmp_path: Path) -> None:
    policies = {
        "test_mode": True,
        "synthetic_injection": {"enabled": True, "interval_seconds": 1, "true_seed": 12345},
    }
    inside = 'mount -t tmpfs -o size=2m tmpfs "$1" && cd "$1" && cp "$2" . && shift 2 && exec "$@"'
    volume, aside = tmp_path / "volume", tmp_path / "aside"
    volume.mkdir()
    aside.mkdir()
    (tmp_path / "watcher_policies.json").write_text(json.dumps(policies))
    done = subprocess.run(
        [
            *("unshare", "-rmp", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", inside, "sh", str(volume), str(tmp_path / "watcher_policies.json")),
            *(sys.executable, "-c", SCENARIO, str(INJECTOR), str(BOOTSTRAP)),
            *(str(tmp_path / "injector.log"), str(aside)),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPO), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sys.path.insert(0, str(IMAGES / "watcher"))
    try:
        from prng_registry import java_lcg
    finally:
        sys.path.pop(0)
    values = json.loads(done.stdout.splitlines()[-1])
    assert values == [raw % 1000 for raw in java_lcg(12345, len(values))]
    assert len(values) > 205
