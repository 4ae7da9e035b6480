"""Process signals against a real process that executes commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.witness.base import Values
from chaos.witness.lives import Lives
from chaos.witness.process import Harness, Host, ServiceProcess

# A process that executes one command per line, and prints "done" after each.
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
        self.process.communicate(timeout=60)


@pytest.fixture
def obedient() -> Iterator[Obedient]:
    process = Obedient()
    yield process
    process.end()


def read(source: ServiceProcess | Harness | Host) -> Values:
    values: Values = {}
    source.read(values)
    return values


def number(values: Values, key: str) -> float:
    value = values[key]
    assert isinstance(value, int | float)
    return value


def test_growth_of_memory_descriptors_children_threads_is_measured(obedient: Obedient) -> None:
    """Each planted growth appears in its own signal, by the planted amount."""
    source = ServiceProcess("watcher", lambda: obedient.process.pid, details_period_s=0.0)
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


def test_children_are_read_at_every_sample(obedient: Obedient) -> None:
    """A dispatch may live for less than a second: a repeated value would hide it."""
    source = ServiceProcess("watcher", lambda: obedient.process.pid, details_period_s=3600.0)
    assert read(source)["watcher.children"] == 0
    obedient.do("child", 1)
    assert read(source)["watcher.children"] == 1
    source.close()


def test_a_child_that_lived_between_two_samples_adds_page_faults(obedient: Obedient) -> None:
    """Only a child that has ended and was waited for counts."""
    source = ServiceProcess("watcher", lambda: obedient.process.pid, details_period_s=3600.0)
    key = "watcher.children_faults"
    before = read(source)
    obedient.do("child", 1)
    assert number(read(source), key) == number(before, key)
    obedient.do("run", 1)
    assert not source.unchanged()
    assert number(read(source), key) >= number(before, key) + 10
    assert source.unchanged()
    source.close()


def test_unchanged_is_true_only_if_a_read_would_return_the_same(obedient: Obedient) -> None:
    """Memory, a child, due details, the exit: `unchanged` is False, and the next read shows it."""
    now_s = [0.0]
    source = ServiceProcess("watcher", lambda: obedient.process.pid, clock=lambda: now_s[0])
    assert not source.unchanged()  # there was no read yet
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


def test_read_never_uses_texts_that_unchanged_read_earlier(obedient: Obedient) -> None:
    source = ServiceProcess("watcher", lambda: obedient.process.pid)
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
        source = ServiceProcess("watcher", lambda: obedient.process.pid)
        assert read(source)["watcher.children"] == 3
        source.close()
    finally:
        obedient.end()


def test_details_are_repeated_until_memory_shrinks(obedient: Obedient) -> None:
    """Memory that shrinks may have been swapped out, so the details are read at once."""
    now_s = [0.0]
    source = ServiceProcess("watcher", lambda: obedient.process.pid, clock=lambda: now_s[0])
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


def test_exit_is_an_absence_and_the_next_process_is_followed(obedient: Obedient) -> None:
    """An ended process has no keys, only a reason. The next process has its own values."""
    current = obedient.process.pid
    source = ServiceProcess("watcher", lambda: current)
    first = read(source)
    assert (first["watcher.pid"], first["watcher.generation"]) == (obedient.process.pid, 0)
    obedient.process.kill()
    obedient.process.wait()
    assert read(source) == {}
    assert source.absences() == {"watcher": f"process {current} has ended"}
    assert read(source) == {}  # `pid` still returns the ended process
    successor = Obedient()
    try:
        current = successor.process.pid
        values = read(source)
        assert values["watcher.pid"] == successor.process.pid
        assert values["watcher.generation"] == 1
        assert values["watcher.fds"] == len(
            list(Path(f"/proc/{successor.process.pid}/fd").iterdir())
        )
        assert source.absences() == {}
    finally:
        successor.end()
    source.close()


def test_a_zombie_is_not_running() -> None:
    """A process that has ended and is not reaped has no memory: its keys are absent."""
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()  # ends when the interpreter closes its end on exit
    source = ServiceProcess("watcher", lambda: process.pid)
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
    """No keys, never zeros."""
    source = ServiceProcess("watcher", lambda: None)
    assert read(source) == {}
    assert source.absences() == {"watcher": "not running"}


def test_harness_and_host_are_measured() -> None:
    """The harness measures its own growth; the host has memory and load."""
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


def test_the_next_process_is_followed_even_while_the_previous_one_lives(
    obedient: Obedient,
) -> None:
    """`pid` decides: within one details period the source follows the new process."""
    now_s, current = [0.0], obedient.process.pid
    source = ServiceProcess("watcher", lambda: current, clock=lambda: now_s[0])
    assert read(source)["watcher.generation"] == 0
    current, now_s[0] = os.getpid(), 0.6
    values = read(source)
    assert (values["watcher.pid"], values["watcher.generation"]) == (os.getpid(), 1)
    source.close()


def test_a_restart_of_a_service_raises_its_generation(obedient: Obedient) -> None:
    current: list[int | None] = [obedient.process.pid]
    source = ServiceProcess("injector", lambda: current[0], details_period_s=0.0)
    values: Values = {}
    source.read(values)
    assert (values["injector.pid"], values["injector.generation"]) == (current[0], 0)
    obedient.process.kill()
    obedient.process.wait()
    for pid, why in ((obedient.process.pid, "has ended"), (None, "not running")):
        current[0] = pid
        values = {}
        source.read(values)
        assert values == {}
        assert why in source.absences()["injector"]
    current[0] = os.getpid()
    source.read(values)
    assert (values["injector.pid"], values["injector.generation"]) == (current[0], 1)
    assert source.absences() == {}
    source.close()


def test_a_reused_pid_is_a_new_generation() -> None:
    lives = Lives()
    assert [lives.of(identity) for identity in ((7, 100), (7, 100), (7, 250))] == [0, 0, 1]
