"""A pause lasts its full time, unless `set` ends it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from chaos.witness.pause import Pause


def test_wait_lasts_at_least_its_timeout() -> None:
    pause = Pause()
    for limit_s in (0.0, 0.0004, 0.0101):
        start_s = time.monotonic()
        assert not pause.wait(limit_s)
        assert time.monotonic() - start_s >= limit_s
    assert not pause.wait(-1.0)
    pause.close()


def test_set_ends_the_current_wait_and_all_later_ones() -> None:
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


def test_close_leaves_no_descriptor_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    pause = Pause()
    pause.close()
    pause.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
