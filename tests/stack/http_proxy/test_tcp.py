"""The toxics mean the same on Toxiproxy and on the proxy of last resort: each test runs on both.

Times are lower bounds only: a machine may always be slower.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chaos.stack.base import Endpoint
from chaos.stack.proxies import proxy_argv
from chaos.stack.toxiproxy import ProxyProblem, ToxiproxyClient
from tests.ports import free_ports
from tests.waiting import wait_for

pytestmark = pytest.mark.stack

LIMIT_S = 60.0


@dataclass
class Echo:
    """A TCP server that sends everything back; `ended` counts clients that went away."""

    port: int = 0
    links: list[socket.socket] = field(default_factory=list)
    ended: int = 0


@pytest.fixture
def echo() -> Iterator[Echo]:
    state = Echo()
    listener = socket.create_server(("127.0.0.1", 0))
    state.port = listener.getsockname()[1]

    def serve(link: socket.socket) -> None:
        with link:
            try:
                while data := link.recv(65536):
                    link.sendall(data)
            except OSError:
                pass
        state.ended += 1

    def accept() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            state.links.append(link)
            threading.Thread(target=serve, args=(link,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield state
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


@dataclass
class Lab:
    """A running proxy server with one proxy in front of the echo server."""

    client: ToxiproxyClient
    api: Endpoint
    listen: Endpoint
    echo: Echo
    process: subprocess.Popen[bytes]

    def connect(self) -> socket.socket:
        return socket.create_connection((self.listen.host, self.listen.port), timeout=LIMIT_S)

    def call(self, method: str, path: str, body: Any = None) -> int:
        """A call that toxiproxy-python has no safe function for."""
        with closing(http.client.HTTPConnection(self.api.host, self.api.port, timeout=10)) as link:
            link.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            answer = link.getresponse()
            answer.read()
            return answer.status


@contextmanager
def running(binary: Path | None, echo: Echo) -> Iterator[Lab]:
    api, listen = (Endpoint("127.0.0.1", port) for port in free_ports(2))
    process = subprocess.Popen(
        proxy_argv(binary, api), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    client = ToxiproxyClient(api)
    upstream = Endpoint("127.0.0.1", echo.port)
    created = lambda: client.create(listen, upstream) or True  # noqa: E731
    wait_for("the proxy starts", created, not_yet=ProxyProblem)
    yield Lab(client, api, listen, echo, process)
    process.terminate()
    try:
        process.wait(30)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["toxiproxy", "builtin"])
def lab(request: pytest.FixtureRequest, toxiproxy_binary: Path, echo: Echo) -> Iterator[Lab]:
    with running(toxiproxy_binary if request.param == "toxiproxy" else None, echo) as one:
        yield one


@pytest.fixture
def builtin(echo: Echo) -> Iterator[Lab]:
    """The proxy of last resort alone."""
    with running(None, echo) as one:
        yield one


def received(link: socket.socket, count: int) -> bytes:
    """`count` bytes, or what came before the end."""
    data = b""
    while len(data) < count and (chunk := link.recv(65536)):
        data += chunk
    return data


def silent(link: socket.socket, seconds: float = 0.4) -> bool:
    """Whether nothing comes for so long, not even an end."""
    link.settimeout(seconds)
    try:
        link.recv(1)
    except TimeoutError:
        return True
    else:
        return False
    finally:
        link.settimeout(LIMIT_S)


def test_without_toxics_all_data_passes(lab: Lab) -> None:
    """Much data in both directions, and an end that is passed on."""
    data = bytes(range(256)) * 8000
    with lab.connect() as link:
        sender = threading.Thread(target=link.sendall, args=(data,))
        sender.start()
        assert received(link, len(data)) == data
        sender.join()
    wait_for("the end is passed on", lambda: lab.echo.ended)


def test_latency_delays_each_direction_and_keeps_the_order(lab: Lab) -> None:
    lab.client.add_toxic("one", "latency", {"latency": 300, "jitter": 50})
    with lab.connect() as link:
        start_s = time.monotonic()
        for number in range(20):
            link.sendall(b"%02d " % number)
        got = received(link, 60)
        assert time.monotonic() - start_s >= 0.25
        assert got == b"".join(b"%02d " % number for number in range(20))
        lab.client.remove_toxic("one")
        link.sendall(b"still here")
        assert received(link, 10) == b"still here"  # removing latency closes nothing


def test_bandwidth_limits_the_rate(lab: Lab) -> None:
    lab.client.add_toxic("one", "bandwidth", {"rate": 100})
    with lab.connect() as link:
        start_s = time.monotonic()
        link.sendall(bytes(60_000))
        assert len(received(link, 60_000)) == 60_000
        assert time.monotonic() - start_s >= 0.5


def test_slow_close_delays_the_end_only(lab: Lab) -> None:
    lab.client.add_toxic("one", "slow_close", {"delay": 500})
    with lab.connect() as link:
        link.sendall(b"abc")
        assert received(link, 3) == b"abc"
        start_s = time.monotonic()
        lab.echo.links[0].shutdown(socket.SHUT_RDWR)
        assert link.recv(1) == b""
        assert time.monotonic() - start_s >= 0.45


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_timeout_0_blocks_until_it_is_removed_and_then_closes(lab: Lab, stream: str) -> None:
    with lab.connect() as before:
        before.sendall(b"abc")
        assert received(before, 3) == b"abc"
        lab.client.add_toxic("one", "timeout", {"timeout": 0}, stream=stream)
        with lab.connect() as link:
            for one in (before, link):  # an open connection is held as well as a new one
                one.sendall(b"abc")
            assert silent(before) and silent(link)
            lab.client.remove_toxic("one")
            assert before.recv(1) == b"" and link.recv(1) == b""
    with lab.connect() as link:
        link.sendall(b"abc")
        assert received(link, 3) == b"abc"


def test_timeout_restarts_with_every_chunk(lab: Lab) -> None:
    lab.client.add_toxic("one", "timeout", {"timeout": 2000}, stream="upstream")
    with lab.connect() as link:
        start_s = time.monotonic()
        for _ in range(8):
            link.sendall(b"abc")
            time.sleep(0.3)  # far faster than the time limit: this is what is tested
        assert link.recv(1) == b""
        assert time.monotonic() - start_s >= 7 * 0.3 + 2.0


def test_reset_peer_sends_a_reset(lab: Lab) -> None:
    lab.client.add_toxic("one", "reset_peer", {"timeout": 200})
    with lab.connect() as link:
        start_s = time.monotonic()
        link.sendall(b"abc")
        with pytest.raises(ConnectionResetError):
            link.recv(1)
        assert time.monotonic() - start_s >= 0.15


def test_slicer_splits_the_data_and_loses_nothing(lab: Lab) -> None:
    lab.client.add_toxic(
        "one", "slicer", {"average_size": 100, "size_variation": 20, "delay": 20_000}
    )
    with lab.connect() as link:
        data = bytes(range(250)) * 8
        start_s = time.monotonic()
        link.sendall(data)
        assert received(link, len(data)) == data
        assert time.monotonic() - start_s >= 15 * 0.02


def test_limit_data_closes_after_its_bytes(lab: Lab) -> None:
    lab.client.add_toxic("one", "limit_data", {"bytes": 10})
    with lab.connect() as link:
        link.sendall(b"abc")
        assert received(link, 3) == b"abc"
        link.sendall(b"defghijklmnop")
        assert received(link, 100) == b"defghij"


def test_disabled_proxy_refuses_and_aborts_connections(lab: Lab) -> None:
    with lab.connect() as link:
        link.sendall(b"abc")
        assert received(link, 3) == b"abc"
        assert lab.call("POST", "/proxies/llm", {"enabled": False}) == 200
        with suppress(ConnectionResetError):
            assert link.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        lab.connect()
    lab.client.reset()
    with lab.connect() as link:
        link.sendall(b"abc")
        assert received(link, 3) == b"abc"


def test_unreachable_server_closes_the_connection(lab: Lab) -> None:
    (nowhere,) = free_ports(1)
    lab.client.create(lab.listen, Endpoint("127.0.0.1", nowhere))
    with lab.connect() as link, suppress(ConnectionResetError):
        assert link.recv(1) == b""


def test_toxics_can_be_added_and_removed_on_an_open_connection(lab: Lab) -> None:
    """Nothing is lost or swapped on the way."""
    with lab.connect() as link:
        for number in range(10):
            name = f"t{number}"
            lab.client.add_toxic(name, "latency", {"latency": 20})
            link.sendall(b"%06d" % number)
            if number % 2:
                assert received(link, 12) == b"%06d%06d" % (number - 1, number)
                lab.client.remove_toxic(name)
                lab.client.remove_toxic(f"t{number - 1}")


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (("POST", "/proxies", {"name": "x"}), 400),
        (("POST", "/proxies", {"name": "x", "listen": "nowhere", "upstream": "a:1"}), 400),
        (("POST", "/proxies", {"name": "llm", "listen": "a:1", "upstream": "a:1"}), 409),
        (("GET", "/proxies/none", None), 404),
        (("GET", "/nothing", None), 404),
        (("POST", "/proxies/llm", {"enabled": "no"}), 400),
        (("POST", "/proxies/llm/toxics", {"type": "latency", "stream": "sideways"}), 400),
        (("POST", "/proxies/llm/toxics", {"type": "latency", "toxicity": 0.5}), 400),
        (("POST", "/proxies/llm/toxics", {"type": "latency", "attributes": {"latency": -1}}), 400),
        (("POST", "/proxies/llm/toxics", []), 400),
        (("DELETE", "/proxies/llm/toxics/none", None), 404),
        (("PUT", "/proxies/llm/toxics", None), 405),
    ],
)
def test_malformed_call_is_refused(builtin: Lab, call: tuple[str, str, Any], status: int) -> None:
    assert builtin.call(*call) == status


def test_sigterm_ends_the_proxy_with_open_connections(builtin: Lab) -> None:
    builtin.client.add_toxic("one", "timeout", {"timeout": 0})
    with builtin.connect() as link:
        link.sendall(b"abc")
        builtin.process.terminate()
        assert builtin.process.wait(30) == 0


def test_wrong_arguments_give_one_message() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos.stack.http_proxy.tcp", "--api", "here"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "HOST:PORT is needed" in done.stderr
