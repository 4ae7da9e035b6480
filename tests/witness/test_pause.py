"""A pause lasts as long as asked, and ends when it is told to."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from chaos.witness.pause import Pause


def test_it_does_not_end_before_its_time() -> None:
    pause = Pause()
    for limit_s in (0.0, 0.0004, 0.0101):
        start_s = time.monotonic()
        assert not pause.wait(limit_s)
        assert time.monotonic() - start_s >= limit_s
    assert not pause.wait(-1.0)
    pause.close()


def test_setting_it_ends_a_wait_without_a_limit_and_all_later_ones() -> None:
    pause = Pause()
    ended = threading.Event()

    def wait() -> None:
        pause.wait()
        ended.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    pause.set()
    assert ended.wait(30)
    waiting.join()
    assert pause.wait() and pause.is_set()
    pause.set()
    pause.close()
    pause.set()  # a late signal
    assert pause.wait()


def test_it_leaves_no_descriptor_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    pause = Pause()
    pause.close()
    pause.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
