"""The Toxiproxy wrapper: real server where it works, a hung stand-in where it must not hang us."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from chaos.base.errors import EnvironmentProblem
from chaos.stack.base import Endpoint
from chaos.stack.proxies import proxy_argv
from chaos.stack.toxiproxy import ProxyProblem, ToxiproxyClient
from tests.stack.conftest import free_ports
from tests.waiting import wait_for


@pytest.fixture(params=["toxiproxy", "builtin"])
def client(request: pytest.FixtureRequest, toxiproxy_binary: Path) -> Iterator[ToxiproxyClient]:
    """A client with a real server behind it: Toxiproxy, and the one of last resort."""
    (port,) = free_ports(1)
    api = Endpoint("127.0.0.1", port)
    binary = toxiproxy_binary if request.param == "toxiproxy" else None
    server = subprocess.Popen(
        proxy_argv(binary, api), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    client = ToxiproxyClient(api)
    wait_for("the proxy starts", client.version, not_yet=ProxyProblem)
    yield client
    server.kill()
    server.wait(10)


@pytest.fixture
def endpoints() -> tuple[Endpoint, Endpoint]:
    """(listen, upstream): free ports, nothing behind them."""
    first, second = free_ports(2)
    return Endpoint("127.0.0.1", first), Endpoint("127.0.0.1", second)


@pytest.mark.stack
def test_version_is_reported(client: ToxiproxyClient) -> None:
    """As the server reports it."""
    assert client.version().startswith(("2.", "builtin "))


@pytest.mark.stack
def test_toxics_are_added_and_removed(
    client: ToxiproxyClient, endpoints: tuple[Endpoint, Endpoint]
) -> None:
    """Adding is visible, removing is idempotent, reset removes all."""
    client.create(*endpoints)
    client.add_toxic("one", "timeout", {"timeout": 0})
    client.add_toxic("two", "latency", {"latency": 5}, stream="upstream")
    assert client.toxics() == ["one", "two"]
    client.remove_toxic("one")
    client.remove_toxic("one")
    assert client.toxics() == ["two"]
    client.reset()
    assert client.toxics() == []


@pytest.mark.stack
def test_create_replaces_an_old_proxy(
    client: ToxiproxyClient, endpoints: tuple[Endpoint, Endpoint]
) -> None:
    """What an earlier one carried is gone."""
    client.create(*endpoints)
    client.add_toxic("one", "timeout", {"timeout": 0})
    client.create(*endpoints)
    assert client.toxics() == []


@pytest.mark.stack
@pytest.mark.parametrize("kind", ["no_such_kind", "twice"])
def test_refused_call_is_an_error(
    client: ToxiproxyClient, endpoints: tuple[Endpoint, Endpoint], kind: str
) -> None:
    """The library alone would take some refusals for success."""
    client.create(*endpoints)
    if kind == "twice":
        kind = "timeout"
        client.add_toxic("one", kind, {"timeout": 0})
    with pytest.raises(ProxyProblem, match="refused"):
        client.add_toxic("one", kind, {"timeout": 0})


@pytest.mark.stack
def test_taken_listen_port_is_an_error(client: ToxiproxyClient) -> None:
    """A proxy that listens nowhere is no proxy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = Endpoint("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ProxyProblem):
            client.create(listen, Endpoint("127.0.0.1", 9))


@pytest.mark.stack
def test_two_clients_use_their_own_servers(
    client: ToxiproxyClient, endpoints: tuple[Endpoint, Endpoint]
) -> None:
    """The library has one address per process; each call must go to its own client's server."""
    client.create(*endpoints)
    (nowhere,) = free_ports(1)
    other = ToxiproxyClient(Endpoint("127.0.0.1", nowhere))
    with pytest.raises(ProxyProblem, match="is not there"):
        other.toxics()
    assert client.toxics() == []


@pytest.mark.stack
def test_proxy_variables_of_the_environment_are_ignored(
    client: ToxiproxyClient, endpoints: tuple[Endpoint, Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls to our own loopback must not leave through a company's proxy."""
    monkeypatch.setitem(os.environ, "http_proxy", "http://127.0.0.1:9")
    client.create(*endpoints)
    assert client.toxics() == []


CALLS = {
    "version": lambda client: client.version(),
    "create": lambda client: client.create(Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2)),
    "reset": lambda client: client.reset(),
    "add": lambda client: client.add_toxic("one", "timeout", {"timeout": 0}),
    "remove": lambda client: client.remove_toxic("one"),
    "toxics": lambda client: client.toxics(),
}


@pytest.mark.parametrize("call", CALLS)
def test_hung_api_is_an_error(call: str) -> None:
    """A socket that accepts connections and never answers stands in for a hung Toxiproxy."""
    with socket.create_server(("127.0.0.1", 0)) as hung:
        client = ToxiproxyClient(Endpoint("127.0.0.1", hung.getsockname()[1]), limit_s=0.2)
        with pytest.raises(ProxyProblem, match="does not answer in time"):
            CALLS[call](client)


def answering(status: str, body: bytes) -> Iterator[int]:
    """A server that gives every request the same answer; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                with link:
                    link.recv(65536)
                    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
                    link.sendall(head.encode() + body)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        ("500 Internal Server Error", b"{}", "failed"),
        ("200 OK", b"<html>", "makes no sense"),
        ("200 OK", b"[]", "makes no sense"),
    ],
)
def test_malformed_answer_is_an_error(status: str, body: bytes, expected: str) -> None:
    """A scripted server stands in for a broken one."""
    for port in answering(status, body):
        client = ToxiproxyClient(Endpoint("127.0.0.1", port), limit_s=5.0)
        with pytest.raises(ProxyProblem, match=expected):
            client.version()


def test_proxy_problem_is_an_environment_problem() -> None:
    """Never held against the product: exit 4."""
    assert issubclass(ProxyProblem, EnvironmentProblem)


def test_requests_outside_the_library_are_not_changed() -> None:
    """Only the library's own name is replaced."""
    (nowhere,) = free_ports(1)
    with pytest.raises(ProxyProblem):
        ToxiproxyClient(Endpoint("127.0.0.1", nowhere)).version()
    assert requests.get.__module__ == "requests.api"


@pytest.mark.stack
def test_client_is_thread_safe(
    client: ToxiproxyClient, endpoints: tuple[Endpoint, Endpoint]
) -> None:
    """Faults and probes share one client."""
    client.create(*endpoints)
    problems: list[Exception] = []

    def work(number: int) -> None:
        try:
            for _ in range(5):
                client.add_toxic(f"t{number}", "latency", {"latency": 1})
                client.remove_toxic(f"t{number}")
        except ProxyProblem as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    end_s = time.monotonic() + 60
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))
    assert problems == []
    assert client.toxics() == []
