"""The supervisor's event log loses nothing on a disk that is full or almost full."""

from __future__ import annotations

import errno
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.llm.supervised import PROGRAM

FULL = Path("/dev/full")
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]

# A real tmpfs of 64 KiB. The event log ends 20 bytes before the end of its page, and the rest of
# the volume is full. So the kernel accepts 20 bytes of the next event.
_NEARLY_FULL = """
import json, pathlib, subprocess, sys
sys.path.insert(0, sys.argv[1])
from event_file import EventFile
volume = pathlib.Path(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(volume)], check=True)
path = volume / "events.jsonl"
path.write_bytes(b"x" * (4096 - 21) + b"\\n")
ballast = volume / "ballast"
try:
    with ballast.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
except OSError:
    pass
record = EventFile(path)
record.append({"event": "start", "pid": 1, "generation": 1})
assert path.stat().st_size == 4096 - 20, "half a line was left"
record.append({"event": "stop"})
ballast.unlink()
record.flush()
lines = path.read_text().splitlines()[1:]
assert [json.loads(line)["event"] for line in lines] == ["start", "stop"], lines
"""


@pytest.fixture(scope="module")
def event_file() -> ModuleType:
    path = PROGRAM.with_name("event_file.py")
    spec = importlib.util.spec_from_file_location("event_file_under_test", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_events_refused_by_a_full_disk_are_written_later_in_order(
    event_file: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """/dev/full refuses every write with ENOSPC, as a full disk does."""
    path = tmp_path / "events.jsonl"
    path.symlink_to(FULL)
    record = event_file.EventFile(path)
    for number in range(3):
        record.append({"event": "start", "generation": number})
    assert capsys.readouterr().out.count(f"[Errno {errno.ENOSPC}]") == 1
    path.unlink()
    record.flush()
    record.append({"event": "gone", "generation": 3})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["generation"] for line in lines] == [0, 1, 2, 3]


@pytest.mark.stack
def test_a_partly_written_event_is_removed(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", _NEARLY_FULL, str(PROGRAM.parent), str(volume)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
