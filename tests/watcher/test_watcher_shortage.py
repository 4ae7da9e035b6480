"""Without memory or descriptors the daemon survives, and loses and repeats nothing."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from watcher_lab import IMAGE, Lab

from tests.waiting import wait_for

MB = 1 << 20


def assert_survives(lab: Lab, limit: int, soft: int, text: str) -> None:
    """Submits a request while resource `limit` is `soft`, and lifts it when `text` is logged."""
    assert lab.daemon is not None
    pid = lab.daemon.pid
    before = resource.prlimit(pid, limit, (soft, resource.prlimit(pid, limit)[1]))
    lab.submit("r1.json")
    wait_for(f"{text!r} in the log", lambda: text in lab.output() or lab.ended())
    assert not lab.ended(), lab.output()
    resource.prlimit(pid, limit, before)
    decision = lab.decision("r1.json")
    assert decision["status"] == "COMPLETED"
    assert [d["request_file"] for d in lab.decisions()] == ["r1.json"]
    assert lab.halt() == 0
    lab.assert_no_trouble()


def test_a_daemon_without_memory_waits_and_completes_the_request(lab: Lab) -> None:
    """A child that cannot start or load its libraries is not a failed request."""
    lab.start()
    assert_survives(lab, resource.RLIMIT_AS, 10 * MB, "memory")


def test_a_daemon_without_descriptors_waits_and_completes_the_request(lab: Lab) -> None:
    lab.start()
    assert lab.daemon is not None
    count = len(list(Path(f"/proc/{lab.daemon.pid}/fd").iterdir()))
    assert_survives(lab, resource.RLIMIT_NOFILE, count, os.strerror(errno.EMFILE))


def test_a_small_file_is_read_with_little_memory(tmp_path: Path) -> None:
    """The size limit of 64 MB must not be allocated for a small file."""
    (tmp_path / "small.json").write_text('{"a": 1}')
    code = (
        "import resource\nfrom pathlib import Path\nfrom agents import files\n"
        "pages = int(Path('/proc/self/statm').read_text().split()[0])\n"
        f"limit = pages * resource.getpagesize() + {8 * MB}\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, -1))\n"
        f"print(files.read_json(Path({str(tmp_path / 'small.json')!r})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=IMAGE, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "{'a': 1}", done.stderr


def test_a_child_that_always_lacks_memory_fails_after_the_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise one impossible request would block all others for ever."""
    from agents import dispatch
    from agents.logs import RotatingFile
    from agents.stop import Stop

    passed = SimpleNamespace(s=0.0)  # stands for the time that the retries take
    real = time.monotonic
    monkeypatch.setattr(dispatch.time, "monotonic", lambda: real() + passed.s)
    dispatcher = dispatch.Dispatcher(
        tmp_path, Stop(None), RotatingFile(tmp_path / "dispatch.log", 1_000_000, 1)
    )
    greedy = [sys.executable, "-c", "raise MemoryError"]
    for _ in range(3):
        passed.s += dispatch.SHORTAGE_PATIENCE_S / 4
        with pytest.raises(OSError) as raised:
            dispatcher.run(greedy, tmp_path / "work", 60)
        assert raised.value.errno == errno.ENOMEM
    passed.s += dispatch.SHORTAGE_PATIENCE_S
    assert dispatcher.run(greedy, tmp_path / "work", 60).exit_code == 1


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
def test_a_child_that_lacks_a_resource_may_be_repeated(tmp_path: Path, number: int) -> None:
    """A request does not fail because the disk failed for a moment."""
    from agents.dispatch import Dispatcher
    from agents.logs import RotatingFile
    from agents.stop import Stop

    log = RotatingFile(tmp_path / "dispatch.log", 1_000_000, 1)
    failing = [sys.executable, "-c", f"raise OSError({number}, {os.strerror(number)!r})"]
    with pytest.raises(OSError) as raised:
        Dispatcher(tmp_path, Stop(None), log).run(failing, tmp_path / "work", 60)
    assert raised.value.errno == number


def test_any_other_failure_of_a_child_counts_at_once(tmp_path: Path) -> None:
    from agents.dispatch import Dispatcher
    from agents.logs import RotatingFile
    from agents.stop import Stop

    log = RotatingFile(tmp_path / "dispatch.log", 1_000_000, 1)
    dispatcher = Dispatcher(tmp_path, Stop(None), log)
    failing = [sys.executable, "-c", "raise ValueError('memory is fine')"]
    assert dispatcher.run(failing, tmp_path / "work", 60).exit_code == 1
