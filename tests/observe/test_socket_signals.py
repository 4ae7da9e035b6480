"""Sockets by state, zombies and temporary files, against real ones."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from chaos.observe.base import Values
from chaos.observe.sockets import WatcherSockets
from chaos.observe.temp_files import TempFiles


def read(source: WatcherSockets | TempFiles) -> Values:
    values: Values = {}
    source.read(values)
    return values


class Clock:
    """Stands for the monotonic clock, so that a test need not wait for the next look."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1000.0
        return self.now_s


def counts(source: WatcherSockets) -> tuple[object, object]:
    values = read(source)
    return values["watcher.sockets_established"], values["watcher.sockets_close_wait"]


def test_a_connection_that_the_other_side_closed_waits_until_it_is_closed() -> None:
    source = WatcherSockets(os.getpid, clock=Clock())
    established, waiting = counts(source)
    assert isinstance(established, int) and isinstance(waiting, int)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), timeout=10)
        peer, _ = server.accept()
        assert counts(source) == (established + 2, waiting)
        peer.close()
        assert client.recv(1) == b""
        assert counts(source) == (established, waiting + 1)
        client.close()
    assert counts(source) == (established, waiting)


def test_a_listening_socket_is_one_of_the_others() -> None:
    source = WatcherSockets(os.getpid, clock=Clock())
    before = read(source)["watcher.sockets_other"]
    assert isinstance(before, int)
    with socket.create_server(("127.0.0.1", 0)):
        assert read(source)["watcher.sockets_other"] == before + 1


def test_a_child_that_ended_and_was_not_reaped_is_a_zombie() -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys\n"
            "child = os.fork()\n"
            "if child == 0: os._exit(0)\n"
            "os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)\n"
            "print('ready', flush=True)\n"
            "sys.stdin.read()\n",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    source = WatcherSockets(lambda: parent.pid, clock=Clock())
    assert read(source)["watcher.zombies"] == 1
    parent.communicate("", timeout=10)
    assert read(source) == {}
    assert "has ended" in source.absences()["watcher.sockets"]


def test_without_a_process_nothing_is_there_and_it_is_said() -> None:
    source = WatcherSockets(lambda: None)
    assert read(source) == {}
    assert source.absences() == {"watcher.sockets": "not running"}


def test_between_two_looks_the_last_one_is_repeated() -> None:
    now_s = [0.0]
    source = WatcherSockets(os.getpid, clock=lambda: now_s[0])
    before = read(source)
    with socket.create_server(("127.0.0.1", 0)):
        now_s[0] = 0.5
        assert read(source) == before
        now_s[0] = 1.5
        assert read(source) != before


def test_temporary_files_are_counted_in_all_folders(tmp_path: Path) -> None:
    source = TempFiles(tmp_path, clock=Clock())
    assert read(source) == {"workspace.temp_files": 0}
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".status.json.123.tmp").touch()
    (tmp_path / "deep" / "er" / "request.json.part").touch()
    (tmp_path / "deep" / "template.json").touch()
    assert read(source) == {"workspace.temp_files": 2}
    (tmp_path / "deep" / "er" / "request.json.part").unlink()
    assert read(source) == {"workspace.temp_files": 1}


def test_folders_may_vanish_while_they_are_walked(tmp_path: Path) -> None:
    source = TempFiles(tmp_path, clock=Clock())
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            (tmp_path / "work" / "x").mkdir(parents=True)
            (tmp_path / "work" / "x").rmdir()
            (tmp_path / "work").rmdir()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        assert all(read(source) == {"workspace.temp_files": 0} for _ in range(200))
    finally:
        stop.set()
        thread.join()
