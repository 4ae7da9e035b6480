"""Process signals against a real process that is told what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.witness.base import Values
from chaos.witness.lives import Lives, ServiceLife
from chaos.witness.process import Harness, Host, WatcherProcess

# A process that obeys one command per line and answers when it is done.
OBEDIENT = """
import subprocess, sys, threading
kept = []
for line in sys.stdin:
    what, number = line.split()
    for _ in range(int(number)):
        if what == "grow": kept.append(bytearray(b"x" * 1_000_000))
        if what == "drop": kept[:] = [k for k in kept if not isinstance(k, bytearray)]
        if what == "open": kept.append(open("/dev/null"))
        if what == "run": subprocess.run(["true"])
        if what == "child": kept.append(subprocess.Popen(["sleep", "60"]))
        if what == "thread":
            started = threading.Event()
            def live():
                if len(sys.argv) > 1: kept.append(subprocess.Popen(["sleep", "60"]))
                started.set()
                threading.Event().wait()
            threading.Thread(target=live, daemon=True).start()
            started.wait()
        if what == "burn": sum(range(3_000_000))
        if what == "end":
            [k.kill() for k in kept if isinstance(k, subprocess.Popen)]
            sys.exit()
    print("done", flush=True)
"""


class Obedient:
    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OBEDIENT, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.do("grow", 0)

    def do(self, what: str, number: int) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{what} {number}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() in ("done\n", "")

    def end(self) -> None:
        if self.process.poll() is None:
            self.do("end", 1)
        self.process.communicate(timeout=10)


@pytest.fixture
def obedient() -> Iterator[Obedient]:
    process = Obedient()
    yield process
    process.end()


def read(source: WatcherProcess | Harness | Host) -> Values:
    values: Values = {}
    source.read(values)
    return values


def number(values: Values, key: str) -> float:
    value = values[key]
    assert isinstance(value, int | float)
    return value


def test_growth_of_memory_descriptors_children_threads_is_measured(obedient: Obedient) -> None:
    """Each planted growth shows in its own signal, by the planted amount."""
    source = WatcherProcess(lambda: obedient.process.pid, details_period_s=0.0)
    before = read(source)
    obedient.do("grow", 20)
    obedient.do("open", 7)
    obedient.do("child", 2)
    obedient.do("burn", 3)
    after = read(source)
    grown = number(after, "watcher.rss_anon_bytes") - number(before, "watcher.rss_anon_bytes")
    assert 20e6 <= grown <= 24e6
    assert number(after, "watcher.fds") - number(before, "watcher.fds") == 7
    assert (before["watcher.children"], after["watcher.children"]) == (0, 2)
    assert number(after, "watcher.cpu_s") > number(before, "watcher.cpu_s")
    obedient.do("thread", 3)
    assert number(read(source), "watcher.threads") - number(after, "watcher.threads") == 3
    source.close()


def test_a_child_is_seen_at_the_next_sample_whatever_is_read_less_often(
    obedient: Obedient,
) -> None:
    """A dispatch may live for less than a second: a repeated value would hide it."""
    source = WatcherProcess(lambda: obedient.process.pid, details_period_s=3600.0)
    assert read(source)["watcher.children"] == 0
    obedient.do("child", 1)
    assert read(source)["watcher.children"] == 1
    source.close()


def test_a_child_that_lived_between_two_samples_has_left_its_page_faults(
    obedient: Obedient,
) -> None:
    """Ended and waited for: nothing else tells of it. One that still runs has left none yet."""
    source = WatcherProcess(lambda: obedient.process.pid, details_period_s=3600.0)
    key = "watcher.children_faults"
    before = read(source)
    obedient.do("child", 1)
    assert number(read(source), key) == number(before, key)
    obedient.do("run", 1)
    assert not source.unchanged()
    assert number(read(source), key) >= number(before, key) + 10
    assert source.unchanged()
    source.close()


def test_unchanged_is_said_only_while_a_read_would_tell_the_same(obedient: Obedient) -> None:
    """Memory, a child, what is due, the end: each is noticed, and the next read tells it."""
    now_s = [0.0]
    source = WatcherProcess(lambda: obedient.process.pid, clock=lambda: now_s[0])
    assert not source.unchanged()  # nothing was told yet
    before = read(source)
    assert source.unchanged() and read(source) == before and source.unchanged()
    obedient.do("child", 1)
    assert not source.unchanged()
    assert read(source)["watcher.children"] == 1
    obedient.do("grow", 20)
    assert not source.unchanged()
    grown = number(read(source), "watcher.rss_anon_bytes")
    assert grown - number(before, "watcher.rss_anon_bytes") >= 20e6
    assert source.unchanged()
    obedient.do("open", 7)
    now_s[0] = 0.6
    assert not source.unchanged()
    assert number(read(source), "watcher.fds") == number(before, "watcher.fds") + 7
    obedient.end()
    assert not source.unchanged()
    assert read(source) == {}
    assert not source.unchanged()
    source.close()


def test_what_was_looked_at_and_not_changed_is_not_told_later(obedient: Obedient) -> None:
    source = WatcherProcess(lambda: obedient.process.pid)
    read(source)
    assert source.unchanged()
    obedient.do("child", 1)
    assert read(source)["watcher.children"] == 1
    source.close()


def test_children_of_every_thread_count() -> None:
    """The kernel lists children per thread; the signal is their sum."""
    obedient = Obedient("children-of-threads")
    try:
        obedient.do("child", 1)
        obedient.do("thread", 2)
        source = WatcherProcess(lambda: obedient.process.pid)
        assert read(source)["watcher.children"] == 3
        source.close()
    finally:
        obedient.end()


def test_details_are_repeated_until_memory_shrinks(obedient: Obedient) -> None:
    """In between the last ones are told; what shrinks may have been swapped out: asked at once."""
    now_s = [0.0]
    source = WatcherProcess(lambda: obedient.process.pid, clock=lambda: now_s[0])
    obedient.do("grow", 20)
    before = read(source)
    obedient.do("open", 7)
    now_s[0] = 0.4
    assert read(source)["watcher.fds"] == before["watcher.fds"]
    obedient.do("drop", 1)
    after = read(source)
    assert number(after, "watcher.rss_anon_bytes") < number(before, "watcher.rss_anon_bytes") - 10e6
    assert number(after, "watcher.fds") == number(before, "watcher.fds") + 7
    source.close()


def test_exit_is_an_absence_and_a_successor_is_picked_up(obedient: Obedient) -> None:
    """An ended process leaves no keys, only a reason; the next process is read afresh."""
    current = obedient.process.pid
    source = WatcherProcess(lambda: current)
    first = read(source)
    assert (first["watcher.pid"], first["watcher.generation"]) == (obedient.process.pid, 0)
    obedient.process.kill()
    obedient.process.wait()
    assert read(source) == {}
    assert source.absences() == {"watcher": f"process {current} has ended"}
    assert read(source) == {}  # and again: its number is still the last known one
    successor = Obedient()
    try:
        current = successor.process.pid
        next_one = read(source)
        assert next_one["watcher.pid"] == successor.process.pid
        assert next_one["watcher.generation"] == 1
        assert next_one["watcher.fds"] == len(
            list(Path(f"/proc/{successor.process.pid}/fd").iterdir())
        )
        assert source.absences() == {}
    finally:
        successor.end()
    source.close()


def test_a_zombie_is_not_running() -> None:
    """A process that has ended but is not reaped has no memory: its keys are absent."""
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()  # end of file: the interpreter has closed it on its way out
    source = WatcherProcess(lambda: process.pid)
    try:
        for _ in range(1000):
            values = read(source)
            if not values:
                break
        assert values == {}
        assert "has ended" in source.absences()["watcher"]
    finally:
        process.wait()
        source.close()


def test_no_process_is_an_absence() -> None:
    """Nobody runs: no keys at all, never zeros."""
    source = WatcherProcess(lambda: None)
    assert read(source) == {}
    assert source.absences() == {"watcher": "not running"}


def test_harness_and_host_are_measured() -> None:
    """The harness sees its own growth; the host has memory."""
    harness, host = Harness(), Host()
    before = read(harness)
    ballast = bytearray(b"x" * 30_000_000)
    grown = number(read(harness), "harness.rss_bytes") - number(before, "harness.rss_bytes")
    assert grown > 25e6
    del ballast
    assert number(read(host), "host.mem_available_bytes") > 1e6
    assert number(read(host), "host.load1") >= 0
    harness.close()
    host.close()


def test_a_successor_is_followed_while_the_one_before_still_lives(obedient: Obedient) -> None:
    """Whoever says which process it is decides: the old one is let go within one period."""
    now_s, current = [0.0], obedient.process.pid
    source = WatcherProcess(lambda: current, clock=lambda: now_s[0])
    assert read(source)["watcher.generation"] == 0
    current, now_s[0] = os.getpid(), 0.6
    values = read(source)
    assert (values["watcher.pid"], values["watcher.generation"]) == (os.getpid(), 1)
    source.close()


def test_any_service_is_followed_through_a_restart(obedient: Obedient) -> None:
    now: list[int | None] = [obedient.process.pid]
    source = ServiceLife("injector", lambda: now[0])
    values: Values = {}
    source.read(values)
    assert values == {"injector.pid": now[0], "injector.generation": 0}
    obedient.process.kill()
    obedient.process.wait()
    for pid, why in ((obedient.process.pid, "has ended"), (None, "not running")):
        now[0] = pid
        values = {}
        source.read(values)
        assert values == {}
        assert why in source.absences()["injector"]
    now[0] = os.getpid()
    source.read(values)
    assert values == {"injector.pid": now[0], "injector.generation": 1}
    assert source.absences() == {}


def test_a_number_that_is_used_again_is_another_life() -> None:
    lives = Lives()
    assert [lives.of(one) for one in ((7, 100), (7, 100), (7, 250))] == [0, 0, 1]
