"""The client of the wire proxy's control API: it never hangs, and never blames the product."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from chaos.base.errors import EnvironmentProblem
from chaos.stack.base import Endpoint
from chaos.stack.proxies import WireControl, WireProblem
from tests.ports import free_ports

CALLS: dict[str, Callable[[WireControl], object]] = {
    "put": lambda wire: wire.put("r", "stall", {}),
    "remove": lambda wire: wire.remove("r"),
    "rules": lambda wire: wire.rules(),
    "stats": lambda wire: wire.stats(),
}


@pytest.mark.parametrize("call", CALLS)
def test_hung_control_api_is_an_error(call: str) -> None:
    """A socket that accepts connections and never answers stands in for a hung proxy."""
    with socket.create_server(("127.0.0.1", 0)) as hung:
        wire = WireControl(Endpoint("127.0.0.1", hung.getsockname()[1]), limit_s=0.2)
        with pytest.raises(WireProblem, match="does not answer in time"):
            CALLS[call](wire)


@pytest.mark.parametrize("call", CALLS)
def test_unreachable_wire_proxy_is_an_environment_problem(call: str) -> None:
    (nowhere,) = free_ports(1)
    with pytest.raises(EnvironmentProblem, match="is not there"):
        CALLS[call](WireControl(Endpoint("127.0.0.1", nowhere)))


@contextmanager
def answering(status: str, body: bytes) -> Iterator[WireControl]:
    """A scripted server stands in for a broken proxy: one answer to every request."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                link, _ = server.accept()
            except OSError:
                return
            with link:
                link.recv(65536)
                head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
                link.sendall(head.encode() + body)

        thread = threading.Thread(target=serve)
        thread.start()
        yield WireControl(Endpoint("127.0.0.1", server.getsockname()[1]), limit_s=5.0)
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        ("400 Bad Request", b'{"error":"no"}', "refused: 400"),
        ("200 OK", b"<html>", "makes no sense"),
        ("200 OK", b"[]", "makes no sense"),
        ("200 OK", b'{"rules":[{"id":"r"}]}', "makes no sense"),
        ("200 OK", b'{"rules":[{"id":"r","seen":"x","struck":1}]}', "makes no sense"),
    ],
)
def test_malformed_answer_is_an_error(status: str, body: bytes, expected: str) -> None:
    with answering(status, body) as wire, pytest.raises(WireProblem, match=expected):
        wire.rules()
