"""Sockets by state, zombies and temporary files, measured against real ones."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chaos.witness.base import Folder, Values
from chaos.witness.netlink import connections
from chaos.witness.sockets import WatcherSockets
from chaos.witness.temp_files import TempFiles


def read(source: WatcherSockets | TempFiles) -> Values:
    values: Values = {}
    source.read(values)
    return values


def counts(source: WatcherSockets) -> tuple[object, object]:
    values = read(source)
    return values["watcher.sockets_established"], values["watcher.sockets_close_wait"]


def test_a_connection_closed_by_its_peer_counts_as_close_wait() -> None:
    source = WatcherSockets(os.getpid)
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


def test_a_listening_socket_counts_as_other() -> None:
    source = WatcherSockets(os.getpid)
    before = read(source)["watcher.sockets_other"]
    assert isinstance(before, int)
    with socket.create_server(("127.0.0.1", 0)):
        assert read(source)["watcher.sockets_other"] == before + 1


def test_a_child_that_ended_and_was_not_reaped_counts_as_a_zombie() -> None:
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
    source = WatcherSockets(lambda: parent.pid)
    assert read(source)["watcher.zombies"] == 1
    parent.communicate("", timeout=60)
    assert read(source) == {}
    assert "has ended" in source.absences()["watcher.sockets"]


def test_without_a_process_the_sockets_are_absent() -> None:
    source = WatcherSockets(lambda: None)
    assert read(source) == {}
    assert source.absences() == {"watcher.sockets": "not running"}


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_netlink_lists_every_connection_of_both_families(
    family: socket.AddressFamily, host: str
) -> None:
    """So many connections that the answer has several parts."""
    with socket.socket(family) as server:
        try:
            server.bind((host, 0))
        except OSError as error:
            pytest.skip(f"no {host} here: {error}")
        server.listen(400)
        clients = [socket.create_connection(server.getsockname()[:2], 10) for _ in range(300)]
        peers = [server.accept()[0] for _ in clients]
        try:
            peers[0].close()
            assert clients[0].recv(1) == b""
            state_of = connections((1, 8))
            assert state_of[_inode(clients[0])] == 8
            assert {state_of[_inode(client)] for client in clients[1:]} == {1}
            assert _inode(server) not in state_of  # a listening socket has another state
        finally:
            for open_socket in clients + peers:
                open_socket.close()


def _inode(open_socket: socket.socket) -> int:
    return os.fstat(open_socket.fileno()).st_ino


def test_without_sock_diag_the_proc_table_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for a kernel without sock_diag; /proc/PID/net has the same states."""

    def refused(states: tuple[int, ...]) -> dict[int, int]:
        raise OSError(2, "No such file or directory")

    monkeypatch.setattr("chaos.witness.sockets.connections", refused)
    now_s = [0.0]
    source = WatcherSockets(os.getpid, clock=lambda: now_s[0])
    with socket.create_server(("127.0.0.1", 0)) as server:
        established, waiting = counts(source)
        assert isinstance(established, int) and isinstance(waiting, int)
        client = socket.create_connection(server.getsockname(), timeout=10)
        peer, _ = server.accept()
        peer.close()
        assert client.recv(1) == b""
        now_s[0] = 1e6  # the table is slow to read, so it is not read at every sample
        assert counts(source) == (established, waiting + 1)
        client.close()


@pytest.mark.stack
def test_sockets_are_counted_in_the_processs_own_network_namespace() -> None:
    """Our own connection table must not be used for it."""
    program = (
        "import socket, sys\n"
        "a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "b = socket.socket(); b.bind(('0.0.0.0', 0)); b.listen()\n"
        "print('ready', flush=True)\nsys.stdin.read()\n"
    )
    child = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    if child.stdout.readline() != "ready\n":
        pytest.skip("no network namespaces here")
    try:
        values = read(WatcherSockets(lambda: child.pid))
        assert values["watcher.sockets_other"] == 2
        assert values["watcher.sockets_established"] == 0
    finally:
        child.communicate("", timeout=60)


def test_temporary_files_are_counted_in_all_folders(tmp_path: Path) -> None:
    source = TempFiles(tmp_path)
    assert read(source) == {"workspace.temp_files": 0}
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".status.json.123.tmp").touch()
    (tmp_path / "deep" / "er" / "request.json.part").touch()
    (tmp_path / "deep" / "template.json").touch()
    assert read(source) == {"workspace.temp_files": 2}
    (tmp_path / "deep" / "er" / "request.json.part").unlink()
    assert read(source) == {"workspace.temp_files": 1}


def test_another_sources_listing_is_used_only_for_the_same_version(tmp_path: Path) -> None:
    """An older listing of the folder is not used."""
    (tmp_path / "queue").mkdir()
    other = Folder(tmp_path, "queue/*.json")
    source = TempFiles(tmp_path, [other])
    for temporary in range(30):
        if temporary % 3:
            other.refresh()
        assert read(source) == {"workspace.temp_files": temporary}
        for name in (f"r{temporary}.json", f".r{temporary}.json.tmp", f"r{temporary}.tmp.json"):
            (tmp_path / "queue" / name).touch()
    _older(tmp_path / "queue")
    other.refresh()
    listed = os.listdir
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "listdir", lambda path: pytest.fail(f"{path} is listed twice"))
        assert read(source) == {"workspace.temp_files": 30}
    (tmp_path / "queue" / "late.part").touch()
    assert os.listdir is listed
    assert read(source) == {"workspace.temp_files": 31}
    assert other.count() == 60  # as of its own last listing


def _older(folder: Path) -> None:
    """Make the folder look unchanged for a long time."""
    os.utime(folder, (1e9, 1e9))


@pytest.mark.parametrize("name", ["a.part", "b.tmp", ".c.temp", "d.partial", ".e.swp", "f~"])
def test_every_ending_counts_in_folders_with_and_without_folders(name: str, tmp_path: Path) -> None:
    (tmp_path / "leaf").mkdir()
    source = TempFiles(tmp_path)
    for folder in (tmp_path, tmp_path / "leaf"):
        (folder / name).touch()
        (folder / f"{name}.json").touch()
    assert read(source) == {"workspace.temp_files": 2}


def test_folders_may_vanish_while_they_are_walked(tmp_path: Path) -> None:
    source = TempFiles(tmp_path)
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
